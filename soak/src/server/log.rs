//! A log viewer: a layer of `tracing` broadcasts the library's log to all viewers. The layer is called wherever the library
//! logs, and takes the locks of a hub and of connections: none of them may be held there.

use std::fmt::{self, Write as _};

use sockeye::{Budget, WebSocket, state::Hub};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt as _, Targets, filter_fn},
    layer::{Context, SubscriberExt as _},
    util::SubscriberInitExt as _,
};

/// What the viewers' queues may take together: so little that some viewers are disconnected, which is logged too.
const LIMIT: usize = 128 << 10;

/// The viewers. There is one set for the process, since there is one subscriber.
#[derive(Clone)]
pub(super) struct Viewers {
    hub: Hub<()>,
    pub(super) budget: Budget,
}

impl Viewers {
    /// Logs to all future viewers.
    pub(super) fn log() -> Self {
        let viewers = Self { hub: Hub::new(), budget: Budget::new(LIMIT) };
        // Prefixes, which match all of its crates.
        let of_the_library = Targets::new().with_target("sockeye", LevelFilter::DEBUG);
        // A registry would keep its memory for spans for ever.
        let events = of_the_library.and(filter_fn(|of: &Metadata<'_>| of.is_event()));
        tracing_subscriber::registry().with(ToHub(viewers.hub.clone()).with_filter(events)).init();
        viewers
    }

    /// Sends a client all that is logged from now on.
    pub(super) async fn show(self, mut socket: WebSocket) {
        let _member = self.hub.register(socket.sender(), ());
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

struct ToHub(Hub<()>);

impl<S: Subscriber> Layer<S> for ToHub {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.is_empty() {
            return;
        }
        let mut line = Line(format!("{} {}:", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        self.0.broadcast(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}
