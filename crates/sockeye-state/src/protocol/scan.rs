//! What is looked at before JSON is read: how deeply it is nested.

use super::code::{Code, Refusal};

/// How many objects and arrays may lie in each other. The readers of JSON in many languages stop at 128, and an answer puts what
/// was said one level deeper.
pub(crate) const MAX_DEPTH: usize = 100;

/// Checks that the text may be one JSON object which is nested in at most [`MAX_DEPTH`] levels, and has at most `max_size` bytes. What
/// else is no JSON is found by the reader, which does not look into the parts that are handed on as they came: those it would accept
/// at any depth. Of a text that is too long, no more than `max_size` bytes are looked at.
pub(crate) fn scan(text: &str, max_size: usize) -> Result<(), Refusal> {
    let first = text.trim_ascii_start().as_bytes().first();
    if first != Some(&b'{') {
        let why = "the message is not a JSON object; expected an object with the field t";
        return Err(Refusal::frame(Code::NotJson, why));
    }
    if depth_exceeds(&text.as_bytes()[..text.len().min(max_size)], MAX_DEPTH) {
        let why = format!("the message is nested in more than {MAX_DEPTH} levels; expected at most {MAX_DEPTH}");
        return Err(Refusal::frame(Code::TooDeep, why));
    }
    if text.len() > max_size {
        let why = format!("the message has {} bytes; expected at most {max_size}", text.len());
        return Err(Refusal::frame(Code::TooLarge, why));
    }
    Ok(())
}

/// Whether more than `most` objects and arrays lie in each other.
pub(crate) fn depth_exceeds(json: &[u8], most: usize) -> bool {
    let (mut depth, mut in_string) = (0_usize, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                bytes.next();
            }
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > most {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(text: &str) -> Result<(), Refusal> {
        super::scan(text, 10_000)
    }

    #[test]
    fn brackets_in_strings_are_no_nesting() {
        let text = format!(r#"{{"a":"{}\"{}"}}"#, "[".repeat(500), "{".repeat(500));
        assert_eq!(scan(&text), Ok(()));
    }

    #[test]
    fn the_limit_of_nesting_is_exact() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert_eq!(scan(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(scan(&nested(MAX_DEPTH + 1)).map_err(|refusal| refusal.code), Err(Code::TooDeep));
    }

    #[test]
    fn siblings_are_no_nesting() {
        assert!(!depth_exceeds(format!("[{}1]", "[1],".repeat(500)).as_bytes(), 2));
    }

    #[test]
    fn a_long_text_is_too_deep_if_its_beginning_is_and_else_too_large() {
        let code = |text: String| super::scan(&text, 1000).map_err(|refusal| refusal.code);
        assert_eq!(code("{\"a\":".repeat(100_000)), Err(Code::TooDeep));
        assert_eq!(code(format!("{{\"a\":\"{}\"}}", "ä".repeat(100_000))), Err(Code::TooLarge));
    }

    #[test]
    fn only_an_object_is_a_frame() {
        for text in ["", " ", "null", "[1]", "\"t\"", "hello"] {
            assert_eq!(scan(text).map_err(|refusal| refusal.code), Err(Code::NotJson), "{text:?}");
        }
        assert_eq!(scan(" \r\n\t{}"), Ok(()));
    }
}
