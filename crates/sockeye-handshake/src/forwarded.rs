//! The client's address as the proxies in front of the server report it: `X-Forwarded-For` and `Forwarded` ([RFC 7239]).
//!
//! Both are lists to which each proxy appends the address of the peer that connected to it. So the nearest proxy has written
//! the last entry, and anybody may have written the entries before those of your own proxies. Therefore these functions need
//! the number of proxies and count from the right. They never read entries further left:
//!
//! ```text
//! X-Forwarded-For: 203.0.113.7,   198.51.100.2,   10.0.0.5
//!                  └ claimed      └ seen by the   └ seen by the nearest proxy:
//!                    by client      first proxy:    the first proxy
//!                                   the client
//! ```
//!
//! With two proxies of your own, the client is the second entry from the right. This is true only if every request has come
//! through both of them.
//!
//! [RFC 7239]: https://www.rfc-editor.org/rfc/rfc7239

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use crate::grammar;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The address of the peer that connected to the `trusted_hops`-th proxy from the right, from the header that is present.
///
/// Most proxies write one of the two headers, and pass on what a client claims in the other. So if both are present, they have
/// to agree. If they do not, one of them is forged, and nobody can tell which.
///
/// Returns `None` if that address is not known: neither header is present, the two contradict each other, the list has fewer
/// entries than `trusted_hops`, the entry is not an address (such as `unknown`), or `trusted_hops` is 0. An IPv4 address that is
/// written as IPv6 (`::ffff:192.0.2.1`) is returned as IPv4.
///
/// ```
/// use http::HeaderMap;
/// use sockeye_handshake::forwarded::client_address;
///
/// let mut headers = HeaderMap::new();
/// headers.insert("x-forwarded-for", "203.0.113.7, 198.51.100.2".parse()?);
/// assert_eq!(client_address(&headers, 1), Some("198.51.100.2".parse()?));
///
/// headers.insert("forwarded", "for=203.0.113.7".parse()?);
/// assert_eq!(client_address(&headers, 1), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn client_address(headers: &HeaderMap, trusted_hops: usize) -> Option<IpAddr> {
    match (headers.contains_key(X_FORWARDED_FOR), headers.contains_key(FORWARDED)) {
        (true, false) => x_forwarded_for(headers, trusted_hops),
        (false, _) => forwarded(headers, trusted_hops),
        (true, true) => {
            x_forwarded_for(headers, trusted_hops).filter(|address| forwarded(headers, trusted_hops) == Some(*address))
        }
    }
}

/// The address of the peer that connected to the `trusted_hops`-th proxy from the right, from `X-Forwarded-For` alone.
///
/// An entry is an address, with or without a port. An IPv6 address may be in brackets, and has to be if there is a port.
/// Returns `None` if there is no `X-Forwarded-For` header, the list has fewer than `trusted_hops` entries, `trusted_hops` is 0,
/// or the entry is not an address.
#[must_use]
pub fn x_forwarded_for(headers: &HeaderMap, trusted_hops: usize) -> Option<IpAddr> {
    // Quotes have no meaning here. Otherwise a client could open a quoted string that hides what a proxy appends.
    let entries = lines(headers, X_FORWARDED_FOR).flat_map(|line| line.rsplit(|byte| *byte == b','));
    address(grammar::trim_ows(nth_from_the_right(entries, trusted_hops)?))
}

/// The address of the peer that connected to the `trusted_hops`-th proxy from the right, from `Forwarded` ([RFC 7239 §4])
/// alone.
///
/// The address is the entry's `for` parameter. Returns `None` if there is no `Forwarded` header, the list has fewer than
/// `trusted_hops` entries, `trusted_hops` is 0, or the entry does not have exactly one `for` parameter with an address.
/// `unknown` and obfuscated identifiers ([§6.3]) are not addresses.
///
/// [RFC 7239 §4]: https://www.rfc-editor.org/rfc/rfc7239#section-4
/// [§6.3]: https://www.rfc-editor.org/rfc/rfc7239#section-6.3
#[must_use]
pub fn forwarded(headers: &HeaderMap, trusted_hops: usize) -> Option<IpAddr> {
    let entries = lines(headers, FORWARDED).flat_map(rsplit_unquoted);
    let entry = nth_from_the_right(entries, trusted_hops)?;
    let mut nodes = grammar::split(entry, b';')
        .filter_map(|pair| grammar::split_once(pair, b'='))
        // RFC 7239 §4: "The parameter names are case-insensitive."
        .filter_map(|(name, value)| name.eq_ignore_ascii_case(b"for").then_some(value));
    let node = nodes.next()?;
    // RFC 7239 §4: "Each parameter MUST NOT occur more than once per field-value."
    if nodes.next().is_some() {
        return None;
    }
    match node {
        [b'"', ..] => address(&grammar::unquote(node)?),
        // RFC 7239 §6 requires quotes around a value with a colon, but some proxies do not write them.
        _ => address(node),
    }
}

