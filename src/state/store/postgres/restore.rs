//! A log that is put in the place of another: in one transaction, in which the rows that were there get another name, and the new ones
//! are read back before they stand. It takes the owner of the tables: whoever applies has no right to alter an entry.
//!
//! The head moves with it, so a run that holds on to the log as it was finds that the head is another, and appends nothing more.

use std::sync::{Mutex, PoisonError};

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::rows::{Chain, Walk, damaged};
use super::{BATCH, CHUNK, Postgres};
use crate::state::contract::{Entry, Head, Salvage, Snapshot, StoreError, StoreId, batches};
use crate::state::store::bytes_of;
use crate::state::store::follows::check_follows;
use crate::state::store::patience::Trouble;
use crate::state::store::snapshot::snapshot_bytes;

impl Postgres {
    /// What can still be read.
    pub(super) async fn salvage_rows(&self, known: &[Entry]) -> Result<Salvage, StoreError> {
        let asked = |_| async {
            let lent = self.connect().await?;
            let head = match self.head_alone(&lent, "").await {
                Err(Trouble::Final(StoreError::Damaged { .. })) => None,
                head => head?,
            };
            lent.give_back();
            Ok(head)
        };
        let head = self.patience.request(0, asked).await?;
        // Rows do not say of which store they are: only the head does, or whoever knows the log.
        let of_known = known.first().map_or(StoreId([0; 16]), |entry| entry.header.store);
        let mut walk = Walk::new(head.as_ref().map_or(of_known, |head| head.store), known);
        loop {
            let begin = walk.next;
            let (rows, more) = self.rows_from(begin).await?;
            rows.iter().for_each(|row| walk.take(row));
            if !more || walk.next <= begin {
                let is_there = head.is_some() || walk.next > 1;
                let said = head.as_ref().map(|head| head.head.sequence);
                return Ok(Salvage { exists: is_there, store: head.map(|head| head.store), said, ..walk.found });
            }
        }
    }

    /// Puts a log in the place of what was found; gives the name under which that is kept.
    pub(super) async fn put_in_place(
        &self,
        found: &Salvage,
        entries: &[Entry],
        snapshot: Option<&Snapshot>,
    ) -> Result<String, StoreError> {
        let end = check_follows(None, entries)?;
        let kept = Mutex::new(String::new());
        let kept = || kept.lock().unwrap_or_else(PoisonError::into_inner);
        let attempt = |number: u32| async move {
            let mut lent = self.connect().await?;
            self.make_tables(&mut lent).await?;
            // The answer of the attempt before was lost, and not what it did.
            if number > 0 && self.head_alone(&lent, "").await?.is_some_and(|row| row.head == end) {
                lent.give_back();
                return Ok(Ok(()));
            }
            self.patience.part(0, lent.batch_execute("BEGIN")).await?;
            let now = self.patience.part(0, self.head_alone(&lent, "FOR UPDATE")).await?.map(|row| row.head);
            if now.map(|head| head.sequence) != found.said {
                return Ok(Err(now));
            }
            *kept() = self.put_aside(&lent).await?;
            self.write_whole(&lent, end, entries, snapshot).await?;
            self.patience.part(0, lent.batch_execute("COMMIT")).await?;
            lent.give_back();
            Ok(Ok(()))
        };
        match self.patience.request(bytes_of(entries), attempt).await {
            Ok(Ok(())) => Ok(kept().clone()),
            Ok(Err(head)) => Err(StoreError::Moved { head }),
            Err(StoreError::Refused { place, why, .. }) if why.contains("permission denied") => {
                let help =
                    "name the owner of the tables in STACKWRIGHT_STATE_URL or PGUSER: whoever applies may not put a log aside";
                Err(StoreError::Refused { place, why, help: help.into() })
            }
            Err(error) => Err(error),
        }
    }

    /// The rows of the log get another name, which is the first that is free.
    async fn put_aside(&self, client: &Client) -> Result<String, Trouble> {
        let (head, entry, snapshot) = (self.table("head"), self.table("entry"), self.table("snapshot"));
        let named = |number: u32| format!("{}.aside-{number}", self.log);
        let mut number = 1;
        loop {
            let name = named(number);
            let sql = format!("SELECT 1 FROM {entry} WHERE log = $1 UNION ALL SELECT 1 FROM {head} WHERE log = $1 LIMIT 1");
            if client.query_typed_opt(&sql, &[(&name, Type::TEXT)]).await?.is_none() {
                break;
            }
            number += 1;
        }
        let name = named(number);
        let mut moved = 0;
        for table in [&entry, &head, &snapshot] {
            let sql = format!("UPDATE {table} SET log = $2 WHERE log = $1");
            moved += client.execute_typed(&sql, &[(&self.log, Type::TEXT), (&name, Type::TEXT)]).await?;
        }
        let kept = format!("the same tables, as log {name}");
        Ok(if moved == 0 { String::new() } else { kept })
    }

    /// Writes a log where none is, within a transaction, and reads it back.
    async fn write_whole(
        &self,
        client: &Client,
        end: Head,
        entries: &[Entry],
        snapshot: Option<&Snapshot>,
    ) -> Result<(), Trouble> {
        let parts: Vec<&[Entry]> = batches(entries, BATCH).collect();
        let [first, rest @ ..] = &parts[..] else { return Err(damaged("nothing to put there")) };
        if !self.patience.part(bytes_of(first), self.insert_first(client, None, end, first)).await? {
            return Err(Trouble::Passing("somebody begins a log at the same time".into()));
        }
        self.insert_rest(client, &self.log, rest).await?;
        if let Some(snapshot) = snapshot {
            let sql = format!("INSERT INTO {} (log, sequence, bytes) VALUES ($1, $2, $3)", self.table("snapshot"));
            let (sequence, bytes) = (snapshot.head.sequence.cast_signed(), snapshot_bytes(snapshot));
            let parameters: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 3] =
                [(&self.log, Type::TEXT), (&sequence, Type::INT8), (&&bytes[..], Type::BYTEA)];
            self.patience.part(bytes.len(), client.execute_typed(&sql, &parameters)).await?;
        }
        let differs = || damaged("what was just written there reads otherwise");
        let head = self.head_alone(client, "").await?.filter(|row| row.head == end).ok_or_else(differs)?;
        let mut chain = Chain::from(1);
        loop {
            let rows = self.patience.part(BATCH, self.rows_on(client, chain.next_row(), CHUNK)).await?;
            for row in &rows {
                chain.take(row, &head, "")?;
            }
            if (rows.len() as i64) < CHUNK {
                break;
            }
        }
        if chain.entries == entries { Ok(()) } else { Err(differs()) }
    }
}
