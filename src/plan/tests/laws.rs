//! Laws that hold for whatever is declared.

use proptest::prelude::*;

use super::world::*;
use crate::model::{Address, Desired, Value};

/// Apps of which each may use some before it, with a few values that change between two programs.
fn programs() -> impl Strategy<Value = Vec<(bool, u8, u8, Vec<u8>)>> {
    prop::collection::vec((any::<bool>(), 0u8..3, 0u8..3, prop::collection::vec(0u8..8, 0..3)), 1..8)
}

fn declare(world: &mut World, program: &[(bool, u8, u8, Vec<u8>)]) {
    world.resources.clear();
    for (at, (there, note, region, uses)) in program.iter().enumerate() {
        if !there {
            continue;
        }
        let mut it = app(&format!("a{at}")).with("name", format!("n{at}").as_str());
        if *note > 0 {
            it = it.with("note", format!("note {note}").as_str());
        }
        if *region > 0 {
            it = it.with("region", format!("r{region}").as_str());
        }
        let used = uses.iter().filter(|used| usize::from(**used) < at && program[usize::from(**used)].0);
        let entries = used.map(|used| {
            let of = format!("test.app.a{used}");
            (format!("K{used}").as_str().into(), attribute(&of, if used % 2 == 0 { "id" } else { "revision" }))
        });
        world.declare(it.with("env", Value::map(entries.collect())));
    }
}

fn shuffled(mut desired: Desired, seed: u64) -> Desired {
    let mut state = seed | 1;
    for at in (1..desired.resources.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        desired.resources.swap(at, (state >> 33) as usize % (at + 1));
    }
    desired.resources.iter_mut().for_each(|resource| resource.edges.reverse());
    desired
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn an_applied_plan_leaves_nothing_to_do(first in programs(), second in programs()) {
        let mut world = World::default();
        for program in [&first, &second] {
            declare(&mut world, program);
            let plan = world.plan();
            world.apply(&plan);
            let next = world.plan();
            prop_assert!(next.is_empty(), "{:#?}", next.changes);
        }
        let declared: Vec<&Address> = world.resources.keys().collect();
        prop_assert_eq!(world.records.keys().collect::<Vec<_>>(), declared);
    }

    #[test]
    fn the_order_of_what_comes_in_leaves_no_trace(first in programs(), second in programs(), seed in any::<u64>()) {
        let mut world = World::default();
        declare(&mut world, &first);
        world.applied();
        declare(&mut world, &second);
        let plan = world.plan();
        let other = world.plan_of(shuffled(world.desired(), seed)).unwrap();
        prop_assert_eq!(format!("{:?}", plan), format!("{:?}", other));
    }

    #[test]
    fn nothing_is_destroyed_before_what_uses_it(first in programs(), second in programs()) {
        let mut world = World::default();
        declare(&mut world, &first);
        world.applied();
        declare(&mut world, &second);
        let plan = world.plan();
        let steps = crate::plan::steps(&plan);
        let place = |at: usize, half| {
            let step = steps.all.iter().position(|step| *step == Some((at as u32, half)))?;
            steps.order.iter().position(|it| *it as usize == step)
        };
        for (user, change) in plan.changes.iter().enumerate() {
            for edge in change.before.iter().flat_map(|record| &record.edges) {
                let used = plan.changes.iter().position(|it| it.address == edge.to);
                let gone = used.and_then(|used| place(used, crate::plan::Half::Unmake));
                if let (Some(gone), Some(unmade)) = (gone, place(user, crate::plan::Half::Unmake)) {
                    prop_assert!(unmade < gone);
                }
            }
        }
    }
}

#[test]
fn a_hundred_times_more_is_not_ten_thousand_times_slower() {
    let mut world = World::default();
    for at in 0..20_000 {
        let mut it = app(&format!("a{at}")).with("name", "n");
        if at > 0 {
            it = it.with("note", attribute(&format!("test.app.a{}", at - 1), "id"));
        }
        world.declare(it);
    }
    let plan = world.plan();
    assert_eq!((plan.changes.len(), plan.order.len()), (20_000, 19_999));
    world.apply(&plan);
    assert_eq!(world.plan().same, 20_000);
}
