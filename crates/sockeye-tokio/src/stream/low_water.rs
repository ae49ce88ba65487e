//! The low-water mark of a socket: the kernel reports the socket as readable only when this many bytes have arrived.

#[cfg(not(all(test, sockeye_loom)))]
use tokio::net::TcpStream;

#[cfg(all(test, sockeye_loom))]
use crate::models::tcp::TcpStream;

/// A rest of a message with fewer bytes is read as it comes: for so few, the calls cost more than they save.
const LEAST: usize = 32 << 10;

/// The highest mark: the kernel must hold as many bytes for each connection, and more would save little.
const MOST: usize = 256 << 10;

/// Sets the mark for a read of `room` bytes, all of which belong to a frame that has begun. Returns whether more than one byte
/// must arrive from now on; `is_raised` says whether that was so.
///
/// Linux reports the socket below the mark too when the stream has ended, and when its receive buffer is full.
pub(super) fn set_for(stream: &TcpStream, room: usize, is_raised: bool) -> bool {
    if room >= LEAST {
        return set(stream, room.min(MOST)) || is_raised;
    }
    if is_raised {
        lower(stream);
    }
    false
}

/// From now on, each byte is reported. The kernel reports the socket at once if it holds any.
pub(super) fn lower(stream: &TcpStream) {
    set(stream, 1);
}

#[cfg(target_os = "linux")]
#[allow(unsafe_code, reason = "no crate in the tree has the call")]
fn set(stream: &TcpStream, mark: usize) -> bool {
    use std::os::fd::AsRawFd;

    let mark = libc::c_int::try_from(mark).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open while `stream` is borrowed. The option takes an int, which `mark` is and outlives the call.
    let result = unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            std::ptr::from_ref(&mark).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    result == 0
}

/// Elsewhere it is not known that the end of the stream is reported below the mark.
#[cfg(not(target_os = "linux"))]
fn set(_: &TcpStream, _: usize) -> bool {
    false
}
