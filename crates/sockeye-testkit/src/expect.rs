//! What a [`Peer`] can expect. Each method panics with what came instead.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::frame::{LengthForm, opcode};
use crate::peer::Peer;
use crate::raw::RawFrame;

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// A frame that must come.
    ///
    /// # Panics
    ///
    /// When none comes.
    pub async fn expect_frame(&mut self) -> RawFrame {
        self.read_frame().await.expect("expected a frame, got the end of the stream")
    }

    /// A whole text message that must come.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_text(&mut self, text: &str) {
        self.expect(opcode::TEXT, text.as_bytes()).await;
    }

    /// A whole binary message that must come.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_binary(&mut self, payload: impl AsRef<[u8]>) {
        self.expect(opcode::BINARY, payload.as_ref()).await;
    }

    /// A Ping that must come.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_ping(&mut self, payload: impl AsRef<[u8]>) {
        self.expect(opcode::PING, payload.as_ref()).await;
    }

    /// A Pong that must come.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_pong(&mut self, payload: impl AsRef<[u8]>) {
        self.expect(opcode::PONG, payload.as_ref()).await;
    }

    /// A Close with this code that must come; its reason is returned.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_close(&mut self, code: u16) -> String {
        let frame = self.expect_frame().await;
        assert!(frame.is_plain(opcode::CLOSE), "expected a Close with {code}, got {frame:?}");
        assert_eq!(frame.close_code(), Some(code), "expected a Close with {code}, got {frame:?}");
        frame.close_reason().to_owned()
    }

    /// A Close without payload that must come.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_close_empty(&mut self) {
        self.expect(opcode::CLOSE, b"").await;
    }

    /// The end of the stream, which must come next.
    ///
    /// # Panics
    ///
    /// When a frame comes or the stream fails.
    pub async fn expect_eof(&mut self) {
        if let Some(frame) = self.read_frame().await {
            panic!("expected the end of the stream, got {frame:?}");
        }
    }

    /// A failing stream, which must come next.
    ///
    /// # Panics
    ///
    /// When a frame or the end comes.
    pub async fn expect_reset(&mut self) -> io::Error {
        match self.try_read_frame().await {
            Err(error) => error,
            Ok(Some(frame)) => panic!("expected a reset, got {frame:?}"),
            Ok(None) => panic!("expected a reset, got the end of the stream"),
        }
    }

    /// Nothing must come for this long. It is meant for a paused clock.
    ///
    /// # Panics
    ///
    /// When a frame or the end comes, or the stream fails.
    pub async fn expect_silence(&mut self, time: Duration) {
        match timeout(time, self.try_read_frame()).await {
            Err(_) => {}
            Ok(Ok(Some(frame))) => panic!("expected silence for {time:?}, got {frame:?}"),
            Ok(Ok(None)) => panic!("expected silence for {time:?}, got the end of the stream"),
            Ok(Err(error)) => panic!("expected silence for {time:?}, got {error}"),
        }
    }

    async fn expect(&mut self, opcode: u8, payload: &[u8]) {
        let frame = self.expect_frame().await;
        let form = LengthForm::minimal(payload.len() as u64);
        let wanted = RawFrame { fin: true, rsv: [false; 3], opcode, mask: frame.mask, form, payload: payload.to_vec() };
        assert!(frame == wanted, "expected {wanted:?}, got {frame:?}");
        assert!(frame.mask.is_some() != self.masks(), "masked by the wrong side: {frame:?}");
    }
}
