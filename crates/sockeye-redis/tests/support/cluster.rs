//! A cluster of three masters.

use std::time::Duration;

use redis::{FromRedisValue, cmd};
use tokio::time::{Instant, sleep};

use super::server::{Disk, Kind, Server, free_port};

/// How many slots a cluster has.
const SLOTS: u16 = 16_384;

/// Until the nodes know each other.
const START: Duration = Duration::from_secs(30);

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Server>,
}

impl Cluster {
    /// A cluster on free ports, if the program is there.
    pub(crate) async fn start(kind: Kind) -> Option<Self> {
        let (mut nodes, mut buses) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let bus = free_port().to_string();
            let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-port", &bus];
            nodes.push(Server::start_with(kind, Disk::Nothing, &arguments).await?);
            buses.push(bus);
        }
        let cluster = Self { nodes };
        for node in 0..3 {
            let [first, last] = [SLOTS / 3 * node, if node == 2 { SLOTS - 1 } else { SLOTS / 3 * (node + 1) - 1 }];
            cluster.ask::<()>(node.into(), &format!("CLUSTER ADDSLOTSRANGE {first} {last}")).await;
            cluster.ask::<()>(node.into(), &format!("CLUSTER SET-CONFIG-EPOCH {}", node + 1)).await;
        }
        for (server, bus) in cluster.nodes.iter().zip(buses).skip(1) {
            let port = server.address().port();
            cluster.ask::<()>(0, &format!("CLUSTER MEET 127.0.0.1 {port} {bus}")).await;
        }
        let deadline = Instant::now() + START;
        for node in 0..3 {
            loop {
                let info: String = cluster.ask(node, "CLUSTER INFO").await;
                let nodes: String = cluster.ask(node, "CLUSTER NODES").await;
                let is_ready = info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3");
                if is_ready
                    && nodes.lines().filter(|line| line.contains("connected") && line.contains('-')).count() == 3
                {
                    break;
                }
                assert!(Instant::now() < deadline, "the cluster does not form: {info}{nodes}");
                sleep(Duration::from_millis(50)).await;
            }
        }
        Some(cluster)
    }

    /// Moves a slot with all its keys to another node.
    pub(crate) async fn move_slot(&self, slot: u16, from: usize, to: usize) {
        let mut ids = Vec::new();
        for node in 0..3 {
            ids.push(self.ask::<String>(node, "CLUSTER MYID").await);
        }
        self.ask::<()>(to, &format!("CLUSTER SETSLOT {slot} IMPORTING {}", ids[from])).await;
        self.ask::<()>(from, &format!("CLUSTER SETSLOT {slot} MIGRATING {}", ids[to])).await;
        loop {
            let keys: Vec<String> = self.ask(from, &format!("CLUSTER GETKEYSINSLOT {slot} 50")).await;
            if keys.is_empty() {
                break;
            }
            let mut migrate = cmd("MIGRATE");
            let port = self.nodes[to].address().port();
            migrate.arg("127.0.0.1").arg(port).arg("").arg(0).arg(5000).arg("KEYS").arg(keys);
            self.send::<()>(from, &migrate).await;
        }
        for node in [to, from, 3 - to - from] {
            self.ask::<()>(node, &format!("CLUSTER SETSLOT {slot} NODE {}", ids[to])).await;
        }
    }

    async fn ask<T: FromRedisValue>(&self, node: usize, command: &str) -> T {
        let mut words = command.split(' ');
        let mut request = cmd(words.next().expect("a command"));
        request.arg(words.collect::<Vec<_>>());
        self.send(node, &request).await
    }

    async fn send<T: FromRedisValue>(&self, node: usize, request: &redis::Cmd) -> T {
        let client = redis::Client::open(self.nodes[node].url()).expect("a URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("the node is up");
        request.query_async(&mut connection).await.expect("the node does it")
    }
}

/// The slot of a key with a hash tag: CRC-16 (XMODEM) of the tag.
pub(crate) fn slot(tag: &str) -> u16 {
    let crc = tag.bytes().fold(0_u16, |crc, byte| {
        (0..8).fold(
            crc ^ (u16::from(byte) << 8),
            |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
            },
        )
    });
    crc % SLOTS
}
