//! permessage-deflate: offered, accepted, declined, and answered wrongly.

#![cfg(feature = "deflate")]
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{header, pipes, read_head, switching};
use sockeye_client::{ClientRequest, Compression, ConnectError, Message, Opened};
use sockeye_testkit::{PipeEnd, take_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Connects with an offer to a server that answers with this line. Returns the offer too.
async fn offered(answer: &str) -> (Result<Opened, ConnectError>, PipeEnd, String) {
    let (client, mut dialed) = pipes();
    let client = client.build();
    let server = async {
        let mut stream = dialed.recv().await.unwrap().stream;
        let head = read_head(&mut stream).await;
        stream.write_all(switching(&head, answer).as_bytes()).await.unwrap();
        (stream, header(&head, "sec-websocket-extensions").unwrap().to_owned())
    };
    let request = ClientRequest::new("ws://server.example/").compression(Compression::new());
    let (opened, (stream, offer)) = tokio::join!(client.open(request), server);
    (opened, stream, offer)
}

/// Whether the first message that the server gets is compressed.
async fn sends_compressed(opened: Opened, mut stream: PipeEnd) -> bool {
    let mut socket = opened.into_websocket();
    socket.send(Message::text("hello ".repeat(1000))).await.unwrap();
    socket.flushed().await.unwrap();
    let mut bytes = Vec::new();
    loop {
        if let Some((frame, _)) = take_frame(&bytes) {
            // RFC 7692 §6: the bit RSV1 marks a compressed message.
            assert_eq!(frame.rsv[0], frame.payload.len() < 1000);
            return frame.rsv[0];
        }
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0);
    }
}

#[tokio::test]
async fn an_accepted_offer_compresses() {
    let (opened, stream, offer) = offered("Sec-WebSocket-Extensions: permessage-deflate\r\n").await;
    assert!(offer.starts_with("permessage-deflate"), "{offer}");
    assert!(sends_compressed(opened.unwrap(), stream).await);
}

#[tokio::test]
async fn a_declined_offer_does_not() {
    let (opened, stream, _) = offered("").await;
    assert!(!sends_compressed(opened.unwrap(), stream).await);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_offer_opens_nothing() {
    for answer in [
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; what",
        "permessage-deflate, permessage-deflate",
    ] {
        let (opened, ..) = offered(&format!("Sec-WebSocket-Extensions: {answer}\r\n")).await;
        let error = opened.unwrap_err();
        assert!(error.is_server() && error.is_final() && error.response().is_some(), "{error:?}");
        assert!(error.to_string().contains("permessage-deflate"), "{error}");
    }
}
