//! The power goes at any moment: what was synced is there, of what was written since any part may be.
//!
//! The store works on a real directory while [`super::disk`] writes down what it does. A crash is a place in that list and a
//! seed, from which [`image`] makes what may be found afterwards. `POWER_IMAGES` says how many are tried (500 if it is not set),
//! `POWER_SEED` which is the first. Every sync is left out once: some image has to miss it.

mod image;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::image::{Chance, Disk};
use super::Embedded;
use super::disk::{Made, Sync};
use super::faults::{Done, Fault};
use super::tests::scratch;
use crate::state::contract::{Entry, Snapshot, Store};
use crate::state::store::promises::entries;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// A log that may be found, and how many of its entries have to be there.
type Possible = (Vec<Entry>, usize);

/// What may be found after a crash.
struct May {
    logs: Vec<Possible>,
    /// A log that is kept aside, by its place below the root.
    aside: Option<(PathBuf, Possible)>,
}

/// What was done, in order, each with what may be found until it is done.
#[derive(Default)]
struct History {
    done: Vec<(Done, Arc<May>)>,
    submitted: Vec<Entry>,
    acknowledged: usize,
    /// A log that another one has taken the place of, while nobody is sure of that.
    replaced: Option<Possible>,
    aside: Option<(PathBuf, Possible)>,
}

impl History {
    /// Something was tried that may have led to `also`.
    fn tried(&mut self, disk: &super::disk::Disk, also: Possible) {
        let now = (self.submitted.clone(), self.acknowledged);
        let logs = [also, now].into_iter().chain(self.replaced.clone()).collect();
        let may = Arc::new(May { logs, aside: self.aside.clone() });
        self.done.extend(disk.faults.seen().into_iter().map(|done| (done, may.clone())));
    }

    fn end(&self) -> May {
        let logs = [(self.submitted.clone(), self.acknowledged)].into_iter().chain(self.replaced.clone()).collect();
        May { logs, aside: self.aside.clone() }
    }
}

/// A store that is written by several processes in turn; each does not know what the others have synced.
struct Scene<'c> {
    root: PathBuf,
    dir: PathBuf,
    segment_max: u64,
    disk: super::disk::Disk,
    chance: &'c mut Chance,
    history: History,
}

impl Scene<'_> {
    fn process(&self) -> Embedded {
        Embedded { disk: self.disk.clone(), ..Embedded::with_segments_of(self.dir.clone(), self.segment_max) }
    }

    /// Kills the process at one of the next operations; whether the disk is well again, and it was.
    fn kill_soon(&mut self, within: usize) {
        match self.chance.one_of(2) {
            true => self.disk.faults.fail_after(self.chance.below(within) as u64, Fault::Kill),
            false => self.disk.faults.die_at_sync(self.chance.below(within / 2) as u64),
        }
    }

    fn was_killed(&self) -> bool {
        let met = self.disk.faults.was_met();
        self.disk.faults.heal();
        met
    }

    async fn read(&self) -> Vec<Entry> {
        Embedded::at(self.dir.clone()).read(1).await.expect("a kill damages nothing")
    }

    /// An append; false where the process was killed in it.
    async fn append(&mut self, store: &Embedded, bodies: &[&str], begins: bool, dies_within: Option<usize>) -> bool {
        let history = &self.history;
        let head = history.submitted.last().map(Entry::head);
        let mut news = entries(head, bodies);
        if begins {
            // A run begins: such an append syncs the head as well.
            let mut lease = news.remove(0);
            lease.header.kind = "lease".into();
            news.push(lease);
        }
        let whole = [history.submitted.clone(), news.clone()].concat();
        dies_within.into_iter().for_each(|within| self.kill_soon(within));
        let result = store.append(head, news).await;
        let killed = dies_within.is_some() && self.was_killed();
        let kept = self.history.acknowledged;
        self.history.tried(&self.disk, (whole.clone(), kept));
        match result {
            Ok(_) => {
                self.history.acknowledged = whole.len();
                (self.history.submitted, self.history.replaced) = (whole, None);
            }
            Err(error) => {
                assert!(killed, "the disk is well: {error}");
                self.history.submitted = self.read().await;
            }
        }
        !killed
    }

    /// Another log is put in the place of this one, or where there is none.
    async fn replace(&mut self, store: &Embedded, dies_within: Option<usize>) -> bool {
        let old = (self.history.submitted.clone(), self.history.acknowledged);
        let kept = self.chance.below(old.0.len() + 1);
        let mut new = old.0[..kept].to_vec();
        new.extend(entries(new.last().map(Entry::head), &["\"one restored\"", "\"another\""]));
        dies_within.into_iter().for_each(|within| self.kill_soon(within));
        let result = match old.0.is_empty() {
            true => store.fill(new.clone()).await.map(|_| String::new()),
            false => store.replace(&Default::default(), new.clone(), None).await,
        };
        let killed = dies_within.is_some() && self.was_killed();
        self.history.tried(&self.disk, (new.clone(), new.len()));
        match result {
            Ok(aside) => {
                (self.history.submitted, self.history.acknowledged, self.history.replaced) = (new.clone(), new.len(), None);
                if !aside.is_empty() {
                    let aside = Path::new(&aside).strip_prefix(&self.root).expect("it is below the root").to_owned();
                    self.history.aside = Some((aside, old));
                }
            }
            Err(error) => {
                assert!(killed, "the disk is well: {error}");
                if self.read().await == new {
                    self.history.replaced = Some(old);
                    (self.history.submitted, self.history.acknowledged) = (new.clone(), new.len());
                }
            }
        }
        !killed
    }

    async fn snapshot(&mut self, store: &Embedded) {
        let head = self.history.submitted.last().expect("an entry").head();
        let view = "a view ".repeat(self.chance.below(400));
        store.keep_snapshot(Snapshot { head, bytes: view.into() }).await.expect("the disk is well");
        let now = (self.history.submitted.clone(), self.history.acknowledged);
        self.history.tried(&self.disk, now);
    }
}

