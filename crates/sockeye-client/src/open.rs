//! The way from a request to an open connection.

pub(crate) mod progress;

use std::pin::pin;

use http::Response;
use sockeye_handshake::client::AnswerError;
use sockeye_tokio::{Connection, Role, Stream};
use tokio::time::timeout_at;

use self::progress::Progress;
#[cfg(not(feature = "rustls"))]
use crate::no_tls as tls;
#[cfg(feature = "rustls")]
use crate::tls::stage as tls;
use crate::{
    ConnectError, Opened, Stage,
    builder::Settings,
    dial::{self, Dialed, Peer},
    error::Blame,
    http1::{self, Answer},
    proxy::{self, ProxyServer},
    request::{Asked, Prepared, Target},
};

/// Opens a connection, over `stream` if there is one, within the time limit.
pub(crate) async fn open(
    settings: &Settings,
    request: Prepared,
    stream: Option<Stream>,
) -> Result<Opened, ConnectError> {
    let (within, Prepared { target, asked }) = (settings.within, request);
    let progress = Progress::new(within);
    // The work is dropped before the progress is read. It is large, and does not move.
    let opened = {
        let work = pin!(run(settings, &target, asked, stream, &progress));
        match progress.deadline {
            Some(deadline) => timeout_at(deadline, work).await,
            None => Ok(work.await),
        }
    };
    let opened = opened.unwrap_or_else(|_| {
        let (stage, blame) = progress.state();
        let waited = match progress.is_queued() {
            true => "`Builder::connecting` other opening handshakes with this server did not end",
            false => waited(stage, blame),
        };
        let error = ConnectError::timeout(blame, stage, within, waited);
        Err(error.with_attempts(progress.take_attempts()))
    });
    match &opened {
        Ok(opened) => tracing::debug!(target: "sockeye", to = %target, peer = ?opened.peer_addr, "connected"),
        Err(error) => tracing::debug!(target: "sockeye", to = %target, stage = %error.stage(), "not connected"),
    }
    opened.map_err(|error| error.to(&target))
}

async fn run(
    settings: &Settings,
    target: &Target,
    asked: Box<Asked>,
    stream: Option<Stream>,
    progress: &Progress,
) -> Result<Opened, ConnectError> {
    // First, so that a mistake in a setting is found before anything is sent.
    let tls = tls::prepare(settings, target).await?;
    let dialed = match stream {
        Some(stream) => Dialed { address: stream.peer_addr(), stream, slot: None },
        None => match settings.proxy.for_target(target)? {
            // In a box, so that without a proxy there is no room for it.
            Some(proxy) => Box::pin(through(settings, &proxy, target, progress)).await?,
            None => direct(settings, target, progress).await?,
        },
    };
    let Dialed { stream, address, slot } = dialed;
    let stream = tls::connect(tls, stream, progress).await?;
    progress.enter(Stage::Http);
    let opened = handshake(settings, asked, stream, progress).await;
    // The handshake is over.
    drop(slot);
    opened.map(|(response, connection)| Opened { response, peer_addr: address, connection })
}

async fn direct(settings: &Settings, target: &Target, progress: &Progress) -> Result<Dialed, ConnectError> {
    let Target { host, port, address, .. } = target;
    let peer = Peer { host, port: *port, address: *address, blame: Blame::Network, is_limited: true };
    dial::dial(settings, &peer, progress).await
}

async fn through(
    settings: &Settings,
    proxy: &ProxyServer,
    target: &Target,
    progress: &Progress,
) -> Result<Dialed, ConnectError> {
    let key = dial::connecting::Key::Host(target.host.clone(), target.port);
    progress.enter(Stage::Tcp);
    let slot = settings.connecting.enter(key, progress).await;
    progress.set_proxy(true);
    let tls = tls::prepare_for_proxy(settings, proxy).await?;
    let peer = Peer { host: &proxy.host, port: proxy.port, address: None, blame: Blame::Proxy, is_limited: false };
    let Dialed { stream, address, .. } = dial::dial(settings, &peer, progress).await?;
    progress.enter(Stage::Proxy);
    let stream = tls::connect_to_proxy(tls, stream).await?;
    let stream = proxy::tunnel::open(stream, proxy, target, &settings.limits, progress.deadline).await?;
    progress.set_proxy(false);
    Ok(Dialed { stream, address, slot: Some(slot) })
}

/// The opening handshake, over a stream to the server.
async fn handshake(
    settings: &Settings,
    asked: Box<Asked>,
    stream: Stream,
    progress: &Progress,
) -> Result<(Response<()>, Connection), ConnectError> {
    let Asked {
        request,
        expected,
        #[cfg(feature = "deflate")]
        offered,
    } = *asked;
    let answer = http1::send(stream, request, &settings.limits, progress.deadline).await;
    let (response, stream) = match answer.map_err(|error| error.explain(Blame::Server, Stage::Http))? {
        Answer::Upgraded(response, stream) => (response, stream),
        Answer::Refused(response, is_truncated) => {
            return Err(ConnectError::refused(Blame::Server, Stage::Http, response, is_truncated));
        }
    };
    let broken = |error: AnswerError, response: &Response<()>| {
        let (head, ()) = response.clone().into_parts();
        ConnectError::because(Blame::Server, Stage::Http, "the server broke a rule of the opening handshake", error)
            .with_response(Response::from_parts(head, bytes::Bytes::new()))
            .finally()
    };
    let accepted = expected.check(&response).map_err(|error| broken(error, &response))?;
    let connection = Connection::new(stream, Role::Client).settings(settings.connection.clone());
    let connection = connection.protocol(accepted.protocol);
    #[cfg(feature = "deflate")]
    let connection = match offered {
        None => connection,
        Some((offered, compression)) => {
            match offered.check(&accepted.extensions).map_err(|error| broken(error, &response))? {
                None => connection,
                Some(agreed) => connection
                    .extension(agreed.encoder(Role::Client, &compression), agreed.decoder(Role::Client, &compression)),
            }
        }
    };
    Ok((response, connection))
}

/// What did not happen in time.
fn waited(stage: Stage, blame: Blame) -> &'static str {
    let is_proxy = blame == Blame::Proxy;
    match stage {
        Stage::Request => "the settings were not ready",
        Stage::Dns if is_proxy => "the name of the proxy was not looked up",
        Stage::Dns => "the name of the server was not looked up",
        Stage::Tcp if is_proxy => "the proxy did not take the connection",
        Stage::Tcp => "the server did not take the connection",
        Stage::Proxy => "the proxy did not open a tunnel",
        Stage::Tls => "the server did not finish the TLS handshake",
        Stage::Http | Stage::Open => "the server did not answer the opening handshake",
    }
}
