//! The tables, and how they come to be.
//!
//! ```text
//! version    one row for each step that was applied
//! head       one row for each log: its end, who wrote last and in which format
//! entry      the entries; the chain's other halves (previous hash, hash of the body) follow from them
//! snapshot   derived: the view of each log at some entry
//! ```
//!
//! Nothing is made before the first append, so that whoever only reads needs no right to make anything. Steps are applied in one
//! transaction under a lock of that transaction, by whoever appends first; a newer schema than this program knows is refused.

use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use crate::state::store::patience::Trouble;

/// A quoted name.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether a schema can be called so.
pub fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 63 && !name.starts_with("pg_") && !name.contains('\0')
}

/// The steps, oldest first. A step is never changed once it was released; `$` stands for the schema.
pub const STEPS: &[&str] = &["
    CREATE TABLE $.head (
        log text PRIMARY KEY,
        store bytea NOT NULL CHECK (length(store) = 16),
        sequence bigint NOT NULL CHECK (sequence > 0),
        hash bytea NOT NULL CHECK (length(hash) = 32),
        format_major integer NOT NULL,
        format_minor integer NOT NULL,
        engine text NOT NULL
    );
    CREATE TABLE $.entry (
        log text NOT NULL,
        sequence bigint NOT NULL CHECK (sequence > 0),
        hash bytea NOT NULL CHECK (length(hash) = 32),
        format_major integer NOT NULL,
        format_minor integer NOT NULL,
        epoch bigint NOT NULL,
        run bigint NOT NULL,
        time_ms bigint NOT NULL,
        kind text NOT NULL,
        body bytea NOT NULL,
        PRIMARY KEY (log, sequence)
    );
    ALTER TABLE $.entry ALTER COLUMN body SET STORAGE EXTERNAL;
    CREATE TABLE $.snapshot (
        log text PRIMARY KEY,
        sequence bigint NOT NULL,
        bytes bytea NOT NULL
    );
    ALTER TABLE $.snapshot ALTER COLUMN bytes SET STORAGE EXTERNAL;
"];

/// What the server and the schema are, as a connection finds them.
pub struct Facts {
    pub standby: bool,
    pub synchronous_commit: String,
    pub fsync: String,
    /// Steps that were applied; 0 where there is no schema.
    pub version: usize,
}

pub async fn facts(client: &tokio_postgres::Client, schema: &str) -> Result<Facts, Trouble> {
    let about = client
        .query_typed_one("SELECT pg_is_in_recovery(), current_setting('synchronous_commit'), current_setting('fsync')", &[])
        .await?;
    Ok(Facts {
        standby: about.try_get(0)?,
        synchronous_commit: about.try_get(1)?,
        fsync: about.try_get(2)?,
        version: version(client, schema).await?,
    })
}

async fn version(client: &tokio_postgres::Client, schema: &str) -> Result<usize, Trouble> {
    let newest = client.query_typed_one(&format!("SELECT max(step) FROM {}.version", quoted(schema)), &[]).await;
    match newest {
        Ok(row) => Ok(row.try_get::<_, Option<i32>>(0)?.and_then(|step| usize::try_from(step).ok()).unwrap_or(0)),
        Err(error) if is_missing(&error) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

/// Whether there is no such table or schema.
pub fn is_missing(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| *code == SqlState::UNDEFINED_TABLE || *code == SqlState::INVALID_SCHEMA_NAME)
}

/// Applies the steps that are missing, and gives how many there are then: more than [`STEPS`] where somebody newer was here.
pub async fn migrate(client: &mut tokio_postgres::Client, schema: &str) -> Result<usize, Trouble> {
    let transaction = client.transaction().await?;
    transaction
        .query_typed("SELECT pg_advisory_xact_lock(hashtextextended('stackwright schema ' || $1, 0))", &[(&schema, Type::TEXT)])
        .await?;
    // `IF NOT EXISTS` asks for the right to create schemas even where there is nothing to create.
    let there = transaction.query_typed("SELECT 1 FROM pg_namespace WHERE nspname = $1", &[(&schema, Type::TEXT)]).await?;
    let quoted = quoted(schema);
    if there.is_empty() {
        transaction.batch_execute(&format!("CREATE SCHEMA {quoted}")).await?;
    }
    let table = "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                 WHERE n.nspname = $1 AND c.relname = 'version'";
    let done = if transaction.query_typed(table, &[(&schema, Type::TEXT)]).await?.is_empty() {
        let sql = format!(
            "CREATE TABLE {quoted}.version (step integer PRIMARY KEY, applied timestamptz NOT NULL DEFAULT now(), engine text NOT NULL)"
        );
        transaction.batch_execute(&sql).await?;
        0
    } else {
        let newest = transaction.query_typed_one(&format!("SELECT coalesce(max(step), 0) FROM {quoted}.version"), &[]).await?;
        usize::try_from(newest.try_get::<_, i32>(0)?).unwrap_or(0)
    };
    for (at, step) in STEPS.iter().enumerate().skip(done) {
        transaction.batch_execute(&step.replace('$', &quoted)).await?;
        let number = i32::try_from(at + 1).expect("steps are few");
        let sql = format!("INSERT INTO {quoted}.version (step, engine) VALUES ($1, $2)");
        transaction.execute_typed(&sql, &[(&number, Type::INT4), (&env!("CARGO_PKG_VERSION"), Type::TEXT)]).await?;
    }
    transaction.commit().await?;
    Ok(done.max(STEPS.len()))
}
