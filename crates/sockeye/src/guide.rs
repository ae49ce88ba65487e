//! The pages are in the order in which a project needs them. Every listing is compiled with the tests.
//!
//! ## Begin
//!
//! * [Quick start](quick_start): a server that receives, sends, closes and shuts down, and a test of its handler.
//! * [Coming from axum::extract::ws](coming_from_axum): one line of `Cargo.toml`, what proxies must do, what differs, and why.
//! * [Testing](testing): a client in memory for the tests of handlers and applications, slow and vanishing clients, paused time.
//! * [Choosing crates](choosing_crates): which crate you need with axum, with hyper, with another stream, or without tokio.
//!
//! ## Write the application
//!
//! * [State and extractors](state_and_extractors): the application's state, settings for all handlers.
//! * [Rooms and broadcast](rooms): a message to many connections, to a user with several devices, and what slow members miss.
//! * [History and reconnecting](history): clients that come back get what they have missed, or hear of a gap.
//! * [Presence](presence): who is in a room, who comes and goes, with tabs, reloads, and "away".
//! * [Rooms over the wire](rooms_over_the_wire): a protocol for pages, each of its frames, and the JavaScript file that speaks it.
//! * [Typed messages](typed_messages): values of your own types as JSON, what a bad message costs, new and old clients.
//! * [Authentication](authentication): by a cookie, the first message, a subprotocol or a ticket; what happens when it expires.
//! * [Recipes](recipes): a token before the upgrade, access by room, a dashboard that pushes ten times a second.
//! * [Large messages](large_messages): limits, memory, and how to send and receive more than fits into memory.
//! * [Slow clients](slow_clients): what waits, what is dropped, and how much memory the queues may take.
//! * [Keep-alive and timeouts](keep_alive_and_timeouts): Pings, idle connections, and every deadline with its default.
//! * [Compression](compression): when permessage-deflate is worth its cost, and how to set it.
//!
//! ## Connect to servers
//!
//! * [Connecting to a server](connecting): `connect("wss://…")`, what a request says, whom an error blames, and the limits.
//! * [Reconnecting](reconnecting): one connection after another, when to try again, and what is lost in between.
//! * [TLS and proxies](tls_and_proxies): which certificates a client trusts, and through which proxy it goes.
//!
//! ## Go to production
//!
//! * [Security](security): other sites' pages, limits, TLS, and what is left to you; all settings of a server in one listing.
//! * [TLS](tls): in a proxy in front, or in your process with `tokio-rustls`.
//! * [Deploying](deploying): nginx, HAProxy, Caddy, load balancers and Kubernetes, with configurations that are tested.
//! * [A reverse proxy](reverse_proxy): messages and ends that are handed on, back-pressure, and what belongs into the handshake.
//! * [Shutting down](shutting_down): every client gets a 1001, spread over a window, until a deadline.
//! * [Metrics and tracing](metrics_and_tracing): a span for each connection, what is logged, and what is counted.
//! * [More than one server](more_than_one_server): a broker beside the servers, what is promised under which fault, what it costs.
//! * [When the broker is away](when_the_broker_is_away): what waits, what fails, and what is left to you.
//! * [Over HTTP/2](http_2): what WebSockets on one connection share, and what to set in hyper.
//! * [Many cores](many_cores): one runtime with many threads, or one for each core.
//!
//! ## Look up
//!
//! * [Libraries over axum](libraries_over_axum): how libraries that depend on axum itself use Sockeye too.
//! * [The API beside axum's](axum_api): what `sockeye-axum-exact` has that axum has not, item by item.
//! * [Questions and answers](faq): what 1006 means, why a 403, who closed, why nothing is sent, what survives a deploy.

// A page is also read without some of the features. So a link to what a feature hides has no target in the page. Its target is
// here, before the page: the item, or else the list of features.

#[doc(alias("tutorial"))]
#[doc = include_str!("../guide/quick-start.md")]
pub mod quick_start {}

#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[doc = include_str!("../guide/coming-from-axum.md")]
pub mod coming_from_axum {}

