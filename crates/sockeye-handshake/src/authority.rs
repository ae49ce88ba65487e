//! Host and port of a `Host` header, an `:authority` or an origin.

use std::net::Ipv6Addr;

/// `uri-host [ ":" port ]` (RFC 9110 §7.2). An authority with userinfo is refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Authority<'a> {
    /// Not empty. An IPv6 address has its brackets.
    host: &'a str,
    /// `None` if there is no port, or an empty one.
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// `None` unless the text is exactly a host with at most a port.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        // The colons of an IPv6 address are inside its brackets, so the port is after them.
        let bracket = if text.starts_with('[') { text.find(']')? + 1 } else { 0 };
        let end = text[bracket..].find(':').map_or(text.len(), |colon| bracket + colon);
        let (host, port) = (&text[..end], &text[end..]);
        let valid = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => !host.is_empty() && host.bytes().all(is_reg_name),
        };
        let port = match port.strip_prefix(':') {
            None | Some("") => None,
            // `parse` accepts a plus sign, but the grammar does not: `port = *DIGIT` (RFC 3986 §3.2.3).
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            Some(_) => return None,
        };
        valid.then_some(Self { host, port })
    }

    /// Whether host and port are the same. A missing port is `default_port`.
    pub(crate) fn equals(&self, other: &Authority<'_>, default_port: u16) -> bool {
        let port = |authority: &Authority<'_>| authority.port.unwrap_or(default_port);
        port(self) == port(other) && same_host(self.host, other.host)
    }
}

/// Compares names ignoring case (RFC 3986 §3.2.2), and IPv6 addresses by value.
fn same_host(left: &str, right: &str) -> bool {
    match (address(left), address(right)) {
        (Some(left), Some(right)) => left == right,
        _ => left.eq_ignore_ascii_case(right),
    }
}

fn address(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

/// A character of `reg-name = *( unreserved / pct-encoded / sub-delims )` (RFC 3986 §3.2.2). Neither `@` nor `/` is
/// one.
fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_a_host_with_at_most_a_port() {
        for right in ["a", "a.example:80", "a.example:", "[::1]", "[::1]:3000", "127.0.0.1:1", "a_b"] {
            assert!(Authority::parse(right).is_some(), "{right}");
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
            assert!(Authority::parse(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn authorities_are_equal_in_any_case_and_with_the_default_port_left_out() {
        let equals =
            |left, right, port| Authority::parse(left).unwrap().equals(&Authority::parse(right).unwrap(), port);
        assert!(equals("A.Example", "a.example:443", 443));
        assert!(!equals("a.example", "a.example:80", 443));
        assert!(!equals("a.example", "a.example.", 443));
        assert!(!equals("a.example", "a.example.evil.example", 443));
        assert!(equals("[::1]:80", "[0:0::1]", 80));
        assert!(!equals("[::1]", "[::2]", 80));
    }
}
