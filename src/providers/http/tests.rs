//! Answers of every bad kind, each from a real socket, and what they are sorted into.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, Method};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::model::value::{Fields, Value};
use crate::model::{Code, KnownSecrets};
use crate::providers::contract::CallError;
use crate::world::World;

static DIALECT: Dialect = Dialect {
    platform: "test",
    request_id: HeaderName::from_static("x-request"),
    explain: |json| {
        Some((json.get("error")?.as_str()?.to_owned(), json.get("field").and_then(|it| it.as_str()).map(str::to_owned)))
    },
};

/// What the client makes of the bytes that a server sends before it closes the connection; and the request that it got.
async fn exchange(answer: Vec<u8>) -> (Result<serde_json::Value, CallError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("the client comes");
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut part = [0; 4096];
            let count = stream.read(&mut part).await.expect("a request is read");
            request.extend_from_slice(&part[..count]);
        }
        // A client that has seen enough may have gone.
        let _ = stream.write_all(&answer).await;
        let _ = stream.shutdown().await;
    });
    let api = api(&format!("http://127.0.0.1:{port}"));
    let secrets = KnownSecrets::of(&Fields::from([("value".into(), Value::text("correct-horse").secret())]));
    let mut session = api.session(Duration::from_secs(20), Some("op-1"), secrets);
    let reply = session.send(Method::POST, "/things", Some(&serde_json::json!({ "a": 1 }))).await;
    let receipt = session.receipt.requests.clone();
    server.await.expect("the server ends");
    (reply.and_then(Reply::fine), receipt)
}

fn api(base: &str) -> Api {
    Api::new(&DIALECT, Arc::new(Network::new()), &World::real(), base, "Bearer token").expect("the address is one")
}

fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

fn words_of(result: Result<serde_json::Value, CallError>) -> String {
    match result {
        Ok(json) => format!("ok {json}"),
        Err(CallError::Refused { status, field, words, request, code }) => {
            format!("refused {status:?} {field:?} {words:?} {request:?} {code}")
        }
        Err(CallError::Throttled { after }) => format!("throttled {after:?}"),
        Err(CallError::NotSent(_)) => "not sent".into(),
        Err(CallError::OutcomeUnknown(words)) => format!("unknown {words}"),
    }
}

#[tokio::test]
async fn answers_are_sorted_by_what_they_say_about_the_effect() {
    let json = "content-type: application/json\r\n";
    let cases = [
        (answer("200 OK", json, r#"{"id":"x"}"#), r#"ok {"id":"x"}"#),
        (
            answer("401 Unauthorized", &format!("{json}x-request: r1\r\n"), r#"{"error":"no"}"#),
            r#"refused Some(401) None "no" Some("r1") SW0502"#,
        ),
        (answer("404 Not Found", json, r#"{"error":"no app"}"#), r#"refused Some(404) None "no app" None SW0505"#),
        (
            answer("422 Unprocessable Entity", json, r#"{"error":"must be a multiple of 256","field":"guest.memory"}"#),
            r#"refused Some(422) Some("guest.memory") "must be a multiple of 256" None SW0610"#,
        ),
        (answer("429 Too Many Requests", "retry-after: 7\r\n", ""), "throttled Some(7s)"),
        (answer("429 Too Many Requests", "", ""), "throttled None"),
        (answer("429 Too Many Requests", "retry-after: Wed, 21 Oct 2015 07:28:00 GMT\r\n", ""), "throttled Some(0ns)"),
        (answer("500 Internal Server Error", json, r#"{"error":"oops"}"#), "unknown test answered 500: oops"),
        (answer("302 Found", "location: http://elsewhere.example/\r\n", ""), "unknown test answered 302: an empty body"),
        (
            answer("200 OK", "content-type: text/html\r\n", "<html><h1>Welcome</h1></html>"),
            "unknown test answered 200 with a body that is no JSON (text/html): <html><h1>Welcome</h1></html>",
        ),
        (
            answer("200 OK", json, r#"{"id":"#),
            r#"unknown test answered 200 with a body that is no JSON (application/json): {"id":"#,
        ),
    ];
    for (bytes, expected) in cases {
        assert_eq!(words_of(exchange(bytes).await.0), expected);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_leaves_the_outcome_unknown() {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\":".to_vec();
    for bytes in [Vec::new(), half, b"HTTP/1.1 2".to_vec(), b"not http at all\r\n\r\n".to_vec()] {
        let (result, receipt) = exchange(bytes.clone()).await;
        assert!(matches!(result, Err(CallError::OutcomeUnknown(_))), "{:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(receipt, ["POST /things no answer"]);
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let announced = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{".to_vec();
    assert!(words_of(exchange(announced).await.0).contains("larger than 64 MiB"));
    let mut streamed = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_vec();
    streamed.resize(streamed.len() + ANSWER_MAX + 1, b' ');
    assert!(words_of(exchange(streamed).await.0).contains("larger than 64 MiB"));
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let api = api(&format!("http://127.0.0.1:{port}"));
    let mut session = api.session(Duration::from_secs(5), None, KnownSecrets::default());
    assert!(matches!(session.get("/").await, Err(CallError::NotSent(_))));
    let mut late = api.session(Duration::ZERO, None, KnownSecrets::default());
    assert!(matches!(late.get("/").await, Err(CallError::NotSent(words)) if words.contains("is over")));
}

#[tokio::test]
async fn a_server_that_says_nothing_is_not_waited_for_beyond_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let api = api(&format!("http://{}", listener.local_addr().expect("it is bound")));
    let mut session = api.session(Duration::from_millis(200), None, KnownSecrets::default());
    assert!(matches!(session.get("/").await, Err(CallError::OutcomeUnknown(_))));
    drop(listener);
}

#[tokio::test]
async fn a_secret_that_a_platform_echoes_is_taken_out_of_its_words() {
    let body = r#"{"error":"bad value correct-horse, in base64 Y29ycmVjdC1ob3JzZQ"}"#;
    let (result, _) = exchange(answer("400 Bad Request", "", body)).await;
    let Err(CallError::Refused { words, code: Code::Refused, .. }) = result else { panic!("it is a refusal") };
    assert_eq!(words, "bad value (secret), in base64 (secret)");
}

#[test]
fn paths_are_encoded_by_segment() {
    let cases = [("*.example.com", "%2A.example.com"), ("a/b?c#d", "a%2Fb%3Fc%23d"), ("..", "%2E%2E"), ("é", "%C3%A9")];
    for (text, expected) in cases {
        assert_eq!(wire::segment(text), expected);
    }
}

#[test]
fn an_address_and_a_token_are_checked_when_connecting() {
    let world = World::real();
    let api = |base: &str, token: &str| Api::new(&DIALECT, Arc::new(Network::new()), &world, base, token).map(|_| ());
    assert!(api("https://api.example/v1/", "Bearer x").is_ok());
    assert!(api("api.example", "Bearer x").is_err());
    assert!(api("file:///etc/passwd", "Bearer x").is_err());
    assert!(api("https://api.example", "Bearer a\nb").is_err_and(|words| !words.contains("a\nb")));
}
