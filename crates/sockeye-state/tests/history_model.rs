//! Random orders of joins, leaves, messages, slow members and lost messages: no hole, no repeat, or a gap that is said.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use proptest::prelude::*;
use sockeye_state::{CaughtUp, Delivery, Hub, Member, Position, Rooms};
use sockeye_testkit::opcode;
use support::{
    Client,
    broker::{Disturbed, Mode},
    connect, connect_slow,
};
use tokio::{task::JoinHandle, time::sleep};

const MEMBERS: usize = 4;

#[derive(Debug, Clone)]
enum Step {
    /// Somebody joins with the last position that its client has handled.
    Join(usize),
    /// The same without a position.
    JoinFresh(usize),
    Leave(usize),
    /// The join that is under way is dropped.
    DropJoin(usize),
    /// The connection is replaced.
    Reconnect(usize),
    /// The client reads what it has got.
    Read(usize),
    /// That many messages, of some length.
    Send(u8, u8),
    /// The messages of the broker do not arrive, or do so again.
    Drop(bool),
    Lose,
    /// The next reads return nothing.
    Lag(u8),
    Broker(bool),
    Run(u8),
    Wait(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let member = 0..MEMBERS;
    prop_oneof![
        6 => member.clone().prop_map(Step::Join),
        1 => member.clone().prop_map(Step::JoinFresh),
        3 => member.clone().prop_map(Step::Leave),
        1 => member.clone().prop_map(Step::DropJoin),
        2 => member.clone().prop_map(Step::Reconnect),
        6 => member.prop_map(Step::Read),
        8 => (1..40_u8, 0..200_u8).prop_map(|(count, length)| Step::Send(count, length)),
        2 => any::<bool>().prop_map(Step::Drop),
        1 => Just(Step::Lose),
        1 => (1..3_u8).prop_map(Step::Lag),
        1 => any::<bool>().prop_map(Step::Broker),
        6 => (1..30_u8).prop_map(Step::Run),
        2 => (1..200_u8).prop_map(Step::Wait),
    ]
}

/// A client, and what it has handled.
struct Page {
    client: Client,
    member: Arc<Member<usize>>,
    joining: Option<JoinHandle<()>>,
    /// The last message that the client has handled, ever.
    handled: Option<Position>,
    /// The offset that must come next, if there is only one.
    next: Option<u64>,
    /// Whether the connection has had a `joined`.
    is_inside: bool,
    is_closed: bool,
    gaps: usize,
}

impl Page {
    /// A connection that soon overflows, or one that does not.
    async fn open(hub: &Hub<usize>, number: usize, handled: Option<Position>, is_slow: bool) -> Self {
        let (client, sender) = if is_slow { connect_slow(2048, Default::default()).await } else { connect().await };
        let member = Arc::new(hub.register(sender, number));
        Self { client, member, joining: None, handled, next: None, is_inside: false, is_closed: false, gaps: 0 }
    }

    fn join(&mut self, since: Option<Position>) {
        let member = self.member.clone();
        let join = tokio::spawn(async move {
            let _ = member.join("chat:1").since(since).await;
        });
        // The one before is stopped by this one.
        self.joining = Some(join);
    }

    fn drop_join(&mut self) {
        if let Some(joining) = self.joining.take() {
            joining.abort();
        }
    }

    /// Reads what is there, and checks it.
    async fn read(&mut self) {
        while !self.is_closed {
            let frame = {
                let mut read = pin!(self.client.read_frame());
                match poll_fn(|cx| Poll::Ready(read.as_mut().poll(cx))).await {
                    Poll::Ready(frame) => frame,
                    Poll::Pending => return,
                }
            };
            match frame {
                Some(frame) if frame.opcode == opcode::TEXT => {
                    self.handle(std::str::from_utf8(&frame.payload).unwrap())
                }
                Some(frame) if frame.opcode == opcode::CLOSE => self.is_closed = true,
                Some(_) => {}
                None => self.is_closed = true,
            }
        }
    }

