//! `Options`: the limits and times of the protocol.

use std::{ops::RangeInclusive, time::Duration};

use sockeye_tokio::WebSocket;

use super::{Authenticate, Policy, serving};
use crate::Hub;

/// The limits and times of a connection that speaks [the protocol](super). The functions [`serve`](super::serve) and
/// [`serve_with_auth`](super::serve_with_auth) use the defaults.
///
/// ```
/// use std::time::Duration;
/// use sockeye_state::{Hub, protocol::{Options, Policy}};
/// use sockeye_tokio::WebSocket;
///
/// async fn editor(socket: WebSocket, hub: Hub<String>, user: String, policy: impl Policy<String>) {
///     // Documents are pasted in one message.
///     let options = Options::new().max_frame_size(1 << 20).heartbeat_interval(Duration::from_secs(10));
///     options.serve(socket, hub, user, policy).await;
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "options do nothing before `serve`"]
pub struct Options {
    pub(super) max_frame_size: usize,
    pub(super) auth_within: Duration,
    pub(super) heartbeat: Duration,
    pub(super) unanswered: usize,
    pub(super) joins: u32,
    pub(super) catch_ups: u32,
    pub(super) come_back: RangeInclusive<Duration>,
}

/// Practically for ever; sums with this value do not overflow.
const FOR_EVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

const fn finite(time: Duration) -> Duration {
    if time.as_secs() < FOR_EVER.as_secs() { time } else { FOR_EVER }
}

impl Options {
    /// The defaults, as stated at each setter.
    pub const fn new() -> Self {
        Self {
            max_frame_size: 64 << 10,
            auth_within: Duration::from_secs(10),
            heartbeat: Duration::from_secs(25),
            unanswered: 16,
            joins: 20,
            catch_ups: 10,
            come_back: Duration::from_millis(500)..=Duration::from_secs(8),
        }
    }

    /// The longest frame of a page, in bytes. A longer one is answered with an error, and the connection stays open. Default 64 KiB:
    /// far more than a line of a chat, and little for one of many thousand connections.
    ///
    /// The connection receives a longer message before it is refused. So set
    /// [`max_message_size`](sockeye_tokio::Config::max_message_size), too: beyond that, the connection is closed with 1009.
    pub const fn max_frame_size(mut self, bytes: usize) -> Self {
        self.max_frame_size = bytes;
        self
    }

    /// How long [`serve_with_auth`](super::serve_with_auth) waits for the token. Default 10 s: enough for a slow network, and too short to
    /// collect many connections that are nobody.
    pub const fn auth_within(mut self, time: Duration) -> Self {
        self.auth_within = finite(time);
        self
    }

    /// How often the page hears `hb`, by which it knows that the connection lives: a page cannot see Pings. Default 25 s. The JavaScript
    /// file takes a connection for dead after 40 s of silence. Zero counts as one millisecond.
    pub const fn heartbeat_interval(mut self, time: Duration) -> Self {
        self.heartbeat = if time.is_zero() { Duration::from_millis(1) } else { finite(time) };
        self
    }

    /// How many messages of a page may be without an answer. With so many, nothing more is read from the page until one is answered.
    /// Default 16. Zero counts as one.
    pub const fn max_unanswered(mut self, messages: usize) -> Self {
        self.unanswered = if messages == 0 { 1 } else { messages };
        self
    }

    /// How many rooms in a second a connection may join, each of which may cost a subscription at the broker. After a pause, as many as
    /// a member [may be in](crate::Limits::rooms_per_member) go at once; further ones wait their turn. Default 20: more than a person
    /// opens, and little for a broker, also if many pages misbehave. Zero counts as one.
    pub const fn joins_per_second(mut self, rooms: u32) -> Self {
        self.joins = if rooms == 0 { 1 } else { rooms };
        self
    }

    /// How many rooms in a second a connection may join with a position, each of which may cost a read of the history. So many go at
    /// once after a pause; further ones wait their turn. Default 10. Zero counts as one.
    pub const fn catch_ups_per_second(mut self, rooms: u32) -> Self {
        self.catch_ups = if rooms == 0 { 1 } else { rooms };
        self
    }

    /// When a page may come back after a shutdown: at a random time of this range after its connection has ended, so that not all
    /// come in the same second. Default 0.5 to 8 s.
    pub const fn come_back(mut self, range: RangeInclusive<Duration>) -> Self {
        self.come_back = range;
        self
    }

    /// As [`serve`](super::serve), with these options.
    ///
    /// # Cancel safety
    ///
    /// As for [`serve`](super::serve).
    pub async fn serve<T: Send + Sync + 'static, P: Policy<T>>(
        self,
        socket: WebSocket,
        hub: Hub<T>,
        value: T,
        policy: P,
    ) {
        serving::serve(socket, hub, value, &policy, &self).await;
    }

    /// As [`serve_with_auth`](super::serve_with_auth), with these options.
    ///
    /// # Cancel safety
    ///
    /// As for [`serve_with_auth`](super::serve_with_auth).
    pub async fn serve_with_auth<T: Send + Sync + 'static, P: Authenticate<T>>(
        self,
        socket: WebSocket,
        hub: Hub<T>,
        policy: P,
    ) {
        serving::serve_with_auth(socket, hub, &policy, &self).await;
    }
}

impl Default for Options {
    /// As [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}
