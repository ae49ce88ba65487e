//! Shared state of a WebSocket application: the [`Hub`] of its live connections, and rooms.
//!
//! A hub is cheap to clone and goes into the application's state. A handler [registers](Hub::register) its connection with a
//! value that the application chooses (a user, a name), and [joins](Member::join) rooms. A message to a room is encoded once,
//! and reaches all members without waiting for any of them. When the handler ends, however it ends, its [`Member`] is dropped:
//! the connection leaves all rooms and the hub. [`Hub::presence`] tells who is in a room, and who comes and goes. The hubs
//! of several processes that have the same [broker](Builder::broker) share their rooms, and [`Hub::presence`] is about
//! all of them.
//!
//! ```
//! use sockeye_state::Hub;
//! use sockeye_tokio::{Message, WebSocket};
//!
//! async fn chat(mut socket: WebSocket, hub: Hub<String>, room: String, name: String) {
//!     let me = hub.register(socket.sender(), name);
//!     let Ok(room) = me.join(room).await else { return };
//!     room.to_others().send(format!("{} is here", me.value()));
//!     while let Some(Ok(message)) = socket.recv().await {
//!         let Message::Text(line) = message else { continue };
//!         room.send(format!("{}: {line}", me.value()));
//!     }
//! } // here the member leaves
//! ```

#![forbid(unsafe_code)]

mod arrivals;
mod audience;
mod broker;
mod builder;
mod engine;
mod envelope;
mod error;
mod events;
#[cfg(test)]
mod fixtures;
mod framing;
mod history;
mod hub;
mod id;
mod joined;
#[cfg(feature = "json")]
mod json;
mod limits;
mod link;
mod local;
mod member;
mod members;
mod metrics;
mod name;
mod position;
mod presence;
#[cfg(feature = "protocol")]
pub mod protocol;
mod relay;
mod room;
mod rules;
mod stats;
mod sync;

pub use audience::{Audience, Everyone, RemoteMember};
pub use broker::{
    Append, Arrival, BoxFuture, Broker, BrokerError, Entry, Health, Inbox, Keep, Lost, Page, Stamp, Topic, TopicKind,
};
pub use builder::{Builder, Rooms};
pub use error::{BuildError, InvalidCloseCode, JoinError};
pub use events::{Event, Events};
pub use framing::Delivery;
pub use history::{
    append::{AppendError, AppendOptions, Appending},
    catch_up::CaughtUp,
    past::{HistoryError, Past},
};
pub use hub::Hub;
pub use id::{MemberId, NodeId};
pub use joined::{Join, Joined, Joining};
pub use limits::Limits;
pub use local::Local;
pub use member::{Member, Present};
pub use name::NameError;
pub use position::{Epoch, ParsePositionError, Position};
pub use presence::{Person, Presence, PresenceChange, PresenceError};
pub use room::Room;
pub use sockeye_tokio::Overflow;
pub use stats::Stats;
