//! What the server's errors mean: whether it is worth asking again, and what people can do.

use std::error::Error as _;

use rustls::CertificateError;
use tokio_postgres::error::{DbError, SqlState};

use crate::state::contract::StoreError;
use crate::state::store::patience::Trouble;

/// What cannot be used as it is. The place is filled in by whoever asked.
pub fn refused(why: &str, help: &str) -> Trouble {
    Trouble::Final(StoreError::Refused { place: String::new(), why: why.into(), help: help.into() })
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Trouble {
        match error.as_db_error() {
            Some(said) => of_server(said),
            None => of_connection(&error),
        }
    }
}

fn of_server(said: &DbError) -> Trouble {
    let code = said.code();
    let words = said.message().to_owned();
    let class = code.code().get(..2).unwrap_or_default();
    let passing = [
        SqlState::ADMIN_SHUTDOWN,
        SqlState::CRASH_SHUTDOWN,
        SqlState::CANNOT_CONNECT_NOW,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
        SqlState::LOCK_NOT_AVAILABLE,
        SqlState::TOO_MANY_CONNECTIONS,
        SqlState::QUERY_CANCELED,
        // Somebody else is making the same tables.
        SqlState::DUPLICATE_SCHEMA,
    ];
    if class == "08" || passing.contains(code) {
        return Trouble::Passing(words);
    }
    if class == "28" {
        return refused(
            &words,
            "give the password in PGPASSWORD or STACKWRIGHT_STATE_URL, for a role that may log in here (`pg_hba.conf`)",
        );
    }
    if *code == SqlState::INVALID_CATALOG_NAME {
        return refused(&words, "create the database, or name another one in the address or in PGDATABASE");
    }
    if *code == SqlState::INSUFFICIENT_PRIVILEGE {
        return refused(&words, "grant it to this role: docs/reliability.md has the statements");
    }
    if *code == SqlState::READ_ONLY_SQL_TRANSACTION {
        return refused(&words, "name the primary in the address, or all servers with `target_session_attrs=read-write`");
    }
    if *code == SqlState::UNIQUE_VIOLATION {
        let what = "an entry stands where the log is said to end".into();
        return Trouble::Final(StoreError::Damaged { place: String::new(), what });
    }
    Trouble::Final(StoreError::Unavailable { what: "write or read the log".into(), why: format!("{words} ({})", code.code()) })
}

fn of_connection(error: &tokio_postgres::Error) -> Trouble {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {text}");
        }
        if let Some(wrong) = wrong_certificate(cause) {
            return refused(&format!("the server's certificate is not accepted: {}", what_is_wrong(wrong)), way_out(wrong));
        }
        source = cause.source();
    }
    if words.contains("server does not support TLS") {
        return refused("the server does not encrypt", "switch TLS on there, or write `sslmode=disable` into the address");
    }
    if words.contains("invalid configuration") || words.contains("password missing") {
        return refused(&words, "give the password in PGPASSWORD or STACKWRIGHT_STATE_URL");
    }
    Trouble::Passing(words)
}

fn wrong_certificate<'e>(cause: &'e (dyn std::error::Error + 'static)) -> Option<&'e CertificateError> {
    let direct = cause.downcast_ref::<rustls::Error>();
    let inside = || cause.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref::<rustls::Error>();
    match direct.or_else(inside)? {
        rustls::Error::InvalidCertificate(wrong) => Some(wrong),
        _ => None,
    }
}

fn what_is_wrong(wrong: &CertificateError) -> String {
    match wrong {
        CertificateError::Expired => "it has expired".into(),
        CertificateError::NotValidYet => "it is not valid yet".into(),
        CertificateError::UnknownIssuer => "it is of no authority that is trusted here".into(),
        CertificateError::NotValidForName => "it names another host".into(),
        other => other.to_string(),
    }
}

fn way_out(wrong: &CertificateError) -> &'static str {
    use CertificateError::*;
    match wrong {
        Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. } => {
            "renew the server's certificate; or set the clock of this machine, if that is wrong"
        }
        NotValidForName | NotValidForNameContext { .. } => {
            "name the server as its certificate does; or write `sslmode=verify-ca` into the address, which looks at no name"
        }
        _ => "trust its authority with PGSSLROOTCERT (a PEM file), or say how much to verify with `sslmode` in the address",
    }
}
