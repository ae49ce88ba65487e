//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

struct Visitor(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Visitor {
    async fn enter(addr: SocketAddr, name: &str) -> Self {
        let mut visitor = Self(connect_async(format!("ws://{addr}/ws")).await.unwrap().0);
        visitor.say(name).await;
        visitor
    }

    async fn say(&mut self, line: &str) {
        self.0.send(Message::text(line)).await.unwrap();
    }

    async fn hears(&mut self, line: &str) {
        assert_eq!(self.0.next().await.unwrap().unwrap(), Message::text(line));
    }
}

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, example_exact::app()).into_future());
    addr
}

#[tokio::test]
async fn visitors_hear_each_other() {
    let addr = serve().await;
    let mut ada = Visitor::enter(addr, "Ada").await;
    ada.hears("Ada is here").await;
    let mut grace = Visitor::enter(addr, "Grace").await;
    for visitor in [&mut ada, &mut grace] {
        visitor.hears("Grace is here").await;
    }
    grace.say("hello").await;
    ada.0.send(Message::binary(vec![0; 3])).await.unwrap();
    let mut lines = Vec::new();
    for _ in 0..2 {
        lines.push(ada.0.next().await.unwrap().unwrap().into_text().unwrap().to_string());
    }
    lines.sort();
    assert_eq!(lines, ["Ada shows 3 bytes", "Grace: hello"]);
    grace.0.close(None).await.unwrap();
    ada.hears("Grace has left").await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let addr = serve().await;
    let mut first = Visitor::enter(addr, "Ada").await;
    first.hears("Ada is here").await;
    let mut second = Visitor::enter(addr, "Ada").await;
    let Message::Close(Some(frame)) = second.0.next().await.unwrap().unwrap() else { panic!("a Close") };
    assert_eq!((u16::from(frame.code), frame.reason.as_str()), (1008, "this name is taken"));
}
