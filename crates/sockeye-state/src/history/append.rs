//! Appending to a history: the public options, the future, and what can go wrong.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sockeye_proto::PreparedMessage;
use tokio::sync::oneshot;

use super::{History, appends::Answer};
use crate::{BrokerError, MemberId, NameError, Stamp, name};

/// What [`Room::append_with`](crate::Room::append_with) does beyond [`Room::append`](crate::Room::append).
///
/// ```
/// use sockeye_state::{AppendError, AppendOptions, MemberId, Position, Room, Stamp};
///
/// async fn say(room: &Room<String>, from: MemberId, text: &str, id: [u8; 16]) -> Result<Position, AppendError> {
///     let once = AppendOptions::new().stamp(Stamp::new(id)).except(from);
///     room.append_with(text, once).await
/// }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct AppendOptions {
    pub(crate) stamp: Option<Stamp>,
    pub(crate) except: Vec<MemberId>,
}

impl AppendOptions {
    /// As [`Room::append`](crate::Room::append).
    pub fn new() -> Self {
        Self::default()
    }

    /// The idempotency key of the message: a second append with the same stamp changes nothing and returns the position of the
    /// first. For messages that a client sends again when it got no answer. Brokers remember stamps for five minutes. Default: a
    /// stamp of this node's own, so that each append is another message.
    pub fn stamp(mut self, stamp: Stamp) -> Self {
        self.stamp = Some(stamp);
        self
    }

    /// This member does not get the message while it is in the room; its position moves on all the same. If it catches up later,
    /// the message is among those that it gets.
    pub fn except(mut self, member: MemberId) -> Self {
        if !self.except.contains(&member) {
            self.except.push(member);
        }
        self
    }
}

/// Why a message was not appended to a history, or may not have been.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// No room can have this name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The room has no history, so its messages have no positions: [`Room::send`](crate::Room::send) sends to it.
    #[error("the room {room:?} has no history; give its prefix one with Rooms::history, or use send")]
    NoHistory {
        /// The name of the room.
        room: Arc<str>,
    },
    /// The broker is away, or slower than the node, and too many messages wait for it. Nothing was appended.
    #[error(
        "{messages} messages with {bytes} bytes wait for the broker, which is the most that may; nothing was appended, try again later"
    )]
    QueueFull {
        /// How many messages wait.
        messages: usize,
        /// How many bytes they have.
        bytes: usize,
    },
    /// The broker did not answer for as long as a message may wait, which is a minute. Nothing was appended.
    #[error("nothing was appended, and the message is not sent any more; try again: {0}")]
    Unavailable(#[source] BrokerError),
    /// The broker got the message, and did not answer for a minute. It may have been appended. An append with the same
    /// [stamp](AppendOptions::stamp) finds out.
    #[error("the message may have been appended; appending it again with the same stamp finds out: {0}")]
    Uncertain(#[source] BrokerError),
    /// The broker does not accept the message, for example since the message is too large. Nothing was appended.
    #[error("nothing was appended: {0}")]
    Refused(#[source] BrokerError),
}

impl AppendError {
    /// Whether the message may have been appended.
    pub fn is_uncertain(&self) -> bool {
        matches!(self, Self::Uncertain(_))
    }
}

/// The future of [`Room::append`](crate::Room::append).
#[must_use = "nothing is appended before the future is polled"]
pub struct Appending(Step);

enum Step {
    Unsent(Unsent),
    Waiting(oneshot::Receiver<Answer>),
    Done,
}

struct Unsent {
    /// `None` if the hub has no room with a history.
    history: Option<Arc<History>>,
    room: Arc<str>,
    message: PreparedMessage,
    options: AppendOptions,
}

impl Appending {
    pub(crate) fn new(
        history: Option<Arc<History>>,
        room: &str,
        message: PreparedMessage,
        options: AppendOptions,
    ) -> Self {
        Self(Step::Unsent(Unsent { history, room: room.into(), message, options }))
    }
}

impl Unsent {
    fn send(self) -> Result<oneshot::Receiver<Answer>, AppendError> {
        let Self { history, room, message, options } = self;
        name::check(&room)?;
        let Some((history, keep)) = history.and_then(|history| history.keep(&room).map(|keep| (history, keep))) else {
            return Err(AppendError::NoHistory { room });
        };
        let (answer, answered) = oneshot::channel();
        history.append(room, keep, &message, options, Some(answer))?;
        Ok(answered)
    }
}

impl Future for Appending {
    type Output = Answer;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let this = self.get_mut();
        if let Step::Unsent(_) = this.0 {
            let Step::Unsent(unsent) = std::mem::replace(&mut this.0, Step::Done) else {
                unreachable!("just looked at")
            };
            match unsent.send() {
                Ok(answered) => this.0 = Step::Waiting(answered),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        let Step::Waiting(answered) = &mut this.0 else { panic!("polled after it was done") };
        Pin::new(answered).poll(cx).map(|answer| {
            answer.unwrap_or_else(|_| {
                Err(AppendError::Uncertain(BrokerError::uncertain(
                    "the runtime of the hub has ended; start another one",
                )))
            })
        })
    }
}

impl fmt::Debug for Appending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Appending").finish_non_exhaustive()
    }
}
