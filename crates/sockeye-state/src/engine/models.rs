//! Models of a room for loom: all orders in which members may join and leave, and messages may be sent and delivered.
//!
//! Each model ends with what has to hold in all orders: nobody misses what was sent while they were in the room, nobody gets
//! anything twice or out of order, and nothing stays pending.

use std::sync::Arc as StdArc;

use loom::{
    sync::{Arc, Mutex},
    thread,
};
use sockeye_proto::{CloseFrame, PreparedMessage};
use sockeye_tokio::{Overflow, PushedMany};

use super::{
    directory::Directory,
    drain::Drain,
    room::{Capacity, Removed, Room, RoomKind, Seat, Sent},
    *,
};

/// A connection that notes what it got.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<Vec<String>>>);

impl Inbox {
    fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Seat for Inbox {
    fn deliver(&self, messages: &[PreparedMessage], _: Option<Overflow>) -> PushedMany {
        let texts = messages.iter().map(|message| String::from_utf8(message.payload().to_vec()).unwrap());
        self.0.lock().unwrap().extend(texts);
        PushedMany::default()
    }

    fn close(&self, frame: &CloseFrame) {
        self.0.lock().unwrap().push(frame.to_string());
    }
}

const CAPACITY: Capacity = Capacity { messages: 16, bytes: 1 << 10 };

/// Sends a text, and drains if nobody else does. Returns how many members it is for.
fn send(room: &StdArc<Room<Inbox>>, text: &str) -> usize {
    send_in(&StdArc::default(), room, text)
}

/// The same in a room that this directory may have removed.
fn send_in(directory: &StdArc<Directory<Inbox>>, room: &StdArc<Room<Inbox>>, text: &str) -> usize {
    match room.send(text.into(), Except::Nobody, CAPACITY) {
        Ok(Sent::Pending(reached)) => reached,
        Ok(Sent::Drain(reached)) => {
            Drain::new(room.clone(), directory.clone(), StdArc::default()).run();
            reached
        }
        Err(Removed) => 0,
        other => panic!("{other:?}"),
    }
}

fn room_of(members: &[(Key, &Inbox)]) -> (StdArc<Directory<Inbox>>, StdArc<Room<Inbox>>) {
    let directory = StdArc::new(Directory::default());
    let room = directory.get_or_add("tide", RoomKind::default);
    for (key, inbox) in members {
        assert!(room.join(*key, (*inbox).clone()).unwrap());
    }
    (directory, room)
}

#[test]
fn two_senders_and_two_members_agree_on_one_order() {
    loom::model(|| {
        let (ada, bob) = (Inbox::default(), Inbox::default());
        let (_directory, room) = room_of(&[(1, &ada), (2, &bob)]);
        let other = room.clone();
        let thread = thread::spawn(move || send(&other, "b"));
        send(&room, "a1");
        send(&room, "a2");
        thread.join().unwrap();
        let texts = ada.texts();
        assert_eq!(texts, bob.texts());
        assert_eq!(texts.len(), 3);
        assert_eq!(texts.iter().filter(|text| text.starts_with('a')).collect::<Vec<_>>(), ["a1", "a2"]);
        assert!(!room.state.lock().is_draining);
    });
}

#[test]
fn whoever_leaves_gets_nothing_that_is_sent_later() {
    loom::model(|| {
        let (ada, bob) = (Inbox::default(), Inbox::default());
        let (_directory, room) = room_of(&[(1, &ada), (2, &bob)]);
        let other = room.clone();
        let thread = thread::spawn(move || send(&other, "1"));
        room.leave(1);
        assert_eq!(send(&room, "2"), 1);
        thread.join().unwrap();
        assert!(!ada.texts().contains(&"2".to_owned()));
        let mut texts = bob.texts();
        texts.sort_unstable();
        assert_eq!(texts, ["1", "2"]);
        assert_eq!(room.state.lock().seats.end(), 1);
    });
}

#[test]
fn whoever_joins_gets_all_that_is_sent_later_and_nothing_twice() {
    loom::model(|| {
        let (ada, bob) = (Inbox::default(), Inbox::default());
        let (_directory, room) = room_of(&[(1, &ada)]);
        let other = room.clone();
        let thread = thread::spawn(move || send(&other, "1"));
        room.join(2, bob.clone()).unwrap();
        send(&room, "2");
        thread.join().unwrap();
        let texts = bob.texts();
        assert_eq!(texts.iter().filter(|text| *text == "2").count(), 1);
        assert!(texts.len() <= 2);
        assert_eq!(ada.texts().len(), 2);
    });
}

#[test]
fn leaving_and_joining_again_under_a_drain_gets_nothing_twice() {
    loom::model(|| {
        let (ada, bob) = (Inbox::default(), Inbox::default());
        let (_directory, room) = room_of(&[(1, &ada), (2, &bob)]);
        let other = room.clone();
        let thread = thread::spawn(move || {
            send(&other, "1");
            send(&other, "2");
        });
        room.leave(1);
        room.join(1, ada.clone()).unwrap();
        thread.join().unwrap();
        for text in ["1", "2"] {
            assert!(ada.texts().iter().filter(|other| *other == text).count() <= 1);
        }
        assert_eq!(bob.texts(), ["1", "2"]);
    });
}

#[test]
fn a_room_that_empties_is_never_joined_outside_the_directory() {
    loom::model(|| {
        let (ada, bob) = (Inbox::default(), Inbox::default());
        let (directory, room) = room_of(&[(1, &ada)]);
        let other = directory.clone();
        let thread = thread::spawn(move || {
            if room.leave(1) {
                other.remove_if_empty(&room);
            }
        });
        let joined = loop {
            let room = directory.get_or_add("tide", RoomKind::default);
            if room.join(2, bob.clone()).is_ok() {
                break room;
            }
        };
        thread.join().unwrap();
        let found = directory.get("tide").expect("the room has a member");
        assert!(StdArc::ptr_eq(&found, &joined));
        assert_eq!(send(&found, "hello"), 1);
        assert_eq!(bob.texts(), ["hello"]);
        assert_eq!(directory.len(), 1);
    });
}

#[test]
fn whoever_leaves_last_and_joins_again_under_a_drain_keeps_the_order() {
    loom::model(|| {
        let ada = Inbox::default();
        let (directory, room) = room_of(&[(1, &ada)]);
        let other = directory.clone();
        let thread = thread::spawn(move || send_in(&other, &room, "1"));
        let room = directory.get("tide").expect("the room has a member");
        if room.leave(1) {
            directory.remove_if_empty(&room);
        }
        // The end of the drain may remove the room just before the member joins.
        let room = loop {
            let room = directory.get_or_add("tide", RoomKind::default);
            if room.join(1, ada.clone()).is_ok() {
                break room;
            }
        };
        assert_eq!(send_in(&directory, &room, "2"), 1);
        thread.join().unwrap();
        let texts = ada.texts();
        assert!(texts == ["1", "2"] || texts == ["2"], "{texts:?}");
        if room.leave(1) {
            directory.remove_if_empty(&room);
        }
        assert_eq!(directory.len(), 0);
    });
}

#[test]
fn a_lost_drain_is_taken_up_by_the_next_message() {
    loom::model(|| {
        let (ada, bob) = (Inbox::default(), Inbox::default());
        let (_directory, room) = room_of(&[(1, &ada), (2, &bob)]);
        assert_eq!(room.send("1".into(), Except::Nobody, CAPACITY).unwrap(), Sent::Drain(2));
        let lost = Drain::new(room.clone(), StdArc::default(), StdArc::default());
        let thread = thread::spawn(move || drop(lost));
        send(&room, "2");
        thread.join().unwrap();
        send(&room, "3");
        assert_eq!(ada.texts(), ["1", "2", "3"]);
        assert_eq!(bob.texts(), ["1", "2", "3"]);
    });
}

#[test]
fn a_lost_drain_of_a_full_room_is_taken_up_by_a_message_that_does_not_fit() {
    const FULL: Capacity = Capacity { messages: 1, bytes: 1 << 10 };
    loom::model(|| {
        let ada = Inbox::default();
        let (_directory, room) = room_of(&[(1, &ada)]);
        assert_eq!(room.send("1".into(), Except::Nobody, FULL).unwrap(), Sent::Drain(1));
        let lost = Drain::new(room.clone(), StdArc::default(), StdArc::default());
        let thread = thread::spawn(move || drop(lost));
        let try_send = || match room.send("2".into(), Except::Nobody, FULL) {
            Ok(Sent::Drain(_) | Sent::Refused { starts: true, .. }) => {
                Drain::new(room.clone(), StdArc::default(), StdArc::default()).run();
            }
            Ok(Sent::Refused { starts: false, .. }) => {}
            other => panic!("{other:?}"),
        };
        try_send();
        thread.join().unwrap();
        try_send();
        assert_eq!(ada.texts()[0], "1");
        assert!(!room.state.lock().is_draining);
    });
}

#[test]
fn a_close_comes_after_what_was_sent_before() {
    loom::model(|| {
        let ada = Inbox::default();
        let (_directory, room) = room_of(&[(1, &ada)]);
        let other = room.clone();
        let thread = thread::spawn(move || send(&other, "1"));
        let frame = CloseFrame::new(1001, "");
        if let Ok(Sent::Drain(_)) = room.close(frame, Except::Nobody) {
            Drain::new(room.clone(), StdArc::default(), StdArc::default()).run();
        }
        thread.join().unwrap();
        assert_eq!(ada.texts().len(), 2);
        assert!(!room.state.lock().is_draining);
    });
}
