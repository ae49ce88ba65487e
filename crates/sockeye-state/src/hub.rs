//! `Hub`: the live connections of an application in one process, and broadcast to them. A broker that connects the hubs of several
//! processes is a crate of its own, above this one; xtask/src/layers.rs has the rows.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sockeye_proto::PreparedMessage;
use sockeye_tokio::{Overflow, PushBatch, Pushed, Sender, TrySendError};

/// The live connections of an application, each with a value that the application chooses. Cheap to clone; all clones are the
/// same hub.
///
/// ```
/// use sockeye_state::Hub;
///
/// let hub: Hub<String> = Hub::new();
/// assert!(hub.is_empty());
/// assert_eq!(hub.broadcast("anybody?").queued, 0);
/// ```
#[doc(alias = "rooms")]
pub struct Hub<T> {
    inner: Arc<Inner<T>>,
}

struct Inner<T> {
    members: Mutex<Members<T>>,
    /// `None` if each connection's own setting applies.
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

/// What happened to a broadcast, in numbers of members. With [`Overflow::DropOldest`], a member can be counted in both `queued`
/// and `overflowed`.
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
    /// Members for whom the message was queued. With [`Overflow::DropOldest`] the message may have replaced older ones.
    pub queued: usize,
    /// Members whose queue was full, and to whom [`Overflow`] was applied. With [`Overflow::Wait`] they do not get the message,
    /// since a broadcast never waits.
    pub overflowed: usize,
    /// Members who did not get the message for another reason: their connection was closing, or the close code of
    /// [`Overflow::Disconnect`] is not allowed in a Close.
    pub closed: usize,
}

impl<T> Hub<T> {
    /// A hub without members. The [`Overflow`] of each connection says what happens to a member that reads too slowly: by
    /// default it is disconnected.
    pub fn new() -> Self {
        Self::make(None)
    }

    /// A hub without members that applies `overflow` to slow members, instead of the setting of their connections.
    pub fn with_overflow(overflow: Overflow) -> Self {
        Self::make(Some(overflow))
    }

    fn make(overflow: Option<Overflow>) -> Self {
        let members = Mutex::new(Members { by_id: BTreeMap::new(), next: 0 });
        Self { inner: Arc::new(Inner { members, overflow, overflowed: AtomicU64::new(0) }) }
    }

    /// Queues a message for every member, without waiting for any of them. The message is encoded once. All members see the
    /// broadcasts of a hub in the same order.
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

    /// How many times a broadcast has found the queue of a member full, since the hub was created.
    pub fn overflowed(&self) -> u64 {
        self.inner.overflowed.load(Ordering::Relaxed)
    }

    pub(crate) fn deliver(&self, message: &PreparedMessage, except: Option<MemberId>) -> Delivery {
        let mut delivery = Delivery::default();
        // The batch is dropped after the lock is released: this wakes tasks and reports events, which can run code of the
        // application that uses the hub.
        let mut batch = PushBatch::new();
        // The lock gives all members the same order. Nothing waits while it is held.
        let members = self.lock();
        for (id, member) in &members.by_id {
            if Some(*id) == except {
                continue;
            }
            match batch.push(&member.sender, message.clone(), self.inner.overflow) {
                Ok(Pushed::Queued) => delivery.queued += 1,
                Ok(Pushed::Displaced(_)) => {
                    delivery.queued += 1;
                    delivery.overflowed += 1;
                }
                Ok(_) | Err(TrySendError::Full(_)) => delivery.overflowed += 1,
                Err(TrySendError::Closed(..) | TrySendError::Invalid(..)) => delivery.closed += 1,
            }
        }
        drop(members);
        drop(batch);
        if delivery.overflowed > 0 {
            let total = self.inner.overflowed.fetch_add(delivery.overflowed as u64, Ordering::Relaxed);
            tracing::debug!(members = delivery.overflowed, total, "some members read too slowly");
        }
        delivery
    }

    pub(crate) fn add(&self, sender: Sender, value: Arc<T>) -> MemberId {
        let mut members = self.lock();
        let id = members.next;
        members.next += 1;
        members.by_id.insert(id, Member { sender, value });
        id
    }

    pub(crate) fn remove(&self, id: MemberId) {
        let member = self.lock().by_id.remove(&id);
        // Not under the lock: dropping the application's value may run any code.
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
