//! What the settings do, and what is said when they make no sense. A binary of its own: the log is everybody's.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use sockeye_testkit::{Frame, Peer, pipe, pipe_with_capacity};
use sockeye_tokio::{Config, Connection, Message, Role, Stream, TrySendError, WebSocket, serve};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Keeps what goes to the log, one line an event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<String>>);

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("sockeye")
    }

    fn event(&self, event: &Event<'_>) {
        struct Line<'a>(&'a mut String);
        impl Visit for Line<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
                let _ = write!(self.0, " {field}={value:?}");
            }
        }
        let mut log = self.0.lock().unwrap();
        let _ = write!(log, "{}", event.metadata().level());
        event.record(&mut Line(&mut log));
        log.push('\n');
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

fn buffers(write: usize, max: usize) -> Config {
    let mut config = Config::default();
    (config.write_buffer_size, config.max_write_buffer_size) = (write, max);
    config
}

fn log_of(work: impl FnOnce()) -> String {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), work);
    let lines = log.0.lock().unwrap();
    lines.clone()
}

#[test]
fn a_maximum_that_is_not_above_the_buffer_is_raised_to_it_and_a_warning_says_so() {
    let connect = |write, max| {
        log_of(|| {
            let (_, server) = pipe();
            drop(WebSocket::new(Stream::boxed(server), Role::Server, buffers(write, max)));
        })
    };
    for (write, max) in [(1000, 999), (1000, 1000), (0, 0)] {
        let log = connect(write, max);
        assert!(log.starts_with(Level::WARN.as_str()) && log.lines().count() == 1, "{log}");
        assert!(log.contains(&format!("max_write_buffer_size={max}")), "{log}");
        assert!(log.contains(&format!("write_buffer_size={write}")), "{log}");
    }
    assert_eq!(connect(1000, 1001), "");
    let defaults = Config::default();
    assert_eq!(connect(defaults.write_buffer_size, defaults.max_write_buffer_size), "");
}

#[tokio::test]
async fn and_it_is_what_try_send_goes_by() {
    let (_client, server) = pipe_with_capacity(16);
    let connection = Connection::new(Stream::boxed(server), Role::Server).config(buffers(1000, 10));
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(connection.serve(|mut socket| async move {
        for _ in 0..9 {
            socket.try_send(Message::binary(vec![0; 100])).unwrap();
        }
        let Err(TrySendError::Full(_)) = socket.try_send(Message::binary(vec![0; 100])) else { panic!("it fits") };
        tell.send(()).unwrap();
    }));
    told.await.unwrap();
}

#[tokio::test]
async fn what_the_peer_does_wrong_is_no_warning() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let (client, server) = pipe();
    let mut client = Peer::client(client);
    tokio::spawn(serve(Stream::boxed(server), Role::Server, Config::default(), |mut socket| async move {
        while let Some(Ok(_)) = socket.recv().await {}
    }));
    client.send(Frame::text("x").rsv(2)).await;
    client.expect_close(1002).await;
    drop(guard);
    let log = log.0.lock().unwrap();
    assert!(log.starts_with(Level::DEBUG.as_str()) && log.lines().count() == 1, "{log}");
}

#[tokio::test]
async fn a_buffer_for_reading_may_be_as_small_as_it_likes() {
    for size in [0, 1, 7] {
        let (client, server) = pipe();
        let mut client = Peer::client(client);
        let mut config = Config::default();
        config.read_buffer_size = size;
        tokio::spawn(serve(Stream::boxed(server), Role::Server, config, |mut socket| async move {
            while let Some(Ok(message)) = socket.recv().await {
                if message.is_data() {
                    socket.send(message).await.unwrap();
                }
            }
        }));
        client.send(Frame::binary(vec![3; 40_000])).await;
        client.expect_binary(vec![3; 40_000]).await;
    }
}

#[tokio::test]
async fn frames_without_a_mask_are_accepted_where_that_is_set() {
    let (client, server) = pipe();
    let mut client = Peer::client(client);
    let mut config = Config::default();
    config.accept_unmasked_frames = true;
    tokio::spawn(serve(Stream::boxed(server), Role::Server, config, |mut socket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            socket.send(message).await.unwrap();
        }
    }));
    client.send_all([Frame::text("bare").unmasked(), Frame::text("masked")]).await;
    client.expect_text("bare").await;
    client.expect_text("masked").await;
}
