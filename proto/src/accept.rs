//! What a client would rather have: Accept and Accept-Encoding (RFC 9110 §12.5.1, §12.5.3).

/// A quality value (RFC 9110 §12.4.2) in thousandths: 0 is not acceptable, 1000 is liked best.
pub type Quality = u16;

const BEST: Quality = 1000;

/// How much the value of an Accept field, with all its lines joined, likes `media_type`.
///
/// The most specific range counts (RFC 9110 §12.5.1). Parameters of a media range are not looked
/// at. What is not a range is passed over. Without the field all are liked alike.
pub fn media_type(accept: Option<&[u8]>, media_type: &str) -> Quality {
    let Some(accept) = accept else { return BEST };
    let kind = media_type.split('/').next().unwrap_or_default();
    let whole_kind = format!("{kind}/*");
    let mut found = (0, 0);
    for (range, quality) in preferences(accept) {
        let specific = if range.eq_ignore_ascii_case(media_type.as_bytes()) {
            3
        } else if range.eq_ignore_ascii_case(whole_kind.as_bytes()) {
            2
        } else if range == b"*/*" {
            1
        } else {
            continue;
        };
        if specific > found.0 {
            found = (specific, quality);
        }
    }
    found.1
}

/// How much the value of an Accept-Encoding field, with all its lines joined, likes the content
/// coding `coding`; `identity` is to have none.
///
/// A coding that is not named has the quality of `*`, if that is. If not, `identity` is acceptable
/// but liked less than any that is named, and others are not acceptable. Without the field
/// `identity` is liked best: RFC 9110 §12.5.3 allows any coding then, but who does not speak of
/// them rarely knows them.
pub fn coding(accept_encoding: Option<&[u8]>, coding: &str) -> Quality {
    let identity = coding.eq_ignore_ascii_case("identity");
    let Some(accept) = accept_encoding else {
        return if identity { BEST } else { 0 };
    };
    let mut others = None;
    for (name, quality) in preferences(accept) {
        if names_coding(name, coding) {
            return quality;
        }
        if name == b"*" {
            others = Some(quality);
        }
    }
    match others {
        // RFC 9110 §12.5.3 rule 2.
        Some(quality) => quality,
        None if identity => 1,
        None => 0,
    }
}

/// RFC 9110 §8.4.1.3: "A recipient SHOULD consider "x-gzip" to be equivalent to "gzip"."
fn names_coding(name: &[u8], coding: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    is(coding) || (coding == "gzip" && is("x-gzip"))
}

/// The members of a list with their qualities; a member whose quality is not one is passed over.
fn preferences(value: &[u8]) -> impl Iterator<Item = (&[u8], Quality)> {
    value.split(|&byte| byte == b',').filter_map(|member| {
        let mut parts = member.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().filter(|name| !name.is_empty())?;
        let weight = parts.find_map(|parameter| {
            let (name, value) = parameter.split_at_checked(2)?;
            name.eq_ignore_ascii_case(b"q=").then_some(value)
        });
        match weight {
            None => Some((name, BEST)),
            Some(weight) => parse_quality(weight).map(|quality| (name, quality)),
        }
    })
}

/// RFC 9110 §12.4.2: `0` or `1`, perhaps with up to three decimals.
fn parse_quality(text: &[u8]) -> Option<Quality> {
    let (whole, decimals) = match text {
        [whole] | [whole, b'.'] => (whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut quality = match whole {
        b'0' => 0,
        b'1' => 1,
        _ => return None,
    };
    for at in 0..3 {
        let digit = decimals.get(at).copied().unwrap_or(b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        quality = quality * 10 + Quality::from(digit - b'0');
    }
    (quality <= BEST).then_some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_has_the_quality_it_is_given() {
        let table = [
            ("gzip", "gzip", 1000),
            ("gzip", "br", 0),
            ("gzip", "identity", 1),
            ("gzip;q=0.5, br;q=1.0", "gzip", 500),
            ("GZIP ; Q=0.125", "gzip", 125),
            ("x-gzip", "gzip", 1000),
            ("*", "br", 1000),
            ("*;q=0", "identity", 0),
            ("identity;q=0", "identity", 0),
            ("*;q=0, identity;q=0.3", "identity", 300),
            ("gzip;q=0, *", "gzip", 0),
            ("gzip;q=0, *", "br", 1000),
            ("", "identity", 1),
            ("", "gzip", 0),
        ];
        for (field, name, quality) in table {
            assert_eq!(
                coding(Some(field.as_bytes()), name),
                quality,
                "{field} {name}"
            );
        }
        assert_eq!(coding(None, "identity"), 1000);
        assert_eq!(coding(None, "gzip"), 0);
    }

    #[test]
    fn what_is_no_quality_is_passed_over() {
        for weight in ["2", "1.001", "0.1234", "-1", "", "0,5", "a", "0.x", "00"] {
            let field = format!("gzip;q={weight}");
            assert_eq!(coding(Some(field.as_bytes()), "gzip"), 0, "{weight}");
        }
        for (weight, quality) in [("1.000", 1000), ("0.", 0), ("1.", 1000), ("0.001", 1)] {
            let field = format!("gzip;q={weight}");
            assert_eq!(coding(Some(field.as_bytes()), "gzip"), quality, "{weight}");
        }
    }

    #[test]
    fn the_most_specific_media_range_counts() {
        let browser = "text/html,application/xml;q=0.9,*/*;q=0.8";
        let table = [
            (browser, "text/html", 1000),
            (browser, "application/json", 800),
            ("application/json", "application/json", 1000),
            ("application/json", "text/html", 0),
            ("*/*, text/*;q=0.2", "text/html", 200),
            ("text/*;q=0.2, text/html;q=0.1", "text/html", 100),
            ("text/html;level=1;q=0.3", "text/html", 300),
            (",,;", "text/html", 0),
        ];
        for (field, name, quality) in table {
            assert_eq!(
                media_type(Some(field.as_bytes()), name),
                quality,
                "{field} {name}"
            );
        }
        assert_eq!(media_type(None, "text/html"), 1000);
    }
}
