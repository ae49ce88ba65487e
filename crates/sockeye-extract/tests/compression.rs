//! permessage-deflate through the extractor: off by default, and negotiated with each client.

#![cfg(all(feature = "axum", feature = "deflate"))]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::net::SocketAddr;

use axum::{
    Router,
    response::Response,
    routing::{any, get},
};
use common::{connect, echo, h2, serve, upgraded};
use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use http_body_util::Empty;
use hyper::body::Bytes;
use sockeye_extract::{Compression, Config, Memory, Message, PreparedMessage, WebSocketDefaults, WebSocketUpgrade};
use sockeye_testkit::{Frame, Peer, UpgradeRequest, opcode};
use tokio::net::TcpStream;

const OFFER: &str = "permessage-deflate; client_max_window_bits";

async fn handler(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

/// The answer of the server, and the connection.
async fn open(address: SocketAddr, path: &str, offer: &str) -> (Option<String>, Peer<TcpStream>) {
    let request = UpgradeRequest::new(path).header("Sec-WebSocket-Extensions", offer);
    let (head, peer) = Peer::open(TcpStream::connect(address).await.unwrap(), request).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    let answer = head.lines().find_map(|line| line.strip_prefix("sec-websocket-extensions: "));
    (answer.map(str::to_owned), peer)
}

fn deflate(compress: &mut Compress, text: &str) -> Vec<u8> {
    let mut output = Vec::with_capacity(text.len() + 100);
    compress.compress_vec(text.as_bytes(), &mut output, FlushCompress::Sync).unwrap();
    output.truncate(output.len() - 4);
    output
}

fn inflate(decompress: &mut Decompress, payload: &[u8]) -> String {
    let mut output = Vec::with_capacity(100_000);
    let payload = [payload, &[0, 0, 0xFF, 0xFF]].concat();
    decompress.decompress_vec(&payload, &mut output, FlushDecompress::Sync).unwrap();
    String::from_utf8(output).unwrap()
}

fn text(seed: usize) -> String {
    (0..100).map(|i| format!("{{\"salmon\":{},\"tide\":\"{}\"}},", i * seed, i % 7)).collect()
}

#[tokio::test]
async fn compression_is_off_until_a_handler_or_a_default_sets_it() {
    let compressed = |ws: WebSocketUpgrade| async { ws.compression(Compression::new()).on_upgrade(echo) };
    let plain = |ws: WebSocketUpgrade| async { ws.compression(None).on_upgrade(echo) };
    let app = Router::new().route("/", get(handler)).route("/compressed", get(compressed)).route("/plain", get(plain));
    let low = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

    let address = serve(app.clone()).await;
    for (path, expected) in [("/", None), ("/compressed", Some(low)), ("/plain", None)] {
        let (answer, mut peer) = open(address, path, OFFER).await;
        assert_eq!(answer.as_deref(), expected, "{path}");
        // It echoes with any negotiated parameters.
        peer.send(Frame::text(text(1))).await;
        let frame = peer.expect_frame().await;
        assert_eq!(frame.rsv[0], expected.is_some());
    }

    let defaults = WebSocketDefaults::new().compression(Compression::new().memory(Memory::Balanced));
    let address = serve(app.layer(defaults)).await;
    let balanced = "permessage-deflate; client_max_window_bits=12";
    for (path, expected) in [("/", Some(balanced)), ("/compressed", Some(low)), ("/plain", None)] {
        assert_eq!(open(address, path, OFFER).await.0.as_deref(), expected, "{path}");
    }
    // An offer that the server does not support is not an error.
    assert_eq!(open(address, "/", "permessage-deflate; server_max_window_bits=7").await.0, None);
    assert_eq!(open(address, "/", "permessage-bzip2").await.0, None);
}

#[tokio::test]
async fn messages_are_compressed_in_both_directions() {
    for (memory, takeover) in [(Memory::Low, false), (Memory::Best, true)] {
        let compression = Compression::new().memory(memory).threshold(0);
        let app = Router::new().route("/", get(handler));
        let address = serve(app.layer(WebSocketDefaults::new().compression(compression))).await;
        let (_, mut peer) = open(address, "/", OFFER).await;
        let (mut compress, mut decompress) =
            (Compress::new(flate2::Compression::new(6), false), Decompress::new(false));
        let mut lengths = Vec::new();
        for round in 0..10 {
            let text = text(round % 2 + 1);
            peer.send(Frame::text(deflate(&mut compress, &text)).rsv(1)).await;
            let frame = peer.expect_frame().await;
            assert!(frame.rsv[0] && frame.opcode == opcode::TEXT);
            assert_eq!(inflate(&mut decompress, &frame.payload), text);
            lengths.push(frame.payload.len());
            if !takeover {
                compress.reset();
                decompress.reset(false);
            }
        }
        // Repeated texts cost next to nothing with context takeover.
        assert_eq!(lengths[9] * 5 < lengths[0], takeover, "{lengths:?}");
    }
}

#[tokio::test]
async fn messages_are_compressed_over_http_2() {
    let compressed = |ws: WebSocketUpgrade| async { ws.compression(Compression::new()).on_upgrade(echo) };
    let address = serve(Router::new().route("/", any(compressed))).await;
    let mut sender = h2(address).await;
    let request = connect(address, "/", "websocket").header("sec-websocket-extensions", OFFER);
    let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
    assert!(response.headers()["sec-websocket-extensions"].to_str().unwrap().starts_with("permessage-deflate;"));
    let mut peer = upgraded(response).await;
    let mut compress = Compress::new(flate2::Compression::new(6), false);
    peer.send(Frame::text(deflate(&mut compress, &text(3))).rsv(1)).await;
    assert_eq!(inflate(&mut Decompress::new(false), &peer.expect_frame().await.payload), text(3));
}

#[tokio::test]
async fn secret_messages_are_not_compressed_and_prepared_ones_are() {
    let handler = |ws: WebSocketUpgrade| async {
        ws.compression(Compression::new()).on_upgrade(|mut socket| async move {
            let message = PreparedMessage::text(text(4));
            socket.send_secret(Message::text(text(4))).await.unwrap();
            socket.send_prepared(message.clone()).await.unwrap();
            socket.send_prepared(message.secret()).await.unwrap();
            let sender = socket.sender();
            sender.send_secret(Message::text(text(4))).await.unwrap();
            sender.send(Message::text(text(4))).await.unwrap();
            while let Some(Ok(_)) = socket.recv().await {}
        })
    };
    let address = serve(Router::new().route("/", get(handler))).await;
    let (_, mut peer) = open(address, "/", OFFER).await;
    for compressed in [false, true, false, false, true] {
        let frame = peer.expect_frame().await;
        assert_eq!(frame.rsv[0], compressed);
        let received = match compressed {
            true => inflate(&mut Decompress::new(false), &frame.payload),
            false => String::from_utf8(frame.payload.to_vec()).unwrap(),
        };
        assert_eq!(received, text(4));
    }
}

#[tokio::test]
async fn max_message_size_limits_the_inflated_message() {
    let config = Config::new().max_message_size(10_000);
    let compressed = |ws: WebSocketUpgrade| async { ws.compression(Compression::new()).on_upgrade(echo) };
    let app = Router::new().route("/", get(compressed));
    let address = serve(app.layer(WebSocketDefaults::new().config(config))).await;
    let deflated = |length| deflate(&mut Compress::new(flate2::Compression::new(6), false), &"a".repeat(length));

    let (_, mut peer) = open(address, "/", OFFER).await;
    peer.send(Frame::text(deflated(10_000)).rsv(1)).await;
    assert_eq!(inflate(&mut Decompress::new(false), &peer.expect_frame().await.payload), "a".repeat(10_000));
    peer.send(Frame::text(deflated(10_001)).rsv(1)).await;
    peer.expect_close(1009).await;

    for (payload, code) in [(vec![0xFF; 10], 1007), ([0, 0, 0, 0xFF, 0xFF].repeat(220_000), 1008)] {
        let (_, mut peer) = open(address, "/", OFFER).await;
        peer.send(Frame::text(payload).rsv(1)).await;
        peer.expect_close(code).await;
    }
}

#[tokio::test]
async fn a_peer_that_exceeds_max_ratio_is_told_so_in_its_close() {
    let compressed = |ws: WebSocketUpgrade| async { ws.compression(Compression::new()).on_upgrade(echo) };
    let address = serve(Router::new().route("/", get(compressed))).await;
    let (_, mut peer) = open(address, "/", OFFER).await;
    let bomb = deflate(&mut Compress::new(flate2::Compression::new(6), false), &"a".repeat(2 << 20));
    peer.send(Frame::text(bomb).rsv(1)).await;
    let reason = peer.expect_close(1008).await;
    assert!(reason.contains("`max_ratio`"), "{reason}");
}
