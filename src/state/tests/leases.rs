//! Leases on a store that cannot tell whether a run lives: kept by heartbeats, ended by silence, fenced by the fold. All in
//! simulated time.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::state::contract::{Entry, FORMAT, Header};
use crate::state::log::wire::encode;
use crate::world::SimulatedClock;

const SECOND: Duration = Duration::from_secs(1);

fn shared_state() -> (State, World, Arc<SimulatedClock>) {
    let start = jiff::Timestamp::from_second(1_763_793_000).expect("a time");
    let (world, clock) = World::simulated(start, b"leases");
    (State::empty(Arc::new(Memory::shared()), "production", &world), world, clock)
}

fn simulated(test: impl AsyncFnOnce(State, World)) {
    let (state, world, clock) = shared_state();
    clock.run(test(state, world)).expect("nothing waits for ever");
}

async fn begun(state: &mut State, addresses: &[&str]) -> Run {
    state.begin(header(addresses)).await.expect("the run begins")
}

/// Asks every second until it holds the addresses, at most ten minutes; how long it took, and what it was told of the holder.
async fn wait_for(state: &mut State, world: &World, addresses: &[&str]) -> (Run, Duration, Vec<Life>) {
    let begun = world.clock.elapsed();
    let mut told = Vec::new();
    for _ in 0..600 {
        match state.try_begin(&header(addresses)).await.expect("it can be asked") {
            Begun::Run(run) => return (run, world.clock.elapsed() - begun, told),
            Begun::Held(held) => told.push(held.holder.life),
        }
        world.clock.sleep(SECOND).await;
    }
    panic!("never: {:?}", told.last());
}

async fn kinds(state: &State) -> Vec<String> {
    state.entries().await.expect("entries").into_iter().map(|entry| entry.header.kind).collect()
}

#[test]
fn a_run_that_lives_keeps_its_lease_and_one_that_is_gone_loses_it_after_a_minute() {
    simulated(async |mut state, world| {
        let run = begun(&mut state, &["local.value.a"]).await;
        let mut other = state.again().await.expect("another process");
        for _ in 0..600 {
            let Begun::Held(held) = other.try_begin(&header(&["local.value.a"])).await.expect("it can be asked") else {
                panic!("taken over from a living run")
            };
            assert!(matches!(held.holder.life, Life::Alive { beats: true, heard } if heard <= HEARTBEAT + SECOND), "{held:?}");
            world.clock.sleep(SECOND).await;
        }
        let beats = kinds(&state).await.iter().filter(|kind| *kind == "renew").count();
        assert!((28..=30).contains(&beats), "{beats} heartbeats in ten minutes");

        drop(run);
        let (next, waited, told) = wait_for(&mut other, &world, &["local.value.a"]).await;
        assert!(waited > LEASE - HEARTBEAT && waited <= LEASE + SECOND, "{waited:?}");
        assert!(matches!(told.last(), Some(Life::Silent { ends_in, .. }) if *ends_in <= SECOND), "{told:?}");
        assert_eq!(kinds(&state).await.iter().filter(|kind| *kind == "renew").count(), beats, "the dead give no sign of life");
        next.release().await.expect("released");
        let view = state.again().await.expect("it opens");
        assert!(view.view().active.is_empty() && view.view().void.is_empty());
    });
}

#[test]
fn a_minute_is_counted_by_who_waits_from_when_it_first_looked() {
    simulated(async |mut state, world| {
        drop(begun(&mut state, &["local.value.a"]).await);
        // However long ago that was by any wall clock.
        world.clock.sleep(100 * LEASE).await;
        let mut other = state.again().await.expect("another process");
        let (_, waited, told) = wait_for(&mut other, &world, &["local.value.a"]).await;
        assert!(waited >= LEASE && waited <= LEASE + SECOND, "{waited:?}");
        assert!(told.iter().all(|life| matches!(life, Life::Silent { heard, .. } if *heard >= 100 * LEASE)), "{told:?}");
    });
}

