//! Reports to the `metrics` facade. Without the feature `metrics`, the functions do nothing and cost nothing.

use crate::stats::Delivered;

#[cfg(feature = "metrics")]
pub(crate) use self::on::*;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::*;

#[cfg(feature = "metrics")]
mod on {
    use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

    use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

    use super::Delivered;

    const MEMBERS: &str = "sockeye_hub_members";
    const SENT: &str = "sockeye_hub_messages_sent_total";
    const REFUSED: &str = "sockeye_hub_messages_refused_total";
    const QUEUED: &str = "sockeye_hub_deliveries_queued_total";
    const OVERFLOWED: &str = "sockeye_hub_deliveries_overflowed_total";
    const DROPPED: &str = "sockeye_hub_deliveries_dropped_total";
    const DISPLACED: &str = "sockeye_hub_deliveries_displaced_total";
    const CLOSED: &str = "sockeye_hub_deliveries_closed_total";
    const DISCONNECTED: &str = "sockeye_hub_members_disconnected_total";
    const APPENDED: &str = "sockeye_hub_history_appended_total";
    const APPEND_FAILED: &str = "sockeye_hub_history_append_failed_total";
    const CAUGHT_UP: &str = "sockeye_hub_history_caught_up_total";
    const GAPS: &str = "sockeye_hub_history_gaps_total";
    const HISTORY_READS: &str = "sockeye_hub_history_reads_total";
    const PUBLISHED: &str = "sockeye_hub_published_total";
    const PUBLISH_FAILED: &str = "sockeye_hub_publish_failed_total";
    const ARRIVED: &str = "sockeye_hub_arrived_total";
    const PEOPLE: &str = "sockeye_hub_people";
    const OBSERVERS: &str = "sockeye_hub_presence_observers";
    const RESETS: &str = "sockeye_hub_presence_resets_total";
    const NODES: &str = "sockeye_hub_presence_nodes";
    const HEARTBEATS: &str = "sockeye_hub_presence_heartbeats_total";
    const SNAPSHOTS: &str = "sockeye_hub_presence_snapshots_total";

    #[cfg(feature = "protocol")]
    const PROTOCOL_ERRORS: &str = "sockeye_hub_protocol_errors_total";

    static IS_DESCRIBED: AtomicBool = AtomicBool::new(false);

    pub(crate) fn members(change: f64) {
        describe();
        gauge!(MEMBERS).increment(change);
    }

    pub(crate) fn people(change: f64) {
        gauge!(PEOPLE).increment(change);
    }

    pub(crate) fn observers(change: f64) {
        // A room may be observed before anybody is in the hub.
        describe();
        gauge!(OBSERVERS).increment(change);
    }

    pub(crate) fn reset() {
        counter!(RESETS).increment(1);
    }

    pub(crate) fn nodes(change: f64) {
        // Other nodes may be there before anybody is in the hub.
        describe();
        gauge!(NODES).increment(change);
    }

    pub(crate) fn heartbeat() {
        counter!(HEARTBEATS).increment(1);
    }

    pub(crate) fn snapshot() {
        counter!(SNAPSHOTS).increment(1);
    }

    pub(crate) fn sent() {
        counter!(SENT).increment(1);
    }

    pub(crate) fn refused() {
        counter!(REFUSED).increment(1);
    }

    #[cfg(feature = "protocol")]
    pub(crate) fn protocol_error() {
        counter!(PROTOCOL_ERRORS).increment(1);
    }

    pub(crate) fn appended() {
        counter!(APPENDED).increment(1);
    }

    pub(crate) fn append_failed() {
        counter!(APPEND_FAILED).increment(1);
    }

    pub(crate) fn caught_up() {
        counter!(CAUGHT_UP).increment(1);
    }

    pub(crate) fn gap() {
        counter!(GAPS).increment(1);
    }

    pub(crate) fn published() {
        counter!(PUBLISHED).increment(1);
    }

    pub(crate) fn publish_failed() {
        counter!(PUBLISH_FAILED).increment(1);
    }

    pub(crate) fn arrived() {
        counter!(ARRIVED).increment(1);
    }

    pub(crate) fn history_read() {
        counter!(HISTORY_READS).increment(1);
    }

