//! What the log says of each token, as it became durable: held against everything that reaches a cloud.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use stackwright::state::contract::Entry;

/// One operation, by its token.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Operation {
    Open,
    /// Its outcome was written: done, or adopted by recovery.
    Done,
    /// It was written that it has no effect.
    Without,
}

#[derive(Default)]
pub struct Ledger {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    operations: BTreeMap<String, Operation>,
    /// Tokens by the place of their intent.
    at: BTreeMap<u64, String>,
    violations: Vec<String>,
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn violates(&self, words: String) {
        self.lock().violations.push(words);
    }

    pub fn violations(&self) -> Vec<String> {
        self.lock().violations.clone()
    }

    pub fn state(&self, token: &str) -> Option<Operation> {
        self.lock().operations.get(token).cloned()
    }

    /// Takes up entries that have just become durable; gives the tokens that are closed as without effect by them.
    pub fn take(&self, entries: &[Entry]) -> Vec<String> {
        let mut inner = self.lock();
        let mut without = Vec::new();
        for entry in entries {
            let kind = entry.header.kind.as_str();
            if !matches!(kind, "intent" | "outcome" | "settled") {
                continue;
            }
            let body: serde_json::Value = serde_json::from_slice(&entry.body).expect("a body is JSON");
            let token = match (body["of"].as_u64(), body["operation"].as_str()) {
                (Some(place), _) => inner.at.get(&place).cloned().unwrap_or_default(),
                (None, Some(id)) => format!("sw-{id}"),
                (None, None) => panic!("entry {} names no operation", entry.header.sequence),
            };
            let state = match (kind, body["how"].as_str()) {
                ("intent", _) => {
                    inner.at.insert(entry.header.sequence, token.clone());
                    Operation::Open
                }
                ("outcome", _) if body.get("words").is_none() => Operation::Done,
                ("outcome", _) | (_, Some("absent")) => Operation::Without,
                (_, Some("flagged")) => Operation::Open,
                _ => Operation::Done,
            };
            if state == Operation::Without {
                without.push(token.clone());
            }
            inner.operations.insert(token, state);
        }
        without
    }
}
