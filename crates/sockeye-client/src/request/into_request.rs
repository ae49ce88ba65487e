//! `IntoRequest`: what can be connected to.

use http::{Method, Request, Uri, Version};

use crate::ClientRequest;

/// What can be connected to: a URI as text or as [`Uri`], a [`ClientRequest`], or an [`http::Request`] whose URI and headers are
/// used. The trait is sealed.
///
/// ```
/// use sockeye_client::IntoRequest;
///
/// # fn f(mut to: impl FnMut(Box<dyn std::any::Any>)) {
/// fn accepts(_: impl IntoRequest) {}
/// accepts("wss://feed.example.com/v1");
/// accepts("wss://feed.example.com/v1".parse::<http::Uri>().unwrap());
/// accepts(http::Request::get("wss://feed.example.com/v1").header("Origin", "https://example.com").body(()).unwrap());
/// # }
/// ```
pub trait IntoRequest: sealed::Sealed {}

impl<T: sealed::Sealed> IntoRequest for T {}

pub(crate) mod sealed {
    use crate::ClientRequest;

    pub trait Sealed {
        /// What is wrong with the value is reported later, by `open`.
        fn into_request(self) -> ClientRequest;
    }
}

impl sealed::Sealed for ClientRequest {
    fn into_request(self) -> ClientRequest {
        self
    }
}

impl sealed::Sealed for &str {
    fn into_request(self) -> ClientRequest {
        ClientRequest::new(self)
    }
}

impl sealed::Sealed for String {
    fn into_request(self) -> ClientRequest {
        ClientRequest::new(self)
    }
}

impl sealed::Sealed for &String {
    fn into_request(self) -> ClientRequest {
        ClientRequest::new(self)
    }
}

impl sealed::Sealed for Uri {
    fn into_request(self) -> ClientRequest {
        ClientRequest::new(self.to_string())
    }
}

impl sealed::Sealed for Request<()> {
    fn into_request(self) -> ClientRequest {
        let (head, ()) = self.into_parts();
        let request = ClientRequest::new(head.uri.to_string()).headers(head.headers);
        if head.method != Method::GET {
            // RFC 6455 §4.1, item 2: "The method of the request MUST be GET".
            return request
                .wrong(format!("the method of the request is {}: a WebSocket is opened with GET", head.method));
        }
        if head.version != Version::HTTP_11 {
            return request.wrong(format!("the request is of {:?}: only HTTP/1.1 is spoken", head.version));
        }
        request
    }
}
