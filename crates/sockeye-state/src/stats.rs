//! `Stats`: what a hub has done so far.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sockeye_tokio::PushedMany;

use crate::{CaughtUp, metrics};

/// How many members and rooms a hub has on this node, and what became of the messages sent through it. From
/// [`Hub::stats`](crate::Hub::stats).
///
/// Each counter counts from the start of the hub. A *delivery* is one message for one member. With the feature `metrics`, the
/// same numbers are reported to the `metrics` facade, under names that begin with `sockeye_hub_`.
///
/// ```
/// use sockeye_state::Hub;
///
/// let hub: Hub<String> = Hub::new();
/// let stats = hub.stats();
/// println!("{} members in {} rooms; {} messages did not fit", stats.members, stats.rooms, stats.overflowed);
/// # assert_eq!(stats.members, 0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Members at this moment.
    pub members: usize,
    /// Rooms with a member at this moment, or with messages on their way to members who have just left.
    pub rooms: usize,
    /// Messages that were accepted, each for any number of members.
    pub sent: u64,
    /// Messages that were refused, since too many were pending in their room: see
    /// [`Limits::pending_messages`](crate::Limits::pending_messages). No member of this node got them.
    pub refused: u64,
    /// Deliveries that were queued for their member.
    pub queued: u64,
    /// Deliveries that found the queue of their member full. The [`Overflow`](crate::Overflow) says what happened then.
    pub overflowed: u64,
    /// Deliveries that were dropped instead of being queued, since the queue was full.
    pub dropped: u64,
    /// Deliveries that were dropped after they had been queued: for newer messages by
    /// [`Overflow::DropOldest`](crate::Overflow::DropOldest), or with the whole queue by
    /// [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    pub displaced: u64,
    /// Members that were disconnected since their queue was full, by [`Overflow::Disconnect`](crate::Overflow::Disconnect).
    pub disconnected: u64,
    /// Deliveries to members whose connection was closing.
    pub closed: u64,
    /// Messages that were appended to histories by this node.
    pub appended: u64,
    /// Messages that were not appended to a history, or may not have been.
    pub append_failed: u64,
    /// Joins of members that came back with a position, and got all that they had missed.
    pub caught_up: u64,
    /// How often members may have missed messages: once for each join that found a gap in a history, and once for each gap that a
    /// room had, in its history or in what came from other nodes.
    pub gaps: u64,
    /// How often the node has read a part of a history from the broker.
    pub history_reads: u64,
    /// Messages of this node that the broker has taken for the members of other nodes, whether there are any or not: to rooms without a
    /// history, to members of other nodes, and Closes. A message to several rooms counts for each of them.
    pub published: u64,
    /// Messages for the members of other nodes that the broker has not taken, or may not have: it is away, or 1,024 messages or 4 MiB
    /// of the node are on their way already.
    pub publish_failed: u64,
    /// Messages of other nodes that have arrived for rooms or members of this node, by no history.
    pub arrived: u64,
    /// People at this moment in rooms with [presence](crate::Rooms::presence), with those who linger, each counted once for each
    /// room.
    pub people: usize,
    /// Observers of [presence](crate::Presence) at this moment.
    pub observers: usize,
    /// How often an observer was told all people instead of changes: since it had missed too many, or since what another node says
    /// had to be asked for as a whole.
    pub resets: u64,
    /// Other nodes at this moment that tell this one of the presence in their rooms.
    pub nodes: usize,
    /// How often another node has said that it is there, which each does every 2 seconds.
    pub heartbeats: u64,
    /// How often all that another node says of one of 64 parts of the rooms was asked for and has come: for rooms that are new
    /// here, and after something was lost.
    pub snapshots: u64,
    /// Frames of pages that were refused: see [`protocol`](crate::protocol).
    #[cfg(feature = "protocol")]
    pub protocol_errors: u64,
}

/// The counters of a hub.
#[derive(Default)]
pub(crate) struct Counters {
    sent: AtomicU64,
    refused: AtomicU64,
    queued: AtomicU64,
    overflowed: AtomicU64,
    dropped: AtomicU64,
    displaced: AtomicU64,
    disconnected: AtomicU64,
    closed: AtomicU64,
    #[cfg(feature = "protocol")]
    protocol_errors: AtomicU64,
    appended: AtomicU64,
    append_failed: AtomicU64,
    caught_up: AtomicU64,
    gaps: AtomicU64,
    history_reads: AtomicU64,
    published: AtomicU64,
    publish_failed: AtomicU64,
    arrived: AtomicU64,
}

