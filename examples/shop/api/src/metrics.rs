//! What Prometheus reads from `/metrics`: requests by code, and how long they took.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Mutex;
use std::time::Duration;

/// Upper ends of the histogram's buckets, in seconds.
const BUCKETS: [f64; 11] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

pub struct Metrics {
    version: String,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    by_code: BTreeMap<u16, u64>,
    /// One for each of `BUCKETS`, each counting the requests up to its end, those of lower buckets too.
    up_to: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

impl Metrics {
    pub fn new(version: &str) -> Metrics {
        // A quote or a backslash would end the label; a version has neither, and one that does is no reason to lose the metrics.
        let version = version.replace(['"', '\\', '\n'], "_");
        Metrics { version, seen: Mutex::default() }
    }

    pub fn observe(&self, code: u16, took: Duration) {
        let mut seen = self.seen.lock().expect("no holder panics");
        *seen.by_code.entry(code).or_default() += 1;
        seen.count += 1;
        seen.seconds += took.as_secs_f64();
        for (end, count) in BUCKETS.iter().zip(&mut seen.up_to) {
            *count += u64::from(took.as_secs_f64() <= *end);
        }
    }

    /// The text format of Prometheus, version 0.0.4.
    pub fn render(&self) -> String {
        let seen = self.seen.lock().expect("no holder panics");
        let mut text = String::new();
        headed(&mut text, "shop_api_build_info", "gauge", "The version that runs.");
        line(&mut text, &format!("shop_api_build_info{{version=\"{}\"}}", self.version), 1);
        headed(&mut text, "http_requests_total", "counter", "Requests answered, without probes and scrapes.");
        for (code, count) in &seen.by_code {
            line(&mut text, &format!("http_requests_total{{code=\"{code}\"}}"), count);
        }
        headed(&mut text, "http_request_duration_seconds", "histogram", "Time from request to answer.");
        for (end, count) in BUCKETS.iter().zip(&seen.up_to) {
            line(&mut text, &format!("http_request_duration_seconds_bucket{{le=\"{end}\"}}"), count);
        }
        line(&mut text, "http_request_duration_seconds_bucket{le=\"+Inf\"}", seen.count);
        line(&mut text, "http_request_duration_seconds_sum", seen.seconds);
        line(&mut text, "http_request_duration_seconds_count", seen.count);
        text
    }
}

fn headed(text: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
}

fn line(text: &mut String, series: &str, value: impl std::fmt::Display) {
    writeln!(text, "{series} {value}").expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_counts_what_lower_buckets_count() {
        let metrics = Metrics::new("v\"1");
        metrics.observe(200, Duration::from_millis(3));
        metrics.observe(200, Duration::from_millis(30));
        metrics.observe(503, Duration::from_secs(9));
        let text = metrics.render();
        for line in [
            "shop_api_build_info{version=\"v_1\"} 1",
            "http_requests_total{code=\"200\"} 2",
            "http_requests_total{code=\"503\"} 1",
            "http_request_duration_seconds_bucket{le=\"0.001\"} 0",
            "http_request_duration_seconds_bucket{le=\"0.005\"} 1",
            "http_request_duration_seconds_bucket{le=\"5\"} 2",
            "http_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "http_request_duration_seconds_count 3",
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in:\n{text}");
        }
    }
}
