//! A connection that speaks the protocol: one task, which reads, waits and answers.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use sockeye_tokio::{Error, Message, Sender, WebSocket, close_code};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until, timeout_at},
};

use super::{
    answer::Answer,
    code::{Code, Refusal},
    expiry::{Expiry, Renewal},
    options::Options,
    outbox::Outbox,
    pace::Pace,
    policy::Policy,
    request,
    room_state::{Expired, RoomStates},
    task::{Done, Task},
    watch::Watch,
};
use crate::Member;

/// How many things a page may have asked for, in all rooms, before the server answers them and reads on.
const MOST_STEPS: usize = 256;

/// How long a connection that goes away waits for the answers to what its page has said.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

type Boxed<'a, D> = Pin<Box<dyn Future<Output = D> + Send + 'a>>;
type Waiting<'a, D> = FuturesUnordered<Boxed<'a, D>>;

/// What a connection knows.
pub(crate) struct Session<'a, T, P> {
    pub(super) me: &'a Member<T>,
    pub(super) policy: &'a P,
    pub(super) key: &'a str,
    pub(super) options: &'a Options,
    pub(super) rooms: RoomStates,
    pub(super) out: Outbox,
    pub(super) tasks: Waiting<'a, Done>,
    watches: Waiting<'a, Option<(Watch<T>, String)>>,
    /// How many `say`s have no answer; volatile ones, which get none, count until they are sent or refused.
    pub(super) unanswered: usize,
    pub(super) joins: Pace,
    pub(super) catch_ups: Pace,
    /// When the page stops being who it is.
    pub(super) until: Option<Expiry>,
    pub(super) renewal: Renewal,
    pub(super) is_renewing: bool,
    /// The newest token that came while another one was looked at.
    pub(super) next_token: Option<String>,
    heartbeat: Instant,
    /// The rooms that the application makes the page leave.
    expulsions: UnboundedReceiver<Box<str>>,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// Nothing can be received or sent any more.
    Closed,
    /// The server wants to close it.
    GoingAway,
    /// The page is nobody any more.
    Expired,
}

