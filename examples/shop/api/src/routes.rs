//! What each request is answered with.

use std::io::{Cursor, Read};
use std::time::Instant;

use serde_json::{Value, json};
use tiny_http::{Header, Method, Request, Response};

use crate::metrics::Metrics;
use crate::orders::Orders;
use crate::session::SessionKey;
use crate::visits::Visits;

/// Longest body that is read, in bytes, and longest item, in characters.
const BODY_MAX: u64 = 16 * 1024;
const ITEM_MAX: usize = 200;

/// How many orders `GET /orders` lists, the newest first.
const LISTED: i64 = 20;

/// What one worker needs to answer.
pub struct Shop<'a> {
    pub orders: Orders,
    pub visits: Visits,
    pub key: SessionKey,
    pub metrics: &'a Metrics,
}

/// An answer before it becomes bytes.
struct Answer {
    code: u16,
    body: Body,
    cookie: Option<String>,
}

enum Body {
    Json(Value),
    Text(String),
}

#[derive(Debug, PartialEq, Eq)]
enum Route {
    Front,
    List,
    Place,
    Health,
    Metrics,
    WrongMethod,
    Nowhere,
}

impl Shop<'_> {
    /// Answers, and counts what it answered. Probes and scrapes are not counted: an error rate is about those who shop.
    pub fn answer(&mut self, request: &mut Request) -> Response<Cursor<Vec<u8>>> {
        let begun = Instant::now();
        let answer = match route(request.method(), request.url()) {
            Route::Health => return self.health().into_response(),
            Route::Metrics => return Answer::text(200, self.metrics.render()).into_response(),
            Route::Front => self.front(&header(request, "Cookie")),
            Route::List => self.orders.last(LISTED).map(|orders| Answer::json(200, json!({ "orders": orders }))),
            Route::Place => self.place(request),
            Route::WrongMethod => Ok(Answer::refusal(405, "this path does not take that method")),
            Route::Nowhere => Ok(Answer::refusal(404, "there is nothing here")),
        };
        let answer = answer.unwrap_or_else(|words| {
            eprintln!("shop-api: {words}");
            Answer::refusal(503, "a database does not answer")
        });
        let took = begun.elapsed();
        self.metrics.observe(answer.code, took);
        println!("{} {} {} {:.1} ms", request.method(), request.url(), answer.code, took.as_secs_f64() * 1000.0);
        answer.into_response()
    }

    fn front(&mut self, cookies: &str) -> Result<Answer, String> {
        let visits = self.visits.count_one()?;
        let orders = self.orders.count()?;
        let mut answer = Answer::json(200, json!({ "service": "shop-api", "orders": orders, "visits": visits }));
        if self.key.visitor(cookies).is_none() {
            answer.cookie = Some(format!("session={}; Path=/; HttpOnly; SameSite=Lax", self.key.sign(visits)));
        }
        Ok(answer)
    }

    fn place(&mut self, request: &mut Request) -> Result<Answer, String> {
        let mut body = Vec::new();
        if let Err(error) = request.as_reader().take(BODY_MAX + 1).read_to_end(&mut body) {
            return Ok(Answer::refusal(400, &format!("the body ended early: {error}")));
        }
        match item_of(&body) {
            Ok(item) => self.orders.place(&item).map(|order| Answer::json(201, order)),
            Err((code, words)) => Ok(Answer::refusal(code, words)),
        }
    }

    /// Names who is away; why is for the log, which is not public.
    fn health(&mut self) -> Answer {
        let probes = [("PostgreSQL", self.orders.ping()), ("Redis", self.visits.ping())];
        let away: Vec<&str> = probes.iter().filter(|(_, probe)| probe.is_err()).map(|(name, _)| *name).collect();
        for words in probes.iter().filter_map(|(_, probe)| probe.as_ref().err()) {
            eprintln!("shop-api: {words}");
        }
        if away.is_empty() {
            Answer::text(200, "ok\n".into())
        } else {
            Answer::text(503, format!("no answer from {}\n", away.join(" and ")))
        }
    }
}

