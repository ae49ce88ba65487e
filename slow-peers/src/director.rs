//! The run: all cases begin, some are stopped or cut off, and then the connections are watched.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, mpsc::Receiver},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use tokio::runtime::{Builder, Runtime};

use crate::{
    cases::{Case, Play, matrix},
    control::{Addresses, Brief, Order, What},
    namespace::{self, Line},
    process::{News, Process, news},
    report,
    server::{Board, Sabotage, Server},
    verdict::{Outcome, Told, Verdict, bound_of, judge},
};

#[derive(Debug)]
pub(crate) struct Settings {
    /// What is in the name of every case.
    pub(crate) part: String,
    /// How long the peers that must be kept are slow.
    pub(crate) run: Duration,
    pub(crate) sabotage: Option<Sabotage>,
    /// Why no peer can be cut off.
    pub(crate) no_namespace: Option<String>,
}

/// Threads of the server.
const THREADS: usize = 2;

/// How long all peers may take to get their WebSockets, and the server to receive a last message.
const BEGIN: Duration = Duration::from_secs(20);

/// How long it may take after the run to read and write all that is in flight, and to close.
const END: Duration = Duration::from_secs(30);

/// A peer goes on a little longer than the server, so that no peer hurries while the server still sends as fast as it can.
const BEHIND: Duration = Duration::from_millis(500);

/// How long the server may take to report why a connection has ended, after its peer has reported the end.
const REASON: Duration = Duration::from_secs(1);

/// How long the server may take to release all connections: `close`, and the second of its clock.
const GONE: Duration = Duration::from_secs(12);

const LOOK: Duration = Duration::from_millis(50);

/// A run and its state.
struct Run {
    board: Arc<Board>,
    server: Server,
    runtime: Runtime,
    began: Instant,
    run: Duration,
    processes: Vec<Process>,
    /// The reports of the peers.
    news: Receiver<(usize, What)>,
    told: HashMap<usize, Told>,
    rcvbufs: HashMap<usize, u32>,
    outcomes: HashMap<usize, Outcome>,
}

