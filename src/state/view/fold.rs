//! One entry more: the view before and an entry give the view after. Folding decides validity: what a run writes without
//! holding the lease of the address at that place is void, kept, and without effect.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::keys::{KeyBook, Since};
use super::{ActiveRun, DURATIONS_KEPT, OpenIntent, View};
use crate::model::{Address, Record};
use crate::state::contract::{Head, Header, Sequence};
use crate::state::log::key::KeyId;
use crate::state::log::{
    Body, Intent, Lease, OperationId, Outcome, OutcomeResult, RecordWrite, Settled, Settlement, Signer, SignerAction,
    SignerChange,
};
use crate::state::sign;

impl View {
    /// Folds what an entry says. That it follows the view's head is the store's promise.
    pub fn fold(&mut self, header: &Header, head: Head, body: Body) {
        self.head = Some(head);
        if let Some(active) = self.active.get_mut(&header.run) {
            let active = Arc::make_mut(active);
            (active.last_ms, active.last) = (header.time_ms, header.sequence);
        }
        if let Err(why) = self.take_effect(header, body) {
            self.void.push((header.sequence, why));
        }
    }

    /// Why a run that holds its lease may not write this all the same: it did not lease the address.
    pub fn refuses(&self, run: u64, body: &Body) -> Option<String> {
        if let Body::Renew { addresses } = body {
            let holder = self.holder_of(run, &addresses.iter().cloned().collect());
            return holder.map(|(holder, address)| format!("run {} holds {address}", holder.lease.run));
        }
        let addresses = match body {
            Body::Intent(intent) => vec![&intent.address],
            Body::Outcome(outcome) => match &outcome.result {
                OutcomeResult::Done { writes } => writes.iter().flat_map(addresses_of).collect(),
                OutcomeResult::Failed { .. } => Vec::new(),
            },
            Body::Settled(settled) => settled.writes.iter().flat_map(addresses_of).collect(),
            Body::Write(write) => write.writes.iter().flat_map(addresses_of).collect(),
            _ => Vec::new(),
        };
        let missing = addresses.into_iter().find(|address| !self.covers(run, address))?;
        Some(format!("run {run} did not lease {missing}"))
    }

    /// What the view would be if a call were settled so: for plans, which write nothing. The records have the version
    /// [`Record::FORESEEN`].
    pub fn suppose(&mut self, operation: OperationId, writes: Vec<RecordWrite>) {
        self.take_open(operation);
        self.write_all(Record::FORESEEN, writes);
    }

    /// `Err` says why the entry is void.
    fn take_effect(&mut self, header: &Header, body: Body) -> Result<(), String> {
        match body {
            Body::Genesis(genesis) => {
                if let Some(key) = KeyId::parse(&genesis.key) {
                    self.keys = Arc::new(KeyBook::begin(key, self.since(header)));
                }
                self.genesis = Some(genesis);
            }
            Body::Key(change) => {
                if change.after.is_some_and(|after| after != header.previous) {
                    return Err("it was written for another place of the log".into());
                }
                let since = self.since(header);
                let mut keys = KeyBook::clone(&self.keys);
                keys.change(since, *change)?;
                self.keys = Arc::new(keys);
            }
            Body::Lease(lease) => self.lease(header, lease)?,
            Body::Takeover(it) => self.end(it.run, it.gone),
            Body::Renew { addresses } => {
                self.needs_lease(header)?;
                if let Some((other, address)) = self.holder_of(header.run, &addresses.iter().cloned().collect()) {
                    return Err(format!("run {} holds {address}", other.lease.run));
                }
                let active = Arc::make_mut(self.active.get_mut(&header.run).expect("it holds a lease"));
                Arc::make_mut(&mut active.addresses).extend(addresses);
            }
            Body::Release => {
                self.needs_lease(header)?;
                self.end(header.run, true);
            }
            Body::Intent(intent) => self.open_intent(header, *intent)?,
            Body::Accepted { operation, id } => {
                self.needs_lease(header)?;
                self.with_open(operation, |open| open.accepted = Some(id));
            }
            Body::Attempt { operation, .. } => {
                self.needs_lease(header)?;
                self.with_open(operation, |open| open.repeated += 1);
            }
            Body::Reveal(_) => self.needs_lease(header)?,
            Body::Provider(it) => {
                self.needs_lease(header)?;
                self.providers.insert(it.name, Arc::new(it.settings));
            }
            Body::Outcome(outcome) => self.close_intent(header, *outcome)?,
            Body::Settled(settled) => self.settle(header, *settled)?,
            Body::Write(write) => {
                self.needs_writes(header, &write.writes)?;
                self.write_all(header.sequence, write.writes);
                self.count_done(header.run);
            }
            Body::Revision(revision) => {
                self.needs_lease(header)?;
                if revision.number != self.revision + 1 {
                    return Err(format!("revision {} does not follow {}", revision.number, self.revision));
                }
                self.revision = revision.number;
                self.outputs = revision.outputs.clone();
                self.last = Some(revision);
                self.end(header.run, true);
            }
            Body::Signer(change) => self.change_signers(header, *change)?,
            // Whether it holds is for `verify`; it changes nothing of what is applied.
            Body::Signature(_) => {}
            Body::Plan { .. } | Body::Approval { .. } | Body::Other { .. } => {}
            // Whoever put the log here says that it goes on here.
            Body::Restore(_) | Body::Import(_) => self.moved = None,
            // What a run still writes after this is void: it would be in the store that nobody reads any more.
            Body::Moved(moved) => {
                self.moved = Some(Arc::new(moved));
                self.active.clear();
            }
        }
        Ok(())
    }

