//! The handler under test, if the test has given it: whether it has panicked, and when it has returned.

use std::{
    any::Any,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    sync::{Arc, OnceLock},
};

use tokio::task::JoinHandle;

/// The task that serves a connection.
#[derive(Debug)]
pub(crate) struct Handler {
    task: JoinHandle<()>,
    panic: Arc<OnceLock<String>>,
    /// Whether the test has seen the close code of a panic, and so knows.
    pub(crate) is_known: bool,
}

impl Handler {
    pub(crate) fn spawn(mut serving: impl Future + Unpin + Send + 'static) -> Self {
        let panic = Arc::new(OnceLock::new());
        let recorded = panic.clone();
        let task =
            tokio::spawn(poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| Pin::new(&mut serving).poll(cx))) {
                Ok(polled) => polled.map(drop),
                Err(panic) => {
                    let _ = recorded.set(text(&*panic));
                    resume_unwind(panic)
                }
            }));
        Self { task, panic, is_known: false }
    }

    /// The text of its panic, if it has panicked.
    pub(crate) fn panic(&self) -> Option<&str> {
        self.panic.get().map(String::as_str)
    }

    /// Waits until the handler has returned and the connection has ended. Resumes the handler's panic.
    pub(crate) async fn returned(&mut self) {
        self.is_known = true;
        if let Err(error) = (&mut self.task).await {
            resume_unwind(error.into_panic());
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("with a value that is no text").to_owned()
}