#[test]
fn any_entry_is_a_sign_of_life() {
    simulated(async |mut state, world| {
        let run = begun(&mut state, &["local.value.a"]).await;
        run.freeze();
        let mut other = state.again().await.expect("another process");
        for at in 0..20 {
            run.append(vec![Body::Intent(Box::new(intent(at, "local.value.a", Fields::new())))]).await.expect("it lives");
            world.clock.sleep(LEASE - SECOND).await;
            let begun = other.try_begin(&header(&["local.value.a"])).await.expect("it can be asked");
            assert!(matches!(begun, Begun::Held(_)), "after {at}");
        }
        run.last_for(SECOND).await.expect("it still holds its lease");
        assert!(kinds(&state).await.iter().any(|kind| kind == "renew"), "a call of a second does not fit into what was left");
    });
}

#[test]
fn the_lease_is_renewed_before_a_call_that_it_would_not_last_for() {
    simulated(async |mut state, world| {
        let run = begun(&mut state, &["local.value.a"]).await;
        run.freeze();
        let renewals = async || kinds(&state).await.iter().filter(|kind| *kind == "renew").count();
        run.last_for(600 * SECOND).await.expect("it is fresh");
        world.clock.sleep(25 * SECOND).await;
        run.last_for(34 * SECOND).await.expect("it lasts");
        assert_eq!(renewals().await, 0);
        world.clock.sleep(10 * SECOND).await;
        run.last_for(24 * SECOND).await.expect("it lasts");
        assert_eq!(renewals().await, 0);
        run.last_for(26 * SECOND).await.expect("it is renewed");
        assert_eq!(renewals().await, 1);
        run.last_for(600 * SECOND).await.expect("it lasts, with heartbeats");
        assert_eq!(renewals().await, 1);
    });
}

#[test]
fn who_comes_back_from_the_dead_can_write_nothing() {
    simulated(async |mut state, world| {
        let frozen = begun(&mut state, &["local.value.a"]).await;
        let first = intent(1, "local.value.a", Fields::new());
        frozen.append(vec![Body::Intent(Box::new(first.clone()))]).await.expect("an intent");
        frozen.freeze();
        let before = frozen.with_latest(View::clone).await;
        let mut other = state.again().await.expect("another process");
        let (next, ..) = wait_for(&mut other, &world, &["local.value.a"]).await;
        assert_eq!(next.unsettled().len(), 1);
        let length = kinds(&state).await.len();

        // Through its own door: it folds what is new, and finds that it holds nothing.
        for _ in 0..2 {
            let late = frozen.append(vec![Body::Outcome(Box::new(done(&first, Fields::new())))]).await;
            let late = late.expect_err("it was taken over");
            assert_eq!(late.code, Code::Locked);
            assert!(late.message.contains("run 2 by dkim took it over: no sign of life for 60 s"), "{}", late.message);
        }
        assert!(frozen.last_for(SECOND).await.is_err() && frozen.finish(revision()).await.is_err());
        assert_eq!(kinds(&state).await.len(), length, "nothing was written");

        // Behind the back of all checks: the entry is kept, and has no effect.
        let outcome = Body::Outcome(Box::new(done(&first, Fields::new())));
        let (store, vault) = (before.store_id().expect("a store"), state.shared.vault(before.store_id().expect("a store")));
        let body = encode(&outcome, &before, &vault).expect("it can be written");
        let head = state.shared.store.head().await.expect("a head").expect("a log");
        let header = Header {
            format: FORMAT,
            store,
            sequence: head.sequence + 1,
            epoch: before.active[&1].epoch,
            run: 1,
            time_ms: 0,
            kind: outcome.kind().to_owned(),
            previous: head.hash,
            body: Digest::of(&body),
        };
        let sequence = header.sequence;
        state.shared.store.append(Some(head), vec![Entry { header, body: body.into() }]).await.expect("it is appended");
        state.refresh().await.expect("read");
        assert_eq!(state.view().void, [(sequence, "run 1 does not hold its lease".to_owned())]);
        assert!(state.view().records.is_empty() && state.view().open.len() == 1, "and it changes nothing");

        // The run that took over goes on behind it.
        let settled = Settled { operation: first.operation, how: Settlement::Absent, writes: Vec::new(), words: "no".into() };
        next.append(vec![Body::Settled(Box::new(settled))]).await.expect("it is settled");
        next.finish(revision()).await.expect("it ends");
    });
}

