//! What each end has sent and received, and whether the two ends agree.

use std::{
    cell::Cell,
    sync::{Arc, Mutex, MutexGuard},
};

use sockeye_tokio::{CloseCode, Error, Message};

use crate::payload::Payload;

/// The log of one end; clones share it.
#[derive(Clone, Debug)]
pub(super) struct Log(Arc<Mutex<Entries>>);

#[derive(Debug, Default)]
struct Entries {
    is_client: bool,
    /// How many messages were made, so that each one is unique.
    made: u32,
    /// Data messages in the order in which they were accepted, and whether each one was accepted for certain.
    sent: Vec<(Message, bool)>,
    /// The codes of Closes that this end has started.
    codes: Vec<CloseCode>,
    received: Vec<Message>,
    end: Option<Ended>,
}

/// How receiving ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    Close(Option<CloseCode>),
    Error(String),
    /// Without a Close or an error. This is wrong: one of these comes first.
    Nothing,
}

impl Log {
    pub(super) fn new(is_client: bool) -> Self {
        Self(Arc::new(Mutex::new(Entries { is_client, ..Entries::default() })))
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().expect("a panic ends the whole run")
    }

    /// A unique data message.
    pub(super) fn next(&self, payload: &Payload) -> Message {
        let mut entries = self.lock();
        entries.made += 1;
        let number = entries.made;
        match payload {
            Payload::Text(text) => Message::Text(format!("{number:08x}{text}")),
            _ => Message::Binary([&number.to_be_bytes()[..], &payload.bytes()].concat()),
        }
    }

    /// The message was accepted: `surely`, or possibly.
    pub(super) fn sent(&self, message: Message, surely: bool) {
        self.lock().sent.push((message, surely));
    }

    pub(super) fn closed(&self, code: CloseCode) {
        self.lock().codes.push(code);
    }

    /// The result of a `recv`. Receiving ends once, with a Close or an error. Afterwards it always returns `None`.
    pub(super) fn received(&self, received: Option<&Result<Message, Error>>) {
        let mut entries = self.lock();
        let ended = match received {
            Some(Ok(Message::Close(frame))) => Ended::Close(frame.as_ref().map(|frame| frame.code)),
            Some(Ok(message)) => {
                assert_eq!(entries.end, None, "{message:?} came after the end");
                if message.is_data() {
                    entries.received.push(message.clone());
                }
                return;
            }
            Some(Err(error)) => Ended::Error(error.to_string()),
            None if entries.end.is_some() => return,
            None => Ended::Nothing,
        };
        assert_eq!(entries.end, None, "{ended:?} came after the end");
        entries.end = Some(ended);
    }

    pub(super) fn sent_bytes(&self) -> usize {
        self.lock().sent.iter().map(|(message, _)| message.as_bytes().len()).sum()
    }

    /// Checks that this end has received what `peer` has sent.
    pub(super) fn judge(&self, peer: &Self, is_orderly: bool) {
        let (mine, theirs) = (self.lock(), peer.lock());
        let who = if mine.is_client { "client" } else { "server" };
        let at = Cell::new(0);
        for message in &mine.received {
            loop {
                let Some((sent, surely)) = theirs.sent.get(at.get()) else {
                    panic!("the {who} received {message:?} out of order, or twice, or from nobody");
                };
                at.set(at.get() + 1);
                if sent == message {
                    break;
                }
                assert!(!surely, "the {who} received {message:?} and not {sent:?}, which went before");
            }
        }
        match &mine.end {
            Some(Ended::Close(code)) => {
                let rest = &theirs.sent[at.get()..];
                let lost = rest.iter().find(|(_, surely)| *surely);
                assert!(lost.is_none(), "the {who} received a Close, and not {lost:?}, which went before");
                // The peer's own Close, or its answer to ours.
                let known = code.is_none_or(|code| [&theirs.codes[..], &mine.codes].concat().contains(&code));
                assert!(known, "the {who} received a Close with {code:?}; {:?} {:?}", mine.codes, theirs.codes);
            }
            Some(Ended::Error(error)) => assert!(!is_orderly, "the {who} received an error: {error}"),
            Some(Ended::Nothing) => assert!(!is_orderly, "receiving ended at the {who} without a word"),
            None => {}
        }
    }
}
