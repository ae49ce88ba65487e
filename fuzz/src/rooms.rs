//! What a page sends to `sockeye.rooms.v1`: each answer is a frame of the protocol, and the connection goes on.

use std::time::Duration;

use arbitrary::Arbitrary;
use serde_json::{Value, json, value::RawValue};
use sockeye_state::{
    Hub, Person, Rooms,
    protocol::{self, Action, Policy, Verdict},
};
use sockeye_testkit::{Frame, Peer, opcode, pipe_with_capacity};
use sockeye_tokio::{Connection, Role, Stream, Timeouts};
use tokio::time::{Instant, sleep};

use crate::{plan, virtual_time::block_on};

#[derive(Arbitrary, Debug)]
struct Plan {
    frames: Vec<Sent>,
    /// How the policy answers. The list is used in a loop.
    verdicts: Vec<Said>,
}

#[derive(Arbitrary, Debug)]
enum Sent {
    Text(String),
    /// JSON with some bytes replaced.
    Broken(Box<Sent>, u8, u8),
    Nested(u8, bool),
    Join(Vec<(Name, Since)>),
    Leave(Name),
    Say {
        room: Name,
        id: Option<String>,
        data: Data,
        volatile: bool,
        others: bool,
    },
    Who(Name, bool),
    Auth(String),
    Binary(Vec<u8>),
    Wait(u8),
}

#[derive(Arbitrary, Debug)]
enum Name {
    WithHistory(u8),
    Other(u8),
    Any(String),
}

#[derive(Arbitrary, Debug)]
enum Since {
    Nothing,
    /// A position that the server has sent.
    Seen(u8),
    Any(String),
}

#[derive(Arbitrary, Debug)]
enum Data {
    Text(String),
    Number(f64),
    List(Vec<u8>),
    Nothing,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Said {
    Yes,
    No,
    Until(u8),
}

/// Plans with more frames than this find nothing new.
const FRAMES: usize = 24;

/// What the server may say.
const TYPES: [&str; 11] = ["in", "m", "ok", "no", "out", "gap", "who", "err", "hb", "renew", "later"];

struct Rules(std::sync::Mutex<std::iter::Cycle<std::vec::IntoIter<Said>>>);

impl Rules {
    fn next(&self) -> Verdict {
        match self.0.lock().expect("no panic").next() {
            None | Some(Said::Yes) => Verdict::Allow,
            Some(Said::No) => Verdict::Deny,
            Some(Said::Until(seconds)) => Verdict::AllowUntil(Instant::now() + Duration::from_secs(seconds.into())),
        }
    }
}

impl Policy<String> for Rules {
    fn key(&self, name: &String) -> String {
        name.clone()
    }

    async fn authorize(&self, _: &String, _: Action, _: &str) -> Verdict {
        self.next()
    }

    async fn renew(&self, _: &String, _: &str) -> Verdict {
        match self.next() {
            // The plan is not over when the token is.
            Verdict::AllowUntil(_) => Verdict::Allow,
            verdict => verdict,
        }
    }

