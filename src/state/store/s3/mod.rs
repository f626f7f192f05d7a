//! A log in a bucket of S3, or of any store that speaks its protocol and honours conditions (R2, MinIO and others).
//!
//! What is appended at once is one object, created under the place of its first entry if there is none of that name: of two writers
//! one creates it, and the other hears that it is there. A request whose answer was lost is sent again, and an object that is there
//! already is compared with what was sent. The end of the log is where the next object is missing; a listing and a hint only say where
//! to begin looking. Nothing is ever deleted.

pub mod bucket;
mod layout;
mod probe;
mod restore;
mod trouble;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore, PutMode, PutOptions, PutPayload};
use tokio::sync::OnceCell;

use self::bucket::Bucket;
use self::layout::{Hint, Holds, Layout, Object};
use self::trouble::sorted;
use super::bytes_of;
use super::follows::check_follows;
use super::patience::{Patience, Tell, Trouble};
use super::snapshot::{read_snapshot, snapshot_bytes};
use crate::state::contract::{Batching, Entry, Head, Hold, Liveness, Salvage, Sequence, Snapshot, Store, StoreError, batches};
use crate::world::World;

/// Objects that are read at once.
const READS: usize = 16;
/// See [`S3::part`].
const PART: usize = 4 << 20;
/// How far before a place the batch is looked for that holds it.
const BEFORE: u64 = 1000;
/// Entries between two hints, whoever writes them.
const HINT_EVERY: u64 = 64;

/// One log of a bucket. Nothing is asked of it before the first request.
pub struct S3 {
    objects: Arc<dyn ObjectStore>,
    layout: Layout,
    patience: Patience,
    has_credentials: bool,
    /// That conditions are honoured.
    probed: OnceCell<()>,
    /// The hint, as this process has found it, once it has looked.
    hint: Mutex<Option<Option<Hint>>>,
    known: Mutex<Option<Known>>,
    reads_its_writes: AtomicBool,
    /// Bytes of bodies that one object takes; what is more is in parts.
    part: usize,
}

/// The end of the log, as this process has last read or written it.
#[derive(Clone, Copy)]
struct Known {
    /// The first entry of the last batch.
    first: Sequence,
    end: Head,
}

impl S3 {
    /// The log `log` of a bucket.
    pub fn new(bucket: Bucket, log: &str, world: &World, tell: Tell) -> S3 {
        let layout = Layout::new(&bucket.prefix, log);
        let place = format!("{} ({})", bucket.shown, layout.base());
        S3 {
            objects: bucket.objects,
            layout,
            patience: Patience::new(world, tell, place, bucket.secrets),
            has_credentials: bucket.has_credentials,
            probed: OnceCell::new(),
            hint: Mutex::default(),
            known: Mutex::new(None),
            reads_its_writes: AtomicBool::new(false),
            part: PART,
        }
    }

    fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, first: Sequence, end: Head) {
        let mut known = self.known();
        if known.is_none_or(|known| known.end.sequence < end.sequence) {
            *known = Some(Known { first, end });
        }
    }

    fn damaged(&self, at: Sequence, what: &str) -> StoreError {
        StoreError::Damaged { place: format!("{}, entry {at}", self.patience.place()), what: what.into() }
    }

    /// An object's bytes; `None` where there is none.
    async fn get(&self, path: &Path) -> Result<Option<Bytes>, StoreError> {
        self.patience.request(0, |_| self.get_once(path)).await
    }

    async fn get_once(&self, path: &Path) -> Result<Option<Bytes>, Trouble> {
        let sorted = |error: Error| sorted(&error, self.has_credentials);
        match self.objects.get_opts(path, GetOptions::default()).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(sorted)?)),
            // A bucket that is missing is no empty log.
            Err(error @ Error::NotFound { .. }) if error.to_string().contains("NoSuchBucket") => Err(sorted(error)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(sorted(error)),
        }
    }

    /// The batches that begin after a place, in order, as a listing shows them.
    async fn batches_after(&self, place: Sequence) -> Result<Vec<Sequence>, StoreError> {
        let (dir, offset) = (self.layout.batches(), self.layout.batch(place));
        let asked = |_| async {
            let listed = self.objects.list_with_offset(Some(&dir), &offset);
            let listed: Vec<_> = listed.try_collect().await.map_err(|error: Error| sorted(&error, self.has_credentials))?;
            Ok(listed)
        };
        let listed = self.patience.request(0, asked).await?;
        let mut firsts: Vec<Sequence> = listed.iter().filter_map(|object| self.layout.first(&object.location)).collect();
        firsts.sort_unstable();
        firsts.retain(|first| *first > place);
        Ok(firsts)
    }

    /// The batches from the one on that holds `from`; those that exist where it lies after the end.
    async fn batches_from(&self, from: Sequence) -> Result<Vec<Sequence>, StoreError> {
        let mut before = BEFORE;
        loop {
            let offset = from.saturating_sub(before);
            let firsts = self.batches_after(offset).await?;
            let holder = firsts.partition_point(|first| *first <= from);
            if holder > 0 || offset == 0 {
                return Ok(firsts.get(holder.saturating_sub(1)..).unwrap_or_default().to_vec());
            }
            before = before.saturating_mul(32);
        }
    }

    /// A batch at or before a place, where a listing shows none.
    fn begin_at(&self, place: Sequence, hint: Option<Hint>) -> Sequence {
        let known = self.known().map(|known| known.first);
        [known, hint.map(|hint| hint.first)].into_iter().flatten().filter(|first| *first <= place).max().unwrap_or(1)
    }

    async fn object(&self, first: Sequence) -> Result<Option<Object>, StoreError> {
        let Some(bytes) = self.get(&self.layout.batch(first)).await? else { return Ok(None) };
        layout::object(self.patience.place(), first, &bytes).map(Some)
    }

    async fn batch(&self, first: Sequence) -> Result<Option<Batch>, StoreError> {
        let Some(object) = self.object(first).await? else { return Ok(None) };
        self.whole(object).await.map(Some)
    }

    /// An object with all of its parts.
    async fn whole(&self, Object { previous, end, holds }: Object) -> Result<Batch, StoreError> {
        let firsts = match holds {
            Holds::Entries(entries) => return Ok(Batch { previous, entries }),
            Holds::Parts(firsts) => firsts,
        };
        let mut parts = futures_util::stream::iter(firsts)
            .map(|first| async move { (first, self.get(&self.layout.part(end.hash, first)).await) })
            .buffered(READS);
        let mut entries: Vec<Entry> = Vec::new();
        while let Some((first, bytes)) = parts.next().await {
            let bytes = bytes?.ok_or_else(|| self.damaged(first, "a part of the object is missing"))?;
            let (before, more) = layout::entries(self.patience.place(), first, &bytes)?;
            if before != entries.last().map_or(previous, Entry::hash) {
                return Err(self.damaged(first, "a part of the object does not follow the one before it"));
            }
            entries.extend(more);
        }
        match entries.last().map(Entry::head) == Some(end) {
            true => Ok(Batch { previous, entries }),
            false => Err(self.damaged(end.sequence, "the parts of the object end otherwise than it says")),
        }
    }

    /// The bytes of the object of an append. Where they are too many for one, its parts are made first; parts that an interrupted
    /// append has left are used.
    async fn object_of(&self, expected: Option<Head>, entries: &[Entry]) -> Result<Bytes, StoreError> {
        let too_large = || StoreError::Misuse("an entry that is too large".into());
        let parts: Vec<&[Entry]> = batches(entries, self.part).collect();
        if parts.len() == 1 {
            return layout::batch(expected, entries).map(Bytes::from).ok_or_else(too_large);
        }
        let end = entries.last().expect("it has parts").hash();
        let mut progress = self.patience.progress(bytes_of(entries));
        let mut before = expected;
        for part in &parts {
            let first = part[0].header.sequence;
            let bytes = Bytes::from(layout::batch(before, part).ok_or_else(too_large)?);
            let path = self.layout.part(end, first);
            if !self.create(&path, &bytes, &AtomicBool::new(false)).await? {
                let there = self.get(&path).await?.unwrap_or_default();
                if layout::entries(self.patience.place(), first, &there)?.1 != *part {
                    return Err(self.damaged(first, "a part of this log is there already, and is another"));
                }
            }
            progress.more(bytes_of(part));
            before = part.last().map(Entry::head);
        }
        layout::list_of_parts(expected, entries, &parts).map(Bytes::from).ok_or_else(too_large)
    }

    /// The hint at the end of the log. One that cannot be read is done without.
    async fn hint(&self) -> Result<Option<Hint>, StoreError> {
        let kept = || self.hint.lock().unwrap_or_else(PoisonError::into_inner);
        let known = *kept();
        if let Some(known) = known {
            return Ok(known);
        }
        let found = self.get(&self.layout.hint()).await?.and_then(|bytes| Hint::parse(&bytes));
        *kept() = Some(found);
        Ok(found)
    }

    /// Whether a log that ends there is as long as the hint said that it is.
    fn check_hint(&self, hint: Option<Hint>, end: Option<Head>) -> Result<(), StoreError> {
        match hint {
            Some(hint) if end.is_none_or(|end| end.sequence < hint.head.sequence) => {
                let what = "the log ends before this entry, which was there when the hint at its end was written";
                Err(self.damaged(hint.head.sequence, what))
            }
            Some(hint) if end.is_some_and(|end| end.sequence == hint.head.sequence && end.hash != hint.head.hash) => {
                Err(self.damaged(hint.head.sequence, "the log holds another entry than the hint at its end names"))
            }
            _ => Ok(()),
        }
    }

    /// The end of the log: the last batch that a listing shows, and whatever follows it.
    async fn find_end(&self) -> Result<Option<Known>, StoreError> {
        let hint = self.hint().await?;
        let begin = self.known().map_or_else(|| hint.map_or(1, |hint| hint.first), |known| known.first);
        let firsts = self.batches_after(begin.saturating_sub(1)).await?;
        let mut found: Option<Known> = None;
        let mut next = firsts.last().copied().unwrap_or(begin);
        while let Some(object) = self.object(next).await? {
            if let Some(found) = found
                && object.previous != found.end.hash
            {
                return Err(self.damaged(next, "the object does not follow the one before it"));
            }
            found = Some(Known { first: next, end: object.end });
            next = object.end.sequence + 1;
        }
        let lost = found.is_none() && (begin > 1 || !firsts.is_empty());
        if lost {
            return Err(self.damaged(begin, "an object of the log is missing that was there before"));
        }
        self.check_hint(hint, found.map(|found| found.end))?;
        if let Some(found) = found {
            self.learn(found.first, found.end);
        }
        Ok(found)
    }

    /// The entries from `from` on, as far as they are whole, and what is wrong where they end too early.
    async fn collect(&self, from: Sequence) -> (Vec<Entry>, Option<StoreError>) {
        let mut chain = Chain { from: from.max(1), end: None, first: 1, entries: Vec::new() };
        let damage = self.collect_into(&mut chain).await.err();
        if damage.is_none()
            && let Some(end) = chain.end
        {
            self.learn(chain.first, end);
        }
        (chain.entries, damage)
    }

    async fn collect_into(&self, chain: &mut Chain) -> Result<(), StoreError> {
        let hint = self.hint().await?;
        let firsts = self.batches_from(chain.from).await?;
        if let Some(first) = firsts.first().filter(|first| chain.from == 1 && **first != 1) {
            return Err(self.damaged(1, &format!("the log begins with an object of entry {first}")));
        }
        let mut batches = futures_util::stream::iter(firsts.iter().copied())
            .map(|first| async move { (first, self.batch(first).await) })
            .buffered(READS);
        while let Some((first, batch)) = batches.next().await {
            let batch = batch?.ok_or_else(|| self.damaged(first, "the object is listed, and is not there"))?;
            chain.take(first, batch).map_err(|what| self.damaged(first, what))?;
        }
        drop(batches);
        // What a listing does not show yet is there all the same.
        let mut next = match chain.end {
            Some(end) => end.sequence + 1,
            None => self.begin_at(chain.from, hint),
        };
        while let Some(batch) = self.batch(next).await? {
            chain.take(next, batch).map_err(|what| self.damaged(next, what))?;
            next = chain.end.map_or(next + 1, |end| end.sequence + 1);
        }
        self.check_hint(hint, chain.end)
    }

    /// Creates an object if there is none of that name: whether the one that is there is ours.
    async fn create(&self, path: &Path, bytes: &Bytes, sent: &AtomicBool) -> Result<bool, StoreError> {
        let attempt = |_| async {
            let before = sent.swap(true, Ordering::Relaxed);
            let payload = PutPayload::from_bytes(bytes.clone());
            match self.objects.put_opts(path, payload, PutOptions::from(PutMode::Create)).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => {
                    match self.get_once(path).await? {
                        Some(there) => Ok(before && there == bytes),
                        // Two writes at once were in each other's way, and neither is there.
                        None => Err(Trouble::Passing("another write is under way".into())),
                    }
                }
                Err(error) => Err(sorted(&error, self.has_credentials)),
            }
        };
        self.patience.request(bytes.len(), attempt).await
    }

    /// Writes the hint now and then. It only saves looking: failing is no harm, and nobody waits for a second attempt.
    async fn maybe_hint(&self, first: Sequence, head: Head) {
        if head.sequence / HINT_EVERY > (first - 1) / HINT_EVERY {
            let _ = self.put_once(&self.layout.hint(), Hint { first, head }.bytes().into()).await;
        }
    }

    /// Puts an object of what is derived, whatever is there.
    async fn put_once(&self, path: &Path, bytes: Bytes) -> Result<(), Trouble> {
        let put = self.objects.put_opts(path, PutPayload::from_bytes(bytes), PutOptions::default()).await;
        put.map(drop).map_err(|error| sorted(&error, self.has_credentials))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        let asked = || self.patience.request(0, |_| probe::conditions(&*self.objects, &self.layout, self.has_credentials));
        self.probed.get_or_try_init(asked).await.map(drop)
    }
}

