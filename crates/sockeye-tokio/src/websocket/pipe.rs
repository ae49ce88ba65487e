//! `pipe`: copies messages between two WebSockets, in both directions.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use sockeye_proto::{CloseCode, CloseFrame, Message, Role, close_code};

use crate::{
    Error, ReceiveHalf, SendHalf, WebSocket,
    telemetry::{
        ended::Tally,
        stats::{Kind, payload_len},
    },
};

/// Copies messages from each of two WebSockets to the other until one of them ends, and hands its end on. Once both have ended,
/// returns what has ended first, and how much was copied. Each socket may have either role: a reverse proxy has a server and a
/// client, a relay two servers.
///
/// ```
/// use sockeye_tokio::{Connection, Role, Side, Stream, pipe};
/// # use sockeye_tokio::{Config, Message, serve};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// # let (browser, front) = tokio::io::duplex(4096);
/// # let (back, backend) = tokio::io::duplex(4096);
/// # tokio::spawn(serve(Stream::boxed(browser), Role::Client, Config::default(), |mut socket| async move {
/// #     socket.send("hello".into()).await.unwrap();
/// #     assert_eq!(socket.recv().await.unwrap().unwrap(), Message::text("hello"));
/// # }));
/// # tokio::spawn(serve(Stream::boxed(backend), Role::Server, Config::default(), |mut socket| async move {
/// #     while let Some(Ok(message)) = socket.recv().await { let _ = socket.send(message).await; }
/// # }));
/// let client = Connection::new(Stream::boxed(front), Role::Server);
/// let server = Connection::new(Stream::boxed(back), Role::Client);
/// // One connection runs in the handler of the other: one task with two drivers.
/// let served = client.serve(|client| async move {
///     let served = server.serve(|server| async move {
///         let piped = pipe(client, server).await;
///         println!("{} messages from the client, {} to it", piped.a_to_b.messages, piped.b_to_a.messages);
/// #       assert_eq!((piped.first, piped.a_to_b.messages, piped.b_to_a.bytes), (Side::A, 1, 5));
///     });
///     println!("the server's side: {:?}", served.await);
/// });
/// println!("the client's side: {:?}", served.await);
/// # }
/// ```
///
/// # What is copied
///
/// Text and binary messages, each as a whole once it has arrived, and moved: a long message is not copied in memory. A message
/// is received only when the one before it is queued, by [`send`](WebSocket::send) with its limit
/// [`write_buffer_size`](crate::Config::write_buffer_size). So a slow side stops the reading of the other, and a direction
/// holds at most that limit and three messages. Over HTTP/2, where a stream must not be left unread, the bound is
/// [`Unread`](crate::Unread): a side that is faster by more than that is closed with 1013.
///
/// Pings and Pongs are not copied: they test one connection ([RFC 6455 §5.5.2]). Each side answers those of its own peer, and
/// has its own keep-alive.
///
/// The limits of the side that receives a message apply, such as its `max_message_size`. Compression is that of each side. Both
/// sides should have negotiated the same [subprotocol](WebSocket::protocol); `pipe` does not look at it.
///
/// # How an end is handed on
///
/// | the end of one side | the other side |
/// |---|---|
/// | its peer sent a Close with a code and a reason | sends the same code and reason |
/// | its peer sent a Close without a code (1005) | sends a Close without a code |
/// | its stream ended or failed without a Close, or was aborted (1006) | writes what had arrived, and [aborts](WebSocket::abort) |
/// | its peer broke the protocol or exceeded a limit, and was sent 1002, 1007, 1009 or 1013 | sends 1011 to a client, 1001 to a server |
/// | its peer missed a deadline | sends 1011 to a client, 1001 to a server |
/// | it was closed here, by a `Shutdown`, a `Budget` or a [`Sender`](crate::Sender) | sends the code that the peer has answered with |
///
/// A peer that did nothing wrong does not get the code that is meant for the other: 1009 would say that its own message was too
/// long. A client learns that something failed on the server's side (1011), and a server that its client is gone (1001). The
/// gateway's code 1014 would say more, but Chromium treats it as a violation.
///
/// After the end of one side, what the other still sends is received and dropped, up to its Close. [`Timeouts`](crate::Timeouts)
/// bound that. A socket [without a driver](WebSocket#with-and-without-a-driver) has no deadlines.
///
/// # Cancel safety
///
/// Dropping the future closes both sides with 1001, and loses at most one received message in each direction: one that waited
/// for capacity. Without a driver, both streams end without a Close.
///
/// [RFC 6455 §5.5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.5.2
#[doc(alias("proxy", "forward", "copy_bidirectional"))]
pub async fn pipe(a: WebSocket, b: WebSocket) -> Piped {
    let ((to_a, mut from_a), (to_b, mut from_b)) = (a.into_split(), b.into_split());
    let mut ends = Ends { to_a, to_b, is_over: false };
    let (mut a_to_b, mut b_to_a) = (Tally::default(), Tally::default());
    let (first, end) = {
        let mut forth = pin!(copy(&mut from_a, &ends.to_b, &mut a_to_b));
        let mut back = pin!(copy(&mut from_b, &ends.to_a, &mut b_to_a));
        poll_fn(|cx| match forth.as_mut().poll(cx) {
            Poll::Ready(end) => Poll::Ready((Side::A, end)),
            Poll::Pending => back.as_mut().poll(cx).map(|end| (Side::B, end)),
        })
        .await
    };
    let (from, to, from_other) = match first {
        Side::A => (&mut from_a, &ends.to_b, &mut from_b),
        Side::B => (&mut from_b, &ends.to_a, &mut from_a),
    };
    // Without a driver, receiving to the end also writes the answer to the peer's Close.
    both(drain(from), async {
        hand_on(&end, to, from_other).await;
        drain(from_other).await;
    })
    .await;
    ends.is_over = true;
    Piped { first, end, a_to_b, b_to_a }
}

