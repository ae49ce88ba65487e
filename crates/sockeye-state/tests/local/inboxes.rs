//! What arrives, while inboxes are busy, use the broker, or panic.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use bytes::Bytes;
use sockeye_state::{Arrival, Broker, Keep, Local, Lost};

use crate::{HOUR, append, finish, memory::Owner, now, poll, start, start_silent, topic};

/// An inbox that is busy with its first arrival until it is told to go on, and then keeps all.
struct Busy {
    entered: mpsc::Receiver<()>,
    go_on: mpsc::Sender<()>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

fn start_busy(broker: &Local) -> (Local, Busy) {
    let (entered_sender, entered) = mpsc::channel();
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(Some(wait));
    let arrivals = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&arrivals);
    let node = start(broker, move |arrival| {
        kept.lock().unwrap().push(arrival);
        let wait = wait.lock().unwrap().take();
        if let Some(wait) = wait {
            entered_sender.send(()).unwrap();
            wait.recv().unwrap();
        }
    });
    (node, Busy { entered, go_on, arrivals })
}

impl Busy {
    /// Publishes on another thread, which is then busy with the inbox.
    fn begin(&self, broker: &Local) -> thread::JoinHandle<()> {
        let publisher = start_silent(broker);
        let thread = thread::spawn(move || finish(publisher.publish(topic("a"), "first".into())).unwrap());
        self.entered.recv().unwrap();
        thread
    }
}

#[test]
fn unsubscribe_waits_for_what_is_being_handed_over() {
    let broker = Local::new();
    let (node, busy) = start_busy(&broker);
    now(node.subscribe(vec![topic("a"), topic("b")])).unwrap();
    let thread = busy.begin(&broker);
    now(node.publish(topic("a"), "second".into())).unwrap();

    now(node.unsubscribe(vec![topic("b")])).unwrap(); // nothing of it is being handed over
    let mut unsubscribe = node.unsubscribe(vec![topic("a")]);
    assert!(poll(&mut unsubscribe).is_pending());
    busy.go_on.send(()).unwrap();
    thread.join().unwrap();
    assert!(poll(&mut unsubscribe).is_ready());
    assert_eq!(busy.arrivals.lock().unwrap().len(), 1, "what was waiting is not handed over");
}

#[test]
fn stop_waits_for_what_is_being_handed_over_and_drops_the_inbox() {
    let broker = Local::new();
    let (node, busy) = start_busy(&broker);
    now(node.subscribe(vec![topic("a")])).unwrap();
    let thread = busy.begin(&broker);
    now(node.publish(topic("a"), "second".into())).unwrap();

    let mut stop = node.stop();
    assert!(poll(&mut stop).is_pending());
    busy.go_on.send(()).unwrap();
    thread.join().unwrap();
    assert!(poll(&mut stop).is_ready());
    let arrivals = Arc::into_inner(busy.arrivals).expect("the inbox was dropped").into_inner().unwrap();
    assert_eq!(arrivals.len(), 1, "what was waiting is not handed over");
}

#[test]
fn a_busy_inbox_holds_up_nobody_and_hears_that_something_is_lost() {
    let broker = Local::new();
    let (node, busy) = start_busy(&broker);
    now(node.subscribe(vec![topic("a"), topic("b")])).unwrap();
    let thread = busy.begin(&broker);

    let publisher = start_silent(&broker);
    for number in 0..20_000 {
        now(publisher.publish(topic("a"), number.to_string().into())).unwrap();
    }
    let at = now(publisher.append(append(&topic("b"), 0, "kept", Keep::new(10, HOUR)))).unwrap();
    busy.go_on.send(()).unwrap();
    thread.join().unwrap();

    let mut arrivals = busy.arrivals.lock().unwrap().split_off(1);
    let lost = arrivals.iter().position(|arrival| matches!(arrival, Arrival::Lost(_))).expect("something is lost");
    let Arrival::Lost(Lost::Topics(mut lost)) = arrivals.remove(lost) else { panic!("not everything is lost") };
    lost.sort();
    assert_eq!(lost, [topic("a"), topic("b")]);
    assert!(arrivals.len() > 1000);
    for (number, arrival) in arrivals.iter().enumerate() {
        assert!(matches!(arrival, Arrival::Message { envelope, .. } if *envelope == number.to_string()), "in order");
    }
    assert_eq!(now(node.read(topic("b"), None, 10)).unwrap().entries[0].at, at, "what is appended can be read");
}

#[test]
fn a_node_that_never_catches_up_hears_of_losses_all_the_same() {
    let broker = Local::new();
    let inner = start_silent(&broker);
    let (lost, heard) = mpsc::channel();
    let arrivals = AtomicUsize::new(0);
    let node = start(&broker, move |arrival| {
        if let Arrival::Lost(_) = arrival {
            let _ = lost.send(arrivals.load(Ordering::Relaxed));
        }
        // For each message that is handed over, two more come, up to a hundred thousand.
        let messages = if arrivals.fetch_add(1, Ordering::Relaxed) < 100_000 { 2 } else { 0 };
        for _ in 0..messages {
            now(inner.publish(topic("a"), "more".into())).unwrap();
        }
    });
    now(node.subscribe(vec![topic("a")])).unwrap();
    finish(node.publish(topic("a"), "first".into())).unwrap();
    let first = heard.recv().unwrap();
    assert!(first < 20_000, "heard of losses after {first} messages");
}

