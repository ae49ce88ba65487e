//! Reports to the `metrics` facade. Without the feature `metrics`, the functions do nothing and cost nothing.

#[cfg(feature = "metrics")]
pub(crate) use self::on::*;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::*;

/// One of the two connections of a broker.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Link {
    Commands,
    Subscription,
}

/// What the server is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Publish,
    Append,
    Read,
    Tops,
    Subscribe,
}

#[cfg(feature = "metrics")]
mod on {
    use std::{
        sync::atomic::{AtomicBool, Ordering::Relaxed},
        time::Instant,
    };

    use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
    use sockeye_state::BrokerError;

    use super::{Kind, Link};

    const CONNECTIONS: &str = "sockeye_redis_connections";
    const CONNECTED: &str = "sockeye_redis_connected_total";
    const REQUESTS: &str = "sockeye_redis_requests_in_flight";
    const SECONDS: &str = "sockeye_redis_request_seconds";
    const FAILED: &str = "sockeye_redis_requests_failed_total";
    const LOST: &str = "sockeye_redis_lost_total";

    static IS_DESCRIBED: AtomicBool = AtomicBool::new(false);

    /// A connection that works. Dropping it says that the connection does not work any more.
    #[derive(Debug)]
    pub(crate) struct Connected(Link);

    /// A request that is under way. Dropping it says that nobody waits for the answer any more.
    #[derive(Debug)]
    pub(crate) struct Request {
        kind: Kind,
        start: Instant,
    }

    impl Connected {
        pub(crate) fn new(link: Link) -> Self {
            describe();
            gauge!(CONNECTIONS, "connection" => link.name()).increment(1.0);
            counter!(CONNECTED, "connection" => link.name()).increment(1);
            Self(link)
        }
    }

    impl Drop for Connected {
        fn drop(&mut self) {
            gauge!(CONNECTIONS, "connection" => self.0.name()).decrement(1.0);
        }
    }

    impl Request {
        pub(crate) fn new(kind: Kind) -> Self {
            gauge!(REQUESTS, "request" => kind.name()).increment(1.0);
            Self { kind, start: Instant::now() }
        }

        /// Counts the outcome.
        pub(crate) fn end<T>(self, outcome: Result<T, BrokerError>) -> Result<T, BrokerError> {
            let request = self.kind.name();
            match &outcome {
                Ok(_) => histogram!(SECONDS, "request" => request).record(self.start.elapsed()),
                Err(error) => counter!(FAILED, "request" => request, "reason" => reason(error)).increment(1),
            }
            outcome
        }
    }

    impl Drop for Request {
        fn drop(&mut self) {
            gauge!(REQUESTS, "request" => self.kind.name()).decrement(1.0);
        }
    }

    /// The node may have missed messages.
    pub(crate) fn lost() {
        counter!(LOST).increment(1);
    }

    impl Link {
        fn name(self) -> &'static str {
            match self {
                Self::Commands => "commands",
                Self::Subscription => "subscription",
            }
        }
    }

    impl Kind {
        fn name(self) -> &'static str {
            match self {
                Self::Publish => "publish",
                Self::Append => "append",
                Self::Read => "read",
                Self::Tops => "tops",
                Self::Subscribe => "subscribe",
            }
        }
    }

    fn reason(error: &BrokerError) -> &'static str {
        match error {
            error if error.is_refused() => "refused",
            error if error.is_uncertain() => "uncertain",
            _ => "unavailable",
        }
    }

    fn describe() {
        // Not a `LazyLock`, which other threads would wait for: a recorder may use a broker.
        if IS_DESCRIBED.swap(true, Relaxed) {
            return;
        }
        describe_gauge!(CONNECTIONS, Unit::Count, "Connections to Redis that work");
        describe_counter!(CONNECTED, Unit::Count, "Connections to Redis that were opened, each time anew");
        describe_gauge!(REQUESTS, Unit::Count, "Requests to Redis that are not answered yet");
        describe_histogram!(SECONDS, Unit::Seconds, "Time from a request to the answer of Redis, with all tries");
        describe_counter!(FAILED, Unit::Count, "Requests to Redis that have failed, with all tries");
        describe_counter!(LOST, Unit::Count, "Times when a node may have missed messages of Redis");
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use sockeye_state::BrokerError;

    use super::{Kind, Link};

    #[derive(Debug)]
    pub(crate) struct Connected;

    #[derive(Debug)]
    pub(crate) struct Request;

    impl Connected {
        pub(crate) fn new(_link: Link) -> Self {
            Self
        }
    }

    impl Request {
        pub(crate) fn new(_kind: Kind) -> Self {
            Self
        }

        pub(crate) fn end<T>(self, outcome: Result<T, BrokerError>) -> Result<T, BrokerError> {
            outcome
        }
    }

    pub(crate) fn lost() {}
}
