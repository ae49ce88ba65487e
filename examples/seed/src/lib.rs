//! The two listings that code for axum's WebSockets usually starts from, unchanged: they do not mention Sockeye. The dependency
//! that they call `axum` is `sockeye-axum`.

mod basic;
mod with_state;

use axum::{
    Router,
    extract::ws::{Shutdown, WebSocketDefaults},
};

/// The application: the first listing at `/ws`, the second at `/state`.
pub fn app(shutdown: &Shutdown) -> Router {
    basic::app().merge(with_state::app()).layer(WebSocketDefaults::new().shutdown(shutdown.clone()))
}
