//! `sockeye.rooms.v1`: rooms on the wire, for pages.
//!
//! A small protocol of JSON texts on top of the hub. A page joins rooms, says things and gets what others say. When its connection is
//! lost, it comes back with the *position* of the last message that it has seen, on any node, and gets what it has missed, or is told
//! that there is a gap. The crate has the JavaScript file that does all this for a page: [`JAVASCRIPT`]. The page *Rooms over the
//! wire* of the guide of `sockeye` has each frame.
//!
//! A server needs three things: a hub whose builder was told [`Builder::protocol`], a [`Policy`] that says what a page may do, and a
//! handler that calls [`serve`].
//!
//! ```
//! use sockeye_state::{Builder, BuildError, Hub, protocol::{self, Action, Policy, Verdict}};
//! use sockeye_tokio::WebSocket;
//!
//! struct Everybody;
//!
//! impl Policy<String> for Everybody {
//!     fn key(&self, name: &String) -> String {
//!         name.clone()
//!     }
//!
//!     async fn authorize(&self, _name: &String, _action: Action, room: &str) -> Verdict {
//!         if room.starts_with("chat:") { Verdict::Allow } else { Verdict::Deny }
//!     }
//! }
//!
//! async fn hub() -> Result<Hub<String>, BuildError> {
//!     Hub::builder().protocol().build().await
//! }
//!
//! /// The handler of a WebSocket whose handshake has negotiated `protocol::SUBPROTOCOL`.
//! async fn handler(socket: WebSocket, hub: Hub<String>, name: String) {
//!     protocol::serve(socket, hub, name, Everybody).await;
//! }
//! ```
//!
//! What the application sends to a room of such a hub reaches pages in frames: a text as a JSON string, and what
//! [`send_json`](crate::Room::send_json) sends as it is. What it sends to a single member, or to all, has no room and no frame: such a text
//! must be a frame of the protocol itself, or pages cannot read it.

mod answer;
mod code;
mod expiry;
mod frame;
mod handling;
mod options;
mod outbox;
mod pace;
mod policy;
mod request;
mod room_state;
mod scan;
mod serving;
mod session;
mod stamp;
mod task;
mod watch;

use sockeye_tokio::WebSocket;

pub use self::{
    options::Options,
    policy::{Action, Authenticate, Policy, Verdict},
};
use crate::{Builder, Hub};

/// The name of the protocol in the opening handshake ([RFC 6455 §1.9]): for the setting `protocols` of an upgrade.
///
/// [RFC 6455 §1.9]: https://www.rfc-editor.org/rfc/rfc6455#section-1.9
pub const SUBPROTOCOL: &str = "sockeye.rooms.v1";

/// The JavaScript file for pages: a module without dependencies, of the media type `text/javascript`. It is in the program, so that it
/// always fits the server. Its `connect` opens a connection, and comes back after each loss.
pub const JAVASCRIPT: &str = include_str!("../js/sockeye-rooms.js");

/// The TypeScript declarations of [`JAVASCRIPT`].
pub const TYPES: &str = include_str!("../js/sockeye-rooms.d.ts");

/// Speaks the protocol with a page whose user is known already, for example by a cookie. Registers the connection with `value` in
/// the hub, and returns when the connection ends.
///
/// Everything happens in the task of the caller. A page that does not read answers is not read from; one that reads the messages of its
/// rooms too slowly meets the [`Overflow`](crate::Overflow) of the hub.
///
/// When the connection belongs to a [`Shutdown`](sockeye_tokio::Shutdown) that begins, the page is told when to come back, gets the
/// answers to what it has said, and a Close 1001.
///
/// ```
/// # use sockeye_state::{Hub, protocol::{self, Policy}};
/// # use sockeye_tokio::WebSocket;
/// async fn handler(socket: WebSocket, hub: Hub<String>, name: String, policy: impl Policy<String>) {
///     protocol::serve(socket, hub, name, policy).await;
/// }
/// ```
///
/// # Cancel safety
///
/// If the future is dropped, the connection is closed and the member leaves. What the page has said without getting an answer may have
/// been said or not; the page says it again when it comes back.
pub async fn serve<T: Send + Sync + 'static, P: Policy<T>>(socket: WebSocket, hub: Hub<T>, value: T, policy: P) {
    Options::new().serve(socket, hub, value, policy).await;
}

/// As [`serve`], with a page that shows who it is by a token in its first frame, which must come within
/// [10 s](Options::auth_within). If none comes that the policy [accepts](Authenticate::authenticate), the page is told so, and the
/// connection is closed with 3000.
///
/// ```
/// # use sockeye_state::{Hub, protocol::{self, Authenticate}};
/// # use sockeye_tokio::WebSocket;
/// async fn handler(socket: WebSocket, hub: Hub<String>, policy: impl Authenticate<String>) {
///     protocol::serve_with_auth(socket, hub, policy).await;
/// }
/// ```
///
/// # Cancel safety
///
/// As for [`serve`].
pub async fn serve_with_auth<T: Send + Sync + 'static, P: Authenticate<T>>(socket: WebSocket, hub: Hub<T>, policy: P) {
    Options::new().serve_with_auth(socket, hub, policy).await;
}

impl<T: Send + Sync + 'static> Builder<T> {
    /// Puts the messages of rooms into frames of [`sockeye.rooms.v1`](crate::protocol), for [`protocol::serve`](serve): it is the
    /// [`frame`](Self::frame) of that protocol. All members of the hub get such frames. Default: members get messages as they are.
    ///
    /// ```
    /// # use sockeye_state::{BuildError, Hub};
    /// # async fn build() -> Result<Hub<String>, BuildError> {
    /// Hub::builder().protocol().build().await
    /// # }
    /// ```
    pub fn protocol(self) -> Self {
        self.frame(frame::frame)
    }
}
