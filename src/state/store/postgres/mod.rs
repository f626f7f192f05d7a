//! A log in a PostgreSQL database, shared by everybody who reaches it.
//!
//! An append is one statement, so one transaction: it moves the head if the head is the one that was expected, and inserts the
//! entries if it moved. A whole log that is brought at once is several statements of one transaction. There are no session locks, which vanish on a failover and behind poolers, and nothing that a lost
//! connection leaves half done. A statement whose answer was lost is sent again: it finds its own entries, or room for them, or
//! those of somebody else.

pub mod address;
mod restore;
mod rows;
mod schema;
mod tls;
mod trouble;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod};
use tokio_postgres::types::Type;
use tokio_postgres::{NoTls, Row};

use self::address::Address;
use self::rows::{Columns, HeadRow, Parameter};
use self::schema::{STEPS, is_missing, quoted};
use self::tls::Verify;
use super::bytes_of;
use super::follows::check_follows;
use super::patience::{Patience, Tell, Trouble};
use super::snapshot::{read_snapshot, snapshot_bytes};
use crate::state::contract::{Entry, Head, Hold, Liveness, Salvage, Sequence, Snapshot, Store, StoreError, batches};
use crate::world::World;

/// Connections at once, of one process.
const CONNECTIONS: usize = 4;
/// Entries that are asked for at once.
const CHUNK: i64 = 4096;
/// Bytes of bodies in one statement. What is appended at once and is more goes in several, of one transaction: the server takes
/// no message of more than 1 GiB, and what takes long should be heard of.
const BATCH: usize = 4 << 20;

/// One log of a database. Nothing is asked of the server before the first request.
pub struct Postgres {
    pool: Pool,
    patience: Patience,
    schema: String,
    /// Stack and environment: a database holds many logs.
    log: String,
    /// Steps of the schema that the last connection found.
    version: AtomicUsize,
    /// The server was told not to wait for its disk.
    careless: AtomicBool,
}

impl Postgres {
    /// The log `log` in the tables of `schema`.
    ///
    /// Errors: [`StoreError::Refused`] where the address cannot be used.
    pub fn new(address: Address, schema: &str, log: &str, world: &World, tell: Tell) -> Result<Postgres, StoreError> {
        let place = format!("{} ({schema}, {log})", address.shown);
        let refused = |why: String, help: &str| StoreError::Refused { place: place.clone(), why, help: help.into() };
        if !schema::is_name(schema) {
            let why = format!("no schema can be called `{}`", schema.escape_debug());
            return Err(refused(why, "give it a name such as `stackwright`"));
        }
        let manage = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = match address.verify {
            Verify::Off => Manager::from_config(address.config, NoTls, manage),
            verify => {
                let connector = tls::connector(verify, address.roots.as_deref());
                let help = "certificates are verified by default: `sslmode` in the address says otherwise";
                Manager::from_config(address.config, connector.map_err(|why| refused(why, help))?, manage)
            }
        };
        let pool = Pool::builder(manager).max_size(CONNECTIONS).build();
        let pool = pool.map_err(|error| refused(error.to_string(), "this is a bug of stackwright: please report it"))?;
        Ok(Postgres {
            pool,
            patience: Patience::new(world, tell, place, address.secrets),
            schema: schema.into(),
            log: log.into(),
            version: AtomicUsize::new(0),
            careless: AtomicBool::new(false),
        })
    }

    fn table(&self, name: &str) -> String {
        format!("{}.{name}", quoted(&self.schema))
    }

