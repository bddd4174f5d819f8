//! The name that a server proposes for a file.

use std::path::PathBuf;

use proto::disposition;
use proto::response::ResponseHead;

use crate::terminal;

/// The most bytes of a name that common file systems take, with room for `.part.info`.
const LONGEST: usize = 240;

/// The name that `head` proposes, if it is harmless: a name in this very folder, without a dot in
/// front, and as it is shown.
pub(super) fn name(head: &ResponseHead) -> Option<PathBuf> {
    let field = head.fields.single("Content-Disposition")?;
    let proposed = disposition::file_name(field)?;
    // RFC 6266 §4.3: "recipients MUST NOT be able to write into any location other than one to
    // which they are specifically entitled", and should use the last segment only.
    let name = proposed.rsplit(['/', '\\']).next()?.trim();
    let is_harmless = !name.is_empty()
        && !name.starts_with('.')
        && name.len() <= LONGEST
        && terminal::printable(name.as_bytes()) == name;
    is_harmless.then(|| name.into())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proto::response::Limits;

    use super::*;

    fn proposed(parameter: &str) -> Option<String> {
        let text =
            format!("HTTP/1.0 200 OK\r\nContent-Disposition: attachment; {parameter}\r\n\r\n");
        let head = ResponseHead::parse(&mut Bytes::from(text), &Limits::default()).unwrap();
        name(&head).map(|name| name.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_a_harmless_name_is_taken() {
        for (parameter, name) in [
            ("filename=a.txt", Some("a.txt")),
            ("filename=\"-a b.txt\"", Some("-a b.txt")),
            ("filename*=utf-8''gr%C3%B6%C3%9Fe", Some("größe")),
            ("filename=\"/etc/passwd\"", Some("passwd")),
            ("filename=\"..\\\\..\\\\a.exe\"", Some("a.exe")),
            ("filename*=utf-8''..%2Fa", Some("a")),
            ("filename=\"\"", None),
            ("filename=\"a/\"", None),
            ("filename=\"..\"", None),
            ("filename=\".bashrc\"", None),
            ("filename*=utf-8''a%00b", None),
            ("filename*=utf-8''a%0Ab", None),
            ("filename*=utf-8''a%1B%5B2J", None),
            ("filename*=utf-8''a%E2%80%AEtxt.exe", None),
            ("size=1", None),
        ] {
            assert_eq!(proposed(parameter).as_deref(), name, "{parameter}");
        }
        let long = "a".repeat(300);
        assert_eq!(proposed(&format!("filename={long}")), None);
    }
}
