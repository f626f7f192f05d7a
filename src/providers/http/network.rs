//! The network.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use super::ANSWER_MAX;
use crate::providers::contract::{Delays, SendError, Transport};

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the kernel goes on delivering bytes that nobody acknowledges. It is part of every settle time, since the kernel may
/// deliver after the process has died.
pub const TCP_USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Sends requests over the network. Does not follow redirects, keep cookies, decompress or retry.
#[derive(Default)]
pub struct Network {
    /// Through the proxy that the environment names, if it names one.
    outside: OnceLock<Result<reqwest::Client, String>>,
    /// To this machine: never through a proxy.
    loopback: OnceLock<Result<reqwest::Client, String>>,
}

impl Network {
    pub fn new() -> Network {
        Network::default()
    }

    /// Clients are made when they are first needed: loading the certificates of the system takes a moment.
    fn client(&self, request: &http::Request<Bytes>) -> Result<reqwest::Client, SendError> {
        let host = request.uri().host().unwrap_or("").trim_matches(['[', ']']);
        let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let made = match is_loopback {
            true => self.loopback.get_or_init(|| build(reqwest::Client::builder().no_proxy().http1_only())),
            false => self.outside.get_or_init(|| build(reqwest::Client::builder())),
        };
        made.clone().map_err(SendError::NotSent)
    }
}

fn build(builder: reqwest::ClientBuilder) -> Result<reqwest::Client, String> {
    let builder = builder
        .connect_timeout(CONNECT)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .user_agent(concat!("stackwright/", env!("CARGO_PKG_VERSION")));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let builder = builder.tcp_user_timeout(TCP_USER_TIMEOUT);
    builder.build().map_err(|error| chain(&error))
}

#[async_trait]
impl Transport for Network {
    async fn send(&self, request: http::Request<Bytes>, deadline: Duration) -> Result<http::Response<Bytes>, SendError> {
        let client = self.client(&request)?;
        let mut request = reqwest::Request::try_from(request).map_err(|error| SendError::NotSent(chain(&error)))?;
        *request.timeout_mut() = Some(deadline);
        let answer = client.execute(request).await.map_err(|error| match error.is_connect() || error.is_builder() {
            true => SendError::NotSent(chain(&error.without_url())),
            false => SendError::Unknown(chain(&error.without_url())),
        })?;
        whole(answer).await
    }

    /// What a platform shows is as late as its kinds declare.
    fn delays(&self) -> Delays {
        Delays { transit: TCP_USER_TIMEOUT, shown: Duration::MAX }
    }
}

/// Reads the body to its end. One that is too large, or that ends early, leaves the outcome unknown.
async fn whole(mut answer: reqwest::Response) -> Result<http::Response<Bytes>, SendError> {
    let too_large = || SendError::Unknown(format!("the answer is larger than {} MiB", ANSWER_MAX >> 20));
    if answer.content_length().is_some_and(|length| length > ANSWER_MAX as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(part) = answer.chunk().await.map_err(|error| SendError::Unknown(chain(&error.without_url())))? {
        if body.len() + part.len() > ANSWER_MAX {
            return Err(too_large());
        }
        body.extend_from_slice(&part);
    }
    let mut response = http::Response::new(body.freeze());
    *response.status_mut() = answer.status();
    *response.headers_mut() = std::mem::take(answer.headers_mut());
    Ok(response)
}

/// An error with its causes, outermost first: "error sending request: connection refused".
fn chain(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        // The number behind it says nothing to people.
        let text = cause.to_string();
        let text = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        source = cause.source();
    }
    words
}
