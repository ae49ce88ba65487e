//! `Resolve`: how names are looked up. Equal look-ups at the same time are one.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::OnceCell;

/// How names are looked up: for a DNS client of your own, or for fixed addresses in a test.
///
/// ```
/// use std::{io, net::SocketAddr};
/// use sockeye_client::{Client, Resolve};
///
/// struct Fixed(SocketAddr);
///
/// impl Resolve for Fixed {
///     async fn resolve(&self, _host: &str, _port: u16) -> io::Result<Vec<SocketAddr>> {
///         Ok(vec![self.0])
///     }
/// }
///
/// let client = Client::builder().resolver(Fixed("[2001:db8::1]:443".parse().unwrap())).build();
/// ```
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `host`, the best one first, with `port` or another port. It is called for names only, never for an IP
    /// address. No address at all is an error of the caller of this method. The future may be dropped at any time.
    ///
    /// # Errors
    ///
    /// Why there are no addresses; the text becomes a part of the [`ConnectError`](crate::ConnectError).
    fn resolve(&self, host: &str, port: u16) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send;
}

/// A resolver, and the look-ups that are under way.
pub(crate) struct Resolver {
    inner: Box<dyn Boxed>,
    under_way: Mutex<HashMap<(String, u16), Weak<LookUp>>>,
}

/// A look-up that several connections may wait for. If the first one of them is dropped, the next begins anew.
type LookUp = OnceCell<Found>;

/// An error is shared, since `io::Error` has no `Clone`.
type Found = Result<Vec<SocketAddr>, Arc<io::Error>>;

/// `Resolve` as an object.
trait Boxed: Send + Sync {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl<R: Resolve> Boxed for R {
    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(Resolve::resolve(self, host, port))
    }
}

/// The resolver of the system, on a thread for blocking calls.
struct System;

impl Resolve for System {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

impl Resolver {
    pub(crate) fn system() -> Self {
        Self::new(System)
    }

    pub(crate) fn new(resolver: impl Resolve) -> Self {
        Self { inner: Box::new(resolver), under_way: Mutex::default() }
    }

    /// The addresses of a host, each once.
    pub(crate) async fn look_up(&self, host: &str, port: u16) -> Found {
        let look_up = self.join(host, port);
        let found = look_up.get_or_init(|| async {
            let mut addresses = self.inner.resolve(host, port).await.map_err(Arc::new)?;
            let mut seen = std::collections::HashSet::new();
            addresses.retain(|address| seen.insert(*address));
            Ok(addresses)
        });
        let found = found.await.clone();
        // Nothing is cached: a later look-up begins anew.
        self.leave(host, port, &look_up);
        found
    }

    /// The look-up of this name that is under way, or a new one.
    fn join(&self, host: &str, port: u16) -> Arc<LookUp> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        // Of those that were dropped.
        under_way.retain(|_, look_up| look_up.strong_count() > 0);
        let key = (host.to_ascii_lowercase(), port);
        if let Some(look_up) = under_way.get(&key).and_then(Weak::upgrade) {
            return look_up;
        }
        let look_up = Arc::new(LookUp::new());
        under_way.insert(key, Arc::downgrade(&look_up));
        look_up
    }

    fn leave(&self, host: &str, port: u16, done: &Arc<LookUp>) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (host.to_ascii_lowercase(), port);
        if under_way.get(&key).is_some_and(|look_up| std::ptr::eq(look_up.as_ptr(), Arc::as_ptr(done))) {
            under_way.remove(&key);
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}
