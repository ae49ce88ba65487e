//! Why this crate closes a connection, and what the Close then says. The codes for violations of the RFC are those of
//! [`sockeye_proto::Error`].

use std::borrow::Cow;

use sockeye_proto::{CloseCode, CloseFrame, close_code};

use crate::{Error, telemetry::ended::EndedBy};

/// A reason for which this crate sends a Close, with the code and the text of that Close.
#[derive(Debug)]
pub(crate) enum CloseReason {
    /// The application is done with the connection.
    Done,
    /// A panic dropped the last handle.
    Panic,
    /// The server shuts down.
    Shutdown,
    /// The connection was idle for too long, or is too old.
    Expired(&'static str),
    /// The peer has broken a rule of the protocol, or exceeded a limit.
    Violation(sockeye_proto::Error),
    /// The peer has done something too late or too early.
    Deadline(Error),
    /// The peer reads too slowly. The application chooses the code.
    SlowReader(CloseCode),
    /// The peer sends more than the handler receives: more than this many bytes are unread.
    Unread(usize),
    /// The budget of all connections is used up, and this connection was picked for its unread data.
    UnreadBudget,
}

impl CloseReason {
    /// The code for a peer that may reconnect later, when more memory is free.
    pub(crate) const TRY_AGAIN: CloseCode = close_code::AGAIN;

    pub(crate) fn code(&self) -> CloseCode {
        match self {
            Self::Done => close_code::NORMAL,
            Self::Panic => close_code::ERROR,
            // RFC 6455 §7.4.1: 1001 "indicates that an endpoint is "going away", such as a server going down".
            Self::Shutdown | Self::Expired(_) => close_code::AWAY,
            Self::Violation(error) => error.close_code(),
            Self::Deadline(_) => close_code::POLICY,
            Self::SlowReader(code) => *code,
            Self::Unread(_) | Self::UnreadBudget => Self::TRY_AGAIN,
        }
    }

    /// Who or what ends the connection for this reason.
    pub(crate) fn by(&self) -> EndedBy {
        match self {
            Self::Done | Self::Panic => EndedBy::Local,
            Self::Shutdown => EndedBy::Shutdown,
            Self::Violation(_) | Self::Unread(_) => EndedBy::Violation,
            Self::Deadline(error) if error.is_limit() => EndedBy::Violation,
            Self::Expired(_) | Self::Deadline(_) => EndedBy::Deadline,
            Self::SlowReader(_) => EndedBy::Overflow,
            Self::UnreadBudget => EndedBy::Budget,
        }
    }

    pub(crate) fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Done | Self::Panic | Self::Shutdown => "".into(),
            Self::Expired(text) => (*text).into(),
            Self::Violation(error) => error.to_string().into(),
            Self::Deadline(error) => error.to_string().into(),
            Self::SlowReader(_) => "more is sent than is read".into(),
            Self::Unread(max) => format!("more is sent than is received: `unread` allows {max} bytes").into(),
            Self::UnreadBudget => "more is sent than is received, and the memory for all is used up".into(),
        }
    }

    pub(crate) fn frame(&self) -> CloseFrame {
        CloseFrame::new(self.code(), self.text())
    }
}
