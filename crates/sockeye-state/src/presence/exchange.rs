//! How nodes tell each other who is there, over a broker.
#![cfg_attr(not(test), allow(dead_code, reason = "no task runs the exchange yet"))]

mod wire;
