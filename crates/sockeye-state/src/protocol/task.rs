//! What a connection waits for besides its page: the policy, the hub, the broker.

use std::time::Duration;

use sockeye_proto::PreparedMessage;
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until, timeout},
};

use super::{
    code::{Code, Refusal},
    policy::{Action, Denied, Policy, Verdict},
    request::Say,
    room_state::Expired,
    stamp::stamp,
};
use crate::{AppendError, AppendOptions, JoinError, Member, Position, Presence};

/// How long a policy may think about a permission that has expired, which the page still uses meanwhile.
const RECHECK_WITHIN: Duration = Duration::from_secs(10);

/// Something to wait for.
pub(crate) enum Task {
    Join {
        room: String,
        since: Option<Position>,
        not_before: Instant,
        cancelled: oneshot::Receiver<()>,
    },
    /// Why the page leaves, if the server wants it to.
    Leave {
        room: String,
        why: Option<Refusal>,
    },
    /// Whether the page may say this.
    Ask(Say),
    Append {
        say: Said,
    },
    Watch {
        room: String,
    },
    Renew {
        token: String,
    },
    Recheck {
        room: String,
        /// Of which stay or watch.
        permission: u64,
        what: Expired,
    },
}

/// A message that the policy has allowed and composed.
pub(crate) struct Said {
    pub(crate) room: String,
    pub(crate) id: String,
    pub(crate) message: PreparedMessage,
    pub(crate) to_others: bool,
}

/// What came of a task.
pub(crate) enum Done {
    Joined { room: String, outcome: Result<Option<Instant>, Refused> },
    Left { room: String, why: Option<Refusal> },
    Asked { say: Say, verdict: Result<(), Denied> },
    Appended { id: String, outcome: Result<Option<Position>, Refusal> },
    Watched { room: String, outcome: Result<(Presence, Option<Instant>), Refusal> },
    Renewed(Verdict),
    Rechecked { room: String, permission: u64, what: Expired, outcome: Result<Option<Instant>, Denied> },
}

/// Why a join has not happened.
pub(crate) enum Refused {
    /// The page has left before.
    Cancelled,
    /// The policy has refused, which also ends an earlier stay.
    Denied(Refusal),
    Failed(Refusal),
}

impl Task {
    /// Waits for what the task is about.
    pub(crate) async fn run<T: Send + Sync + 'static, P: Policy<T>>(
        self,
        me: &Member<T>,
        policy: &P,
        key: &str,
    ) -> Done {
        match self {
            Self::Join { room, since, not_before, cancelled } => {
                let outcome = tokio::select! {
                    biased;
                    _ = cancelled => Err(Refused::Cancelled),
                    outcome = join(me, policy, &room, since, not_before) => outcome,
                };
                Done::Joined { room, outcome }
            }
            Self::Leave { room, why } => {
                me.leave(&room).await;
                Done::Left { room, why }
            }
            Self::Ask(say) => {
                let verdict = policy.authorize(me.value(), Action::Say, &say.room).await.at(Instant::now());
                Done::Asked { say, verdict: verdict.map(drop) }
            }
            Self::Append { say } => {
                let outcome = append(me, key, &say).await;
                Done::Appended { id: say.id, outcome }
            }
            Self::Watch { room } => {
                let outcome = watch(me, policy, &room).await;
                Done::Watched { room, outcome }
            }
            Self::Renew { token } => Done::Renewed(policy.renew(me.value(), &token).await),
            Self::Recheck { room, permission, what } => {
                let action = match what {
                    Expired::Stay => Action::Join,
                    Expired::Watch => Action::Presence,
                };
                let verdict = timeout(RECHECK_WITHIN, policy.authorize(me.value(), action, &room)).await;
                let outcome = verdict.unwrap_or(Verdict::Deny).at(Instant::now());
                Done::Rechecked { room, permission, what, outcome }
            }
        }
    }
}

async fn join<T: Send + Sync + 'static>(
    me: &Member<T>,
    policy: &impl Policy<T>,
    room: &str,
    since: Option<Position>,
    not_before: Instant,
) -> Result<Option<Instant>, Refused> {
    if not_before > Instant::now() {
        sleep_until(not_before).await;
    }
    let verdict = policy.authorize(me.value(), Action::Join, room).await;
    let until = verdict
        .at(Instant::now())
        .map_err(|Denied| Refused::Denied(Refusal::room(room, Code::Denied, "you may not join this room")))?;
    if me.is_in(room) {
        // Joining again would be answered by nothing.
        me.leave(room).await;
    }
    match me.join(room).since(since).await {
        Ok(_) => Ok(until),
        Err(JoinError::Name(error)) => Err(Refused::Failed(Refusal::room(room, Code::BadName, error.to_string()))),
        Err(JoinError::TooManyRooms { max }) => {
            let why = format!("a connection may be in {max} rooms; leave one first");
            Err(Refused::Failed(Refusal::room(room, Code::TooManyRooms, why)))
        }
        Err(error) => {
            tracing::debug!(room, %error, "a page could not join");
            let why = "the history of the room cannot be read at the moment; join again later";
            Err(Refused::Failed(Refusal::room(room, Code::Unavailable, why)))
        }
    }
}

async fn append<T: Send + Sync + 'static>(me: &Member<T>, key: &str, say: &Said) -> Result<Option<Position>, Refusal> {
    let room = me.hub().room(&say.room);
    let mut options = AppendOptions::new().stamp(stamp(key, &say.id));
    if say.to_others {
        options = options.except(me.id());
    }
    // The texts of the broker's errors may name servers, which are nothing for a page.
    let (code, why) = match room.append_with(say.message.clone(), options).await {
        Ok(at) => return Ok(Some(at)),
        Err(AppendError::NoHistory { .. }) if send(me, say) => return Ok(None),
        Err(AppendError::NoHistory { .. } | AppendError::QueueFull { .. } | AppendError::Unavailable(_)) => (
            Code::Unavailable,
            "too much waits, or the history cannot be reached; nothing was kept, say it again later",
        ),
        Err(error) if error.is_uncertain() => {
            (Code::Uncertain, "nobody knows whether the message was kept; say it again with the same id to find out")
        }
        Err(error) => {
            tracing::debug!(room = say.room, %error, "a message of a page was refused");
            (Code::TooLarge, "the history does not take the message, for example since it is too large")
        }
    };
    Err(Refusal::say(Some(say.id.clone()), code, why))
}

/// Sends the message to a room without a history. Returns whether the room takes it.
fn send<T: Send + Sync + 'static>(me: &Member<T>, say: &Said) -> bool {
    let room = me.hub().room(&say.room);
    if say.to_others {
        // Nobody else may be there, so that 0 says nothing.
        room.except(me.id()).send(say.message.clone());
        return true;
    }
    // The page itself is in the room, unless it has left meanwhile.
    room.send(say.message.clone()) > 0 || !me.is_in(&say.room)
}

async fn watch<T: Send + Sync + 'static>(
    me: &Member<T>,
    policy: &impl Policy<T>,
    room: &str,
) -> Result<(Presence, Option<Instant>), Refusal> {
    let verdict = policy.authorize(me.value(), Action::Presence, room).await;
    let until = verdict
        .at(Instant::now())
        .map_err(|Denied| Refusal::room(room, Code::Denied, "you may not see who is in this room"))?;
    let presence = me.hub().presence(room).await;
    // How to configure the hub is nothing for a page.
    let presence = presence.map_err(|_| Refusal::room(room, Code::NoPresence, "nobody is told who is in this room"))?;
    Ok((presence, until))
}
