//! What can be set before a connection is opened.

use std::{fmt, sync::Arc, time::Duration};

use sockeye_state::BrokerError;

use crate::{
    Redis,
    commands::Commands,
    health::HealthRecord,
    server::{Server, Times},
};

/// The longest wait between attempts to connect that can be set.
const MAX_BACKOFF: Duration = Duration::from_secs(1);

/// The longest time for a request: a request is tried again within it, and a stamp is remembered for 5 minutes.
const MAX_REQUEST: Duration = Duration::from_secs(60);

/// Until a connection that does not answer is taken for broken.
const RESPONSE: Duration = Duration::from_secs(3);

/// What can be set before a connection is opened. From [`Redis::builder`].
///
/// ```no_run
/// use sockeye_redis::Redis;
/// use std::time::Duration;
///
/// # async fn run() -> Result<(), sockeye_state::BrokerError> {
/// let broker = Redis::builder("rediss://chat:secret@redis.example:6380/2")
///     .request_timeout(Duration::from_secs(10))
///     .connect()
///     .await?;
/// # let _ = broker;
/// # Ok(())
/// # }
/// ```
#[must_use = "a builder does nothing until `connect`"]
pub struct Builder {
    url: String,
    connect: Duration,
    request: Duration,
    max_backoff: Duration,
}

impl Builder {
    pub(crate) fn new(url: String) -> Self {
        Self { url, connect: Duration::from_secs(2), request: Duration::from_secs(5), max_backoff: MAX_BACKOFF }
    }

    /// How long an attempt to connect may take, with the look-up of the name, TLS and authentication. Default: 2 s.
    pub fn connect_timeout(mut self, time: Duration) -> Self {
        self.connect = time;
        self
    }

    /// How long an append, a read or a subscription may take, with all tries. Default: 5 s, which is as long as the server may
    /// be away without an error. At most 60 s, so that a retry is never later than the server remembers the first try.
    pub fn request_timeout(mut self, time: Duration) -> Self {
        self.request = time;
        self
    }

    /// The longest wait between two attempts to connect; a half of each wait is random. The first wait is 50 ms, and each is
    /// twice as long as the one before. Default: 1 s, which is also the most.
    pub fn max_backoff(mut self, time: Duration) -> Self {
        self.max_backoff = time;
        self
    }

    /// Connects to the server.
    ///
    /// # Errors
    ///
    /// [`BrokerError::is_refused`] if the URL cannot be read, a time is out of range, or the server refuses the credentials;
    /// [`BrokerError::is_unavailable`] if the server cannot be reached, is a replica, or is loading its data. No text of an
    /// error has the credentials.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime with time and I/O.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub async fn connect(self) -> Result<Redis, BrokerError> {
        let Self { url, connect, request, max_backoff } = self;
        check("connect_timeout", connect, MAX_REQUEST)?;
        check("request_timeout", request, MAX_REQUEST)?;
        check("max_backoff", max_backoff, MAX_BACKOFF)?;
        let times =
            Times { connect, response: RESPONSE.min(request), request, max_backoff, silence: Duration::from_secs(5) };
        let server = Arc::new(Server::new(&url, times)?);
        let health = Arc::new(HealthRecord::new());
        let commands = Commands::open(Arc::clone(&server), Arc::clone(&health)).await?;
        Ok(Redis::new(server, Arc::new(commands), health))
    }
}

fn check(name: &str, time: Duration, max: Duration) -> Result<(), BrokerError> {
    match time.is_zero() || time > max {
        true => Err(BrokerError::refused(format!("{name} is {time:?}; expected more than 0 and at most {max:?}"))),
        false => Ok(()),
    }
}

impl fmt::Debug for Builder {
    /// Without the URL, which may have credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("connect_timeout", &self.connect)
            .field("request_timeout", &self.request)
            .field("max_backoff", &self.max_backoff)
            .finish_non_exhaustive()
    }
}
