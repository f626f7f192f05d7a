//! Whether a program that was just started works: asked over HTTP until it says so, or until its grace is over.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::daemon::Fresh;
use super::{inputs, within};
use crate::model::Value;
use crate::model::value::Fields;
use crate::providers::contract::CallError;
use crate::world::Clock;

/// What `health` says.
pub struct Health {
    path: String,
    port: u16,
    every: Duration,
    grace: Duration,
    timeout: Duration,
}

impl Health {
    pub fn of(inputs: &Fields, port: u16) -> Option<Health> {
        let health = inputs.get("health").and_then(Value::as_map)?;
        let path = inputs::optional_text(health, "path").unwrap_or("/");
        Some(Health {
            path: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
            port: inputs::port(health).unwrap_or(port),
            every: inputs::duration(health, "every", Duration::from_secs(10)).max(Duration::from_millis(10)),
            grace: inputs::duration(health, "grace", Duration::from_secs(30)),
            timeout: inputs::duration(health, "timeout", Duration::from_secs(2)).max(Duration::from_millis(1)),
        })
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}{}", self.port, self.path)
    }
}

/// Waits until the program answers 200, more often at first than `every` says, since most need less than a second.
///
/// Errors: it ended, or its grace is over; both with the last answer and the last lines of its log.
pub async fn wait_healthy(health: &Health, fresh: &Fresh, secrets: &[String], clock: &dyn Clock) -> Result<(), CallError> {
    let (from, mut pause) = (clock.elapsed(), Duration::from_millis(20));
    loop {
        let asked = within(clock, health.timeout, ask(health)).await;
        let answer = match asked {
            Some(Ok(200)) if fresh.ended().is_none() => return Ok(()),
            Some(Ok(status)) => format!("answers {status}"),
            Some(Err(error)) => format!("cannot be asked: {error}"),
            None => format!("does not answer within {} ms", health.timeout.as_millis()),
        };
        if let Some(ended) = fresh.ended() {
            return Err(fresh.failure(format!("the program {ended} before it was healthy"), secrets));
        }
        let left = health.grace.checked_sub(clock.elapsed() - from).filter(|left| !left.is_zero());
        let Some(left) = left else {
            let grace = crate::model::units::duration_text(i64::try_from(health.grace.as_nanos()).unwrap_or(i64::MAX));
            let words = format!("it is not healthy after {grace}: {} {answer}, not 200", health.url());
            return Err(fresh.failure(words, secrets));
        };
        clock.sleep(pause.min(left)).await;
        pause = (pause * 3 / 2).min(health.every).min(Duration::from_secs(1));
    }
}

/// Waits a moment for a program that has no health check: one that ends at once has failed.
pub async fn wait_alive(fresh: &Fresh, secrets: &[String], clock: &dyn Clock) -> Result<(), CallError> {
    const MOMENT: Duration = Duration::from_millis(300);
    let mut ended = None;
    super::daemon::wait_until(clock, MOMENT, || {
        ended = fresh.ended();
        ended.is_some()
    })
    .await;
    match ended {
        Some(ended) => Err(fresh.failure(format!("the program {ended} at once"), secrets)),
        None => Ok(()),
    }
}

/// One GET; the status of the answer.
async fn ask(health: &Health) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, health.port)).await?;
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: stackwright\r\nAccept: */*\r\nConnection: close\r\n\r\n",
        health.path, health.port
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    let status = std::str::from_utf8(&head).ok().and_then(|head| head.strip_prefix("HTTP/1.")?.get(2..)?.parse().ok());
    status.ok_or_else(|| std::io::Error::other("the answer is not HTTP"))
}
