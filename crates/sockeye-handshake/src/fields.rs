//! The header fields that the server's side reads, collected in one pass.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{
        CONNECTION, CONTENT_LENGTH, EXPECT, HOST, ORIGIN, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
};

use crate::Reject;

const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// One pass over all headers is cheaper than a lookup for each field: a lookup hashes the name, and most names have no value.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) connection: Lines<'a>,
    pub(crate) content_length: Lines<'a>,
    pub(crate) expect: Lines<'a>,
    pub(crate) extensions: Lines<'a>,
    pub(crate) forwarded_host: Lines<'a>,
    pub(crate) host: Lines<'a>,
    pub(crate) key: Lines<'a>,
    pub(crate) origin: Lines<'a>,
    pub(crate) protocols: Lines<'a>,
    pub(crate) transfer_encoding: Lines<'a>,
    pub(crate) upgrade: Lines<'a>,
    pub(crate) version: Lines<'a>,
}

/// The lines of one header field.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines<'a> {
    /// The value of the first line. `None` if there is no line.
    pub(crate) first: Option<&'a HeaderValue>,
    /// Whether there is more than one line.
    is_repeated: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn read(headers: &'a HeaderMap) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let lines = match *name {
                CONNECTION => &mut fields.connection,
                CONTENT_LENGTH => &mut fields.content_length,
                EXPECT => &mut fields.expect,
                HOST => &mut fields.host,
                ORIGIN => &mut fields.origin,
                SEC_WEBSOCKET_EXTENSIONS => &mut fields.extensions,
                SEC_WEBSOCKET_KEY => &mut fields.key,
                SEC_WEBSOCKET_PROTOCOL => &mut fields.protocols,
                SEC_WEBSOCKET_VERSION => &mut fields.version,
                TRANSFER_ENCODING => &mut fields.transfer_encoding,
                UPGRADE => &mut fields.upgrade,
                _ if *name == FORWARDED_HOST => &mut fields.forwarded_host,
                _ => continue,
            };
            lines.add(value);
        }
        fields
    }
}

impl<'a> Lines<'a> {
    fn add(&mut self, value: &'a HeaderValue) {
        match self.first {
            None => self.first = Some(value),
            Some(_) => self.is_repeated = true,
        }
    }

    pub(crate) fn is_missing(&self) -> bool {
        self.first.is_none()
    }

    /// The value of a field that may be on one line only. `name` is its name for the rejection.
    pub(crate) fn unique(&self, name: &'static str) -> Result<Option<&'a HeaderValue>, Reject> {
        if self.is_repeated { Err(Reject::RepeatedHeader { name }) } else { Ok(self.first) }
    }

    /// Whether the only line is exactly `token`, ignoring case, as in the requests of most clients.
    pub(crate) fn is_token(&self, token: &str) -> bool {
        self.first.is_some_and(|line| line.as_bytes().eq_ignore_ascii_case(token.as_bytes()))
    }
}
