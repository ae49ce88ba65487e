//! `Policy`: who a page is, and what it may do.

use std::{
    future::{Future, ready},
    sync::Arc,
};

use serde_json::value::RawValue;
use tokio::time::Instant;

/// What a page wants to do in a room. For [`Policy::authorize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Action {
    /// To get the messages of the room, and what was missed of them. Asked when the page joins, and again when the permission
    /// expires.
    Join,
    /// To send one message to the room. Asked for each message.
    Say,
    /// To see who is in the room. Asked when the page begins to look, and again when the permission expires.
    Presence,
}

/// What a [`Policy`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Yes, until further notice.
    Allow,
    /// Yes, until this moment, at which the policy is asked again. A moment that has passed is a no.
    AllowUntil(Instant),
    /// No.
    Deny,
}

/// Who a page is, and what it may do: the application's part of [`serve`](super::serve).
///
/// One policy may serve all connections: a clone of an [`Arc`] of a policy is one, too. The futures may wait for a database. Each
/// connection waits for its own answers alone, and what a page says in one room is asked about in the order in which it was said.
///
/// ```
/// use serde_json::value::RawValue;
/// use sockeye_state::protocol::{Action, Policy, Verdict};
///
/// struct User {
///     id: u64,
///     name: String,
///     is_guest: bool,
/// }
///
/// struct House;
///
/// impl Policy<User> for House {
///     fn key(&self, user: &User) -> String {
///         user.id.to_string()
///     }
///
///     async fn authorize(&self, user: &User, action: Action, room: &str) -> Verdict {
///         let is_theirs = room.starts_with("chat:") || room == format!("user:{}", user.id);
///         match action {
///             Action::Say if user.is_guest => Verdict::Deny,
///             _ if is_theirs => Verdict::Allow,
///             _ => Verdict::Deny,
///         }
///     }
///
///     // All get the line with the name of its author, which a page cannot choose.
///     fn compose(&self, user: &User, _room: &str, d: &RawValue) -> Result<Box<RawValue>, String> {
///         let line: String = serde_json::from_str(d.get()).map_err(|_| "expected a text".to_owned())?;
///         let line = serde_json::json!({ "from": user.name, "line": line });
///         serde_json::value::to_raw_value(&line).map_err(|error| error.to_string())
///     }
/// }
/// ```
pub trait Policy<T>: Send + Sync {
    /// The user's key, the same for all pages and devices of a user, and for nobody else. A message that a page sends again is known
    /// by this key together with an id that the page has made. So nobody else can make a message count as a repetition.
    fn key(&self, value: &T) -> String;

    /// Whether this user may do this in this room. The name of the room comes from the page, and is one that a room can have.
    ///
    /// Asked for each join and each message, and again when a [`Verdict::AllowUntil`] expires. If the answer is no then, or takes more
    /// than 10 s, the page leaves the room.
    fn authorize(&self, value: &T, action: Action, room: &str) -> impl Future<Output = Verdict> + Send;

    /// Until when the value is good, for example the expiry of the token that it was made from. Asked once, when the connection
    /// begins. Default: for ever.
    ///
    /// Ahead of that moment, the page is asked for a fresh token. If none comes that [`renew`](Self::renew) accepts, the connection is
    /// closed with 3000.
    fn valid_until(&self, value: &T) -> Option<Instant> {
        let _ = value;
        None
    }

    /// Whether this token is a fresh one of the same user. The page sends one when it is asked to, or when it has a new one. The
    /// verdict takes the place of what [`valid_until`](Self::valid_until) said, and [`authorize`](Self::authorize) is asked again for
    /// the rooms whose permission expires. A no leaves everything as it was, until it expires.
    ///
    /// Default: no.
    fn renew(&self, value: &T, token: &str) -> impl Future<Output = Verdict> + Send {
        let _ = (value, token);
        ready(Verdict::Deny)
    }

    /// Makes, of what a page says in a room, the message that all get. Here the application adds the author, or refuses what it does not
    /// want; the text of the error goes to the page. Called after [`authorize`](Self::authorize), and never for a page that may not
    /// speak in the room. Default: the message as it is.
    ///
    /// A message that is sent again after its answer was lost is composed again, and the room keeps the first.
    ///
    /// # Errors
    ///
    /// Why the message is refused, for people.
    fn compose(&self, value: &T, room: &str, d: &RawValue) -> Result<Box<RawValue>, String> {
        let _ = (value, room);
        Ok(d.to_owned())
    }
}

/// A [`Policy`] that knows from a token who a page is, for [`serve_with_auth`](super::serve_with_auth).
///
/// ```
/// use sockeye_state::protocol::{Action, Authenticate, Policy, Verdict};
///
/// struct Tokens;
///
/// impl Policy<String> for Tokens {
///     fn key(&self, user: &String) -> String {
///         user.clone()
///     }
///
///     async fn authorize(&self, _: &String, _: Action, _: &str) -> Verdict {
///         Verdict::Allow
///     }
/// }
///
/// impl Authenticate<String> for Tokens {
///     async fn authenticate(&self, token: &str) -> Option<String> {
///         // Here a real server verifies a signature.
///         token.strip_prefix("user:").map(str::to_owned)
///     }
/// }
/// ```
pub trait Authenticate<T>: Policy<T> {
    /// The user with this token. `None` if the token is not accepted: the page is told so, and the connection is closed with 3000.
    fn authenticate(&self, token: &str) -> impl Future<Output = Option<T>> + Send;
}

impl Verdict {
    /// Until when the answer is yes, which may be for ever. `Err` for a no.
    pub(crate) fn at(self, now: Instant) -> Result<Option<Instant>, Denied> {
        match self {
            Self::Allow => Ok(None),
            Self::AllowUntil(until) if until > now => Ok(Some(until)),
            Self::AllowUntil(_) | Self::Deny => Err(Denied),
        }
    }
}

/// The policy has said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Denied;

impl<T: Sync, P: Policy<T>> Policy<T> for Arc<P> {
    fn key(&self, value: &T) -> String {
        (**self).key(value)
    }

    fn authorize(&self, value: &T, action: Action, room: &str) -> impl Future<Output = Verdict> + Send {
        (**self).authorize(value, action, room)
    }

    fn valid_until(&self, value: &T) -> Option<Instant> {
        (**self).valid_until(value)
    }

    fn renew(&self, value: &T, token: &str) -> impl Future<Output = Verdict> + Send {
        (**self).renew(value, token)
    }

    fn compose(&self, value: &T, room: &str, d: &RawValue) -> Result<Box<RawValue>, String> {
        (**self).compose(value, room, d)
    }
}

impl<T: Sync, P: Authenticate<T>> Authenticate<T> for Arc<P> {
    fn authenticate(&self, token: &str) -> impl Future<Output = Option<T>> + Send {
        (**self).authenticate(token)
    }
}
