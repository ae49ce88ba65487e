//! The stamp of a message: how a broker knows one that is sent again.

use sha2::{Digest, Sha256};

use crate::Stamp;

/// The stamp of the `say` with this id, of the user with this key: the first 16 bytes of the SHA-256 of both. The id has 128 random
/// bits of its page, and nobody can find another user's key and id with the same stamp.
pub(crate) fn stamp(key: &str, id: &str) -> Stamp {
    let mut hash = Sha256::new();
    // The length first: no other key and id have the same bytes in a row.
    hash.update((key.len() as u64).to_be_bytes());
    hash.update(key);
    hash.update(id);
    let hash = hash.finalize();
    let mut stamp = [0; 16];
    stamp.copy_from_slice(&hash[..16]);
    Stamp::new(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_and_id_do_not_run_into_each_other() {
        assert_ne!(stamp("ada", "1-2"), stamp("ada1", "-2"));
        assert_ne!(stamp("ada", "1-2"), stamp("bob", "1-2"));
        assert_eq!(stamp("ada", "1-2"), stamp("ada", "1-2"));
    }
}