#[test]
fn an_inbox_may_use_the_broker() {
    let broker = Local::new();
    let (sender, arrivals) = mpsc::channel();
    let inner = start_silent(&broker);
    let node = start(&broker, move |arrival| {
        if let Arrival::Appended { entry, .. } = arrival {
            if entry.at.offset < 100 {
                now(inner.append(append(&topic("a"), entry.at.offset, "next", Keep::new(10, HOUR)))).unwrap();
            }
            sender.send(entry).unwrap();
        }
    });
    now(node.subscribe(vec![topic("a")])).unwrap();
    now(node.append(append(&topic("a"), 0, "first", Keep::new(10, HOUR)))).unwrap();
    let offsets: Vec<_> = arrivals.try_iter().map(|entry| entry.at.offset).collect();
    assert!(offsets.iter().copied().eq(1..=100), "in order: {offsets:?}");
}

#[test]
fn a_panic_of_an_inbox_reaches_the_caller_and_the_broker_goes_on() {
    let broker = Local::new();
    let (sender, arrivals) = mpsc::channel();
    let node = start(&broker, move |arrival| {
        let Arrival::Message { envelope, .. } = arrival else { return };
        assert!(envelope != "bad");
        sender.send(envelope).unwrap();
    });
    now(node.subscribe(vec![topic("a")])).unwrap();
    let publisher = start_silent(&broker);
    let panicked = thread::spawn(move || now(publisher.publish(topic("a"), "bad".into()))).join();
    assert!(panicked.is_err());
    now(node.publish(topic("a"), "good".into())).unwrap();
    assert_eq!(arrivals.try_recv().unwrap(), "good");
    now(node.unsubscribe(vec![topic("a")])).unwrap();
}

#[test]
fn a_node_whose_clone_is_dropped_gets_nothing_more() {
    let broker = Local::new();
    let (sender, arrivals) = mpsc::channel();
    let node = start(&broker, move |arrival| sender.send(arrival).unwrap());
    now(node.subscribe(vec![topic("a")])).unwrap();
    drop(node);
    now(start_silent(&broker).publish(topic("a"), "x".into())).unwrap();
    assert!(arrivals.recv().is_err(), "the inbox was dropped, and had nothing");
}

#[test]
fn what_a_node_does_not_get_any_more_is_dropped_without_a_lock() {
    for is_stop in [false, true] {
        let broker = Local::new();
        let (node, busy) = start_busy(&broker);
        now(node.subscribe(vec![topic("a")])).unwrap();
        let thread = busy.begin(&broker);
        let (dropped, drops) = mpsc::channel();
        let owner = Owner { broker: start_silent(&broker), dropped };
        now(node.publish(topic("a"), Bytes::from_owner(owner))).unwrap();
        if is_stop {
            assert!(poll(&mut node.stop()).is_pending());
        } else {
            assert!(poll(&mut node.unsubscribe(vec![topic("a")])).is_pending());
        }
        drops.try_recv().expect("dropped");
        busy.go_on.send(()).unwrap();
        thread.join().unwrap();
    }
}

#[test]
fn an_append_that_is_dropped_while_it_is_handed_over_reaches_all_nodes() {
    let broker = Local::new();
    let publisher = Arc::new(start_silent(&broker));
    let (got, gets) = mpsc::channel();
    let others = [got.clone(), got].map(|got| start(&broker, move |arrival| got.send(arrival).unwrap()));
    // A node that publishes a lot as soon as it gets something, so that the append has its hands full with this node.
    let (busy, is_first) = (Arc::clone(&publisher), AtomicUsize::new(0));
    let between = start(&broker, move |_| {
        if is_first.fetch_add(1, Ordering::Relaxed) == 0 {
            for _ in 0..1000 {
                now(busy.publish(topic("more"), "more".into())).unwrap();
            }
        }
    });
    now(between.subscribe(vec![topic("more")])).unwrap();
    for node in [&others[0], &between, &others[1]] {
        now(node.subscribe(vec![topic("a")])).unwrap();
    }

    let mut dropped = publisher.append(append(&topic("a"), 0, "kept", Keep::new(10, HOUR)));
    assert!(poll(&mut dropped).is_pending());
    drop(dropped);
    let arrivals: Vec<_> = gets.try_iter().collect();
    assert_eq!(arrivals.len(), 2);
    assert!(
        arrivals.iter().all(|arrival| matches!(arrival, Arrival::Appended { entry, .. } if entry.envelope == "kept"))
    );
}
