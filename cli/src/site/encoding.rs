//! Files that lie beside a file and hold it compressed.

use proto::accept::{self, Quality};

/// A content coding (RFC 9110 §8.4.1), and what the names of files in it end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Coding {
    pub(super) name: &'static str,
    pub(super) ending: &'static str,
}

/// The codings that are looked for.
const CODINGS: [Coding; 3] = [
    Coding {
        name: "br",
        ending: ".br",
    },
    Coding {
        name: "zstd",
        ending: ".zst",
    },
    Coding {
        name: "gzip",
        ending: ".gz",
    },
];

/// What a client accepts, best first: `None` is the file as it is.
///
/// Of codings that are liked alike the one that compresses better, as a rule, comes first, and any
/// of them before the file as it is. What is not acceptable is left out.
pub(super) fn preferred(accept_encoding: Option<&[u8]>) -> Vec<Option<Coding>> {
    let identity = (accept::coding(accept_encoding, "identity"), None);
    let mut all: Vec<(Quality, Option<Coding>)> = CODINGS
        .iter()
        .map(|coding| (accept::coding(accept_encoding, coding.name), Some(*coding)))
        .chain([identity])
        .filter(|(quality, _)| *quality > 0)
        .collect();
    // Stable: those that are liked alike stay in their order.
    all.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    all.into_iter().map(|(_, coding)| coding).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_liked_best_comes_first() {
        let table = [
            (None, "-"),
            (Some("gzip, br, zstd"), "br zstd gzip -"),
            (Some("gzip;q=1, br;q=0.5"), "gzip br -"),
            (Some("identity, gzip;q=0.5"), "- gzip"),
            (Some("*"), "br zstd gzip -"),
            (Some("gzip, identity;q=0"), "gzip"),
            (Some("identity;q=0"), ""),
            (Some(""), "-"),
        ];
        for (field, expected) in table {
            let names: Vec<&str> = preferred(field.map(str::as_bytes))
                .into_iter()
                .map(|coding| coding.map_or("-", |coding| coding.name))
                .collect();
            assert_eq!(names.join(" "), expected, "{field:?}");
        }
    }
}
