//! `--sim`: the clouds of one stack, served by whichever of its commands came first.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response, Uri};
use tokio::sync::Mutex;

use super::faults::Faults;
use super::server::Server;
use super::store::OpenError;
use crate::model::{Code, Diagnostic};
use crate::providers::contract::{Delays, Provider, SendError, Transport};
use crate::providers::http::Network;
use crate::world::World;

/// How long a program that holds the directory may take until it answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// The simulated clouds that a command uses, over real HTTP on loopback. It is a [`Transport`]: should the command that serves them
/// end, the next request takes its place.
pub struct Simulation {
    /// None for clouds at an address that was given.
    home: Option<Home>,
    current: Mutex<Current>,
    /// As it was when the command began; stays in every base URL.
    url: String,
    network: Network,
}

struct Home {
    providers: Vec<Arc<dyn Provider>>,
    dir: PathBuf,
    faults: Faults,
    world: World,
}

struct Current {
    url: String,
    server: Option<Server>,
}

impl Simulation {
    /// Serves the clouds whose contents lie in `dir`, or attaches to the program that already does.
    ///
    /// Errors: [`Code::Locked`] if that program does not answer, [`Code::Unreadable`] if the directory cannot be used.
    pub async fn open(
        providers: &[Arc<dyn Provider>],
        dir: &Path,
        faults: Faults,
        world: &World,
    ) -> Result<Simulation, Box<Diagnostic>> {
        let home = Home { providers: providers.to_vec(), dir: dir.to_owned(), faults, world: world.clone() };
        let network = Network::new();
        let current = home.attach(&network).await?;
        Ok(Simulation { url: current.url.clone(), current: Mutex::new(current), home: Some(home), network })
    }

    /// Uses the clouds of a running `stackwright sim`.
    ///
    /// Errors: [`Code::Unavailable`] if no simulated clouds answer there.
    pub async fn at(url: &str) -> Result<Simulation, Box<Diagnostic>> {
        let url = url.trim_end_matches('/').to_owned();
        let network = Network::new();
        if !answers(&network, &url).await {
            let message = format!("no simulated clouds answer at `{url}`");
            return Err(Box::new(
                Code::Unavailable.error(message).help("start them with `stackwright sim`, which prints its address"),
            ));
        }
        let current = Mutex::new(Current { url: url.clone(), server: None });
        Ok(Simulation { home: None, current, url, network })
    }

    /// Where a platform is, for [`crate::providers::contract::Surroundings`].
    pub fn base_url(&self, provider: &str) -> String {
        format!("{}/{provider}", self.url)
    }

    /// Whether this command serves the clouds itself.
    pub async fn serves(&self) -> bool {
        self.current.lock().await.server.is_some()
    }

    /// Lets requests of other commands end, and writes down what the clouds hold. What was answered is durable without it.
    pub async fn close(&self) {
        let server = self.current.lock().await.server.take();
        if let Some(server) = server {
            server.close().await;
        }
    }

    /// Another place to send to, since nobody answers at `failed`.
    async fn move_on(&self, failed: &str) -> Result<String, SendError> {
        let mut current = self.current.lock().await;
        if current.url != failed {
            return Ok(current.url.clone());
        }
        let Some(home) = self.home.as_ref().filter(|_| current.server.is_none()) else {
            return Err(SendError::NotSent(format!("no simulated clouds answer at `{failed}`")));
        };
        *current = home.attach(&self.network).await.map_err(|error| SendError::NotSent(error.message))?;
        Ok(current.url.clone())
    }
}

#[async_trait]
impl Transport for Simulation {
    async fn send(&self, request: Request<Bytes>, deadline: Duration) -> Result<Response<Bytes>, SendError> {
        // Something that stands in front of the clouds has an address of its own, which is not ours to change.
        if !request.uri().to_string().starts_with(origin(&self.url)) {
            return self.network.send(request, deadline).await;
        }
        let url = self.current.lock().await.url.clone();
        let first = redirected(&request, &url)?;
        match self.network.send(first, deadline).await {
            Err(SendError::NotSent(_)) => {
                let url = self.move_on(&url).await?;
                self.network.send(redirected(&request, &url)?, deadline).await
            }
            answered => answered,
        }
    }

    /// They are on this machine, and show what is.
    fn delays(&self) -> Delays {
        Delays { transit: Duration::from_secs(1), shown: Duration::ZERO }
    }
}

/// `http://127.0.0.1:4100` of an address that may have a path.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |slash| &url[..host + slash])
}

/// The same request, to another server.
fn redirected(request: &Request<Bytes>, url: &str) -> Result<Request<Bytes>, SendError> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let uri = format!("{}{path}", origin(url)).parse::<Uri>();
    let mut request = request.clone();
    *request.uri_mut() = uri.map_err(|error| SendError::NotSent(format!("no address: {error}")))?;
    Ok(request)
}

impl Home {
    async fn attach(&self, network: &Network) -> Result<Current, Box<Diagnostic>> {
        let began = self.world.clock.elapsed();
        loop {
            match Server::try_start(&self.providers, Some(&self.dir), 0, self.faults.clone(), &self.world).await {
                Ok(server) => return Ok(Current { url: server.url(), server: Some(server) }),
                Err(OpenError::Failed(diagnostic)) => return Err(diagnostic),
                Err(OpenError::Held) => {}
            }
            if let Ok(url) = std::fs::read_to_string(self.dir.join("url"))
                && answers(network, &url).await
            {
                return Ok(Current { url, server: None });
            }
            if self.world.clock.elapsed() - began > PATIENCE {
                let message =
                    format!("another program holds the simulated clouds in `{}` and does not answer", self.dir.display());
                return Err(Box::new(Code::Locked.error(message).help("wait until it ends, or stop it")));
            }
            self.world.clock.sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn answers(network: &Network, url: &str) -> bool {
    let Ok(request) = Request::get(format!("{}/_sim", url.trim())).body(Bytes::new()) else { return false };
    let answer = network.send(request, Duration::from_secs(2)).await;
    answer.is_ok_and(|answer| answer.status() == 200 && serde_json::from_slice::<serde_json::Value>(answer.body()).is_ok())
}
