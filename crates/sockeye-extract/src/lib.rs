//! sockeye-extract
