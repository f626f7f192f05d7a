//! A log is altered in every way that somebody with write access can think of, and `verify` names the revision.

use std::ops::RangeInclusive;
use std::path::Path;

use rayon::prelude::*;

use super::*;
use crate::audit::{AllowedSigner, Anchor, verify_entries};
use crate::model::Digest;
use crate::state::contract::{Entry, Head};
use crate::state::log::{signature_bytes, signature_of, signer_of};
use crate::state::sign::SigningKey;
use crate::state::store::memory::Memory;
use crate::state::tests::signing::change_signers;
use crate::state::view::snapshot::fingerprint;
use crate::state::{SignerAction, SignerChange};
use crate::world::tamper::{Dice, edited, seeds};

fn key(of: u8) -> SigningKey {
    SigningKey::of_seed(&[of; 32])
}

fn change(action: SignerAction, of: u8, name: &str) -> SignerChange {
    SignerChange { action, key: key(of).public(), name: name.into(), reason: "a test".into(), who: "dkim".into(), by: None }
}

/// Two revisions that nobody signed; then signers, a run that dies and is taken over, signers that change, secrets, and a run that is
/// still at work.
async fn tell(state: &mut State) {
    create(state, 1, "local.value.a").await;
    create(state, 2, "local.value.b").await;
    state.sign_with(Arc::new(key(7)));
    change_signers(state, vec![change(SignerAction::Add, 7, "ci")]).await.expect("the first signer");
    create(state, 3, "local.value.c").await;
    let run = state.begin(header(&["local.value.d"])).await.expect("a run");
    let lost = intent(4, "local.value.d", fields(&[("password", Value::text("correct horse").secret())]));
    run.append(vec![Body::Intent(Box::new(lost))]).await.expect("an intent");
    drop(run);
    create(state, 5, "local.value.e").await;
    change_signers(state, vec![change(SignerAction::Add, 8, "dkim"), change(SignerAction::Add, 9, "jroy")]).await.expect("more");
    change_signers(state, vec![change(SignerAction::Remove, 9, "jroy")]).await.expect("one less");
    for at in 10..14 {
        create(state, at, &format!("local.value.f{at}")).await;
    }
    let run = state.begin(header(&["local.value.g"])).await.expect("a run");
    run.append(vec![Body::Intent(Box::new(intent(20, "local.value.g", fields(&[]))))]).await.expect("an intent");
    state.refresh().await.expect("read");
}

async fn entries() -> Vec<Entry> {
    let mut state = State::empty(Arc::new(Memory::default()), "production", &World::real());
    tell(&mut state).await;
    state.entries().await.expect("entries")
}

/// The revision that was being written at an index of the whole log.
fn revision_at(entries: &[Entry], at: usize) -> u64 {
    let before = entries[..at].iter().filter(|entry| entry.header.kind == "revision").count() as u64;
    if entries[at].header.kind == "signature" { before } else { before + 1 }
}

/// What somebody does who knows the format, and not the keys: numbers, hashes and the chain fit again from `at` on.
fn chained_again(entries: &mut [Entry], at: usize) {
    for at in at..entries.len() {
        let before = at.checked_sub(1).map_or(Head::NONE, |before| entries[before].hash());
        let header = &mut entries[at].header;
        header.sequence = at as u64 + 1;
        header.previous = before;
        header.body = Digest::of(&entries[at].body);
    }
}

