//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sockeye::Shutdown;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

async fn serve(shutdown: &Shutdown) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, example_chat::app(shutdown)).into_future());
    addr
}

struct Visitor(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Visitor {
    async fn connect(addr: SocketAddr) -> Self {
        Self(connect_async(format!("ws://{addr}/ws")).await.unwrap().0)
    }

    /// Connects and joins, and returns the welcome too.
    async fn join(addr: SocketAddr, name: &str) -> (Self, Value) {
        let mut visitor = Self::connect(addr).await;
        visitor.tell(json!({ "type": "join", "name": name, "token": name })).await;
        let welcome = visitor.hear("welcome").await;
        (visitor, welcome)
    }

    async fn tell(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn say(&mut self, text: &str) {
        self.tell(json!({ "type": "say", "text": text })).await;
    }

    /// The next message, which must have this type.
    async fn hear(&mut self, kind: &str) -> Value {
        let message = self.0.next().await.expect("a message").unwrap();
        let heard: Value = serde_json::from_str(message.to_text().unwrap()).expect("JSON");
        assert_eq!(heard["type"], kind, "{heard}");
        heard
    }

    async fn hear_line(&mut self, name: &str, text: &str) -> u64 {
        let line = self.hear("line").await;
        assert_eq!((&line["name"], &line["text"]), (&json!(name), &json!(text)));
        line["id"].as_u64().unwrap()
    }

    async fn is_refused(&mut self, code: &str, why: &str) {
        let error = self.hear("error").await;
        assert_eq!(error["code"], code);
        assert!(error["message"].as_str().unwrap().contains(why), "{error}");
    }

    /// The code of the Close, which must come next, with the end of the stream after it.
    async fn is_closed(&mut self) -> u16 {
        let Message::Close(Some(close)) = self.0.next().await.unwrap().unwrap() else { panic!("no Close") };
        assert!(self.0.next().await.is_none());
        close.code.into()
    }
}

#[tokio::test]
async fn a_line_that_a_visitor_says_reaches_everybody_in_the_same_order() {
    let addr = serve(&Shutdown::new()).await;
    let (mut ada, welcome) = Visitor::join(addr, "  Ada ").await;
    assert_eq!(
        (&welcome["name"], &welcome["people"], &welcome["history"]),
        (&json!("Ada"), &json!(["Ada"]), &json!([]))
    );
    let (mut grace, welcome) = Visitor::join(addr, "Grace").await;
    assert_eq!(welcome["people"], json!(["Ada", "Grace"]));
    assert_eq!(ada.hear("joined").await["name"], "Grace");

    ada.say("  hello\n").await;
    assert_eq!(ada.hear_line("Ada", "hello").await, 1);
    grace.hear_line("Ada", "hello").await;
    grace.say("<b>hi</b> 🐟").await;
    ada.hear_line("Grace", "<b>hi</b> 🐟").await;
    assert_eq!(grace.hear_line("Grace", "<b>hi</b> 🐟").await, 2);

    // With a Close and without one.
    grace.0.close(None).await.unwrap();
    assert_eq!(ada.hear("left").await["name"], "Grace");
    let (barbara, _) = Visitor::join(addr, "Barbara").await;
    ada.hear("joined").await;
    drop(barbara);
    assert_eq!(ada.hear("left").await["name"], "Barbara");
}

#[tokio::test]
async fn a_new_visitor_gets_the_last_50_lines_and_one_who_reconnects_only_the_new_ones() {
    let addr = serve(&Shutdown::new()).await;
    let (mut ada, _) = Visitor::join(addr, "Ada").await;
    for i in 1..=60 {
        ada.say(&format!("line {i}")).await;
        ada.hear_line("Ada", &format!("line {i}")).await;
    }
    let (_grace, welcome) = Visitor::join(addr, "Grace").await;
    let history = welcome["history"].as_array().unwrap();
    let ids: Vec<_> = history.iter().map(|line| line["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (11..=60).collect::<Vec<_>>());
    assert_eq!(history[0]["text"], "line 11");

    let epoch = &welcome["epoch"];
    for (epoch, after, expected) in
        [(epoch, 58, vec![59, 60]), (epoch, 60, vec![]), (&json!("another run"), 58, (11..=60).collect())]
    {
        let mut back = Visitor::connect(addr).await;
        back.tell(json!({ "type": "join", "name": "Back", "token": "b", "epoch": epoch, "after": after })).await;
        let welcome = back.hear("welcome").await;
        let history = welcome["history"].as_array().unwrap();
        assert_eq!(history.iter().map(|line| line["id"].as_u64().unwrap()).collect::<Vec<u64>>(), expected);
    }
}

#[tokio::test]
async fn a_name_is_refused_and_another_one_accepted() {
    let addr = serve(&Shutdown::new()).await;
    let (_ada, _) = Visitor::join(addr, "Ada").await;
    let mut other = Visitor::connect(addr).await;
    for (name, code, why) in [
        ("aDA", "name_taken", "somebody named Ada already"),
        ("  ", "name_empty", "enter a name"),
        ("A name of many words and letters", "name_long", "at most 24 characters, this one has 32"),
        ("A\u{200B}da", "name_invisible", "U+200B"),
    ] {
        other.tell(json!({ "type": "join", "name": name, "token": "other" })).await;
        other.is_refused(code, why).await;
    }
    other.tell(json!({ "type": "join", "name": "Eda" })).await;
    assert_eq!(other.hear("welcome").await["people"], json!(["Ada", "Eda"]));
}

#[tokio::test]
async fn a_page_that_reconnects_takes_its_own_place() {
    let addr = serve(&Shutdown::new()).await;
    let (mut ada, _) = Visitor::join(addr, "Ada").await;
    let (mut grace, _) = Visitor::join(addr, "Grace").await;
    ada.hear("joined").await;
    // The same name and token: the earlier connection is closed, and the others hear of neither a leave nor a join.
    let (mut again, welcome) = Visitor::join(addr, "Ada").await;
    assert_eq!(welcome["people"], json!(["Grace", "Ada"]));
    assert_eq!(ada.is_closed().await, 4000);
    again.say("still me").await;
    grace.hear_line("Ada", "still me").await;
    again.hear_line("Ada", "still me").await;
    // After it has left, the name is free.
    again.0.close(None).await.unwrap();
    assert_eq!(grace.hear("left").await["name"], "Ada");
    let mut new = Visitor::connect(addr).await;
    new.tell(json!({ "type": "join", "name": "Ada", "token": "another" })).await;
    new.hear("welcome").await;
}

#[tokio::test]
async fn a_line_that_cannot_be_said_is_refused_and_the_connection_stays() {
    let addr = serve(&Shutdown::new()).await;
    let mut ada = Visitor::connect(addr).await;
    ada.say("too early").await;
    ada.is_refused("not_in", "join first").await;
    ada.tell(json!({ "type": "join", "name": "Ada" })).await;
    ada.hear("welcome").await;
    ada.tell(json!({ "type": "join", "name": "Eda" })).await;
    ada.is_refused("already_in", "joined already").await;
    ada.say(" \n ").await;
    ada.is_refused("line_empty", "nothing").await;
    ada.say(&"é".repeat(1001)).await;
    ada.is_refused("line_long", "at most 1000 characters, this one has 1001").await;
    for malformed in ["", "hello", "[]", "{}", r#"{"type":"shout"}"#, r#"{"type":"say"}"#, r#"{"type":"say","text":1}"#]
    {
        ada.0.send(Message::text(malformed)).await.unwrap();
        ada.is_refused("malformed", "not understood").await;
    }
    ada.0.send(Message::binary(vec![0; 10])).await.unwrap();
    ada.is_refused("malformed", "expected text").await;
    ada.say(&"🐟".repeat(1000)).await;
    assert_eq!(ada.hear_line("Ada", &"🐟".repeat(1000)).await, 1);
    // Longer than any message of a page.
    ada.0.send(Message::text("x".repeat(17 << 10))).await.unwrap();
    assert_eq!(ada.is_closed().await, 1009);
}

#[tokio::test]
async fn a_shutdown_closes_everybody_with_1001() {
    let shutdown = Shutdown::new();
    let addr = serve(&shutdown).await;
    let mut visitors = Vec::new();
    for name in ["Ada", "Grace", "Barbara"] {
        let (mut visitor, _) = Visitor::join(addr, name).await;
        visitors.push(tokio::spawn(async move {
            // The joins of later visitors come first.
            let mut code = None;
            while let Some(message) = visitor.0.next().await {
                if let Message::Close(Some(close)) = message.unwrap() {
                    code = Some(u16::from(close.code));
                }
            }
            code
        }));
    }
    let drained = shutdown.drain(Duration::from_secs(60)).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (3, 0, 0));
    for visitor in visitors {
        assert_eq!(visitor.await.unwrap(), Some(1001));
    }
}

#[tokio::test]
async fn the_page_needs_no_other_file() {
    let addr = serve(&Shutdown::new()).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    let (head, page) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    for id in ["name", "join", "text", "send", "log", "people", "status"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for foreign in
        ["http://", "https://", "src=", "@import", "innerHTML", "insertAdjacentHTML", "document.write", "eval("]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // The limits of the page are those of the server. The server counts characters, and HTML counts UTF-16 units.
    assert!(page.contains("id=\"name\" maxlength=\"24\"") && page.contains("id=\"text\" maxlength=\"1000\""));
}

/// The program itself: the line with its address, and its end by Ctrl-C.
#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_the_program() {
    use std::{
        io::{BufRead, BufReader},
        process::{Command, Stdio},
    };
    let mut program = Command::new(env!("CARGO_BIN_EXE_example-chat"))
        .args(["--addr", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addr: SocketAddr = line.trim().strip_prefix("listening on http://").expect(&line).parse().unwrap();
    let (mut ada, _) = Visitor::join(addr, "Ada").await;
    // A client that never finishes its request does not stop Ada from getting the Close.
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();

    assert!(Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap().success());
    assert_eq!(ada.is_closed().await, 1001);
    drop((ada, idle));
    let status = tokio::task::spawn_blocking(move || program.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
