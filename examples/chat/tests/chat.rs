//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use serde_json::{Value, json};
use sockeye::{Message, Shutdown, close_code, test::Client};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

fn app() -> Router {
    example_chat::app(&Shutdown::new())
}

struct Visitor(Client);

impl Visitor {
    async fn connect(app: &Router) -> Self {
        Self::connect_to(app, "lobby").await
    }

    async fn connect_to(app: &Router, room: &str) -> Self {
        Self(Client::to(app.clone()).path(format!("/ws/{room}")).connect().await.unwrap())
    }

    /// Connects and joins, and returns the welcome too.
    async fn join(app: &Router, name: &str) -> (Self, Value) {
        Self::join_in(app, "lobby", name).await
    }

    async fn join_in(app: &Router, room: &str, name: &str) -> (Self, Value) {
        let mut visitor = Self::connect_to(app, room).await;
        visitor.tell(json!({ "type": "join", "name": name, "token": name })).await;
        let welcome = visitor.hear("welcome").await;
        (visitor, welcome)
    }

    async fn tell(&mut self, message: Value) {
        self.0.send_json(message).await;
    }

    async fn say(&mut self, text: &str) {
        self.tell(json!({ "type": "say", "text": text })).await;
    }

    /// The next message, which must have this type.
    async fn hear(&mut self, kind: &str) -> Value {
        let heard: Value = self.0.recv_json().await;
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
}

#[tokio::test]
async fn a_line_that_a_visitor_says_reaches_everybody_in_the_same_order() {
    let app = app();
    let (mut ada, welcome) = Visitor::join(&app, "  Ada ").await;
    assert_eq!(
        (&welcome["name"], &welcome["people"], &welcome["history"]),
        (&json!("Ada"), &json!(["Ada"]), &json!([]))
    );
    let (mut grace, welcome) = Visitor::join(&app, "Grace").await;
    assert_eq!(welcome["people"], json!(["Ada", "Grace"]));
    assert_eq!(ada.hear("joined").await["name"], "Grace");

    ada.say("  hello\n").await;
    assert_eq!(ada.hear_line("Ada", "hello").await, 1);
    grace.hear_line("Ada", "hello").await;
    grace.say("<b>hi</b> 🐟").await;
    ada.hear_line("Grace", "<b>hi</b> 🐟").await;
    assert_eq!(grace.hear_line("Grace", "<b>hi</b> 🐟").await, 2);

    // With a Close and without one.
    grace.0.close(close_code::NORMAL, "").await;
    assert_eq!(ada.hear("left").await["name"], "Grace");
    let (barbara, _) = Visitor::join(&app, "Barbara").await;
    ada.hear("joined").await;
    barbara.0.vanish();
    assert_eq!(ada.hear("left").await["name"], "Barbara");
}

#[tokio::test]
async fn a_new_visitor_gets_the_last_50_lines_and_one_who_reconnects_only_the_new_ones() {
    let app = app();
    let (mut ada, _) = Visitor::join(&app, "Ada").await;
    for i in 1..=60 {
        ada.say(&format!("line {i}")).await;
        ada.hear_line("Ada", &format!("line {i}")).await;
    }
    let (_grace, welcome) = Visitor::join(&app, "Grace").await;
    let history = welcome["history"].as_array().unwrap();
    let ids: Vec<_> = history.iter().map(|line| line["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (11..=60).collect::<Vec<_>>());
    assert_eq!(history[0]["text"], "line 11");

    let epoch = &welcome["epoch"];
    assert_ne!(*epoch, json!(""));
    for (epoch, after, expected) in
        [(epoch, 58, vec![59, 60]), (epoch, 60, vec![]), (&json!("another run"), 58, (11..=60).collect())]
    {
        let mut back = Visitor::connect(&app).await;
        back.tell(json!({ "type": "join", "name": "Back", "token": "b", "epoch": epoch, "after": after })).await;
        let welcome = back.hear("welcome").await;
        let history = welcome["history"].as_array().unwrap();
        assert_eq!(history.iter().map(|line| line["id"].as_u64().unwrap()).collect::<Vec<u64>>(), expected);
    }
}

#[tokio::test]
async fn a_room_hears_nothing_of_another_one() {
    let app = app();
    let (mut ada, _) = Visitor::join_in(&app, "harbour", "Ada").await;
    ada.say("in the harbour").await;
    ada.hear_line("Ada", "in the harbour").await;
    // The same name: it is another room. Its lines are counted from 1, and nobody else is there.
    let (mut other, welcome) = Visitor::join_in(&app, "light%20house%2Fnorth", "Ada").await;
    assert_eq!((&welcome["people"], &welcome["history"]), (&json!(["Ada"]), &json!([])));
    other.say("in the lighthouse").await;
    assert_eq!(other.hear_line("Ada", "in the lighthouse").await, 1);
    other.0.close(close_code::NORMAL, "").await;
    other.0.finish().await;

    ada.say("still here").await;
    assert_eq!(ada.hear_line("Ada", "still here").await, 2);
}

/// The room has so many visitors that a task of the hub delivers the lines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_is_lost_or_doubled_between_the_history_and_the_first_live_one() {
    const LINES: u64 = 200;
    let app = app();
    let mut crowd = Vec::new();
    for i in 0..20 {
        crowd.push(Visitor::join(&app, &format!("Visitor {i}")).await);
    }
    let mut speaker = crowd.pop().unwrap().0;
    let speaking = tokio::spawn(async move {
        for i in 1..=LINES {
            speaker.say(&i.to_string()).await;
        }
        speaker
    });
    let mut listening = Vec::new();
    for i in 0..20 {
        let (mut late, welcome) = Visitor::join(&app, &format!("Late {i}")).await;
        listening.push(tokio::spawn(async move {
            let history = welcome["history"].as_array().unwrap();
            let mut ids: Vec<_> = history.iter().map(|line| line["id"].as_u64().unwrap()).collect();
            while ids.last() != Some(&LINES) {
                let heard: Value = late.0.recv_json().await;
                if heard["type"] == "line" {
                    ids.push(heard["id"].as_u64().unwrap());
                }
            }
            let first = ids[0];
            assert_eq!(ids, (first..=LINES).collect::<Vec<_>>());
            late
        }));
    }
    // Kept until the end: the end of one would be heard by the others.
    let _speaker = speaking.await.unwrap();
    for late in &mut listening {
        late.await.unwrap();
    }
}

#[tokio::test]
async fn the_lines_of_empty_rooms_are_forgotten_when_rooms_are_many() {
    let app = app();
    let (mut ada, _) = Visitor::join_in(&app, "occupied", "Ada").await;
    ada.say("kept").await;
    ada.hear_line("Ada", "kept").await;
    for i in 0..100 {
        let (mut visitor, _) = Visitor::join_in(&app, &format!("room {i}").replace(' ', "%20"), "Grace").await;
        visitor.say("forgotten").await;
        visitor.hear_line("Grace", "forgotten").await;
        visitor.0.close(close_code::NORMAL, "").await;
        visitor.0.finish().await;
    }
    let (_, welcome) = Visitor::join_in(&app, "occupied", "Grace").await;
    assert_eq!(welcome["history"][0]["text"], "kept");
    let (_, welcome) = Visitor::join_in(&app, "room%200", "Grace").await;
    assert_eq!(welcome["history"], json!([]));
    let (_, welcome) = Visitor::join_in(&app, "room%2099", "Grace").await;
    assert_eq!(welcome["history"][0]["text"], "forgotten");
}

#[tokio::test]
async fn a_room_that_cannot_be_is_refused() {
    let app = app();
    let mut ada = Visitor::connect_to(&app, &"x".repeat(201)).await;
    ada.tell(json!({ "type": "join", "name": "Ada" })).await;
    ada.is_refused("room", "201 bytes").await;
}

#[tokio::test]
async fn a_name_is_refused_and_another_one_accepted() {
    let app = app();
    let (_ada, _) = Visitor::join(&app, "Ada").await;
    let mut other = Visitor::connect(&app).await;
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
    let app = app();
    let (mut ada, _) = Visitor::join(&app, "Ada").await;
    let (mut grace, _) = Visitor::join(&app, "Grace").await;
    ada.hear("joined").await;
    // The same name and token: the earlier connection is closed, and the others hear of neither a leave nor a join.
    let (mut again, welcome) = Visitor::join(&app, "Ada").await;
    assert_eq!(welcome["people"], json!(["Ada", "Grace"]));
    ada.0.assert_close(4000).await;
    again.say("still me").await;
    grace.hear_line("Ada", "still me").await;
    again.hear_line("Ada", "still me").await;
    // After it has left, the name is free.
    again.0.close(close_code::NORMAL, "").await;
    assert_eq!(grace.hear("left").await["name"], "Ada");
    let mut new = Visitor::connect(&app).await;
    new.tell(json!({ "type": "join", "name": "Ada", "token": "another" })).await;
    new.hear("welcome").await;
}

#[tokio::test]
async fn a_line_that_cannot_be_said_is_refused_and_the_connection_stays() {
    let app = app();
    let mut ada = Visitor::connect(&app).await;
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
        ada.0.send_text(malformed).await;
        ada.is_refused("malformed", "not understood").await;
    }
    ada.0.send_binary([0; 10]).await;
    ada.is_refused("malformed", "expected a text message").await;
    ada.say(&"🐟".repeat(1000)).await;
    assert_eq!(ada.hear_line("Ada", &"🐟".repeat(1000)).await, 1);
    // Longer than any message of a page.
    ada.0.send_text("x".repeat(17 << 10)).await;
    ada.0.assert_close(close_code::SIZE).await;
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_closes_everybody_with_1001() {
    let shutdown = Shutdown::new();
    let app = example_chat::app(&shutdown);
    let mut visitors = Vec::new();
    for name in ["Ada", "Grace", "Barbara"] {
        visitors.push(Visitor::join(&app, name).await.0);
    }
    let drained = shutdown.drain(Duration::from_secs(60)).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (3, 0, 0));
    for mut visitor in visitors {
        // The joins of later visitors come first.
        while let Some(Message::Text(_)) = visitor.0.recv().await {}
        visitor.0.assert_close(close_code::AWAY).await;
    }
}

#[tokio::test]
async fn the_page_needs_no_other_file() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app()).into_future());
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

    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::{connect_async, tungstenite::Message};

    let mut program = Command::new(env!("CARGO_BIN_EXE_example-chat"))
        .args(["--addr", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(program.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let addr: SocketAddr = line.trim().strip_prefix("listening on http://").expect(&line).parse().unwrap();
    let (mut ada, _) = connect_async(format!("ws://{addr}/ws/lobby")).await.unwrap();
    ada.send(Message::text(r#"{"type":"join","name":"Ada"}"#)).await.unwrap();
    ada.next().await.unwrap().unwrap();
    // A client that never finishes its request does not stop Ada from getting the Close.
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();

    assert!(Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap().success());
    let Message::Close(Some(close)) = ada.next().await.unwrap().unwrap() else { panic!("no Close") };
    assert_eq!(u16::from(close.code), 1001);
    assert!(ada.next().await.is_none());
    drop((ada, idle));
    let status = tokio::task::spawn_blocking(move || program.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
