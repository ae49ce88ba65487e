//! Host and port of a `Host` header, an `:authority` or an origin.

use std::net::Ipv6Addr;

use crate::grammar;

/// `uri-host [ ":" port ]` (RFC 9110 §7.2). An authority with userinfo is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    host: &'a [u8],
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` unless the text is exactly a host with at most a port.
    pub(crate) fn parse(text: &'a [u8]) -> Option<Self> {
        let host = if text.first() == Some(&b'[') {
            // The colons of an IPv6 address are inside its brackets, so the port is after them.
            let (host, _) = text.split_at(text.iter().position(|byte| *byte == b']')? + 1);
            address(host)?;
            host
        } else {
            // No colon is in a name, so the port begins where the name ends.
            let end = text.iter().position(|byte| !is_reg_name(*byte)).unwrap_or(text.len());
            text.get(..end).filter(|name| !name.is_empty())?
        };
        let port = match text.get(host.len()..)? {
            [] | [b':'] => None,
            [b':', digits @ ..] => Some(port(digits)?),
            _ => return None,
        };
        Some(Self { host, port })
    }

    /// Not empty, and ASCII. An IPv6 address has its brackets.
    pub(crate) fn host(&self) -> &'a [u8] {
        self.host
    }

    /// `None` if there is no port, or an empty one.
    pub(crate) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether host and port are the same. A missing port is `default_port`.
    pub(crate) fn equals(&self, other: &Authority<'_>, default_port: u16) -> bool {
        let port = |authority: &Authority<'_>| authority.port.unwrap_or(default_port);
        port(self) == port(other) && same_host(self.host, other.host)
    }
}

/// Compares names ignoring case (RFC 3986 §3.2.2), and IPv6 addresses by value.
fn same_host(left: &[u8], right: &[u8]) -> bool {
    match (address(left), address(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.eq_ignore_ascii_case(right),
    }
}

/// The address in brackets; `None` if the host is none.
fn address(host: &[u8]) -> Option<Ipv6Addr> {
    let address = host.strip_prefix(b"[")?.strip_suffix(b"]")?;
    std::str::from_utf8(address).ok()?.parse().ok()
}

/// `port = *DIGIT` (RFC 3986 §3.2.3). `None` also for a number that is not a port.
fn port(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0_u16, |port, digit| match digit {
        b'0'..=b'9' => port.checked_mul(10)?.checked_add(u16::from(digit - b'0')),
        _ => None,
    })
}

/// A character of `reg-name = *( unreserved / pct-encoded / sub-delims )` (RFC 3986 §3.2.2). Neither `@` nor `/` is
/// one.
fn is_reg_name(byte: u8) -> bool {
    /// A lookup takes fewer instructions than the comparisons with all ranges.
    static TABLE: [bool; 256] = grammar::table(b"-._~%!$&'()*+,;=");
    TABLE[usize::from(byte)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_of_a_name_is_unreserved_a_delimiter_or_a_percent_sign() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte);
            assert_eq!(is_reg_name(byte), expected, "{}", byte.escape_ascii());
        }
    }

    #[test]
    fn an_authority_is_a_host_with_at_most_a_port() {
        for right in ["a", "a.example:80", "a.example:", "[::1]", "[::1]:3000", "127.0.0.1:1", "a_b"] {
            assert!(Authority::parse(right.as_bytes()).is_some(), "{right}");
        }
        for wrong in [
            "",
            ":80",
            "a:b",
            "a:+1",
            "a:65536",
            "a:1:2",
            "u@a",
            "u:p@a",
            "a/",
            "a/b",
            "a?b",
            "a#b",
            "a b",
            "a\\b",
            "é",
            "[::1",
            "[]",
            "[::1]x",
            "[::1]:x",
            "::1",
            "[a.example]",
            "[::1%25eth0]",
        ] {
            assert!(Authority::parse(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn authorities_are_equal_in_any_case_and_with_the_default_port_left_out() {
        let parse = |text: &'static str| Authority::parse(text.as_bytes()).unwrap();
        let equals = |left, right, port| parse(left).equals(&parse(right), port);
        assert!(equals("A.Example", "a.example:443", 443));
        assert!(!equals("a.example", "a.example:80", 443));
        assert!(!equals("a.example", "a.example.", 443));
        assert!(!equals("a.example", "a.example.evil.example", 443));
        assert!(equals("[::1]:80", "[0:0::1]", 80));
        assert!(!equals("[::1]", "[::2]", 80));
    }
}