#[test]
fn a_call_of_one_who_may_still_live_is_waited_for_in_full() {
    simulated(async |mut state, world| {
        let gone = begun(&mut state, &["local.value.a"]).await;
        let mut it = intent(1, "local.value.a", Fields::new());
        it.not_after = 300 * SECOND;
        gone.append(vec![Body::Intent(Box::new(it.clone()))]).await.expect("an intent");
        drop(gone);
        world.clock.sleep(1000 * SECOND).await;
        let mut other = state.again().await.expect("another process");
        let looked = world.clock.elapsed();
        let (run, ..) = wait_for(&mut other, &world, &["local.value.a"]).await;
        let open = run.unsettled().remove(0);
        assert_eq!(run.leaves_until(&open), looked + 300 * SECOND, "from when it was first seen");
        drop(run);

        // Released by a person, it may live as well; and who comes next counts for itself.
        other.refresh().await.expect("read");
        other.release(2, "mlopez", "it hangs").await.expect("released");
        let mut third = state.again().await.expect("another process");
        let looked = world.clock.elapsed();
        let run = begun(&mut third, &["local.value.a"]).await;
        let open = run.unsettled().remove(0);
        assert_eq!(run.leaves_until(&open), looked + 300 * SECOND);
        run.release().await.expect("released");

        // A run that ended by itself sends nothing more.
        let run = begun(&mut third, &["local.value.b"]).await;
        let mut it = intent(2, "local.value.b", Fields::new());
        it.not_after = 300 * SECOND;
        run.append(vec![Body::Intent(Box::new(it))]).await.expect("an intent");
        run.finish(revision()).await.expect("it ends");
        let run = begun(&mut third, &["local.value.b"]).await;
        let ended = |number: u8| run.unsettled().into_iter().find(|it| it.intent.operation == OperationId([number; 16]));
        assert_eq!(run.leaves_until(&ended(2).expect("it is open")), Duration::ZERO);
        assert!(run.leaves_until(&ended(1).expect("it is open")) > Duration::ZERO, "of the first nobody knows");
    });
}

#[tokio::test]
async fn where_the_store_knows_that_a_run_is_gone_nothing_is_waited_for() {
    for mut state in [State::memory("production", &World::real()), on_disk().await] {
        let run = begun(&mut state, &["local.value.a"]).await;
        run.append(vec![Body::Intent(Box::new(intent(1, "local.value.a", Fields::new())))]).await.expect("an intent");
        drop(run);
        let mut next = state.again().await.expect("another process");
        assert!(matches!(next.look().await.expect("holders").holders[..], [Holder { life: Life::Gone, .. }]));
        // Also when the run that found that out has died in turn.
        for _ in 0..2 {
            let run = begun(&mut next, &["local.value.b"]).await;
            assert_eq!(run.leaves_until(&run.unsettled()[0]), Duration::ZERO);
        }
        assert!(!kinds(&next).await.iter().any(|kind| kind == "renew"), "no heartbeat is needed");
    }
}

#[test]
fn of_many_who_wait_for_a_dead_run_one_takes_over_and_the_others_wait_for_that() {
    simulated(async |mut state, world| {
        drop(begun(&mut state, &["local.value.a"]).await);
        let mut waiting = Vec::new();
        for _ in 0..5 {
            let (mut other, world) = (state.again().await.expect("another process"), world.clone());
            waiting.push(tokio::spawn(async move {
                let (run, ..) = wait_for(&mut other, &world, &["local.value.a"]).await;
                world.clock.sleep(45 * SECOND).await;
                run.finish(revision()).await.expect("it held its lease all the time")
            }));
        }
        let mut revisions = Vec::new();
        for it in waiting {
            revisions.push(it.await.expect("it ends"));
        }
        revisions.sort_unstable();
        assert_eq!(revisions, [1, 2, 3, 4, 5]);
        let kinds = kinds(&state).await;
        assert_eq!(kinds.iter().filter(|kind| *kind == "takeover").count(), 1);
        assert!(world.clock.elapsed() >= LEASE + 5 * 45 * SECOND);
    });
}

