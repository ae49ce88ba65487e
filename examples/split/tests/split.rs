//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use sockeye::{Shutdown, close_code, test::Client};

#[tokio::test(start_paused = true)]
async fn the_server_sends_ticks_and_answers_until_it_is_closed() {
    let app = example_split::app(Duration::from_secs(1), &Shutdown::new());
    let mut client = Client::to(app).path("/ws").connect().await.unwrap();
    client.assert_text("tick 0").await;
    client.assert_text("tick 1").await;
    client.send_text("hi").await;
    client.assert_text("you said hi").await;
    client.assert_text("tick 2").await;

    client.close(close_code::NORMAL, "").await;
    client.assert_close(close_code::NORMAL).await;
}
