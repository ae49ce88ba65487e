//! How long it takes until all visitors of a chat are back, each with every line that it missed, if they come at the same time:
//! `cargo bench -p example-chat`.
//!
//! The server is the program `example-chat`. The visitors are in this process, so that each of the two has a limit of open files of
//! its own. Each visitor is in one of 100 rooms. All vanish, 20 lines are said in each room, and all come back at once.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use sockeye::{
    Message, WebSocket,
    client::{Client, ClientRequest, Proxy},
};
use tokio::{sync::Barrier, task::JoinSet, time::timeout};

const VISITORS: usize = 10_000;
const ROOMS: usize = 100;
const LINES: usize = 20;

/// Files that each process has open besides the connections of the visitors.
const OTHERS: u64 = 300;

/// How long each part may take.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> Result<()> {
    let visitors = visitors()?;
    let (_server, url) = Server::start()?;
    let client = Client::builder().proxy(Proxy::none()).within(PATIENCE).connecting(visitors).build();

    let mut speakers = Vec::new();
    for number in 0..ROOMS {
        let mut speaker = Visitor::enter(&client, &url, format!("speaker {number}")).await?;
        speaker.join(number, None).await?;
        speaker.say(number, "the first line").await?;
        speakers.push(speaker);
    }
    let began = Instant::now();
    let positions = timeout(PATIENCE, first_visit(&client, &url, visitors)).await.context("not all could enter")??;
    println!("{visitors} visitors have entered {ROOMS} rooms, in {:.1} s", began.elapsed().as_secs_f64());

    for (number, speaker) in speakers.iter_mut().enumerate() {
        for line in 0..LINES {
            speaker.say(number, &line.to_string()).await?;
        }
    }
    let (mut open, mut whole) =
        timeout(PATIENCE, second_visit(&client, &url, positions)).await.context("not all came back")??;
    println!("all come back at once, and each gets {LINES} missed lines; seconds: median, 99th percentile, maximum");
    println!("  until the connection is open     {}", summary(&mut open));
    println!("  until the last missed line       {}", summary(&mut whole));
    Ok(())
}

/// How many visitors the limit of open files allows, at most [`VISITORS`].
fn visitors() -> Result<usize> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("the limit of open files")?;
    let most = maximum.map_or(VISITORS, |most| most.saturating_sub(OTHERS) as usize);
    ensure!(most >= ROOMS, "the limit of open files allows {most} visitors, which are not enough: see `ulimit -Hn`");
    if most < VISITORS {
        println!("the limit of open files allows {most} visitors, and not {VISITORS}: see `ulimit -Hn`");
    }
    Ok(most.min(VISITORS))
}

/// All enter their rooms, and vanish. Returns where each of them was.
async fn first_visit(client: &Client, url: &Arc<str>, visitors: usize) -> Result<Vec<(usize, Value)>> {
    let mut entering = JoinSet::new();
    for number in 0..visitors {
        let (client, url) = (client.clone(), url.clone());
        entering.spawn(async move {
            let mut visitor = Visitor::enter(&client, &url, format!("v{number}")).await?;
            let at = visitor.join(number % ROOMS, None).await?["at"].clone();
            anyhow::Ok((number, at, visitor))
        });
    }
    let mut positions = Vec::new();
    let mut inside = Vec::new();
    while let Some(entered) = entering.join_next().await {
        let (number, at, visitor) = entered??;
        positions.push((number, at));
        inside.push(visitor);
    }
    for visitor in inside {
        visitor.0.abort();
    }
    Ok(positions)
}

