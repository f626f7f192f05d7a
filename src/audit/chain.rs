//! What can be told of a log from its entries alone, without a key and without a store: whether they are one chain, who vouches
//! for it, and whether it extends the heads that are known from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use rayon::prelude::*;

use super::anchor::{Anchor, THIS_MACHINE};
use super::verify::{Finding, Verification};
use crate::model::Digest;
use crate::state::contract::{Entry, FORMAT, Head, Sequence};
use crate::state::log::{HeadSignature, SignerAction, revision_of, signature_bytes, signature_of, signer_of};
use crate::state::sign::{AllowedSigner, PublicKey, change_is_signed};

/// How many of one kind are named each; the rest is counted.
const TOLD: usize = 20;

/// What an auditor trusts beside the log.
#[derive(Clone, Default, Debug)]
pub struct Trust {
    /// Who may sign first. Without it the first signer that the log names is trusted as it is met.
    pub signers: Option<Vec<AllowedSigner>>,
    /// What the log has to extend.
    pub anchors: Vec<Anchor>,
}

/// The part of a log that is one chain.
pub struct Chain<'e> {
    pub entries: &'e [Entry],
    hashes: Vec<Digest>,
    /// Indices of the entries that are revisions.
    revisions: Vec<usize>,
}

impl<'e> Chain<'e> {
    /// Walks the entries up to the first that does not follow; what is wrong there goes into `result`.
    pub fn walk(entries: &'e [Entry], result: &mut Verification) -> Chain<'e> {
        let checked: Vec<(Digest, bool)> =
            entries.par_iter().map(|entry| (entry.hash(), Digest::of(&entry.body) == entry.header.body)).collect();
        let mut before = Head::NONE;
        let mut broken = None;
        for (at, (entry, (hash, body_fits))) in entries.iter().zip(&checked).enumerate() {
            let header = &entry.header;
            let sequence = at as u64 + 1;
            let follows = header.previous == before;
            let why = if header.format.major > FORMAT.major {
                Some(format!("it was written in format {}, which this program cannot read", header.format.major))
            } else if header.sequence != sequence {
                Some(format!("it says that it is entry {}: one was removed, repeated or put elsewhere", header.sequence))
            } else if !follows {
                Some("it does not follow the entry before: one of the two was altered, or one between them removed".to_owned())
            } else if !body_fits {
                Some("its content is not what its header says: it was altered".to_owned())
            } else if header.store != entries[0].header.store {
                Some("it belongs to another store".to_owned())
            } else {
                None
            };
            if let Some(why) = why {
                broken = Some((at, follows || header.sequence != sequence, why));
                break;
            }
            before = *hash;
        }
        let whole = broken.as_ref().map_or(entries.len(), |(at, ..)| *at);
        let revisions = (0..whole).filter(|at| entries[*at].header.kind == "revision").collect();
        let hashes = checked.into_iter().take(whole).map(|(hash, _)| hash).collect();
        let chain = Chain { entries: &entries[..whole], hashes, revisions };
        if let Some((at, is_here, why)) = broken {
            // Of an entry that does not follow, the one before may be the one that was altered.
            let first = if is_here { at } else { at.saturating_sub(1) };
            let revisions = *chain.place(entries, first).start()..=*chain.place(entries, at).end();
            let kind = kind_of(&entries[at]);
            result.fail_at(revisions, format!("entry {} ({kind}): {why}", at + 1));
        }
        chain
    }

    pub fn head(&self) -> Option<Head> {
        self.hashes.last().map(|hash| Head { sequence: self.hashes.len() as u64, hash: *hash })
    }

    pub fn revisions(&self) -> u64 {
        self.revisions.len() as u64
    }

    /// The revision that was being written at an index: one more than those before it. A signature belongs to what it signs.
    pub fn revision_at(&self, at: usize) -> RangeInclusive<u64> {
        let range = self.place(self.entries, at);
        let revision = match self.entries.get(at).map(|entry| &*entry.header.kind) {
            Some("signature") => *range.start(),
            _ => *range.end(),
        };
        revision..=revision
    }

    /// The same where something was altered: where a signature could stand, it may be the one that is missing.
    fn place(&self, entries: &[Entry], at: usize) -> RangeInclusive<u64> {
        let before = self.revisions.partition_point(|revision| *revision < at) as u64;
        let kind = |at: usize| entries.get(at).map(|entry| &*entry.header.kind);
        let after_revision = at.checked_sub(1).and_then(kind) == Some("revision");
        if after_revision { before..=before + 1 } else { before + 1..=before + 1 }
    }

    /// Each signature, in order, or why it does not hold: most of what a verification costs.
    pub fn judged(&self) -> Vec<Judged> {
        (0..self.entries.len())
            .into_par_iter()
            .filter(|at| self.entries[*at].header.kind == "signature")
            .map(|at| {
                let signature = signature_of(&self.entries[at]).ok_or("it cannot be read")?;
                self.judge(at, &signature).map(|()| signature)
            })
            .collect()
    }

    /// Who vouches for what: each signature as it was judged, the list of signers as it changed, and revisions that nobody signed.
    pub fn signatures(&self, judged: Vec<Judged>, trust: &Trust, result: &mut Verification) {
        let mut judged = judged.into_iter();
        let mut found = Vouched::default();
        let (mut leases, mut list) = (BTreeMap::new(), Signers::new(trust));
        for (at, entry) in self.entries.iter().enumerate() {
            let why = match &*entry.header.kind {
                "lease" => {
                    leases.insert(entry.header.run, entry.header.sequence);
                    continue;
                }
                "signer" => {
                    let changed = list.change(entry);
                    if let Ok(vouches) = changed {
                        found.first_signer.get_or_insert(entry.header.sequence);
                        found.good = if vouches { at } else { found.good };
                    }
                    match changed {
                        // Who may sign is no question of what was altered.
                        Err(Refused::Stranger(why)) => {
                            self.not_vouched(at, at, &why, result);
                            found.broken = true;
                            break;
                        }
                        Err(Refused::Altered(why)) => Some(why),
                        Ok(_) => None,
                    }
                }
                "signature" => match judged.next().expect("each signature was judged") {
                    Err(why) => Some(why),
                    Ok(signature) => match list.knows(&signature.key) {
                        Some(false) => {
                            let words = format!("it is signed by {}, who is no signer", signature.key.fingerprint());
                            self.not_vouched(at, at, &words, result);
                            continue;
                        }
                        known => {
                            found.good = at + 1;
                            found.signed.insert(at - 1);
                            found.keys.insert(signature.key);
                            found.strangers |= known.is_none();
                            None
                        }
                    },
                },
                _ => continue,
            };
            if let Some(why) = why {
                // Where something was altered every later signature fails as well: the first one says between which.
                self.not_vouched(found.good, at, &why, result);
                found.broken = true;
                break;
            }
        }
        self.summed_up(&found, &list, &leases, result);
    }

    /// A voucher at an index does not hold, and the one before it vouched for all before `good`.
    fn not_vouched(&self, good: usize, at: usize, why: &str, result: &mut Verification) {
        // A signature that names the entry before it is where it belongs, and says of which revision it is.
        let in_place = signature_of(&self.entries[at]).is_some_and(|it| it.of.sequence == at as u64);
        let until = if in_place { *self.revision_at(at).end() } else { *self.place(self.entries, at).end() };
        let from = (*self.place(self.entries, good).start()).min(until);
        let kind = kind_of(&self.entries[at]);
        result.fail_at(from..=until, format!("entry {} ({kind}): {why}", at + 1));
    }

    fn summed_up(&self, found: &Vouched, list: &Signers<'_>, leases: &BTreeMap<u64, Sequence>, result: &mut Verification) {
        if !found.broken {
            self.unsigned(&found.signed, leases, found.first_signer, result);
        }
        if found.signed.is_empty() {
            return;
        }
        let by = list.names(&found.keys);
        let known = if found.strangers { "" } else { "known " };
        let keys = counted(found.keys.len(), &format!("{known}key"));
        let words = format!("{} by {keys}{by}", counted(found.signed.len(), "signature"));
        result.add(Finding::Ok, if found.broken { format!("{words}, up to there") } else { words });
        if found.strangers {
            let words =
                "no list of signers stands in the log, and none was given: the signatures hold, and nobody says whose they are";
            result.add(Finding::Remark, words);
        }
        let rest = self.entries.len() - found.good;
        if rest > 0 && !found.broken {
            result.add(Finding::Remark, format!("{} after the last signature, for which nobody vouches yet", entries(rest)));
        }
    }

    fn unsigned(
        &self,
        signed: &BTreeSet<usize>,
        leases: &BTreeMap<u64, Sequence>,
        first_signer: Option<Sequence>,
        result: &mut Verification,
    ) {
        let (mut before, mut told) = (0, 0);
        for (nth, at) in self.revisions.iter().enumerate().filter(|(_, at)| !signed.contains(at)) {
            let run = self.entries[*at].header.run;
            let begun = leases.get(&run).copied().unwrap_or(*at as u64 + 1);
            match first_signer {
                Some(first) if begun > first => {
                    let number = nth as u64 + 1;
                    told += 1;
                    if told > TOLD {
                        continue;
                    }
                    result.fail_at(number..=number, format!("no signer signed it, and there are signers since entry {first}"));
                }
                _ => before += 1,
            }
        }
        if told > TOLD {
            let last = self.revisions();
            result.fail_at(1..=last, format!("{} more that no signer signed", counted(told - TOLD, "revision")));
        }
        if before > 0 {
            let why = if first_signer.is_some() { ", from before there were signers" } else { "" };
            let verb = if before == 1 { "is" } else { "are" };
            result.add(Finding::Remark, format!("{} {verb} not signed{why}", counted(before, "revision")));
        }
    }

    /// Whether one signature holds for what stands in the log.
    fn judge(&self, at: usize, signature: &HeadSignature) -> Result<(), String> {
        let entry = &self.entries[at];
        let of = usize::try_from(signature.of.sequence).ok().and_then(|of| of.checked_sub(1)).filter(|of| *of < at);
        let Some(of) = of else { return Err(format!("it signs entry {}, which does not lie before it", signature.of.sequence)) };
        if self.hashes[of] != signature.of.hash {
            return Err(format!("it was made for another entry {}: something up to there was altered", of + 1));
        }
        if of + 1 != at {
            return Err(format!("it does not stand right behind entry {}, which it signs", of + 1));
        }
        if !signature.key.signed_head(entry.header.store, signature.of, &signature.signature) {
            return Err("the signature does not hold".to_owned());
        }
        // Nothing signs the last signature of a log: so nothing in it may be free.
        let signed = &self.entries[of].header;
        let (ours, theirs) = (&entry.header, signed);
        let bound =
            (ours.run, ours.epoch, ours.time_ms, ours.format) == (theirs.run, theirs.epoch, theirs.time_ms, theirs.format);
        match bound && signature_bytes(signature) == entry.body {
            true => Ok(()),
            false => Err("its header or its form is not the one that was written with what it signs".to_owned()),
        }
    }

    fn hash_at(&self, sequence: Sequence) -> Digest {
        let at = usize::try_from(sequence).ok().and_then(|at| at.checked_sub(1));
        at.and_then(|at| self.hashes.get(at)).copied().unwrap_or(Head::NONE)
    }

    /// Whether the log extends what is known from elsewhere.
    pub fn anchors(&self, anchors: &[Anchor], result: &mut Verification) {
        for anchor in anchors {
            let by_entry = self.hash_at(anchor.number) == anchor.hash;
            let revision = usize::try_from(anchor.number).ok().and_then(|number| self.revisions.get(number.checked_sub(1)?));
            let by_revision = revision.is_some_and(|at| self.hashes[*at] == anchor.hash);
            let (number, from) = (anchor.number, &anchor.from);
            if by_entry || by_revision {
                if from != THIS_MACHINE {
                    let what = if by_entry { "entry" } else { "revision" };
                    result.add(Finding::Ok, format!("extends {what} {number}, known from {from}"));
                }
                continue;
            }
            let last = self.revisions().max(1);
            if number > self.entries.len() as u64 {
                let words =
                    format!("{from} knows entry {number}, and the log ends after entry {}: it was cut", self.entries.len());
                result.fail_at(last..=last + 1, words);
            } else {
                let at = usize::try_from(number).unwrap_or(usize::MAX).saturating_sub(1).min(self.hashes.len());
                let until = *self.revision_at(at).end();
                let words = format!("{from} knows another entry {number}: the log was altered up to there, or is another one");
                result.fail_at(1..=until.max(1), words);
            }
        }
    }

    /// Revisions that cannot be read, or are not numbered in order.
    pub fn numbers(&self, result: &mut Verification) {
        let read: Vec<Option<u64>> =
            self.revisions.par_iter().map(|at| revision_of(&self.entries[*at]).map(|revision| revision.number)).collect();
        for (nth, number) in read.into_iter().enumerate() {
            let expected = nth as u64 + 1;
            let sequence = self.revisions[nth] + 1;
            match number {
                None => result.fail_at(expected..=expected, format!("entry {sequence}: the revision cannot be read")),
                Some(number) if number != expected => {
                    result.fail_at(expected..=expected, format!("entry {sequence} says that it is revision {number}"));
                }
                Some(_) => {}
            }
        }
    }
}

/// A signature that holds, or why one does not.
pub type Judged = Result<HeadSignature, String>;

/// What signatures vouch for.
#[derive(Default)]
struct Vouched {
    /// Indices of entries that are signed.
    signed: BTreeSet<usize>,
    keys: BTreeSet<PublicKey>,
    /// Some of the keys are those of nobody that is known.
    strangers: bool,
    first_signer: Option<Sequence>,
    /// All entries before this index are vouched for.
    good: usize,
    /// One did not hold, and those after it were not looked at.
    broken: bool,
}

/// Why a change of the signers does not count.
enum Refused {
    /// It, or something before it, is not what was signed.
    Altered(String),
    /// Somebody changed the list who may not.
    Stranger(String),
}

/// The list of signers, changed as the log says.
struct Signers<'t> {
    now: BTreeMap<PublicKey, String>,
    /// Names of all that ever were.
    ever: BTreeMap<PublicKey, String>,
    given: Option<&'t [AllowedSigner]>,
}

