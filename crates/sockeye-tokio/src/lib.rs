//! sockeye-tokio
