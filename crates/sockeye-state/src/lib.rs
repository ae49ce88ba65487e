//! Shared state of a WebSocket application: the [`Hub`] of its live connections.
//!
//! A hub is cheap to clone and goes into the application's state. A handler joins the hub with the
//! [`Sender`](sockeye_tokio::Sender) of its connection and a value that the application chooses (a name, a user id). The
//! connection leaves the hub when the [`Membership`] is dropped, however the handler ends. A broadcast is encoded once, and
//! queued for all members without waiting for any of them. A hub covers one process.
//!
//! ```
//! use sockeye_state::Hub;
//! use sockeye_tokio::{Message, WebSocket};
//!
//! async fn chat(mut socket: WebSocket, hub: Hub<String>) {
//!     let member = hub.join(socket.sender(), "Ada".to_owned());
//!     hub.broadcast(format!("{} is here", member.value()));
//!     while let Some(Ok(message)) = socket.recv().await {
//!         if let Message::Text(line) = message {
//!             hub.broadcast(line);
//!         }
//!     }
//! } // here she leaves
//! ```

#![forbid(unsafe_code)]

mod hub;
mod membership;

pub use hub::{Delivery, Hub};
pub use membership::Membership;
pub use sockeye_tokio::Overflow;
