//! The two listings that code for axum's WebSockets starts from, as they stand: nothing in them knows of Sockeye. The
//! dependency that they call `axum` is `sockeye-axum`.

mod basic;
mod with_state;

use axum::{
    Extension, Router,
    extract::ws::{Shutdown, WebSocketDefaults},
};

/// The application: the first listing at `/ws`, the second at `/state`.
pub fn app(shutdown: &Shutdown) -> Router {
    basic::app().merge(with_state::app()).layer(Extension(WebSocketDefaults::new().shutdown(shutdown.clone())))
}
