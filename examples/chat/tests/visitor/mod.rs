//! A visitor of the chat, who speaks the protocol by hand.

use axum::Router;
use serde_json::{Value, json};
use sockeye::{
    Shutdown,
    state::{Local, protocol::SUBPROTOCOL},
    test::{Client, Refused},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(crate) struct Visitor {
    client: Client,
    /// How many messages the visitor has said.
    said: u32,
    /// What came while an answer was waited for.
    early: Vec<Value>,
}

pub(crate) async fn app() -> Router {
    app_with(&Local::new()).await
}

/// One server of several with the same broker.
pub(crate) async fn app_with(broker: &Local) -> Router {
    example_chat::app(&Shutdown::new(), broker.clone()).await.unwrap()
}

/// Connects with these cookies.
pub(crate) async fn connect(app: &Router, cookies: &str) -> Result<Client, Refused> {
    Client::to(app.clone()).path("/ws").protocols([SUBPROTOCOL]).header("cookie", cookies).connect().await
}

/// What a browser gets: the head of the response, and the body.
pub(crate) async fn get(app: &Router, path: &str, cookies: &str) -> (String, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let server = tokio::spawn(axum::serve(listener, app.clone()).into_future());
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookies}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    server.abort();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

impl Visitor {
    /// With this name, and what follows it in the cookies.
    pub(crate) async fn enter(app: &Router, name: &str) -> Self {
        let client = connect(app, &format!("name={name}")).await.unwrap();
        assert_eq!(client.protocol(), Some(SUBPROTOCOL));
        Self { client, said: 0, early: Vec::new() }
    }

    pub(crate) async fn join(app: &Router, name: &str, room: &str) -> Self {
        let mut visitor = Self::enter(app, name).await;
        visitor.tell(json!({ "t": "join", "rooms": { room: null } })).await;
        assert_eq!(visitor.hear("in").await["caught"], "fresh");
        visitor
    }

    pub(crate) async fn tell(&mut self, frame: Value) {
        self.client.send_json(frame).await;
    }

    /// Says something, and returns its position.
    pub(crate) async fn say(&mut self, room: &str, d: Value) -> Value {
        self.said += 1;
        let id = format!("test-{}", self.said);
        self.tell(json!({ "t": "say", "room": room, "id": id, "d": d })).await;
        loop {
            let frame: Value = self.client.recv_json().await;
            if frame["t"] == "ok" {
                assert_eq!(frame["id"], id);
                return frame["at"].clone();
            }
            self.early.push(frame);
        }
    }

    /// The next frame.
    pub(crate) async fn next(&mut self) -> Value {
        if self.early.is_empty() { self.client.recv_json().await } else { self.early.remove(0) }
    }

    /// The next frame, which must be of this type.
    pub(crate) async fn hear(&mut self, t: &str) -> Value {
        let frame = self.next().await;
        assert_eq!(frame["t"], t, "{frame}");
        frame
    }

    /// The next message of a room.
    pub(crate) async fn line(&mut self) -> Value {
        self.hear("m").await
    }

    pub(crate) async fn is_closed(&mut self, code: u16) {
        self.client.assert_close(code).await;
    }

    pub(crate) async fn leave(mut self) {
        self.client.close(1000, "").await;
        self.client.finish().await;
    }

    /// Without a word.
    pub(crate) fn vanish(self) {
        self.client.vanish();
    }
}
