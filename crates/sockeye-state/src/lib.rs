//! sockeye-state
