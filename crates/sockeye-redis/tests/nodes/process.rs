//! The program of a node: a hub whose members are told what to do on the standard input, a command a line, and whose standard output
//! says what they get.
//!
//! | command | answer, and what comes later |
//! |---|---|
//! | `enter MEMBER KEY ROOM [POSITION]` | `entered MEMBER fresh\|whole\|gap`, then `got MEMBER POSITION TEXT` and `gap MEMBER` |
//! | `exit MEMBER` | `gone MEMBER` |
//! | `append ROOM TEXT` | `appended TEXT POSITION`, or `failed TEXT` |
//! | `send ROOM TEXT` | |
//! | `observe ROOM` | `all ROOM KEY,KEY`, then `joined ROOM KEY`, `left ROOM KEY`, `reset ROOM KEY,KEY` |
//! | `who ROOM` | `who ROOM KEY,KEY` |
//! | `history ROOM` | `history TEXT\|TEXT` |
//! | `clock` | `clock SECONDS` since 1970 |

use std::{
    collections::HashMap,
    io::{BufRead, Write, stdin, stdout},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use sockeye_redis::Redis;
use sockeye_state::{CaughtUp, Delivery, Hub, Member, Person, Position, PresenceChange, Rooms};
use sockeye_testkit::{Frame, opcode};
use sockeye_tokio::{PreparedMessage, Sender};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::support::client;

/// What makes a process a node. The URL of the broker follows.
pub(crate) const ARGUMENT: &str = "run-a-node";

/// Rooms whose names begin so have a history.
const KEPT: &str = "kept:";

const HOUR: Duration = Duration::from_secs(3600);

/// A member, and the client at the other end of its connection. Dropping both ends both.
struct Client {
    member: Member<String>,
    reading: JoinHandle<()>,
}

/// Runs until the end of the standard input.
pub(crate) fn run(url: &str) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(serve(url));
}

async fn serve(url: &str) {
    let broker = Redis::connect(url).await.expect("the broker is there");
    let rooms = || Rooms::new().presence(|key: &String| Person::new(key.clone(), ""));
    let builder = Hub::builder().namespace("nodes").broker(broker).frame(frame);
    let builder = builder.rooms("", rooms()).rooms(KEPT, rooms().history(10_000, HOUR));
    let hub = builder.build().await.expect("the settings are right");
    say(format!("ready {}", hub.node()));
    let mut clients = HashMap::new();
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        let words: Vec<&str> = command.split(' ').collect();
        match words[..] {
            ["enter", name, key, room] => enter(&hub, &mut clients, [name, key, room], None).await,
            ["enter", name, key, room, position] => {
                enter(&hub, &mut clients, [name, key, room], position.parse().ok()).await;
            }
            ["exit", name] => {
                if let Some(Client { member, reading }) = clients.remove(name) {
                    drop(member);
                    reading.abort();
                }
                say(format!("gone {name}"));
            }
            ["append", room, text] => append(&hub, room, text),
            ["send", room, text] => {
                hub.room(room).send(text);
            }
            ["observe", room] => observe(&hub, room).await,
            ["who", room] => {
                let present = hub.presence(room).await.expect("the room has presence");
                say(format!("who {room} {}", keys(present.snapshot())));
            }
            ["history", room] => {
                let kept = hub.room(room).history(100).await.expect("the broker is there");
                let texts = kept.iter().map(|past| String::from_utf8_lossy(past.message.payload()).into_owned());
                say(format!("history {}", texts.collect::<Vec<_>>().join("|")));
            }
            ["clock"] => {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later");
                say(format!("clock {}", now.as_secs()));
            }
            _ => panic!("an unknown command: {command}"),
        }
    }
}

/// The lines of the standard input, read by a thread of its own.
fn commands() -> mpsc::UnboundedReceiver<String> {
    let (sender, commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let lines = stdin().lock().lines();
        lines.map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    commands
}

/// Nobody reads any more what a node says at its end.
fn say(line: String) {
    let _ = writeln!(stdout().lock(), "{line}");
}

/// Members get the position of each message before its text.
fn frame(delivery: &Delivery<'_>) -> Option<PreparedMessage> {
    match delivery {
        Delivery::Message { at, message: Some(message), .. } => {
            let at = at.map_or("-".to_owned(), |at| at.to_string());
            Some(format!("{at} {}", String::from_utf8_lossy(message.payload())).into())
        }
        Delivery::Gap { .. } => Some("gap".into()),
        _ => None,
    }
}

async fn enter(
    hub: &Hub<String>,
    clients: &mut HashMap<String, Client>,
    [name, key, room]: [&str; 3],
    since: Option<Position>,
) {
    if !clients.contains_key(name) {
        let (sender, reading) = connect(name.to_owned()).await;
        let member = hub.register(sender, key.to_owned());
        clients.insert(name.to_owned(), Client { member, reading });
    }
    let joined = match clients[name].member.join(room).since(since).await {
        Ok(joined) => match joined.caught_up() {
            CaughtUp::Fresh => "fresh".to_owned(),
            CaughtUp::Whole(_) => "whole".to_owned(),
            CaughtUp::Gap => "gap".to_owned(),
        },
        Err(error) => format!("failed: {error}"),
    };
    say(format!("entered {name} {joined}"));
}

/// A connection whose client says what it gets.
async fn connect(name: String) -> (Sender, JoinHandle<()>) {
    let (client, sender) = client::connect().await;
    let mut client = client.within(HOUR);
    let reading = tokio::spawn(async move {
        while let Some(frame) = client.read_frame().await {
            match frame.opcode {
                opcode::PING => client.send(Frame::pong(frame.payload)).await,
                opcode::TEXT => match String::from_utf8_lossy(&frame.payload).as_ref() {
                    "gap" => say(format!("gap {name}")),
                    text => say(format!("got {name} {text}")),
                },
                _ => say(format!("ended {name}")),
            }
        }
    });
    (sender, reading)
}

/// Appends in the order of the calls.
fn append(hub: &Hub<String>, room: &str, text: &str) {
    let (appending, text) = (hub.room(room).append(text.to_owned()), text.to_owned());
    tokio::spawn(async move {
        match appending.await {
            Ok(position) => say(format!("appended {text} {position}")),
            Err(_) => say(format!("failed {text}")),
        }
    });
}

async fn observe(hub: &Hub<String>, room: &str) {
    let mut present = hub.presence(room).await.expect("the room has presence");
    say(format!("all {room} {}", keys(present.snapshot())));
    let room = room.to_owned();
    tokio::spawn(async move {
        while let Some(change) = present.next().await {
            match change {
                PresenceChange::Joined(person) => say(format!("joined {room} {}", person.key())),
                PresenceChange::Left(person) => say(format!("left {room} {}", person.key())),
                PresenceChange::Reset(all) => say(format!("reset {room} {}", keys(&all))),
                _ => {}
            }
        }
    });
}

fn keys(people: &[Person]) -> String {
    let mut keys: Vec<&str> = people.iter().map(Person::key).collect();
    keys.sort_unstable();
    keys.join(",")
}
