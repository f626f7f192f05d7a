//! The shop's API: orders in PostgreSQL, a counter of visits in Redis, and what an operator asks of any program.
//!
//! It takes `PORT`, `DATABASE_URL`, `REDIS_URL` and `SESSION_KEY` from the environment, `HOST` and `VERSION` if they are set, and
//! listens once both databases answer. SIGTERM and SIGINT end it after the requests that are under way.

mod metrics;
mod orders;
mod routes;
mod session;
mod settings;
mod visits;

use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tiny_http::Server;

use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::routes::Shop;
use crate::session::SessionKey;
use crate::settings::Settings;
use crate::visits::Visits;

/// Requests answered at the same time. Each worker has connections of its own.
const WORKERS: usize = 4;

/// How long the databases may take to come up after this program: an engine starts them first, and they still need a moment.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// How long requests that are under way may take to end.
const END_PATIENCE: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    match Settings::from_lookup(|name| std::env::var(name).ok()).map_err(|missing| missing.to_string()).and_then(serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(words) => {
            eprintln!("shop-api: {words}");
            ExitCode::FAILURE
        }
    }
}

/// Listens until a signal asks it to end. The error is a sentence that holds neither an address with a password nor the key.
fn serve(settings: Settings) -> Result<(), String> {
    let signals = Signals::new([SIGTERM, SIGINT]).map_err(|error| format!("cannot watch for signals: {error}"))?;
    wait_for_databases(&settings)?;
    let server = Server::http((settings.host.as_str(), settings.port))
        .map_err(|error| format!("cannot listen on {}:{}: {error}", settings.host, settings.port))?;
    println!("shop-api {} listens on http://{}", settings.version, server.server_addr());

    let metrics = Metrics::new(&settings.version);
    thread::scope(|scope| {
        for _ in 0..WORKERS {
            scope.spawn(|| answer_requests(&server, connect(&settings, &metrics)));
        }
        scope.spawn(|| end_on_signal(signals, &server));
    });
    println!("shop-api ended");
    Ok(())
}

fn wait_for_databases(settings: &Settings) -> Result<(), String> {
    let patience_ends = Instant::now() + START_PATIENCE;
    let mut orders = Orders::new(settings.database.clone());
    let mut visits = Visits::new(settings.cache.clone());
    loop {
        let Err(words) = orders.ping().and_then(|()| visits.ping()) else { return Ok(()) };
        if Instant::now() >= patience_ends {
            return Err(format!("gave up after {} s: {words}", START_PATIENCE.as_secs()));
        }
        thread::sleep(Duration::from_millis(250));
    }
}

fn connect<'a>(settings: &Settings, metrics: &'a Metrics) -> Shop<'a> {
    Shop {
        orders: Orders::new(settings.database.clone()),
        visits: Visits::new(settings.cache.clone()),
        key: SessionKey::new(&settings.session_key),
        metrics,
    }
}

/// One worker: ends when `end_on_signal` unblocks it, and never in the middle of an answer.
fn answer_requests(server: &Server, mut shop: Shop<'_>) {
    for mut request in server.incoming_requests() {
        let answer = shop.answer(&mut request);
        if let Err(error) = request.respond(answer) {
            eprintln!("shop-api: the client left before its answer: {error}");
        }
    }
}

fn end_on_signal(mut signals: Signals, server: &Server) {
    if signals.forever().next().is_some() {
        for _ in 0..WORKERS {
            server.unblock();
        }
        // A server that hangs, rather than being away, can keep a worker for as long as it likes.
        thread::spawn(|| {
            thread::sleep(END_PATIENCE);
            eprintln!("shop-api: ended with requests under way");
            std::process::exit(1);
        });
    }
}
