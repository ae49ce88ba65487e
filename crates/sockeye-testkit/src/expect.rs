//! What a [`Peer`] can expect. Each method panics if something else comes, and says what came instead.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use crate::frame::{LengthForm, opcode};
use crate::peer::Peer;
use crate::raw::RawFrame;

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    /// Reads a frame, which must come.
    ///
    /// # Panics
    ///
    /// When no frame comes.
    pub async fn expect_frame(&mut self) -> RawFrame {
        self.read_frame().await.expect("expected a frame, got the end of the stream")
    }

    /// Reads a frame, which must be this text message: whole, with the shortest form of the length, and masked if and only if a
    /// client sent it.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_text(&mut self, text: &str) {
        self.expect(opcode::TEXT, text.as_bytes()).await;
    }

    /// Reads a frame, which must be this binary message: whole, with the shortest form of the length, and masked if and only if
    /// a client sent it.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_binary(&mut self, payload: impl AsRef<[u8]>) {
        self.expect(opcode::BINARY, payload.as_ref()).await;
    }

    /// Reads a frame, which must be a Ping with this payload.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_ping(&mut self, payload: impl AsRef<[u8]>) {
        self.expect(opcode::PING, payload.as_ref()).await;
    }

    /// Reads a frame, which must be a Pong with this payload.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_pong(&mut self, payload: impl AsRef<[u8]>) {
        self.expect(opcode::PONG, payload.as_ref()).await;
    }

    /// Reads a frame, which must be a Close with this code. Returns the reason of the Close.
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

    /// Reads a frame, which must be a Close without payload.
    ///
    /// # Panics
    ///
    /// When something else comes.
    pub async fn expect_close_empty(&mut self) {
        self.expect(opcode::CLOSE, b"").await;
    }

    /// Reads the end of the stream, which must come next.
    ///
    /// # Panics
    ///
    /// When a frame comes or the stream fails.
    pub async fn expect_eof(&mut self) {
        if let Some(frame) = self.read_frame().await {
            panic!("expected the end of the stream, got {frame:?}");
        }
    }

    /// Reads from the stream, which must fail. Returns the error.
    ///
    /// # Panics
    ///
    /// When a frame or the end of the stream comes.
    pub async fn expect_reset(&mut self) -> io::Error {
        match self.try_read_frame().await {
            Err(error) => error,
            Ok(Some(frame)) => panic!("expected a reset, got {frame:?}"),
            Ok(None) => panic!("expected a reset, got the end of the stream"),
        }
    }

    /// Waits for this long, while nothing must come. Use a paused clock, so that the test need not wait.
    ///
    /// # Panics
    ///
    /// When a frame or the end of the stream comes, or the stream fails.
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
