//! A consumer of a feed that comes back: each connection begins with its subscriptions, and what may have been missed is said.

use std::time::Duration;

use sockeye::{
    Client, ClientRequest, ConnectError, Message,
    client::{Backoff, Event, Sockets, Stopper},
};
use tokio::sync::mpsc::UnboundedSender;

/// What the feed tells, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// The subscriptions were sent. With `true` there was a connection before, so messages in between are missing.
    Subscribed {
        /// Whether this is not the first connection.
        was_away: bool,
    },
    /// A message of the server.
    Message(String),
    /// The connection has ended.
    Lost {
        /// The Close, or the error.
        why: String,
        /// How many messages were queued and never written.
        unsent: u64,
    },
    /// An attempt has failed.
    Failed(String),
    /// The next attempt begins after this time.
    Waiting(Duration),
}

/// A consumer of one feed.
#[derive(Debug)]
pub struct Feed {
    sockets: Sockets,
    subscriptions: Vec<String>,
    lines: UnboundedSender<Line>,
}

impl Feed {
    /// A consumer of the feed at `url`, which sends each of `subscriptions` as a message whenever it has connected. It tells `lines`
    /// what happens.
    pub fn new(client: &Client, url: &str, subscriptions: Vec<String>, lines: UnboundedSender<Line>) -> Self {
        // A service with tokens would fetch a fresh one here.
        let request = ClientRequest::new(url);
        let sockets = client.reconnect(move |_attempt| {
            let request = request.clone();
            async { Ok(request) }
        });
        let events = lines.clone();
        let sockets = sockets.observe(move |event| {
            let line = match event {
                Event::Lost { ended, unsent, .. } => {
                    let why = match (ended.code(), ended.error()) {
                        (Some(code), _) => format!("closed with {code} {}", ended.reason().escape_debug()),
                        (None, Some(error)) => error.to_string(),
                        (None, None) => "closed".to_owned(),
                    };
                    Line::Lost { why: why.trim().to_owned(), unsent: *unsent }
                }
                Event::Failed { error, .. } => Line::Failed(error.to_string()),
                Event::Waiting { delay, .. } => Line::Waiting(*delay),
                _ => return,
            };
            // Nobody may listen any more.
            let _ = events.send(line);
        });
        Self { sockets, subscriptions, lines }
    }

    /// Sets the delays.
    pub fn backoff(self, backoff: Backoff) -> Self {
        Self { sockets: self.sockets.backoff(backoff), ..self }
    }

    /// What ends [`run`](Self::run) with a clean Close.
    pub fn stopper(&self) -> Stopper {
        self.sockets.stopper()
    }

    /// Consumes the feed until it is stopped.
    ///
    /// # Errors
    ///
    /// The error after which trying again is useless, such as 401.
    pub async fn run(mut self) -> Result<(), ConnectError> {
        let mut was_away = false;
        'connections: while let Some(socket) = self.sockets.next().await {
            let mut socket = socket?;
            for subscription in &self.subscriptions {
                if socket.send(Message::text(subscription.clone())).await.is_err() {
                    continue 'connections;
                }
            }
            self.tell(Line::Subscribed { was_away });
            was_away = true;
            while let Some(Ok(message)) = socket.recv().await {
                if let Message::Text(text) = message {
                    self.tell(Line::Message(text.to_string()));
                }
            }
        }
        Ok(())
    }

    fn tell(&self, line: Line) {
        // As above.
        let _ = self.lines.send(line);
    }
}
