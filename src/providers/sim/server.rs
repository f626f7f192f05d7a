//! The loopback server: a shell around [`Clouds`]. One address, a path for each provider, and the journal at `/_sim/journal`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::clouds::{Clouds, Reply, split};
use super::faults::Faults;
use super::store::OpenError;
use crate::model::{Code, Diagnostic};
use crate::providers::contract::Provider;
use crate::providers::http::ANSWER_MAX;
use crate::world::World;

/// Simulated clouds that are being served. Ends with [`Server::close`], or when it is dropped.
pub struct Server {
    clouds: Arc<Clouds>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    accepting: Option<tokio::task::JoinHandle<()>>,
}

impl Server {
    /// Serves the clouds of those providers that have one, on loopback, on `port` or any free one for 0. With a directory their
    /// contents outlive it.
    ///
    /// Errors: [`Code::Locked`] if another program serves that directory, [`Code::Unreadable`] if the directory or the port cannot
    /// be had.
    pub async fn start(
        providers: &[Arc<dyn Provider>],
        data_dir: Option<&Path>,
        port: u16,
        faults: Faults,
        world: &World,
    ) -> Result<Server, Box<Diagnostic>> {
        Server::try_start(providers, data_dir, port, faults, world).await.map_err(Into::into)
    }

    pub(super) async fn try_start(
        providers: &[Arc<dyn Provider>],
        data_dir: Option<&Path>,
        port: u16,
        faults: Faults,
        world: &World,
    ) -> Result<Server, OpenError> {
        let clouds = Arc::new(Clouds::open(providers, data_dir, faults, world)?);
        let no_port = |error: std::io::Error| {
            let message = format!("the simulated clouds cannot listen on 127.0.0.1:{port}: {error}");
            OpenError::Failed(Box::new(Code::Unreadable.error(message).help("name another port, or none for any free one")))
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(no_port)?;
        let addr = listener.local_addr().map_err(no_port)?;
        let (stop, stopped) = watch::channel(false);
        let accepting = tokio::spawn(accept(listener, clouds.clone(), stopped));
        let server = Server { clouds, addr, stop, accepting: Some(accepting) };
        if let Some(store) = server.clouds.store() {
            store.write_url(&server.url()).map_err(no_port)?;
        }
        Ok(server)
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn clouds(&self) -> &Arc<Clouds> {
        &self.clouds
    }

    /// Takes no more requests, lets those that run end, and writes down what the clouds hold.
    pub async fn close(mut self) {
        self.stop.send_replace(true);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
        self.clouds.keep_snapshots();
        if let Some(store) = self.clouds.store() {
            store.forget_url();
            store.end();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

async fn accept(listener: TcpListener, clouds: Arc<Clouds>, mut stopped: watch::Receiver<bool>) {
    let mut serving = tokio::task::JoinSet::new();
    loop {
        let stream = tokio::select! {
            biased;
            () = ended(&mut stopped) => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                // Out of descriptors, or a client that has gone: those that are served go on.
                Err(_) => {
                    tokio::task::yield_now().await;
                    continue;
                }
            },
        };
        while serving.try_join_next().is_some() {}
        serving.spawn(serve(stream, clouds.clone(), stopped.clone()));
    }
    drop(listener);
    while serving.join_next().await.is_some() {}
}

/// A server that is gone has ended, too.
async fn ended(stopped: &mut watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn serve(stream: TcpStream, clouds: Arc<Clouds>, mut stopped: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| respond(clouds.clone(), request));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        () = ended(&mut stopped) => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

/// An error ends the connection without an answer, which is what a dropped one looks like.
async fn respond(clouds: Arc<Clouds>, request: Request<Incoming>) -> Result<Response<Answer>, &'static str> {
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, ANSWER_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(whole(text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too large or broke off"))),
    };
    if parts.uri.path().split('/').nth(1) == Some("_sim") {
        return Ok(whole(of_itself(&clouds, parts.uri.path())));
    }
    let Some((provider, request)) = split(Request::from_parts(parts, body)) else {
        return Ok(whole(text(StatusCode::NOT_FOUND, "the path names no cloud")));
    };
    match clouds.handle(&provider, request).await {
        Some(Reply::Whole(answer)) => Ok(whole(answer)),
        Some(Reply::Half(answer)) => Ok(half(answer)),
        Some(Reply::Nothing) => Err("a fault was asked for"),
        None => Ok(whole(text(StatusCode::NOT_FOUND, "there is no such simulated cloud"))),
    }
}

/// What the server says of itself: at `/_sim` its clouds, at `/_sim/journal` every request so far.
fn of_itself(clouds: &Clouds, path: &str) -> Response<Bytes> {
    match path {
        "/_sim/journal" => {
            let lines: String = clouds.journal().iter().flat_map(|line| [&**line, "\n"]).collect();
            let mut answer = text(StatusCode::OK, "");
            answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/x-ndjson"));
            *answer.body_mut() = lines.into();
            answer
        }
        "/_sim" => {
            let names: Vec<String> = clouds.names().iter().map(|name| name.to_string()).collect();
            let body = serde_json::json!({ "clouds": names, "version": env!("CARGO_PKG_VERSION") });
            let mut answer = text(StatusCode::OK, "");
            answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
            *answer.body_mut() = body.to_string().into();
            answer
        }
        _ => text(StatusCode::NOT_FOUND, "there is `/_sim` and `/_sim/journal`"),
    }
}

fn text(status: StatusCode, words: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(words.as_bytes()));
    *answer.status_mut() = status;
    answer
}

fn whole(answer: Response<Bytes>) -> Response<Answer> {
    answer.map(|body| Answer { size: body.len() as u64, body: Some(body), breaks: false })
}

/// Announces the whole body and sends half of it.
fn half(answer: Response<Bytes>) -> Response<Answer> {
    answer.map(|body| Answer { size: body.len() as u64, body: Some(body.slice(..body.len() / 2)), breaks: true })
}

struct Answer {
    size: u64,
    body: Option<Bytes>,
    breaks: bool,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.body.take() {
            Some(body) if !body.is_empty() => Poll::Ready(Some(Ok(Frame::data(body)))),
            _ if self.breaks => Poll::Ready(Some(Err("a fault was asked for".into()))),
            _ => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        !self.breaks && self.body.as_ref().is_none_or(|body| body.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(if self.body.is_some() { self.size } else { 0 })
    }
}
