//! The part of Rust's grammar that separates code from comments and strings.

/// `source` with comments, strings and character literals replaced by spaces, byte for byte, quotes included. Line feeds stay,
/// so that offsets and lines stay what they were.
pub(crate) fn code_only(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    while code.len() < bytes.len() {
        let at = code.len();
        let rest = &bytes[at..];
        match rest[0] {
            b'/' if rest.starts_with(b"//") => blank(&mut code, rest, line_end(rest)),
            b'/' if rest.starts_with(b"/*") => blank(&mut code, rest, block_comment_end(rest)),
            b'"' => blank(&mut code, rest, string_end(rest)),
            b'r' if !follows_identifier(&code) => match raw_string_end(rest) {
                Some(end) => blank(&mut code, rest, end),
                None => code.push(b'r'),
            },
            b'\'' => match character_end(rest) {
                Some(end) => blank(&mut code, rest, end),
                None => code.push(b'\''),
            },
            byte => code.push(byte),
        }
    }
    // Only whole tokens were replaced, by ASCII, so the text is still valid UTF-8.
    String::from_utf8_lossy(&code).into_owned()
}

/// The line, from 1, that the byte at `offset` is in.
pub(crate) fn line_of(source: &str, offset: usize) -> usize {
    source.as_bytes()[..offset].iter().filter(|&&byte| byte == b'\n').count() + 1
}

/// The offsets of `word` in `code`, if it is not part of a longer word.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let before = code.as_bytes()[..at].last();
        let after = code.as_bytes().get(at + word.len());
        !before.copied().is_some_and(is_word) && !after.copied().is_some_and(is_word)
    })
}

/// The identifiers and keywords of `code`, with their offsets, without lifetimes and numbers.
pub(crate) fn identifiers(code: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut end = 0;
    std::iter::from_fn(move || {
        let start = end + code.as_bytes()[end..].iter().position(|&byte| is_word(byte))?;
        end = code.as_bytes()[start..]
            .iter()
            .position(|&byte| !is_word(byte))
            .map_or(code.len(), |length| start + length);
        Some((start, &code[start..end]))
    })
    .filter(|&(start, word)| !word.starts_with(|first: char| first.is_ascii_digit()) && !code[..start].ends_with('\''))
}

/// The attributes of `code`, as ranges from `#` to the closing bracket.
pub(crate) fn attributes(code: &str) -> Vec<std::ops::Range<usize>> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices('#') {
        let rest = code[start + 1..].trim_start_matches('!');
        if !rest.starts_with('[') {
            continue;
        }
        let open = code.len() - rest.len();
        if let Some(end) = closing(code, open) {
            found.push(start..end + 1);
        }
    }
    found
}

/// The offset of the bracket that closes the one at `open`, if there is one.
pub(crate) fn closing(code: &str, open: usize) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

fn blank(code: &mut Vec<u8>, rest: &[u8], length: usize) {
    code.extend(rest[..length].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
}

fn line_end(rest: &[u8]) -> usize {
    rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
}

fn block_comment_end(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn string_end(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// The length of a raw string such as `r"…"` or `r#"…"#`. `None` for a raw identifier, or a word that begins with r.
fn raw_string_end(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|&&byte| byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let body = 2 + hashes;
    let end = (body..rest.len())
        .find(|&at| rest[at] == b'"' && rest[at + 1..].iter().take_while(|&&byte| byte == b'#').count() >= hashes);
    Some(end.map_or(rest.len(), |at| at + 1 + hashes))
}

/// The length of a character literal such as `'a'` or `'\n'`. `None` for a lifetime.
fn character_end(rest: &[u8]) -> Option<usize> {
    if rest.get(1) == Some(&b'\\') {
        // The escaped character may be the quote itself.
        return rest[3..].iter().position(|&byte| byte == b'\'').map(|at| at + 4);
    }
    let width = match rest.get(1)? {
        0..0x80 => 1,
        0x80..0xE0 => 2,
        0xE0..0xF0 => 3,
        _ => 4,
    };
    (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
}

/// Whether the code so far ends in a word, so that an `r` would continue it. The words `b` and `c` do not count: they begin
/// strings such as `br""`.
fn follows_identifier(code: &[u8]) -> bool {
    let word = code.iter().rev().take_while(|&&byte| is_word(byte)).count();
    let word = &code[code.len() - word..];
    !word.is_empty() && word != b"b" && word != b"c"
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_in_rust_code_are_blanked() {
        for (source, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"a("b\"c", d)"#, "a(      , d)"),
            (r##"a(r#"b"c"#, d)"##, "a(        , d)"),
            (r#"br"a" cr"b" bar"c""#, "b     c     bar   "),
            (r"'a' '\'' 'b: 'static", "         'b: 'static"),
            ("r#type rest", "r#type rest"),
            ("\"a\nb\" c", "  \n   c"),
        ] {
            let found = code_only(source);
            assert_eq!(found.len(), source.len(), "{source}");
            assert_eq!(found, code, "{source}");
        }
    }

    #[test]
    fn blanked_text_that_is_not_ascii_keeps_its_length() {
        let source = "let ö = \"grün\"; // ü\nlet b = 'é';";
        assert_eq!(code_only(source).len(), source.len());
    }

    #[test]
    fn words_in_rust_code_are_found_whole() {
        assert_eq!(words("unsafe_code unsafe", "unsafe").collect::<Vec<_>>(), [12]);
    }

    #[test]
    fn identifiers_are_neither_lifetimes_nor_numbers() {
        let found: Vec<(usize, &str)> = identifiers("r#fn a<'b>(c_1: 0x10) -> 1.5").collect();
        assert_eq!(found, [(0, "r"), (2, "fn"), (5, "a"), (11, "c_1")]);
    }

    #[test]
    fn an_attribute_ends_at_its_own_bracket() {
        let code = "#![a(b[c])] #[d]";
        let found: Vec<&str> = attributes(code).into_iter().map(|range| &code[range]).collect();
        assert_eq!(found, ["#![a(b[c])]", "#[d]"]);
    }
}