    /// A connection, which was looked at when it was made: after a failover it may lead to another server than the last.
    async fn connect(&self) -> Result<Lent, Trouble> {
        let object = self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => Trouble::from(error),
            other => Trouble::Passing(other.to_string()),
        })?;
        let is_new = Object::metrics(&object).recycle_count == 0;
        let lent = Lent { object: Some(object) };
        if is_new {
            self.look_at(&lent).await?;
        }
        Ok(lent)
    }

    async fn look_at(&self, client: &tokio_postgres::Client) -> Result<(), Trouble> {
        let facts = schema::facts(client, &self.schema).await?;
        let refuse = |why: &str, help: &str| Err(trouble::refused(why, help));
        if facts.standby {
            return refuse(
                "the server is a standby, which nobody can write to",
                "name the primary in the address, or all of them with `target_session_attrs=read-write`",
            );
        }
        if facts.synchronous_commit == "off" {
            return refuse(
                "the server would confirm entries before they are durable: `synchronous_commit` is off",
                "switch it on for this role: `ALTER ROLE … SET synchronous_commit = on`",
            );
        }
        if facts.version > STEPS.len() {
            let why = format!(
                "the tables in `{}` were made by a newer stackwright (step {}, this one knows {})",
                self.schema,
                facts.version,
                STEPS.len()
            );
            return refuse(&why, "install that version or a later one");
        }
        self.version.store(facts.version, Ordering::Relaxed);
        self.careless.store(facts.fsync == "off", Ordering::Relaxed);
        Ok(())
    }

    /// The tables of this version, where they are not there yet.
    async fn make_tables(&self, lent: &mut Lent) -> Result<(), Trouble> {
        if self.version.load(Ordering::Relaxed) < STEPS.len() {
            let version = schema::migrate(lent.client(), &self.schema).await?;
            self.version.store(version, Ordering::Relaxed);
            self.look_at(lent).await?;
        }
        Ok(())
    }

    /// What the head says, whatever else there is.
    async fn head_alone(&self, client: &tokio_postgres::Client, lock: &str) -> Result<Option<HeadRow>, Trouble> {
        let head = self.table("head");
        let sql = format!("SELECT store, sequence, hash, format_major, format_minor, engine FROM {head} WHERE log = $1 {lock}");
        match client.query_typed_opt(&sql, &[(&self.log, Type::TEXT)]).await {
            Ok(found) => found.map(|row| HeadRow::of(&row)).transpose(),
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn head_row(&self, client: &tokio_postgres::Client) -> Result<Option<HeadRow>, Trouble> {
        let (head, entry) = (self.table("head"), self.table("entry"));
        if let Some(row) = self.head_alone(client, "").await? {
            return Ok(Some(row));
        }
        // Both are made together: entries without a head are what is left of a log.
        let sql = format!("SELECT 1 FROM {entry} WHERE log = $1 LIMIT 1");
        match client.query_typed_opt(&sql, &[(&self.log, Type::TEXT)]).await {
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error.into()),
            Ok(None) => Ok(None),
            // Unless they were made between the two questions.
            Ok(Some(_)) => {
                let sql = format!("SELECT 1 FROM {head} WHERE log = $1");
                match client.query_typed_opt(&sql, &[(&self.log, Type::TEXT)]).await? {
                    Some(_) => Err(Trouble::Passing("the log was just begun".into())),
                    None => Err(rows::damaged("there are entries, and no head")),
                }
            }
        }
    }

    /// Sends entries, whole or not at all, as others see it; whether they were written, which they are not where the head is another
    /// than the expected one.
    async fn insert(
        &self,
        client: &tokio_postgres::Client,
        expected: Option<Head>,
        end: Head,
        batches: &[&[Entry]],
    ) -> Result<bool, Trouble> {
        let [first, rest @ ..] = batches else { return Ok(false) };
        if rest.is_empty() {
            return self.insert_first(client, expected, end, first).await;
        }
        self.patience.part(0, client.batch_execute("BEGIN")).await?;
        // The head as it will be: nobody sees it before the end, and whoever wants to move it meanwhile waits.
        let is_moved = self.patience.part(bytes_of(first), self.insert_first(client, expected, end, first)).await?;
        if is_moved {
            self.insert_rest(client, &self.log, rest).await?;
        }
        self.patience.part(0, client.batch_execute(if is_moved { "COMMIT" } else { "ROLLBACK" })).await?;
        Ok(is_moved)
    }

    /// Moves the head, if it is the expected one, and writes the entries of the first statement.
    async fn insert_first(
        &self,
        client: &tokio_postgres::Client,
        expected: Option<Head>,
        end: Head,
        entries: &[Entry],
    ) -> Result<bool, Trouble> {
        let columns = &Columns::of(entries);
        let (head, entry) = (self.table("head"), self.table("entry"));
        let insert = format!(
            "INSERT INTO {entry} (log, sequence, hash, format_major, format_minor, epoch, run, time_ms, kind, body)
             SELECT $1, new.* FROM moved, unnest($7::bigint[], $8::bytea[], $9::int[], $10::int[], $11::bigint[], $12::bigint[],
                                                 $13::bigint[], $14::text[], $15::bytea[]) new"
        );
        let moved = match expected {
            Some(_) => format!(
                "UPDATE {head} SET sequence = $2, hash = $3, format_major = $9[1], format_minor = $10[1], engine = $4
                 WHERE log = $1 AND sequence = $5 AND hash = $6 RETURNING 1"
            ),
            None => format!(
                "INSERT INTO {head} (log, sequence, hash, engine, format_major, format_minor, store)
                 SELECT $1, $2, $3, $4, $9[1], $10[1], $6 WHERE $5::bigint = 0
                 ON CONFLICT (log) DO NOTHING RETURNING 1"
            ),
        };
        let sql = format!("WITH moved AS ({moved}) {insert}");
        let sequence = end.sequence.cast_signed();
        let (before, hash): (i64, &[u8]) = match &expected {
            Some(head) => (head.sequence.cast_signed(), &head.hash.0),
            None => (0, columns.store),
        };
        let own: [Parameter<'_>; 6] = [
            (&self.log, Type::TEXT),
            (&sequence, Type::INT8),
            (&&end.hash.0[..], Type::BYTEA),
            (&env!("CARGO_PKG_VERSION"), Type::TEXT),
            (&before, Type::INT8),
            (&hash, Type::BYTEA),
        ];
        let parameters: Vec<Parameter<'_>> = own.into_iter().chain(columns.parameters()).collect();
        Ok(client.execute_typed(&sql, &parameters).await? > 0)
    }

    /// Writes further entries of a transaction whose head stands.
    async fn insert_rest(&self, client: &tokio_postgres::Client, log: &str, batches: &[&[Entry]]) -> Result<(), Trouble> {
        let sql = format!(
            "INSERT INTO {} (log, sequence, hash, format_major, format_minor, epoch, run, time_ms, kind, body)
             SELECT $1, new.* FROM unnest($2::bigint[], $3::bytea[], $4::int[], $5::int[], $6::bigint[], $7::bigint[],
                                          $8::bigint[], $9::text[], $10::bytea[]) new",
            self.table("entry")
        );
        let mut progress = self.patience.progress(batches.iter().map(|batch| bytes_of(batch)).sum());
        for batch in batches {
            let columns = Columns::of(batch);
            let log: [Parameter<'_>; 1] = [(&log, Type::TEXT)];
            let parameters: Vec<Parameter<'_>> = log.into_iter().chain(columns.parameters()).collect();
            self.patience.part(bytes_of(batch), client.execute_typed(&sql, &parameters)).await?;
            progress.more(bytes_of(batch));
        }
        Ok(())
    }

    /// Whose the entry at the end of an append is that found the head elsewhere: `Ok` where it is ours, from an attempt whose
    /// answer was lost.
    async fn whose(&self, client: &tokio_postgres::Client, end: Head) -> Result<Result<(), Option<Head>>, Trouble> {
        let sql = format!("SELECT hash FROM {} WHERE log = $1 AND sequence = $2", self.table("entry"));
        let sequence = end.sequence.cast_signed();
        let found = client.query_typed_opt(&sql, &[(&self.log, Type::TEXT), (&sequence, Type::INT8)]).await?;
        if let Some(row) = found
            && row.try_get::<_, &[u8]>(0)? == end.hash.0
        {
            return Ok(Ok(()));
        }
        Ok(Err(self.head_row(client).await?.map(|row| row.head)))
    }

    /// The entries from `from` on, as far as they are whole, and what is wrong where they end too early.
    async fn collect(&self, from: Sequence) -> (Vec<Entry>, Option<StoreError>) {
        let mut chain = rows::Chain::from(from.max(1));
        let damage = self.collect_into(&mut chain).await.err();
        (chain.entries, damage)
    }

    async fn collect_into(&self, chain: &mut rows::Chain) -> Result<(), StoreError> {
        let asked = |_| async {
            let lent = self.connect().await?;
            let head = self.head_row(&lent).await?;
            lent.give_back();
            Ok(head)
        };
        let Some(head) = self.patience.request(0, asked).await? else { return Ok(()) };
        loop {
            // One before the first is asked for, since only it knows what the first follows.
            let (rows, more) = self.rows_from(chain.next_row()).await?;
            for row in &rows {
                chain.take(row, &head, self.patience.place())?;
            }
            if !more {
                return chain.reaches(&head, self.patience.place());
            }
        }
    }

    /// Some rows from a place on, and whether there may be more.
    async fn rows_from(&self, begin: Sequence) -> Result<(Vec<Row>, bool), StoreError> {
        let asked = |number: u32| async move {
            // What took too long may be too much at once.
            let chunk = (CHUNK >> (2 * number.min(6))).max(1);
            let lent = self.connect().await?;
            let rows = self.rows_on(&lent, begin, chunk).await?;
            lent.give_back();
            let more = rows.len() as i64 == chunk;
            Ok((rows, more))
        };
        self.patience.request(0, asked).await
    }

    async fn rows_on(&self, client: &tokio_postgres::Client, begin: Sequence, chunk: i64) -> Result<Vec<Row>, Trouble> {
        let sql = format!(
            "SELECT sequence, hash, format_major, format_minor, epoch, run, time_ms, kind, body FROM {}
             WHERE log = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3",
            self.table("entry")
        );
        let begin = begin.cast_signed();
        let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
            [(&self.log, Type::TEXT), (&begin, Type::INT8), (&chunk, Type::INT8)];
        match client.query_typed(&sql, &parameters).await {
            Err(error) if is_missing(&error) => Ok(Vec::new()),
            rows => Ok(rows?),
        }
    }
}

#[async_trait]
impl Store for Postgres {
    fn place(&self) -> String {
        self.patience.place().to_owned()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        let asked = |_| async {
            let lent = self.connect().await?;
            let head = self.head_row(&lent).await?;
            lent.give_back();
            Ok(head.map(|row| row.head))
        };
        self.patience.request(0, asked).await
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        let end = check_follows(expected, &entries)?;
        let batches: Vec<&[Entry]> = batches(&entries, BATCH).collect();
        let sent = AtomicBool::new(false);
        let attempt = |_| {
            let (batches, sent) = (&batches, &sent);
            async move {
                let mut lent = self.connect().await?;
                self.make_tables(&mut lent).await?;
                let before = sent.swap(true, Ordering::Relaxed);
                let done = match self.insert(&lent, expected, end, batches).await? {
                    true => Ok(()),
                    false if before => self.whose(&lent, end).await?,
                    false => Err(self.head_row(&lent).await?.map(|row| row.head)),
                };
                lent.give_back();
                Ok(done)
            }
        };
        match self.patience.request(bytes_of(&entries), attempt).await {
            Ok(Ok(())) => Ok(end),
            Ok(Err(head)) => Err(StoreError::Moved { head }),
            Err(StoreError::Unreachable { place, why }) if sent.load(Ordering::Relaxed) => {
                Err(StoreError::Unanswered { place, why })
            }
            Err(error) => Err(error),
        }
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        super::whole(self.collect(from).await)
    }

    async fn read_what_is_whole(&self) -> (Vec<Entry>, Option<StoreError>) {
        self.collect(1).await
    }

    async fn entry(&self, at: Sequence) -> Result<Option<Entry>, StoreError> {
        let Some(before) = at.checked_sub(1) else { return Ok(None) };
        let sql = format!(
            "SELECT sequence, hash, format_major, format_minor, epoch, run, time_ms, kind, body FROM {}
             WHERE log = $1 AND sequence IN ($2, $3) ORDER BY sequence",
            self.table("entry")
        );
        let (before, at_row) = (before.cast_signed(), at.cast_signed());
        let asked = |_| {
            let sql = &sql;
            async move {
                let lent = self.connect().await?;
                let Some(head) = self.head_row(&lent).await? else { return Ok(None) };
                let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
                    [(&self.log, Type::TEXT), (&before, Type::INT8), (&at_row, Type::INT8)];
                let rows = lent.query_typed(sql, &parameters).await?;
                lent.give_back();
                Ok(Some((head, rows)))
            }
        };
        let Some((head, rows)) = self.patience.request(0, asked).await? else { return Ok(None) };
        let mut chain = rows::Chain::from(at);
        for row in &rows {
            chain.take(row, &head, self.patience.place())?;
        }
        Ok(chain.entries.pop())
    }

    async fn hold(&self, _name: &str) -> Result<Box<dyn Hold>, StoreError> {
        Ok(Box::new(Nothing))
    }

    /// A server cannot tell a run that is gone from one whose network is: only what the run writes tells.
    async fn liveness(&self, _name: &str) -> Result<Liveness, StoreError> {
        Ok(Liveness::Unknown)
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        let sql = format!("SELECT bytes FROM {} WHERE log = $1", self.table("snapshot"));
        let asked = |_| {
            let sql = &sql;
            async move {
                let lent = self.connect().await?;
                let found = match lent.query_typed_opt(sql, &[(&self.log, Type::TEXT)]).await {
                    Err(error) if is_missing(&error) => None,
                    found => found?,
                };
                lent.give_back();
                Ok(found)
            }
        };
        match self.patience.request(0, asked).await {
            Ok(row) => read_snapshot(row?.try_get(0).ok()?),
            Err(error) => {
                self.patience.say_once_more(error);
                None
            }
        }
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let bytes = snapshot_bytes(&snapshot);
        let sequence = snapshot.head.sequence.cast_signed();
        let table = self.table("snapshot");
        let sql = format!(
            "INSERT INTO {table} AS old (log, sequence, bytes) VALUES ($1, $2, $3) ON CONFLICT (log)
             DO UPDATE SET sequence = excluded.sequence, bytes = excluded.bytes WHERE excluded.sequence >= old.sequence"
        );
        let asked = |_| {
            let (sql, bytes) = (&sql, &bytes);
            async move {
                let lent = self.connect().await?;
                let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
                    [(&self.log, Type::TEXT), (&sequence, Type::INT8), (&&bytes[..], Type::BYTEA)];
                lent.execute_typed(sql, &parameters).await?;
                lent.give_back();
                Ok(())
            }
        };
        self.patience.request(bytes.len(), asked).await
    }

    async fn salvage(&self, known: &[Entry]) -> Result<Salvage, StoreError> {
        self.salvage_rows(known).await
    }

    async fn replace(&self, found: &Salvage, entries: Vec<Entry>, snapshot: Option<Snapshot>) -> Result<String, StoreError> {
        self.put_in_place(found, &entries, snapshot.as_ref()).await
    }

    async fn remarks(&self) -> Result<Vec<String>, StoreError> {
        self.head().await?;
        let careless = "the server runs with `fsync = off`: a power cut may lose entries that it has confirmed";
        Ok(self.careless.load(Ordering::Relaxed).then(|| careless.to_owned()).into_iter().collect())
    }
}

/// A connection of the pool. One on which something failed, or that nobody waits for any more, does not go back: an answer may be
/// under way on it.
struct Lent {
    object: Option<Object>,
}

impl Lent {
    fn client(&mut self) -> &mut tokio_postgres::Client {
        self.object.as_mut().expect("it was not given back")
    }

    fn give_back(mut self) {
        drop(self.object.take());
    }
}

impl std::ops::Deref for Lent {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        self.object.as_ref().expect("it was not given back")
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

struct Nothing;

impl Hold for Nothing {}
