//! Presence with code of others in the middle of it, and with runtimes that end, or are not there.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

mod support;

use std::{
    future::{Future, IntoFuture},
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use sockeye_state::{Hub, Member, Person, Presence, Rooms};
use sockeye_tokio::Sender;
use support::{
    connect,
    presence::{joined, left, person},
};
use tokio::runtime::{Builder, Runtime};

type Value = (&'static str, &'static str);

/// As long as a person lingers where time is not paused.
const SHORT: Duration = Duration::from_millis(1);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

async fn hub(linger: Duration) -> Hub<Value> {
    let chats = Rooms::new().presence(|value: &Value| person(*value)).linger(linger);
    Hub::builder().rooms("chat:", chats).build().await.unwrap()
}

/// Fails if `work` does not end.
fn in_time<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(work()));
    told.recv_timeout(Duration::from_secs(30)).expect("it came to its end")
}

/// A member that has joined, and somebody who has seen that.
async fn ada_and_observer(hub: &Hub<Value>, sender: Sender) -> (Member<Value>, Presence) {
    let mut who = hub.presence("chat:42").await.unwrap();
    let ada = hub.register(sender, ("ada", ""));
    ada.join("chat:42").await.unwrap();
    assert_eq!(who.next().await, Some(joined(("ada", ""))));
    (ada, who)
}

#[test]
fn who_leaves_outside_of_a_runtime_leaves_in_time() {
    let change = in_time(|| {
        runtime().block_on(async {
            let (_client, sender) = connect().await;
            let hub = hub(SHORT).await;
            let (ada, mut who) = ada_and_observer(&hub, sender).await;
            let observer = tokio::spawn(async move { who.next().await });
            tokio::task::yield_now().await;
            thread::spawn(move || drop(ada)).join().unwrap();
            observer.await.unwrap()
        })
    });
    assert_eq!(change, Some(left(("ada", ""))));
}

#[test]
fn the_end_of_a_runtime_does_not_end_the_timer() {
    let change = in_time(|| {
        runtime().block_on(async {
            let (_client, sender) = connect().await;
            let hub = hub(SHORT).await;
            let (ada, mut who) = ada_and_observer(&hub, sender).await;
            let observer = tokio::spawn(async move { who.next().await });
            tokio::task::yield_now().await;
            // The timer belongs to a runtime that ends before it has done anything.
            let other = runtime();
            let entered = other.enter();
            drop(ada);
            drop(entered);
            other.shutdown_background();
            observer.await.unwrap()
        })
    });
    assert_eq!(change, Some(left(("ada", ""))));
}

#[test]
fn without_any_runtime_whoever_looks_sees_who_has_left() {
    let people = in_time(|| {
        let serving = runtime();
        let (_client, sender) = serving.block_on(connect());
        let mut cx = Context::from_waker(Waker::noop());
        let hub = serving.block_on(hub(SHORT));
        let (ada, mut who) = serving.block_on(ada_and_observer(&hub, sender));
        drop(ada);
        let change = loop {
            if let Poll::Ready(change) = pin!(who.next()).poll(&mut cx) {
                break change;
            }
            thread::yield_now();
        };
        assert_eq!(change, Some(left(("ada", ""))));
        hub.stats().people
    });
    assert_eq!(people, 0);
}

/// Runs code of the application whenever it is woken, or dropped.
struct Hook(Box<dyn Fn() + Send + Sync>);

impl Wake for Hook {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Uses the hub in all ways that concern presence.
fn use_hub(hub: &Hub<Value>, member: &Mutex<Option<Member<Value>>>, uses: &AtomicUsize) {
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Ok(who)) = pin!(hub.presence("chat:42")).poll(&mut cx) else { panic!("it is ready at once") };
    assert!(who.snapshot().len() <= 3);
    let _ = hub.stats();
    // It is locked already if this is called by what it does itself.
    if let Ok(member) = member.try_lock() {
        if let Some(member) = &*member {
            let Poll::Ready(Ok(_)) = pin!(IntoFuture::into_future(member.join("chat:42"))).poll(&mut cx) else {
                panic!("it is ready at once")
            };
            assert_eq!(member.update_presence("again"), 1);
            assert!(pin!(member.leave("chat:42")).poll(&mut cx).is_ready());
        }
    }
    uses.fetch_add(1, Ordering::Relaxed);
}

#[test]
fn code_of_others_may_use_the_hub() {
    let counts = in_time(|| {
        let serving = runtime();
        let (_client, sender) = serving.block_on(connect());
        let (by_closure, by_waker, by_bytes) = (Arc::<AtomicUsize>::default(), Arc::default(), Arc::default());
        let mine = Arc::new(Mutex::new(None::<Hub<Value>>));
        let theirs = Arc::new(Mutex::new(None::<Member<Value>>));
        let hook = |uses: &Arc<AtomicUsize>| {
            let (hub, member, uses) = (mine.clone(), theirs.clone(), uses.clone());
            move || {
                let hub = hub.lock().unwrap().clone();
                if let Some(hub) = hub {
                    use_hub(&hub, &member, &uses);
                }
            }
        };
        let in_closure = hook(&by_closure);
        let depth = AtomicUsize::new(0);
        let person_of = move |(key, info): &Value| {
            if depth.fetch_add(1, Ordering::Relaxed) == 0 {
                in_closure();
            }
            depth.fetch_sub(1, Ordering::Relaxed);
            Person::new(*key, *info)
        };
        let rooms = Rooms::new().presence(person_of).linger(Duration::ZERO);
        let hub = serving.block_on(Hub::builder().rooms("chat:", rooms).build()).unwrap();
        *theirs.lock().unwrap() = Some(hub.register(sender.clone(), ("eve", "")));
        *mine.lock().unwrap() = Some(hub.clone());

        let mut who = serving.block_on(hub.presence("chat:42")).unwrap();
        let waker = Waker::from(Arc::new(Hook(Box::new(hook(&by_waker)))));
        let mut next = Box::pin(who.next());
        assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        let ada = hub.register(sender, ("ada", ""));
        serving.block_on(async { ada.join("chat:42").await }).unwrap();
        let owned = Hook(Box::new(hook(&by_bytes)));
        ada.update_presence(Bytes::from_owner(Owned(b"away", owned)));
        ada.update_presence("here");
        drop(next);
        drop((ada, waker, who));
        *theirs.lock().unwrap() = None;
        // The hub goes with the last of its clones.
        *mine.lock().unwrap() = None;
        let stats = hub.stats();
        assert_eq!((stats.people, stats.observers, stats.members), (0, 0, 0));
        [by_closure, by_waker, by_bytes].map(|uses| uses.load(Ordering::Relaxed))
    });
    assert!(counts.iter().all(|uses| *uses > 0), "{counts:?}");
}

/// Bytes that run code when they are dropped.
struct Owned(&'static [u8], #[allow(dead_code, reason = "it is there to be dropped")] Hook);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        self.0
    }
}
