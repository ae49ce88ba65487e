//! A peer that reads at its pace, and answers Pings when it reads them.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use slow_peers::pace::{Meter, Pace};
use sockeye_testkit::Frame;
use tokio::time::{Instant, timeout};

use super::{
    connect::Io,
    incoming::Heard,
    talk::{finish, split},
};
use crate::{cases::Case, control::What, payload};

/// The largest burst of a peer that reads in steps: on loopback a burst might never end.
const BURST: u64 = 4 << 20;

/// A burst is over after this time without bytes: several times the delay of an acknowledgement, for which the end of a window
/// waits without `TCP_NODELAY`.
const LULL: Duration = Duration::from_millis(250);

/// Reads all that the server sends, at its pace until `end`.
pub(super) async fn run(stream: Box<dyn Io>, case: &Case, pace: Pace, end: Instant) -> Result<What> {
    let (mut ear, mut mouth) = split(stream);
    let mut meter = Meter::new(pace, BURST, end);
    let (mut messages, mut bytes) = (0, 0);
    loop {
        let most = meter.turn().await;
        let read = if meter.has_begun() {
            match timeout(LULL, ear.read(most)).await {
                Ok(read) => read?,
                Err(_) => {
                    meter.rest();
                    continue;
                }
            }
        } else {
            ear.read(most).await?
        };
        meter.moved(read);
        bytes += read as u64;
        while let Some(heard) = ear.next()? {
            match heard {
                Heard::Ping(payload) => mouth.say(Frame::pong(payload)).await?,
                Heard::Binary(message) => {
                    let expected = payload::down(case.id, messages);
                    ensure!(message == expected, "message {messages} is not the one that was sent");
                    messages += 1;
                }
                Heard::Text(text) if text == payload::end(messages) => {
                    finish(&mut ear, &mut mouth, &format!("echo of case {}", case.id)).await?;
                    return Ok(What::Done { messages, bytes });
                }
                other => bail!("after {messages} messages comes {other:?}"),
            }
        }
    }
}
