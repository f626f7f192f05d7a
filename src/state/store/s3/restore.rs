//! What a restore does in a bucket: it adds the objects that are missing, where the chain has a place for them. Nothing is deleted or
//! written over, so what stands in the way (an object that is damaged, or of another branch) is named, for somebody to take away who
//! has the right to.
//!
//! Runs that are under way are not disturbed by that: what they know of the log is what it is again.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use futures_util::StreamExt as _;

use super::layout::Hint;
use super::{Batch, READS, S3};
use crate::model::Digest;
use crate::state::contract::{Entry, Head, Salvage, Sequence, Snapshot, StoreError};
use crate::state::store::follows::check_follows;
use crate::state::store::snapshot::snapshot_bytes;

/// Objects that a message names.
const NAMED: usize = 4;

impl S3 {
    /// Every object of the log by the place in its name; `None` where it cannot be read for what it should be.
    async fn objects_there(&self) -> Result<Vec<(Sequence, Option<Batch>)>, StoreError> {
        let firsts = self.batches_after(0).await?;
        let mut reads =
            futures_util::stream::iter(firsts).map(|first| async move { (first, self.batch(first).await) }).buffered(READS);
        let mut there = Vec::new();
        while let Some((first, batch)) = reads.next().await {
            match batch {
                Ok(Some(batch)) => there.push((first, Some(batch))),
                Ok(None) => {}
                Err(StoreError::Damaged { .. }) => there.push((first, None)),
                Err(error) => return Err(error),
            }
        }
        Ok(there)
    }

    /// What can still be read.
    pub(super) async fn salvage_objects(&self, known: &[Entry]) -> Result<Salvage, StoreError> {
        let hint = self.hint().await?;
        let there = self.objects_there().await?;
        let mut hashes: BTreeMap<Sequence, Digest> = known.iter().map(|entry| (entry.header.sequence, entry.hash())).collect();
        let mut found = Salvage { exists: !there.is_empty() || hint.is_some(), ..Salvage::default() };
        found.said = hint.map(|hint| hint.head.sequence);
        for (first, batch) in there {
            let Some(batch) = batch else { continue };
            found.store = found.store.or_else(|| batch.entries.first().map(|entry| entry.header.store));
            found.said = found.said.max(batch.end().map(|end| end.sequence));
            let before = if first == 1 { Some(Head::NONE) } else { hashes.get(&(first - 1)).copied() };
            match before == Some(batch.previous) {
                true => {
                    hashes.extend(batch.entries.iter().map(|entry| (entry.header.sequence, entry.hash())));
                    found.proved.extend(batch.entries);
                }
                false => found.unproved.extend(batch.entries),
            }
        }
        Ok(found)
    }

    /// Adds what is missing of a log.
    pub(super) async fn mend(
        &self,
        found: &Salvage,
        entries: &[Entry],
        snapshot: Option<&Snapshot>,
    ) -> Result<String, StoreError> {
        let end = check_follows(None, entries)?;
        self.probe().await?;
        let (gaps, in_the_way) = gaps(entries, &self.objects_there().await?);
        if !in_the_way.is_empty() {
            let is_new = |first: &Sequence| found.said.is_none_or(|said| *first > said);
            if in_the_way.iter().all(is_new) && found.exists {
                return Err(StoreError::Moved { head: None });
            }
            return Err(self.stand_in_the_way(&in_the_way));
        }
        for gap in &gaps {
            let missing = &entries[gap.clone()];
            let before = gap.start.checked_sub(1).map(|at| entries[at].head());
            let first = missing[0].header.sequence;
            let bytes = self.object_of(before, missing).await?;
            if !self.create(&self.layout.batch(first), &bytes, &AtomicBool::new(false)).await? {
                return Err(StoreError::Moved { head: None });
            }
        }
        // What is derived speaks of the log as it was.
        let last = gaps.last().map_or(end.sequence, |gap| entries[gap.start].header.sequence);
        let hint = Hint { first: last, head: end };
        let kept = snapshot.map(|snapshot| Bytes::from(snapshot_bytes(snapshot))).unwrap_or_default();
        for (path, bytes) in [(self.layout.hint(), Bytes::from(hint.bytes())), (self.layout.snapshot(), kept)] {
            self.patience.request(bytes.len(), |_| self.put_once(&path, bytes.clone())).await?;
        }
        *self.hint.lock().unwrap_or_else(PoisonError::into_inner) = None;
        *self.known() = None;
        match super::super::whole(self.collect(1).await)? == entries {
            true => Ok(String::new()),
            false => Err(self.damaged(end.sequence, "what was just written there reads otherwise")),
        }
    }

    fn stand_in_the_way(&self, firsts: &[Sequence]) -> StoreError {
        let place = self.patience.place();
        let bucket = place.split(' ').next().unwrap_or(place);
        let path = |first: &Sequence| format!("{bucket}/{}", self.layout.batch(*first));
        let named: Vec<String> = firsts.iter().take(NAMED).map(path).collect();
        let more = firsts.len().saturating_sub(NAMED);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        let one = named.first().cloned().unwrap_or_default();
        StoreError::Refused {
            place: place.to_owned(),
            why: format!("objects that are damaged, or of another branch, stand in the way: {}{more}", named.join(", ")),
            help: format!(
                "nothing is deleted or written over here: take them away as somebody who may (`aws s3 mv {one} {bucket}/{}/aside/`), or bring their older versions back; then restore again",
                self.layout.base()
            ),
        }
    }
}

type Gap = std::ops::Range<usize>;

/// Where a log has entries of which no object is there, as indexes; and the objects that are no part of it.
fn gaps(entries: &[Entry], there: &[(Sequence, Option<Batch>)]) -> (Vec<Gap>, Vec<Sequence>) {
    let (mut gaps, mut in_the_way, mut next) = (Vec::new(), Vec::new(), 0);
    for (first, batch) in there {
        let begin = usize::try_from(first - 1).unwrap_or(usize::MAX);
        let fits = batch.as_ref().and_then(|batch| {
            let end = begin.checked_add(batch.entries.len())?;
            (begin >= next && entries.get(begin..end)? == batch.entries).then_some(end)
        });
        match fits {
            Some(end) => {
                gaps.extend((begin > next).then_some(next..begin));
                next = end;
            }
            None => in_the_way.push(*first),
        }
    }
    gaps.extend((next < entries.len()).then_some(next..entries.len()));
    (gaps, in_the_way)
}
