//! Why a message was not queued.

use sockeye_proto::Outgoing;
use thiserror::Error;

use crate::Error;

/// Why [`Sender::try_send`](crate::Sender::try_send) did not queue a message, with that message.
///
/// ```
/// use sockeye_tokio::{Message, Sender, TrySendError};
///
/// fn tell(client: &Sender, news: &str) {
///     match client.try_send(Message::text(news)) {
///         Err(TrySendError::Full(_)) => println!("it reads too slowly, and misses this"),
///         Err(error) => println!("{error}"),
///         Ok(()) => {}
///     }
/// }
/// ```
#[derive(Debug, Error)]
pub enum TrySendError {
    /// The message would exceed [`max_write_buffer_size`](crate::Config::max_write_buffer_size): the peer reads too slowly.
    #[error("the queue of the connection is full: its peer reads too slowly")]
    Full(Outgoing),
    /// Sending is no longer possible.
    #[error("{1}")]
    Closed(Outgoing, #[source] Error),
    /// The message can never be sent: it breaks a rule of the RFC.
    #[error("{1}")]
    Invalid(Outgoing, #[source] Error),
}
