//! Orders, kept in PostgreSQL.

use std::error::Error;
use std::time::Duration;

use postgres::{Client, Config, NoTls, Row};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(2);

/// Instances start side by side, and `if not exists` alone does not keep two of them from making the table at the same moment.
const TABLE: &str = "
    begin;
    select pg_advisory_xact_lock(7361);
    create table if not exists orders (
        id        bigint generated always as identity primary key,
        item      text not null,
        placed_at timestamptz not null default now()
    );
    commit";

const FIELDS: &str = r#"id, item, to_char(placed_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')"#;

/// A connection that is made when it is first needed, and again after the server was away.
pub struct Orders {
    config: Config,
    client: Option<Client>,
}

impl Orders {
    pub fn new(mut config: Config) -> Orders {
        config.connect_timeout(PATIENCE).application_name("shop-api");
        Orders { config, client: None }
    }

    pub fn ping(&mut self) -> Result<(), String> {
        self.run(|_| Ok(()))
    }

    pub fn count(&mut self) -> Result<i64, String> {
        self.run(|client| Ok(client.query_one("select count(*) from orders", &[])?.get(0)))
    }

    pub fn last(&mut self, how_many: i64) -> Result<Vec<Value>, String> {
        let text = format!("select {FIELDS} from orders order by id desc limit $1");
        self.run(|client| Ok(client.query(&text, &[&how_many])?.iter().map(order).collect()))
    }

    pub fn place(&mut self, item: &str) -> Result<Value, String> {
        let text = format!("insert into orders (item) values ($1) returning {FIELDS}");
        self.run(|client| Ok(order(&client.query_one(&text, &[&item])?)))
    }

    fn run<T>(&mut self, work: impl FnOnce(&mut Client) -> Result<T, postgres::Error>) -> Result<T, String> {
        self.live().and_then(work).map_err(|error| format!("PostgreSQL: {}", with_causes(&error)))
    }

    /// Asks the connection before it is used, so that a dead one is replaced before a statement leaves: an insert that failed half-way
    /// is never sent twice.
    fn live(&mut self) -> Result<&mut Client, postgres::Error> {
        let kept = self.client.take();
        let alive = kept.and_then(|mut client| client.is_valid(PATIENCE).is_ok().then_some(client));
        let client = alive.map_or_else(|| connect(&self.config), Ok)?;
        Ok(self.client.insert(client))
    }
}

fn connect(config: &Config) -> Result<Client, postgres::Error> {
    let mut client = config.connect(NoTls)?;
    client.batch_execute(TABLE)?;
    Ok(client)
}

fn order(row: &Row) -> Value {
    json!({ "id": row.get::<_, i64>(0), "item": row.get::<_, String>(1), "placed_at": row.get::<_, String>(2) })
}

/// The reasons from the outermost in: the library's own sentence stops at "error connecting to server".
fn with_causes(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words += &format!(": {error}");
        cause = error.source();
    }
    words
}
