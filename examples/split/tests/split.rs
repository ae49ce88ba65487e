//! The example does what its README says.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use sockeye::Shutdown;
use tokio::net::TcpListener;
use tokio_tungstenite::{connect_async, tungstenite::Message};

#[tokio::test]
async fn the_server_sends_ticks_and_answers_until_it_is_closed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = example_split::app(Duration::from_millis(1), &Shutdown::new());
    tokio::spawn(axum::serve(listener, app).into_future());
    let (mut client, _) = connect_async(format!("ws://{addr}/ws")).await.unwrap();

    client.send(Message::text("hi")).await.unwrap();
    let (mut ticks, mut answered) = (0, false);
    while ticks < 3 || !answered {
        let message = client.next().await.unwrap().unwrap();
        if message == Message::text("you said hi") {
            answered = true;
        } else {
            assert_eq!(message, Message::text(format!("tick {ticks}")));
            ticks += 1;
        }
    }

    client.close(None).await.unwrap();
    while let Some(message) = client.next().await {
        let message = message.unwrap();
        assert!(message.is_text() || message.is_close());
    }
}
