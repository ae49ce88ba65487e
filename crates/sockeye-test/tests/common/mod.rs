//! What the tests of this crate share.

#![allow(dead_code, reason = "each test binary uses another part")]

use std::{future::Future, panic::AssertUnwindSafe};

use futures_util::FutureExt;
use sockeye_test::{Message, WebSocket};

/// Sends back what it receives.
pub(crate) async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

/// Sends these messages, and closes.
pub(crate) fn says<const N: usize>(messages: [Message; N]) -> impl FnOnce(WebSocket) -> BoxFuture + Send + 'static {
    move |mut socket| {
        Box::pin(async move {
            for message in messages {
                let _ = socket.send(message).await;
            }
        })
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// The text of the panic that must end `future`.
pub(crate) async fn panics<T>(future: impl Future<Output = T>) -> String {
    let Err(panic) = AssertUnwindSafe(future).catch_unwind().await else { panic!("it should have panicked") };
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => (*panic.downcast_ref::<&str>().expect("a text")).to_owned(),
    }
}