#[cfg_attr(feature = "test", doc = "[`Client::to`]: sockeye_test::Client::to")]
#[cfg_attr(not(feature = "test"), doc = "[`Client::to`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`Client`]: sockeye_test::Client")]
#[cfg_attr(not(feature = "test"), doc = "[`Client`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`Refused`]: sockeye_test::Refused")]
#[cfg_attr(not(feature = "test"), doc = "[`Refused`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`assert_ping`]: sockeye_test::Client::assert_ping")]
#[cfg_attr(not(feature = "test"), doc = "[`assert_ping`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`assert_pong`]: sockeye_test::Client::assert_pong")]
#[cfg_attr(not(feature = "test"), doc = "[`assert_pong`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`connect_to`]: sockeye_test::connect_to")]
#[cfg_attr(not(feature = "test"), doc = "[`connect_to`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`connect_with`]: sockeye_test::connect_with")]
#[cfg_attr(not(feature = "test"), doc = "[`connect_with`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`extension`]: sockeye_test::ClientBuilder::extension")]
#[cfg_attr(not(feature = "test"), doc = "[`extension`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`read_rate`]: sockeye_test::Client::read_rate")]
#[cfg_attr(not(feature = "test"), doc = "[`read_rate`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`set_timeout`]: sockeye_test::Client::set_timeout")]
#[cfg_attr(not(feature = "test"), doc = "[`set_timeout`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`silence`]: sockeye_test::Client::silence")]
#[cfg_attr(not(feature = "test"), doc = "[`silence`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`stop_reading`]: sockeye_test::Client::stop_reading")]
#[cfg_attr(not(feature = "test"), doc = "[`stop_reading`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`test`]: sockeye_test")]
#[cfg_attr(not(feature = "test"), doc = "[`test`]: crate#features")]
#[cfg_attr(feature = "test", doc = "[`vanish`]: sockeye_test::Client::vanish")]
#[cfg_attr(not(feature = "test"), doc = "[`vanish`]: crate#features")]
#[doc(alias = "mock")]
#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/choosing-crates.md")]
pub mod choosing_crates {}

#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[doc = include_str!("../guide/state-and-extractors.md")]
pub mod state_and_extractors {}

#[cfg_attr(feature = "state", doc = "[`Builder::broker`]: crate::state::Builder::broker")]
#[cfg_attr(not(feature = "state"), doc = "[`Builder::broker`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Builder::overflow`]: crate::state::Builder::overflow")]
#[cfg_attr(not(feature = "state"), doc = "[`Builder::overflow`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Event::Gap`]: crate::state::Event::Gap")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::Gap`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Joined`]: crate::state::Joined")]
#[cfg_attr(not(feature = "state"), doc = "[`Joined`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Member`]: crate::state::Member")]
#[cfg_attr(not(feature = "state"), doc = "[`Member`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`MemberId`]: crate::state::MemberId")]
#[cfg_attr(not(feature = "state"), doc = "[`MemberId`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Room`]: crate::state::Room")]
#[cfg_attr(not(feature = "state"), doc = "[`Room`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`by_key`]: crate::state::Hub::by_key")]
#[cfg_attr(not(feature = "state"), doc = "[`by_key`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`join`]: crate::state::Member::join")]
#[cfg_attr(not(feature = "state"), doc = "[`join`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`members_of`]: crate::state::Hub::members_of")]
#[cfg_attr(not(feature = "state"), doc = "[`members_of`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`register`]: crate::state::Hub::register")]
#[cfg_attr(not(feature = "state"), doc = "[`register`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`send`]: crate::state::Room::send")]
#[cfg_attr(not(feature = "state"), doc = "[`send`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`volatile`]: crate::state::Room::volatile")]
#[cfg_attr(not(feature = "state"), doc = "[`volatile`]: crate#features")]
#[cfg_attr(not(feature = "state"), doc(alias("broadcast")))]
#[doc(alias("pubsub", "topics"))]
#[doc = include_str!("../guide/rooms.md")]
pub mod rooms {}

#[cfg_attr(feature = "state", doc = "[`since`]: crate::state::Join::since")]
#[cfg_attr(not(feature = "state"), doc = "[`since`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Position`]: crate::state::Position")]
#[cfg_attr(not(feature = "state"), doc = "[`Position`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`caught_up`]: crate::state::Joined::caught_up")]
#[cfg_attr(not(feature = "state"), doc = "[`caught_up`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`position`]: crate::state::Joined::position")]
#[cfg_attr(not(feature = "state"), doc = "[`position`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Event::Gap`]: crate::state::Event::Gap")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::Gap`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Limits::history_bytes`]: crate::state::Limits::history_bytes")]
#[cfg_attr(not(feature = "state"), doc = "[`Limits::history_bytes`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`send`]: crate::state::Room::send")]
#[cfg_attr(not(feature = "state"), doc = "[`send`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`append`]: crate::state::Room::append")]
#[cfg_attr(not(feature = "state"), doc = "[`append`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Stamp`]: crate::state::Stamp")]
#[cfg_attr(not(feature = "state"), doc = "[`Stamp`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`volatile`]: crate::state::Room::volatile")]
#[cfg_attr(not(feature = "state"), doc = "[`volatile`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Local`]: crate::state::Local")]
#[cfg_attr(not(feature = "state"), doc = "[`Local`]: crate#features")]
#[doc(alias("resume", "recovery", "replay"))]
#[doc = include_str!("../guide/history.md")]
pub mod history {}

