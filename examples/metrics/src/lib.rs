//! An echo server with metrics of its connections.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{any, get},
};
use metrics_exporter_prometheus::PrometheusHandle;
use sockeye::{WebSocket, WebSocketUpgrade};

/// The application: `/ws` echoes, and Prometheus reads `/metrics`. Install the recorder of `metrics` before the first
/// connection: a counter that is created earlier counts nothing.
pub fn app(metrics: PrometheusHandle) -> Router {
    Router::new().route("/ws", any(upgrade)).route("/metrics", get(render)).with_state(metrics)
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && socket.send(message).await.is_err() {
            break;
        }
    }
}

async fn render(State(metrics): State<PrometheusHandle>) -> String {
    // Histograms keep their values until upkeep sums them up. This example needs no other upkeep.
    metrics.run_upkeep();
    metrics.render()
}