struct Batch {
    /// Hash of the entry before the first.
    previous: crate::model::Digest,
    entries: Vec<Entry>,
}

impl Batch {
    fn end(&self) -> Option<Head> {
        self.entries.last().map(Entry::head)
    }
}

/// Batches that are read in order.
struct Chain {
    from: Sequence,
    end: Option<Head>,
    /// The first entry of the last batch.
    first: Sequence,
    entries: Vec<Entry>,
}

impl Chain {
    fn take(&mut self, first: Sequence, batch: Batch) -> Result<(), &'static str> {
        let follows = match self.end {
            Some(end) => end.sequence + 1 == first && end.hash == batch.previous,
            None => first > 1 || batch.previous == Head::NONE,
        };
        if !follows {
            return Err("the object does not follow the one before it: one is missing, or was exchanged");
        }
        self.end = batch.end();
        self.first = first;
        self.entries.extend(batch.entries.into_iter().filter(|entry| entry.header.sequence >= self.from));
        Ok(())
    }
}

#[async_trait]
impl Store for S3 {
    fn place(&self) -> String {
        self.patience.place().to_owned()
    }

    async fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.find_end().await?.map(|known| known.end))
    }

    async fn append(&self, expected: Option<Head>, entries: Vec<Entry>) -> Result<Head, StoreError> {
        let end = check_follows(expected, &entries)?;
        let first = entries[0].header.sequence;
        self.probe().await?;
        // Only the end of a batch can be the end of the log: inside of one the next name is free, and may not be taken.
        let known = self.known().map(|known| known.end);
        if known != expected || known.is_none() {
            let head = self.find_end().await?.map(|known| known.end);
            if head != expected {
                return Err(StoreError::Moved { head });
            }
        }
        let bytes = self.object_of(expected, &entries).await?;
        let sent = AtomicBool::new(false);
        let path = self.layout.batch(first);
        match self.create(&path, &bytes, &sent).await {
            Ok(true) => {}
            Ok(false) => return Err(StoreError::Moved { head: self.find_end().await?.map(|known| known.end) }),
            Err(StoreError::Unreachable { place, why }) if sent.load(Ordering::Relaxed) => {
                return Err(StoreError::Unanswered { place, why });
            }
            Err(error) => return Err(error),
        }
        if !self.reads_its_writes.swap(true, Ordering::Relaxed) && self.get(&path).await?.as_ref() != Some(&bytes) {
            let why = "it does not keep what a log needs: what was just written is not there when it is read";
            let (why, help) = (why.into(), "use a store that is strongly consistent, or `postgres {}`".into());
            return Err(StoreError::Refused { place: self.place(), why, help });
        }
        self.learn(first, end);
        self.maybe_hint(first, end).await;
        Ok(end)
    }

    async fn read(&self, from: Sequence) -> Result<Vec<Entry>, StoreError> {
        super::whole(self.collect(from).await)
    }

    async fn read_what_is_whole(&self) -> (Vec<Entry>, Option<StoreError>) {
        self.collect(1).await
    }

    async fn entry(&self, at: Sequence) -> Result<Option<Entry>, StoreError> {
        if at == 0 {
            return Ok(None);
        }
        let listed = self.batches_from(at).await?.first().copied().filter(|first| *first <= at);
        let mut first = listed.unwrap_or_else(|| self.begin_at(at, None));
        while first <= at {
            let Some(batch) = self.batch(first).await? else { return Ok(None) };
            let Some(end) = batch.end() else { return Ok(None) };
            if end.sequence >= at {
                return Ok(batch.entries.into_iter().find(|entry| entry.header.sequence == at));
            }
            first = end.sequence + 1;
        }
        Ok(None)
    }

    fn batching(&self) -> Batching {
        Batching::OBJECTS
    }

    async fn hold(&self, _name: &str) -> Result<Box<dyn Hold>, StoreError> {
        Ok(Box::new(Nothing))
    }

    /// A bucket knows no processes: only what a run writes tells.
    async fn liveness(&self, _name: &str) -> Result<Liveness, StoreError> {
        Ok(Liveness::Unknown)
    }

    async fn snapshot(&self) -> Option<Snapshot> {
        let bytes = match self.get(&self.layout.snapshot()).await {
            Ok(bytes) => bytes?,
            Err(error) => {
                self.patience.say_once_more(error);
                return None;
            }
        };
        read_snapshot(&bytes)
    }

    async fn keep_snapshot(&self, snapshot: Snapshot) -> Result<(), StoreError> {
        let bytes = Bytes::from(snapshot_bytes(&snapshot));
        let path = self.layout.snapshot();
        self.patience.request(bytes.len(), |_| self.put_once(&path, bytes.clone())).await
    }

    async fn salvage(&self, known: &[Entry]) -> Result<Salvage, StoreError> {
        self.salvage_objects(known).await
    }

    async fn replace(&self, found: &Salvage, entries: Vec<Entry>, snapshot: Option<Snapshot>) -> Result<String, StoreError> {
        self.mend(found, &entries, snapshot.as_ref()).await
    }
}

struct Nothing;

impl Hold for Nothing {}
