//! `Inbox`: what has arrived at the client, and what the test has not taken yet.

use std::collections::VecDeque;

use sockeye_tokio::{CloseFrame, Message, proto};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::show;

/// What the reading task reports.
#[derive(Debug)]
pub(crate) enum Arrival {
    Message(Message),
    /// The stream has ended, with or without a Close before.
    End,
    /// The server broke the protocol, as RFC 6455 has it.
    Violation(proto::Error),
}

/// How a connection has ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// The server has sent a Close.
    Closed(Option<CloseFrame>),
    /// The stream has ended without a Close.
    Abrupt,
    Violation(proto::Error),
}

impl End {
    pub(crate) fn show(&self) -> String {
        match self {
            Self::Closed(frame) => format!("nothing more after {}", show::close(frame.as_ref())),
            Self::Abrupt => "the end of the stream, without a Close".to_owned(),
            Self::Violation(error) => format!("bytes that break the protocol: {error}"),
        }
    }
}

/// Pings and Pongs lie apart from the other messages: they may overtake these on the wire, so that their order says nothing.
#[derive(Debug)]
pub(crate) struct Inbox {
    arrivals: UnboundedReceiver<Arrival>,
    /// Texts, binary messages, and a Close as the last one.
    messages: VecDeque<Message>,
    controls: VecDeque<Message>,
    end: Option<End>,
}

impl Inbox {
    pub(crate) fn new(arrivals: UnboundedReceiver<Arrival>) -> Self {
        Self { arrivals, messages: VecDeque::new(), controls: VecDeque::new(), end: None }
    }

    /// The next text, binary message or Close. After the last one, how the connection has ended. Dropping the future loses
    /// nothing.
    pub(crate) async fn message(&mut self) -> Result<Message, End> {
        loop {
            if let Some(message) = self.messages.pop_front() {
                return Ok(message);
            }
            self.arrive().await?;
        }
    }

    /// The next Ping or Pong for which `wanted` is true, or how the connection has ended. Dropping the future loses nothing.
    pub(crate) async fn control(&mut self, wanted: impl Fn(&Message) -> bool) -> Result<Message, End> {
        loop {
            if let Some(message) = self.controls.iter().position(&wanted).and_then(|at| self.controls.remove(at)) {
                return Ok(message);
            }
            self.arrive().await?;
        }
    }

    async fn arrive(&mut self) -> Result<(), End> {
        if let Some(end) = &self.end {
            return Err(end.clone());
        }
        match self.arrivals.recv().await {
            Some(Arrival::Message(message @ (Message::Ping(_) | Message::Pong(_)))) => self.controls.push_back(message),
            Some(Arrival::Message(message)) => {
                if let Message::Close(frame) = &message {
                    self.end = Some(End::Closed(frame.clone()));
                }
                self.messages.push_back(message);
            }
            Some(Arrival::Violation(error)) => self.end = Some(End::Violation(error)),
            Some(Arrival::End) => self.end = Some(End::Abrupt),
            None => panic!("the client's own task has panicked"),
        }
        Ok(())
    }

    /// Waits until the stream has ended. What still arrives is dropped.
    pub(crate) async fn over(&mut self) {
        while self.arrivals.recv().await.is_some() {}
    }
}
