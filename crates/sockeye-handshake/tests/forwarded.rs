//! The client of a request, from the headers of proxies and from headers that a client has forged.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;
use sockeye_handshake::forwarded::{client_address, forwarded, x_forwarded_for};

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

const XFF: &str = "x-forwarded-for";
const FORWARDED: &str = "forwarded";

/// The lines of one header, the number of trusted proxies, and the client: empty if it is not known.
type Row = (&'static [&'static str], usize, &'static str);

fn check(name: &'static str, rows: &[Row]) {
    for (lines, hops, expected) in rows {
        let headers = headers(&lines.iter().map(|line| (name, *line)).collect::<Vec<_>>());
        let expected = (!expected.is_empty()).then(|| expected.parse::<IpAddr>().unwrap());
        let alone = if name == XFF { x_forwarded_for(&headers, *hops) } else { forwarded(&headers, *hops) };
        assert_eq!(alone, expected, "{name}: {lines:?}, {hops} hops");
        assert_eq!(client_address(&headers, *hops), expected, "{name}: {lines:?}, {hops} hops");
    }
}

#[test]
fn x_forwarded_for_counts_from_the_right() {
    check(
        XFF,
        &[
            (&["192.0.2.1"], 1, "192.0.2.1"),
            (&["192.0.2.1, 192.0.2.2"], 1, "192.0.2.2"),
            (&["192.0.2.1, 192.0.2.2"], 2, "192.0.2.1"),
            (&["192.0.2.1,192.0.2.2\t,  192.0.2.3"], 2, "192.0.2.2"),
            // Several lines are one list.
            (&["192.0.2.1", "192.0.2.2"], 1, "192.0.2.2"),
            (&["192.0.2.1", "192.0.2.2"], 2, "192.0.2.1"),
            (&["192.0.2.1, 192.0.2.2", "192.0.2.3"], 2, "192.0.2.2"),
            // The form that load balancers write.
            (&["192.0.2.1:50000"], 1, "192.0.2.1"),
            (&["2001:db8::7"], 1, "2001:db8::7"),
            (&["[2001:db8::7]:50000"], 1, "2001:db8::7"),
            (&["::ffff:192.0.2.1"], 1, "192.0.2.1"),
            // No proxy is trusted, or there are fewer entries than trusted proxies.
            (&["192.0.2.1"], 0, ""),
            (&["192.0.2.1"], 2, ""),
            (&[], 1, ""),
            (&["192.0.2.1"], usize::MAX, ""),
        ],
    );
}

#[test]
fn x_forwarded_for_is_not_spoofed() {
    check(
        XFF,
        &[
            // The client's own entries are to the left of the proxy's.
            (&["10.0.0.1, 192.0.2.2"], 1, "192.0.2.2"),
            (&["10.0.0.1", "192.0.2.2"], 1, "192.0.2.2"),
            (&["10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.2"], 1, "192.0.2.2"),
            (&["unknown, garbage, 192.0.2.2"], 1, "192.0.2.2"),
            // A quote hides no entries.
            (&["\", 192.0.2.2"], 1, "192.0.2.2"),
            (&["\"10.0.0.1, 192.0.2.2"], 1, "192.0.2.2"),
            (&["\"10.0.0.1\\, 192.0.2.2"], 1, "192.0.2.2"),
            (&[",,,, 192.0.2.2"], 1, "192.0.2.2"),
            (&["\u{e9}, 192.0.2.2"], 1, "192.0.2.2"),
            // An unreadable entry of a trusted proxy is not replaced by the one before it.
            (&["10.0.0.1, unknown"], 1, ""),
            (&["10.0.0.1,"], 1, ""),
            (&["10.0.0.1, , 192.0.2.2"], 2, ""),
            (&["10.0.0.1", ""], 1, ""),
            (&["10.0.0.1, 192.0.2.2 192.0.2.3"], 1, ""),
            (&["10.0.0.1, \"192.0.2.2\""], 1, ""),
        ],
    );
}

#[test]
fn forwarded_counts_from_the_right() {
    check(
        FORWARDED,
        &[
            (&["for=192.0.2.1"], 1, "192.0.2.1"),
            (&["For=192.0.2.1"], 1, "192.0.2.1"),
            (&["for=192.0.2.43, for=198.51.100.17"], 1, "198.51.100.17"),
            (&["for=192.0.2.43, for=198.51.100.17"], 2, "192.0.2.43"),
            (&["for=192.0.2.43", "for=198.51.100.17"], 2, "192.0.2.43"),
            // The examples of RFC 7239.
            (&["for=\"[2001:db8:cafe::17]:4711\""], 1, "2001:db8:cafe::17"),
            (&["for=192.0.2.60;proto=http;by=203.0.113.43"], 1, "192.0.2.60"),
            (&["for=\"192.0.2.43:47011\""], 1, "192.0.2.43"),
            (&["for=\"192.0.2.43:_port\""], 1, "192.0.2.43"),
            (&["for=\"[2001:db8:cafe::17]\""], 1, "2001:db8:cafe::17"),
            (&["proto=https; host=\"a,b;for=10.0.0.1\" ; for=192.0.2.1"], 1, "192.0.2.1"),
            (&["for=\"192.0.2\\.1\""], 1, "192.0.2.1"),
            (&["for=192.0.2.1;ext=\"\\\",\\\\\", for=192.0.2.2"], 2, "192.0.2.1"),
            (&[";for=192.0.2.1;"], 1, "192.0.2.1"),
            // Without the required quotes.
            (&["for=[2001:db8::1]:443"], 1, "2001:db8::1"),
            (&["for=192.0.2.1:443"], 1, "192.0.2.1"),
            // Not an address.
            (&["for=unknown"], 1, ""),
            (&["for=\"unknown\""], 1, ""),
            (&["for=_SEVKISEK"], 1, ""),
            (&["for=\"_gazonk\""], 1, ""),
            (&["proto=https"], 1, ""),
            (&["by=192.0.2.1"], 1, ""),
            (&["for="], 1, ""),
            (&["for"], 1, ""),
            (&["192.0.2.1"], 1, ""),
            (&["for=192.0.2.1"], 0, ""),
            (&["for=192.0.2.1"], 2, ""),
        ],
    );
}

