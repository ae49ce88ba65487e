//! A server function of Leptos, whose crate knows only `axum`, over a socket of Sockeye.

use axum::{Router, routing::any};
use futures::{SinkExt, Stream, StreamExt};
use server_fn::{BoxedStream, ServerFnError, Websocket, axum::handle_server_fn, codec::JsonEncoding};
use server_fn_macro_default::server;
use std::pin::Pin;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};

#[server(
    protocol = Websocket<JsonEncoding, JsonEncoding>,
    client = server_fn::client::reqwest::ReqwestClient,
    prefix = "",
    endpoint = "shout"
)]
async fn shout(input: BoxedStream<String, ServerFnError>) -> Result<BoxedStream<String, ServerFnError>, ServerFnError> {
    let input = Pin::<Box<dyn Stream<Item = _> + Send>>::from(input);
    Ok(input.map(|text| text.map(|text| text.to_uppercase())).into())
}

#[tokio::test]
async fn a_server_function_answers_each_item_of_its_stream() {
    let (mut socket, _) = connect_async(request().await).await.unwrap();
    for (sent, expected) in [("salmon", "SALMON"), ("trout", "TROUT")] {
        socket.send(item(sent)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), item(expected));
    }
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_as_only_sockeye_does() {
    let mut request = request().await;
    request.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
    match connect_async(request).await {
        // The library turns the rejection into an error and a status of its own.
        Err(Error::Http(response)) => {
            let body = String::from_utf8(response.into_body().unwrap()).unwrap();
            assert!(body.contains("https://elsewhere.example"), "{body}");
        }
        other => panic!("expected a refusal, got {other:?}"),
    }
}

/// The request for a socket of a new server.
async fn request() -> Request {
    let app = Router::new().route("/shout", any(handle_server_fn));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("ws://{address}/shout").into_client_request().unwrap()
}

/// An item as server_fn writes it: 0 for `Ok`, and then JSON.
fn item(text: &str) -> Message {
    Message::binary([&[0], format!("{text:?}").as_bytes()].concat())
}
