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
    let attempt = |address: SocketAddr| async move {
        let slot = match connecting {
            Some(connecting) => Some(connecting.enter(Key::Ip(address.ip()), progress).await),
            None => None,
        };
        progress.tries(address);
        Ok((TcpStream::connect(address).await?, slot))
    };
    let (address, (stream, slot)) = match addresses {
        // It races with nobody, so there is nothing to wait for beside it.
        [address] => match attempt(*address).await {
            Ok(connected) => (*address, connected),
            Err(error) => {
                progress.failed(*address, error);
                return None;
            }
        },
        _ => race(addresses, attempt, |address, error| progress.failed(address, error)).await?,
    };
    progress.connected();
    Some((stream, address, slot))
}

/// The first of `addresses` where `start` succeeds. Those that lose are dropped before this returns.
async fn race<Fut, T>(
    addresses: &[SocketAddr],
    start: impl FnMut(SocketAddr) -> Fut,
    failed: impl FnMut(SocketAddr, io::Error),
) -> Option<(SocketAddr, T)>
where
    Fut: Future<Output = io::Result<T>>,
{
    let mut race = Race { left: interleaved(addresses), running: Vec::new(), start, failed };
    let mut next = pin!(sleep_until(Instant::now()));
    poll_fn(|cx| race.poll(next.as_mut(), cx)).await
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::sleep;

    use super::*;

    fn address(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 443))
    }

    /// What each address does: after how many milliseconds, and whether it answers. An address that is not here is silent.
    type Network = &'static [(u8, u64, bool)];

    /// Which address won, after how many milliseconds, and when each was tried.
    async fn race(addresses: &[u8], network: Network) -> (Option<u8>, u128, Vec<(u8, u128)>) {
        let began = Instant::now();
        let tried = Mutex::new(Vec::new());
        let start = |to: SocketAddr| {
            let last = addresses.iter().copied().find(|last| address(*last) == to).unwrap();
            tried.lock().unwrap().push((last, began.elapsed().as_millis()));
            async move {
                match network.iter().find(|(there, ..)| *there == last) {
                    None => std::future::pending().await,
                    Some((_, after, answers)) => {
                        sleep(Duration::from_millis(*after)).await;
                        if *answers { Ok(last) } else { Err(io::ErrorKind::ConnectionRefused.into()) }
                    }
                }
            }
        };
        let addresses: Vec<SocketAddr> = addresses.iter().map(|last| address(*last)).collect();
        let won = super::race(&addresses, start, |_, _| {}).await.map(|(_, last)| last);
        (won, began.elapsed().as_millis(), tried.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_address_is_tried_250_ms_after_a_silent_first() {
        let (won, took, tried) = race(&[1, 2, 3], &[(2, 20, true)]).await;
        assert_eq!((won, took), (Some(2), 270));
        assert_eq!(tried, [(1, 0), (2, 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_at_once_when_one_fails() {
        let (won, took, tried) = race(&[1, 2, 3], &[(1, 5, false), (2, 5, false), (3, 5, true)]).await;
        assert_eq!((won, took), (Some(3), 15));
        assert_eq!(tried, [(1, 0), (2, 5), (3, 10)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_first_address_still_wins_if_it_is_the_first_to_answer() {
        let (won, took, tried) = race(&[1, 2], &[(1, 260, true), (2, 20, true)]).await;
        assert_eq!((won, took), (Some(1), 260));
        assert_eq!(tried, [(1, 0), (2, 250)]);
    }

    #[tokio::test(start_paused = true)]
    async fn without_an_answer_the_race_ends_with_its_last_failure() {
        let (won, took, _) = race(&[1, 2], &[(1, 1000, false), (2, 10, false)]).await;
        assert_eq!((won, took), (None, 1000));
        assert_eq!(race(&[], &[]).await.0, None);
    }

    #[test]
    fn the_families_alternate_beginning_with_the_first() {
        let order = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            interleaved(&addresses).iter().map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]), "[::1]:1 1.1.1.1:1 [::2]:1 [::3]:1");
        assert_eq!(order(&["1.1.1.1:1", "2.2.2.2:1", "[::1]:1"]), "1.1.1.1:1 [::1]:1 2.2.2.2:1");
        assert_eq!(order(&[]), "");
    }
}
