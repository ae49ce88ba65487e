//! Peers that disappear: they send a last message, and then the process is stopped or cut off, or they are silent.

use std::future::pending;

use anyhow::{Result, bail};
use sockeye_testkit::{Frame, LengthForm};
use tokio::{select, sync::watch};

use super::{
    connect::Io,
    incoming::Heard,
    talk::{Ear, Mouth, split},
};
use crate::control::What;

/// The last message.
const WORD: &str = "here";

/// The declared length of an unfinished message, and how much of it is sent.
const DECLARED: u64 = 1 << 20;
const SENT: usize = 1000;

/// Reads everything at once and answers Pings, until this process or its network is stopped. Sends its last message when told
/// to.
pub(super) async fn listen(stream: Box<dyn Io>, mut speak: watch::Receiver<bool>) -> Result<What> {
    let (mut ear, mut mouth) = split(stream);
    let mut has_spoken = false;
    loop {
        select! {
            heard = ear.hear() => match heard? {
                Heard::Ping(payload) => mouth.say(Frame::pong(payload)).await?,
                Heard::Binary(_) => {}
                other => bail!("instead of a message of the ticker comes {other:?}"),
            },
            asked = speak.wait_for(|speak| *speak), if !has_spoken => {
                asked?;
                has_spoken = true;
                mouth.say(Frame::text(WORD)).await?;
            }
        }
    }
}

/// Sends its last message, and then is silent, optionally in the middle of a message.
pub(super) async fn fall_silent(stream: Box<dyn Io>, in_message: bool) -> Result<What> {
    let (_ear, mut mouth): (Ear, Mouth) = split(stream);
    mouth.say(Frame::text(WORD)).await?;
    if in_message {
        mouth.say(Frame::binary(vec![0; SENT]).declared_len(DECLARED).length_form(LengthForm::Bits64)).await?;
    }
    pending().await
}
