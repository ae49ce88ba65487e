//! The masking keys of the client role, from the operating system's random numbers.

use sockeye_proto::MaskSource;

/// Masking keys. 64 of them are drawn at a time, since each draw is a system call.
///
/// RFC 6455 §5.3: the key "MUST be derived from a strong source of entropy" and "MUST NOT make it simple for a
/// server/proxy to predict the masking key for a subsequent frame".
pub(crate) struct RandomMasks {
    drawn: [u8; 256],
    used: usize,
}

impl RandomMasks {
    pub(crate) fn boxed() -> Box<dyn MaskSource> {
        Box::new(Self { drawn: [0; 256], used: 256 })
    }
}

impl MaskSource for RandomMasks {
    fn next_key(&mut self) -> [u8; 4] {
        if self.used == self.drawn.len() {
            // A client cannot work without random numbers for its masks. No peer can cause this panic.
            getrandom::fill(&mut self.drawn).expect("the operating system has random numbers");
            self.used = 0;
        }
        let key = self.drawn[self.used..][..4].try_into().expect("four bytes");
        // A used key is never needed again.
        self.drawn[self.used..][..4].fill(0);
        self.used += 4;
        key
    }
}