/// All come back at the same time. Returns, in seconds, how long each of them took until the connection was open, and until it had
/// every line.
async fn second_visit(client: &Client, url: &Arc<str>, positions: Vec<(usize, Value)>) -> Result<(Vec<f64>, Vec<f64>)> {
    let all = Arc::new(Barrier::new(positions.len()));
    let mut coming = JoinSet::new();
    for (number, at) in positions {
        let (client, url, all) = (client.clone(), url.clone(), all.clone());
        coming.spawn(async move {
            all.wait().await;
            let start = Instant::now();
            let mut visitor = Visitor::enter(&client, &url, format!("v{number}")).await?;
            let open = start.elapsed();
            let came_in = visitor.join(number % ROOMS, Some(at)).await?;
            ensure!(came_in["caught"] == "whole", "visitor {number} has a gap: {came_in}");
            for line in 0..LINES {
                let message = visitor.hear("m").await?;
                let text = message["d"]["text"].as_str().and_then(|text| text.parse().ok());
                ensure!(text == Some(line), "visitor {number} expected line {line}, and got {message}");
            }
            anyhow::Ok((open.as_secs_f64(), start.elapsed().as_secs_f64(), visitor))
        });
    }
    let mut times = (Vec::new(), Vec::new());
    let mut inside = Vec::new();
    while let Some(came) = coming.join_next().await {
        let (open, whole, visitor) = came??;
        times.0.push(open);
        times.1.push(whole);
        inside.push(visitor);
    }
    Ok(times)
}

fn summary(seconds: &mut [f64]) -> String {
    seconds.sort_unstable_by(f64::total_cmp);
    let at = |part: f64| seconds[((seconds.len() - 1) as f64 * part).round() as usize];
    format!("{:>6.2} {:>6.2} {:>6.2}", at(0.5), at(0.99), at(1.0))
}

/// A connection that speaks `sockeye.rooms.v1`.
struct Visitor(WebSocket);

impl Visitor {
    async fn enter(client: &Client, url: &str, name: String) -> Result<Self> {
        // With the same `visit`, the chat lets somebody in again whose last connection it still has.
        let cookie = format!("name={}; visit={}", name.replace(' ', "%20"), name.replace(' ', "-"));
        let request = ClientRequest::new(url).header("Cookie", &cookie).protocols(["sockeye.rooms.v1"]);
        Ok(Self(client.connect(request).await?))
    }

    async fn tell(&mut self, frame: Value) -> Result<()> {
        Ok(self.0.send(Message::text(frame.to_string())).await?)
    }

    /// The next frame of this type.
    async fn hear(&mut self, kind: &str) -> Result<Value> {
        loop {
            match self.0.recv().await.context("the connection has ended")?? {
                Message::Text(text) => {
                    let frame: Value = serde_json::from_str(&text)?;
                    match frame["t"].as_str() {
                        Some(found) if found == kind => return Ok(frame),
                        Some("no" | "err" | "out" | "gap") => bail!("expected `{kind}`, and got {frame}"),
                        _ => {}
                    }
                }
                Message::Close(frame) => bail!("expected `{kind}`, and got a Close: {frame:?}"),
                _ => {}
            }
        }
    }

    async fn join(&mut self, room: usize, since: Option<Value>) -> Result<Value> {
        self.tell(json!({ "t": "join", "rooms": { format!("chat:{room}"): since } })).await?;
        self.hear("in").await
    }

    async fn say(&mut self, room: usize, text: &str) -> Result<()> {
        let id = format!("AAAAAAAAAAAAAAAAAAAAAA-{text}").replace(' ', "_");
        self.tell(json!({ "t": "say", "room": format!("chat:{room}"), "id": id, "d": { "text": text } })).await?;
        self.hear("ok").await.map(drop)
    }
}

/// The chat as a process, which ends with this value.
struct Server(Child);

impl Server {
    fn start() -> Result<(Self, Arc<str>)> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_example-chat"));
        command.args(["--addr", "127.0.0.1:0"]).env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut child = command.spawn().context("the chat does not start")?;
        let output = child.stdout.take();
        let server = Self(child);
        let mut line = String::new();
        BufReader::new(output.context("the chat has no output")?).read_line(&mut line)?;
        let address = line.trim().strip_prefix("listening on http://").context("the chat did not say where it is")?;
        Ok((server, format!("ws://{address}/ws").into()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // An error means that the chat has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
