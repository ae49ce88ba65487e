//! The operations on the socket at one end.

use std::time::Duration;

use arbitrary::Arbitrary;
use sockeye_tokio::{CloseCode, Error, Message, PreparedMessage, ReceiveHalf, SendHalf, WebSocket, close_code};
use tokio::{sync::mpsc, time::timeout};

use super::log::Log;
use crate::payload::Payload;

#[derive(Arbitrary, Debug)]
pub(super) enum Do {
    Send(Payload),
    SendPrepared(Payload),
    TrySend(Payload),
    Ping(u8),
    Recv,
    RecvMany(u8),
    Flushed,
    Close(u16),
    CloseMessage(Option<u16>),
    Drop,
    Sleep(u8),
    #[arbitrary(skip)]
    Finish(Finish),
}

/// What an end does after the plan.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Finish {
    Drop,
    /// Close, and receive until the end.
    Close,
    /// Receive until the end.
    Drain,
}

/// How long to wait for something that the plan may have made impossible. The future is then dropped.
const PATIENCE: Duration = Duration::from_millis(100);

/// Executes the plan at one end.
pub(super) struct End {
    queue: mpsc::UnboundedReceiver<Do>,
    log: Log,
    /// Whether a dropped `send` may have queued its message.
    may_be_queued: bool,
}

impl End {
    pub(super) fn new(queue: mpsc::UnboundedReceiver<Do>, log: Log, may_be_queued: bool) -> Self {
        Self { queue, log, may_be_queued }
    }

    pub(super) async fn run(self, socket: WebSocket) {
        self.work(socket).await;
    }

    pub(super) async fn run_halves(self, socket: WebSocket) {
        self.work(socket.into_split()).await;
    }

    async fn work(mut self, mut socket: impl Socket) {
        let log = self.log.clone();
        // Closes the connection when the socket is dropped.
        while let Some(act) = self.queue.recv().await {
            match act {
                Do::Send(payload) => {
                    let message = log.next(&payload);
                    let sent = timeout(PATIENCE, socket.send(message.clone())).await;
                    self.account(message, sent.ok());
                }
                Do::SendPrepared(payload) => {
                    let message = log.next(&payload);
                    let prepared = match &message {
                        Message::Text(text) => PreparedMessage::text(text),
                        other => PreparedMessage::binary(other.as_bytes()),
                    };
                    let sent = timeout(PATIENCE, socket.send_prepared(prepared)).await;
                    self.account(message, sent.ok());
                }
                Do::TrySend(payload) => {
                    let message = log.next(&payload);
                    if socket.try_send(message.clone()) {
                        log.sent(message, true);
                    }
                }
                Do::Ping(len) => {
                    let sent = timeout(PATIENCE, socket.send(Message::Ping(vec![0; len.into()]))).await;
                    assert!(len <= 125 || !matches!(sent, Ok(Ok(()))), "a Ping of {len} bytes was sent");
                }
                Do::Recv => self.receive(&mut socket, 1).await,
                Do::RecvMany(count) => self.receive(&mut socket, count).await,
                Do::Flushed => _ = timeout(PATIENCE, socket.flushed()).await,
                Do::Close(code) => self.close(&mut socket, code).await,
                Do::CloseMessage(code) => {
                    let frame = code.map(|code| sockeye_tokio::CloseFrame::new(code, ""));
                    let valid = code.is_none_or(close_code::is_valid_on_wire);
                    log.closed(code.unwrap_or(close_code::NORMAL));
                    let sent = timeout(PATIENCE, socket.send(Message::Close(frame))).await;
                    assert!(valid || !matches!(sent, Ok(Ok(()))), "a Close with {code:?} was sent");
                }
                Do::Sleep(ms) => tokio::time::sleep(Duration::from_millis(ms.into())).await,
                Do::Drop => break,
                Do::Finish(Finish::Drop) => break,
                Do::Finish(Finish::Close) => {
                    self.close(&mut socket, close_code::NORMAL).await;
                    return self.drain(&mut socket).await;
                }
                Do::Finish(Finish::Drain) => return self.drain(&mut socket).await,
            }
        }
        log.closed(close_code::NORMAL);
    }

