//! A client of a test leaves no trace in the metrics of the server. One test, since the recorder is everybody's.

mod common;

use common::echo;
use metrics_util::debugging::{DebugValue, DebuggingRecorder};
use sockeye_test::connect_to;

#[tokio::test]
async fn only_the_server_counts_connections_and_messages() {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    recorder.install().expect("no other recorder");

    let mut client = connect_to(echo);
    client.send_text("12345").await;
    client.assert_text("12345").await;
    client.close(1000, "").await;
    client.assert_close(1000).await;

    let mut counted = Vec::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let (name, labels) = (key.key().name(), key.key().labels().map(|label| label.value()).collect::<Vec<_>>());
        match value {
            DebugValue::Counter(count @ 1..)
                if ["sockeye_connections_total", "sockeye_messages_total"].contains(&name) =>
            {
                counted.push(format!("{name} [{}] {count}", labels.join(" ")));
            }
            _ => {}
        }
    }
    counted.sort();
    assert_eq!(
        counted,
        [
            "sockeye_connections_total [] 1",
            "sockeye_messages_total [received close] 1",
            "sockeye_messages_total [received text] 1",
            "sockeye_messages_total [sent close] 1",
            "sockeye_messages_total [sent text] 1",
        ]
    );
}
