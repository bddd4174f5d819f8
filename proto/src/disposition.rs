//! The file name in a `Content-Disposition` field (RFC 6266).

/// What a server proposes to call a file: the `filename*` parameter, or `filename` without it
/// (RFC 6266 §4.3). `None` if there is neither, or if the field is not well-formed.
///
/// The name is as the server wrote it: it may hold separators, control characters, or nothing at
/// all. Whoever makes a file of it has to look at it first.
pub fn file_name(field: &[u8]) -> Option<String> {
    let mut rest = field;
    // The disposition type: a name is of use whichever it is.
    take_token(&mut rest)?;
    let (mut plain, mut extended) = (None, None);
    loop {
        skip_space(&mut rest);
        if rest.is_empty() {
            return extended.or(plain);
        }
        rest = rest.strip_prefix(b";")?;
        skip_space(&mut rest);
        // A semicolon behind the last parameter does no harm.
        if rest.is_empty() {
            return extended.or(plain);
        }
        let name = take_token(&mut rest)?;
        skip_space(&mut rest);
        rest = rest.strip_prefix(b"=")?;
        skip_space(&mut rest);
        if name.eq_ignore_ascii_case(b"filename*") {
            extended = extended.or(decode_extended(take_token(&mut rest)?));
        } else {
            let value = take_value(&mut rest)?;
            if name.eq_ignore_ascii_case(b"filename") {
                plain = plain.or_else(|| Some(text(value)));
            }
        }
    }
}

/// White space around what is between the separators (RFC 9110 §5.6.3).
fn skip_space(rest: &mut &[u8]) {
    *rest = rest.trim_ascii_start();
}

/// A token (RFC 9110 §5.6.2).
fn take_token<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let length = rest.iter().take_while(|byte| is_part(byte)).count();
    let (token, left) = rest.split_at(length);
    *rest = left;
    (!token.is_empty()).then_some(token)
}

/// A token or a quoted string, without its quotes and backslashes (RFC 9110 §5.6.4).
fn take_value(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let Some(quoted) = rest.strip_prefix(b"\"") else {
        return take_token(rest).map(<[u8]>::to_vec);
    };
    let mut value = Vec::new();
    let mut bytes = quoted.iter();
    loop {
        match bytes.next()? {
            b'"' => break,
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
    *rest = bytes.as_slice();
    Some(value)
}

/// An extended value, `charset'language'percent-encoded` (RFC 8187 §3.2.1).
fn decode_extended(value: &[u8]) -> Option<String> {
    let mut parts = value.splitn(3, |&byte| byte == b'\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let mut decoded = Vec::new();
    let mut rest = encoded;
    while let Some((&first, mut left)) = rest.split_first() {
        let byte = if first == b'%' {
            let digits = std::str::from_utf8(left.get(..2)?).ok()?;
            let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            left = &left[2..];
            u8::from_str_radix(digits, 16).ok().filter(|_| is_hex)?
        } else {
            first
        };
        decoded.push(byte);
        rest = left;
    }
    // RFC 8187 §3.2.1: recipients must support UTF-8; ISO-8859-1 was its companion before.
    if charset.eq_ignore_ascii_case(b"utf-8") {
        String::from_utf8(decoded).ok()
    } else if charset.eq_ignore_ascii_case(b"iso-8859-1") {
        Some(latin(&decoded))
    } else {
        None
    }
}

/// What bytes without a named charset mean: UTF-8 if they are, else ISO-8859-1, HTTP's old one.
fn text(value: Vec<u8>) -> String {
    String::from_utf8(value).unwrap_or_else(|error| latin(error.as_bytes()))
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(field: &str) -> Option<String> {
        file_name(field.as_bytes())
    }

    #[test]
    fn the_examples_of_rfc_6266_are_read() {
        assert_eq!(
            name("Attachment; filename=example.html").as_deref(),
            Some("example.html")
        );
        assert_eq!(
            name("INLINE; FILENAME= \"an example.html\"").as_deref(),
            Some("an example.html")
        );
        assert_eq!(
            name("attachment; filename*= UTF-8''%e2%82%ac%20rates").as_deref(),
            Some("€ rates")
        );
        // RFC 6266 §4.3: "recipients SHOULD pick "filename*" and ignore "filename"".
        let both = "attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates";
        assert_eq!(name(both).as_deref(), Some("€ rates"));
        let latin = "attachment; filename*=iso-8859-1'en'%A3%20rates";
        assert_eq!(name(latin).as_deref(), Some("£ rates"));
    }

    #[test]
    fn quotes_other_parameters_and_other_charsets_are_in_nobodys_way() {
        let quoted = r#"attachment; size=1; filename="a\"b;c=d\\e" ; x="y";"#;
        assert_eq!(name(quoted).as_deref(), Some(r#"a"b;c=d\e"#));
        let unknown = "attachment; filename*=koi8-r''%C1; filename=a";
        assert_eq!(name(unknown).as_deref(), Some("a"));
        assert_eq!(name("attachment"), None);
        assert_eq!(file_name(b"a; filename=\"gr\xF6\"").as_deref(), Some("grö"));
    }

    #[test]
    fn what_is_not_well_formed_names_nothing() {
        for field in [
            "",
            ";",
            "attachment; filename",
            "attachment; filename=",
            "attachment; filename=\"a",
            "attachment; filename=\"a\\",
            "attachment; filename=a b",
            "attachment; filename=a, b",
            "attachment filename=a",
            "attachment; filename*=utf-8''%e",
            "attachment; filename*=utf-8''%+1",
            "attachment; filename*=utf-8''%ff",
            "attachment; filename*=utf-8",
        ] {
            assert_eq!(name(field), None, "{field}");
        }
    }
}
