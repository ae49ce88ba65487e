//! The same code with axum's types and with ours: every public item of `axum::extract::ws`, and what it does.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping it")]

macro_rules! written_for {
    ($name:ident, $($ws:ident)::+) => {
        mod $name {
            use std::{
                borrow::Cow,
                panic::{RefUnwindSafe, UnwindSafe},
                str::Utf8Error,
            };

            use axum::{
                Error, Router,
                body::Bytes,
                extract::{FromRequest, FromRequestParts, Request},
                http::HeaderValue,
                response::{IntoResponse, Response},
                routing::{MethodRouter, any},
            };
            use futures_util::{
                Sink, SinkExt, Stream, StreamExt,
                stream::{FusedStream, SplitSink, SplitStream},
            };
            use $($ws)::+::{
                CloseCode, CloseFrame, DefaultOnFailedUpgrade, Message, OnFailedUpgrade, Utf8Bytes, WebSocket, WebSocketUpgrade,
                close_code,
                rejection::{
                    ConnectionNotUpgradable, InvalidConnectionHeader, InvalidProtocolPseudoheader, InvalidUpgradeHeader,
                    InvalidWebSocketVersionHeader, MethodNotConnect, MethodNotGet, WebSocketKeyHeaderMissing,
                    WebSocketUpgradeRejection,
                },
            };

            #[test]
            fn text_is_shared_and_compares_with_all_kinds_of_text() {
                const STATIC: Utf8Bytes = Utf8Bytes::from_static("salmon");
                let text = Utf8Bytes::from("salmon");
                assert_eq!(text, STATIC);
                assert_eq!(text, "salmon");
                assert_eq!(text, "salmon".to_owned());
                assert_eq!(text, &"salmon".to_owned());
                assert_eq!(text, Cow::from("salmon"));
                assert_ne!(text, Utf8Bytes::default());
                assert_eq!((text.as_str(), text.len(), &*text), ("salmon", 6, "salmon"));
                assert_eq!(text.to_string(), format!("{text:}"));
                assert_eq!(Utf8Bytes::from(&"salmon".to_owned()), Utf8Bytes::from("salmon".to_owned()));
                let copy = text.clone();
                assert_eq!(copy.as_ptr(), text.as_ptr());
                let bytes: Bytes = text.into();
                assert_eq!(bytes.as_ptr(), copy.as_ptr());
                let back: Result<Utf8Bytes, Utf8Error> = bytes.try_into();
                assert_eq!(back.unwrap(), copy);
                assert_eq!(Utf8Bytes::try_from(vec![b'a', 0xFF]).unwrap_err().valid_up_to(), 1);
            }

            #[test]
            fn messages_are_made_and_taken_apart() {
                assert_eq!(Message::text("a"), Message::Text("a".into()));
                assert_eq!(Message::from("a"), Message::from("a".to_owned()));
                assert_eq!(Message::binary(vec![1]), Message::Binary(Bytes::from_static(&[1])));
                assert_eq!(Message::from(&[1, 2][..]), Message::from(vec![1, 2]));
                assert_eq!(Message::from(Bytes::from_static(&[1])), Message::binary(&[1][..]));
                let frame = CloseFrame { code: close_code::AWAY, reason: Utf8Bytes::from_static("bye") };
                let close = Message::Close(Some(frame.clone()));
                assert_eq!(close.clone(), Message::Close(Some(frame)));
                for (message, data, text) in [
                    (Message::text("a"), &b"a"[..], Some("a")),
                    (Message::binary(vec![b'b']), b"b", Some("b")),
                    (Message::binary(vec![0xFF]), b"\xFF", None),
                    (Message::Ping(Bytes::from_static(b"c")), b"c", Some("c")),
                    (Message::Pong(Bytes::from_static(b"\xFE")), b"\xFE", None),
                    (close, b"bye", Some("bye")),
                    (Message::Close(None), b"", Some("")),
                ] {
                    assert_eq!(message.to_text().ok(), text);
                    assert_eq!(message.to_text().is_err(), text.is_none());
                    assert_eq!(message.clone().into_text().ok().as_deref(), text);
                    assert_eq!(message.clone().into_data(), data);
                    assert_eq!(Vec::from(message), data);
                }
                let invalid: Error = Message::binary(vec![0xFF]).into_text().unwrap_err();
                assert!(invalid.into_inner().is::<Utf8Error>());
            }

            #[test]
            fn close_codes_have_the_same_values() {
                let codes: [CloseCode; 13] = [
                    close_code::NORMAL, close_code::AWAY, close_code::PROTOCOL, close_code::UNSUPPORTED, close_code::STATUS,
                    close_code::ABNORMAL, close_code::INVALID, close_code::POLICY, close_code::SIZE, close_code::EXTENSION,
                    close_code::ERROR, close_code::RESTART, close_code::AGAIN,
                ];
                assert_eq!(codes, [1000, 1001, 1002, 1003, 1005, 1006, 1007, 1008, 1009, 1010, 1011, 1012, 1013]);
            }

            // What follows only has to compile: each is a way in which applications use the types.

            async fn handler(ws: WebSocketUpgrade) -> Response {
                let wished: Vec<&HeaderValue> = ws.requested_protocols().collect();
                let first = wished.first().map(|value| (*value).clone());
                let mut ws = ws
                    .read_buffer_size(1 << 12)
                    .write_buffer_size(1 << 12)
                    .max_write_buffer_size(1 << 16)
                    .max_message_size(1 << 20)
                    .max_frame_size(1 << 20)
                    .accept_unmasked_frames(false)
                    .protocols(["chat", "v2"]);
                if let (Some(first), None) = (first, ws.selected_protocol()) {
                    ws.set_selected_protocol(first);
                }
                ws.on_failed_upgrade(|error: Error| eprintln!("{error}")).on_upgrade(run)
            }

            /// A subprotocol that converts to nothing but what axum asks for.
            struct Chat;

            impl From<Chat> for Cow<'static, str> {
                fn from(_: Chat) -> Self {
                    Cow::Borrowed("chat")
                }
            }

            async fn by_type(ws: WebSocketUpgrade) -> Response {
                let name: &'static String = Box::leak(Box::default());
                let ws = ws.protocols([Chat]).protocols(vec!["v2".to_owned()]).protocols([name]);
                ws.protocols([Cow::Borrowed("v3"), Cow::Owned(name.clone())]).on_upgrade(run)
            }

            async fn run(socket: WebSocket) {
                let _protocol: Option<&HeaderValue> = socket.protocol();
                let (write, read) = socket.split();
                let _ = halves(write, read).await;
            }

            async fn halves(mut write: SplitSink<WebSocket, Message>, mut read: SplitStream<WebSocket>) -> Result<(), Error> {
                while let Some(message) = read.next().await {
                    write.send(message?).await?;
                }
                write.close().await
            }

            async fn whole(mut socket: WebSocket) -> Result<(), Error> {
                while let Some(message) = socket.recv().await {
                    match message? {
                        Message::Text(text) => socket.send(Message::Text(text)).await?,
                        Message::Binary(data) => socket.feed(Message::Binary(data.slice(..0))).await?,
                        Message::Ping(_) | Message::Pong(_) => {}
                        Message::Close(frame) => {
                            let (_code, _reason): (CloseCode, Utf8Bytes) = frame.map_or((1000, "".into()), |f| (f.code, f.reason));
                        }
                    }
                }
                socket.flush().await?;
                assert!(socket.is_terminated());
                Ok(())
            }

            async fn by_name(request: Request) -> Result<Response, WebSocketUpgradeRejection> {
                let ws = WebSocketUpgrade::from_request(request, &()).await?;
                Ok(ws.on_upgrade(|socket| async { drop(whole(socket).await) }))
            }

            fn is_socket<S>()
            where
                S: Stream<Item = Result<Message, Error>> + Sink<Message, Error = Error> + FusedStream + Send + Unpin + 'static,
                S: std::fmt::Debug,
            {
            }

            fn is_extractor<E: FromRequestParts<(), Rejection = WebSocketUpgradeRejection> + Send + std::fmt::Debug>() {}

            fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

            fn is_rejection<R: IntoResponse + std::error::Error>() {}

            fn is_callback<C: OnFailedUpgrade>() {}

            fn named<F>(ws: WebSocketUpgrade<F>) -> WebSocketUpgrade<F> {
                ws
            }

            #[tokio::test]
            async fn the_code_of_applications_compiles() {
                let _routes: [MethodRouter; 3] = [any(handler), any(by_name), any(by_type)];
                let _router: Router = Router::new().route("/", any(async |ws: WebSocketUpgrade| named(ws).on_upgrade(run)));
                is_socket::<WebSocket>();
                is_extractor::<WebSocketUpgrade>();
                is_unwind_safe::<WebSocketUpgrade>();
                is_callback::<DefaultOnFailedUpgrade>();
                is_rejection::<WebSocketUpgradeRejection>();
                is_rejection::<ConnectionNotUpgradable>();
                is_rejection::<InvalidConnectionHeader>();
                is_rejection::<InvalidProtocolPseudoheader>();
                is_rejection::<InvalidUpgradeHeader>();
                is_rejection::<InvalidWebSocketVersionHeader>();
                is_rejection::<MethodNotConnect>();
                is_rejection::<MethodNotGet>();
                is_rejection::<WebSocketKeyHeaderMissing>();
            }
        }
    };
}

written_for!(axums, axum::extract::ws);
written_for!(ours, sockeye_exact);