/// The lines of a list, the last one first.
fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).iter().rev().map(HeaderValue::as_bytes)
}

/// An empty entry counts. If it were skipped, the entry further left would be read, and anybody may have written that one.
fn nth_from_the_right<'a>(mut entries: impl Iterator<Item = &'a [u8]>, n: usize) -> Option<&'a [u8]> {
    entries.nth(n.checked_sub(1)?)
}

/// The entries of one line, from the right. A comma inside a quoted string does not separate entries.
///
/// Quotes are paired from the right as well. The trusted entries then come first, and their quotes are balanced. What a client
/// has sent before them may open a string and not close it.
fn rsplit_unquoted(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let bytes = rest?;
        let mut quoted = false;
        let comma = (0..bytes.len()).rev().find(|&at| {
            match bytes[at] {
                b'"' if !quoted => quoted = true,
                b'"' => quoted = is_escaped(bytes, at),
                b',' if !quoted => return true,
                _ => {}
            }
            false
        });
        let entry = match comma {
            Some(at) => {
                rest = Some(&bytes[..at]);
                &bytes[at + 1..]
            }
            None => {
                rest = None;
                bytes
            }
        };
        Some(grammar::trim_ows(entry))
    })
}

/// Whether the byte at `at`, in a quoted string, is the second byte of a quoted pair (RFC 9110 §5.6.4).
fn is_escaped(bytes: &[u8], at: usize) -> bool {
    bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count() % 2 == 1
}

/// `node = nodename [ ":" node-port ]` (RFC 7239 §6) with an address as its name, or a bare IPv6 address, as in
/// `X-Forwarded-For`.
fn address(node: &[u8]) -> Option<IpAddr> {
    let node = std::str::from_utf8(node).ok()?;
    let (name, port) = match node.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (IpAddr::V6(name.parse::<Ipv6Addr>().ok()?), port)
        }
        // More than one colon and no brackets: an IPv6 address without a port.
        None => match node.split_once(':').filter(|(_, rest)| !rest.contains(':')) {
            Some((name, _)) => (IpAddr::V4(name.parse::<Ipv4Addr>().ok()?), &node[name.len()..]),
            None => (node.parse().ok()?, ""),
        },
    };
    let valid = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
    valid.then(|| name.to_canonical())
}

/// `node-port = port / obfport`, with `port = 1*5DIGIT` and `obfport = "_" 1*(ALPHA / DIGIT / "." / "_" / "-")` (RFC
/// 7239 §6).
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        }
        None => (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forwarded_address_is_an_ip_address_with_at_most_a_port() {
        for (right, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("192.0.2.1:_a.b-c", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:DB8:0:0::0:1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("[::ffff:192.0.2.1]:1", "192.0.2.1"),
            ("::1", "::1"),
        ] {
            assert_eq!(address(right.as_bytes()), Some(expected.parse().unwrap()), "{right}");
        }
        for wrong in [
            "",
            "unknown",
            "_hidden",
            "-",
            "localhost",
            "192.0.2",
            "192.0.2.1.",
            "192.0.2.256",
            "0192.0.2.1",
            "192.0.2.1 ",
            "192.0.2.1:",
            "192.0.2.1:x",
            "192.0.2.1:123456",
            "192.0.2.1:+1",
            "192.0.2.1:_",
            "192.0.2.1:1:2",
            "[192.0.2.1]",
            "[2001:db8::1",
            "2001:db8::1]",
            "[2001:db8::1]443",
            "[2001:db8::1]:",
            "[fe80::1%eth0]",
            "[]",
            "2001:db8::1::",
            "192.0.2.1, 192.0.2.2",
            "\"192.0.2.1\"",
            "192.0.2.1\u{e9}",
        ] {
            assert_eq!(address(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(address(b"192.0.2.1\xff"), None);
    }

    #[test]
    fn quotes_in_a_forwarded_header_are_paired_from_the_right() {
        let parts = |line: &'static str| -> Vec<&str> {
            rsplit_unquoted(line.as_bytes()).map(|part| std::str::from_utf8(part).unwrap()).collect()
        };
        assert_eq!(parts(""), [""]);
        assert_eq!(parts("a, b ,\tc"), ["c", "b", "a"]);
        assert_eq!(parts(",,"), ["", "", ""]);
        assert_eq!(parts(r#"x="1,2", y="3""#), [r#"y="3""#, r#"x="1,2""#]);
        assert_eq!(parts(r#"x="a\",b", y"#), ["y", r#"x="a\",b""#]);
        assert_eq!(parts(r#"x="a\\", y"#), ["y", r#"x="a\\""#]);
        // A quote that a client has not closed affects only what is further left.
        assert_eq!(parts(r#"x=", y="3""#), [r#"y="3""#, r#"x=""#]);
        assert_eq!(parts(r#"a, x="b, y"#), ["y", r#"a, x="b"#]);
        assert_eq!(parts(r#"x="\, y=3"#), ["y=3", r#"x="\"#]);
    }
}
