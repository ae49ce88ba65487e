//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod visitor;

use std::{net::SocketAddr, process::Command, time::Duration};

use axum::http::StatusCode;
use serde_json::{Value, json};
use sockeye::{Shutdown, close_code, state::Local};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use visitor::{Visitor, app, app_with, connect, get};

#[tokio::test]
async fn what_a_visitor_says_reaches_everybody_with_the_name_and_the_time() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    let mut grace = Visitor::join(&app, "Gr%C3%A2ce", "chat:1").await;

    let first = ada.say("chat:1", json!({ "text": "hello", "ref": "a1", "name": "Grâce", "time": 1 })).await;
    let second = grace.say("chat:1", json!("<b>hi</b> 🐟")).await;
    for visitor in [&mut ada, &mut grace] {
        let line = visitor.line().await;
        assert_eq!(
            (&line["d"]["name"], &line["d"]["text"], &line["d"]["ref"]),
            (&json!("Ada"), &json!("hello"), &json!("a1"))
        );
        assert!(line["d"]["time"].as_u64().unwrap() > 1_700_000_000_000, "{line}");
        assert_eq!(line["at"], first);
        let line = visitor.line().await;
        assert_eq!((&line["d"]["name"], &line["d"]["text"]), (&json!("Grâce"), &json!("<b>hi</b> 🐟")));
        assert_eq!(line["at"], second);
    }
}

#[tokio::test]
async fn a_visitor_who_comes_back_gets_what_was_missed() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    let mut grace = Visitor::join(&app, "Grace", "chat:1").await;
    ada.say("chat:1", json!("seen")).await;
    let seen = grace.line().await["at"].clone();
    grace.vanish();
    let missed = [ada.say("chat:1", json!("one")).await, ada.say("chat:1", json!("two")).await];

    let mut grace = Visitor::enter(&app, "Grace").await;
    grace.tell(json!({ "t": "join", "rooms": { "chat:1": seen } })).await;
    assert_eq!(grace.hear("in").await["caught"], "whole");
    for (text, at) in ["one", "two"].into_iter().zip(&missed) {
        let line = grace.line().await;
        assert_eq!((&line["d"]["text"], &line["at"]), (&json!(text), at));
    }
    // The memory of another run of the server.
    let mut barbara = Visitor::enter(&app, "Barbara").await;
    barbara.tell(json!({ "t": "join", "rooms": { "chat:1": "another.7" } })).await;
    assert_eq!(barbara.hear("in").await["caught"], "gap");
}

#[tokio::test]
async fn servers_with_one_broker_have_the_same_lines_and_positions() {
    let broker = Local::new();
    let [one, two] = [app_with(&broker).await, app_with(&broker).await];
    let mut ada = Visitor::join(&one, "Ada", "chat:1").await;
    let mut grace = Visitor::join(&two, "Grace", "chat:1").await;
    let hello = ada.say("chat:1", json!("hello")).await;
    let line = grace.line().await;
    assert_eq!((&line["d"]["name"], &line["d"]["text"], &line["at"]), (&json!("Ada"), &json!("hello"), &hello));
    let missed = grace.say("chat:1", json!("over here")).await;
    assert_eq!([ada.line().await["at"].clone(), ada.line().await["at"].clone()], [hello.clone(), missed.clone()]);

    // A page that comes back to another server goes on where it was.
    ada.vanish();
    let mut ada = Visitor::enter(&two, "Ada").await;
    ada.tell(json!({ "t": "join", "rooms": { "chat:1": hello } })).await;
    assert_eq!(ada.hear("in").await["caught"], "whole");
    assert_eq!(ada.line().await["at"], missed);
    // And whoever comes for the first time loads the lines of both.
    let lines: Vec<Value> = serde_json::from_str(&get(&one, "/lines/1", "").await.1).unwrap();
    assert_eq!(lines.iter().map(|line| &line["at"]).collect::<Vec<_>>(), [&hello, &missed]);
}

#[tokio::test]
async fn who_is_on_another_server_with_the_same_broker_is_seen() {
    let broker = Local::new();
    let [one, two] = [app_with(&broker).await, app_with(&broker).await];
    let _ada = Visitor::join(&one, "Ada", "chat:1").await;
    let mut grace = Visitor::join(&two, "Grace", "chat:1").await;
    grace.tell(json!({ "t": "who", "room": "chat:1" })).await;
    let who = grace.hear("who").await;
    let mut names: Vec<_> =
        who["all"].as_array().unwrap().iter().map(|person| person["key"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["Ada", "Grace"]);
    // Typing is in no history.
    let mut barbara = Visitor::join(&one, "Barbara", "chat:1").await;
    assert_eq!(grace.hear("who").await["joined"]["key"], "Barbara");
    barbara
        .tell(json!({ "t": "say", "room": "chat:1", "d": { "typing": true }, "volatile": true, "others": true }))
        .await;
    assert_eq!(grace.line().await["d"]["name"], "Barbara");
}

#[tokio::test]
async fn whoever_comes_first_loads_the_last_200_lines() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    let lines = |body: &str| serde_json::from_str::<Vec<Value>>(body).unwrap();
    assert_eq!(lines(&get(&app, "/lines/1", "").await.1), Vec::<Value>::new());
    ada.tell(json!({ "t": "say", "room": "chat:1", "d": { "typing": true }, "volatile": true })).await;
    let mut last = Value::Null;
    for i in 1..=205 {
        last = ada.say("chat:1", json!(format!("line {i}"))).await;
    }
    let kept = lines(&get(&app, "/lines/1", "").await.1);
    assert_eq!(kept.len(), 200);
    assert_eq!((&kept[0]["d"]["text"], &kept[199]["d"]["text"]), (&json!("line 6"), &json!("line 205")));
    assert_eq!((&kept[199]["at"], &kept[199]["d"]["name"]), (&last, &json!("Ada")));
    assert_eq!(lines(&get(&app, "/lines/2", "").await.1), Vec::<Value>::new());
}

