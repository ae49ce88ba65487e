//! `JsonOptions`: which messages are read as JSON.

/// Which messages `recv_json_with` reads as JSON. By default, text messages alone: a page that sends a string makes a text
/// message, and a binary message is more often a file by mistake than JSON.
///
/// ```
/// use sockeye_tokio::{JsonOptions, WebSocket};
///
/// const EITHER: JsonOptions = JsonOptions::new().accept_binary();
///
/// async fn sum(mut socket: WebSocket) -> u64 {
///     let mut sum = 0;
///     while let Some(Ok(number)) = socket.recv_json_with::<u32>(EITHER).await {
///         sum += u64::from(number);
///     }
///     sum
/// }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JsonOptions {
    pub(super) accepts_binary: bool,
}

impl JsonOptions {
    /// Text messages alone.
    pub const fn new() -> Self {
        Self { accepts_binary: false }
    }

    /// Also reads binary messages as JSON, which must then be UTF-8: for clients that send the bytes of their encoder as they
    /// are.
    #[must_use]
    pub const fn accept_binary(self) -> Self {
        Self { accepts_binary: true }
    }
}
