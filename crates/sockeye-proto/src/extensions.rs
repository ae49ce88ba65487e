//! The extensions of a connection, one after the other.

use crate::{Error, PayloadDecoder, PayloadEncoder, PreparedMessage, Rsv, Violation, buffer::Buffer};

/// The extensions of a receiving half, in the order of the opening handshake.
#[derive(Debug, Default)]
pub(crate) struct PayloadDecoders(
    /// A boxed slice: no longer than a single boxed extension.
    Box<[Box<dyn PayloadDecoder>]>,
);

impl PayloadDecoders {
    /// Adds an extension to those that have `claimed` some bits. Returns all claimed bits.
    ///
    /// # Panics
    ///
    /// When the extension claims no bit, or a claimed bit.
    pub(crate) fn add(&mut self, extension: Box<dyn PayloadDecoder>, claimed: Rsv) -> Rsv {
        let claimed = claim(extension.rsv(), claimed);
        let mut all = std::mem::take(&mut self.0).into_vec();
        all.push(extension);
        self.0 = all.into_boxed_slice();
        claimed
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes a piece of a message that carries `rsv`.
    pub(crate) fn push(&mut self, rsv: Rsv, piece: &[u8], max: usize) -> Result<(), Error> {
        match self.marked(rsv).next() {
            Some(extension) => extension.push(piece, max),
            None => Err(Violation::ReservedBits.into()),
        }
    }

    /// Takes the last piece of a message that carries `rsv`, and yields the result of all extensions with these bits.
    pub(crate) fn finish(&mut self, rsv: Rsv, piece: &[u8], max: usize) -> Result<Vec<u8>, Error> {
        let mut marked = self.marked(rsv);
        let Some(last) = marked.next() else { return Err(Violation::ReservedBits.into()) };
        let payload = last.finish(piece, max)?;
        marked.try_fold(payload, |payload, extension| extension.finish(&payload, max))
    }

    /// The extension that transformed the message last comes first.
    fn marked(&mut self, rsv: Rsv) -> impl Iterator<Item = &mut Box<dyn PayloadDecoder>> {
        self.0.iter_mut().rev().filter(move |extension| extension.rsv().intersects(rsv))
    }
}

/// The extensions of a sending half, in the order of the opening handshake.
#[derive(Debug, Default)]
pub(crate) struct PayloadEncoders {
    all: Vec<Box<dyn PayloadEncoder>>,
    claimed: Rsv,
}

impl PayloadEncoders {
    /// Adds an extension.
    ///
    /// # Panics
    ///
    /// When the extension claims no bit, or a claimed bit.
    pub(crate) fn add(&mut self, extension: Box<dyn PayloadEncoder>) {
        self.claimed = claim(extension.rsv(), self.claimed);
        self.all.push(extension);
    }

    /// The transformed payload, and its reserved bits. `None` if no extension transforms it.
    pub(crate) fn encode(&mut self, payload: &[u8]) -> Option<(Rsv, Buffer)> {
        let mut transformed: Option<(Rsv, Buffer)> = None;
        // RFC 6455 §9.1: with "foo, bar" negotiated, "operations on the data will be made as bar(foo(data))".
        for extension in &mut self.all {
            let (rsv, payload) = match &transformed {
                Some((rsv, payload)) => (*rsv, &payload[..]),
                None => (Rsv::NONE, payload),
            };
            let mut output = Buffer::pooled();
            if extension.encode(payload, &mut output) {
                transformed = Some((rsv | extension.rsv(), output));
            }
        }
        transformed
    }

    /// What the extensions make of a shared message, or the message itself if the result cannot be shared.
    pub(crate) fn transform(&mut self, mut message: PreparedMessage) -> Result<PreparedMessage, PreparedMessage> {
        if self.has_context() {
            return Err(message);
        }
        for extension in &mut self.all {
            let (Some(key), rsv) = (extension.shared_key(), extension.rsv()) else { return Err(message) };
            // Each result holds in turn what the next extension makes of it.
            let transformed = message.transformed(key, rsv, |payload, output| extension.encode(payload, output));
            message = transformed.unwrap_or(message);
        }
        Ok(message)
    }

    /// Whether the result for a message may depend on earlier messages.
    pub(crate) fn has_context(&self) -> bool {
        self.all.iter().any(|extension| extension.shared_key().is_none())
    }

    /// Later messages must not refer to earlier ones.
    pub(crate) fn restart(&mut self) {
        self.all.iter_mut().for_each(|extension| extension.restart());
    }
}

/// The claimed bits, with those of one more extension.
fn claim(rsv: Rsv, claimed: Rsv) -> Rsv {
    assert!(!rsv.is_empty(), "an extension claims no reserved bit, so that nothing would mark its messages");
    assert!(!rsv.intersects(claimed), "an extension claims {rsv:?}, and another one has claimed {claimed:?}");
    rsv | claimed
}
