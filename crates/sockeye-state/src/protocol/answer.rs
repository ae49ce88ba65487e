//! What a page is sent.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{
    code::{About, Code, Refusal},
    scan::{MAX_DEPTH, depth_exceeds},
};
use crate::{CaughtUp, Person, Position};

/// A frame for a page, apart from `m`, which `frame` makes.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "snake_case")]
pub(crate) enum Answer<'a> {
    In {
        room: &'a str,
        at: Option<Position>,
        caught: Caught,
    },
    Ok {
        id: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Position>,
    },
    No {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        code: Code,
        why: &'a str,
    },
    Out {
        room: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<Code>,
        #[serde(skip_serializing_if = "Option::is_none")]
        why: Option<&'a str>,
    },
    Gap {
        room: &'a str,
    },
    Who {
        room: &'a str,
        #[serde(flatten)]
        news: News<'a>,
    },
    Err {
        code: Code,
        #[serde(skip_serializing_if = "Option::is_none")]
        room: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        at: Option<Position>,
        why: &'a str,
    },
    Hb,
    Renew,
    Later {
        ms: [u64; 2],
    },
}

/// How much of what a page had missed it gets.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Caught {
    Fresh,
    Whole,
    Gap,
}

/// Who is in a room, or what has changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum News<'a> {
    All(Vec<PersonOnWire<'a>>),
    Joined(PersonOnWire<'a>),
    Updated(PersonOnWire<'a>),
    Left(&'a str),
    Count(usize),
}

/// A person, with information that is JSON if it can be, and else a text.
#[derive(Debug, Serialize)]
pub(crate) struct PersonOnWire<'a> {
    pub(crate) key: &'a str,
    pub(crate) info: Info<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Info<'a> {
    Json(&'a RawValue),
    Text(Cow<'a, str>),
}

impl Answer<'_> {
    pub(crate) fn text(&self) -> String {
        serde_json::to_string(self).expect("all keys are texts, and no part of a frame fails")
    }
}

impl Refusal {
    pub(crate) fn text(&self) -> String {
        let Self { code, ref why, .. } = *self;
        match &self.about {
            About::Frame => Answer::Err { code, room: None, at: None, why }.text(),
            About::Say(id) => Answer::No { id: Some(id), room: None, code, why }.text(),
            About::Room(room) => Answer::No { id: None, room: Some(room), code, why }.text(),
        }
    }
}

impl From<CaughtUp> for Caught {
    fn from(caught_up: CaughtUp) -> Self {
        match caught_up {
            CaughtUp::Fresh => Self::Fresh,
            CaughtUp::Whole(_) => Self::Whole,
            CaughtUp::Gap => Self::Gap,
        }
    }
}

impl<'a> PersonOnWire<'a> {
    pub(crate) fn new(person: &'a Person) -> Self {
        Self { key: person.key(), info: Info::new(person.info()) }
    }
}

impl<'a> Info<'a> {
    pub(crate) fn new(info: &'a [u8]) -> Self {
        match serde_json::from_slice(info) {
            Ok(json) if !depth_exceeds(info, MAX_DEPTH) => Self::Json(json),
            _ => Self::Text(String::from_utf8_lossy(info)),
        }
    }
}