async fn history(root: &Path, segment_max: u64, chance: &mut Chance, left_out: Option<Sync>) -> History {
    let disk = super::disk::Disk::default();
    disk.faults.watch();
    disk.faults.leave_out(left_out);
    // As a person's directory: it is there, and what is made below it is ours.
    let dir = root.join(".stackwright/state/production");
    let mut scene = Scene { root: root.to_owned(), dir, segment_max, disk, chance, history: History::default() };
    let mut living: Option<Embedded> = None;
    for process in 0..5 {
        // Now and then one that has lived on since somebody else wrote.
        let store = match living.take() {
            Some(store) if scene.chance.one_of(2) => store,
            _ => scene.process(),
        };
        let mut lives = true;
        let first = scene.history.submitted.is_empty();
        if scene.chance.one_of(if first { 3 } else { 5 }) {
            let dies = scene.chance.one_of(2).then_some(30);
            lives = scene.replace(&store, dies).await;
        }
        for nth in 0..2 + scene.chance.below(4) {
            if !lives {
                break;
            }
            let long = "x".repeat([0, 0, 40, 400, 800][scene.chance.below(5)]);
            let body = format!("\"{process} {nth} {long}\"");
            let dies = scene.chance.one_of(4).then_some(if nth == 0 { 24 } else { 8 });
            // Not everybody who writes begins a run.
            let begins = nth == 0 && scene.chance.one_of(2);
            lives = scene.append(&store, &[&body], begins, dies).await;
            if lives && nth == 2 {
                scene.snapshot(&store).await;
            }
        }
        living = lives.then_some(store);
    }
    scene.history
}

/// How hard the crashes were.
#[derive(Default)]
struct Tally {
    images: u64,
    torn: usize,
    lost_tail: usize,
    empty: usize,
    other: usize,
}

fn fits(found: &[Entry], (log, sure): &Possible) -> bool {
    (*sure..=log.len()).contains(&found.len()) && *found == log[..found.len()]
}

/// Looks at what was found after a crash, and goes on with it.
///
/// Errors: a promise that was broken.
async fn look(image: &Path, segment_max: u64, may: &May, tally: &mut Tally) -> Result<(), String> {
    let dir = image.join(".stackwright/state/production");
    let store = Embedded::with_segments_of(dir.clone(), segment_max);
    store.disk.faults.watch();
    let kept = store.read(1).await.map_err(|error| error.to_string())?;
    let Some(at) = may.logs.iter().position(|log| fits(&kept, log)) else {
        let sure: Vec<String> = may.logs.iter().map(|(log, sure)| format!("{sure} to {}", log.len())).collect();
        return Err(format!("{} entries are left, of {}", kept.len(), sure.join(", or of another log ")));
    };
    if let Some((aside, log)) = &may.aside {
        let found = Embedded::at(image.join(aside)).read(1).await.map_err(|error| format!("kept aside: {error}"))?;
        if !fits(&found, log) {
            return Err(format!("of {} entries that were kept aside {} are left", log.1, found.len()));
        }
    }
    if std::fs::read(dir.join("snapshot")).is_ok_and(|bytes| super::read_snapshot(&bytes).is_none()) {
        return Err("the snapshot is torn".into());
    }
    tally.images += 1;
    tally.torn += usize::from(!store.remarks().await.map_err(|error| error.to_string())?.is_empty());
    tally.lost_tail += usize::from(kept.len() < may.logs[at].0.len());
    tally.empty += usize::from(kept.is_empty());
    tally.other += usize::from(at > 0 && !kept.is_empty());
    // And whoever comes next goes on.
    let head = kept.last().map(Entry::head);
    store.append(head, entries(head, &["\"next\""])).await.map_err(|error| format!("the next append: {error}"))?;
    match store.read(1).await {
        Ok(read) if read.len() == kept.len() + 1 => Ok(()),
        other => Err(format!("what was appended next: {other:?}")),
    }
}

