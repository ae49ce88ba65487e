//! What goes in comes out.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use common::{Server, program, ran, run};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

#[tokio::test]
async fn lines_are_messages_and_the_end_of_stdin_closes_when_all_answers_are_printed() {
    let mut server = Server::start().await;
    let ran = run(&[&server.url("/echo")], "one\ntwo\r\n\nlast \u{e9}".as_bytes()).await;
    assert_eq!(ran.output(), "one\ntwo\n\nlast \u{e9}\n");
    assert_eq!(server.closes.recv().await, Some(1000));
}

#[tokio::test]
async fn many_and_long_lines_come_back_whole() {
    let server = Server::start().await;
    for input in ["line\n".repeat(20_000), "x".repeat(3_000_000) + "\n"] {
        let plain = run(&[&server.url("/echo")], input.as_bytes()).await;
        assert!(plain.output() == input, "{} of {} bytes", plain.stdout.len(), input.len());
    }
}

#[tokio::test]
async fn a_line_is_text_unless_binary_is_asked_for() {
    let server = Server::start().await;
    assert_eq!(run(&[&server.url("/kinds")], b"text\n").await.output(), "text 4\n");
    assert_eq!(run(&[&server.url("/kinds"), "--binary"], b"\xff\0\n").await.output(), "binary 2\n");
    let echoed = run(&[&server.url("/echo"), "--binary"], b"\xff\0\n").await;
    assert_eq!((echoed.status, &echoed.stdout[..]), (Some(0), &b"\xff\0\n"[..]));

    let ran = run(&[&server.url("/kinds")], b"good\n\xff\nnever sent\n").await;
    assert_eq!((ran.status, &ran.stdout[..]), (Some(1), &b"text 4\n"[..]));
    assert!(ran.stderr.contains("line 2 of stdin") && ran.stderr.contains("--binary"), "{}", ran.stderr);
}

#[tokio::test]
async fn one_closes_after_the_first_answer() {
    let mut server = Server::start().await;
    assert_eq!(run(&[&server.url("/echo"), "-1"], b"one\ntwo\n").await.output(), "one\n");
    assert_eq!(server.closes.recv().await, Some(1000));
    assert_eq!(run(&[&server.url("/echo"), "-n", "2"], b"one\ntwo\nthree\n").await.output(), "one\ntwo\n");
    assert_eq!(server.closes.recv().await, Some(1000));
}

#[tokio::test]
async fn the_end_of_stdin_may_leave_the_connection_open() {
    let server = Server::start().await;
    let ran = run(&[&server.url("/close/1000"), "--keep-open"], b"").await;
    assert_eq!(ran.output(), "before\n");
}

#[tokio::test]
async fn who_reads_only_one_line_ends_the_program() {
    let mut server = Server::start().await;
    let mut child = program(&[&server.url("/echo")]).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\n").await.unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).await.unwrap();
    assert_eq!(line, "one\n");
    drop(output);
    stdin.write_all(b"two\nthree\n").await.unwrap();
    assert_eq!(server.closes.recv().await, Some(1000));
    assert_eq!(ran(child).await.output(), "");
}

#[tokio::test]
async fn the_request_says_what_the_arguments_say() {
    let server = Server::start().await;
    let arguments = [
        &server.url("/request"),
        "-H",
        "X-Client: one",
        "--header",
        "Origin:http://",
        "--bearer",
        "secret",
        "--protocol",
        "chat.v2",
        "--protocol",
        "chat.v1",
        "--compress",
        "--verbose",
    ];
    let origin = format!("Origin:{}", server.url.replacen("ws", "http", 1));
    let arguments = arguments.map(|argument| if argument == "Origin:http://" { &origin } else { argument });
    let ran = run(&arguments, b"").await;
    let headers = String::from_utf8(ran.stdout).unwrap();
    for line in ["x-client: one", "authorization: Bearer secret", "sec-websocket-protocol: chat.v2, chat.v1"] {
        assert!(headers.lines().any(|there| there.eq_ignore_ascii_case(line)), "no `{line}` in\n{headers}");
    }
    assert!(headers.contains("permessage-deflate"), "{headers}");
    for line in ["< HTTP/1.1 101 Switching Protocols", "< sec-websocket-protocol: chat.v1", "permessage-deflate"] {
        assert!(ran.stderr.contains(line), "no `{line}` in\n{}", ran.stderr);
    }
    assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
}

#[tokio::test]
async fn compressed_messages_come_back_whole() {
    let server = Server::start().await;
    let input = "the same words again and again\n".repeat(1000);
    assert_eq!(run(&[&server.url("/request"), "--compress"], b"").await.status, Some(0));
    let ran = run(&[&server.url("/echo"), "--compress"], input.as_bytes()).await;
    assert!(ran.output() == input, "{} of {} bytes", ran.stdout.len(), input.len());
}
