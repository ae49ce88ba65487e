//! The extensions of a connection, which transform a message one after the other.

use crate::{Error, PayloadDecoder, PayloadEncoder, PreparedMessage, Rsv, Violation, buffer::Buffer};

/// The extensions of a receiving half, in the order of the opening handshake.
#[derive(Debug, Default)]
pub(crate) struct PayloadDecoders(
    /// A boxed slice takes no more space in the decoder than a single boxed extension.
    Box<[Box<dyn PayloadDecoder>]>,
);

impl PayloadDecoders {
    /// Adds an extension to others that have claimed the bits `claimed`. Returns all claimed bits.
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

    /// Passes a piece of a message to the last of the extensions whose bits `rsv` contains. Fails if there is none.
    pub(crate) fn push(&mut self, rsv: Rsv, piece: &[u8], max: usize) -> Result<(), Error> {
        match self.marked(rsv).next() {
            Some(extension) => extension.push(piece, max),
            None => Err(Violation::ReservedBits.into()),
        }
    }

    /// Passes the last piece of a message to the last of the extensions whose bits `rsv` contains, and the result of each to
    /// the one before it. Returns the result of the first one. Fails if there is no such extension.
    pub(crate) fn finish(&mut self, rsv: Rsv, piece: &[u8], max: usize) -> Result<Vec<u8>, Error> {
        let mut marked = self.marked(rsv);
        let Some(last) = marked.next() else { return Err(Violation::ReservedBits.into()) };
        let payload = last.finish(piece, max)?;
        marked.try_fold(payload, |payload, extension| extension.finish(&payload, max))
    }

    /// The extensions with any of these bits, in the reverse order of the opening handshake: the one that has transformed
    /// the message last comes first.
    fn marked(&mut self, rsv: Rsv) -> impl Iterator<Item = &mut Box<dyn PayloadDecoder>> {
        self.0.iter_mut().rev().filter(move |extension| extension.rsv().intersects(rsv))
    }
}

/// The extensions of a sending half, in the order of the opening handshake.
#[derive(Debug, Default)]
pub(crate) struct PayloadEncoders(
    /// A boxed slice, since every client has this, and most have no extension.
    Box<[Box<dyn PayloadEncoder>]>,
);

impl PayloadEncoders {
    /// Adds an extension.
    ///
    /// # Panics
    ///
    /// When the extension claims no bit, or a claimed bit.
    pub(crate) fn add(&mut self, extension: Box<dyn PayloadEncoder>) {
        let claimed = self.0.iter().fold(Rsv::NONE, |claimed, extension| claimed | extension.rsv());
        claim(extension.rsv(), claimed);
        let mut all = std::mem::take(&mut self.0).into_vec();
        all.push(extension);
        self.0 = all.into_boxed_slice();
    }

    /// Whether there is no extension.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The payload as all extensions have transformed it, and the reserved bits of those that did. `None` if no extension
    /// transforms it.
    pub(crate) fn encode(&mut self, payload: &[u8]) -> Option<(Rsv, Buffer)> {
        let mut transformed: Option<(Rsv, Buffer)> = None;
        // RFC 6455 §9.1: with "foo, bar" negotiated, "operations on the data will be made as bar(foo(data))".
        for extension in &mut self.0 {
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

    /// The shared message that the extensions make of this one. Hands the message back as an error if the result depends on
    /// the connection and cannot be shared.
    pub(crate) fn transform(&mut self, mut message: PreparedMessage) -> Result<PreparedMessage, PreparedMessage> {
        if self.has_context() {
            return Err(message);
        }
        for extension in &mut self.0 {
            let (Some(key), rsv) = (extension.shared_key(), extension.rsv()) else { return Err(message) };
            // Each transformed message keeps, in turn, what the next extension makes of it.
            let transformed = message.transformed(key, rsv, |payload, output| extension.encode(payload, output));
            message = transformed.unwrap_or(message);
        }
        Ok(message)
    }

    /// Whether the transformed bytes of a message may depend on earlier messages.
    pub(crate) fn has_context(&self) -> bool {
        self.0.iter().any(|extension| extension.shared_key().is_none())
    }

    /// Tells all extensions that later messages must not refer to earlier ones.
    pub(crate) fn restart(&mut self) {
        self.0.iter_mut().for_each(|extension| extension.restart());
    }
}

/// Adds the bits `rsv` of an extension to the claimed ones. Panics if `rsv` is empty, or contains a claimed bit.
fn claim(rsv: Rsv, claimed: Rsv) -> Rsv {
    assert!(!rsv.is_empty(), "an extension claims no reserved bit, so that nothing would mark its messages");
    assert!(!rsv.intersects(claimed), "an extension claims {rsv:?}, and another one has claimed {claimed:?}");
    rsv | claimed
}
