//! How much an evaluation may do: every program ends, and ends soon.

use std::cell::Cell;

use super::Outcome;
use crate::model::{Code, Span};

const STEPS_MAX: u64 = 100_000_000;
/// Evaluations inside evaluations: expressions, calls, names that stand for expressions.
const DEPTH_MAX: u32 = 20_000;

/// What is left of the steps and the depth that an evaluation may use; shared by all that belongs to one program.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    depth: Cell<u32>,
}

impl Default for Budget {
    fn default() -> Self {
        Budget::new()
    }
}

impl Budget {
    pub fn new() -> Budget {
        Budget::of(STEPS_MAX)
    }

    pub(super) fn of(steps: u64) -> Budget {
        Budget { steps: Cell::new(steps), depth: Cell::new(0) }
    }

    /// Takes that many steps.
    ///
    /// Errors: [`Code::Limit`] when none are left.
    pub fn charge(&self, steps: u64, span: Span) -> Outcome<()> {
        match self.steps.get().checked_sub(steps) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => Err(Box::new(
                Code::Limit
                    .error("the program needs more than 100,000,000 steps")
                    .label(span, "the last of them are taken here")
                    .help("look for a list that is made from itself several times over"),
            )),
        }
    }

    /// Runs something one level deeper, on a stack that grows.
    ///
    /// Errors: [`Code::Limit`] when it is too deep.
    pub fn deeper<T>(&self, span: Span, run: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let depth = self.depth.get();
        if depth >= DEPTH_MAX {
            return Err(Box::new(
                Code::Limit.error("the program is nested deeper than 20,000 evaluations").label(span, "the deepest is here"),
            ));
        }
        self.depth.set(depth + 1);
        let result = stacker::maybe_grow(128 << 10, 4 << 20, run);
        self.depth.set(depth);
        result
    }
}