/// One edit; `None` where it is not possible here. Gives its name, and whether only a head from elsewhere can tell.
fn edit(entries: &mut Vec<Entry>, dice: &mut Dice) -> Option<(&'static str, bool)> {
    let original = entries.clone();
    let at = dice.below(entries.len());
    let other = dice.below(entries.len());
    let again = dice.below(2) == 0;
    let signatures: Vec<usize> = (0..entries.len()).filter(|at| entries[*at].header.kind == "signature").collect();
    let name = match dice.below(11) {
        0 => {
            let body = edited(&entries[at].body, dice);
            entries[at].body = body.into();
            "a body"
        }
        1 => {
            let header = &mut entries[at].header;
            match dice.below(8) {
                0 => header.epoch ^= 1 << dice.below(40),
                1 => header.run ^= 1 << dice.below(40),
                2 => header.time_ms ^= 1 << dice.below(40),
                3 => header.kind = ["write", "release", "telepathy", "revision", "signer"][dice.below(5)].into(),
                4 => header.sequence ^= 1 << dice.below(40),
                5 => header.previous.0[dice.below(32)] ^= 1 << dice.below(8),
                6 => header.body.0[dice.below(32)] ^= 1 << dice.below(8),
                _ => header.store.0[dice.below(16)] ^= 1 << dice.below(8),
            }
            "a header"
        }
        2 => {
            entries.remove(at);
            "one removed"
        }
        3 => {
            entries.swap(at, other);
            "two exchanged"
        }
        4 => {
            entries.insert(other, entries[at].clone());
            "one repeated"
        }
        5 => {
            let mut forged = entries[at].clone();
            forged.header.kind = "write".into();
            forged.body = br#"{"action":"forget","writes":[{"remove":"local.value.a"}]}"#[..].into();
            entries.insert(at, forged);
            "one put in"
        }
        6 => {
            entries.truncate(at);
            return (*entries != original).then_some(("cut off", true));
        }
        7 => {
            let (a, b) = (signatures[dice.below(signatures.len())], signatures[dice.below(signatures.len())]);
            let body = entries[a].body.clone();
            entries[a].body = std::mem::replace(&mut entries[b].body, body);
            "signatures exchanged"
        }
        8 => {
            let at = signatures[dice.below(signatures.len())];
            let signature = signature_of(&entries[at]).expect("a signature");
            let forged = key(66).sign_head(&entries[signature.of.sequence as usize - 1]);
            entries[at].body = signature_bytes(&forged).into();
            "signed by a stranger"
        }
        9 => {
            let at = (0..entries.len()).filter(|at| entries[*at].header.kind == "signer").nth(dice.below(3))?;
            let mine = key(66).public().to_string();
            let theirs = signer_of(&entries[at]).expect("a signer").key.to_string();
            entries[at].body = String::from_utf8_lossy(&entries[at].body).replace(&theirs, &mine).into_bytes().into();
            "a signer replaced"
        }
        // The whole log once more, by somebody with keys of their own: in itself it is without fault.
        _ => {
            let first = (0..entries.len()).find(|at| entries[*at].header.kind == "signer")?;
            let entry = at.min(first.saturating_sub(1));
            entries[entry].header.time_ms += 1;
            for at in 0..entries.len() {
                if let Some(mut change) = signer_of(&entries[at]) {
                    chained_again(entries, at);
                    let header = &entries[at].header;
                    let by = change.by.map(|(by, _)| by);
                    if change.key == key(7).public() {
                        change.key = key(66).public();
                    }
                    if by.is_some() {
                        let after = Head { sequence: header.sequence - 1, hash: header.previous };
                        key(66).sign_change(header.store, after, &mut change);
                    }
                    entries[at].body = crate::state::log::signer_bytes(&change).into();
                } else if signature_of(&entries[at]).is_some() {
                    chained_again(entries, at);
                    let signature = key(66).sign_head(&entries[at - 1]);
                    entries[at].body = signature_bytes(&signature).into();
                }
            }
            chained_again(entries, 0);
            return Some(("made anew", true));
        }
    };
    if again {
        chained_again(entries, 0);
    }
    (*entries != original).then_some((name, false))
}

