//! What the settings do, and what is said when they make no sense. A binary of its own: the log is everybody's.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod common;

use std::{
    fmt::Write as _,
    sync::{Arc, Mutex},
};

use common::{connect, connect_with_capacity, echo, receive_all, start, start_with};
use sockeye_testkit::{Frame, pipe};
use sockeye_tokio::{Config, Message, Role, Stream, TrySendError, WebSocket};
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
    Config::new().write_buffer_size(write).max_write_buffer_size(max)
}

fn log_of(work: impl FnOnce()) -> String {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), work);
    let lines = log.0.lock().unwrap();
    lines.clone()
}

#[test]
fn a_max_write_buffer_size_not_above_write_buffer_size_is_a_warning() {
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
        assert_eq!(connect(write, max), "", "it is said once, and not for each connection");
    }
    assert_eq!(connect(1000, 1001), "");
    let defaults = Config::default();
    assert_eq!(connect(defaults.get_write_buffer_size(), defaults.get_max_write_buffer_size()), "");
}

#[test]
fn connections_share_a_configuration_whose_max_write_buffer_size_is_raised() {
    let config = Arc::new(buffers(1000, 998));
    let sockets: Vec<_> = (0..10).map(|_| connect().1.config(config.clone()).into_websocket()).collect();
    assert!(Arc::strong_count(&config) > sockets.len());
}

#[tokio::test]
async fn try_send_keeps_to_a_raised_max_write_buffer_size() {
    let (_client, connection) = connect_with_capacity(16);
    let (tell, told) = tokio::sync::oneshot::channel();
    tokio::spawn(connection.config(buffers(1000, 10)).serve(|mut socket| async move {
        for _ in 0..9 {
            socket.try_send(Message::binary(vec![0; 100])).unwrap();
        }
        let Err(TrySendError::Full(_)) = socket.try_send(Message::binary(vec![0; 100])) else { panic!("it fits") };
        tell.send(()).unwrap();
    }));
    told.await.unwrap();
}

#[tokio::test]
async fn a_violation_of_the_peer_is_logged_below_warning() {
    let log = Log::default();
    let guard = tracing::subscriber::set_default(log.clone());
    let (mut client, _task) = start(receive_all);
    client.send(Frame::text("x").rsv(2)).await;
    client.expect_close(1002).await;
    drop(guard);
    let log = log.0.lock().unwrap();
    assert!(log.starts_with(Level::DEBUG.as_str()) && log.lines().count() == 1, "{log}");
}

#[tokio::test]
async fn a_read_buffer_size_may_be_as_small_as_zero() {
    for size in [0, 1, 7] {
        let config = Config::new().read_buffer_size(size);
        let (mut client, _task) = start_with(|connection| connection.config(config), echo);
        client.send(Frame::binary(vec![3; 40_000])).await;
        client.expect_binary(vec![3; 40_000]).await;
    }
}

#[tokio::test]
async fn frames_without_a_mask_are_accepted_with_accept_unmasked_frames() {
    let config = Config::new().accept_unmasked_frames(true);
    let (mut client, _task) = start_with(|connection| connection.config(config), echo);
    client.send_all([Frame::text("bare").unmasked(), Frame::text("masked")]).await;
    client.expect_text("bare").await;
    client.expect_text("masked").await;
}
