//! sockeye-proto
