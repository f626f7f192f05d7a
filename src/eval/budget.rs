//! How much an evaluation may do: every program ends, and ends soon.

use std::cell::Cell;

use super::Outcome;
use crate::model::{Code, Data, Span, Value};

const STEPS_MAX: u64 = 100_000_000;
const CONSTANT_STEPS_MAX: u64 = 20_000_000;
/// Evaluations inside evaluations: expressions, calls, names that stand for expressions.
const DEPTH_MAX: u32 = 20_000;
/// Elements and entries in one value, those inside of others counted; 64 bytes of a text count as one.
const PARTS_MAX: u64 = 4_000_000;
/// Lists and maps inside of each other in one value.
const VALUE_DEPTH_MAX: u32 = 128;

/// What is left of the steps and the depth that an evaluation may use; shared by all that belongs to one program.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u64>,
    depth: Cell<u32>,
    most: u64,
    whose: &'static str,
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

    /// What checking a program may spend on its constants: enough for any list that a person writes, and soon spent.
    pub fn of_constants() -> Budget {
        Budget { whose: "the constants of the program need", ..Budget::of(CONSTANT_STEPS_MAX) }
    }

    pub(super) fn of(steps: u64) -> Budget {
        Budget { steps: Cell::new(steps), depth: Cell::new(0), most: steps, whose: "the program needs" }
    }

    /// The steps that were taken.
    pub fn spent(&self) -> u64 {
        self.most - self.steps.get()
    }

    /// Whether so many steps are more than one evaluation may take.
    pub fn is_too_much(steps: u64) -> bool {
        steps > STEPS_MAX
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
                    .error(format!("{} more than {} steps", self.whose, grouped(self.most)))
                    .label(span, "the last of them are taken here")
                    .help("look for a list that is made from itself several times over"),
            )),
        }
    }

    /// Refuses a value that is larger or deeper than anything that reads it should have to bear. A few lines can name one that
    /// would fill every memory: what stands in it twice is counted twice.
    ///
    /// Errors: [`Code::Limit`].
    pub fn bound(&self, value: &Value, span: Span) -> Outcome<()> {
        if !matches!(value.data, Data::List(_) | Data::Map(_) | Data::Variant(..)) {
            return Ok(());
        }
        let mut parts = 0;
        match measure(value, 0, &mut parts) {
            Measured::Fits => self.charge(parts / 8, span),
            Measured::Large => Err(Box::new(
                Code::Limit
                    .error("a value has at most 4,000,000 parts")
                    .label(span, "this one has more")
                    .help("look for a list or an object that holds another several times"),
            )),
            Measured::Deep => {
                Err(Box::new(Code::Limit.error("a value is nested at most 128 deep").label(span, "this one is nested deeper")))
            }
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

#[derive(PartialEq, Eq)]
enum Measured {
    Fits,
    Large,
    Deep,
}

fn measure(value: &Value, depth: u32, parts: &mut u64) -> Measured {
    *parts += match &value.data {
        Data::Text(text) => 1 + text.len() as u64 / 64,
        _ => 1,
    };
    if *parts > PARTS_MAX {
        return Measured::Large;
    }
    if depth > VALUE_DEPTH_MAX {
        return Measured::Deep;
    }
    let inside: &mut dyn Iterator<Item = &Value> = match &value.data {
        Data::List(items) => &mut items.iter(),
        Data::Map(fields) | Data::Variant(_, fields) => &mut fields.values(),
        _ => return Measured::Fits,
    };
    inside.map(|part| measure(part, depth + 1, parts)).find(|it| *it != Measured::Fits).unwrap_or(Measured::Fits)
}

/// `100,000,000`
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
