//! Hubs of several nodes on one broker.

use sockeye_state::{Delivery, Hub, Local};

use super::broker::Disturbed;

/// Hubs on one broker of the process, which answers at once.
pub(crate) async fn nodes<const N: usize>() -> [Hub<&'static str>; N] {
    let broker = Local::new();
    let mut hubs = Vec::new();
    for _ in 0..N {
        hubs.push(Hub::builder().broker(broker.clone()).build().await.expect("the configuration is right"));
    }
    hubs.try_into().expect("there are so many")
}

/// A node whose members get "gap" for a gap, and its connection to the broker.
pub(crate) async fn node(local: &Local) -> (Disturbed, Hub<&'static str>) {
    let broker = Disturbed::over(local.clone());
    let frame = |delivery: &Delivery<'_>| match delivery {
        Delivery::Message { message, .. } => message.cloned(),
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    };
    let hub = Hub::builder().broker(broker.clone()).frame(frame).build().await.expect("the configuration is right");
    (broker, hub)
}
