//! Happy eyeballs: all addresses of a host are tried, each a little after the one before (RFC 8305).

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, Sleep, sleep_until},
};

use super::connecting::{Connecting, Key, Slot};
use crate::open::progress::Progress;

/// RFC 8305 §5: "One recommended value for a default delay is 250 milliseconds."
const DELAY: Duration = Duration::from_millis(250);

/// Connects to the first of `addresses` that answers. `None` if none does: `progress` then has the errors.
///
/// Dropping the future closes all sockets.
pub(super) async fn connect(
    addresses: &[SocketAddr],
    connecting: Option<&Connecting>,
    progress: &Progress,
) -> Option<(TcpStream, SocketAddr, Option<Slot>)> {
    let mut race = Race {
        left: interleaved(addresses),
        running: Vec::new(),
        start: |address| {
            progress.tries(address);
            async move {
                let slot = match connecting {
                    Some(connecting) => Some(connecting.enter(Key::Ip(address.ip())).await),
                    None => None,
                };
                let stream = TcpStream::connect(address).await?;
                Ok((stream, slot))
            }
        },
        failed: |address, error| progress.failed(address, error),
    };
    let mut next = pin!(sleep_until(Instant::now()));
    let (address, (stream, slot)) = poll_fn(|cx| race.poll(next.as_mut(), cx)).await?;
    // Those that lost are closed before the handshake goes on.
    drop(race);
    progress.connected();
    Some((stream, address, slot))
}

/// Attempts that run side by side. A new one begins when one has failed, or when `DELAY` has passed.
struct Race<Start, Fut, Failed> {
    left: VecDeque<SocketAddr>,
    running: Vec<(SocketAddr, Pin<Box<Fut>>)>,
    start: Start,
    failed: Failed,
}

impl<Start, Fut, Failed, T> Race<Start, Fut, Failed>
where
    Start: FnMut(SocketAddr) -> Fut,
    Fut: Future<Output = io::Result<T>>,
    Failed: FnMut(SocketAddr, io::Error),
{
    fn poll(&mut self, mut next: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<Option<(SocketAddr, T)>> {
        loop {
            let mut index = 0;
            let mut has_failed = self.running.is_empty();
            while let Some((address, attempt)) = self.running.get_mut(index) {
                match attempt.as_mut().poll(cx) {
                    Poll::Pending => index += 1,
                    Poll::Ready(Ok(done)) => return Poll::Ready(Some((*address, done))),
                    Poll::Ready(Err(error)) => {
                        (self.failed)(*address, error);
                        drop(self.running.remove(index));
                        has_failed = true;
                    }
                }
            }
            // RFC 8305 §5: a new attempt begins after the delay, or when the previous one has failed.
            if !self.left.is_empty() && !has_failed && next.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let Some(address) = self.left.pop_front() else {
                return if self.running.is_empty() { Poll::Ready(None) } else { Poll::Pending };
            };
            self.running.push((address, Box::pin((self.start)(address))));
            next.as_mut().reset(Instant::now() + DELAY);
        }
    }
}

/// RFC 8305 §4: the families alternate, beginning with that of the first address; within a family, the order is kept.
fn interleaved(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.iter().copied().partition(|address| address.is_ipv6() == first);
    let mut all = VecDeque::with_capacity(addresses.len());
    while !one.is_empty() || !other.is_empty() {
        all.extend(one.pop_front());
        all.extend(other.pop_front());
    }
    all
}
