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
use sockeye_tokio::{Overflow, Pushed, Sender, TrySendError};

use crate::Membership;

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
    /// Where it is not for the connections to say.
    overflow: Option<Overflow>,
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
///
/// ```
/// use sockeye_state::Hub;
///
/// let hub: Hub<String> = Hub::new();
/// let delivery = hub.broadcast("high tide");
/// println!("{} of {} members have it queued", delivery.queued, hub.len());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Delivery {
    /// Members for whom it was queued, in the place of older messages where [`Overflow::DropOldest`] says so.
    pub queued: usize,
    /// Members whose queue was full, and with whom was done what [`Overflow`] says. With [`Overflow::Wait`] they are left
    /// out: a broadcast waits for nobody.
    pub overflowed: usize,
    /// Members who got nothing: their connection was closing, or the close code of [`Overflow::Disconnect`] may not be sent.
    pub closed: usize,
}

impl<T> Hub<T> {
    /// A hub without members. With one that reads too slowly it does what its connection's [`Overflow`] says: by default it
    /// is disconnected.
    pub fn new() -> Self {
        Self::make(None)
    }

    /// A hub without members that does with slow ones what `overflow` says, whatever their connections say.
    pub fn with_overflow(overflow: Overflow) -> Self {
        Self::make(Some(overflow))
    }

    fn make(overflow: Option<Overflow>) -> Self {
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
            let pushed = match self.inner.overflow {
                Some(overflow) => member.sender.push_with(message.clone(), overflow),
                None => member.sender.push(message.clone()),
            };
            match pushed {
                Ok(Pushed::Queued) => delivery.queued += 1,
                Ok(Pushed::Displaced(_)) => {
                    delivery.queued += 1;
                    delivery.overflowed += 1;
                }
                Ok(_) | Err(TrySendError::Full(_)) => delivery.overflowed += 1,
                Err(TrySendError::Closed(..) | TrySendError::Invalid(..)) => delivery.closed += 1,
            }
        }
        if delivery.overflowed > 0 {
            let total = self.inner.overflowed.fetch_add(delivery.overflowed as u64, Ordering::Relaxed);
            tracing::debug!(members = delivery.overflowed, total, "some members read too slowly");
        }
        delivery
    }

    pub(crate) fn remove(&self, id: MemberId) {
        let member = self.lock().by_id.remove(&id);
        // Not under the lock: a value of the application's may do anything when it is dropped.
        drop(member);
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
