//! The example does what its README says.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

use axum::Router;
use sockeye_test::{Client, close_code};

async fn enter(app: &Router, name: &str) -> Client {
    let mut visitor = Client::to(app.clone()).path("/ws").connect().await.unwrap();
    visitor.send_text(name).await;
    visitor
}

#[tokio::test]
async fn visitors_hear_each_other() {
    let app = example_exact::app();
    let mut ada = enter(&app, "Ada").await;
    ada.assert_text("Ada is here").await;
    let mut grace = enter(&app, "Grace").await;
    for visitor in [&mut ada, &mut grace] {
        visitor.assert_text("Grace is here").await;
    }
    grace.send_text("hello").await;
    ada.send_binary([0; 3]).await;
    let mut lines = [ada.recv_text().await, ada.recv_text().await];
    lines.sort();
    assert_eq!(lines, ["Ada shows 3 bytes", "Grace: hello"]);
    grace.close(close_code::NORMAL, "").await;
    ada.assert_text("Grace has left").await;
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let app = example_exact::app();
    let mut first = enter(&app, "Ada").await;
    first.assert_text("Ada is here").await;
    let mut second = enter(&app, "Ada").await;
    assert_eq!(second.assert_close(close_code::POLICY).await, "this name is taken");
}