    pub(crate) fn delivered(delivered: &Delivered) {
        let Delivered { queued, overflowed, dropped, displaced, disconnected, closed } = *delivered;
        for (name, count) in [
            (QUEUED, queued),
            (OVERFLOWED, overflowed),
            (DROPPED, dropped),
            (DISPLACED, displaced),
            (DISCONNECTED, disconnected),
            (CLOSED, closed),
        ] {
            if count > 0 {
                counter!(name).increment(count);
            }
        }
    }

    fn describe() {
        // Not a `LazyLock`, which other threads would wait for: a recorder may use a hub.
        if IS_DESCRIBED.swap(true, Relaxed) {
            return;
        }
        describe_gauge!(MEMBERS, Unit::Count, "Members of hubs");
        describe_counter!(SENT, Unit::Count, "Messages that hubs accepted, each for any number of members");
        describe_counter!(REFUSED, Unit::Count, "Messages that were refused since too many were pending in their room");
        describe_counter!(QUEUED, Unit::Count, "Messages that were queued for a member, counted for each member");
        describe_counter!(OVERFLOWED, Unit::Count, "Messages that found the queue of a member full");
        describe_counter!(DROPPED, Unit::Count, "Messages that a member did not get since its queue was full");
        describe_counter!(
            DISPLACED,
            Unit::Count,
            "Messages that were dropped from the queue of a member, for newer ones or with the whole queue"
        );
        describe_counter!(CLOSED, Unit::Count, "Messages for members whose connection was closing");
        #[cfg(feature = "protocol")]
        describe_counter!(PROTOCOL_ERRORS, Unit::Count, "Frames of sockeye.rooms.v1 that were refused");
        describe_counter!(DISCONNECTED, Unit::Count, "Members that were disconnected since their queue was full");
        describe_counter!(APPENDED, Unit::Count, "Messages that were appended to histories");
        describe_counter!(
            APPEND_FAILED,
            Unit::Count,
            "Messages that were not appended to a history, or may not have been"
        );
        describe_counter!(CAUGHT_UP, Unit::Count, "Members that came back to a room and got all that they had missed");
        describe_counter!(
            GAPS,
            Unit::Count,
            "Joins and rooms with messages that members may have missed and cannot get"
        );
        describe_counter!(HISTORY_READS, Unit::Count, "Parts of histories that were read from the broker");
        describe_counter!(PUBLISHED, Unit::Count, "Messages for members of other nodes that the broker has taken");
        describe_counter!(
            PUBLISH_FAILED,
            Unit::Count,
            "Messages for members of other nodes that the broker has not taken, or may not have"
        );
        describe_counter!(ARRIVED, Unit::Count, "Messages of other nodes for rooms or members here, by no history");
        describe_gauge!(PEOPLE, Unit::Count, "People in rooms with presence, counted for each room");
        describe_gauge!(OBSERVERS, Unit::Count, "Observers of the presence of rooms");
        describe_counter!(RESETS, Unit::Count, "Observers of presence that were told all people instead of changes");
        describe_gauge!(NODES, Unit::Count, "Other nodes that tell this one of presence");
        describe_counter!(HEARTBEATS, Unit::Count, "Messages by which another node says that it is there");
        describe_counter!(SNAPSHOTS, Unit::Count, "Parts of the presence of other nodes that were asked for and came");
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use super::Delivered;

    pub(crate) fn members(_change: f64) {}
    pub(crate) fn people(_change: f64) {}
    pub(crate) fn observers(_change: f64) {}
    pub(crate) fn reset() {}
    pub(crate) fn nodes(_change: f64) {}
    pub(crate) fn heartbeat() {}
    pub(crate) fn snapshot() {}
    pub(crate) fn sent() {}
    pub(crate) fn refused() {}
    #[cfg(feature = "protocol")]
    pub(crate) fn protocol_error() {}
    pub(crate) fn appended() {}
    pub(crate) fn append_failed() {}
    pub(crate) fn caught_up() {}
    pub(crate) fn gap() {}
    pub(crate) fn history_read() {}
    pub(crate) fn published() {}
    pub(crate) fn publish_failed() {}
    pub(crate) fn arrived() {}
    pub(crate) fn delivered(_delivered: &Delivered) {}
}
