//! Handlers that differ in which task sends, and how.

use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, future::ready};
use sockeye::{Message, PreparedMessage, TrySendError, WebSocket, runtime::Outgoing, state::Hub};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    task::{spawn_blocking, yield_now},
};

/// How many messages may be queued between receivers and senders.
const BETWEEN: usize = 4;

pub(super) async fn halves(socket: WebSocket) {
    let (sending, mut receiving) = socket.into_split();
    let (pass, mut passed) = mpsc::channel(BETWEEN);
    tokio::spawn(async move {
        while let Some(message) = passed.recv().await {
            if sending.send(message).await.is_err() {
                break;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(message)) = receiving.recv().await {
            if message.is_data() && pass.send(message).await.is_err() {
                break;
            }
        }
    });
}

pub(super) async fn joined_halves(socket: WebSocket) {
    let (sending, mut receiving) = socket.into_split();
    let (pass, mut passed) = mpsc::channel(BETWEEN);
    let send = async move {
        while let Some(message) = passed.recv().await {
            if sending.send(message).await.is_err() {
                break;
            }
        }
    };
    let receive = async move {
        while let Some(Ok(message)) = receiving.recv().await {
            if message.is_data() && pass.send(message).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(send, receive);
}

pub(super) async fn sender(mut socket: WebSocket) {
    let sender = socket.sender();
    let (pass, mut passed) = mpsc::channel::<Message>(BETWEEN);
    tokio::spawn(async move {
        while let Some(message) = passed.recv().await {
            if sender.send(message).await.is_err() {
                break;
            }
        }
    });
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && pass.send(message).await.is_err() {
            break;
        }
    }
}

/// Each message goes to the next task once the one before it is queued.
pub(super) async fn senders(mut socket: WebSocket) {
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let sender = socket.sender();
        let (pass, mut passed) = mpsc::channel::<(Message, oneshot::Sender<bool>)>(1);
        tokio::spawn(async move {
            while let Some((message, tell)) = passed.recv().await {
                let _ = tell.send(sender.send(message).await.is_ok());
            }
        });
        tasks.push(pass);
    }
    let mut turn = 0;
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() {
            let (tell, told) = oneshot::channel();
            if tasks[turn % 3].send((message, tell)).await.is_err() || !told.await.unwrap_or(false) {
                break;
            }
            turn += 1;
        }
    }
}

/// On a thread outside the runtime's workers.
pub(super) async fn blocking(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() {
            let sender = socket.sender();
            let sent = spawn_blocking(move || Handle::current().block_on(sender.send(message)));
            if !matches!(sent.await, Ok(Ok(()))) {
                break;
            }
        }
    }
}

pub(super) async fn forward(socket: WebSocket) {
    let (sink, stream) = socket.split();
    let data = stream.try_filter(|message| ready(message.is_data()));
    // The client checks how it ends.
    let _ = data.forward(sink).await;
}

pub(super) async fn sink(socket: WebSocket) {
    let (mut sink, mut stream) = socket.split();
    let (pass, mut passed) = mpsc::channel::<Message>(BETWEEN);
    tokio::spawn(async move {
        while let Some(message) = passed.recv().await {
            // All available messages, and one flush.
            let fed = async {
                sink.feed(message).await?;
                while let Ok(message) = passed.try_recv() {
                    sink.feed(message).await?;
                }
                sink.flush().await
            };
            if fed.await.is_err() {
                break;
            }
        }
    });
    while let Some(Ok(message)) = stream.next().await {
        if message.is_data() && pass.send(message).await.is_err() {
            break;
        }
    }
}

pub(super) async fn trying(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if !message.is_data() {
            continue;
        }
        match socket.try_send(message) {
            Ok(()) => {}
            Err(TrySendError::Full(Outgoing::Message(message))) => {
                if socket.send(message).await.is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
}

pub(super) async fn prepared(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if let Ok(message) = PreparedMessage::try_from(message)
            && socket.send_prepared(message).await.is_err()
        {
            break;
        }
    }
}

/// A hub with one member: it does not wait for the member, so the handler does.
pub(super) async fn hub(mut socket: WebSocket) {
    let hub = Hub::new();
    let _member = hub.register(socket.sender(), ());
    while let Some(Ok(message)) = socket.recv().await {
        if let Ok(message) = PreparedMessage::try_from(message) {
            hub.broadcast(message);
            if socket.flushed().await.is_err() {
                break;
            }
        }
    }
}

pub(super) async fn flushed(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if message.is_data() && (socket.send(message).await.is_err() || socket.flushed().await.is_err()) {
            break;
        }
    }
}

/// A dropped send has queued nothing, so it can be repeated.
pub(super) async fn cancelling(mut socket: WebSocket) {
    let sender = socket.sender();
    while let Some(Ok(message)) = socket.recv().await {
        if !message.is_data() {
            continue;
        }
        let sent = loop {
            tokio::select! {
                biased;
                sent = sender.send(message.clone()) => break sent,
                () = yield_now() => {}
            }
            // It waits for room: it is sent again, and then with a longer wait.
            tokio::select! {
                sent = sender.send(message.clone()) => break sent,
                () = tokio::time::sleep(std::time::Duration::from_millis(2)) => {}
            }
        };
        if sent.is_err() {
            break;
        }
    }
}
