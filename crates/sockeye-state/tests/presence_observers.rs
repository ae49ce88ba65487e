//! Observers of presence know the truth in the end: whatever happens, on however many threads, and however rarely they look.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use proptest::{collection::vec, prelude::*};
use sockeye_state::{Hub, Member, Person, Presence, PresenceChange, Rooms};
use support::{
    connect,
    presence::{apply, hub, joined, person, soon, state},
    register,
};
use tokio::time::{advance, timeout};

const ROOMS: [&str; 2] = ["chat:harbour", "chat:pier"];

/// Several members have the same key.
const KEYS: u32 = 8;

/// Members by a number, of which the key follows.
async fn numbered_hub(linger: Duration) -> Hub<u32> {
    let rooms = Rooms::new().presence(|number: &u32| Person::new((number % KEYS).to_string(), number.to_string()));
    Hub::builder().rooms("chat:", rooms.linger(linger)).build().await.unwrap()
}

/// What an observer believes.
struct Belief {
    who: Presence,
    state: BTreeMap<String, Bytes>,
    resets: usize,
}

impl Belief {
    async fn new<T: Send + Sync + 'static>(hub: &Hub<T>, room: &str) -> Self {
        let who = hub.presence(room).await.unwrap();
        Self { state: state(who.snapshot()), who, resets: 0 }
    }

    /// Reads what is there at the moment, at most so much.
    async fn look(&mut self, most: usize) {
        for _ in 0..most {
            let Ok(change) = timeout(Duration::ZERO, self.who.next()).await else { break };
            self.resets += usize::from(matches!(change, Some(PresenceChange::Reset(_))));
            apply(&mut self.state, change.unwrap());
            assert_eq!(self.state.len(), self.who.count());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_has_missed_too_much_is_told_the_state() {
    let hub = hub().await;
    let mut slow = hub.presence("chat:42").await.unwrap();
    let (_client, ada) = register(&hub, ("ada", "")).await;
    ada.join("chat:42").await.unwrap();
    let (_client, grace) = register(&hub, ("grace", "")).await;
    let infos = ["here", "away"];
    for info in infos.iter().cycle().take(255) {
        ada.update_presence(*info);
    }
    // As many changes as are kept.
    assert_eq!(soon(&mut slow).await, joined(("ada", "")));
    for info in ["away", "here", "away"] {
        ada.update_presence(info);
    }
    grace.join("chat:42").await.unwrap();
    let PresenceChange::Reset(all) = soon(&mut slow).await else { panic!("changes are gone") };
    assert_eq!(state(&all), state(&[person(("ada", "away")), person(("grace", ""))]));
    assert_eq!((slow.count(), hub.stats().resets), (2, 1));
    // The changes go on from there.
    ada.update_presence("here");
    assert_eq!(soon(&mut slow).await, PresenceChange::Updated(person(("ada", "here"))));
    let next = timeout(Duration::ZERO, slow.next()).await;
    assert!(next.is_err(), "{next:?}");
}

#[derive(Debug, Clone)]
enum Step {
    Join(usize, usize),
    Leave(usize, usize),
    Update(usize, u32),
    /// The connection ends, and another one begins.
    Drop(usize),
    Observe(usize),
    /// One of the observers looks at some changes, or ends.
    Look(usize, usize),
    Forget(usize),
    Wait(u64),
    /// More changes than are kept.
    Storm(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let (member, room, observer) = (0..20_usize, 0..ROOMS.len(), 0..8_usize);
    prop_oneof![
        8 => (member.clone(), room.clone()).prop_map(|(member, room)| Step::Join(member, room)),
        5 => (member.clone(), room.clone()).prop_map(|(member, room)| Step::Leave(member, room)),
        3 => (member.clone(), 0..3_u32).prop_map(|(member, info)| Step::Update(member, info)),
        2 => member.clone().prop_map(Step::Drop),
        1 => room.prop_map(Step::Observe),
        5 => (observer.clone(), 0..9_usize).prop_map(|(observer, most)| Step::Look(observer, most)),
        1 => observer.prop_map(Step::Forget),
        4 => (1..2500_u64).prop_map(Step::Wait),
        1 => member.prop_map(Step::Storm),
    ]
}

/// Who is there, as a simple model has it: the infos of the members in each room, in the order in which they were given.
#[derive(Default)]
struct Model {
    rooms: [Vec<(usize, String)>; ROOMS.len()],
    told: HashMap<usize, String>,
}

impl Model {
    fn join(&mut self, member: usize, room: usize) {
        if !self.rooms[room].iter().any(|(other, _)| *other == member) {
            let info = self.told.get(&member).cloned().unwrap_or_else(|| member.to_string());
            self.rooms[room].push((member, info));
        }
    }

    fn leave(&mut self, member: usize, room: usize) {
        self.rooms[room].retain(|(other, _)| *other != member);
    }

    fn update(&mut self, member: usize, info: &str) {
        self.told.insert(member, info.to_owned());
        for room in 0..ROOMS.len() {
            if self.rooms[room].iter().any(|(other, _)| *other == member) {
                self.leave(member, room);
                self.join(member, room);
            }
        }
    }

    fn people(&self, room: usize) -> BTreeMap<String, Bytes> {
        let infos = self.rooms[room].iter();
        infos.map(|(member, info)| ((*member as u32 % KEYS).to_string(), Bytes::from(info.clone()))).collect()
    }
}

async fn play(steps: Vec<Step>) {
    let linger = Duration::from_secs(2);
    let hub = numbered_hub(linger).await;
    let sender = connect().await;
    let register = |member: usize| hub.register(sender.1.clone(), member as u32);
    let mut members: Vec<Member<u32>> = (0..20).map(register).collect();
    let mut model = Model::default();
    let mut observers: Vec<(usize, Belief)> = Vec::new();
    for (room, name) in ROOMS.iter().enumerate() {
        observers.push((room, Belief::new(&hub, name).await));
    }
    for step in steps {
        match step {
            Step::Join(member, room) => {
                members[member].join(ROOMS[room]).await.unwrap();
                model.join(member, room);
            }
            Step::Leave(member, room) => {
                members[member].leave(ROOMS[room]).await;
                model.leave(member, room);
            }
            Step::Update(member, info) => {
                members[member].update_presence(info.to_string());
                model.update(member, &info.to_string());
            }
            Step::Drop(member) => {
                members[member] = register(member);
                (0..ROOMS.len()).for_each(|room| model.leave(member, room));
                model.told.remove(&member);
            }
            Step::Observe(room) => observers.push((room, Belief::new(&hub, ROOMS[room]).await)),
            Step::Look(observer, most) => {
                if let Some((_, belief)) = observers.get_mut(observer) {
                    belief.look(most).await;
                }
            }
            Step::Forget(observer) if observer < observers.len() => _ = observers.swap_remove(observer),
            Step::Forget(_) => {}
            Step::Wait(millis) => advance(Duration::from_millis(millis)).await,
            Step::Storm(member) => {
                for info in 0..300 {
                    members[member].update_presence(info.to_string());
                }
                model.update(member, "299");
            }
        }
    }
    advance(linger).await;
    for (room, mut belief) in observers {
        belief.look(usize::MAX).await;
        assert_eq!(belief.state, model.people(room), "{} resets", belief.resets);
    }
    for (room, name) in ROOMS.iter().enumerate() {
        assert_eq!(state(hub.presence(name).await.unwrap().snapshot()), model.people(room));
    }
    assert_eq!(hub.stats().people, model.people(0).len() + model.people(1).len());
    drop(members);
    advance(linger).await;
    assert_eq!((hub.presence(ROOMS[0]).await.unwrap().count(), hub.presence(ROOMS[1]).await.unwrap().count()), (0, 0));
    assert_eq!((hub.stats().people, hub.stats().observers), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn what_observers_believe_becomes_the_truth(steps in vec(step(), 0..400)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        runtime.block_on(play(steps));
    }
}

/// 10,000 joins, leaves, updates and ends of connections on four threads, with observers on other tasks.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_snapshot_and_the_changes_are_of_one_instant_on_many_threads() {
    let hub = numbered_hub(Duration::from_millis(1)).await;
    let (_client, sender) = connect().await;
    let mut tasks = Vec::new();
    for task in 0..4_u32 {
        let (hub, sender) = (hub.clone(), sender.clone());
        tasks.push(tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(u64::from(task));
            let mut members: Vec<_> = (0..8).map(|member| hub.register(sender.clone(), 8 * task + member)).collect();
            for _ in 0..2500 {
                let (member, room) = (random.usize(0..8), ROOMS[random.usize(0..ROOMS.len())]);
                match random.u32(0..20) {
                    0..9 => _ = members[member].join(room).await.unwrap(),
                    9..16 => _ = members[member].leave(room).await,
                    16..18 => _ = members[member].update_presence(random.u32(0..5).to_string()),
                    18 => members[member] = hub.register(sender.clone(), 8 * task + member as u32),
                    _ => tokio::task::yield_now().await,
                }
            }
            members
        }));
    }
    let mut observers = Vec::new();
    for number in 0..6_usize {
        let hub = hub.clone();
        observers.push(tokio::spawn(async move {
            let mut belief = Belief::new(&hub, ROOMS[number % 2]).await;
            // They begin again and again, and some look less often than others.
            for turn in 0..50 {
                belief = Belief::new(&hub, ROOMS[number % 2]).await;
                for _ in 0..turn {
                    tokio::task::yield_now().await;
                    belief.look(number + 1).await;
                }
            }
            belief
        }));
    }
    let mut members = Vec::new();
    for task in tasks {
        members.extend(task.await.unwrap());
    }
    let mut beliefs = Vec::new();
    for observer in observers {
        beliefs.push(observer.await.unwrap());
    }
    for belief in &mut beliefs {
        let room = belief.who.room().to_owned();
        let mut truth = BTreeMap::<String, Vec<Bytes>>::new();
        for member in hub.members_of(&room) {
            truth.entry((member.value() % KEYS).to_string()).or_default();
        }
        // Until the last ones have stopped lingering.
        while belief.state.keys().ne(truth.keys()) {
            let change = timeout(Duration::from_secs(10), belief.who.next()).await;
            assert!(change.is_ok(), "{:?}, not {truth:?}", belief.state);
            apply(&mut belief.state, change.unwrap().unwrap());
        }
        belief.look(usize::MAX).await;
        let now = hub.presence(&room).await.unwrap();
        assert_eq!(belief.state, state(now.snapshot()));
    }
    drop(members);
    let mut last = hub.presence(ROOMS[0]).await.unwrap();
    while last.count() > 0 {
        timeout(Duration::from_secs(10), last.next()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn many_observers_share_what_they_see() {
    let hub = Arc::new(numbered_hub(Duration::ZERO).await);
    let (_client, sender) = connect().await;
    let member = hub.register(sender, 1);
    let mut tasks = Vec::new();
    for _ in 0..500 {
        let mut who = hub.presence(ROOMS[0]).await.unwrap();
        tasks.push(tokio::spawn(async move { (who.next().await, who.next().await) }));
    }
    tokio::task::yield_now().await;
    member.join(ROOMS[0]).await.unwrap();
    member.leave(ROOMS[0]).await;
    for task in tasks {
        let ada = || Person::new("1", "1");
        assert_eq!(task.await.unwrap(), (Some(PresenceChange::Joined(ada())), Some(PresenceChange::Left(ada()))));
    }
    assert_eq!(hub.stats().observers, 0);
}
