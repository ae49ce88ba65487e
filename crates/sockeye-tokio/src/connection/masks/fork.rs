//! Whether the process was forked.

use std::sync::{
    Once,
    atomic::{AtomicU32, Ordering},
};

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// A number that is different after a `fork` of the C library, in the new process. A process that was cloned by a bare system
/// call has the number of its parent.
#[inline]
pub(super) fn generation() -> u32 {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(watch);
    // A fork copies the calling thread alone, so the new process has no other thread that could have changed the number.
    GENERATION.load(Ordering::Relaxed)
}

#[cfg(unix)]
#[allow(unsafe_code, reason = "no crate in the tree has the call")]
fn watch() {
    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }
    // SAFETY: `in_child` is a function for as long as the process lives, and does what is allowed after a fork: it changes one
    // atomic number.
    let failed = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    // The only error is that there is no memory.
    assert!(failed == 0, "pthread_atfork has failed with {failed}");
}

#[cfg(not(unix))]
fn watch() {}

#[cfg(all(test, unix, not(miri)))]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use sockeye_proto::MaskSource;

    use super::super::RandomMasks;

    #[test]
    #[allow(unsafe_code, reason = "a fork is what is tested")]
    fn a_forked_process_has_keys_of_its_own() {
        let mut masks = RandomMasks;
        // What is left is copied by the fork.
        masks.next_key();
        let (mut ours, mut theirs) = UnixStream::pair().unwrap();
        // SAFETY: the new process allocates nothing, takes no lock, and ends at once.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        let mut keys = [0; 32];
        for key in keys.chunks_exact_mut(4) {
            key.copy_from_slice(&masks.next_key());
        }
        if child == 0 {
            let status = i32::from(theirs.write_all(&keys).is_err());
            // SAFETY: `_exit` ends the process, and runs nothing of the test harness.
            unsafe { libc::_exit(status) };
        }
        drop(theirs);
        let mut other = [0; 32];
        ours.read_exact(&mut other).unwrap();
        let mut status = 0;
        // SAFETY: the process is a child of this one that nobody else waits for.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0);
        assert_ne!(keys, other);
    }
}
