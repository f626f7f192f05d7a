//! What `--only` keeps of a plan.

use rustc_hash::FxHashSet;

use super::Planner;
use crate::graph::resources::ResourceOrder;
use crate::model::{Address, Change, Code, Diagnostic};
use crate::plan::only;

impl Planner<'_> {
    /// Keeps what `--only` matches and what that takes along, and says what is left out. Whether outputs are left out, too.
    pub(super) fn select(
        &mut self,
        changes: &mut Vec<Change>,
        ordered: &ResourceOrder,
        addresses: &[Address],
    ) -> Result<bool, Vec<Diagnostic>> {
        if self.options.only.is_empty() {
            return Ok(false);
        }
        let globs = &self.options.only;
        let all = || addresses.iter().chain(self.known.records.keys());
        let unmatched = globs.iter().filter(|glob| !all().any(|address| only::matches(glob, address)));
        let unmatched: Vec<Diagnostic> = unmatched
            .map(|glob| {
                Code::Usage
                    .error(format!("`--only {glob}` matches no resource"))
                    .help("`*` stands for anything within a segment of an address, `**` for anything; `stackwright state list` shows addresses")
            })
            .collect();
        if !unmatched.is_empty() {
            return Err(unmatched);
        }
        let kept = taken_along(changes, ordered, addresses, |address| globs.iter().any(|glob| only::matches(glob, address)));
        let waiting = self.desired.deferred.iter().filter(|set| !globs.iter().any(|glob| only::matches(glob, &set.address)));
        let waiting = waiting.map(|set| format!("`{}` (deferred)", set.address));
        let left: Vec<String> = changes
            .iter()
            .filter(|change| !kept.contains(&change.address))
            .map(|change| format!("`{}` ({})", change.address, change.action.word()))
            .chain(waiting)
            .collect();
        changes.retain(|change| kept.contains(&change.address));
        if left.is_empty() {
            return Ok(false);
        }
        const NAMED: usize = 10;
        let names = left.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
        let more = if left.len() > NAMED { format!(" and {} more", left.len() - NAMED) } else { String::new() };
        self.warnings.push(
            Code::Doubtful
                .warning(format!("`--only` leaves out {} changes, and the outputs of the stack", left.len()))
                .note(format!("left out: {names}{more}"))
                .help("plan without `--only` to see everything"),
        );
        Ok(true)
    }
}

/// Addresses of the changes that a selection matches, with everything that they wait for; a destroyed resource takes along what
/// was recorded as using it.
fn taken_along(
    changes: &[Change],
    ordered: &ResourceOrder,
    addresses: &[Address],
    matches: impl Fn(&Address) -> bool,
) -> FxHashSet<Address> {
    let mut declared: Vec<bool> = addresses.iter().map(&matches).collect();
    let mut waits = ordered.waits.clone();
    let mut place = vec![0; addresses.len()];
    ordered.order.iter().enumerate().for_each(|(at, node)| place[*node as usize] = at);
    waits.sort_by_key(|wait| std::cmp::Reverse(place[wait.node as usize]));
    for wait in waits {
        if declared[wait.node as usize] {
            declared[wait.on as usize] = true;
        }
    }
    let mut kept: FxHashSet<Address> =
        addresses.iter().zip(&declared).filter(|(_, kept)| **kept).map(|(address, _)| address.clone()).collect();
    let undeclared = || changes.iter().filter(|change| change.after.is_none());
    kept.extend(undeclared().map(|change| &change.address).filter(|address| matches(address)).cloned());
    loop {
        let uses_kept = |change: &&Change| {
            let edges = change.before.iter().flat_map(|record| &record.edges);
            !kept.contains(&change.address) && edges.into_iter().any(|edge| kept.contains(&edge.to))
        };
        let gone: FxHashSet<&Address> = undeclared().map(|change| &change.address).collect();
        let more: Vec<Address> = undeclared()
            .filter(uses_kept)
            .filter(|change| {
                let edges = change.before.iter().flat_map(|record| &record.edges);
                edges.into_iter().any(|edge| kept.contains(&edge.to) && gone.contains(&edge.to))
            })
            .map(|change| change.address.clone())
            .collect();
        if more.is_empty() {
            return kept;
        }
        kept.extend(more);
    }
}