const PER_HISTORY: u64 = 25;

/// Tries as many images as are asked for, from a seed on.
///
/// Errors: the first that breaks a promise, with what makes it again.
async fn images(first: u64, count: u64, left_out: Option<Sync>, tally: &mut Tally) -> Result<(), String> {
    for seed in first..first + count.div_ceil(PER_HISTORY) {
        let mut chance = Chance::of(seed);
        let dir = scratch();
        let segment_max = [1, 700, 1 << 20][chance.below(3)];
        let history = history(dir.path(), segment_max, &mut chance, left_out).await;
        for nth in 0..PER_HISTORY {
            let upto = chance.below(history.done.len() + 1);
            let mut disk = Disk::new(dir.path());
            history.done[..upto].iter().for_each(|(done, _)| disk.hears(done));
            let may = history.done.get(upto).map_or_else(|| Arc::new(history.end()), |(_, may)| may.clone());
            let image = scratch();
            disk.crash(image.path(), &mut chance);
            if let Err(words) = look(image.path(), segment_max, &may, tally).await {
                let again = format!("POWER_SEED={seed} POWER_IMAGES={PER_HISTORY} (image {nth}, after {upto} operations)");
                return Err(format!("{again}: {words}"));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn what_was_acknowledged_is_there_after_the_power_went() {
    let (count, first) = (number("POWER_IMAGES", 500), number("POWER_SEED", 1));
    let mut tally = Tally::default();
    images(first, count, None, &mut tally).await.unwrap_or_else(|words| panic!("{words}"));
    let Tally { images, torn, lost_tail, empty, other } = tally;
    println!(
        "{images} images: {torn} with a torn end, {lost_tail} that lost what nobody was told of, {empty} empty, {other} of another log"
    );
    let gentle = count >= 500 && (torn <= 3 || lost_tail <= 20 || empty == 0 || other == 0);
    assert!(!gentle, "the crashes were too gentle");
}

/// Every sync that there is, with the first seed whose images miss it. A sync that none misses is not needed, or not looked at.
const SYNCS: [(Sync, u64); 17] = [
    (Sync::Append, 1),
    (Sync::Head, 13),
    (Sync::LeftAppend, 15),
    (Sync::LeftHead, 9),
    (Sync::LeftName, 8),
    (Sync::LeftExchange, 24),
    (Sync::LeftDirectory(1), 52),
    (Sync::LeftDirectory(2), 22),
    (Sync::LeftDirectory(3), 16),
    (Sync::NewDirectory, 3),
    (Sync::Bytes(Made::Head), 1),
    (Sync::Bytes(Made::Segment), 6),
    (Sync::Bytes(Made::Snapshot), 1),
    (Sync::Name(Made::Head), 4),
    (Sync::Name(Made::Segment), 1),
    (Sync::Exchanged, 5),
    (Sync::Aside, 1),
];

#[tokio::test]
async fn each_sync_that_is_left_out_is_missed_by_some_image() {
    let mut unmissed = Vec::new();
    for (sync, seed) in SYNCS {
        let mut tally = Tally::default();
        let missed = match images(seed, PER_HISTORY, Some(sync), &mut tally).await {
            // A change of the store may make it another one.
            Ok(()) => images(1, 100 * PER_HISTORY, Some(sync), &mut tally).await,
            missed => missed,
        };
        match missed {
            Err(words) => println!("without {sync:?}, after {} images: {words}", tally.images),
            Ok(()) => unmissed.push(sync),
        }
    }
    assert!(unmissed.is_empty(), "no image misses {unmissed:?}");
}