#[cfg_attr(feature = "state", doc = "[`Event::NodeLeft`]: crate::state::Event::NodeLeft")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::NodeLeft`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Hub::presence`]: crate::state::Hub::presence")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub::presence`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Presence`]: crate::state::Presence")]
#[cfg_attr(not(feature = "state"), doc = "[`Presence`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`PresenceChange::Reset`]: crate::state::PresenceChange::Reset")]
#[cfg_attr(not(feature = "state"), doc = "[`PresenceChange::Reset`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Rooms::linger`]: crate::state::Rooms::linger")]
#[cfg_attr(not(feature = "state"), doc = "[`Rooms::linger`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Rooms::presence`]: crate::state::Rooms::presence")]
#[cfg_attr(not(feature = "state"), doc = "[`Rooms::presence`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`count`]: crate::state::Presence::count")]
#[cfg_attr(not(feature = "state"), doc = "[`count`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`next`]: crate::state::Presence::next")]
#[cfg_attr(not(feature = "state"), doc = "[`next`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`update_presence`]: crate::state::Member::update_presence")]
#[cfg_attr(not(feature = "state"), doc = "[`update_presence`]: crate#features")]
#[doc(alias("online", "who is online"))]
#[doc = include_str!("../guide/presence.md")]
pub mod presence {}

#[cfg_attr(feature = "protocol", doc = "[`Authenticate`]: crate::state::protocol::Authenticate")]
#[cfg_attr(not(feature = "protocol"), doc = "[`Authenticate`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`Options`]: crate::state::protocol::Options")]
#[cfg_attr(not(feature = "protocol"), doc = "[`Options`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`Policy`]: crate::state::protocol::Policy")]
#[cfg_attr(not(feature = "protocol"), doc = "[`Policy`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`Stats::protocol_errors`]: crate::state::Stats::protocol_errors")]
#[cfg_attr(not(feature = "protocol"), doc = "[`Stats::protocol_errors`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`TYPES`]: crate::state::protocol::TYPES")]
#[cfg_attr(not(feature = "protocol"), doc = "[`TYPES`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`Verdict::AllowUntil`]: crate::state::protocol::Verdict::AllowUntil")]
#[cfg_attr(not(feature = "protocol"), doc = "[`Verdict::AllowUntil`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`authorize`]: crate::state::protocol::Policy::authorize")]
#[cfg_attr(not(feature = "protocol"), doc = "[`authorize`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`compose`]: crate::state::protocol::Policy::compose")]
#[cfg_attr(not(feature = "protocol"), doc = "[`compose`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`key`]: crate::state::protocol::Policy::key")]
#[cfg_attr(not(feature = "protocol"), doc = "[`key`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`protocol`]: crate::state::Builder::protocol")]
#[cfg_attr(not(feature = "protocol"), doc = "[`protocol`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`send`]: crate::state::Room::send")]
#[cfg_attr(not(feature = "state"), doc = "[`send`]: crate#features")]
#[cfg_attr(all(feature = "json", feature = "state"), doc = "[`send_json`]: crate::state::Room::send_json")]
#[cfg_attr(not(all(feature = "json", feature = "state")), doc = "[`send_json`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`serve`]: crate::state::protocol::serve")]
#[cfg_attr(not(feature = "protocol"), doc = "[`serve`]: crate#features")]
#[cfg_attr(feature = "protocol", doc = "[`serve_with_auth`]: crate::state::protocol::serve_with_auth")]
#[cfg_attr(not(feature = "protocol"), doc = "[`serve_with_auth`]: crate#features")]
#[doc(alias = "javascript")]
#[doc = include_str!("../guide/rooms-over-the-wire.md")]
pub mod rooms_over_the_wire {}

