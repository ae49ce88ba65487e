//! The memory of a request's lists, counted by the allocator: at most twice the bytes that the client has sent, plus a
//! constant.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use allocation_counter::measure;
use http::Request;
use sockeye_handshake::{Head, OpeningHandshake, Reject};

/// What the longest lists of the shortest entries take beyond twice their bytes: the values that are returned.
const CONSTANT: u64 = 4 * 1024;

fn request(name: &str, value: &str) -> Request<()> {
    Request::get("/")
        .header("host", "a")
        .header("upgrade", "websocket")
        .header("connection", "upgrade")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-websocket-version", "13")
        .header(name, value)
        .body(())
        .unwrap()
}

/// The result, and the peak of allocated bytes.
fn read(name: &str, value: &str) -> (Result<OpeningHandshake, Reject>, u64) {
    let request = request(name, value);
    let mut read = None;
    let cost = measure(|| read = Some(OpeningHandshake::read(&Head::from(&request)))).bytes_max;
    (read.unwrap(), cost)
}

#[test]
fn a_list_header_costs_at_most_twice_its_bytes_of_memory() {
    let (extensions, protocol) = ("sec-websocket-extensions", "sec-websocket-protocol");
    let names = |count: usize, length: usize| (0..count).map(|n| format!("{n:x<length$}")).collect::<Vec<_>>();
    let offer = |params: usize, length: usize| format!("x;{}", names(params, length).join(";"));
    let quoted = |length: usize| format!("x;a=\"{}\"", "\\b".repeat(length));
    for (name, value) in [
        (extensions, names(32, 1).join(",")),
        (extensions, names(32, 10_000).join(",")),
        (extensions, vec![offer(16, 1); 32].join(",")),
        (extensions, vec![offer(16, 600); 32].join(",")),
        (extensions, offer(16, 20_000)),
        (extensions, quoted(100_000)),
        (protocol, names(64, 1).join(",")),
        (protocol, names(64, 6_000).join(",")),
        (protocol, "x".repeat(400_000)),
    ] {
        let (read, cost) = read(name, &value);
        assert!(read.is_ok(), "{name}: {}", &value[..100.min(value.len())]);
        assert!(cost <= 2 * value.len() as u64 + CONSTANT, "{cost} bytes for {} of {name}", value.len());
    }
}

#[test]
fn an_unterminated_quoted_value_costs_at_most_twice_its_bytes_of_memory() {
    let value = format!("x;a=\"{}", ";".repeat(400_000));
    let (read, cost) = read("sec-websocket-extensions", &value);
    assert_eq!(read.unwrap_err().status(), 400);
    assert!(cost <= 2 * value.len() as u64 + CONSTANT, "{cost}");
}

#[test]
fn a_list_header_that_is_refused_costs_next_to_no_memory() {
    let protocols: String = (0..65_000).map(|n| format!("{n:x},")).collect();
    for (name, value) in [
        ("sec-websocket-extensions", format!("x{}", ";a".repeat(200_000))),
        ("sec-websocket-extensions", format!("x{}", ",a".repeat(200_000))),
        ("sec-websocket-protocol", protocols),
        ("sec-websocket-protocol", "\"".repeat(400_000)),
    ] {
        let (read, cost) = read(name, &value);
        assert!(read.is_err());
        assert!(cost <= CONSTANT, "{cost} bytes for {} of {name}", value.len());
    }
}
