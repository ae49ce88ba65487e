//! `Rsv`: the reserved bits of a frame.

use std::{fmt, ops};

/// A set of the reserved bits RSV1, RSV2 and RSV3 of a frame ([RFC 6455 §5.2]). A bit has a meaning only if a negotiated
/// extension has claimed it. Default: none.
///
/// ```
/// use sockeye_proto::Rsv;
///
/// let claimed = Rsv::RSV1 | Rsv::RSV3;
/// assert!(claimed.intersects(Rsv::RSV3));
/// assert!(!claimed.intersects(Rsv::RSV2));
/// ```
///
/// [RFC 6455 §5.2]: https://www.rfc-editor.org/rfc/rfc6455#section-5.2
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Rsv(
    /// The bits at their place in the first byte of a header: none but those of 0x70.
    u8,
);

impl Rsv {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// The first bit. It marks a compressed message if permessage-deflate was negotiated.
    pub const RSV1: Self = Self(0x40);
    /// The second bit.
    pub const RSV2: Self = Self(0x20);
    /// The third bit.
    pub const RSV3: Self = Self(0x10);

    /// Whether the set has any bit of `other`.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether the set is empty.
    #[inline]
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits that are set in the first byte of a header.
    #[inline]
    pub(crate) const fn of_first_byte(first: u8) -> Self {
        Self(first & 0x70)
    }

    /// The bits for the first byte of a header.
    #[inline]
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    /// The bits that are not in `other`.
    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl ops::BitOr for Rsv {
    type Output = Self;

    #[inline]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl ops::BitOrAssign for Rsv {
    #[inline]
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl fmt::Debug for Rsv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [(Self::RSV1, "RSV1"), (Self::RSV2, "RSV2"), (Self::RSV3, "RSV3")];
        f.debug_set().entries(names.iter().filter(|(bit, _)| self.intersects(*bit)).map(|(_, name)| name)).finish()
    }
}
