//! `Connecting`: how many opening handshakes with one address are under way.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::open::progress::Progress;

/// Limits the opening handshakes with each address.
///
/// RFC 6455 §4.1, item 2: "There MUST be no more than one connection in a CONNECTING state." The default is more: one slow answer
/// would hold up all other connections.
pub(crate) struct Connecting {
    most: usize,
    /// Those that somebody uses or waits for, and some that nobody does.
    slots: Mutex<HashMap<Key, Arc<Semaphore>>>,
}

/// Whom the handshakes are with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Key {
    Ip(IpAddr),
    /// The name and the port of a host whose address is not known.
    Host(String, u16),
}

/// One handshake that is under way.
#[derive(Debug)]
pub(crate) struct Slot {
    _permit: OwnedSemaphorePermit,
}

impl Connecting {
    /// At least one.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.clamp(1, Semaphore::MAX_PERMITS), slots: Mutex::default() }
    }

    /// Waits until fewer than `most` handshakes with this address are under way. First come, first served.
    pub(crate) async fn enter(&self, key: Key, progress: &Progress) -> Slot {
        let semaphore = self.semaphore(key);
        progress.set_queued(true);
        let permit = semaphore.acquire_owned().await;
        progress.set_queued(false);
        match permit {
            Ok(permit) => Slot { _permit: permit },
            Err(_) => unreachable!("the semaphore is never closed"),
        }
    }

    fn semaphore(&self, key: Key) -> Arc<Semaphore> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() == slots.capacity() {
            // Before it grows. So what nobody uses takes at most as much memory as what is used.
            slots.retain(|_, semaphore| Arc::strong_count(semaphore) > 1);
        }
        slots.entry(key).or_insert_with(|| Arc::new(Semaphore::new(self.most))).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, pin::pin, task::Context};

    use super::*;

    /// The slot, if there is one at once.
    fn slot(connecting: &Connecting, key: Key) -> Option<Slot> {
        let progress = Progress::new(std::time::Duration::MAX);
        match pin!(connecting.enter(key, &progress)).poll(&mut Context::from_waker(std::task::Waker::noop())) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        }
    }

    fn key(last: u8) -> Key {
        Key::Ip([127, 0, 0, last].into())
    }

    #[test]
    fn as_many_handshakes_with_one_address_are_under_way_as_allowed() {
        let connecting = Connecting::new(2);
        let (first, second) = (slot(&connecting, key(1)), slot(&connecting, key(1)));
        assert!(first.is_some() && second.is_some());
        assert!(slot(&connecting, key(1)).is_none(), "the third waits");
        assert!(slot(&connecting, key(2)).is_some(), "another address");
        drop(first);
        assert!(slot(&connecting, key(1)).is_some());
    }

    #[test]
    fn addresses_that_nobody_connects_to_take_no_memory() {
        let connecting = Connecting::new(8);
        for number in 0..10_000 {
            drop(slot(&connecting, Key::Host(number.to_string(), 80)));
        }
        assert!(connecting.slots.lock().unwrap().len() < 10);
    }

    #[test]
    fn at_least_one_handshake_is_allowed() {
        assert!(slot(&Connecting::new(0), key(1)).is_some());
        assert!(slot(&Connecting::new(usize::MAX), key(1)).is_some());
    }
}