#[test]
fn forwarded_is_not_spoofed() {
    check(
        FORWARDED,
        &[
            (&["for=10.0.0.1, for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=10.0.0.1", "for=192.0.2.2"], 1, "192.0.2.2"),
            // A quoted string that the client opens does not hide what the proxy appends.
            (&["for=\", for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1, for=\"192.0.2.2\""], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1\\, for=\"192.0.2.2\""], 1, "192.0.2.2"),
            (&["for=\"\\\", for=\"192.0.2.2\";proto=https"], 1, "192.0.2.2"),
            (&["\\", "for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1", "for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1", "for=192.0.2.2, for=192.0.2.3"], 2, "192.0.2.2"),
            (&["host=\"x, for=192.0.2.2;host=\"y\""], 1, "192.0.2.2"),
            // The entry of a trusted proxy is not replaced by the one before it.
            (&["for=10.0.0.1, for=unknown"], 1, ""),
            (&["for=10.0.0.1, proto=https"], 1, ""),
            (&["for=10.0.0.1,"], 1, ""),
            (&["for=10.0.0.1, , for=192.0.2.2"], 2, ""),
            (&["for=10.0.0.1;for=192.0.2.2"], 1, ""),
            (&["for=10.0.0.1;FOR=192.0.2.2"], 1, ""),
            (&["for=\"192.0.2.2\"10.0.0.1"], 1, ""),
        ],
    );
}

#[test]
fn forwarded_and_x_forwarded_for_have_to_agree() {
    let both = |xff, fwd| client_address(&headers(&[(XFF, xff), (FORWARDED, fwd)]), 1);
    let client: Option<IpAddr> = Some("192.0.2.2".parse().unwrap());
    assert_eq!(both("192.0.2.2", "for=192.0.2.2"), client);
    assert_eq!(both("10.0.0.1, 192.0.2.2", "for=\"192.0.2.2:443\""), client);
    // The proxy has written one header and the client the other; it does not matter which.
    assert_eq!(both("192.0.2.2", "for=10.0.0.1"), None);
    assert_eq!(both("10.0.0.1", "for=192.0.2.2"), None);
    assert_eq!(both("192.0.2.2", "garbage"), None);
    assert_eq!(both("garbage", "for=192.0.2.2"), None);
    assert_eq!(both("garbage", "garbage"), None);
    assert_eq!(both("", "for=192.0.2.2"), None);
    assert_eq!(client_address(&HeaderMap::new(), 1), None);
}

fn header_value() -> impl Strategy<Value = String> {
    // Mostly characters with a meaning here.
    proptest::collection::vec(
        prop_oneof![
            Just("for=".to_owned()),
            Just("\"".to_owned()),
            Just("\\".to_owned()),
            Just(",".to_owned()),
            Just(";".to_owned()),
            Just("10.0.0.1".to_owned()),
            Just("[::1]".to_owned()),
            "[ -~]{0,3}",
        ],
        0..12,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    /// Whatever a client sends, in one line or several, and whether the proxy continues that line or begins another.
    #[test]
    fn no_forwarding_header_of_a_client_changes_its_address(
        claimed in proptest::collection::vec(header_value(), 0..4),
        same_line in any::<bool>(),
        hops in 1..4_usize,
    ) {
        for (name, seen) in [(XFF, "192.0.2.2"), (FORWARDED, "for=\"192.0.2.2:1\";proto=https"), (FORWARDED, "for=192.0.2.2")] {
            let mut lines = claimed.clone();
            // The first proxy sees the client, and each later one sees the one before it.
            let appended = vec![seen; hops].join(", ");
            match lines.last_mut() {
                Some(last) if same_line => *last = format!("{last}, {appended}"),
                _ => lines.push(appended),
            }
            let headers = headers(&lines.iter().map(|line| (name, line.as_str())).collect::<Vec<_>>());
            prop_assert_eq!(client_address(&headers, hops), Some("192.0.2.2".parse().unwrap()), "{:?}", lines);
        }
    }
}
