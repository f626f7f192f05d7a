//! Values by name: what objects, maps and resources hold.

use std::collections::{BTreeMap, btree_map};
use std::{slice, vec};

use super::types::Name;
use super::value::Value;

/// So many are kept in one piece of memory; more in a tree.
const SMALL_MAX: usize = 64;

/// The fields of an object, the entries of a map, the attributes of a resource, by name and in the order of their names. Almost
/// all are small: those are one piece of memory, as long as its entries.
#[derive(Clone)]
pub struct Fields(Entries);

#[derive(Clone)]
enum Entries {
    /// Ordered by name.
    Small(Vec<(Name, Value)>),
    Large(BTreeMap<Name, Value>),
}

use Entries::{Large, Small};

impl Fields {
    pub const fn new() -> Fields {
        Fields(Small(Vec::new()))
    }

    /// With room for so many.
    pub fn with_capacity(count: usize) -> Fields {
        Fields(Small(Vec::with_capacity(count.min(SMALL_MAX))))
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Small(entries) => entries.len(),
            Large(entries) => entries.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get<Q: AsRef<str> + ?Sized>(&self, name: &Q) -> Option<&Value> {
        match &self.0 {
            Small(entries) => Some(&entries[position(entries, name.as_ref())?].1),
            Large(entries) => entries.get(name.as_ref()),
        }
    }

    pub fn get_mut<Q: AsRef<str> + ?Sized>(&mut self, name: &Q) -> Option<&mut Value> {
        match &mut self.0 {
            Small(entries) => {
                let at = position(entries, name.as_ref())?;
                Some(&mut entries[at].1)
            }
            Large(entries) => entries.get_mut(name.as_ref()),
        }
    }

    pub fn contains_key<Q: AsRef<str> + ?Sized>(&self, name: &Q) -> bool {
        self.get(name).is_some()
    }

    /// Gives what was there before.
    pub fn insert(&mut self, name: Name, value: Value) -> Option<Value> {
        let entries = match &mut self.0 {
            Small(entries) => entries,
            Large(entries) => return entries.insert(name, value),
        };
        // Most come in order.
        let place = match entries.last() {
            Some((last, _)) if *last >= name => entries.binary_search_by(|(it, _)| it.cmp(&name)),
            _ => Err(entries.len()),
        };
        match place {
            Ok(at) => return Some(std::mem::replace(&mut entries[at].1, value)),
            Err(at) if entries.len() < SMALL_MAX => entries.insert(at, (name, value)),
            Err(_) => {
                let mut large: BTreeMap<Name, Value> = std::mem::take(entries).into_iter().collect();
                large.insert(name, value);
                self.0 = Large(large);
            }
        }
        None
    }

    /// Inserts what `make` gives, unless the name is there.
    pub fn insert_if_missing(&mut self, name: &Name, make: impl FnOnce() -> Value) {
        if !self.contains_key(name) {
            self.insert(name.clone(), make());
        }
    }

    pub fn remove<Q: AsRef<str> + ?Sized>(&mut self, name: &Q) -> Option<Value> {
        match &mut self.0 {
            Small(entries) => {
                let at = position(entries, name.as_ref())?;
                Some(entries.remove(at).1)
            }
            Large(entries) => entries.remove(name.as_ref()),
        }
    }

    pub fn retain(&mut self, mut keep: impl FnMut(&Name, &mut Value) -> bool) {
        match &mut self.0 {
            Small(entries) => entries.retain_mut(|(name, value)| keep(name, value)),
            Large(entries) => entries.retain(keep),
        }
    }

    /// Gives back memory that no entry needs.
    pub fn shrink(&mut self) {
        if let Small(entries) = &mut self.0 {
            entries.shrink_to_fit();
        }
    }

    pub fn iter(&self) -> Iter<'_> {
        match &self.0 {
            Small(entries) => Iter::Small(entries.iter()),
            Large(entries) => Iter::Large(entries.iter()),
        }
    }

