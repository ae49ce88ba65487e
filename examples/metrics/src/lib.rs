//! An echo server that says what its connections do.

use axum::{
    Router,
    extract::State,
    response::Response,
    routing::{any, get},
};
use metrics_exporter_prometheus::PrometheusHandle;
use sockeye::{Message, WebSocket, WebSocketUpgrade};

/// `/ws` echoes, `/metrics` is for Prometheus. The recorder behind `metrics` has to be installed by then: whoever asks for
/// a counter before gets one that counts nothing.
pub fn app(metrics: PrometheusHandle) -> Router {
    Router::new().route("/ws", any(upgrade)).route("/metrics", get(render)).with_state(metrics)
}

async fn upgrade(ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Message::Text(_) | Message::Binary(_) = message
            && socket.send(message).await.is_err()
        {
            break;
        }
    }
}

async fn render(State(metrics): State<PrometheusHandle>) -> String {
    // Histograms keep their values until somebody sums them up. That is all there is to do about upkeep here.
    metrics.run_upkeep();
    metrics.render()
}
