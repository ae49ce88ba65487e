//! chat

fn main() {}
