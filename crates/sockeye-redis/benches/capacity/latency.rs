//! How long a message takes to another node, and from a hub to the sockets of another hub, in round trips between a node and the
//! server.

use std::time::{Duration, Instant};

use sockeye_redis::Redis;
use sockeye_state::{Arrival, Broker, Hub, Rooms, Stamp, Topic};
use sockeye_testkit::Proxy;
use tokio::time::sleep;

use crate::support::{
    client::connect,
    node::{Node, append},
    server::Server,
};

const MESSAGES: u64 = 500;

pub(crate) async fn run(server: &Server) {
    let delay = Duration::from_millis(5);
    println!("{MESSAGES} messages one by one, each node behind a proxy that delays {delay:?} each way");
    let (near, far) = (Proxy::start(server.address()).await, Proxy::start(server.address()).await);
    near.set_delay(delay);
    far.set_delay(delay);
    let sender = Node::start(&format!("redis://{}", near.address())).await;
    let mut receiver = Node::start(&format!("redis://{}", far.address())).await;
    let topic = Topic::room("bench", "latency");
    receiver.subscribe(&topic).await;

    let mut round_trips = Vec::new();
    for _ in 0..MESSAGES {
        let start = Instant::now();
        sender.broker.tops(vec![topic.clone()]).await.expect("an answer");
        round_trips.push(start.elapsed());
    }
    let round_trip = median(round_trips);
    println!("{:30} {round_trip:>8.2?}", "a round trip, at the median");
    for is_kept in [false, true] {
        let mut times = Vec::new();
        for number in 0..MESSAGES {
            let start = Instant::now();
            let sending = async {
                match is_kept {
                    false => sender.broker.publish(topic.clone(), "line".into()).await.expect("published"),
                    true => {
                        let append = append(&topic, "line", Stamp::of_node(sender.id, number));
                        sender.broker.append(append).await.expect("appended");
                    }
                }
            };
            let receiving = async {
                let arrival = receiver.next_within(Duration::from_secs(10)).await.expect("the message arrives");
                assert!(!matches!(arrival, Arrival::Lost(_)), "{arrival:?}");
                times.push(start.elapsed());
            };
            tokio::join!(sending, receiving);
        }
        let what = if is_kept { "an appended message" } else { "a published message" };
        row(what, median(times), round_trip);
    }

    let (sender, receiver) = (hub(&near).await, hub(&far).await);
    let (client, connection) = connect().await;
    let mut client = client.within(Duration::from_secs(10));
    let member = receiver.register(connection, ());
    for room in ["live:1", "kept:1"] {
        member.join(room).await.expect("the name is valid");
        // A join does not wait until the node is subscribed to a room without a history.
        sleep(Duration::from_secs(1)).await;
        let mut times = Vec::new();
        for number in 0..MESSAGES {
            let (start, text) = (Instant::now(), number.to_string());
            sender.room(room).send(text.clone());
            client.expect_text(&text).await;
            times.push(start.elapsed());
        }
        let what = if room == "kept:1" { "to sockets, with a history" } else { "to sockets, without a history" };
        row(what, median(times), round_trip);
    }
}

async fn hub(proxy: &Proxy) -> Hub<()> {
    let broker = Redis::connect(format!("redis://{}", proxy.address())).await.expect("the server is up");
    let kept = Rooms::new().history(1000, Duration::from_secs(60));
    Hub::builder().namespace("bench").broker(broker).rooms("kept:", kept).build().await.expect("the broker starts")
}

fn row(what: &str, time: Duration, round_trip: Duration) {
    println!("{what:30} {time:>8.2?} {:>6.2} round trips", time.as_secs_f64() / round_trip.as_secs_f64());
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
