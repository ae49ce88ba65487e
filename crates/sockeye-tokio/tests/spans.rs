//! The span of a connection without an extractor.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    io,
    sync::{Arc, Mutex},
};

use common::{connect, echo, sender_of, settled, tcp};
use sockeye_testkit::{Frame, Peer, PipeEnd};
use sockeye_tokio::{Connection, Message, Role};
use tracing::{Span, field, subscriber::DefaultGuard};
use tracing_subscriber::fmt::format::FmtSpan;

/// What this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn new(level: tracing::Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_span_events(FmtSpan::CLOSE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The line of each span that was closed, without the time before it.
    fn closed(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().filter(|line| line.contains(": close time."));
        lines.map(|line| line.split_once("DEBUG ").unwrap().1.to_owned()).collect()
    }
}

/// The client of the inner connection leaves, and then the handler of the outer one returns.
async fn close_both(inner: &mut Peer<PipeEnd>, outer: &mut Peer<PipeEnd>) {
    inner.send(Frame::close(1001, "")).await;
    inner.expect_close(1001).await;
    inner.expect_eof().await;
    outer.expect_text("done").await;
    outer.expect_close(1000).await;
    outer.send(Frame::close(1000, "")).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_inside_the_handler_of_another_has_figures_of_its_own() {
    let (log, _guard) = Log::new(tracing::Level::DEBUG);
    let (mut outer, outer_connection) = connect();
    let (mut inner, inner_connection) = connect();
    let task = tokio::spawn(outer_connection.serve(async move |mut socket| {
        inner_connection.serve(echo).await;
        socket.send("done".into()).await.unwrap();
    }));
    for text in ["one", "three"] {
        inner.send(Frame::text(text)).await;
        inner.expect_text(text).await;
    }
    close_both(&mut inner, &mut outer).await;
    task.await.unwrap();

    let closed = log.closed();
    assert_eq!(closed.len(), 2, "{closed:#?}");
    let [inner, outer] = [&closed[0], &closed[1]];
    assert!(inner.starts_with("websocket{role=\"server\"}:websocket{role=\"server\""), "{inner}");
    for field in ["close.code=1001", "close.by=\"peer\"", "received.messages=2", "received.bytes=8", "sent.bytes=8"] {
        assert!(inner.contains(field), "no {field} in {inner}");
    }
    for field in ["close.code=1000", "close.by=\"local\"", "received.messages=0", "sent.messages=1", "sent.bytes=4"] {
        assert!(outer.contains(field), "no {field} in {outer}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_written_past_the_queue_are_in_the_figures() {
    let (log, _guard) = Log::new(tracing::Level::DEBUG);
    let (client, server) = tcp().await;
    let (sender, task) = sender_of(Connection::new(server, Role::Server)).await;
    settled().await;
    sender.push_many(&["one".into(), "three".into()], None);
    assert_eq!(sender.buffered(), 0);
    sender.push(Message::text("five")).unwrap();
    let mut client = Peer::client(client);
    for text in ["one", "three", "five"] {
        client.expect_text(text).await;
    }
    client.send(Frame::close(1000, "")).await;
    client.expect_close(1000).await;
    client.expect_eof().await;
    drop(client);
    task.await.unwrap();
    let closed = log.closed();
    assert!(closed[0].contains("sent.messages=3") && closed[0].contains("sent.bytes=12"), "{closed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_inside_another_records_nothing_if_its_own_span_is_disabled() {
    let (log, _guard) = Log::new(tracing::Level::INFO);
    let (mut outer, outer_connection) = connect();
    let (mut inner, inner_connection) = connect();
    let span = tracing::info_span!("outer", close.code = field::Empty, sent.bytes = field::Empty);
    let task = tokio::spawn(outer_connection.span(span).serve(async move |mut socket| {
        inner_connection.serve(echo).await;
        socket.send("done".into()).await.unwrap();
    }));
    close_both(&mut inner, &mut outer).await;
    task.await.unwrap();

    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("outer{close.code=1000 sent.bytes=4}: "), "{text}");
    assert!(!text.contains("1001"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_handler_runs_and_is_dropped_in_the_span_that_was_given() {
    struct Dropped(Arc<Mutex<Vec<&'static str>>>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(name());
        }
    }
    fn name() -> &'static str {
        Span::current().metadata().map_or("none", |metadata| metadata.name())
    }

    let (_log, _guard) = Log::new(tracing::Level::DEBUG);
    let names = Arc::new(Mutex::new(Vec::new()));
    let (mut client, connection) = connect();
    let seen = names.clone();
    let serving = connection.span(tracing::debug_span!("mine")).serve(async move |mut socket| {
        let _dropped = Dropped(seen.clone());
        seen.lock().unwrap().push(name());
        while let Some(Ok(_)) = socket.recv().await {}
    });
    let task = tokio::spawn(serving);
    client.send(Frame::ping("")).await;
    client.expect_pong("").await;
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    assert_eq!(*names.lock().unwrap(), ["mine", "mine"]);
}
