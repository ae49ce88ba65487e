//! The run: a warm-up, the crowd, and then what is left of it.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};

use crate::{
    clients::{PATIENCE, Places, Run},
    control::{Answer, Drained, Order, Sample},
    process::Process,
    report,
    server::Sabotage,
    verdict,
};

#[derive(Debug)]
pub(crate) struct Settings {
    /// From the first connection to the last word.
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) patience: Duration,
    /// What is in the name of every way to echo, and of every fault.
    pub(crate) way: String,
    pub(crate) fault: String,
    pub(crate) out: PathBuf,
    pub(crate) sabotage: Option<Sabotage>,
}

/// What a round has shown.
pub(crate) struct Round {
    pub(crate) run: Arc<Run>,
    pub(crate) load: Load,
    /// Those that stayed until the drain, after all others had gone.
    pub(crate) stayed: usize,
    /// How many connections the server had then.
    pub(crate) left: usize,
    /// The server's processor time while nobody did anything.
    pub(crate) idle: Duration,
    pub(crate) drained: Drained,
    /// Without a runtime, with one that has served nobody, after the drain, and without a runtime again.
    pub(crate) before: Sample,
    pub(crate) open: Sample,
    pub(crate) after: Sample,
    pub(crate) end: Sample,
}

/// What the server has held while the crowd was there.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) time: Duration,
    /// One for each time that it was asked.
    pub(crate) samples: Vec<Sample>,
    pub(crate) cpu: Duration,
}

/// Threads that the clients run on.
const THREADS: usize = 2;

/// How often the server is asked how it stands.
const SAMPLE: Duration = Duration::from_millis(250);

/// How long the server may take to notice that all clients have gone but those that stay.
const NOTICE: Duration = Duration::from_secs(15);

/// How long nobody does anything, which shows a task that is busy with nothing.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// Of the time of a run: what the warm-up takes, at most, and what is left for the end.
const WARM_UP: f64 = 0.1;
const END: f64 = 0.1;

/// Runs it all, prints what has come out, and gives whether it is as it must be.
pub(crate) fn run(settings: &Settings) -> Result<bool> {
    let start = Instant::now();
    println!(
        "soak: --seed {} --connections {}, {} s, server with {} threads",
        settings.seed,
        settings.connections,
        settings.time.as_secs(),
        settings.threads
    );
    let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?;
    let mut server = Process::start(settings.threads, settings.sabotage)?;
    let share = |of: f64, most: u64| settings.time.mul_f64(of).min(Duration::from_secs(most));

    // What the process makes once and keeps is there after this, so that it is no leak.
    let warm_up = round(settings, &runtime, &mut server, settings.connections / 10, share(WARM_UP, 4))?;
    let end = share(END, 6);
    let time = settings.time.saturating_sub(start.elapsed() + end);
    let round = round(settings, &runtime, &mut server, settings.connections, time)?;
    drop(server);

    let problems = verdict::problems(settings, &warm_up, &round);
    report::print(settings, &round, &problems);
    report::write(settings, &round, &problems).context("cannot write the results")?;
    Ok(problems.is_empty())
}

/// Lets a crowd come and go, and shuts the server down.
fn round(
    settings: &Settings,
    runtime: &Runtime,
    server: &mut Process,
    connections: usize,
    time: Duration,
) -> Result<Round> {
    let before = server.order(Order::Sample)?.sample;
    let Answer { addresses, sample: open, .. } = server.order(Order::Open)?;
    let places = Places::of(connections);
    let start = Instant::now();
    let run = Arc::new(Run::new(settings, addresses, (start + time).into(), places));
    let mut tasks = runtime.block_on(async { run.start(places) });
    let round = (|| -> Result<Round> {
        let load = hold(settings, server, &run, &mut tasks, start + time)?;
        let stayed = run.staying();
        let left = notice(server, stayed)?;
        let idle = server.order(Order::Sample)?.sample;
        sleep(IDLE);
        let idle = cpu(&idle, &server.order(Order::Sample)?.sample);
        let answer = server.order(Order::Drain)?;
        let drained = answer.drained.context("the server does not tell how it has drained")?;
        let stay = async { while tasks.join_next().await.is_some() {} };
        runtime
            .block_on(async { timeout(settings.patience * PATIENCE + NOTICE, stay).await })
            .context("the clients that stayed do not come to their end")?;
        let end = server.order(Order::Close)?.sample;
        Ok(Round { run: run.clone(), load, stayed, left, idle, drained, before, open, after: answer.sample, end })
    })();
    // There will be no report, so this is the place to tell all that is known.
    round.with_context(|| {
        let told = run.counts.told().join("\n");
        format!("the run was given up\n{told}\nwho waits for what, the longest first:\n{}", run.board.text())
    })
}

/// Watches the crowd until all have ended but those that stay. Nobody waits longer than its patience, for what comes last.
fn hold(settings: &Settings, server: &mut Process, run: &Run, tasks: &mut JoinSet<()>, until: Instant) -> Result<Load> {
    let start = Instant::now();
    let first = server.order(Order::Sample)?.sample;
    let mut load = Load::default();
    loop {
        while let Some(ended) = tasks.try_join_next() {
            ended.context("a client of the soak has panicked")?;
        }
        let now = Instant::now();
        if now > until + settings.patience * PATIENCE + NOTICE {
            bail!("the clients do not come to their end");
        }
        if now < until {
            sleep(SAMPLE.min(until - now));
            let sample = server.order(Order::Sample)?.sample;
            (load.time, load.cpu) = (start.elapsed(), cpu(&first, &sample));
            load.samples.push(sample);
        } else if tasks.len() == run.staying() {
            return Ok(load);
        } else {
            sleep(Duration::from_millis(10));
        }
    }
}

/// Waits until the server has noticed that all have gone but those that stay; what a client has left behind is its to notice.
/// Returns how many connections it has then.
fn notice(server: &mut Process, stayed: usize) -> Result<usize> {
    let start = Instant::now();
    loop {
        let left = server.order(Order::Sample)?.sample.connections;
        if left <= stayed || start.elapsed() > NOTICE {
            return Ok(left);
        }
        sleep(Duration::from_millis(20));
    }
}

fn cpu(from: &Sample, to: &Sample) -> Duration {
    Duration::from_millis(to.cpu.saturating_sub(from.cpu))
}
