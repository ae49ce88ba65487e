//! split

fn main() {}