/// Runs everything, prints the results, and returns whether all cases have passed.
pub(crate) fn run(settings: &Settings) -> Result<bool> {
    let cases = matrix(&settings.part);
    ensure!(!cases.is_empty(), "no case has `{}` in its name", settings.part);
    println!("slow-peers: {} cases, {} s", cases.len(), settings.run.as_secs());
    let (news_in, news) = news();
    let began = Instant::now();
    let board = Board::new(cases, began + settings.run);
    let mut run = Run {
        server: Server::new(board.clone(), settings.sabotage)?,
        board,
        runtime: Builder::new_multi_thread().worker_threads(THREADS).enable_all().build()?,
        began,
        run: settings.run,
        processes: Vec::new(),
        news,
        told: HashMap::new(),
        rcvbufs: HashMap::new(),
        outcomes: HashMap::new(),
    };
    let addresses = run.listen(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
    let stopped = run.start(&news_in, addresses)?;
    let line = match &settings.no_namespace {
        None => run.start_far(&news_in)?,
        Some(why) => {
            run.skip(why);
            None
        }
    };
    run.wait_for_all()?;
    run.stop(&stopped)?;
    if let Some(line) = line {
        run.cut(&line)?;
    }
    run.watch()?;
    run.give_up();
    let left = run.left();
    let Run { board, processes, rcvbufs, outcomes, .. } = run;
    // Ended before their processor time is counted.
    drop(processes);
    report::print(&board, &rcvbufs, &outcomes, left, began.elapsed())
}

impl Run {
    fn listen(&self, ip: IpAddr) -> Result<Addresses> {
        self.runtime.block_on(self.server.listen(ip))
    }

    fn cases(&self, which: impl Fn(Play) -> bool) -> Vec<Case> {
        self.board.cases.iter().filter(|case| which(case.play)).copied().collect()
    }

    fn brief(&self, cases: Vec<Case>, addresses: Addresses) -> Brief {
        let run = self.run.saturating_sub(self.began.elapsed()) + BEHIND;
        Brief { cases, addresses, certificate: self.server.certificate.clone(), run }
    }

    /// Starts all peers except those that will be cut off. Returns those that will be stopped, each with its index among the
    /// processes.
    fn start(&mut self, news: &News, addresses: Addresses) -> Result<Vec<(usize, Case)>> {
        let is_alone = |play| matches!(play, Play::Stopped(_));
        let crowd = self.cases(|play| !is_alone(play) && !matches!(play, Play::CutOff(_)));
        if !crowd.is_empty() {
            self.start_process(news, false, crowd, addresses)?;
        }
        let mut stopped = Vec::new();
        for case in self.cases(is_alone) {
            stopped.push((self.processes.len(), case));
            self.start_process(news, false, vec![case], addresses)?;
        }
        Ok(stopped)
    }

    /// Starts the peers that will be cut off, if there are any, and returns the line to them.
    fn start_far(&mut self, news: &News) -> Result<Option<Line>> {
        let cases = self.cases(|play| matches!(play, Play::CutOff(_)));
        if cases.is_empty() {
            return Ok(None);
        }
        let mut process = Process::start(true, news)?;
        let line = Line::to(process.id()).context("there is no line to another network namespace")?;
        let addresses = self.listen(namespace::NEAR)?;
        process.brief(&self.brief(cases, addresses))?;
        self.processes.push(process);
        Ok(Some(line))
    }

    fn start_process(&mut self, news: &News, apart: bool, cases: Vec<Case>, addresses: Addresses) -> Result<()> {
        let mut process = Process::start(apart, news)?;
        process.brief(&self.brief(cases, addresses))?;
        self.processes.push(process);
        Ok(())
    }

    fn skip(&mut self, why: &str) {
        for case in self.cases(|play| matches!(play, Play::CutOff(_))) {
            let outcome = Outcome { verdict: Verdict::Skipped, what: why.to_owned(), after: None };
            self.outcomes.insert(case.id, outcome);
        }
    }

    /// Waits until each peer has its WebSocket, or has reported why not.
    fn wait_for_all(&mut self) -> Result<()> {
        let is_there = |run: &Self, case: &Case| {
            run.rcvbufs.contains_key(&case.id) || run.told.contains_key(&case.id) || run.outcomes.contains_key(&case.id)
        };
        while !self.board.cases.iter().all(|case| is_there(self, case)) {
            ensure!(self.began.elapsed() < BEGIN, "not all peers have begun in {} s", BEGIN.as_secs());
            self.look()?;
        }
        Ok(())
    }

    /// Stops these processes, each right after its last message.
    fn stop(&mut self, stopped: &[(usize, Case)]) -> Result<()> {
        for (process, case) in stopped {
            self.processes[*process].order(Order::Speak)?;
            self.hear(&[*case])?;
            self.processes[*process].stop()?;
        }
        Ok(())
    }

    /// Cuts the line to the last process that was started, right after the last messages of its peers.
    fn cut(&mut self, line: &Line) -> Result<()> {
        let cases = self.cases(|play| matches!(play, Play::CutOff(_)));
        self.processes.last_mut().context("there are no such peers")?.order(Order::Speak)?;
        self.hear(&cases)?;
        line.cut()
    }

    /// Waits until the server has received the last message of each peer.
    fn hear(&self, cases: &[Case]) -> Result<()> {
        let begin = Instant::now();
        let is_heard = |case: &Case| self.board.record(case.id).heard.is_some() || self.told.contains_key(&case.id);
        while !cases.iter().all(is_heard) {
            ensure!(begin.elapsed() < BEGIN, "the server does not hear {}", cases[0]);
            sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Watches until each case has ended, or for the longest time that one may take.
    fn watch(&mut self) -> Result<()> {
        loop {
            let open = self.board.cases.iter().filter(|case| !self.outcomes.contains_key(&case.id));
            // Peers that must be disconnected have only the time of the run.
            let wait = open.map(|case| if case.play.must_live() { self.run + END } else { self.run }).max();
            if wait.is_none_or(|wait| self.began.elapsed() > wait) {
                return Ok(());
            }
            self.look()?;
        }
    }

    /// Waits a little, and records what has happened.
    fn look(&mut self) -> Result<()> {
        sleep(LOOK);
        while let Ok((case, what)) = self.news.try_recv() {
            match what {
                What::Connected { rcvbuf } => drop(self.rcvbufs.insert(case, rcvbuf)),
                What::Done { .. } | What::Failed(_) => drop(self.told.insert(case, (Instant::now(), what))),
            }
        }
        self.processes.iter_mut().try_for_each(Process::still_runs)?;
        for case in &self.board.cases {
            if self.outcomes.contains_key(&case.id) {
                continue;
            }
            let told = self.told.get(&case.id);
            let told = told.filter(|(at, what)| !matches!(what, What::Failed(_)) || at.elapsed() > REASON);
            let record = self.board.record(case.id).clone();
            if let Some(outcome) = judge(case, &record, told) {
                if outcome.verdict == Verdict::Failed {
                    eprintln!("{:>6.1} s  {case}: {}", self.began.elapsed().as_secs_f64(), outcome.what);
                }
                self.outcomes.insert(case.id, outcome);
            }
        }
        Ok(())
    }

    /// A case that has not ended by now never will.
    fn give_up(&mut self) {
        for case in &self.board.cases {
            let record = self.board.record(case.id).clone();
            self.outcomes.entry(case.id).or_insert_with(|| {
                let since = if case.play.must_live() { record.begun } else { record.heard };
                let bound = bound_of(case, &record);
                let what = match bound {
                    None => "it does not come to its end",
                    Some(_) => "it is still there",
                };
                Outcome { verdict: Verdict::Failed, what: what.to_owned(), after: since.map(|since| since.elapsed()) }
            });
        }
    }

    /// How many connections the server has at the end, except those whose case reports this already.
    fn left(&self) -> usize {
        let stays = |case: &&Case| self.outcomes.contains_key(&case.id) && self.board.record(case.id).end.is_none();
        let known = self.board.cases.iter().filter(stays).count();
        let begin = Instant::now();
        loop {
            let left = self.server.connections().saturating_sub(known);
            if left == 0 || begin.elapsed() > GONE {
                return left;
            }
            sleep(LOOK);
        }
    }
}
