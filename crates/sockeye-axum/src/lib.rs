//! sockeye-axum
