use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn waits(pairs: &[(u32, u32)]) -> Vec<Wait> {
    pairs.iter().map(|(node, on)| Wait::new(*node, *on)).collect()
}

#[test]
fn each_node_follows_what_it_waits_for() {
    let ordered = order(4, &waits(&[(0, 1), (1, 2), (0, 3), (3, 2)])).unwrap();
    let place = |node| ordered.order.iter().position(|it| *it == node).unwrap();
    assert!(place(2) < place(1) && place(1) < place(0) && place(2) < place(3) && place(3) < place(0));
    assert!(ordered.dropped.is_empty());
}

#[test]
fn a_cycle_is_named_by_its_shortest_path() {
    let cycles = order(5, &waits(&[(0, 1), (1, 2), (2, 0), (1, 0), (3, 4), (4, 3)])).unwrap_err();
    assert_eq!(cycles, vec![Cycle { waits: vec![0, 3] }, Cycle { waits: vec![4, 5] }]);
}

#[test]
fn a_node_that_waits_for_itself_is_a_cycle() {
    assert_eq!(order(1, &waits(&[(0, 0)])).unwrap_err(), vec![Cycle { waits: vec![0] }]);
}

#[test]
fn weak_waits_in_a_cycle_are_dropped_together() {
    let weak = |node, on| Wait { node, on, weak: true };
    // 0 and 1 know each other through weak waits; 2 waits weakly for 0 and is in no cycle.
    let ordered = order(3, &[weak(0, 1), weak(1, 0), weak(2, 0)]).unwrap();
    assert_eq!(ordered.dropped, vec![0, 1]);
    // One strong and one weak wait: the strong one holds.
    let ordered = order(2, &[weak(0, 1), Wait::new(1, 0)]).unwrap();
    assert_eq!((ordered.order, ordered.dropped), (vec![0, 1], vec![0]));
}

#[test]
fn a_chain_of_a_hundred_thousand_does_not_exhaust_the_stack() {
    let chain: Vec<Wait> = (1..100_000).map(|node| Wait::new(node, node - 1)).collect();
    assert_eq!(order(100_000, &chain).unwrap().order, (0..100_000).collect::<Vec<_>>());
    let circle: Vec<Wait> = chain.into_iter().chain([Wait::new(0, 99_999)]).collect();
    assert_eq!(order(100_000, &circle).unwrap_err()[0].waits.len(), 100_000);
}

#[test]
fn what_remains_is_the_longest_chain() {
    let waits = waits(&[(1, 0), (2, 1), (3, 0)]);
    let order = order(4, &waits).unwrap().order;
    let cost = [1, 2, 3, 4].map(Duration::from_secs);
    assert_eq!(remaining(&order, waits.iter().copied(), &cost), [6, 5, 3, 4].map(Duration::from_secs));
}

proptest! {
    #[test]
    fn an_order_holds_every_wait_that_was_not_dropped(pairs in prop::collection::vec((0u32..12, 0u32..12, any::<bool>()), 0..40)) {
        let waits: Vec<Wait> = pairs.into_iter().map(|(node, on, weak)| Wait { node, on, weak }).collect();
        match order(12, &waits) {
            Ok(ordered) => {
                let place = |node| ordered.order.iter().position(|it| *it == node).unwrap();
                for (at, wait) in waits.iter().enumerate() {
                    prop_assert!(ordered.dropped.contains(&(at as u32)) || place(wait.on) < place(wait.node));
                }
                prop_assert!(ordered.dropped.iter().all(|at| waits[*at as usize].weak));
            }
            Err(cycles) => for cycle in cycles {
                let path: Vec<Wait> = cycle.waits.iter().map(|at| waits[*at as usize]).collect();
                prop_assert!(path.iter().enumerate().all(|(at, wait)| wait.on == path[(at + 1) % path.len()].node));
            }
        }
    }
}
