//! `Joined`: a room that a member has joined.

use std::{
    fmt,
    future::{Future, IntoFuture},
    ops::Deref,
    pin::Pin,
    task::{Context, Poll},
};

use crate::{Audience, JoinError, Member, MemberId, Room};

/// A join that begins when it is awaited. From [`Member::join`]. For its result, and an example, see there.
#[must_use = "a join does nothing before it is awaited"]
pub struct Join<'a, T> {
    member: &'a Member<T>,
    room: String,
}

/// The future of a [`Join`].
#[must_use = "a join does nothing before it is awaited"]
pub struct Joining<'a, T>(Join<'a, T>);

/// A room that a member has joined. It is a [`Room`] that knows its member. Dropping it does not leave the room;
/// [`leave`](Self::leave) does, and so does dropping the [`Member`].
///
/// ```
/// use sockeye_state::{JoinError, Member};
///
/// async fn visit(me: &Member<String>) -> Result<(), JoinError> {
///     let harbour = me.join("harbour").await?;
///     harbour.send("for all"); // as of any `Room`
///     harbour.to_others().send("for all but me");
///     harbour.leave().await;
///     Ok(())
/// }
/// ```
pub struct Joined<T> {
    room: Room<T>,
    member: MemberId,
}

impl<'a, T> Join<'a, T> {
    pub(crate) fn new(member: &'a Member<T>, room: String) -> Self {
        Self { member, room }
    }
}

impl<'a, T: Send + Sync + 'static> IntoFuture for Join<'a, T> {
    type Output = Result<Joined<T>, JoinError>;
    type IntoFuture = Joining<'a, T>;

    fn into_future(self) -> Joining<'a, T> {
        Joining(self)
    }
}

impl<T: Send + Sync + 'static> Future for Joining<'_, T> {
    type Output = Result<Joined<T>, JoinError>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Join { member, room } = &self.0;
        Poll::Ready(member.join_now(room).map(|room| Joined { room, member: member.id() }))
    }
}

impl<T: Send + Sync + 'static> Joined<T> {
    /// The other members of the room.
    ///
    /// ```
    /// # use sockeye_state::Joined;
    /// fn typing(room: &Joined<String>) {
    ///     room.to_others().volatile("…");
    /// }
    /// ```
    pub fn to_others(&self) -> Audience<T> {
        self.room.except(self.member)
    }

    /// The room, without the member.
    pub fn room(&self) -> &Room<T> {
        &self.room
    }

    /// Leaves the room; see [`Member::leave`]. Returns whether the member was still in it.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the member may have left.
    pub async fn leave(self) -> bool {
        self.room.hub().member(self.member).leave(self.room.name()) > 0
    }
}

impl<T> Deref for Joined<T> {
    type Target = Room<T>;

    fn deref(&self) -> &Room<T> {
        &self.room
    }
}

impl<T> Clone for Joined<T> {
    fn clone(&self) -> Self {
        Self { room: self.room.clone(), member: self.member }
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("room", &self.room).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Joining<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining").field("room", &self.0.room).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Joined<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined").field("room", &self.room).field("member", &self.member).finish()
    }
}
