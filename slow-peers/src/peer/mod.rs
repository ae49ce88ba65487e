//! A process of peers: real clients on real sockets, which the server's process can neither speed up nor delay.

mod connect;
mod incoming;
mod leaves;
mod reads;
mod talk;
mod uploads;

use std::{
    io::{Write as _, stdin, stdout},
    process::exit,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};
use rustix::process::{Signal, set_parent_process_death_signal};
use slow_peers::pace::Pace;
use tokio::{
    runtime::Builder,
    sync::watch,
    task::LocalSet,
    time::{Instant, timeout},
};
use tokio_rustls::TlsConnector;

use crate::{
    cases::{Case, Play},
    control::{Addresses, Brief, Order, Told, What},
};

/// How long a peer may take to get its WebSocket.
const OPEN: Duration = Duration::from_secs(15);

/// Plays the peers that its standard input describes, until the input ends.
pub(crate) fn run() -> Result<()> {
    // A stopped process could not notice that its parent has ended.
    set_parent_process_death_signal(Some(Signal::KILL)).context("cannot be tied to the program that has started it")?;
    tell(&Told::Ready);
    let mut brief = String::new();
    stdin().read_line(&mut brief).context("it is not told whom to play")?;
    let brief: Brief = serde_json::from_str(&brief).context("no such peers")?;
    let (speak, spoken) = watch::channel(false);
    thread::spawn(move || {
        for line in stdin().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(Order::Speak) => drop(speak.send(true)),
                Err(error) => eprintln!("no such order: {error}"),
            }
        }
        exit(0);
    });

    let tls = connect::tls(brief.certificate)?;
    let end = Instant::now() + brief.run;
    let peers = LocalSet::new();
    for case in brief.cases {
        let (tls, spoken) = (tls.clone(), spoken.clone());
        peers.spawn_local(async move {
            let what = match play(&case, brief.addresses, &tls, spoken, end).await {
                Ok(what) => what,
                Err(error) => What::Failed(format!("{error:#}")),
            };
            tell(&Told::Peer { case: case.id, what });
            // Its stream has ended. The other peers go on, and so does the process, which may still be stopped.
        });
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        peers.await;
        std::future::pending::<()>().await;
    });
    Ok(())
}

async fn play(
    case: &Case,
    addresses: Addresses,
    tls: &TlsConnector,
    spoken: watch::Receiver<bool>,
    end: Instant,
) -> Result<What> {
    let opening = timeout(OPEN, connect::open(case, addresses, tls)).await;
    let (stream, rcvbuf) = opening.context("it has no WebSocket after 15 s")??;
    tell(&Told::Peer { case: case.id, what: What::Connected { rcvbuf } });
    match case.play {
        Play::Reads(pace) => reads::run(stream, case, pace, end).await,
        Play::Uploads(pace) => uploads::run(stream, case, pace, end).await,
        Play::UploadsToBusy => uploads::run(stream, case, Pace::Full, end).await,
        Play::Stopped(_) | Play::CutOff(_) => leaves::listen(stream, spoken).await,
        Play::Silent => leaves::fall_silent(stream, false).await,
        Play::SilentInMessage => leaves::fall_silent(stream, true).await,
    }
}

fn tell(told: &Told) {
    let line = serde_json::to_string(told).unwrap_or_default();
    let mut out = stdout().lock();
    // There is no receiver if the program has ended.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