#[cfg_attr(feature = "json", doc = "[`json::decode`]: crate::json::decode")]
#[cfg_attr(not(feature = "json"), doc = "[`json::decode`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`json::encode`]: crate::json::encode")]
#[cfg_attr(not(feature = "json"), doc = "[`json::encode`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`json::prepare`]: crate::json::prepare")]
#[cfg_attr(not(feature = "json"), doc = "[`json::prepare`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`JsonError`]: crate::JsonError")]
#[cfg_attr(not(feature = "json"), doc = "[`JsonError`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`path`]: crate::JsonError::path")]
#[cfg_attr(not(feature = "json"), doc = "[`path`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`position`]: crate::JsonError::position")]
#[cfg_attr(not(feature = "json"), doc = "[`position`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`push_json`]: crate::Sender::push_json")]
#[cfg_attr(not(feature = "json"), doc = "[`push_json`]: crate#features")]
#[cfg_attr(feature = "json", doc = "[`send_json`]: crate::WebSocket::send_json")]
#[cfg_attr(not(feature = "json"), doc = "[`send_json`]: crate#features")]
#[doc(alias("deserialize", "serde"))]
#[doc = include_str!("../guide/typed-messages.md")]
pub mod typed_messages {}

#[doc(alias("cookie", "login", "token"))]
#[doc = include_str!("../guide/authentication.md")]
pub mod authentication {}

#[doc(alias("bearer", "dashboard", "permission"))]
#[doc = include_str!("../guide/recipes.md")]
pub mod recipes {}

#[doc(alias("chunks", "streaming", "upload"))]
#[doc = include_str!("../guide/large-messages.md")]
pub mod large_messages {}

#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[doc(alias = "backpressure")]
#[doc = include_str!("../guide/slow-clients.md")]
pub mod slow_clients {}

#[doc = include_str!("../guide/keep-alive-and-timeouts.md")]
pub mod keep_alive_and_timeouts {}

#[cfg_attr(feature = "deflate", doc = "[`level`]: crate::Compression::level")]
#[cfg_attr(not(feature = "deflate"), doc = "[`level`]: crate#features")]
#[cfg_attr(feature = "deflate", doc = "[`max_ratio`]: crate::Compression::max_ratio")]
#[cfg_attr(not(feature = "deflate"), doc = "[`max_ratio`]: crate#features")]
#[cfg_attr(feature = "deflate", doc = "[`memory`]: crate::Compression::memory")]
#[cfg_attr(not(feature = "deflate"), doc = "[`memory`]: crate#features")]
#[cfg_attr(feature = "deflate", doc = "[`threshold`]: crate::Compression::threshold")]
#[cfg_attr(not(feature = "deflate"), doc = "[`threshold`]: crate#features")]
#[doc(alias = "permessage-deflate")]
#[doc = include_str!("../guide/compression.md")]
pub mod compression {}

#[cfg_attr(feature = "client", doc = "[`Client`]: sockeye_client::Client")]
#[cfg_attr(not(feature = "client"), doc = "[`Client`]: crate#features")]
#[cfg_attr(feature = "client", doc = "[`ClientRequest`]: sockeye_client::ClientRequest")]
#[cfg_attr(not(feature = "client"), doc = "[`ClientRequest`]: crate#features")]
#[cfg_attr(feature = "client", doc = "[`ConnectError`]: sockeye_client::ConnectError")]
#[cfg_attr(not(feature = "client"), doc = "[`ConnectError`]: crate#features")]
#[doc(alias("client", "connect"))]
#[doc = include_str!("../guide/connecting.md")]
pub mod connecting {}

#[cfg_attr(feature = "client", doc = "[`Client::reconnect`]: sockeye_client::Client::reconnect")]
#[cfg_attr(not(feature = "client"), doc = "[`Client::reconnect`]: crate#features")]
#[cfg_attr(feature = "client", doc = "[`Builder::shutdown`]: sockeye_client::Builder::shutdown")]
#[cfg_attr(not(feature = "client"), doc = "[`Builder::shutdown`]: crate#features")]
#[doc(alias("reconnect", "backoff", "retry"))]
#[doc = include_str!("../guide/reconnecting.md")]
pub mod reconnecting {}

