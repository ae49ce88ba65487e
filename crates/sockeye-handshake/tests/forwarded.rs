//! Who sent a request, by what proxies have written, and by what a client would like to have been written.

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

/// The lines of one header, how many proxies are trusted, and who the client is: empty if that is not known.
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
            // As load balancers write it.
            (&["192.0.2.1:50000"], 1, "192.0.2.1"),
            (&["2001:db8::7"], 1, "2001:db8::7"),
            (&["[2001:db8::7]:50000"], 1, "2001:db8::7"),
            (&["::ffff:192.0.2.1"], 1, "192.0.2.1"),
            // Nobody is trusted, or fewer have written than are trusted.
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
            // What a client sends stands to the left of what the proxy saw.
            (&["10.0.0.1, 192.0.2.2"], 1, "192.0.2.2"),
            (&["10.0.0.1", "192.0.2.2"], 1, "192.0.2.2"),
            (&["10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.2"], 1, "192.0.2.2"),
            (&["unknown, garbage, 192.0.2.2"], 1, "192.0.2.2"),
            // A quote swallows nothing.
            (&["\", 192.0.2.2"], 1, "192.0.2.2"),
            (&["\"10.0.0.1, 192.0.2.2"], 1, "192.0.2.2"),
            (&["\"10.0.0.1\\, 192.0.2.2"], 1, "192.0.2.2"),
            (&[",,,, 192.0.2.2"], 1, "192.0.2.2"),
            (&["\u{e9}, 192.0.2.2"], 1, "192.0.2.2"),
            // An entry of a trusted proxy that cannot be read does not give way to the one before it.
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
            // Without the quotes that it should have.
            (&["for=[2001:db8::1]:443"], 1, "2001:db8::1"),
            (&["for=192.0.2.1:443"], 1, "192.0.2.1"),
            // No address.
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
            // A string that the client opens does not swallow what the proxy appends.
            (&["for=\", for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1, for=\"192.0.2.2\""], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1\\, for=\"192.0.2.2\""], 1, "192.0.2.2"),
            (&["for=\"\\\", for=\"192.0.2.2\";proto=https"], 1, "192.0.2.2"),
            (&["\\", "for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1", "for=192.0.2.2"], 1, "192.0.2.2"),
            (&["for=\"10.0.0.1", "for=192.0.2.2, for=192.0.2.3"], 2, "192.0.2.2"),
            (&["host=\"x, for=192.0.2.2;host=\"y\""], 1, "192.0.2.2"),
            // What a trusted proxy has written does not give way to what stands before it.
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
fn two_headers_have_to_agree() {
    let both = |xff, fwd| client_address(&headers(&[(XFF, xff), (FORWARDED, fwd)]), 1);
    let client: Option<IpAddr> = Some("192.0.2.2".parse().unwrap());
    assert_eq!(both("192.0.2.2", "for=192.0.2.2"), client);
    assert_eq!(both("10.0.0.1, 192.0.2.2", "for=\"192.0.2.2:443\""), client);
    // The proxy wrote one, the client the other, and it does not matter which.
    assert_eq!(both("192.0.2.2", "for=10.0.0.1"), None);
    assert_eq!(both("10.0.0.1", "for=192.0.2.2"), None);
    assert_eq!(both("192.0.2.2", "garbage"), None);
    assert_eq!(both("garbage", "for=192.0.2.2"), None);
    assert_eq!(both("garbage", "garbage"), None);
    assert_eq!(both("", "for=192.0.2.2"), None);
    assert_eq!(client_address(&HeaderMap::new(), 1), None);
}

fn header_value() -> impl Strategy<Value = String> {
    // Mostly of what has a meaning here.
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
    /// Whatever a client sends, in one line or in several, and whether the proxy goes on in that line or begins another.
    #[test]
    fn nothing_that_a_client_sends_changes_who_it_is(
        claimed in proptest::collection::vec(header_value(), 0..4),
        same_line in any::<bool>(),
        hops in 1..4_usize,
    ) {
        for (name, seen) in [(XFF, "192.0.2.2"), (FORWARDED, "for=\"192.0.2.2:1\";proto=https"), (FORWARDED, "for=192.0.2.2")] {
            let mut lines = claimed.clone();
            // The first proxy saw the client, each one after it saw the one before.
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