    fn handle(&mut self, text: &str) {
        let mut words = text.split(' ');
        match words.next().unwrap() {
            "joined" => {
                // So many messages before this position, and then all.
                let at: u64 = words.next().unwrap().parse().unwrap();
                let missed: u64 = words.next().unwrap().parse().unwrap();
                self.next = Some(at - missed + 1);
                self.is_inside = true;
            }
            "gap" => {
                self.next = None;
                self.gaps += 1;
            }
            at => {
                let at: Position = at.parse().unwrap();
                assert!(self.is_inside, "{at} before `joined`");
                if let Some(next) = self.next {
                    assert_eq!(at.offset, next, "after {:?}", self.handled);
                }
                self.next = Some(at.offset + 1);
                self.handled = Some(at);
            }
        }
    }
}

fn frame(delivery: &Delivery<'_>) -> String {
    match delivery {
        Delivery::Message { at: Some(at), message: Some(message), .. } => {
            format!("{at} {}", std::str::from_utf8(message.payload()).unwrap())
        }
        Delivery::Joined { at, caught_up, .. } => {
            let missed = if let CaughtUp::Whole(missed) = caught_up { *missed } else { 0 };
            format!("joined {} {missed}", at.map_or(0, |at| at.offset))
        }
        Delivery::Gap { .. } => "gap".to_owned(),
        other => panic!("{other:?}"),
    }
}

async fn run(keep: usize, steps: Vec<Step>) -> usize {
    let broker = Disturbed::new();
    let rooms = Rooms::new().history(keep, Duration::from_secs(3600));
    let builder = Hub::<usize>::builder().broker(broker.clone()).rooms("chat:", rooms);
    let hub = builder.frame(|delivery| Some(frame(delivery).into())).build().await.unwrap();
    let room = hub.room("chat:1");
    let mut pages = Vec::new();
    for number in 0..MEMBERS {
        pages.push(Page::open(&hub, number, None, true).await);
    }
    let mut lags = 0;
    for step in steps {
        match step {
            Step::Join(page) => {
                let since = pages[page].handled;
                pages[page].join(since);
            }
            Step::JoinFresh(page) => pages[page].join(None),
            Step::Leave(page) => _ = pages[page].member.leave("chat:1").await,
            Step::DropJoin(page) => pages[page].drop_join(),
            Step::Reconnect(number) => {
                pages[number].drop_join();
                let Page { handled, gaps, .. } = pages[number];
                pages[number] = Page { gaps, ..Page::open(&hub, number, handled, true).await };
            }
            Step::Read(page) => pages[page].read().await,
            Step::Send(count, length) => {
                for _ in 0..count {
                    room.send("x".repeat(length.into()));
                }
            }
            Step::Drop(drops) => broker.drop_appended(drops),
            Step::Lose => broker.lose(),
            // Not again and again: the hub gives up some time.
            Step::Lag(reads) if lags < 2 => {
                lags += 1;
                broker.lag(reads.into());
            }
            Step::Lag(_) => {}
            Step::Broker(is_well) => broker.set(if is_well { Mode::Well } else { Mode::Away }),
            Step::Run(rounds) => {
                for _ in 0..rounds {
                    tokio::task::yield_now().await;
                }
            }
            Step::Wait(milliseconds) => sleep(Duration::from_millis(milliseconds.into())).await,
        }
    }
    settle(&hub, &broker, &mut pages).await;
    pages.iter().map(|page| page.gaps).sum()
}

/// Everything works again, all clients come back, and all of them have to get to the end.
async fn settle(hub: &Hub<usize>, broker: &Disturbed, pages: &mut [Page]) {
    broker.set(Mode::Well);
    broker.drop_appended(false);
    broker.lag(0);
    for (number, page) in pages.iter_mut().enumerate() {
        page.drop_join();
        page.read().await;
        let Page { handled, gaps, .. } = *page;
        *page = Page { gaps, ..Page::open(hub, number, handled, false).await };
        page.join(handled);
    }
    // Messages that have waited for the broker come first.
    let last = hub.room("chat:1").append("last").await.unwrap();
    for _ in 0..500 {
        for page in pages.iter_mut() {
            page.read().await;
            assert!(!page.is_closed, "nobody is slow any more");
        }
        if pages.iter().all(|page| page.handled.is_some_and(|handled| handled.offset >= last.offset)) {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    let handled: Vec<_> = pages.iter().map(|page| page.handled).collect();
    // Whoever joined without a position, after the last message, gets nothing more.
    let after: Vec<_> = pages.iter().filter(|page| page.next != Some(last.offset + 1)).collect();
    assert!(after.is_empty(), "not all have got to {last}: {handled:?}");
}

fn block_on(future: impl Future<Output = usize>) -> usize {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_a_long_history_nothing_is_missing(steps in prop::collection::vec(step(), 1..80)) {
        prop_assert_eq!(block_on(run(100_000, steps)), 0);
    }

    #[test]
    fn with_a_short_history_what_is_missing_is_said(steps in prop::collection::vec(step(), 1..80)) {
        block_on(run(5, steps));
    }
}