    fn account(&self, message: Message, sent: Option<Result<(), Error>>) {
        match sent {
            Some(Ok(())) => self.log.sent(message, true),
            // Dropped, or failed while it waited for the kernel.
            Some(Err(_)) | None if self.may_be_queued => self.log.sent(message, false),
            Some(Err(_)) | None => {}
        }
    }

    async fn close(&self, socket: &mut impl Socket, code: CloseCode) {
        // Logged before sending, since the other end may be faster.
        self.log.closed(code);
        let was_open = socket.is_open();
        let closed = timeout(PATIENCE, socket.close_with(code)).await;
        // On a closing connection it does nothing, whatever the code.
        let is_right = close_code::is_valid_on_wire(code) || !was_open;
        assert!(is_right || !matches!(closed, Ok(Ok(()))), "closed with {code}");
    }

    async fn receive(&self, socket: &mut impl Socket, count: u8) {
        for _ in 0..count {
            match timeout(PATIENCE, socket.recv()).await {
                Ok(received) => self.log.received(received.as_ref()),
                Err(_) => return,
            }
        }
    }

    async fn drain(&self, socket: &mut impl Socket) {
        loop {
            let received = socket.recv().await;
            self.log.received(received.as_ref());
            if received.is_none() {
                break;
            }
        }
        assert!(socket.recv().await.is_none(), "something came after the end");
        self.log.closed(close_code::NORMAL);
    }
}

/// A socket, whole or in halves.
trait Socket: Send {
    fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send;
    fn send_prepared(&mut self, message: PreparedMessage) -> impl Future<Output = Result<(), Error>> + Send;
    fn try_send(&mut self, message: Message) -> bool;
    fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send;
    fn flushed(&mut self) -> impl Future<Output = Result<(), Error>> + Send;
    fn close_with(&mut self, code: CloseCode) -> impl Future<Output = Result<(), Error>> + Send;
    fn is_open(&self) -> bool;
}

impl Socket for WebSocket {
    fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        Self::send(self, message)
    }

    fn send_prepared(&mut self, message: PreparedMessage) -> impl Future<Output = Result<(), Error>> + Send {
        Self::send_prepared(self, message)
    }

    fn try_send(&mut self, message: Message) -> bool {
        Self::try_send(self, message).is_ok()
    }

    fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send {
        Self::recv(self)
    }

    fn flushed(&mut self) -> impl Future<Output = Result<(), Error>> + Send {
        Self::flushed(self)
    }

    fn close_with(&mut self, code: CloseCode) -> impl Future<Output = Result<(), Error>> + Send {
        Self::close_with(self, code, "why")
    }

    fn is_open(&self) -> bool {
        !self.sender().is_closed()
    }
}

impl Socket for (SendHalf, ReceiveHalf) {
    fn send(&mut self, message: Message) -> impl Future<Output = Result<(), Error>> + Send {
        self.0.send(message)
    }

    fn send_prepared(&mut self, message: PreparedMessage) -> impl Future<Output = Result<(), Error>> + Send {
        self.0.send_prepared(message)
    }

    fn try_send(&mut self, message: Message) -> bool {
        self.0.try_send(message).is_ok()
    }

    fn recv(&mut self) -> impl Future<Output = Option<Result<Message, Error>>> + Send {
        self.1.recv()
    }

    fn flushed(&mut self) -> impl Future<Output = Result<(), Error>> + Send {
        self.0.flushed()
    }

    async fn close_with(&mut self, code: CloseCode) -> Result<(), Error> {
        self.0.close_with(code, "why")
    }

    fn is_open(&self) -> bool {
        !self.0.is_closed()
    }
}
