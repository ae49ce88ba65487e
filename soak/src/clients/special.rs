//! Players that do one thing. Each has its own places and counts.

mod broadcasts;
mod compresses;
mod heartbeats;
mod in_rooms;
mod looks_on;
mod membership;
mod rates;
mod slow_in_rooms;
mod talk;

use std::sync::Arc;

use super::{
    Client, Run,
    player::{Player, RATES},
    road::{Road, Shared},
};

/// The player of a place, and its road.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    player: Player,
    road: Road,
    is_cut: bool,
}

/// One of this many places compresses, and one is for heartbeats.
const SHARE: usize = 50;

/// One of this many places is a member of rooms, and one a slow member.
const MEMBERS: usize = 12;
const SLOW_MEMBERS: usize = 150;

/// The number of log viewers: every line of the log is written once for each of them.
const VIEWERS: usize = 4;

/// The number of readers of broadcasts: few, since each byte costs a turn.
const READERS: usize = 8;

/// The number of clients that ping over OpenSSL.
const PINGING: usize = 2;

/// The roads of clients with a rate, and of members of rooms.
const ROADS: [(Road, bool); 4] = [(Road::Tcp, false), (Road::Tls, true), (Road::Http2, false), (Road::Tcp, true)];

/// The HTTP/2 window of a client with a rate: more than the quickest one reads at a time.
const WINDOW: u32 = 256 << 10;

/// With this number of connections there is a place for each rate on each road.
const CROWD: usize = 1000;

/// The parts in a run with this number of connections.
pub(super) fn parts(connections: usize) -> Vec<Part> {
    let mut parts = Vec::new();
    for index in 0..(connections / SHARE).max(2) {
        for player in [Player::Compresses, Player::Heartbeats] {
            parts.push(Part { player, road: Road::Tcp, is_cut: index % 2 == 1 });
        }
    }
    for (index, rate) in RATES.into_iter().enumerate() {
        for (turn, player) in [Player::Reads(rate), Player::Writes(rate)].into_iter().enumerate() {
            let of = |(road, is_cut)| Part { player, road, is_cut };
            if connections < CROWD {
                parts.push(of(ROADS[(index + 2 * turn) % ROADS.len()]));
            } else {
                parts.extend(ROADS.map(of));
            }
        }
    }
    parts.extend([Part { player: Player::Pings, road: Road::OpenSsl, is_cut: false }; PINGING]);
    parts.extend([Part { player: Player::LooksOn, road: Road::Tight, is_cut: false }; VIEWERS]);
    let reader = Part { player: Player::Broadcasts, road: Road::Tight, is_cut: false };
    parts.extend([reader; READERS]);
    let members = ROADS.into_iter().cycle().take((connections / MEMBERS).max(2));
    parts.extend(members.map(|(road, is_cut)| Part { player: Player::InRooms, road, is_cut }));
    let slow = Part { player: Player::SlowInRooms, road: Road::Tight, is_cut: false };
    parts.extend(vec![slow; (connections / SLOW_MEMBERS).max(1)]);
    parts
}

/// One session after the other.
pub(super) async fn place(run: Arc<Run>, place: usize, part: Part) {
    if !run.plays(part.player) {
        return;
    }
    for session in 0.. {
        let mut client = Client::new(run.clone(), place, session);
        (client.road, client.is_cut) = (part.road, part.is_cut);
        if part.road == Road::Http2 {
            client.http2 = Some(Shared::new(WINDOW));
        }
        // Clients with a rate run for the whole time, except for a short delay so that not all start at once.
        client.pause(if session == 0 { 500 } else { 100 }).await;
        if run.is_over() {
            break;
        }
        run.board.begins(place, "player of its own");
        // The messages that it received, even if it does not end correctly.
        let mut messages = 0;
        let outcome = match part.player {
            Player::Compresses => client.compresses(&mut messages).await,
            Player::Heartbeats => client.has_heartbeats(&mut messages).await,
            Player::Reads(rate) => client.reads_at(rate, &mut messages).await,
            Player::Writes(rate) => client.writes_at(rate, &mut messages).await,
            Player::Pings => client.reads_and_pings(&mut messages).await,
            Player::LooksOn => client.looks_at_the_log(&mut messages).await,
            Player::Broadcasts => client.hears_broadcasts(&mut messages).await,
            Player::InRooms => client.is_in_rooms(&mut messages).await,
            Player::SlowInRooms => client.is_slow_in_a_room(&mut messages).await,
            Player::Polite(..) => return,
        };
        client.played(part.player, messages, outcome);
    }
}
