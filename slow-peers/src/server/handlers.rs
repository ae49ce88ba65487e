//! The application: sends as fast as it can, receives, ticks, or listens, depending on the case of its peer.

use std::{sync::Arc, time::Instant};

use sockeye::{Error, Message, ReceiveHalf, SendHalf, WebSocket};
use tokio::{
    join,
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep_until},
};

use super::{
    record::{Board, End},
    sabotage::{LOST, Sabotage},
};
use crate::{
    cases::{BUSY, Case, Play, TICK, TICK_SIZE, Traffic},
    payload,
};

/// The state of a handler.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) board: Arc<Board>,
    pub(super) sabotage: Option<Sabotage>,
}

/// The length of a frame's header with such a short payload.
const HEADER: u64 = 4;

impl Handler {
    /// Serves the peer of a case. It receives all the time, except while it is busy.
    pub(super) async fn run(self, id: usize, socket: WebSocket) {
        let Some(case) = self.board.cases.get(id).copied() else { return };
        self.board.record(id).begun = Some(Instant::now());
        match case.play {
            Play::Reads(_) => self.send(case, socket).await,
            Play::Uploads(_) => self.receive(case, socket, false).await,
            Play::UploadsToBusy => self.receive(case, socket, true).await,
            Play::Stopped(_) | Play::CutOff(_) | Play::Silent | Play::SilentInMessage => {
                let (send, receive) = socket.into_split();
                join!(self.listen(case, receive), self.tick(case, &send));
            }
        }
    }

    /// Sends messages, and receives what the peer has echoed.
    async fn send(&self, case: Case, socket: WebSocket) {
        let (send, mut receive) = socket.into_split();
        let (echo, mut echoes) = mpsc::unbounded_channel();
        let sending = async {
            self.send_all(case, &send).await?;
            while let Some(message) = echoes.recv().await {
                send.send(message).await?;
            }
            Ok(())
        };
        let receiving = async {
            while let Some(message) = self.next(case, &mut receive).await {
                let _ = echo.send(message);
            }
            drop(echo);
        };
        let (sent, ()) = join!(sending, receiving);
        self.note(case, sent);
    }

    async fn send_all(&self, case: Case, send: &SendHalf) -> Result<(), Error> {
        let mut messages = 0;
        while Instant::now() < self.board.end {
            if self.sabotage != Some(Sabotage::Loss) || messages != LOST {
                send.send(Message::Binary(payload::down(case.id, messages))).await.inspect_err(|error| {
                    self.board.error(case.id, error);
                })?;
            }
            messages += 1;
        }
        send.send(Message::text(payload::end(messages))).await
    }

    /// Receives messages, each of which must be the next one, and echoes the text that comes after them.
    async fn receive(&self, case: Case, socket: WebSocket, is_busy: bool) {
        let (send, mut receive) = socket.into_split();
        let mut messages = 0;
        while let Some(message) = self.next(case, &mut receive).await {
            match message {
                Message::Binary(message) if message == payload::up(case.id, messages) => messages += 1,
                Message::Text(text) if text == payload::end(messages) => {
                    self.note(case, send.send(Message::Text(text)).await);
                }
                other => {
                    let (length, text) = (other.len(), other.to_text().unwrap_or_default());
                    let what = format!("after {messages} messages comes another than the next, of {length} B: {text}");
                    return self.board.end_with(case.id, End::Failed(what));
                }
            }
            if is_busy && Instant::now() < self.board.end {
                let until = (Instant::now() + BUSY).min(self.board.end);
                sleep_until(until.into()).await;
            }
        }
    }

    /// Receives, and sends nothing.
    async fn listen(&self, case: Case, mut receive: ReceiveHalf) {
        while self.next(case, &mut receive).await.is_some() {}
    }

    /// Sends a message at intervals, if the case needs it.
    async fn tick(&self, case: Case, send: &SendHalf) {
        if case.play.traffic() == Traffic::Idle {
            return;
        }
        let mut interval = interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut bytes = 0;
        loop {
            interval.tick().await;
            if let Err(error) = send.send(Message::Binary(vec![0; TICK_SIZE])).await {
                return self.board.error(case.id, &error);
            }
            bytes += TICK_SIZE as u64 + HEADER;
            self.board.record(case.id).ticks.push((Instant::now(), bytes));
        }
    }

    /// The next text or binary message. At the end it records the reason, and returns `None`.
    async fn next(&self, case: Case, receive: &mut ReceiveHalf) -> Option<Message> {
        loop {
            match receive.recv().await {
                Some(Ok(message)) if message.is_data() => {
                    self.board.record(case.id).heard = Some(Instant::now());
                    return Some(message);
                }
                Some(Ok(Message::Close(_))) => self.board.end_with(case.id, End::Closed),
                Some(Ok(_)) => {}
                Some(Err(error)) => self.board.error(case.id, &error),
                None => return None,
            }
        }
    }

    fn note(&self, case: Case, outcome: Result<(), Error>) {
        if let Err(error) = outcome {
            self.board.error(case.id, &error);
        }
    }
}
