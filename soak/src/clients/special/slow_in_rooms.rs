//! A slow member of a room: it reads nothing for a while, or less than is sent to the room.

use std::{ops::Range, time::Duration};

use anyhow::{Result, bail, ensure};
use slow_peers::pace::{Meter, Pace};
use sockeye_testkit::{Frame, opcode};
use tokio::{
    select,
    time::{Instant, sleep_until},
};

use super::{in_rooms::InRooms, membership::Membership};
use crate::{
    clients::{Client, counts::add, wire::NARROW},
    server::{self, LATEST, Wish},
};

/// How many bytes per second it reads, and how long it stays, in milliseconds.
const RATE: u64 = 1000;
const STAYS: Range<u64> = 4000..15_000;

/// A member that has read nothing reads this many bytes at once.
const MOST: usize = 64 << 10;

/// The close code of a server that has no more room.
const AGAIN: u16 = 1013;

impl Client {
    /// Until it is disconnected, or leaves, no message may be missing. In the room with the latest messages it is not
    /// disconnected, and gets messages in their order.
    pub(super) async fn is_slow_in_a_room(&mut self, messages: &mut u64) -> Result<()> {
        let (ear, mouth) = self.talk(server::SLOW_MEMBERS, NARROW).await?;
        let mut seat = InRooms { ear, mouth, membership: Membership::default(), messages: 0 };
        let room = if self.rng.bool() { 0 } else { LATEST };
        let outcome = self.reads_slowly(&mut seat, room).await;
        *messages = seat.messages;
        outcome
    }

    async fn reads_slowly(&mut self, seat: &mut InRooms, room: usize) -> Result<()> {
        self.fulfil(seat, Wish::Join(room)).await?;
        let stays = Duration::from_millis(self.rng.u64(STAYS));
        let until = (Instant::now() + stays).min(self.run.until);
        let is_deaf = self.rng.bool();
        if is_deaf {
            self.rest(stays).await;
        }
        let mut meter = Meter::new(Pace::Rate(RATE), 0, until);
        let mut is_leaving = false;
        loop {
            let most = if is_deaf { MOST } else { meter.turn().await };
            if Instant::now() >= until && !is_leaving {
                is_leaving = true;
                // The server may have given up already.
                let _ = self.wait("room for a Close", seat.mouth.say(Frame::close(1000, ""))).await;
            }
            let reads = async {
                select! {
                    read = seat.ear.read_or_end(most) => Ok(Some(read.unwrap_or_default())),
                    // Nobody may send to the room.
                    () = sleep_until(until), if !is_leaving => Ok(None),
                }
            };
            let Some(read) = self.wait("messages of its room", reads).await? else { continue };
            if read == 0 {
                ensure!(room != LATEST, "the stream ended, and the room drops messages for slow members instead");
                add(&self.run.counts.members_dropped, 1);
                return Ok(());
            }
            meter.moved(read);
            add(&self.moves, 1);
            while let Some(frame) = seat.ear.next()? {
                if frame.opcode != opcode::CLOSE {
                    self.takes(seat, frame).await?;
                    continue;
                }
                match frame.close_code() {
                    Some(1000) if is_leaving => {}
                    Some(AGAIN) if room != LATEST => {
                        add(&self.run.counts.members_told_to_go, 1);
                        if !is_leaving {
                            // The server may not wait for it.
                            let _ = self.wait("room for a Close", seat.mouth.say(Frame::close(AGAIN, ""))).await;
                        }
                    }
                    _ => bail!("{frame:?} came"),
                }
                return Ok(());
            }
            let missing = seat.membership.missing();
            ensure!(missing.is_empty(), "lost messages: rooms and numbers {missing:?}");
        }
    }
}
