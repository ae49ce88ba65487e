//! What a [`Client`] can receive and assert.
//!
//! The methods are no `async fn`s, for which `#[track_caller]` has no effect: they note their caller when they are called.

use std::{future::Future, panic::Location, time::Duration};

use sockeye_tokio::{CloseCode, Message, close_code};
use tokio::time::timeout;

use crate::{Client, inbox::End, show};

type Caller = &'static Location<'static>;

impl Client {
    /// Receives the next text message, binary message, or Close. Returns `None` once the connection has ended: after a Close, or
    /// without one.
    ///
    /// Pings and Pongs are not among these messages: the client answers Pings by itself. For a test of them, there are
    /// [`assert_ping`](Self::assert_ping) and [`assert_pong`](Self::assert_pong).
    ///
    /// # Panics
    ///
    /// If nothing comes in time, or if the server breaks the protocol.
    #[track_caller]
    pub fn recv(&mut self) -> impl Future<Output = Option<Message>> {
        let at = Location::caller();
        async move {
            match self.next(at, "a message").await {
                Ok(message) => {
                    self.transcript.received(&message);
                    Some(message)
                }
                Err(End::Closed(_) | End::Abrupt) => None,
                Err(end @ End::Violation(_)) => self.fail(at, &format!("expected a message, got {}", end.show())),
            }
        }
    }