    fn compose(&self, _: &String, _: &str, d: &RawValue) -> Result<Box<RawValue>, String> {
        if d.get().len() % 5 == 4 { Err("a fifth is refused".to_owned()) } else { Ok(d.to_owned()) }
    }
}

pub fn run(data: &[u8]) {
    let Some(mut plan) = plan::read::<Plan>(data) else { return };
    plan.frames.truncate(FRAMES);
    block_on(play(plan));
}

async fn play(plan: Plan) {
    let kept = Rooms::new().history(5, Duration::from_secs(60)).presence(|name: &String| Person::new(name, "{}"));
    let hub = Hub::builder().rooms("kept:", kept).protocol().build().await.expect("the hub is right");
    let (client, server) = pipe_with_capacity(1 << 20);
    let rules = Rules(std::sync::Mutex::new(plan.verdicts.into_iter().cycle()));
    let connection = Connection::new(Stream::boxed(server), Role::Server).timeouts(Timeouts::none());
    let its_hub = hub.clone();
    let served =
        tokio::spawn(connection.serve(move |socket| protocol::serve(socket, its_hub, "Ada".to_owned(), rules)));

    let mut page = Peer::client(client).within(Duration::from_secs(1 << 19));
    let mut seen = Vec::new();
    for sent in plan.frames {
        match sent {
            Sent::Wait(seconds) => sleep(Duration::from_secs(seconds.into())).await,
            Sent::Binary(data) => page.send(Frame::binary(data)).await,
            text => page.send(Frame::text(text.text(&seen))).await,
        }
        page.send(Frame::text(r#"{"t":"leave","room":"the end of this"}"#)).await;
        until_end(&mut page, &mut seen).await;
    }
    page.send(Frame::close(1000, "")).await;
    while page.read_frame().await.is_some_and(|frame| frame.opcode != opcode::CLOSE) {}
    drop(page);
    served.await.expect("no panic");
    assert!(hub.is_empty(), "a member stays");
}

/// Reads all answers up to that to the last frame of a step.
async fn until_end(page: &mut Peer<sockeye_testkit::PipeEnd>, seen: &mut Vec<String>) {
    loop {
        let frame = page.expect_frame().await;
        assert_eq!(frame.opcode, opcode::TEXT, "{frame:?}");
        let answer: Value = serde_json::from_slice(&frame.payload).expect("each answer is JSON");
        let t = answer["t"].as_str().expect("each answer has a type");
        assert!(TYPES.contains(&t), "{answer}");
        if let Some(at) = answer["at"].as_str() {
            seen.push(at.to_owned());
        }
        if t == "out" && answer["room"] == "the end of this" {
            return;
        }
    }
}

impl Sent {
    fn text(self, seen: &[String]) -> String {
        match self {
            Self::Text(text) => text,
            Self::Broken(sent, at, with) => {
                let mut text = sent.text(seen).into_bytes();
                if let Some(byte) = text.get_mut(usize::from(at)) {
                    *byte = with;
                }
                String::from_utf8_lossy(&text).into_owned()
            }
            Self::Nested(depth, is_object) => {
                let (open, close) = if is_object { ("{\"a\":", "}") } else { ("[", "]") };
                let depth = usize::from(depth) * 3;
                format!(r#"{{"t":"leave","room":"x","a":{}1{}}}"#, open.repeat(depth), close.repeat(depth))
            }
            Self::Join(rooms) => {
                let rooms = rooms.into_iter().map(|(name, since)| (name.text(), since.value(seen)));
                json!({ "t": "join", "rooms": rooms.collect::<serde_json::Map<_, _>>() }).to_string()
            }
            Self::Leave(name) => json!({ "t": "leave", "room": name.text() }).to_string(),
            Self::Say { room, id, data, volatile, others } => {
                json!({ "t": "say", "room": room.text(), "id": id, "d": data.value(), "volatile": volatile, "others": others })
                    .to_string()
            }
            Self::Who(name, off) => json!({ "t": "who", "room": name.text(), "off": off }).to_string(),
            Self::Auth(token) => json!({ "t": "auth", "token": token }).to_string(),
            Self::Binary(_) | Self::Wait(_) => String::new(),
        }
    }
}

impl Name {
    fn text(self) -> String {
        match self {
            Self::WithHistory(n) => format!("kept:{}", n % 4),
            Self::Other(n) => format!("other:{}", n % 4),
            Self::Any(name) => name,
        }
    }
}

impl Since {
    fn value(self, seen: &[String]) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Seen(n) => seen.get(usize::from(n) % seen.len().max(1)).cloned().into(),
            Self::Any(text) => text.into(),
        }
    }
}

impl Data {
    fn value(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Number(number) => json!(number),
            Self::List(list) => json!(list),
            Self::Nothing => Value::Null,
        }
    }
}