#[tokio::test]
async fn a_room_hears_nothing_of_another_one() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    let mut grace = Visitor::join(&app, "Grace", "chat:2").await;
    ada.say("chat:1", json!("in the first")).await;
    grace.say("chat:2", json!("in the second")).await;
    assert_eq!(grace.line().await["d"]["text"], "in the second");
    assert_eq!(ada.line().await["d"]["text"], "in the first");
}

#[tokio::test]
async fn who_is_there_is_seen() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    ada.tell(json!({ "t": "who", "room": "chat:1" })).await;
    assert_eq!(ada.hear("who").await["all"][0]["key"], "Ada");
    let grace = Visitor::join(&app, "Grace", "chat:1").await;
    assert_eq!(ada.hear("who").await["joined"]["key"], "Grace");
    grace.vanish();
    assert_eq!(ada.hear("who").await["left"], "Grace");
}

#[tokio::test]
async fn who_types_is_seen_and_not_kept() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    let mut grace = Visitor::join(&app, "Grace", "chat:1").await;
    let typing = json!({ "t": "say", "room": "chat:1", "d": { "typing": true }, "volatile": true, "others": true });
    grace.tell(typing).await;
    let seen = ada.line().await;
    assert_eq!((&seen["d"]["typing"], &seen["d"]["name"], seen.get("at")), (&json!(true), &json!("Grace"), None));
}

#[tokio::test]
async fn rooms_without_a_number_and_lines_without_a_text_are_refused() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada", "chat:1").await;
    for room in ["lobby", "chat:", "chat:one", "chat:-1", "chat:01"] {
        ada.tell(json!({ "t": "join", "rooms": { room: null } })).await;
        let refusal = ada.hear("no").await;
        assert_eq!((&refusal["room"], &refusal["code"]), (&json!(room), &json!("denied")));
    }
    for (d, why) in [
        (json!(" \n "), "nothing in this line"),
        (json!({ "text": "" }), "nothing in this line"),
        (json!({ "text": 1 }), "no text"),
        (json!(17), "expected a text"),
        (json!(null), "expected a text"),
        (json!([]), "expected a text"),
    ] {
        ada.tell(json!({ "t": "say", "room": "chat:1", "id": "a-1", "d": d })).await;
        let refusal = ada.hear("no").await;
        assert_eq!((&refusal["id"], &refusal["code"]), (&json!("a-1"), &json!("denied")), "{refusal}");
        assert!(refusal["why"].as_str().unwrap().contains(why), "{refusal}");
    }
    ada.say("chat:1", json!("still here")).await;
}

#[tokio::test]
async fn whoever_has_no_name_or_a_taken_one_is_refused_before_the_upgrade() {
    let app = app().await;
    let ada = Visitor::enter(&app, "Ada").await;
    for (cookies, status, why) in [
        ("", StatusCode::UNAUTHORIZED, "enter a name"),
        ("name=%20", StatusCode::UNAUTHORIZED, "enter a name"),
        ("names=Eda", StatusCode::UNAUTHORIZED, "enter a name"),
        (
            "name=A%20name%20of%20many%20words%20and%20letters",
            StatusCode::BAD_REQUEST,
            "at most 24 characters, this one has 32",
        ),
        ("name=A%E2%80%8Bda", StatusCode::BAD_REQUEST, "U+200B"),
        ("name=aDA", StatusCode::CONFLICT, "somebody named Ada already"),
        ("visit=another; name=Ada", StatusCode::CONFLICT, "somebody named Ada already"),
    ] {
        let refused = connect(&app, cookies).await.unwrap_err();
        assert_eq!(refused.status, status, "{cookies}");
        assert!(refused.to_string().contains(why), "{refused}");
        // A page cannot see the answer above, and asks beforehand.
        let (head, body) = get(&app, "/name", cookies).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {} ", status.as_u16())) && body.contains(why), "{head}\n{body}");
    }
    let (head, _) = get(&app, "/name", "name=Eda").await;
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    // After Ada has left, the name is free.
    ada.leave().await;
    Visitor::enter(&app, "aDA").await;
}