fn lies_in(revision: u64, range: Option<&RangeInclusive<u64>>) -> bool {
    range.is_some_and(|range| range.contains(&revision))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_edit_of_a_log_is_found_and_the_revision_is_named() {
    let original = entries().await;
    let end = original.last().map(Entry::head).expect("a head");
    let alone = Trust::default();
    let given = Trust {
        signers: Some(vec![AllowedSigner { name: "ci".into(), key: key(7).public() }]),
        anchors: vec![Anchor::of(end, "an auditor")],
    };
    for trust in [&alone, &given] {
        let whole = verify_entries(&original, None, trust);
        assert!(whole.holds(), "{:?}", whole.checks);
    }
    let vouched = (0..original.len()).rfind(|at| original[*at].header.kind == "signature").expect("a signature");
    let found: Vec<(&str, bool)> = seeds(600)
        .into_par_iter()
        .filter_map(|seed| {
            let mut altered = original.clone();
            let (name, needs_anchor) = edit(&mut altered, &mut Dice::of(seed))?;
            let first = (0..original.len()).find(|at| altered.get(*at) != Some(&original[*at])).expect("they differ");
            let expected = revision_at(&original, first);
            // With what an auditor knows, everything is found.
            let with_more = verify_entries(&altered, None, &given);
            assert!(!with_more.holds(), "TAMPER_SEED={seed}: {name} at entry {} was not found", first + 1);
            let range = with_more.first_failure().and_then(|it| it.revisions.as_ref());
            let last = revision_at(&original, original.len() - 1);
            assert!(
                lies_in(expected, range) || (needs_anchor && lies_in(last, range)),
                "TAMPER_SEED={seed}: {name} at entry {} of rev {expected}: {:?}",
                first + 1,
                with_more.first_failure()
            );
            // With the log alone everything up to the last signature is.
            let by_itself = verify_entries(&altered, None, &alone);
            if !needs_anchor && first <= vouched {
                let failure = by_itself.first_failure();
                let named = failure.is_some_and(|it| lies_in(expected, it.revisions.as_ref()));
                assert!(named, "TAMPER_SEED={seed}: {name} at entry {} of rev {expected}: {failure:?}", first + 1);
            }
            Some((name, by_itself.holds()))
        })
        .collect();
    let names: std::collections::BTreeSet<&str> = found.iter().map(|(name, _)| *name).collect();
    assert_eq!(names.len(), 11, "{names:?}");
    // What only a head from elsewhere shows is a small part, and there is some: otherwise anchors would be of no use.
    let quiet = found.iter().filter(|(_, holds)| *holds).count();
    assert!(quiet > 0 && quiet * 3 < found.len(), "{quiet} of {}", found.len());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy")),
        }
    }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
        match entry.path().is_dir() {
            true => all.extend(files(&entry.path())),
            false => all.push(entry.path()),
        }
    }
    all.sort();
    all
}

/// Every file of a state on disk, edited: of the log it is found, and what is derived from it is found, or does no harm.
#[tokio::test]
async fn every_edit_of_a_file_of_a_state_is_found_or_does_no_harm() {
    let kept = tempfile::tempdir().expect("a directory");
    let world = World::real();
    let mut state = State::open_local(kept.path(), "production", &world).await.expect("a state");
    tell(&mut state).await;
    state.rebuild().await.expect("a snapshot and an index");
    let whole = fingerprint(state.view()).expect("a fingerprint");
    let at = address("local.value.c");
    let places = state.places(&at).await.expect("places");
    let end = state.view().head.expect("a head");
    let trust = Trust { anchors: vec![Anchor::of(end, "an auditor")], ..Trust::default() };
    drop(state);
    let mut found = std::collections::BTreeMap::<String, (u32, u32)>::new();
    for seed in seeds(50) {
        let dir = tempfile::tempdir().expect("a directory");
        copy(kept.path(), dir.path());
        let environment = dir.path().join("production");
        let all: Vec<_> = files(&environment).into_iter().filter(|file| file.metadata().is_ok_and(|it| it.len() > 0)).collect();
        let mut dice = Dice::of(seed);
        // The log as often as all the others together.
        let logs: Vec<_> = all.iter().filter(|file| file.extension().is_some_and(|it| it == "log")).collect();
        let file = if dice.below(2) == 0 { logs[dice.below(logs.len())] } else { &all[dice.below(all.len())] };
        let bytes = std::fs::read(file).expect("a file");
        std::fs::write(file, edited(&bytes, &mut dice)).expect("a file");
        let name = file.strip_prefix(&environment).expect("inside").components().next().expect("a name");
        let name = name.as_os_str().to_string_lossy().into_owned();
        let store = State::local_store(dir.path(), "production").expect("a store");
        let result = verify_log(&State::unread(store, dir.path(), "production", &world), &trust).await;
        if name.ends_with(".log") {
            assert!(!result.holds(), "TAMPER_SEED={seed}: an edit of {name} was not found");
        }
        if result.holds() {
            let state = State::open_local(dir.path(), "production", &world).await.unwrap_or_else(|error| {
                panic!("TAMPER_SEED={seed}: an edit of {name} passes `verify` and keeps the state from opening: {error:?}")
            });
            assert_eq!(fingerprint(state.view()).expect("a fingerprint"), whole, "TAMPER_SEED={seed}: {name}");
            assert_eq!(state.places(&at).await.expect("places"), places, "TAMPER_SEED={seed}: {name}");
        }
        let count = found.entry(name).or_default();
        *if result.holds() { &mut count.1 } else { &mut count.0 } += 1;
    }
    println!("file: (found, harmless)\n{found:#?}");
}