impl<'a, T: Send + Sync + 'static, P: Policy<T>> Session<'a, T, P> {
    pub(crate) fn new(me: &'a Member<T>, policy: &'a P, key: &'a str, options: &'a Options) -> Self {
        let now = Instant::now();
        // Whoever comes back joins all of his rooms.
        let at_once = me.hub().inner().engine.rules.limits.rooms_per_member.try_into().unwrap_or(u32::MAX);
        Self {
            me,
            policy,
            key,
            options,
            rooms: RoomStates::default(),
            out: Outbox::default(),
            tasks: FuturesUnordered::new(),
            watches: FuturesUnordered::new(),
            unanswered: 0,
            joins: Pace::new(options.joins, at_once),
            catch_ups: Pace::new(options.catch_ups, options.catch_ups),
            until: policy.valid_until(me.value()).map(|until| Expiry::new(now, until)),
            renewal: Renewal::default(),
            is_renewing: false,
            next_token: None,
            heartbeat: now + options.heartbeat,
            expulsions: me.expulsions(),
        }
    }

    /// Speaks the protocol until the connection ends.
    pub(crate) async fn run(mut self, mut socket: WebSocket) {
        let sender = socket.sender();
        // Kept while other things happen: a connection without a buffer queues a message before its `send` is done.
        let mut sending = None;
        let end = self.talk(&mut socket, &sender, &mut sending).await;
        let until = Instant::now() + LAST_ANSWERS;
        match end {
            End::Closed => self.finish(until).await,
            End::GoingAway => {
                let is_open = match sending {
                    Some(sending) => matches!(timeout_at(until, sending).await, Ok(Ok(()))),
                    None => true,
                };
                if is_open {
                    self.go_away(&sender, until).await;
                }
            }
            End::Expired => {
                // Of a page that does not read, the reason does not fit into the queue, and the code must do. The socket may be
                // dropped: the close handshake goes on.
                let _ = self.out.drain_all(&sender);
                let _ = sender.close_with(UNAUTHORIZED, "no valid token");
            }
        }
    }

    async fn talk<'s>(
        &mut self,
        socket: &mut WebSocket,
        sender: &'s Sender,
        sending: &mut Option<Boxed<'s, Result<(), Error>>>,
    ) -> End {
        let mut closing = socket.closing();
        let mut timer = std::pin::pin!(sleep_until(self.next_time()));
        loop {
            if sending.is_none() {
                if self.out.drain(sender).is_err() {
                    return End::Closed;
                }
                *sending = self.out.pop().map(|front| Box::pin(sender.send_prepared(front)) as _);
            }
            let next_time = self.next_time();
            if timer.deadline() != next_time {
                timer.as_mut().reset(next_time);
            }
            tokio::select! {
                () = &mut closing => return if sender.is_closed() { End::Closed } else { End::GoingAway },
                received = socket.recv(), if self.may_read() => match received {
                    Some(Ok(message)) => self.received(message),
                    _ => return End::Closed,
                },
                Some(done) = self.tasks.next(), if !self.tasks.is_empty() => self.done(done),
                Some(news) = self.watches.next(), if self.out.has_capacity() && !self.watches.is_empty() => {
                    self.watched(news);
                }
                sent = poll_fn(|cx| poll(sending, cx)) => if sent.is_err() {
                    return End::Closed;
                },
                Some(room) = self.expulsions.recv() => self.expelled(&room),
                () = &mut timer => if let Err(end) = self.tick(Instant::now()) {
                    return end;
                },
            }
        }
    }

    /// Whether another frame of the page may be read.
    fn may_read(&self) -> bool {
        self.unanswered < self.options.unanswered && self.rooms.steps() < MOST_STEPS && self.out.has_capacity()
    }

    /// When something is to be done even if nothing happens.
    fn next_time(&self) -> Instant {
        let expiries = || self.until.into_iter().chain(self.rooms.expiries());
        let expiry = expiries().map(|expiry| expiry.until).min();
        [expiry, self.renewal.next(expiries())].into_iter().flatten().fold(self.heartbeat, Instant::min)
    }

    /// Does what is due.
    fn tick(&mut self, now: Instant) -> Result<(), End> {
        if self.heartbeat <= now {
            self.heartbeat = now + self.options.heartbeat;
            // To a page that does not read, it says nothing.
            if self.out.is_empty() {
                self.out.push(Answer::Hb.text());
            }
        }
        if self.until.is_some_and(|expiry| expiry.until <= now) {
            let why = "the token has expired, and no fresh one was accepted; connect again with a fresh one";
            self.out.push(Refusal::frame(Code::AuthFailed, why).text());
            return Err(End::Expired);
        }
        self.renewal.settled(Some(now));
        for (room, permission, what) in self.rooms.take_expired(Some(now)) {
            self.recheck(room, permission, what);
        }
        let expiries = || self.until.into_iter().chain(self.rooms.expiries());
        if self.renewal.next(expiries()).is_some_and(|ask| ask <= now) {
            if let Some(first) = expiries().map(|expiry| expiry.until).min() {
                self.renewal.asked(first);
                self.out.push(Answer::Renew.text());
            }
        }
        Ok(())
    }

    pub(super) fn recheck(&mut self, room: String, permission: u64, what: Expired) {
        self.wait_for(Task::Recheck { room, permission, what });
    }

    pub(super) fn wait_for(&mut self, task: Task) {
        self.tasks.push(Box::pin(task.run(self.me, self.policy, self.key)));
    }

    /// Tells the page who is in a room from now on.
    pub(super) fn watch(&mut self, watch: Watch<T>) {
        self.watches.push(Box::pin(watch.next()));
    }

    fn watched(&mut self, news: Option<(Watch<T>, String)>) {
        if let Some((watch, frame)) = news {
            self.out.push(frame);
            self.watch(watch);
        }
    }

    fn received(&mut self, message: Message) {
        match message {
            Message::Text(text) => {
                let mut refused = Vec::new();
                match request::read(&text, self.options.max_frame_size, &mut refused) {
                    Ok(request) => self.request(request),
                    Err(refusal) => refused.push(refusal),
                }
                for refusal in refused {
                    self.refuse(&refusal);
                }
            }
            Message::Binary(_) => {
                self.refuse(&Refusal::frame(Code::Binary, "the message is binary; expected a text with a JSON object"));
            }
            // A Ping is answered already, and after a Close `recv` returns `None`.
            _ => {}
        }
    }

    pub(super) fn refuse(&mut self, refusal: &Refusal) {
        self.me.hub().inner().engine.counters.protocol_error();
        self.out.push(refusal.text());
    }

    /// Tells the page when to come back, answers what it has said so far, and closes the connection.
    async fn go_away(&mut self, sender: &Sender, until: Instant) {
        let range = &self.options.come_back;
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (start, end) = (millis(range.start()), millis(range.end()));
        self.out.push(Answer::Later { ms: [start, end.max(start)] }.text());
        // At once, so that the page says no more.
        if self.out.drain(sender).is_err() {
            return;
        }
        self.finish(until).await;
        if self.out.drain_all(sender).is_ok() {
            // An error means that the connection has ended meanwhile.
            let _ = sender.close_with(close_code::AWAY, "the server goes away");
        }
    }

    /// Waits for what becomes of all that the page has said: what was received is said, also if the page has gone since.
    async fn finish(&mut self, until: Instant) {
        while self.unanswered > 0 {
            let Ok(Some(done)) = timeout_at(until, self.tasks.next()).await else { break };
            self.done(done);
        }
    }
}

/// Polls what is being sent, if there is something, until it is sent.
fn poll<F: Future + Unpin>(sending: &mut Option<F>, cx: &mut Context<'_>) -> Poll<F::Output> {
    let Some(future) = sending else { return Poll::Pending };
    let sent = ready!(Pin::new(future).poll(cx));
    *sending = None;
    Poll::Ready(sent)
}

/// The close code for a page that is nobody, or nobody any more: as HTTP's 401.
pub(crate) const UNAUTHORIZED: u16 = 3000;
