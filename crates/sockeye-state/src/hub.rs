//! `Hub`: the live connections of an application, and broadcast to them.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sockeye_proto::PreparedMessage;
use sockeye_tokio::{Sender, TrySendError};

use crate::{Membership, Overflow};

/// The live connections of an application, each with a value of the application's own. Cheap to clone; all clones are
/// one hub.
///
/// ```
/// use sockeye_state::Hub;
///
/// let hub: Hub<String> = Hub::new();
/// assert!(hub.is_empty());
/// assert_eq!(hub.broadcast("anybody?").queued, 0);
/// ```
pub struct Hub<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    members: Mutex<Members<T>>,
    overflow: Overflow,
    overflowed: AtomicU64,
}

struct Members<T> {
    /// In the order in which they joined.
    by_id: BTreeMap<MemberId, Member<T>>,
    next: MemberId,
}

struct Member<T> {
    sender: Sender,
    value: Arc<T>,
}

pub(crate) type MemberId = u64;

/// What became of a broadcast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Delivery {
    /// Members for whom it was queued.
    pub queued: usize,
    /// Members whose queue was full, and with whom was done what [`Overflow`] says.
    pub overflowed: usize,
    /// Members whose connection was closing.
    pub closed: usize,
}

impl<T> Hub<T> {
    /// A hub without members, which disconnects a member that reads too slowly.
    pub fn new() -> Self {
        Self::with_overflow(Overflow::default())
    }

    /// A hub without members that does with slow ones what `overflow` says.
    pub fn with_overflow(overflow: Overflow) -> Self {
        let members = Mutex::new(Members { by_id: BTreeMap::new(), next: 0 });
        Self { inner: Arc::new(Inner { members, overflow, overflowed: AtomicU64::new(0) }) }
    }

    /// Adds a connection, until the membership is dropped.
    pub fn join(&self, sender: Sender, value: T) -> Membership<T> {
        let value = Arc::new(value);
        let mut members = self.lock();
        let id = members.next;
        members.next += 1;
        members.by_id.insert(id, Member { sender, value: value.clone() });
        drop(members);
        Membership::new(self.clone(), id, value)
    }

    /// Queues a message for every member. It is encoded once and waits for nobody. All members see the broadcasts of a hub
    /// in the same order.
    pub fn broadcast(&self, message: impl Into<PreparedMessage>) -> Delivery {
        self.deliver(&message.into(), None)
    }

    /// The values of all members, in the order in which they joined.
    pub fn members(&self) -> Vec<Arc<T>> {
        self.lock().by_id.values().map(|member| member.value.clone()).collect()
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.lock().by_id.is_empty()
    }

    /// How often a member's queue was full since the hub was made.
    pub fn overflowed(&self) -> u64 {
        self.inner.overflowed.load(Ordering::Relaxed)
    }

    pub(crate) fn deliver(&self, message: &PreparedMessage, except: Option<MemberId>) -> Delivery {
        let mut delivery = Delivery::default();
        // The lock is what gives all members the same order; nothing under it waits.
        let members = self.lock();
        for (id, member) in &members.by_id {
            if Some(*id) == except {
                continue;
            }
            match member.sender.try_send(message.clone()) {
                Ok(()) => delivery.queued += 1,
                Err(TrySendError::Full(_)) => {
                    self.overflow(*id, &member.sender);
                    delivery.overflowed += 1;
                }
                Err(TrySendError::Closed(..) | TrySendError::Invalid(..)) => delivery.closed += 1,
            }
        }
        delivery
    }

    pub(crate) fn remove(&self, id: MemberId) {
        let member = self.lock().by_id.remove(&id);
        // Not under the lock: a value of the application's may do anything when it is dropped.
        drop(member);
    }

    fn overflow(&self, id: MemberId, sender: &Sender) {
        let total = self.inner.overflowed.fetch_add(1, Ordering::Relaxed) + 1;
        match self.inner.overflow {
            Overflow::Disconnect(code) => {
                tracing::debug!(
                    member = id,
                    code,
                    buffered = sender.buffered(),
                    total,
                    "a slow member is disconnected"
                );
                if let Err(error) = sender.close_with(code, "too slow") {
                    tracing::debug!(member = id, %error, "a slow member could not be sent a Close");
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members<T>> {
        self.inner.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Hub<T> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<T> Default for Hub<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Hub<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub").field("members", &self.len()).field("overflow", &self.inner.overflow).finish()
    }
}
