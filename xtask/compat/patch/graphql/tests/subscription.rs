//! A subscription of async-graphql-axum, which knows only `axum`, over a socket of Sockeye.

use async_graphql::{EmptyMutation, Object, Schema, Subscription};
use async_graphql_axum::GraphQLSubscription;
use axum::{
    Router,
    extract::ws::{Origins, WebSocketDefaults},
};
use futures_util::{SinkExt, Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest, handshake::client::Request},
};

struct Query;

#[Object]
impl Query {
    async fn river(&self) -> &str {
        "Adams"
    }
}

struct Ladder;

#[Subscription]
impl Ladder {
    async fn fish(&self, count: i32) -> impl Stream<Item = i32> {
        stream::iter(1..=count)
    }
}

#[tokio::test]
async fn a_subscription_yields_its_values_and_completes() {
    let (mut socket, response) = connect_async(request(|app| app).await).await.unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-transport-ws");

    socket.send(text(json!({ "type": "connection_init" }))).await.unwrap();
    assert_eq!(next(&mut socket).await["type"], "connection_ack");
    let query = json!({ "query": "subscription { fish(count: 3) }" });
    socket.send(text(json!({ "type": "subscribe", "id": "1", "payload": query }))).await.unwrap();
    for count in 1..=3 {
        assert_eq!(next(&mut socket).await["payload"]["data"]["fish"], count);
    }
    assert_eq!(next(&mut socket).await["type"], "complete");
}

#[tokio::test]
async fn a_page_of_another_site_is_refused_as_only_sockeye_does() {
    let mut request = request(|app| app).await;
    request.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
    match connect_async(request).await {
        Err(Error::Http(response)) => assert_eq!(response.status(), 403),
        other => panic!("expected 403, got {other:?}"),
    }
}

#[tokio::test]
async fn the_defaults_of_the_router_apply_to_the_sockets_of_a_library() {
    let mut request = request(|app| app.layer(WebSocketDefaults::new().origins(Origins::any()))).await;
    request.headers_mut().insert("origin", "https://elsewhere.example".parse().unwrap());
    connect_async(request).await.unwrap();
}

/// The request for a socket of a new server, whose router `with` completes.
async fn request(with: impl FnOnce(Router) -> Router) -> Request {
    let schema = Schema::new(Query, EmptyMutation, Ladder);
    let app = with(Router::new().route_service("/ws", GraphQLSubscription::new(schema)));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().unwrap());
    request
}

fn text(value: Value) -> Message {
    Message::text(value.to_string())
}

async fn next<S: Stream<Item = Result<Message, Error>> + Unpin>(socket: &mut S) -> Value {
    let message = socket.next().await.unwrap().unwrap();
    serde_json::from_str(message.to_text().unwrap()).unwrap()
}
