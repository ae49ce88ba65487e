//! `Joined`: a room that a member has joined.

use std::{
    fmt,
    future::{Future, IntoFuture},
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use sockeye_tokio::Sender;

use crate::{
    Audience, CaughtUp, JoinError, Member, MemberId, Position, Room, engine,
    history::catch_up::{Arrived, Boxed},
    member::Begun,
};

/// A join that begins when it is awaited. From [`Member::join`]. For its result, and an example, see there.
#[must_use = "a join does nothing before it is awaited"]
pub struct Join<'a, T> {
    member: &'a Member<T>,
    room: String,
    since: Option<Position>,
}

/// The future of a [`Join`].
#[must_use = "a join does nothing before it is awaited"]
pub struct Joining<'a, T> {
    join: Join<'a, T>,
    /// The rest of a join that was not done at once.
    rest: Option<Boxed<'a, Result<Arrived, JoinError>>>,
}

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
    caught_up: CaughtUp,
    position: Option<Position>,
}

impl<'a, T> Join<'a, T> {
    pub(crate) fn new(member: &'a Member<T>, room: String) -> Self {
        Self { member, room, since: None }
    }

    /// Where the member stood when it was last in this room: [`Joined::position`], or the `at` of the last
    /// [`Delivery`](crate::Delivery) that its client has handled. The member gets what it has missed since, and then what is sent from
    /// now on, without a hole and without a repeat; [`Joined::caught_up`] says whether that was possible. `None`, which is the
    /// default, means that the member comes for the first time.
    ///
    /// A member that is in the room already catches up again: it leaves its seat, and gets everything after the position. In a
    /// room without a [history](crate::Rooms::history), the position is ignored.
    ///
    /// ```
    /// use sockeye_state::{CaughtUp, JoinError, Member, Position};
    ///
    /// async fn come_back(me: &Member<String>, last: Option<Position>) -> Result<(), JoinError> {
    ///     let room = me.join("chat:42").since(last).await?;
    ///     if room.caught_up() == CaughtUp::Gap {
    ///         // The client loads the state anew.
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn since(mut self, position: impl Into<Option<Position>>) -> Self {
        self.since = position.into();
        self
    }
}

impl<'a, T: Send + Sync + 'static> IntoFuture for Join<'a, T> {
    type Output = Result<Joined<T>, JoinError>;
    type IntoFuture = Joining<'a, T>;

    fn into_future(self) -> Joining<'a, T> {
        Joining { join: self, rest: None }
    }
}

impl<T: Send + Sync + 'static> Future for Joining<'_, T> {
    type Output = Result<Joined<T>, JoinError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { join: Join { member, room, since }, rest } = self.get_mut();
        let arrival = match rest {
            Some(rest) => rest,
            None => match member.begin_join(room, *since)? {
                Begun::Done(room, None) => return Poll::Ready(Ok(Joined::done(member, room))),
                Begun::Done(room, Some(waiting)) => rest.insert(Box::pin(async move {
                    waiting.done().await;
                    Ok(Arrived { room, caught_up: CaughtUp::Fresh, position: None })
                })),
                Begun::Arrival(arrival) => rest.insert(Box::pin(arrival.arrive(*since))),
            },
        };
        arrival.as_mut().poll(cx).map_ok(|Arrived { room, caught_up, position }| Joined {
            caught_up,
            position,
            ..Joined::done(member, room)
        })
    }
}

impl<T: Send + Sync + 'static> Joined<T> {
    /// A member that has joined without catching up.
    fn done(member: &Member<T>, room: Arc<engine::Room<Sender>>) -> Self {
        let position = member.hub().inner().history.as_ref().and_then(|history| history.head(&room.name));
        let room = Room::known(member.hub().clone(), room);
        Self { room, member: member.id(), caught_up: CaughtUp::Fresh, position }
    }

    /// Whether the member got what it had missed. [`CaughtUp::Fresh`] if it came without a position, or was in the room already.
    pub fn caught_up(&self) -> CaughtUp {
        self.caught_up
    }

    /// Where the member stood when the join was done: it has everything up to here, and gets everything after it. `None` if the room
    /// has no history, or if nothing is in the history.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

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
        Self { room: self.room.clone(), ..*self }
    }
}

impl<T> fmt::Debug for Join<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("room", &self.room).field("since", &self.since).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Joining<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joining").field("room", &self.join.room).finish_non_exhaustive()
    }
}

impl<T> fmt::Debug for Joined<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Joined")
            .field("room", &self.room)
            .field("member", &self.member)
            .field("caught_up", &self.caught_up)
            .field("position", &self.position)
            .finish()
    }
}
