//! hyper

fn main() {}
