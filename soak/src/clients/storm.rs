//! Storms: many clients that connect at once.

use std::{ops::Range, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Client, Run,
    counts::add,
    leaving::{Leave, State},
};

/// How long to wait between two storms.
const QUIET: Range<u64> = 1500..4000;

/// One storm after the other, each with a client at every place.
pub(super) async fn storms(run: Arc<Run>, places: Range<usize>) {
    for storm in 0.. {
        let mut client = Client::new(run.clone(), places.start, storm);
        let next = Instant::now() + Duration::from_millis(client.rng.u64(QUIET));
        if next >= run.until {
            break;
        }
        sleep_until(next).await;
        add(&run.counts.storms, 1);
        add(&run.counts.stormed, places.len() as u64);
        let mut clients: JoinSet<()> =
            places.clone().map(|place| one(Client::new(run.clone(), place, storm))).collect();
        while clients.join_next().await.is_some() {}
    }
}

async fn one(mut client: Client) {
    client.run.board.begins(client.place, "client in a storm");
    let (state, leave) = match client.rng.u8(..10) {
        0..3 => (State::Connected, Leave::Vanish),
        3..4 => (State::Connected, Leave::Reset),
        4..5 => (State::MidHead, Leave::Reset),
        5..7 => (State::Requested, Leave::Reset),
        _ => return client.brief_session().await,
    };
    client.leaves_in_a_storm(state, leave).await;
}
