//! The grammar that the handshake headers share: lists over several lines, optional whitespace, quoted strings, tokens.

use http::header::{HeaderMap, HeaderName, HeaderValue};

/// The header is on more than one line, where its RFC allows one.
#[derive(Debug)]
pub(crate) struct Repeated;

/// The elements of the list in the header `name`, from all its lines, in order, and without whitespace around them.
///
/// Empty elements are left out: a recipient "MUST parse and ignore a reasonable number of empty list elements" (RFC
/// 9110 §5.6.1.2). Several lines are one list (RFC 9110 §5.3).
pub(crate) fn elements<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).iter().flat_map(|line| split(line.as_bytes(), b',')).filter(|element| !element.is_empty())
}

/// Whether the list in the header `name` contains `token`, ignoring case.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    elements(headers, name).any(|element| element.eq_ignore_ascii_case(token.as_bytes()))
}

/// The value of a header that may be on one line only.
pub(crate) fn unique<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, Repeated> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next();
    match lines.next() {
        None => Ok(first),
        Some(_) => Err(Repeated),
    }
}

/// The parts of `bytes` between `separator`s, trimmed. A separator inside a quoted string does not count.
pub(crate) fn split(bytes: &[u8], separator: u8) -> Split<'_> {
    Split { rest: Some(bytes), separator }
}

/// See [`split`].
#[derive(Debug)]
pub(crate) struct Split<'a> {
    /// `None` after the last part.
    rest: Option<&'a [u8]>,
    separator: u8,
}

impl<'a> Iterator for Split<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let bytes = self.rest?;
        let part = match find_unquoted(bytes, self.separator) {
            Some(at) => {
                self.rest = Some(&bytes[at + 1..]);
                &bytes[..at]
            }
            None => {
                self.rest = None;
                bytes
            }
        };
        Some(trim_ows(part))
    }
}

/// Splits `bytes` at the first `separator` that is outside a quoted string.
pub(crate) fn split_once(bytes: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    find_unquoted(bytes, separator).map(|at| (trim_ows(&bytes[..at]), trim_ows(&bytes[at + 1..])))
}

/// Removes the optional whitespace at both ends: `OWS = *( SP / HTAB )` (RFC 9110 §5.6.3).
pub(crate) fn trim_ows(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// `token = 1*tchar` (RFC 9110 §5.6.2), as text.
pub(crate) fn token(bytes: &[u8]) -> Option<&str> {
    let valid = !bytes.is_empty() && bytes.iter().copied().all(is_tchar);
    // A token is ASCII, so the conversion does not fail.
    valid.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

/// The value of a quoted string: `quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE` (RFC 9110 §5.6.4).
///
/// `None` unless `bytes` is exactly one quoted string.
pub(crate) fn unquote(bytes: &[u8]) -> Option<Vec<u8>> {
    let inner = bytes.strip_prefix(b"\"")?;
    let mut value = Vec::with_capacity(inner.len());
    let mut rest = inner.iter().copied();
    loop {
        match rest.next()? {
            b'"' => return rest.next().is_none().then_some(value),
            b'\\' => value.push(rest.next()?),
            byte => value.push(byte),
        }
    }
}

/// The position of the first `separator` that is not inside a quoted string. A string that is not closed reaches to the end.
fn find_unquoted(bytes: &[u8], separator: u8) -> Option<usize> {
    let mut quoted = false;
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'"' => quoted = !quoted,
            // The byte after a backslash stands for itself, so it neither ends the string nor separates.
            b'\\' if quoted => at += 1,
            byte if byte == separator && !quoted => return Some(at),
            _ => {}
        }
        at += 1;
    }
    None
}

fn is_tchar(byte: u8) -> bool {
    static TABLE: [bool; 256] = table(b"!#$%&'*+-.^_`|~");
    TABLE[usize::from(byte)]
}

/// By byte, whether it is a letter, a digit, or one of `others`.
pub(crate) const fn table(others: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        table[byte] = (byte as u8).is_ascii_alphanumeric();
        byte += 1;
    }
    let mut other = 0;
    while other < others.len() {
        table[others[other] as usize] = true;
        other += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(text: &str) -> Vec<&str> {
        split(text.as_bytes(), b',').map(|part| std::str::from_utf8(part).unwrap()).collect()
    }

    #[test]
    fn a_list_is_not_split_at_commas_inside_quotes() {
        assert_eq!(parts("a, b"), ["a", "b"]);
        assert_eq!(parts("a;x=\"1,2\"\t,\tb"), ["a;x=\"1,2\"", "b"]);
        assert_eq!(parts(r#"a="\",", b"#), [r#"a="\",""#, "b"]);
        assert_eq!(parts("\"a, b"), ["\"a, b"]);
        assert_eq!(parts(r#""a\"#), [r#""a\"#]);
        assert_eq!(parts(""), [""]);
        assert_eq!(parts(",,"), ["", "", ""]);
    }

    #[test]
    fn only_spaces_and_tabs_are_trimmed() {
        assert_eq!(trim_ows(b"\t a \t"), b"a");
        assert_eq!(trim_ows(b" \t "), b"");
        assert_eq!(trim_ows(b"\x0ba"), b"\x0ba");
    }

    #[test]
    fn a_quoted_string_is_unquoted_and_anything_else_is_refused() {
        assert_eq!(unquote(b"\"10\"").unwrap(), b"10");
        assert_eq!(unquote(br#""1\0""#).unwrap(), b"10");
        assert_eq!(unquote(b"\"\"").unwrap(), b"");
        for wrong in [&b"10"[..], b"\"", b"\"10", b"\"10\\", b"\"1\"0", b"\"10\\\""] {
            assert_eq!(unquote(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn a_character_of_a_token_is_a_letter_a_digit_or_one_of_fifteen_others() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(is_tchar(byte), expected, "{}", byte.escape_ascii());
        }
    }

    #[test]
    fn only_characters_of_a_token_make_a_token() {
        assert_eq!(token(b"graphql-transport-ws"), Some("graphql-transport-ws"));
        for wrong in [&b""[..], b"a b", b"a/b", b"a=b", b"\xc3\xa9", b"a\"", b"a\t"] {
            assert_eq!(token(wrong), None, "{}", wrong.escape_ascii());
        }
    }
}
