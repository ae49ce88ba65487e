//! sockeye-handshake
