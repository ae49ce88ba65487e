//! What the panic of an assertion says: messages and endings as text, and what came before.

use std::{collections::VecDeque, fmt::Write as _};

use sockeye_tokio::{CloseFrame, Message};

/// The most bytes of a text that are shown.
const TEXT: usize = 400;
/// The most bytes of a binary payload that are shown.
const BINARY: usize = 32;
/// How many messages before the one at fault are shown.
const BEFORE: usize = 8;

pub(crate) fn message(message: &Message) -> String {
    match message {
        Message::Text(text) => format!("the text {}", quoted(text)),
        Message::Binary(data) => format!("the binary message {}", bytes(data)),
        Message::Ping(data) => format!("a Ping with {}", bytes(data)),
        Message::Pong(data) => format!("a Pong with {}", bytes(data)),
        Message::Close(frame) => close(frame.as_ref()),
    }
}

pub(crate) fn close(frame: Option<&CloseFrame>) -> String {
    frame.map_or_else(|| "a Close without a code".to_owned(), |frame| format!("the Close {frame}"))
}

/// A text in quotes, cut if it is long.
pub(crate) fn quoted(text: &str) -> String {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    match end < text.len() {
        true => format!("{:?}… ({} bytes)", &text[..end], text.len()),
        false => format!("{text:?}"),
    }
}

/// A payload in hexadecimal digits, cut if it is long.
pub(crate) fn bytes(data: &[u8]) -> String {
    let shown = &data[..data.len().min(BINARY)];
    let more = if shown.len() < data.len() { "…" } else { "" };
    let mut digits = String::new();
    for byte in shown {
        let _ = write!(digits, "{byte:02x} ");
    }
    format!("[{}{more}] ({} bytes)", digits.trim_end(), data.len())
}

/// Where two payloads differ, if the text of a panic may be cut before that.
pub(crate) fn difference(expected: &[u8], received: &[u8], shown: usize) -> String {
    let same = expected.iter().zip(received).take_while(|(expected, received)| expected == received).count();
    match same < shown {
        true => String::new(),
        false => format!("; the first difference is at byte {same}"),
    }
}

pub(crate) fn text_difference(expected: &str, received: &str) -> String {
    difference(expected.as_bytes(), received.as_bytes(), TEXT)
}

pub(crate) fn binary_difference(expected: &[u8], received: &[u8]) -> String {
    difference(expected, received, BINARY)
}

/// The last messages that a test has sent and received.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    last: VecDeque<(&'static str, Message)>,
    /// How many came before those in `last`.
    earlier: usize,
}

impl Transcript {
    pub(crate) fn sent(&mut self, message: &Message) {
        self.add("sent", message);
    }

    pub(crate) fn received(&mut self, message: &Message) {
        self.add("received", message);
    }

    fn add(&mut self, direction: &'static str, message: &Message) {
        if self.last.len() == BEFORE {
            self.last.pop_front();
            self.earlier += 1;
        }
        self.last.push_back((direction, message.clone()));
    }

    /// The lines of a panic's text.
    pub(crate) fn lines(&self) -> String {
        if self.last.is_empty() {
            return "\n  before: nothing".to_owned();
        }
        let mut lines = "\n  before:".to_owned();
        if self.earlier > 0 {
            let _ = write!(lines, "\n    {} earlier messages", self.earlier);
        }
        for (direction, message) in &self.last {
            let _ = write!(lines, "\n    {direction} {}", self::message(message));
        }
        lines
    }
}