impl<'t> Signers<'t> {
    fn new(trust: &'t Trust) -> Signers<'t> {
        let given = trust.signers.as_deref();
        let ever = given.into_iter().flatten().map(|it| (it.key, it.name.clone())).collect();
        Signers { now: BTreeMap::new(), ever, given }
    }

    /// Whether a key is one of the list; `None` where there is neither a list nor a file.
    fn knows(&self, key: &PublicKey) -> Option<bool> {
        match self.given {
            _ if !self.now.is_empty() => Some(self.now.contains_key(key)),
            Some(given) => Some(given.iter().any(|it| it.key == *key)),
            None => None,
        }
    }

    /// The same rules as those of the fold, without its leases. Gives whether the change is signed, and so vouches for all before it.
    fn change(&mut self, entry: &Entry) -> Result<bool, Refused> {
        let change = signer_of(entry).ok_or_else(|| Refused::Altered("it cannot be read".into()))?;
        let header = &entry.header;
        let after = Head { sequence: header.sequence.saturating_sub(1), hash: header.previous };
        let holds = change_is_signed(header.store, after, &change);
        if holds == Some(false) {
            return Err(Refused::Altered("the signature of this change of the signers does not hold".into()));
        }
        if self.now.is_empty() {
            let trusted = self.given.is_none_or(|given| given.iter().any(|it| it.key == change.key));
            if !trusted {
                let words = format!("the first signer, {}, is not one of those that were given", change.key.fingerprint());
                return Err(Refused::Stranger(words));
            }
        } else {
            let nobody = || Refused::Stranger("no signer agreed to this change of the signers".into());
            let by = change.by.map(|(key, _)| key).ok_or_else(nobody)?;
            if !self.now.contains_key(&by) {
                return Err(Refused::Stranger(format!("{} was no signer when it changed the signers", by.fingerprint())));
            }
        }
        // What has no effect in the fold is no failure: it is void, and said to be.
        match change.action {
            SignerAction::Add => {
                self.ever.entry(change.key).or_insert_with(|| change.name.clone());
                self.now.entry(change.key).or_insert(change.name);
            }
            SignerAction::Remove if self.now.len() > 1 => drop(self.now.remove(&change.key)),
            SignerAction::Remove => {}
        }
        Ok(holds.is_some())
    }

    fn names(&self, keys: &BTreeSet<PublicKey>) -> String {
        let names: Vec<&str> = keys.iter().filter_map(|key| Some(self.ever.get(key)?.as_str())).collect();
        if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) }
    }
}

/// A kind as it may be shown: it comes from the log.
fn kind_of(entry: &Entry) -> String {
    entry.header.kind.chars().filter(char::is_ascii_alphanumeric).take(20).collect()
}

pub(super) fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}

pub(super) fn entries(count: usize) -> String {
    if count == 1 { "1 entry".into() } else { format!("{count} entries") }
}
