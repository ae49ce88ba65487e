//! What server operators see of a connection: metrics, and the fields of its span.

pub(crate) mod ended;
pub(crate) mod metrics;
pub(crate) mod span;
pub(crate) mod stats;
