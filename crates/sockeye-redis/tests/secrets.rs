//! Credentials are in no error, no log and no debug output; and errors say what is wrong.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use sockeye_redis::Redis;
use sockeye_state::{Broker, BrokerError, Stamp, Topic};
use sockeye_testkit::Proxy;

use self::support::{
    node::{Node, append},
    server::{Disk, Kind, Server},
};

const SECRET: &str = "hunter2";

/// What an application shows of an error.
fn show(error: &BrokerError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(" {error} {error:?}"));
        source = error.source();
    }
    text
}

async fn refused(url: &str) -> String {
    let error = Redis::connect(url).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    let text = show(&error);
    assert!(!text.contains(SECRET), "{text}");
    text
}

#[tokio::test]
async fn a_url_that_cannot_be_read_is_refused_without_its_text() {
    for url in
        ["http://:hunter2@localhost", "redis://:hunter2@local host", "redis://:hunter2@localhost:99999", "hunter2", ""]
    {
        let text = refused(url).await;
        assert!(text.contains("expected redis://"), "{text}");
    }
}

#[tokio::test]
async fn a_time_that_is_out_of_range_is_refused() {
    let error = Redis::builder("redis://localhost").max_backoff(Duration::from_secs(2)).connect().await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("max_backoff is 2s"), "{error}");
    let error = Redis::builder("redis://localhost").connect_timeout(Duration::ZERO).connect().await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("connect_timeout is 0ns"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Redis::connect(format!("redis://:{SECRET}@{address}")).await.unwrap_err();
    assert!(error.is_unavailable(), "{error}");
    let text = show(&error);
    assert!(text.contains(&address.to_string()) && !text.contains(SECRET), "{text}");
}

/// Collects what is logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn credentials_are_never_shown() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone());
    let _guard = tracing::subscriber::set_default(subscriber.finish());
    let Some(server) = Server::start_with(Kind::Redis, Disk::Nothing, &["--requirepass", SECRET]).await else { return };
    let proxy = Proxy::start(server.address()).await;

    let url = format!("redis://:{SECRET}@{}/1", proxy.address());
    assert!(!format!("{:?}", Redis::builder(&url)).contains(SECRET));
    let mut node = Node::start(&url).await;
    let topic = Topic::room("secrets", "room");
    node.broker.append(append(&topic, "line", Stamp::new([1; 16]))).await.unwrap();
    let shown = format!("{:?}", node.broker);
    assert!(shown.contains("database: 1") && !shown.contains(SECRET), "{shown}");

    proxy.cut_all();
    node.next_lost(Duration::from_secs(5)).await;
    proxy.set_refusing(true);
    let error = node.broker.read(topic, None, 1).await.unwrap_err();
    assert!(error.is_unavailable() && !show(&error).contains(SECRET), "{error}");
    assert!(!node.broker.health().to_string().contains(SECRET));

    let text = refused(&format!("redis://:wrong-{SECRET}@{}", server.address())).await;
    assert!(text.contains("127.0.0.1"), "{text}");
    let text = refused(&format!("redis://{}", server.address())).await;
    assert!(text.contains("NOAUTH") || text.contains("uthenticat"), "{text}");

    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("the connection to Redis is broken"), "{logged}");
    assert!(!logged.contains(SECRET), "{logged}");
}

/// What the crate's page says that a user needs.
const PERMISSIONS: &str = "~{acl:* &{acl:* &sockeye:probe:* +@connection +@pubsub +evalsha +eval +script|load +hmget +hset \
                           +hincrby +del +xadd +xrange +xrevrange +pexpire +get +set +info";

#[tokio::test]
async fn a_user_with_the_documented_permissions_and_a_password_of_any_characters_suffices() {
    let Some(server) = Server::start(Kind::Redis, Disk::Nothing).await else { return };
    let mut user = vec!["ACL", "SETUSER", "chat", "on", ">p@ss/w:rd%"];
    user.extend(PERMISSIONS.split_whitespace());
    assert!(server.command(&user).await.starts_with("+OK"));
    let mut node = Node::start(&format!("redis://chat:p%40ss%2Fw%3Ard%25@{}", server.address())).await;
    let topic = Topic::room("acl", "room");
    node.subscribe(&topic).await;
    let at = node.broker.append(append(&topic, "line", Stamp::new([1; 16]))).await.unwrap();
    assert!(node.next_within(Duration::from_secs(5)).await.is_some());
    node.broker.publish(topic.clone(), "line".into()).await.unwrap();
    assert!(node.next_within(Duration::from_secs(5)).await.is_some());
    assert_eq!(node.broker.read(topic.clone(), None, 10).await.unwrap().entries.len(), 1);
    assert_eq!(node.broker.tops(vec![topic.clone()]).await.unwrap(), [Some(at)]);
    // A history that has lost its end begins a new epoch, for which the script deletes the old one.
    let known = Some(sockeye_state::Position::new(at.epoch, at.offset + 1));
    let next = node.broker.append(append(&topic, "next", Stamp::new([2; 16])).known(known)).await.unwrap();
    assert_ne!(next.epoch, at.epoch);
    node.broker.unsubscribe(vec![topic]).await.unwrap();

    let elsewhere = Topic::room("other", "room");
    let error = node.broker.append(append(&elsewhere, "line", Stamp::new([3; 16]))).await.unwrap_err();
    assert!(error.is_refused() && error.to_string().contains("no permissions"), "{error}");
    let error = node.broker.subscribe(vec![elsewhere]).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
    // Channels of rooms alone are too few.
    let few = ["ACL", "SETUSER", "chat", "resetchannels", "&{acl:room:*", "&sockeye:probe:*"];
    assert!(server.command(&few).await.starts_with("+OK"));
    node.subscribe(&Topic::room("acl", "room")).await;
    let error = node.broker.subscribe(vec![Topic::hub("acl", "presence")]).await.unwrap_err();
    assert!(error.is_refused(), "{error}");
}
