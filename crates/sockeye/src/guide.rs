//! The guide. Every listing on these pages is compiled with the tests.

#[doc = include_str!("../guide/quick-start.md")]
pub mod quick_start {}

#[doc = include_str!("../guide/choosing-crates.md")]
pub mod choosing_crates {}

#[doc = include_str!("../guide/state-and-extractors.md")]
pub mod state_and_extractors {}

#[doc = include_str!("../guide/keep-alive-and-timeouts.md")]
pub mod keep_alive_and_timeouts {}

#[doc = include_str!("../guide/slow-clients.md")]
pub mod slow_clients {}

#[doc = include_str!("../guide/http-2.md")]
pub mod http_2 {}

#[cfg(feature = "deflate")]
#[doc = include_str!("../guide/compression.md")]
pub mod compression {}

#[doc = include_str!("../guide/shutting-down.md")]
pub mod shutting_down {}

#[doc = include_str!("../guide/security.md")]
pub mod security {}

#[cfg(feature = "test")]
#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/metrics-and-tracing.md")]
pub mod metrics_and_tracing {}

#[doc = include_str!("../guide/many-cores.md")]
pub mod many_cores {}

#[doc = include_str!("../guide/coming-from-axum.md")]
pub mod coming_from_axum {}

#[doc = include_str!("../guide/libraries-over-axum.md")]
pub mod libraries_over_axum {}

#[doc = include_str!("../guide/axum-api.md")]
pub mod axum_api {}
