//! How nodes tell each other who is there, over a broker.
//!
//! * `wire`: what they say, to the byte
//! * `machine`: what a node says when, as a state machine
//! * `peers`: the other nodes, and what is missing here of what they say
//! * `assembly`: the pieces of a part that have come so far
//! * `answer`: a part, piece by piece, for a node that has asked
#![cfg_attr(not(test), allow(dead_code, reason = "no task runs the exchange yet"))]

mod answer;
mod assembly;
mod machine;
mod peers;
mod wire;