#[tokio::test]
async fn a_page_that_comes_back_has_its_own_name() {
    let app = app().await;
    let mut ada = Visitor::join(&app, "Ada; visit=secret", "chat:1").await;
    let mut grace = Visitor::join(&app, "Grace", "chat:1").await;
    grace.tell(json!({ "t": "who", "room": "chat:1" })).await;
    assert_eq!(grace.hear("who").await["all"].as_array().unwrap().len(), 2);
    // The server does not know yet that the first connection is dead.
    let mut again = Visitor::join(&app, "Ada; visit=secret", "chat:1").await;
    again.say("chat:1", json!("still me")).await;
    assert_eq!(ada.line().await["d"]["name"], "Ada");
    // Nobody has come, and nobody has left.
    assert_eq!(grace.next().await["t"], "m");
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_when_to_come_back_and_closes_everybody_with_1001() {
    let shutdown = Shutdown::new();
    let app = example_chat::app(&shutdown, Local::new()).await.unwrap();
    let mut visitors = Vec::new();
    for name in ["Ada", "Grace", "Barbara"] {
        visitors.push(Visitor::join(&app, name, "chat:1").await);
    }
    let drained = shutdown.drain(Duration::from_secs(60)).await;
    assert_eq!((drained.closed, drained.lost, drained.aborted), (3, 0, 0));
    for mut visitor in visitors {
        let later = visitor.hear("later").await;
        assert!(later["ms"][0].as_u64().unwrap() < later["ms"][1].as_u64().unwrap(), "{later}");
        visitor.is_closed(close_code::AWAY).await;
    }
}

#[tokio::test]
async fn the_page_needs_only_what_this_server_has() {
    let app = app().await;
    let (head, page) = get(&app, "/", "").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(head.contains("content-security-policy: default-src 'none'"), "{head}");
    for id in ["name", "join", "text", "send", "people", "status"] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
    for foreign in
        ["http://", "https://", "src=", "@import", "innerHTML", "insertAdjacentHTML", "document.write", "eval("]
    {
        assert!(!page.contains(foreign), "{foreign}");
    }
    // The limit of the page is that of the server, and what the page says of its lines is so.
    assert!(page.contains("id=\"name\" maxlength=\"24\"") && page.contains("last 200 lines"));
    let (head, module) = get(&app, "/sockeye-rooms.js", "").await;
    assert!(head.contains("content-type: text/javascript"), "{head}");
    assert!(module.contains("sockeye.rooms.v1") && !module.contains("import "), "{module}");
}

#[test]
fn a_broker_that_cannot_be_had_ends_the_program_and_no_error_shows_the_password() {
    // Nothing listens on port 1. The last one is no URL.
    for broker in ["redis://ada:secret@127.0.0.1:1", "reddis://ada:secret@127.0.0.1:1", "ada:secret@127.0.0.1"] {
        let program = Command::new(env!("CARGO_BIN_EXE_example-chat"))
            .args(["--addr", "127.0.0.1:0", "--broker", broker])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&program.stderr);
        assert!(!program.status.success() && program.stdout.is_empty(), "{program:?}");
        assert!(error.contains("--broker") && !error.contains("secret"), "{error}");
    }
}

/// The program itself: the line with its address, and its end by Ctrl-C.
#[cfg(unix)]
#[tokio::test]
async fn ctrl_c_ends_the_program() {
    use std::{
        io::{BufRead, BufReader},
        process::Stdio,
    };

    use futures_util::{SinkExt, StreamExt};
    use tokio_tungstenite::{
        connect_async,
        tungstenite::{Message, client::IntoClientRequest},
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
    let mut request = format!("ws://{addr}/ws").into_client_request().unwrap();
    request.headers_mut().insert("cookie", "name=Ada".parse().unwrap());
    let (mut ada, _) = connect_async(request).await.unwrap();
    // Without an answer, the handler may not have begun, and whom the shutdown finds so is closed without a further word.
    ada.send(Message::text(r#"{"t":"join","rooms":{"chat:1":null}}"#)).await.unwrap();
    assert!(ada.next().await.unwrap().unwrap().to_text().unwrap().contains("fresh"));
    // A client that never finishes its request does not stop Ada from getting the Close.
    let mut idle = TcpStream::connect(addr).await.unwrap();
    idle.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();

    assert!(Command::new("kill").args(["-INT", &program.id().to_string()]).status().unwrap().success());
    let Message::Text(later) = ada.next().await.unwrap().unwrap() else { panic!("no frame before the Close") };
    assert!(later.contains("later"), "{later}");
    let Message::Close(Some(close)) = ada.next().await.unwrap().unwrap() else { panic!("no Close") };
    assert_eq!(u16::from(close.code), 1001);
    assert!(ada.next().await.is_none());
    drop((ada, idle));
    let status = tokio::task::spawn_blocking(move || program.wait()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
}