    /// The list changes as one of it says; the first to be added is trusted as it is met.
    fn change_signers(&mut self, header: &Header, change: SignerChange) -> Result<(), String> {
        self.needs_lease(header)?;
        let after = Head { sequence: header.sequence.saturating_sub(1), hash: header.previous };
        let by = change.by.map(|(key, _)| key);
        match sign::change_is_signed(header.store, after, &change) {
            Some(false) => return Err("the signature of this change of the signers does not hold".into()),
            None if !self.signers.is_empty() => return Err("no signer agreed to this change of the signers".into()),
            _ => {}
        }
        if let Some(by) = by.filter(|by| !self.signers.is_empty() && !self.signers.contains_key(by)) {
            return Err(format!("{} was no signer when it changed the signers", by.fingerprint()));
        }
        match change.action {
            SignerAction::Add if self.signers.contains_key(&change.key) => Err("this key signs already".into()),
            SignerAction::Add => {
                let signer = Signer { name: change.name, since: header.sequence, who: change.who };
                self.signers.insert(change.key, signer);
                Ok(())
            }
            SignerAction::Remove if !self.signers.contains_key(&change.key) => Err("this key signs nothing".into()),
            SignerAction::Remove if self.signers.len() == 1 => Err("the last signer stays: nobody could change the list".into()),
            SignerAction::Remove => {
                self.signers.remove(&change.key);
                Ok(())
            }
        }
    }

    fn since(&self, header: &Header) -> Since {
        Since { sequence: header.sequence, revision: self.revision, time_ms: header.time_ms }
    }

    fn lease(&mut self, header: &Header, lease: Lease) -> Result<(), String> {
        let addresses: BTreeSet<Address> = lease.header.addresses.iter().cloned().collect();
        if let Some((other, address)) = self.holder_of(lease.run, &addresses) {
            return Err(format!("run {} holds {address}", other.lease.run));
        }
        if lease.run != header.run || lease.run <= self.run {
            return Err(format!("run {} does not follow run {}", lease.run, self.run));
        }
        self.run = lease.run;
        let active = ActiveRun {
            lease: Arc::new(lease),
            epoch: header.sequence,
            since_ms: header.time_ms,
            last_ms: header.time_ms,
            last: header.sequence,
            done: 0,
            addresses: Arc::new(addresses),
        };
        self.active.insert(header.run, Arc::new(active));
        Ok(())
    }

    /// A run holds nothing any more. `gone` says that none of its calls can leave any more either: it has ended by itself, or its
    /// process is known to be gone.
    fn end(&mut self, run: u64, gone: bool) {
        self.active.remove(&run);
        if gone {
            for open in self.open.values_mut().filter(|open| open.run == run) {
                Arc::make_mut(open).writer_gone = true;
            }
        }
    }

    /// Another run than `run` that holds one of these addresses, and which.
    pub fn holder_of(&self, run: u64, wanted: &BTreeSet<Address>) -> Option<(&Arc<ActiveRun>, Address)> {
        let others = self.active.iter().filter(|(number, _)| **number != run);
        others.map(|(_, active)| active).find_map(|it| Some((it, overlap(&it.addresses, wanted)?.clone())))
    }

    fn needs_lease(&self, header: &Header) -> Result<(), String> {
        match self.active.get(&header.run) {
            Some(active) if active.epoch == header.epoch => Ok(()),
            _ => Err(format!("run {} does not hold its lease", header.run)),
        }
    }

    fn needs_address(&self, header: &Header, address: &Address) -> Result<(), String> {
        self.needs_lease(header)?;
        match self.covers(header.run, address) {
            true => Ok(()),
            false => Err(format!("run {} did not lease {address}", header.run)),
        }
    }

    fn needs_writes(&self, header: &Header, writes: &[RecordWrite]) -> Result<(), String> {
        self.needs_lease(header)?;
        writes.iter().flat_map(addresses_of).try_for_each(|address| self.needs_address(header, address))
    }

