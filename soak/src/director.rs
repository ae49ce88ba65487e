//! The run: a warm-up, the crowd, and the check for leaks. A server with an intentional defect may need several crowds.

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
    control::{Answer, Budgeted, Drained, Order, Roomed, Sample},
    nginx::Nginx,
    process::Process,
    report,
    server::Sabotage,
    verdict,
};

#[derive(Debug)]
pub(crate) struct Settings {
    /// From the first connection to the last message, unless the last clients of the warm-up take long to end.
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) connections: usize,
    pub(crate) threads: usize,
    pub(crate) patience: Duration,
    /// The filters of the names of ways to echo and of faults.
    pub(crate) way: String,
    pub(crate) fault: String,
    /// The filter of the names of players.
    pub(crate) player: String,
    /// The program, if there is one.
    pub(crate) nginx: Option<PathBuf>,
    pub(crate) out: PathBuf,
    pub(crate) sabotage: Option<Sabotage>,
}

/// The results of a round.
pub(crate) struct Round {
    pub(crate) run: Arc<Run>,
    pub(crate) load: Load,
    /// The clients that stayed until the drain, after all others had left.
    pub(crate) stayed: usize,
    /// How many connections the server had at that time.
    pub(crate) left: usize,
    /// The server's processor time while all clients were idle.
    pub(crate) idle: Duration,
    pub(crate) drained: Drained,
    pub(crate) budget: Budgeted,
    pub(crate) rooms: Roomed,
    /// How many sockets the server listens on.
    pub(crate) listeners: usize,
    /// Without a runtime, with one that has served nobody, after the drain, and without a runtime again.
    pub(crate) before: Sample,
    pub(crate) open: Sample,
    pub(crate) after: Sample,
    pub(crate) end: Sample,
}

impl Round {
    /// How often an intentional defect has happened.
    fn defects(&self, sabotage: Sabotage) -> usize {
        match sabotage {
            Sabotage::Budget => self.budget.passed as usize,
            _ => self.after.defects - self.open.defects,
        }
    }
}

/// The server's load during the crowd.
#[derive(Debug, Default)]
pub(crate) struct Load {
    pub(crate) time: Duration,
    /// A value for each time that it was asked.
    pub(crate) samples: Vec<Sample>,
    pub(crate) cpu: Duration,
}

/// Threads that the clients run on.
const THREADS: usize = 2;

/// How often the server is asked for its state.
const SAMPLE: Duration = Duration::from_millis(250);

/// How long the server may take to notice that all clients except those that stay have left.
const NOTICE: Duration = Duration::from_secs(15);

/// How long all clients are idle, which shows a task that is busy without work.
pub(crate) const IDLE: Duration = Duration::from_secs(1);

/// How often an intentional defect must happen in a round, since one leak of memory is too small to be found; and how long to
/// try.
const DEFECTS: usize = 4;
const AT_MOST: Duration = Duration::from_secs(120);

/// Shares of a run's time: the most for the warm-up, and what is left for the end.
const WARM_UP: f64 = 0.1;
const END: f64 = 0.1;

/// Runs everything, prints the results, and returns whether the run has passed.
pub(crate) fn run(settings: &Settings) -> Result<bool> {
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

    // After this the process has made all that it makes once and keeps, so that it does not count as a leak.
    let warm_up_time = share(WARM_UP, 4);
    let warm_up = round(settings, &runtime, &mut server, settings.connections / 10, warm_up_time)?;
    // The report covers what follows.
    for told in warm_up.run.counts.told() {
        println!("\nin the warm-up, {told}");
    }
    // A longer warm-up does not shorten the load: otherwise one client that is slow to end would leave no time for it.
    let time = settings.time.saturating_sub(warm_up_time + share(END, 6));
    let start = Instant::now();
    let crowd = loop {
        let crowd = round(settings, &runtime, &mut server, settings.connections, time)?;
        // What has not happened cannot be found: a server on a busy machine may have echoed too little.
        if settings.sabotage.is_none_or(|sabotage| crowd.defects(sabotage) >= DEFECTS) || start.elapsed() > AT_MOST {
            break crowd;
        }
    };
    drop(server);

    let problems = verdict::problems(settings, &warm_up, &crowd);
    report::print(settings, &crowd, &problems);
    report::write(settings, &crowd, &problems).context("cannot write the results")?;
    Ok(problems.is_empty())
}

/// Runs a crowd of clients, and shuts the server down.
fn round(
    settings: &Settings,
    runtime: &Runtime,
    server: &mut Process,
    connections: usize,
    time: Duration,
) -> Result<Round> {
    let before = server.order(Order::Sample)?.sample;
    let Answer { addresses, sample: open, .. } = server.order(Order::Open)?;
    let addresses = addresses.context("the server does not tell where it listens")?;
    let listeners = addresses.count();
    let nginx = settings.nginx.as_ref().map(|program| Nginx::start(program, &settings.out, &addresses.plain));
    let nginx = nginx.transpose()?;
    let places = Places::of(connections);
    let start = Instant::now();
    let (run, mut tasks) = runtime.block_on(async {
        let nginx = nginx.as_ref().map(|nginx| nginx.address);
        let run = Arc::new(Run::new(settings, addresses, nginx, (start + time).into(), &places).await?);
        let tasks = run.start(&places);
        anyhow::Ok((run, tasks))
    })?;
    let round = (|| -> Result<Round> {
        let load = hold(settings, server, &run, &mut tasks, start + time)?;
        let stayed = run.staying();
        let left = notice(server, stayed)?;
        let idle = server.order(Order::Sample)?.sample;
        sleep(IDLE);
        let idle = cpu(&idle, &server.order(Order::Sample)?.sample);
        run.drains();
        let answer = server.order(Order::Drain)?;
        let drained = answer.drained.context("the server does not tell how it has drained")?;
        let budget = answer.budget.context("the server does not tell of its budget")?;
        let rooms = answer.rooms.context("the server does not tell of its rooms")?;
        let stay = async { while tasks.join_next().await.is_some() {} };
        runtime
            .block_on(async { timeout(settings.patience * PATIENCE + NOTICE, stay).await })
            .context("the clients that stayed do not come to their end")?;
        let end = server.order(Order::Close)?.sample;
        let after = answer.sample;
        Ok(Round {
            run: run.clone(),
            load,
            stayed,
            left,
            idle,
            drained,
            budget,
            rooms,
            listeners,
            before,
            open,
            after,
            end,
        })
    })();
    // There will be no report, so all that is known is printed here.
    round.with_context(|| {
        let told = run.counts.told().join("\n");
        format!("the run was given up\n{told}\nwho waits for what, the longest first:\n{}", run.board.text())
    })
}

/// Watches the crowd until all clients except those that stay have ended. No client waits longer than its patience.
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

/// Waits until the server has noticed that all clients except those that stay have left. Returns its number of connections
/// then.
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