    /// Receives the next message, which must be a text. Returns the text.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn recv_text(&mut self) -> impl Future<Output = String> {
        let at = Location::caller();
        async move {
            let text = self.text(at, "a text").await;
            self.transcript.received(&Message::text(&text));
            text
        }
    }

    /// Receives the next message, which must be binary. Returns its payload.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn recv_binary(&mut self) -> impl Future<Output = Vec<u8>> {
        let at = Location::caller();
        async move {
            let data = self.binary(at, "a binary message").await;
            self.transcript.received(&Message::binary(&*data));
            data
        }
    }

    /// Receives the next message, which must be this text.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn assert_text(&mut self, expected: impl AsRef<str>) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let expected = expected.as_ref();
            let wanted = format!("the text {}", show::quoted(expected));
            let text = self.text(at, &wanted).await;
            if text != expected {
                let (text, difference) = (show::quoted(&text), show::text_difference(expected, &text));
                self.fail(at, &format!("expected {wanted}, got the text {text}{difference}"));
            }
            self.transcript.received(&Message::Text(text));
        }
    }

    /// Receives the next message, which must be a text that contains this one. Returns the whole text.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn assert_text_contains(&mut self, part: impl AsRef<str>) -> impl Future<Output = String> {
        let at = Location::caller();
        async move {
            let part = part.as_ref();
            let wanted = format!("a text with {}", show::quoted(part));
            let text = self.text(at, &wanted).await;
            if !text.contains(part) {
                self.fail(at, &format!("expected {wanted}, got the text {}", show::quoted(&text)));
            }
            self.transcript.received(&Message::text(&text));
            text
        }
    }

    /// Receives the next message, which must be binary, with this payload.
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn assert_binary(&mut self, expected: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let expected = expected.as_ref();
            let wanted = format!("the binary message {}", show::bytes(expected));
            let data = self.binary(at, &wanted).await;
            if data != expected {
                let (data, difference) = (show::bytes(&data), show::binary_difference(expected, &data));
                self.fail(at, &format!("expected {wanted}, got the binary message {data}{difference}"));
            }
            self.transcript.received(&Message::Binary(data));
        }
    }

    /// Waits for the Close, which must come next and have this code. Returns its reason, which may be empty. A Close that was
    /// received before is as good. [`finish`](Self::finish) waits for what follows: the end of the stream, and of the handler.
    ///
    /// As in a browser, [`close_code::STATUS`] (1005) is a Close without a code, and [`close_code::ABNORMAL`] (1006) is the end
    /// of the stream without a Close ([RFC 6455 §7.1.5]).
    ///
    /// [RFC 6455 §7.1.5]: https://www.rfc-editor.org/rfc/rfc6455#section-7.1.5
    ///
    /// # Panics
    ///
    /// If something else comes, or nothing in time.
    #[track_caller]
    pub fn assert_close(&mut self, code: CloseCode) -> impl Future<Output = String> {
        let at = Location::caller();
        async move {
            let wanted = match code {
                close_code::STATUS => "a Close without a code (1005)".to_owned(),
                close_code::ABNORMAL => "the end of the stream without a Close (1006)".to_owned(),
                code => format!("a Close with {code}"),
            };
            let next = self.next(at, &wanted).await;
            let (received, reason) = match &next {
                Ok(Message::Close(None)) | Err(End::Closed(None)) => (Some(close_code::STATUS), ""),
                Ok(Message::Close(Some(frame))) | Err(End::Closed(Some(frame))) => (Some(frame.code), &*frame.reason),
                Err(End::Abrupt) => (Some(close_code::ABNORMAL), ""),
                Ok(_) | Err(End::Violation(_)) => (None, ""),
            };
            if received != Some(code) {
                self.fail(at, &format!("expected {wanted}, got {}", show(&next)));
            }
            if let Ok(message) = &next {
                self.transcript.received(message);
            }
            reason.to_owned()
        }
    }

    /// Waits for a Ping, past other messages: on the wire, a Ping may overtake these. Returns its payload. The client has
    /// answered already, unless it is [silent](Self::silence). A Ping that came before this call counts, if no other call has
    /// returned it.
    ///
    /// # Panics
    ///
    /// If none comes in time, or if the connection ends.
    #[track_caller]
    pub fn assert_ping(&mut self) -> impl Future<Output = Vec<u8>> {
        let at = Location::caller();
        async move { self.control(at, "a Ping", Message::is_ping).await.into_data() }
    }

    /// Waits for a Pong with this payload, past other messages: on the wire, a Pong may overtake these. A Pong that came before this
    /// call counts, if no other call has taken it.
    ///
    /// # Panics
    ///
    /// If none comes in time, or if the connection ends.
    #[track_caller]
    pub fn assert_pong(&mut self, payload: impl AsRef<[u8]>) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let wanted = Message::Pong(payload.as_ref().to_vec());
            self.control(at, &show::message(&wanted), |message| *message == wanted).await;
        }
    }

    /// Waits for this long. No text, no binary message and no Close must come, and the connection must stay open. Pings and Pongs
    /// may come.
    ///
    /// With paused time, this takes no time. With time that passes, it takes all of it, and shows little: something may come
    /// after it. Better send something that is answered, and assert that the answer comes next.
    ///
    /// # Panics
    ///
    /// If something comes, or if the client does not read, or reads slowly: then nothing could be seen.
    #[track_caller]
    pub fn assert_nothing(&mut self, within: Duration) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            if self.is_slow() {
                self.fail(at, "`assert_nothing` of a client that does not read everything shows nothing");
            }
            if let Ok(next) = timeout(within, self.inbox.message()).await {
                self.fail(at, &format!("expected nothing within {within:?}, got {}", show(&next)));
            }
        }
    }

    /// The next message, which must be a text. Not in the transcript yet, since the text may be wrong.
    pub(crate) async fn text(&mut self, at: Caller, wanted: &str) -> String {
        match self.next(at, wanted).await {
            Ok(Message::Text(text)) => text,
            other => self.fail(at, &format!("expected {wanted}, got {}", show(&other))),
        }
    }

    async fn binary(&mut self, at: Caller, wanted: &str) -> Vec<u8> {
        match self.next(at, wanted).await {
            Ok(Message::Binary(data)) => data,
            other => self.fail(at, &format!("expected {wanted}, got {}", show(&other))),
        }
    }

    /// The next message that is neither a Ping nor a Pong, or how the connection has ended.
    async fn next(&mut self, at: Caller, wanted: &str) -> Result<Message, End> {
        match timeout(self.timeout, self.inbox.message()).await {
            Ok(next) => {
                // The test sees the code of a panic: it is up to the test whether it is expected.
                if let (Ok(Message::Close(Some(frame))), Some(handler)) = (&next, &mut self.handler) {
                    handler.is_known |= frame.code == close_code::ERROR;
                }
                next
            }
            Err(_) => self.fail(at, &format!("expected {wanted}, and nothing came within {:?}", self.timeout)),
        }
    }

    async fn control(&mut self, at: Caller, wanted: &str, is_wanted: impl Fn(&Message) -> bool) -> Message {
        let what = match timeout(self.timeout, self.inbox.control(is_wanted)).await {
            Ok(Ok(message)) => {
                self.transcript.received(&message);
                return message;
            }
            Ok(Err(end)) => format!("expected {wanted}, got {}", end.show()),
            Err(_) => format!("expected {wanted}, and none came within {:?}", self.timeout),
        };
        self.fail(at, &what)
    }
}

fn show(next: &Result<Message, End>) -> String {
    match next {
        Ok(message) => show::message(message),
        Err(end) => end.show(),
    }
}
