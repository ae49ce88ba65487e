//! A client that negotiates permessage-deflate. It is the library's own client, since no other one can compress over our
//! streams. The Autobahn test suite would find a mistake that both ends share.

use std::{ops::Range, time::Duration};

use anyhow::{Context as _, Result, bail};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sockeye::{
    CloseFrame, Compression, Connection, Memory, Message, Role, Stream, WebSocket, close_code,
    handshake::{client::ClientRequest, deflate::Offered},
};
use tokio::net::TcpStream;

use crate::{
    clients::{Client, counts::add},
    payload::payload,
    server,
};

/// The number of messages in a session, and of those in flight at a time.
const MESSAGES: Range<u64> = 5..60;
const AT_ONCE: u64 = 5;

/// The longest message. All messages in flight fit into the buffers of the kernel, since the client does not read during a
/// `send`.
const LONGEST: usize = 40_000;

impl Client {
    pub(super) async fn compresses(&mut self, received: &mut u64) -> Result<()> {
        let way = self.any_extracted_way();
        let stream = self.tcp(None).await?;
        let memory = [Memory::Low, Memory::Balanced, Memory::Best][self.rng.usize(..3)];
        let compression = Compression::new().memory(memory).threshold(self.rng.usize(..200));
        let opening = open(stream, server::deflate_path(way), &compression);
        let mut socket = self.wait("the answer to its opening handshake", opening).await?.into_websocket();
        let messages = self.rng.u64(MESSAGES);
        while *received < messages && !self.run.is_over() {
            let some = *received..messages.min(*received + AT_ONCE);
            let sent: Vec<Message> = some.map(|number| self.message(number)).collect();
            for message in &sent {
                let sending = async { Ok(socket.send(message.clone()).await?) };
                self.wait("room for a compressed message", sending).await?;
            }
            for (message, number) in sent.iter().zip(*received..) {
                let heard = self.wait("the echo of a compressed message", data(&mut socket)).await?;
                if heard != *message {
                    add(&self.run.counts.lost, 1);
                    bail!("message {number}, of {} bytes, came back as another of {}", message.len(), heard.len());
                }
                *received += 1;
                add(&self.moves, 1);
            }
            let time = self.rng.u64(20..1500);
            self.rest(Duration::from_millis(time)).await;
        }
        let closing = async {
            socket.close_with(close_code::NORMAL, "").await?;
            loop {
                match socket.recv().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(Some(CloseFrame { code, .. })))) if code == close_code::NORMAL => {
                        return Ok(());
                    }
                    other => bail!("instead of a Close with 1000 came {other:?}"),
                }
            }
        };
        self.wait("the server's Close", closing).await
    }

    /// Half of the payload compresses well, and half of it hardly.
    fn message(&mut self, number: u64) -> Message {
        let length = match self.rng.u8(..10) {
            0..5 => self.rng.usize(..300),
            5..9 => self.rng.usize(..5000),
            _ => self.rng.usize(..LONGEST),
        };
        if self.rng.bool() {
            return Message::Binary(payload(self.seed, number, false, length));
        }
        let line = format!("{{\"number\":{number},\"of\":{}}},", self.seed);
        Message::text(line.repeat(length / line.len() + 1))
    }
}

async fn open(stream: TcpStream, path: String, compression: &Compression) -> Result<Connection> {
    let offered = Offered::new(compression);
    let mut request = ClientRequest::new(format!("ws://localhost{path}").parse()?)?;
    for offer in offered.offers() {
        request = request.offer(offer.clone());
    }
    let (request, expected) = request.upgrade();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    let response = sender.send_request(request.map(|()| String::new())).await?;
    let agreed = offered.check(&expected.check(&response)?.extensions)?.context("the server does not compress")?;

    let upgraded = hyper::upgrade::on(response).await?;
    let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { bail!("hyper changed the stream it was given") };
    let stream = Stream::from(parts.io.into_inner()).with_read_ahead(parts.read_buf);
    Ok(Connection::new(stream, Role::Client)
        .extension(agreed.encoder(Role::Client, compression), agreed.decoder(Role::Client, compression)))
}

/// The next text or binary message.
async fn data(socket: &mut WebSocket) -> Result<Message> {
    loop {
        match socket.recv().await {
            Some(Ok(message)) if message.is_data() => return Ok(message),
            Some(Ok(Message::Close(close))) => bail!("the server closes with {close:?}"),
            Some(message) => drop(message?),
            None => bail!("the stream ended"),
        }
    }
}