#[test]
fn runs_on_other_addresses_wait_for_nobody() {
    simulated(async |mut state, world| {
        let one = begun(&mut state, &["local.value.a"]).await;
        let mut other = state.again().await.expect("another process");
        let two = begun(&mut other, &["local.value.b"]).await;
        drop(one);
        for _ in 0..10 {
            world.clock.sleep(LEASE / 2).await;
            let run = begun(&mut state, &["local.value.c"]).await;
            run.release().await.expect("released");
        }
        two.finish(revision()).await.expect("it held its lease all the time");
        state.refresh().await.expect("read");
        assert!(state.view().active.is_empty(), "the dead run lost its lease to one that did not need it");
    });
}

#[test]
fn a_refusal_says_who_holds_it_since_when_and_how_far_it_is() {
    simulated(async |mut state, world| {
        // Two earlier changes of the kind took a while: so it is known how long the next will take.
        for at in 1..4 {
            let run = begun(&mut state, &["fly.app.x"]).await;
            let it = Intent { kind: "fly.app".into(), ..intent(at, "fly.app.x", Fields::new()) };
            run.append(vec![Body::Intent(Box::new(it.clone()))]).await.expect("an intent");
            let outcome = Outcome { took: Duration::from_secs(150), ..done(&it, Fields::new()) };
            run.append(vec![Body::Outcome(Box::new(outcome))]).await.expect("an outcome");
            run.release().await.expect("released");
        }
        let who = RunHeader {
            who: "ci for jroy (PR 128)".into(),
            plan: Some("7f3a9c21".into()),
            ..header(&["fly.app.y", "fly.app.z"])
        };
        let run = state.begin(who).await.expect("the run begins");
        let mut other = state.again().await.expect("another process");
        world.clock.sleep(43 * SECOND).await;
        let words = async |other: &mut State| {
            let Begun::Held(held) = other.try_begin(&header(&["fly.app.z"])).await.expect("it can be asked") else {
                panic!("it is held")
            };
            let diagnostic = held.refusal("shop/production");
            assert_eq!(diagnostic.code, Code::Locked);
            format!("{} {:?} {:?}", diagnostic.message, diagnostic.notes, diagnostic.help)
        };
        let said = words(&mut other).await;
        for part in [
            "shop/production is locked by another apply",
            "run 4 by ci for jroy (PR 128), plan 7f3a9c21, since 06:30:00 UTC (43 s), heartbeat 3 s ago: alive; 0 of 2 done, about 2 min 30 s left",
            "fly.app.z",
            "`--lock-wait 10m` waits",
            "(no sign of life for 60 s): `stackwright lock release --run 4 --reason",
        ] {
            assert!(said.contains(part), "{part:?} is not in {said}");
        }
        run.freeze();
        world.clock.sleep(42 * SECOND).await;
        let said = words(&mut other).await;
        assert!(said.contains("no sign of life for 45 s, its lease ends in 18 s; 0 of 2 done"), "{said}");
    });
}

#[test]
fn outputs_that_a_run_did_not_change_stay_what_runs_beside_it_made_of_them() {
    simulated(async |mut state, _| {
        let outputs = |entries: &[(&str, &str)]| {
            fields(&entries.iter().map(|(name, text)| (*name, Value::text(*text))).collect::<Vec<_>>())
        };
        let with = |entries: &[(&str, &str)]| Revision { outputs: outputs(entries), ..revision() };
        let first = begun(&mut state, &["local.value.a"]).await;
        first.finish(with(&[("a", "1"), ("b", "1"), ("c", "1")])).await.expect("it ends");
        let one = begun(&mut state, &["local.value.a"]).await;
        let two = begun(&mut state.again().await.expect("another process"), &["local.value.b"]).await;
        one.finish(with(&[("a", "2"), ("b", "1"), ("new", "1")])).await.expect("it ends");
        two.finish(with(&[("a", "1"), ("b", "2"), ("c", "1")])).await.expect("it ends");
        state.refresh().await.expect("read");
        assert_eq!(state.view().outputs, outputs(&[("a", "2"), ("b", "2"), ("new", "1")]));
    });
}
