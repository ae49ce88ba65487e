//! A broker for the hubs of several servers, on Redis or Valkey: messages between the nodes of an application, and histories.
//!
//! ```no_run
//! use sockeye_redis::Redis;
//! use sockeye_state::Broker;
//!
//! # async fn run() -> Result<(), sockeye_state::BrokerError> {
//! let broker = Redis::connect("redis://redis.example").await?;
//! assert!(!broker.health().is_well(), "until the hub has started the broker");
//! # Ok(())
//! # }
//! ```
//!
//! # What it needs
//!
//! Redis 6 or later, or Valkey; tested with Redis 7.0 and Valkey 9. A single server, a master with replicas behind a name that follows
//! the master, or a cluster, which is recognized by itself. No modules, and no keyspace notifications.
//!
//! # What is in Redis
//!
//! For each room with a history, with its names in a hash tag, so that all keys of a room are in one slot of a cluster:
//!
//! | key or channel | what it is | expires |
//! |---|---|---|
//! | `{shop:room:chat:42}:top` | a hash: the epoch of the history, and the offset of the last message | with the history |
//! | `{shop:room:chat:42}:log` | a stream: the messages, by offset | with the history |
//! | `{shop:room:chat:42}:stamp:…` | a string: the position of the message with this stamp | after 5 minutes |
//! | `{shop:room:chat:42}:live:0` | a channel; the number is that of the database, since channels have none | |
//! | `sockeye:probe:…` | a channel, by which a node checks its own subscription | |
//!
//! `shop` is the namespace of the hub. In the names, `%`, `{`, `}` and control characters are percent-encoded, and in a namespace `:`
//! as well. Each key expires, so nothing is left of a room that nobody uses.
//!
//! # What it promises
//!
//! * A message to a room *without* a history arrives at most once. A node that may have missed some says so to its hub.
//! * A message to a room *with* a history has one place in it, on all nodes, and a retry within five minutes finds the first place.
//!   One script does all of this at once, so that no crash leaves a part. What a server that crashes forgets is another matter: with
//!   `appendfsync always` that is nothing; with `everysec`, which is the default of an append-only file, up to a second; and without
//!   persistence everything, and then each history begins a new epoch, and nobody is silently left with a hole.
//! * Replication is asynchronous: a replica that is promoted may lack messages that were acknowledged. The next message from a node
//!   that knows of one of them begins a new epoch.
//! * `maxmemory` with an eviction policy may take histories. That is seen as well, as a gap.
//! * A subscription that is dead in the broker, while TCP is alive, is found in at most 10 s: after 5 s of silence the node sends itself
//!   a message, and after 3 s without it the connection is made anew.
//!
//! Redis cuts off a subscriber that reads too slowly (`client-output-buffer-limit pubsub`). The node comes back, and its hub reads what
//! it missed.
//!
//! # On a cluster
//!
//! * The URL should be a name that leads to nodes that are up: the node that was connected to carries all that this node publishes, and
//!   its subscription.
//! * While a slot moves, appends to its rooms wait for the end of the move, for [`request_timeout`](Builder::request_timeout) at most. After
//!   the move the connection is made anew, and for these milliseconds a message to a room without a history fails.
//! * A message from just before a subscription may arrive just after: the nodes of a cluster hand messages on without waiting.
//!
//! # TLS and credentials
//!
//! The URL says both: `rediss://chat:secret@redis.example:6380`, with percent-encoding for characters such as `@`, `:` and `/`. This
//! process trusts the authorities that the platform trusts. The environment variable `SSL_CERT_FILE`, with the name of a PEM file,
//! takes their place: set it for an authority of your own. The name in the URL must be a name of the certificate; the check cannot
//! be turned off. Certificates of clients are not possible: set `tls-auth-clients no`.
//!
//! # Metrics
//!
//! With the feature `metrics`, a broker reports to the `metrics` facade. Install the recorder before the first connection.
//!
//! | name | kind | labels | what |
//! |---|---|---|---|
//! | `sockeye_redis_connections` | gauge | `connection` | connections that work at this moment |
//! | `sockeye_redis_connected_total` | counter | `connection` | connections that were opened; more than one for each broker and label are reconnects |
//! | `sockeye_redis_requests_in_flight` | gauge | `request` | requests that are not answered yet |
//! | `sockeye_redis_request_seconds` | histogram | `request` | seconds from a request to its answer, with all tries |
//! | `sockeye_redis_requests_failed_total` | counter | `request`, `reason` | requests that have failed, with all tries |
//! | `sockeye_redis_lost_total` | counter | | times when the node may have missed messages, so that its hub reads histories again, or says a gap |
//!
//! `connection` is `commands` or `subscription`. `request` is `publish`, `append`, `read`, `tops` or `subscribe`. `reason` is
//! `unavailable`, `uncertain` or `refused`, as in [`BrokerError`](sockeye_state::BrokerError). Watch `connections`: less than one of each
//! for each broker means that a connection is broken. Labels do not name rooms, which clients may choose.
//!
//! # Permissions
//!
//! With ACLs a user needs the keys `{NAMESPACE:*`, the channels `{NAMESPACE:*` and `sockeye:probe:*`, and the commands
//! `+@connection +@pubsub +evalsha +eval +script|load +hmget +hset +hincrby +del +xadd +xrange +xrevrange +pexpire +get +set +info`,
//! on a cluster `+cluster|slots` too.
#![forbid(unsafe_code)]

mod backoff;
mod broker;
mod builder;
mod channel;
mod commands;
mod connection;
mod failure;
mod health;
mod history;
mod keys;
mod metrics;
mod probe;
mod server;
mod subscriber;
mod tls;

pub use self::{broker::Redis, builder::Builder};
