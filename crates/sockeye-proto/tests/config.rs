//! The limits that a `Config` gives to a decoder.

mod common;

use common::decode;
use sockeye_proto::{Config, Error, Limit, Message, Role};
use sockeye_testkit::Frame;

const MIB: usize = 1 << 20;

#[test]
fn the_frame_limit_follows_a_raised_message_limit_unless_it_is_set() {
    assert_eq!(Config::new().get_max_frame_size(), 16 * MIB);
    for max in [17 * MIB, 64 * MIB, 65 * MIB] {
        assert_eq!(Config::new().max_message_size(max).get_max_frame_size(), max);
    }
    // A lower limit of messages is enough.
    assert_eq!(Config::new().max_message_size(MIB).get_max_frame_size(), 16 * MIB);
    // The last value counts.
    assert_eq!(Config::new().max_message_size(65 * MIB).max_message_size(MIB).get_max_frame_size(), 16 * MIB);
}

#[test]
fn a_frame_limit_that_is_set_stays_in_either_order() {
    let set = 2 * MIB;
    assert_eq!(Config::new().max_frame_size(set).max_message_size(100 * MIB).get_max_frame_size(), set);
    assert_eq!(Config::new().max_message_size(100 * MIB).max_frame_size(set).get_max_frame_size(), set);
}

#[test]
fn a_message_of_one_frame_is_received_up_to_a_raised_limit() {
    let limit = 70 * MIB;
    let config = Config::new().max_message_size(limit);
    let outcome = decode(Role::Client, &config, &Frame::binary(vec![7; limit]).server_bytes());
    assert_eq!((outcome.error, outcome.messages), (None, vec![Message::Binary(vec![7; limit])]));

    let too_long = Frame::binary(vec![]).declared_len(limit as u64 + 1).server_bytes();
    let error = Error::Limit { what: Limit::FrameSize, max: limit, got: limit as u64 + 1 };
    assert_eq!(decode(Role::Client, &config, &too_long).error, Some(error));
}
