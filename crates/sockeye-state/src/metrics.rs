//! Reports to the `metrics` facade. Without the feature `metrics`, the functions do nothing and cost nothing.

use crate::stats::Delivered;

#[cfg(feature = "metrics")]
pub(crate) use self::on::*;

#[cfg(not(feature = "metrics"))]
pub(crate) use self::off::*;

#[cfg(feature = "metrics")]
mod on {
    use metrics::{counter, gauge};

    use super::Delivered;

    pub(crate) fn members(change: f64) {
        gauge!("sockeye_hub_members").increment(change);
    }

    pub(crate) fn sent() {
        counter!("sockeye_hub_messages_sent_total").increment(1);
    }

    pub(crate) fn refused() {
        counter!("sockeye_hub_messages_refused_total").increment(1);
    }

    pub(crate) fn delivered(delivered: &Delivered) {
        let Delivered { queued, overflowed, dropped, displaced, disconnected, closed } = *delivered;
        for (name, count) in [
            ("sockeye_hub_deliveries_queued_total", queued),
            ("sockeye_hub_deliveries_overflowed_total", overflowed),
            ("sockeye_hub_deliveries_dropped_total", dropped),
            ("sockeye_hub_deliveries_displaced_total", displaced),
            ("sockeye_hub_members_disconnected_total", disconnected),
            ("sockeye_hub_deliveries_closed_total", closed),
        ] {
            if count > 0 {
                counter!(name).increment(count);
            }
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod off {
    use super::Delivered;

    pub(crate) fn members(_change: f64) {}
    pub(crate) fn sent() {}
    pub(crate) fn refused() {}
    pub(crate) fn delivered(_delivered: &Delivered) {}
}
