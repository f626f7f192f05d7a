//! Who refers to whom.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Address, Desired};

/// Edges between resources, and the instance that each belongs to.
pub struct Graph {
    /// By address, ordered: the outermost instance, and what it waits for.
    resources: BTreeMap<Address, (Address, Vec<Address>)>,
    /// By address: what waits for it.
    users: BTreeMap<Address, Vec<Address>>,
}

impl Graph {
    pub fn of(desired: &Desired) -> Graph {
        let (mut resources, mut users) = (BTreeMap::new(), BTreeMap::<_, Vec<_>>::new());
        for it in &desired.resources {
            let to: Vec<Address> = it.edges.iter().map(|edge| edge.to.clone()).collect();
            to.iter().for_each(|to| users.entry(to.clone()).or_default().push(it.address.clone()));
            resources.insert(it.address.clone(), (it.instance.clone(), to));
        }
        Graph { resources, users }
    }

    /// What an instance or resource refers to, ordered: instances, of a resource inside its own instance the resources there.
    pub fn uses(&self, address: &Address) -> Vec<Address> {
        self.neighbours(address, |it| self.resources.get(it).map_or(&[][..], |(_, to)| to))
    }

    /// What refers to it.
    pub fn used_by(&self, address: &Address) -> Vec<Address> {
        self.neighbours(address, |it| self.users.get(it).map_or(&[][..], |users| users))
    }

    fn neighbours<'g>(&'g self, address: &Address, of: impl Fn(&Address) -> &'g [Address]) -> Vec<Address> {
        let mut found = BTreeSet::new();
        for (inside, (own, _)) in self.within(address) {
            for other in of(inside).iter().filter(|other| !other.is_within(address)) {
                let instance = self.resources.get(other).map(|(instance, _)| instance);
                found.insert(instance.filter(|instance| *instance != own).unwrap_or(other).clone());
            }
        }
        found.into_iter().collect()
    }

    /// Whether anything in `from` waits for something in `to`, through any number of others.
    pub fn reaches(&self, from: &Address, to: &Address) -> bool {
        let mut open: Vec<&Address> = self.within(from).map(|(address, _)| address).collect();
        let mut seen: BTreeSet<&Address> = open.iter().copied().collect();
        while let Some(at) = open.pop() {
            for next in self.resources.get(at).into_iter().flat_map(|(_, to)| to) {
                if next.is_within(to) {
                    return true;
                }
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        false
    }

    /// The resource of that address, or all resources inside of that instance.
    fn within<'g>(&'g self, address: &Address) -> impl Iterator<Item = (&'g Address, &'g (Address, Vec<Address>))> {
        let address = address.clone();
        let from = self.resources.range(address.clone()..);
        let near = from.take_while({
            let address = address.clone();
            move |(it, _)| it.as_str().starts_with(address.as_str())
        });
        near.filter(move |(it, _)| it.is_within(&address))
    }
}
