//! What a bucket's errors mean: whether it is worth asking again, and what people can do.

use std::error::Error as _;

use object_store::Error;

use crate::state::contract::StoreError;
use crate::state::store::patience::Trouble;

/// What cannot be used as it is. The place is filled in by whoever asked.
pub fn refused(why: &str, help: &str) -> Trouble {
    Trouble::Final(StoreError::Refused { place: String::new(), why: why.into(), help: help.into() })
}

/// Sorts an error that the caller has no use for itself.
pub fn sorted(error: &Error, has_credentials: bool) -> Trouble {
    let words = words(error);
    // Nothing is posted to a bucket: this is how a web identity asks for credentials.
    if words.contains("token file") || all(error).contains("performing POST") && !is_passing(error) {
        let help = "look at AWS_WEB_IDENTITY_TOKEN_FILE and whether its token has expired, at AWS_ROLE_ARN, and at whom that role trusts";
        return refused(&format!("the web identity was not accepted: {words}"), help);
    }
    match error {
        Error::NotFound { .. } => refused(&words, "make the bucket, or correct `bucket`, `region` and `endpoint` of `state`"),
        Error::PermissionDenied { .. } => {
            refused(&words, "allow GetObject, PutObject and ListBucket to these credentials: docs/reliability.md has a policy")
        }
        Error::Unauthenticated { .. } => refused(&words, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or renew the session"),
        Error::NotSupported { .. } | Error::NotImplemented { .. } | Error::InvalidPath { .. } => {
            Trouble::Final(StoreError::Unavailable { what: "use the bucket".into(), why: words })
        }
        // Where nobody said who asks, the machine itself was asked, which only machines of a cloud answer.
        _ if !has_credentials && mentions_machine(error) => refused(
            "nothing says who asks, and this machine has no identity of its own",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        _ if words.contains("redirect") => refused(&words, "say where the bucket is: `region` of `state`, or AWS_REGION"),
        _ if is_passing(error) => Trouble::Passing(words),
        _ => Trouble::Final(StoreError::Unavailable { what: "use the bucket".into(), why: words }),
    }
}

fn is_passing(error: &Error) -> bool {
    status(error).is_none_or(|status| !(400..500).contains(&status) || [408, 409, 425, 429].contains(&status))
}

/// All that the error and its causes say.
fn all(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push('\n');
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn status(error: &Error) -> Option<u16> {
    let text = all(error);
    let (_, after) = text.split_once("status code: ")?;
    after.get(..3)?.parse().ok()
}

fn mentions_machine(error: &Error) -> bool {
    let text = all(error);
    text.contains("169.254.") || text.contains("/latest/api/token") || text.contains("fd00:ec2")
}

/// The words of the server where it has said any, else those of whoever asked; on one line.
fn words(error: &Error) -> String {
    let text = all(error);
    let between = |begin: &str, end: &str| {
        let (_, after) = text.split_once(begin)?;
        Some(after.split_once(end)?.0.trim().to_owned())
    };
    if let Some(code) = between("<Code>", "</Code>") {
        return match between("<Message>", "</Message>") {
            Some(message) => format!("{code}: {message}"),
            None => code,
        };
    }
    if let Some(status) = status(error) {
        return format!("status {status}");
    }
    // The last cause is the first thing that went wrong.
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_web_identity_that_is_not_accepted_is_named() {
        let of = |source: &'static str| sorted(&Error::Generic { store: "S3", source: source.into() }, true);
        for said in [
            "Failed to read token file '/run/token': No such file or directory (os error 2)",
            "Error performing POST [REDACTED] in 12 ms - Server returned non-2xx status code: 400 Bad Request: \
             <Error><Code>ExpiredTokenException</Code><Message>Token expired</Message></Error>",
        ] {
            let Trouble::Final(StoreError::Refused { why, help, .. }) = of(said) else { panic!("{said}") };
            assert!(why.starts_with("the web identity was not accepted: ") && help.contains("AWS_ROLE_ARN"), "{why}");
        }
        let later = of("Error performing POST [REDACTED] in 12 ms - Server returned non-2xx status code: 503 Slow Down");
        assert!(matches!(later, Trouble::Passing(_)));
    }
}
