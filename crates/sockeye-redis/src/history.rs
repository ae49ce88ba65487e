//! Histories: the requests to the scripts, and what their answers mean.

use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Value, cmd, from_redis_value};
use sockeye_state::{Append, BrokerError, Entry, Epoch, Page, Position, Topic};

use crate::{
    connection::{Request, Script},
    keys,
};

/// How long a stamp is remembered.
const STAMP_AGE: Duration = Duration::from_secs(5 * 60);

/// The longest age of a history: the server cannot add more to its clock.
const MAX_AGE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The longest message, which is less than any server allows by default.
const MAX_ENVELOPE: usize = 64 << 20;

/// A page that was read after a position ends after so many bytes.
const PAGE_BYTES: usize = 1 << 20;

/// The request that appends a message.
pub(crate) fn append(append: &Append, database: i64) -> Result<Request, BrokerError> {
    let Append { topic, envelope, stamp, keep, known, .. } = append;
    check_len(envelope)?;
    let (known_epoch, known_offset) = text_of(*known);
    // 0 would forget the message at once.
    let age = keep.age.clamp(Duration::from_millis(1), MAX_AGE).as_millis();
    let arguments = vec![
        envelope.clone(),
        number(keep.messages),
        age.to_string().into(),
        known_epoch,
        known_offset,
        Epoch::random().to_string().into(),
        keys::channel(topic, database).into(),
        STAMP_AGE.as_millis().to_string().into(),
    ];
    let keys = vec![keys::top(topic), keys::log(topic), keys::stamp(topic, *stamp)];
    Ok(Request::Script { script: Script::Append, keys, arguments })
}

/// The position in the answer to an append.
pub(crate) fn appended(answers: Vec<Value>) -> Result<Position, BrokerError> {
    let position = answers.into_iter().next().and_then(|answer| from_redis_value::<String>(answer).ok());
    position.and_then(|position| position.parse().ok()).ok_or_else(|| unexpected("an append"))
}

/// The request that reads a page.
pub(crate) fn read(topic: &Topic, after: Option<Position>, most: usize) -> Request {
    let (epoch, offset) = text_of(after);
    let arguments = vec![epoch, offset, number(most), number(PAGE_BYTES)];
    Request::Script { script: Script::Read, keys: vec![keys::top(topic), keys::log(topic)], arguments }
}

/// The page in the answer to a read.
pub(crate) fn page(answers: Vec<Value>, after: Option<Position>) -> Result<Page, BrokerError> {
    match answers.into_iter().next() {
        Some(Value::Nil) => Ok(Page::new(Vec::new(), None, after.is_none(), true)),
        Some(Value::Array(answer)) => parse_page(answer).ok_or_else(|| unexpected("a read")),
        _ => Err(unexpected("a read")),
    }
}

/// The request for the last positions of histories.
pub(crate) fn tops(topics: &[Topic]) -> Request {
    let top = |topic: &Topic| -> Cmd {
        let mut get = cmd("HMGET");
        get.arg(keys::top(topic)).arg("epoch").arg("top");
        get
    };
    Request::Commands(topics.iter().map(top).collect())
}

/// The positions in the answers to [`tops`].
pub(crate) fn positions(answers: Vec<Value>) -> Result<Vec<Option<Position>>, BrokerError> {
    let position = |answer: Value| match from_redis_value::<(Option<String>, Option<String>)>(answer) {
        Ok((None, None)) => Some(None),
        Ok((Some(epoch), Some(offset))) => format!("{epoch}.{offset}").parse().ok().map(Some),
        _ => None,
    };
    answers.into_iter().map(|answer| position(answer).ok_or_else(|| unexpected("a request for positions"))).collect()
}

/// Refuses a message that a server would refuse by closing the connection.
pub(crate) fn check_len(envelope: &[u8]) -> Result<(), BrokerError> {
    match envelope.len() {
        ..=MAX_ENVELOPE => Ok(()),
        len => Err(BrokerError::refused(format!("the message has {len} bytes; expected at most {MAX_ENVELOPE}"))),
    }
}

fn parse_page(answer: Vec<Value>) -> Option<Page> {
    let mut values = answer.into_iter();
    let epoch: String = from_redis_value(values.next()?).ok()?;
    let top: String = from_redis_value(values.next()?).ok()?;
    let is_contiguous: bool = from_redis_value(values.next()?).ok()?;
    let is_last: bool = from_redis_value(values.next()?).ok()?;
    let top: Position = format!("{epoch}.{top}").parse().ok()?;
    let mut entries = Vec::with_capacity(values.len() / 2);
    while let Some(offset) = values.next() {
        let offset: u64 = from_redis_value(offset).ok()?;
        let Value::BulkString(envelope) = values.next()? else { return None };
        // The offsets of an epoch have no gaps.
        entries.push(Entry::new(offset.checked_sub(1)?, Position::new(top.epoch, offset), envelope.into()));
    }
    Some(Page::new(entries, Some(top), is_contiguous, is_last))
}

/// The epoch and the offset of a position, as the scripts expect them.
fn text_of(position: Option<Position>) -> (Bytes, Bytes) {
    match position {
        Some(Position { epoch, offset, .. }) => (epoch.to_string().into(), offset.to_string().into()),
        None => (Bytes::new(), Bytes::from_static(b"0")),
    }
}

/// A number that the scripts can count to.
fn number(number: usize) -> Bytes {
    number.min(i32::MAX as usize).to_string().into()
}

fn unexpected(what: &str) -> BrokerError {
    BrokerError::refused(format!(
        "Redis answers {what} with something else; check that no other program writes to the keys of this namespace"
    ))
}