#[cfg_attr(feature = "client", doc = "[`Client`]: sockeye_client::Client")]
#[cfg_attr(not(feature = "client"), doc = "[`Client`]: crate#features")]
#[doc(alias("proxy", "certificate"))]
#[doc = include_str!("../guide/tls-and-proxies.md")]
pub mod tls_and_proxies {}

#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[doc(alias = "rate limit")]
#[doc = include_str!("../guide/security.md")]
pub mod security {}

#[doc(alias = "wss")]
#[doc = include_str!("../guide/tls.md")]
pub mod tls {}

#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[doc(alias("caddy", "haproxy", "kubernetes", "nginx", "reverse proxy"))]
#[doc = include_str!("../guide/deploying.md")]
pub mod deploying {}

#[doc(alias("gateway", "proxy"))]
#[doc = include_str!("../guide/reverse-proxy.md")]
pub mod reverse_proxy {}

#[doc = include_str!("../guide/shutting-down.md")]
pub mod shutting_down {}

#[doc(alias("logging", "prometheus"))]
#[doc = include_str!("../guide/metrics-and-tracing.md")]
pub mod metrics_and_tracing {}

#[cfg_attr(feature = "state", doc = "[`Event::Gap`]: crate::state::Event::Gap")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::Gap`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Event::PublishFailed`]: crate::state::Event::PublishFailed")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::PublishFailed`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Local`]: crate::state::Local")]
#[cfg_attr(not(feature = "state"), doc = "[`Local`]: crate#features")]
#[cfg_attr(feature = "redis", doc = "[`Redis`]: sockeye_redis::Redis")]
#[cfg_attr(not(feature = "redis"), doc = "[`Redis`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`members_of`]: crate::state::Hub::members_of")]
#[cfg_attr(not(feature = "state"), doc = "[`members_of`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`namespace`]: crate::state::Builder::namespace")]
#[cfg_attr(not(feature = "state"), doc = "[`namespace`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`volatile`]: crate::state::Room::volatile")]
#[cfg_attr(not(feature = "state"), doc = "[`volatile`]: crate#features")]
#[doc(alias("redis", "valkey", "cluster", "scale out"))]
#[doc = include_str!("../guide/more-than-one-server.md")]
pub mod more_than_one_server {}

#[cfg_attr(feature = "state", doc = "[`Event::AppendFailed`]: crate::state::Event::AppendFailed")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::AppendFailed`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Event::BrokerBack`]: crate::state::Event::BrokerBack")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::BrokerBack`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Event::BrokerLost`]: crate::state::Event::BrokerLost")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::BrokerLost`]: crate#features")]
#[cfg_attr(feature = "state", doc = "[`Event::PublishFailed`]: crate::state::Event::PublishFailed")]
#[cfg_attr(not(feature = "state"), doc = "[`Event::PublishFailed`]: crate#features")]
#[cfg_attr(feature = "redis", doc = "[`Redis::connect`]: sockeye_redis::Redis::connect")]
#[cfg_attr(not(feature = "redis"), doc = "[`Redis::connect`]: crate#features")]
#[cfg_attr(feature = "redis", doc = "[`connect_timeout`]: sockeye_redis::Builder::connect_timeout")]
#[cfg_attr(not(feature = "redis"), doc = "[`connect_timeout`]: crate#features")]
#[cfg_attr(feature = "redis", doc = "[`max_backoff`]: sockeye_redis::Builder::max_backoff")]
#[cfg_attr(not(feature = "redis"), doc = "[`max_backoff`]: crate#features")]
#[cfg_attr(feature = "redis", doc = "[`request_timeout`]: sockeye_redis::Builder::request_timeout")]
#[cfg_attr(not(feature = "redis"), doc = "[`request_timeout`]: crate#features")]
#[doc = include_str!("../guide/when-the-broker-is-away.md")]
pub mod when_the_broker_is_away {}

#[doc = include_str!("../guide/http-2.md")]
pub mod http_2 {}

#[doc = include_str!("../guide/many-cores.md")]
pub mod many_cores {}

#[doc = include_str!("../guide/libraries-over-axum.md")]
pub mod libraries_over_axum {}

#[doc = include_str!("../guide/axum-api.md")]
pub mod axum_api {}

#[cfg_attr(feature = "state", doc = "[`Hub`]: crate::state::Hub")]
#[cfg_attr(not(feature = "state"), doc = "[`Hub`]: crate#features")]
#[doc(alias = "reconnect")]
#[doc = include_str!("../guide/faq.md")]
pub mod faq {}
