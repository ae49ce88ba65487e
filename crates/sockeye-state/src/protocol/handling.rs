//! What a connection does with what its page asks for, and with what came of it.

use sockeye_proto::PreparedMessage;
use tokio::{sync::oneshot, time::Instant};

use super::{
    answer::Answer,
    code::{Code, Refusal},
    expiry::Expiry,
    policy::{Denied, Policy},
    request::{Request, Say},
    room_state::{Expired, Step},
    session::Session,
    task::{Done, Refused, Said, Task},
    watch::Watch,
};

impl<T: Send + Sync + 'static, P: Policy<T>> Session<'_, T, P> {
    pub(super) fn request(&mut self, request: Request) {
        match request {
            Request::Auth { token } if self.is_renewing => self.next_token = Some(token),
            Request::Auth { token } => self.renew(token),
            Request::Join(wanted) => {
                let most = self.me.hub().inner().engine.rules.limits.rooms_per_member;
                for wanted in wanted {
                    if self.rooms.len() >= most && !self.rooms.contains(&wanted.room) {
                        let why = format!("a connection may be in {most} rooms; leave one first");
                        self.refuse(&Refusal::room(wanted.room, Code::TooManyRooms, why));
                        continue;
                    }
                    self.step(&wanted.room, Step::Join(wanted.since));
                }
            }
            Request::Leave { room } if self.knows(&room) => self.step(&room, Step::Leave),
            Request::Leave { room } => self.out.push(Answer::Out { room: &room, code: None, why: None }.text()),
            Request::Say(say) if self.knows(&say.room) => {
                self.unanswered += 1;
                self.step(&say.room.clone(), Step::Say(say));
            }
            Request::Say(say) => self.refuse(&not_joined_say(say)),
            Request::Who { room, is_off } if self.knows(&room) => {
                self.step(&room, if is_off { Step::Unwatch } else { Step::Watch });
            }
            Request::Who { is_off: true, .. } => {}
            Request::Who { room, .. } => self.refuse(&not_joined_room(room)),
        }
    }

    /// Whether the connection is in the room, or has something to do with it at the moment.
    fn knows(&self, room: &str) -> bool {
        self.rooms.contains(room) || self.me.is_in(room)
    }

    fn step(&mut self, room: &str, step: Step) {
        self.rooms.push(room, step);
        self.advance(room);
    }

    /// Takes the next steps of a room, until there is one to wait for.
    fn advance(&mut self, room: &str) {
        while let Some(step) = self.rooms.next(room) {
            let name = room.to_owned();
            let task = match step {
                Step::Join(since) => {
                    let now = Instant::now();
                    let mut not_before = self.joins.take(now);
                    if since.is_some() {
                        not_before = not_before.max(self.catch_ups.take(now));
                    }
                    Task::Join { room: name, since, not_before, cancelled: self.rooms.begin_join(room) }
                }
                Step::Leave => Task::Leave { room: name, why: None },
                Step::Expel(stay, why) if self.rooms.get(room).is_some_and(|state| state.stay == Some(stay)) => {
                    Task::Leave { room: name, why: Some(why) }
                }
                // That stay has ended already.
                Step::Expel(..) => {
                    self.rooms.done(room);
                    continue;
                }
                Step::Say(say) if self.me.is_in(room) => Task::Ask(say),
                Step::Say(say) => {
                    self.unanswered -= 1;
                    self.refuse(&not_joined_say(say));
                    self.rooms.done(room);
                    continue;
                }
                Step::Watch if self.me.is_in(room) => Task::Watch { room: name },
                Step::Watch => {
                    self.refuse(&not_joined_room(name));
                    self.rooms.done(room);
                    continue;
                }
                Step::Unwatch => {
                    if let Some(state) = self.rooms.get(room) {
                        state.watch = None;
                    }
                    self.rooms.done(room);
                    continue;
                }
            };
            self.wait_for(task);
            return;
        }
    }

