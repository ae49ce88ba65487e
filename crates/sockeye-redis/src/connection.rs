//! A connection for commands.

use bytes::Bytes;
use futures_util::future::try_join_all;
use redis::{Cmd, Pipeline, Value, aio::MultiplexedConnection, cluster_async::ClusterConnection, cmd};

use crate::failure::{Failure, FailureKind};

/// How many commands go to the server in one go.
const BATCH: usize = 512;

/// One connection for commands: to one server, and, if that is a node of a cluster, to the others as well.
pub(crate) struct Connection {
    /// The first is 1; a later one has a greater number.
    pub(crate) number: u64,
    /// To the server that the URL names. What is published always goes this way, so that its order is kept: on a cluster, each
    /// node hands it to all.
    direct: MultiplexedConnection,
    /// For what has keys.
    cluster: Option<ClusterConnection>,
    scripts: Scripts,
    server: String,
}

/// The hashes of the scripts, by which the server knows them.
pub(crate) struct Scripts {
    pub(crate) append: String,
    pub(crate) read: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Script {
    Append,
    Read,
}

/// A request that may be sent more than once.
pub(crate) enum Request {
    Script { script: Script, keys: Vec<String>, arguments: Vec<Bytes> },
    Commands(Vec<Cmd>),
}

impl Script {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Append => include_str!("append.lua"),
            Self::Read => include_str!("read.lua"),
        }
    }
}

impl Connection {
    pub(crate) fn new(
        number: u64,
        direct: MultiplexedConnection,
        cluster: Option<ClusterConnection>,
        scripts: Scripts,
        server: String,
    ) -> Self {
        Self { number, direct, cluster, scripts, server }
    }

    /// Hands a payload to all nodes that are subscribed to the channel. The request is under way once the future was polled.
    pub(crate) async fn publish(&self, channel: &str, payload: &[u8]) -> Result<(), Failure> {
        let mut publish = cmd("PUBLISH");
        // The count in the answer is not that of all receivers on a cluster.
        publish.arg(channel).arg(payload);
        publish.query_async(&mut self.direct.clone()).await.map_err(|error| Failure::of(error, &self.server))
    }

    /// Whether the server that the URL names still answers.
    pub(crate) async fn ping(&self) -> Result<(), Failure> {
        cmd("PING").query_async(&mut self.direct.clone()).await.map_err(|error| Failure::of(error, &self.server))
    }

    /// Sends a request, and returns the answer to each of its commands.
    pub(crate) async fn send(&self, request: &Request) -> Result<Vec<Value>, Failure> {
        match request {
            Request::Script { script, keys, arguments } => {
                let hash = match script {
                    Script::Append => &self.scripts.append,
                    Script::Read => &self.scripts.read,
                };
                let answer = match self.one(&evaluate("EVALSHA", hash, keys, arguments)).await {
                    Err(failure) if failure.kind == FailureKind::NoScript => {
                        self.one(&evaluate("EVAL", script.text(), keys, arguments)).await
                    }
                    other => other,
                };
                Ok(vec![answer?])
            }
            Request::Commands(commands) => self.many(commands).await,
        }
    }

    async fn one(&self, command: &Cmd) -> Result<Value, Failure> {
        let answer = match &self.cluster {
            Some(cluster) => command.query_async(&mut cluster.clone()).await,
            None => command.query_async(&mut self.direct.clone()).await,
        };
        answer.map_err(|error| self.failure(error))
    }

    async fn many(&self, commands: &[Cmd]) -> Result<Vec<Value>, Failure> {
        let mut answers = Vec::with_capacity(commands.len());
        for batch in commands.chunks(BATCH) {
            if self.cluster.is_some() {
                // The keys are in different slots, so each command finds its own way.
                answers.extend(try_join_all(batch.iter().map(|command| self.one(command))).await?);
                continue;
            }
            let mut pipeline = Pipeline::with_capacity(batch.len());
            for command in batch {
                pipeline.add_command(command.clone());
            }
            let batch: Vec<Value> =
                pipeline.query_async(&mut self.direct.clone()).await.map_err(|error| self.failure(error))?;
            answers.extend(batch);
        }
        Ok(answers)
    }

    fn failure(&self, error: redis::RedisError) -> Failure {
        Failure::of(error, &self.server)
    }
}

fn evaluate(how: &str, script: &str, keys: &[String], arguments: &[Bytes]) -> Cmd {
    let mut command = cmd(how);
    command.arg(script).arg(keys.len()).arg(keys);
    for argument in arguments {
        command.arg(&argument[..]);
    }
    command
}