    pub fn iter_mut(&mut self) -> IterMut<'_> {
        match &mut self.0 {
            Small(entries) => IterMut::Small(entries.iter_mut()),
            Large(entries) => IterMut::Large(entries.iter_mut()),
        }
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &Name> + ExactSizeIterator + Clone {
        self.iter().map(|(name, _)| name)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &Value> + ExactSizeIterator + Clone {
        self.iter().map(|(_, value)| value)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut Value> {
        self.iter_mut().map(|(_, value)| value)
    }

    pub fn into_keys(self) -> impl Iterator<Item = Name> {
        self.into_iter().map(|(name, _)| name)
    }

    pub fn into_values(self) -> impl Iterator<Item = Value> {
        self.into_iter().map(|(_, value)| value)
    }

    pub fn first_key_value(&self) -> Option<(&Name, &Value)> {
        self.iter().next()
    }
}

/// Where a name is. Names of one map are seldom equally long, so that most are told apart by their length alone.
fn position(entries: &[(Name, Value)], name: &str) -> Option<usize> {
    entries.iter().position(|(it, _)| **it == *name)
}

impl Default for Fields {
    fn default() -> Fields {
        Fields::new()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Fields) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<Q: AsRef<str> + ?Sized> std::ops::Index<&Q> for Fields {
    type Output = Value;

    /// For names that are there.
    fn index(&self, name: &Q) -> &Value {
        self.get(name).expect("the name is there")
    }
}

impl<const N: usize> From<[(Name, Value); N]> for Fields {
    fn from(entries: [(Name, Value); N]) -> Fields {
        entries.into_iter().collect()
    }
}

impl From<BTreeMap<Name, Value>> for Fields {
    fn from(entries: BTreeMap<Name, Value>) -> Fields {
        entries.into_iter().collect()
    }
}

impl FromIterator<(Name, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (Name, Value)>>(entries: I) -> Fields {
        let entries = entries.into_iter();
        let mut fields = Fields::with_capacity(entries.size_hint().0);
        fields.extend(entries);
        fields
    }
}

impl Extend<(Name, Value)> for Fields {
    fn extend<I: IntoIterator<Item = (Name, Value)>>(&mut self, entries: I) {
        entries.into_iter().for_each(|(name, value)| drop(self.insert(name, value)));
    }
}

#[derive(Clone)]
pub enum Iter<'f> {
    Small(slice::Iter<'f, (Name, Value)>),
    Large(btree_map::Iter<'f, Name, Value>),
}

pub enum IterMut<'f> {
    Small(slice::IterMut<'f, (Name, Value)>),
    Large(btree_map::IterMut<'f, Name, Value>),
}

pub enum IntoIter {
    Small(vec::IntoIter<(Name, Value)>),
    Large(btree_map::IntoIter<Name, Value>),
}

impl<'f> Iterator for Iter<'f> {
    type Item = (&'f Name, &'f Value);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Small(entries) => entries.next().map(|(name, value)| (name, value)),
            Iter::Large(entries) => entries.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            Iter::Small(entries) => entries.size_hint(),
            Iter::Large(entries) => entries.size_hint(),
        }
    }
}

impl DoubleEndedIterator for Iter<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            Iter::Small(entries) => entries.next_back().map(|(name, value)| (name, value)),
            Iter::Large(entries) => entries.next_back(),
        }
    }
}

impl ExactSizeIterator for Iter<'_> {}

impl<'f> Iterator for IterMut<'f> {
    type Item = (&'f Name, &'f mut Value);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            IterMut::Small(entries) => entries.next().map(|(name, value)| (&*name, value)),
            IterMut::Large(entries) => entries.next(),
        }
    }
}

impl Iterator for IntoIter {
    type Item = (Name, Value);

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            IntoIter::Small(entries) => entries.next(),
            IntoIter::Large(entries) => entries.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            IntoIter::Small(entries) => entries.size_hint(),
            IntoIter::Large(entries) => entries.size_hint(),
        }
    }
}

impl DoubleEndedIterator for IntoIter {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self {
            IntoIter::Small(entries) => entries.next_back(),
            IntoIter::Large(entries) => entries.next_back(),
        }
    }
}

impl IntoIterator for Fields {
    type Item = (Name, Value);
    type IntoIter = IntoIter;

    fn into_iter(self) -> IntoIter {
        match self.0 {
            Small(entries) => IntoIter::Small(entries.into_iter()),
            Large(entries) => IntoIter::Large(entries.into_iter()),
        }
    }
}

impl<'f> IntoIterator for &'f Fields {
    type Item = (&'f Name, &'f Value);
    type IntoIter = Iter<'f>;

    fn into_iter(self) -> Iter<'f> {
        self.iter()
    }
}

impl<'f> IntoIterator for &'f mut Fields {
    type Item = (&'f Name, &'f mut Value);
    type IntoIter = IterMut<'f>;

    fn into_iter(self) -> IterMut<'f> {
        self.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_what_a_tree_would_be() {
        // As many steps as there are sizes on both sides of the bound, with names in no order.
        let (mut fields, mut tree) = (Fields::new(), BTreeMap::new());
        for step in 0..3 * SMALL_MAX {
            let name: Name = format!("n{}", step * 37 % 101).into();
            let before = tree.insert(name.clone(), Value::int(step as i64));
            assert_eq!(fields.insert(name.clone(), Value::int(step as i64)), before);
            if step % 5 == 0 {
                let gone: Name = format!("n{}", step % 101).into();
                assert_eq!(fields.remove(&gone), tree.remove(&gone));
            }
            assert_eq!(fields.get(&name), tree.get(&name));
            assert!(fields.iter().eq(tree.iter()) && fields.iter().rev().eq(tree.iter().rev()));
            assert_eq!(fields, Fields::from(tree.clone()));
        }
        fields.retain(|_, value| value.as_int() > Some(99));
        tree.retain(|_, value| value.as_int() > Some(99));
        assert!(!tree.is_empty() && fields.into_iter().eq(tree));
    }

    #[test]
    fn one_that_became_small_equals_one_that_is() {
        let name = |at: usize| -> Name { format!("{at:03}").into() };
        let mut large: Fields = (0..=SMALL_MAX).map(|at| (name(at), Value::int(1))).collect();
        let small: Fields = (0..SMALL_MAX).map(|at| (name(at), Value::int(1))).collect();
        assert_ne!(large, small);
        large.remove(&name(SMALL_MAX));
        assert_eq!(large, small);
        assert!(matches!((&large.0, &small.0), (Large(_), Small(_))));
    }
}