    fn open_intent(&mut self, header: &Header, intent: Intent) -> Result<(), String> {
        self.needs_address(header, &intent.address)?;
        let operation = intent.operation;
        let open = OpenIntent {
            intent: Arc::new(intent),
            sequence: header.sequence,
            run: header.run,
            time_ms: header.time_ms,
            accepted: None,
            repeated: 0,
            flagged: None,
            writer_gone: false,
        };
        self.open_at.insert(header.sequence, operation);
        self.open.insert(operation, Arc::new(open));
        Ok(())
    }

    fn close_intent(&mut self, header: &Header, outcome: Outcome) -> Result<(), String> {
        if let OutcomeResult::Done { writes } = &outcome.result {
            self.needs_writes(header, writes)?;
        }
        self.needs_lease(header)?;
        let open = self.take_open(outcome.operation).ok_or("the operation is not open")?;
        if let OutcomeResult::Done { writes } = outcome.result {
            self.write_all(header.sequence, writes);
            let kept = self.durations.entry((open.intent.kind.clone(), open.intent.action.clone())).or_default();
            kept.push(outcome.took);
            if kept.len() > DURATIONS_KEPT {
                kept.remove(0);
            }
        }
        self.count_done(header.run);
        Ok(())
    }

    fn settle(&mut self, header: &Header, settled: Settled) -> Result<(), String> {
        self.needs_writes(header, &settled.writes)?;
        if settled.how == Settlement::Flagged {
            self.with_open(settled.operation, |open| open.flagged = Some(settled.words));
            return Ok(());
        }
        self.take_open(settled.operation).ok_or("the operation is not open")?;
        self.write_all(header.sequence, settled.writes);
        Ok(())
    }

    fn take_open(&mut self, operation: OperationId) -> Option<Arc<OpenIntent>> {
        let open = self.open.remove(&operation)?;
        self.open_at.remove(&open.sequence);
        Some(open)
    }

    fn with_open(&mut self, operation: OperationId, change: impl FnOnce(&mut OpenIntent)) {
        if let Some(open) = self.open.get_mut(&operation) {
            change(Arc::make_mut(open));
        }
    }

    fn count_done(&mut self, run: u64) {
        if let Some(active) = self.active.get_mut(&run) {
            Arc::make_mut(active).done += 1;
        }
    }

    fn write_all(&mut self, version: Sequence, writes: Vec<RecordWrite>) {
        for write in writes {
            self.write(version, write);
        }
    }

    fn write(&mut self, version: Sequence, write: RecordWrite) {
        match write {
            RecordWrite::Put(record) => {
                let address = record.address.clone();
                self.records.insert(address, with(record, |record| record.version = version));
            }
            RecordWrite::Remove(address) => drop(self.records.remove(&address)),
            RecordWrite::Depose(address) => {
                if let Some(record) = self.records.remove(&address) {
                    let deposed = with(record, |record| {
                        record.version = version;
                        record.deposed = true;
                    });
                    self.deposed.entry(address).or_default().push(deposed);
                }
            }
            RecordWrite::RemoveDeposed { address, id } => {
                if let Some(all) = self.deposed.get_mut(&address) {
                    all.retain(|record| record.id != id);
                    if all.is_empty() {
                        self.deposed.remove(&address);
                    }
                }
            }
            RecordWrite::Move { from, to } => {
                if let Some(record) = self.records.remove(&from) {
                    let moved = with(record, |record| {
                        record.version = version;
                        // A resource that is its own instance stays so.
                        if record.instance == record.address {
                            record.instance = to.clone();
                        }
                        record.address = to.clone();
                    });
                    self.records.insert(to, moved);
                }
            }
        }
    }
}

fn with(mut record: Arc<Record>, change: impl FnOnce(&mut Record)) -> Arc<Record> {
    change(Arc::make_mut(&mut record));
    record
}

fn addresses_of(write: &RecordWrite) -> Vec<&Address> {
    match write {
        RecordWrite::Put(record) => vec![&record.address],
        RecordWrite::Remove(address) | RecordWrite::Depose(address) | RecordWrite::RemoveDeposed { address, .. } => {
            vec![address]
        }
        RecordWrite::Move { from, to } => vec![from, to],
    }
}

/// An address that one of two sets of leased addresses holds and the other covers.
pub fn overlap<'a>(held: &'a BTreeSet<Address>, wanted: &'a BTreeSet<Address>) -> Option<&'a Address> {
    covered(held, wanted).or_else(|| covered(wanted, held))
}

/// The first address of `inner` that is in `outer`, or inside of one of its addresses.
fn covered<'a>(outer: &BTreeSet<Address>, inner: &'a BTreeSet<Address>) -> Option<&'a Address> {
    inner.iter().find(|address| {
        let mut at = Some((*address).clone());
        while let Some(address) = at {
            if outer.contains(&address) {
                return true;
            }
            at = address.parent();
        }
        false
    })
}
