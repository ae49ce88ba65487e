//! Models of a log for loom: all orders in which members may catch up and go live, while messages come in and are delivered.
//!
//! In all orders, each member gets everything after its position once, and in order.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc as StdArc, atomic::AtomicUsize},
    task::{Context, Waker},
    time::Duration,
};

use loom::{
    sync::{Arc, Mutex},
    thread,
};
use sockeye_proto::{CloseFrame, PreparedMessage};
use sockeye_tokio::{Overflow, PushedMany};
use tokio::time::Instant;

use super::{
    feed::Framed,
    log::{Log, Memory, Next},
};
use crate::{
    Epoch, Keep, Position, Topic,
    engine::{Engine, Key, Seat},
    framing::Framing,
    rules::Rules,
};

const ROOM: &str = "tide";
const EPOCH: Epoch = Epoch::from_u64(7);

/// A connection that notes what it got.
#[derive(Clone, Default)]
struct Client(Arc<Mutex<Vec<String>>>);

impl Client {
    fn note(&self, messages: &[PreparedMessage]) {
        let texts = messages.iter().map(|message| String::from_utf8(message.payload().to_vec()).unwrap());
        self.0.lock().unwrap().extend(texts);
    }

    fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Seat for Client {
    fn deliver(&self, messages: &[PreparedMessage], _: Option<Overflow>) -> PushedMany {
        self.note(messages);
        PushedMany::default()
    }

    fn close(&self, frame: &CloseFrame) {
        self.0.lock().unwrap().push(frame.to_string());
    }
}

/// A node with one room, whose history has the message 1.
#[derive(Clone)]
struct Node {
    engine: StdArc<Engine<Client>>,
    log: StdArc<Log<Client>>,
}

impl Node {
    fn new(keep: usize) -> Self {
        let memory = Memory { used: AtomicUsize::new(0), most: usize::MAX };
        let keep = Keep::new(keep, Duration::from_secs(3600));
        let log = Log::new(Topic::room("", ROOM), keep, StdArc::new(memory));
        assert_eq!(log.add_join(), Some(true));
        log.begin(vec![message(1)], Some(at(1)), Instant::now());
        Self {
            engine: StdArc::new(Engine::new(Rules::with_history(keep.messages), Framing(None))),
            log: StdArc::new(log),
        }
    }

    /// What the pump does with a message.
    fn take(&self, offset: u64) {
        if let Some(room) = self.log.take(message(offset), |_| true) {
            let drain = pin!(self.engine.own_drain(room).run_as_task());
            assert!(drain.poll(&mut Context::from_waker(Waker::noop())).is_ready());
        }
    }

    /// What a join does.
    fn join(&self, key: Key, client: &Client, since: u64) {
        if let Some(room) = self.engine.room(ROOM) {
            let chunk = room.chunk();
            while chunk.is_some() && room.chunk() == chunk {
                thread::yield_now();
            }
        }
        client.note(&["joined".into()]);
        let mut cursor = Some(at(since));
        loop {
            match self.log.next(cursor, 0) {
                Next::Part(part, at) => {
                    client.note(&part.messages);
                    cursor = Some(at);
                }
                Next::Nothing => {
                    if self.log.go_live(cursor, 0, || self.engine.join(ROOM, key, client)).is_some() {
                        return;
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn leave(&self, key: Key) {
        let room = self.engine.room(ROOM).expect("somebody is in the room");
        self.engine.leave(&room, key);
    }
}

fn at(offset: u64) -> Position {
    Position::new(EPOCH, offset)
}

fn message(offset: u64) -> Framed {
    let text = PreparedMessage::text(offset.to_string());
    Framed { after: offset - 1, at: at(offset), digest: offset, message: Some(text), except: Vec::new(), instead: None }
}

#[test]
fn whoever_goes_live_while_a_message_comes_in_gets_it_once() {
    loom::model(|| {
        let node = Node::new(10);
        let client = Client::default();
        let pump = thread::spawn({
            let node = node.clone();
            move || {
                node.take(2);
                node.take(3);
            }
        });
        node.join(1, &client, 0);
        pump.join().unwrap();
        assert_eq!(client.texts(), ["joined", "1", "2", "3"]);
    });
}

#[test]
fn two_members_that_go_live_get_the_same() {
    loom::model(|| {
        let node = Node::new(10);
        let (ada, bob) = (Client::default(), Client::default());
        let joining = thread::spawn({
            let (node, bob) = (node.clone(), bob.clone());
            move || node.join(2, &bob, 1)
        });
        node.join(1, &ada, 0);
        node.take(2);
        joining.join().unwrap();
        assert_eq!(ada.texts(), ["joined", "1", "2"]);
        assert_eq!(bob.texts(), ["joined", "2"]);
    });
}

#[test]
fn leaving_and_joining_again_under_a_drain_gets_nothing_twice() {
    loom::model(|| {
        let node = Node::new(10);
        let client = Client::default();
        node.join(1, &client, 1);
        let pump = thread::spawn({
            let node = node.clone();
            move || node.take(2)
        });
        node.leave(1);
        node.join(1, &client, 1);
        pump.join().unwrap();
        let texts = client.texts();
        // Before the second `joined` may be what was on its way; from there on, everything comes once.
        let last = texts.iter().rposition(|text| text == "joined").unwrap();
        assert_eq!(texts[last..], ["joined", "2"], "{texts:?}");
    });
}
