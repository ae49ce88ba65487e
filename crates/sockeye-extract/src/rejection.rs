//! One type for each reason to refuse a request, as in axum.
//!
//! The first eight are axum's, with the same names, statuses and texts. The others say what was wrong, with which value (escaped
//! and truncated to 256 bytes), what was expected, and what to do.

use std::{error::Error, fmt};

use http::{HeaderMap, Response, StatusCode};
use sockeye_handshake::Reject;

/// A type for each rejection, and the enum of all of them.
macro_rules! rejections {
    (
        axum { $( $(#[$known_doc:meta])* $known:ident; )+ }
        ours { $( $(#[$own_doc:meta])* $own:ident $fields:tt; )+ }
    ) => {
        $(
            $(#[$known_doc])*
            #[derive(Clone, Debug, Default)]
            #[non_exhaustive]
            pub struct $known;

            impl $known {
                fn reject(&self) -> Reject {
                    Reject::$known
                }
            }

            rejection!($known);
        )+
        $(
            $(#[$own_doc])*
            #[derive(Clone, Debug)]
            pub struct $own(
                /// The variant of the same name.
                Reject,
            );

            impl $own {
                fn reject(&self) -> Reject {
                    self.0.clone()
                }
            }

            rejection!($own);
        )+

        /// Why a request is refused: one variant for each reason. See [`WebSocketUpgrade`](crate::WebSocketUpgrade).
        ///
        /// ```
        /// # #[cfg(feature = "axum")]
        /// # mod example {
        /// use axum::response::{IntoResponse, Response};
        /// use sockeye_extract::{Rejection, WebSocketUpgrade};
        ///
        /// async fn handler(ws: Result<WebSocketUpgrade, Rejection>) -> Response {
        ///     match ws {
        ///         Ok(ws) => ws.on_upgrade(|_socket| async {}),
        ///         Err(rejection) => {
        ///             println!("{rejection}");
        ///             rejection.into_response()
        ///         }
        ///     }
        /// }
        /// # }
        /// ```
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum WebSocketUpgradeRejection {
            $( $(#[$known_doc])* $known($known), )+
            $( $(#[$own_doc])* $own($own), )+
            /// A reason that has no type of its own in this version.
            Other(Other),
        }

        impl WebSocketUpgradeRejection {
            /// The name of the rejection's type.
            #[cfg(feature = "metrics")]
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $( Self::$known(_) => stringify!($known), )+
                    $( Self::$own(_) => stringify!($own), )+
                    Self::Other(_) => "Other",
                }
            }

            fn reject(&self) -> Reject {
                match self {
                    $( Self::$known(rejection) => rejection.reject(), )+
                    $( Self::$own(rejection) => rejection.reject(), )+
                    Self::Other(rejection) => rejection.reject(),
                }
            }
        }

        impl From<Reject> for WebSocketUpgradeRejection {
            fn from(reject: Reject) -> Self {
                match reject {
                    $( Reject::$known => Self::$known($known), )+
                    $( Reject::$own $fields => Self::$own($own(reject)), )+
                    _ => Self::Other(Other(reject)),
                }
            }
        }

        $(
            impl From<$known> for WebSocketUpgradeRejection {
                fn from(rejection: $known) -> Self {
                    Self::$known(rejection)
                }
            }
        )+
        $(
            impl From<$own> for WebSocketUpgradeRejection {
                fn from(rejection: $own) -> Self {
                    Self::$own(rejection)
                }
            }
        )+
    };
}

/// The methods and traits of every rejection, by its `reject()`.
macro_rules! rejection {
    ($name:ident) => {
        impl $name {
            /// The body of the response.
            #[must_use]
            pub fn body_text(&self) -> String {
                self.reject().body()
            }

            /// The status of the response.
            #[must_use]
            pub fn status(&self) -> StatusCode {
                self.reject().status()
            }

            /// The headers that the RFCs specify for this response.
            #[must_use]
            pub fn headers(&self) -> HeaderMap {
                self.reject().headers()
            }

            /// The response.
            #[must_use]
            pub fn into_http(self) -> Response<String> {
                self.reject().into_response()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.reject().fmt(f)
            }
        }

        impl Error for $name {}

        #[cfg(feature = "axum")]
        impl axum_core::response::IntoResponse for $name {
            fn into_response(self) -> axum_core::response::Response {
                // The target under which axum logs its rejections, so that users find all of them.
                tracing::trace!(
                    target: "axum::rejection",
                    status = self.status().as_u16(),
                    body = %self,
                    rejection_type = std::any::type_name::<Self>(),
                    "rejecting request"
                );
                self.into_http().map(axum_core::body::Body::from)
            }
        }
    };
}

rejections! {
    axum {
        /// Over HTTP/1.1 the method must be `GET`: 405.
        MethodNotGet;
        /// Over HTTP/2 the method must be `CONNECT`: 405.
        MethodNotConnect;
        /// `Connection` does not list `upgrade`: 400.
        InvalidConnectionHeader;
        /// `Upgrade` does not list `websocket`: 400.
        InvalidUpgradeHeader;
        /// `:protocol` is not `websocket`: 400.
        InvalidProtocolPseudoheader;
        /// `Sec-WebSocket-Version` is not 13: 400.
        InvalidWebSocketVersionHeader;
        /// There is no `Sec-WebSocket-Key`: 400.
        WebSocketKeyHeaderMissing;
        /// The connection cannot be upgraded: it is HTTP/1.0, or other code has already taken the upgrade: 426.
        ConnectionNotUpgradable;
    }
    ours {
        /// `Sec-WebSocket-Key` is not 16 bytes in base64: 400.
        InvalidWebSocketKey { .. };
        /// A header is on several lines where its RFC allows one: 400.
        RepeatedHeader { .. };
        /// There is no `Host`: 400.
        HostMissing {};
        /// `Host` is not a host with at most a port: 400.
        InvalidHost { .. };
        /// The request has content, which must not be read as frames: 400.
        ContentNotAllowed { .. };
        /// The request has an `Expect` header, but no content: 417.
        ExpectationFailed {};
        /// `Sec-WebSocket-Protocol` is not a list of tokens: 400.
        InvalidSubprotocol { .. };
        /// `Sec-WebSocket-Extensions` does not follow its grammar: 400.
        InvalidExtensions { .. };
        /// A header lists more than 64 subprotocols, or 32 extensions, or 16 parameters of one: 431.
        ListTooLong { .. };
        /// The page's origin is not allowed to open a WebSocket here: 403. See
        /// [`WebSocketUpgrade::origins`](crate::WebSocketUpgrade::origins).
        OriginNotAllowed { .. };
        /// The server is shutting down: 503, with `Retry-After`. See [`WebSocketUpgrade::shutdown`](crate::WebSocketUpgrade::shutdown).
        ShuttingDown { .. };
        /// As many WebSockets are open as [`ConnectionLimits::total`](crate::ConnectionLimits::total) allows: 503.
        TooManyConnections {};
        /// As many WebSockets with the same key are open as [`ConnectionLimits::per_key`](crate::ConnectionLimits::per_key)
        /// allows: 429.
        TooManyConnectionsPerKey {};
        /// As many upgrades are in flight as
        /// [`ConnectionLimits::upgrades_in_flight`](crate::ConnectionLimits::upgrades_in_flight) allows: 503.
        TooManyUpgrades {};
    }
}

/// A reason that has no type of its own in this version.
#[derive(Clone, Debug)]
pub struct Other(Reject);

impl Other {
    fn reject(&self) -> Reject {
        self.0.clone()
    }
}

rejection!(Other);
rejection!(WebSocketUpgradeRejection);