/// What became of messages for several members.
#[derive(Debug, Default)]
pub(crate) struct Delivered {
    pub(crate) queued: u64,
    pub(crate) overflowed: u64,
    pub(crate) dropped: u64,
    pub(crate) displaced: u64,
    pub(crate) disconnected: u64,
    pub(crate) closed: u64,
}

impl Counters {
    pub(crate) fn sent(&self) {
        self.sent.fetch_add(1, Relaxed);
        metrics::sent();
    }

    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
        metrics::refused();
    }

    pub(crate) fn appended(&self) {
        self.appended.fetch_add(1, Relaxed);
        metrics::appended();
    }

    pub(crate) fn append_failed(&self) {
        self.append_failed.fetch_add(1, Relaxed);
        metrics::append_failed();
    }

    /// A member has joined a room with a history.
    pub(crate) fn caught_up(&self, caught_up: CaughtUp) {
        match caught_up {
            CaughtUp::Fresh => {}
            CaughtUp::Whole(_) => {
                self.caught_up.fetch_add(1, Relaxed);
                metrics::caught_up();
            }
            CaughtUp::Gap => self.gap(),
        }
    }

    pub(crate) fn gap(&self) {
        self.gaps.fetch_add(1, Relaxed);
        metrics::gap();
    }

    pub(crate) fn history_read(&self) {
        self.history_reads.fetch_add(1, Relaxed);
        metrics::history_read();
    }

    /// The broker has a message for other nodes.
    pub(crate) fn published(&self) {
        self.published.fetch_add(1, Relaxed);
        metrics::published();
    }

    /// The broker does not have a message for other nodes, or may not have it.
    pub(crate) fn publish_failed(&self) {
        self.publish_failed.fetch_add(1, Relaxed);
        metrics::publish_failed();
    }

    /// A message of another node has come.
    pub(crate) fn arrived(&self) {
        self.arrived.fetch_add(1, Relaxed);
        metrics::arrived();
    }

    /// Called without any lock, since a recorder of metrics and a subscriber of events are code of others.
    pub(crate) fn delivered(&self, delivered: &Delivered) {
        let Delivered { queued, overflowed, dropped, displaced, disconnected, closed } = *delivered;
        self.queued.fetch_add(queued, Relaxed);
        if overflowed + closed > 0 {
            self.overflowed.fetch_add(overflowed, Relaxed);
            self.dropped.fetch_add(dropped, Relaxed);
            self.displaced.fetch_add(displaced, Relaxed);
            self.disconnected.fetch_add(disconnected, Relaxed);
            self.closed.fetch_add(closed, Relaxed);
        }
        metrics::delivered(delivered);
        if overflowed > 0 {
            tracing::debug!(overflowed, dropped, displaced, disconnected, "some members read too slowly");
        }
    }

    /// A frame of a page was refused.
    #[cfg(feature = "protocol")]
    pub(crate) fn protocol_error(&self) {
        self.protocol_errors.fetch_add(1, Relaxed);
        metrics::protocol_error();
    }

    pub(crate) fn read(&self, members: usize, rooms: usize) -> Stats {
        Stats {
            members,
            rooms,
            sent: self.sent.load(Relaxed),
            refused: self.refused.load(Relaxed),
            queued: self.queued.load(Relaxed),
            overflowed: self.overflowed.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            displaced: self.displaced.load(Relaxed),
            disconnected: self.disconnected.load(Relaxed),
            closed: self.closed.load(Relaxed),
            #[cfg(feature = "protocol")]
            protocol_errors: self.protocol_errors.load(Relaxed),
            appended: self.appended.load(Relaxed),
            append_failed: self.append_failed.load(Relaxed),
            caught_up: self.caught_up.load(Relaxed),
            gaps: self.gaps.load(Relaxed),
            history_reads: self.history_reads.load(Relaxed),
            published: self.published.load(Relaxed),
            publish_failed: self.publish_failed.load(Relaxed),
            arrived: self.arrived.load(Relaxed),
            ..Stats::default()
        }
    }
}

impl Delivered {
    pub(crate) fn add(&mut self, pushed: PushedMany) {
        self.queued += pushed.queued as u64;
        self.overflowed += pushed.overflowed as u64;
        self.dropped += (pushed.dropped + pushed.invalid) as u64;
        self.displaced += pushed.displaced as u64;
        self.disconnected += u64::from(pushed.disconnected);
        self.closed += pushed.closed as u64;
    }
}
