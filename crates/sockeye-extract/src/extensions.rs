//! Which extensions a connection has: those that the client offers and the server's settings allow.
//!
//! A second extension is negotiated here, and implements `PayloadEncoder` and `PayloadDecoder` of `sockeye_proto`.

use sockeye_handshake::{Offer, OpeningHandshake};
use sockeye_tokio::{
    Connection,
    proto::{PayloadDecoder, PayloadEncoder},
};

use crate::defaults::Settings;

/// The extensions that the opening handshake has negotiated. Default: no extensions.
#[derive(Debug, Default)]
pub(crate) struct NegotiatedExtensions {
    /// For the response, in the order of `payloads`.
    pub(crate) answer: Vec<Offer>,
    payloads: Vec<(Box<dyn PayloadEncoder>, Box<dyn PayloadDecoder>)>,
}

impl NegotiatedExtensions {
    #[cfg(feature = "deflate")]
    pub(crate) fn of(handshake: &OpeningHandshake, settings: &Settings) -> Self {
        use sockeye_tokio::Role;

        let agree =
            |compression| Some((compression, sockeye_handshake::deflate::accept(handshake.offers(), compression)?));
        let Some((compression, (answer, agreed))) = settings.compression.as_ref().and_then(agree) else {
            return Self::default();
        };
        let payloads = (agreed.encoder(Role::Server, compression), agreed.decoder(Role::Server, compression));
        Self { answer: vec![answer], payloads: vec![payloads] }
    }

    #[cfg(not(feature = "deflate"))]
    pub(crate) fn of(_handshake: &OpeningHandshake, _settings: &Settings) -> Self {
        Self::default()
    }

    pub(crate) fn apply(self, connection: Connection) -> Connection {
        let mut connection = connection;
        for (encoder, decoder) in self.payloads {
            connection = connection.extension(encoder, decoder);
        }
        connection
    }
}