fn route(method: &Method, url: &str) -> Route {
    let path = url.split('?').next().unwrap_or_default();
    let reads = matches!(method, Method::Get | Method::Head);
    match path {
        "/" if reads => Route::Front,
        "/orders" if reads => Route::List,
        "/orders" if *method == Method::Post => Route::Place,
        "/healthz" if reads => Route::Health,
        "/metrics" if reads => Route::Metrics,
        "/" | "/orders" | "/healthz" | "/metrics" => Route::WrongMethod,
        _ => Route::Nowhere,
    }
}

/// The item that a body orders: `{"item": "…"}`, or the plain text itself.
fn item_of(body: &[u8]) -> Result<String, (u16, &'static str)> {
    if body.len() as u64 > BODY_MAX {
        return Err((413, "the body is longer than 16 KiB"));
    }
    let text = std::str::from_utf8(body).map_err(|_| (400, "the body is not UTF-8"))?.trim();
    let item = if text.starts_with('{') {
        let order: Value = serde_json::from_str(text).map_err(|_| (400, "the body is not JSON"))?;
        order["item"].as_str().ok_or((400, "the order has no `item` that is a string"))?.trim().to_owned()
    } else {
        text.to_owned()
    };
    // PostgreSQL's text holds every character but this one.
    if item.is_empty() || item.chars().count() > ITEM_MAX || item.contains('\0') {
        return Err((400, "an item has 1 to 200 characters"));
    }
    Ok(item)
}

fn header(request: &Request, name: &'static str) -> String {
    let found = request.headers().iter().find(|header| header.field.equiv(name));
    found.map(|header| header.value.as_str().to_owned()).unwrap_or_default()
}

impl Answer {
    fn json(code: u16, body: Value) -> Answer {
        Answer { code, body: Body::Json(body), cookie: None }
    }

    fn text(code: u16, body: String) -> Answer {
        Answer { code, body: Body::Text(body), cookie: None }
    }

    fn refusal(code: u16, words: &str) -> Answer {
        Answer::json(code, json!({ "error": words }))
    }

    fn into_response(self) -> Response<Cursor<Vec<u8>>> {
        let (kind, text) = match self.body {
            Body::Json(value) => ("application/json", value.to_string() + "\n"),
            Body::Text(text) => ("text/plain; version=0.0.4; charset=utf-8", text),
        };
        let response = Response::from_data(text).with_status_code(self.code).with_header(header_of("Content-Type", kind));
        match self.cookie {
            Some(cookie) => response.with_header(header_of("Set-Cookie", &cookie)),
            None => response,
        }
    }
}

fn header_of(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("names and values here are plain ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_takes_its_methods() {
        for (method, url, expected) in [
            (Method::Get, "/", Route::Front),
            (Method::Head, "/?utm=x", Route::Front),
            (Method::Get, "/orders", Route::List),
            (Method::Post, "/orders", Route::Place),
            (Method::Get, "/healthz", Route::Health),
            (Method::Get, "/metrics", Route::Metrics),
            (Method::Delete, "/orders", Route::WrongMethod),
            (Method::Post, "/", Route::WrongMethod),
            (Method::Get, "/orders/1", Route::Nowhere),
        ] {
            assert_eq!(route(&method, url), expected, "{method} {url}");
        }
    }

    #[test]
    fn an_order_is_json_or_plain_text() {
        for (body, expected) in [
            (r#"{"item":"tea"}"#, Ok("tea")),
            (" tea\n", Ok("tea")),
            (r#"{"item":" tea ","note":1}"#, Ok("tea")),
            (r#"{"item":3}"#, Err(400)),
            (r#"{"item":"\u0000"}"#, Err(400)),
            (r#"{"item":"#, Err(400)),
            ("  ", Err(400)),
            (&"x".repeat(201), Err(400)),
            (&"x".repeat(20_000), Err(413)),
        ] {
            let item = item_of(body.as_bytes());
            assert_eq!(item.as_deref().map_err(|(code, _)| *code), expected, "{body:.40}");
        }
        assert_eq!(item_of(b"\xff").unwrap_err().0, 400);
    }
}
