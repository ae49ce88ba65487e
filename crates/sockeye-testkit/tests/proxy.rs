//! The TCP proxy and its faults.

use std::time::Duration;

use sockeye_testkit::Proxy;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

/// A server that answers each byte with the next one, and a proxy to the server.
async fn counting() -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                while let Ok(byte) = connection.read_u8().await {
                    if connection.write_u8(byte + 1).await.is_err() {
                        break;
                    }
                }
            });
        }
    });
    Proxy::start(address).await
}

async fn ask(client: &mut TcpStream, byte: u8) -> Option<u8> {
    client.write_u8(byte).await.ok()?;
    client.read_u8().await.ok()
}

#[tokio::test]
async fn bytes_go_through_and_are_counted() {
    let proxy = counting().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, 1).await, Some(2));
    assert_eq!(ask(&mut client, 7).await, Some(8));
    assert_eq!(proxy.received(|sent| sent == [1, 7]), 2);
    assert_eq!(proxy.received(|sent| sent == [1, 8]), 0);
}

#[tokio::test]
async fn connections_are_cut_by_what_their_clients_have_sent() {
    let proxy = counting().await;
    let mut one = TcpStream::connect(proxy.address()).await.unwrap();
    let mut other = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut one, 1).await, Some(2));
    assert_eq!(ask(&mut other, 5).await, Some(6));
    assert_eq!(proxy.cut(|sent| sent.contains(&1)), 1);
    assert_eq!(ask(&mut one, 1).await, None);
    assert_eq!(ask(&mut other, 5).await, Some(6));
}

#[tokio::test]
async fn an_answer_is_cut_after_the_request_has_gone_through() {
    let proxy = counting().await;
    proxy.cut_answers(&[9], 1);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, 1).await, Some(2));
    assert_eq!(ask(&mut client, 9).await, None);
    assert_eq!(proxy.cut_answers_count(), 1);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, 9).await, Some(10), "one answer was to be cut");
}

#[tokio::test]
async fn a_proxy_that_refuses_closes_connections() {
    let proxy = counting().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, 1).await, Some(2));
    proxy.set_refusing(true);
    assert_eq!(ask(&mut client, 1).await, None);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, 1).await, None);
    proxy.set_refusing(false);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    assert_eq!(ask(&mut client, 1).await, Some(2));
}

#[tokio::test]
async fn what_was_held_back_arrives_when_the_proxy_is_no_more_silent() {
    let proxy = counting().await;
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.set_silent(true);
    assert!(timeout(Duration::from_millis(50), ask(&mut client, 1)).await.is_err());
    proxy.set_silent(false);
    assert_eq!(client.read_u8().await.ok(), Some(2));
}

#[tokio::test]
async fn a_delay_counts_in_both_directions() {
    let proxy = counting().await;
    proxy.set_delay(Duration::from_millis(20));
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    let start = Instant::now();
    assert_eq!(ask(&mut client, 1).await, Some(2));
    assert!(start.elapsed() >= Duration::from_millis(40));
}