/// What has ended a [`pipe`], and what it has copied.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Piped {
    /// The side that has ended first.
    pub first: Side,
    /// How that side has ended: with this Close of its peer, or with this error of its `recv`.
    pub end: Result<Option<CloseFrame>, Error>,
    /// What was received from the first socket and queued for the second one. The Pings and Pongs are those that were received,
    /// and not copied.
    pub a_to_b: Tally,
    /// What was received from the second socket and queued for the first one. The Pings and Pongs are those that were received,
    /// and not copied.
    pub b_to_a: Tally,
}

/// One of the two sockets of a [`pipe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The first argument of `pipe`.
    A,
    /// The second argument of `pipe`.
    B,
}

type End = Result<Option<CloseFrame>, Error>;

/// The sending halves. Closes both sides if `pipe` is dropped before its end.
struct Ends {
    to_a: SendHalf,
    to_b: SendHalf,
    is_over: bool,
}

impl Drop for Ends {
    fn drop(&mut self) {
        // A panic closes with 1011, as it does for every socket.
        if !self.is_over && !std::thread::panicking() {
            for end in [&self.to_a, &self.to_b] {
                // An error means that the connection has ended.
                let _ = end.close_with(close_code::AWAY, "");
            }
        }
    }
}

/// Copies messages in one direction until `from` ends. Once `to` takes no more, drops them: the end of `to` or of `from` is then
/// about to be received.
async fn copy(from: &mut ReceiveHalf, to: &SendHalf, tally: &mut Tally) -> End {
    let mut is_open = true;
    loop {
        match from.recv().await {
            Some(Ok(Message::Close(frame))) => return Ok(frame),
            Some(Ok(message)) => {
                let (kind, length) = (Kind::of(&message), payload_len(&message));
                if !message.is_data() {
                    tally.count(kind, length);
                } else if is_open {
                    is_open = to.send(message).await.is_ok();
                    if is_open {
                        tally.count(kind, length);
                    }
                }
            }
            Some(Err(error)) => return Err(error),
            // The end had been received before.
            None => return Err(Error::closed()),
        }
    }
}

/// Ends `to` as the other side has ended. `from` is the receiving half of `to`.
async fn hand_on(end: &End, to: &SendHalf, from: &mut ReceiveHalf) {
    // An error of a close means that this side has ended as well.
    match end {
        Ok(frame) => drop(to.handle.begin_close(frame.clone())),
        Err(error) if error.is_abrupt() || error.is_io() => {
            // A peer may read nothing until it has sent what it wants to send.
            let (mut flushed, mut ended) = (pin!(to.flushed()), pin!(drain(from)));
            poll_fn(|cx| {
                let is_done = flushed.as_mut().poll(cx).is_ready() || ended.as_mut().poll(cx).is_ready();
                if is_done { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            to.abort();
        }
        Err(error) => drop(to.close_with(code_from(to.handle.role()), reason(error))),
    }
}

/// The code that an end with this role sends when its peer is not to blame.
fn code_from(role: Role) -> CloseCode {
    match role {
        // RFC 6455 §7.4.1: "a server is terminating the connection because it encountered an unexpected condition".
        Role::Server => close_code::ERROR,
        // RFC 6455 §7.4.1: "an endpoint is "going away", such as a server going down or a browser having navigated away".
        Role::Client => close_code::AWAY,
    }
}

fn reason(error: &Error) -> &'static str {
    if error.is_violation() {
        "the other side broke the protocol"
    } else if error.is_limit() {
        "the other side exceeded a limit"
    } else if error.is_timeout() {
        "the other side timed out"
    } else {
        "the other side is gone"
    }
}

/// Receives and drops everything.
async fn drain(from: &mut ReceiveHalf) {
    while from.recv().await.is_some() {}
}

/// Waits for both.
async fn both(one: impl Future<Output = ()>, other: impl Future<Output = ()>) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    let (mut is_one_done, mut is_other_done) = (false, false);
    poll_fn(|cx| {
        is_one_done = is_one_done || one.as_mut().poll(cx).is_ready();
        is_other_done = is_other_done || other.as_mut().poll(cx).is_ready();
        if is_one_done && is_other_done { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