    fn stepped(&mut self, room: &str) {
        self.rooms.done(room);
        self.advance(room);
    }

    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Joined { room, outcome } => self.joined(room, outcome),
            Done::Left { room, why } => self.left(&room, why),
            Done::Asked { say, verdict } => self.asked(say, verdict),
            Done::Appended { id, outcome } => {
                self.unanswered -= 1;
                match outcome {
                    Ok(at) => self.out.push(Answer::Ok { id: &id, at }.text()),
                    Err(refusal) => self.refuse(&refusal),
                }
            }
            Done::Watched { room, outcome } => {
                match outcome {
                    Err(refusal) => self.refuse(&refusal),
                    // The application has made the page leave meanwhile.
                    Ok(_) if !self.me.is_in(&room) => self.refuse(&not_joined_room(room.clone())),
                    Ok((presence, until)) => {
                        let (end, ended) = oneshot::channel();
                        let until = until.map(|until| Expiry::new(Instant::now(), until));
                        self.rooms.watching(&room, until, end);
                        let hub = self.me.hub().clone();
                        self.watch(Watch::new(hub, room.clone(), presence, ended));
                    }
                }
                self.stepped(&room);
            }
            Done::Renewed(verdict) => self.renewed(verdict),
            Done::Rechecked { room, permission, what, outcome } => self.rechecked(room, permission, what, outcome),
        }
    }

    fn joined(&mut self, room: String, outcome: Result<Option<Instant>, Refused>) {
        match outcome {
            // The application has made the page leave while the join waited for the broker, and the page was told so.
            Ok(_) if !self.me.is_in(&room) => {}
            Ok(until) => {
                let now = Instant::now();
                self.rooms.joined(&room, until.map(|until| Expiry::new(now, until)));
            }
            Err(Refused::Cancelled) => {}
            Err(Refused::Failed(refusal)) => {
                // Whoever joins again leaves the room for it.
                if !self.me.is_in(&room) && self.rooms.left(&room) {
                    self.out
                        .push(Answer::Out { room: &room, code: Some(refusal.code), why: Some(&refusal.why) }.text());
                } else {
                    self.refuse(&refusal);
                }
            }
            // Nobody stays in a room that he may not join.
            Err(Refused::Denied(refusal)) if self.me.is_in(&room) => {
                self.wait_for(Task::Leave { room, why: Some(refusal) });
                return;
            }
            Err(Refused::Denied(refusal)) => self.refuse(&refusal),
        }
        self.stepped(&room);
    }

    fn left(&mut self, room: &str, why: Option<Refusal>) {
        self.rooms.left(room);
        let (code, why) = why.map(|refusal| (refusal.code, refusal.why)).unzip();
        self.out.push(Answer::Out { room, code, why: why.as_deref() }.text());
        self.stepped(room);
    }

    /// The application has made the page leave the room.
    pub(super) fn expelled(&mut self, room: &str) {
        // Whoever has joined again meanwhile stays.
        if !self.me.is_in(room) {
            self.rooms.left(room);
            self.out.push(Answer::Out { room, code: None, why: None }.text());
            self.advance(room);
        }
    }

    fn asked(&mut self, say: Say, verdict: Result<(), Denied>) {
        if !self.me.is_in(&say.room) {
            // The application has made the page leave meanwhile.
            self.unanswered -= 1;
            let room = say.room.clone();
            self.refuse(&not_joined_say(say));
            self.stepped(&room);
            return;
        }
        let Say { room, id, data, to_others } = say;
        let composed = match verdict {
            Ok(()) => self.policy.compose(self.me.value(), &room, &data),
            Err(Denied) => Err("you may not say anything in this room".to_owned()),
        };
        match (composed, id) {
            (Err(why), id) => {
                self.unanswered -= 1;
                self.refuse(&Refusal::say(id, Code::Denied, why));
            }
            (Ok(data), Some(id)) => {
                let say = Said { room: room.clone(), id, message: PreparedMessage::json(data.get()), to_others };
                self.wait_for(Task::Append { say });
            }
            (Ok(data), None) => {
                self.unanswered -= 1;
                let (target, message) = (self.me.hub().room(&room), PreparedMessage::json(data.get()));
                match to_others {
                    true => target.except(self.me.id()).volatile(message),
                    false => target.volatile(message),
                };
            }
        }
        self.stepped(&room);
    }

    fn renew(&mut self, token: String) {
        self.is_renewing = true;
        self.wait_for(Task::Renew { token });
    }

    fn renewed(&mut self, verdict: super::Verdict) {
        let now = Instant::now();
        self.is_renewing = false;
        match verdict.at(now) {
            Ok(until) => {
                self.until = until.map(|until| Expiry::new(now, until));
                self.renewal.settled(None);
                for (room, permission, what) in self.rooms.take_expired(None) {
                    self.recheck(room, permission, what);
                }
            }
            Err(Denied) => {
                let why = "the token is not accepted; what was allowed before is allowed until it expires";
                self.refuse(&Refusal::frame(Code::AuthFailed, why));
            }
        }
        if let Some(token) = self.next_token.take() {
            self.renew(token);
        }
    }

    fn rechecked(&mut self, room: String, permission: u64, what: Expired, outcome: Result<Option<Instant>, Denied>) {
        let until = outcome.map(|until| until.map(|until| Expiry::new(Instant::now(), until)));
        // What was asked about may have ended since, or have begun anew with a permission of its own.
        let Some(state) = self.rooms.get(&room) else { return };
        match what {
            Expired::Stay if state.stay == Some(permission) => match until {
                Ok(until) => state.until = until,
                Err(Denied) => {
                    let why = "the permission to be in this room has expired";
                    self.step(&room, Step::Expel(permission, Refusal::room(room.clone(), Code::Denied, why)));
                }
            },
            Expired::Watch => {
                let Some(watch) = state.watch.as_mut().filter(|watch| watch.number == permission) else { return };
                match until {
                    Ok(until) => watch.until = until,
                    Err(Denied) => {
                        state.watch = None;
                        let why = "the permission to see who is in this room has expired";
                        self.refuse(&Refusal::room(room, Code::Denied, why));
                    }
                }
            }
            Expired::Stay => {}
        }
    }
}

fn not_joined_say(say: Say) -> Refusal {
    Refusal::say(say.id, Code::NotJoined, "the connection is not in this room; join it first")
}

fn not_joined_room(room: String) -> Refusal {
    Refusal::room(room, Code::NotJoined, "the connection is not in this room; join it first")
}
