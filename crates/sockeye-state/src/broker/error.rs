//! `BrokerError`: why a broker has not done what it was asked for.

use std::{error::Error, fmt, sync::Arc};

/// Why a broker has not done what it was asked for, or does not know whether it has. Cheap to clone.
///
/// Those who write brokers make the errors, with a text for people that says what was wrong, with which value, and what to do:
///
/// ```
/// use sockeye_state::BrokerError;
///
/// let source = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
/// let message = "redis.example:6379 refuses connections; check that the server runs";
/// let error = BrokerError::unavailable(message).with_source(source);
/// assert!(error.is_unavailable());
/// ```
#[derive(Clone)]
pub struct BrokerError {
    kind: Kind,
    message: Arc<str>,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Unavailable,
    Uncertain,
    Refused,
}

impl BrokerError {
    /// The system behind the broker cannot be reached or does not work, and nothing was done.
    pub fn unavailable(message: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::Unavailable, message.into())
    }

    /// The request was sent, no answer has come, and what was asked for may have been done or not.
    pub fn uncertain(message: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::Uncertain, message.into())
    }

    /// The broker will not do this, now or later, and nothing was done.
    pub fn refused(message: impl Into<Arc<str>>) -> Self {
        Self::new(Kind::Refused, message.into())
    }

    fn new(kind: Kind, message: Arc<str>) -> Self {
        Self { kind, message, source: None }
    }

    /// Adds the error that was the cause: [`Error::source`].
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Whether the broker could not be reached, so that nothing was done. Another try may succeed later.
    pub fn is_unavailable(&self) -> bool {
        self.kind == Kind::Unavailable
    }

    /// Whether nobody knows if what was asked for was done. An append can be repeated with the same
    /// [`Stamp`](crate::Stamp) within five minutes.
    pub fn is_uncertain(&self) -> bool {
        self.kind == Kind::Uncertain
    }

    /// Whether another try would fail in the same way.
    pub fn is_refused(&self) -> bool {
        self.kind == Kind::Refused
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Unavailable => "the broker is unavailable",
            Kind::Uncertain => "the broker may or may not have done what it was asked for",
            Kind::Refused => "the broker refuses",
        };
        write!(f, "{kind}: {}", self.message)
    }
}

impl fmt::Debug for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, message, source } = self;
        f.debug_struct("BrokerError").field("kind", kind).field("message", message).field("source", source).finish()
    }
}

impl Error for BrokerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
