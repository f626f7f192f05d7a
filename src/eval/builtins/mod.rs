//! The built-in functions: one table that types calls, runs them and documents them.
//!
//! [`crate::model::expr::Builtin`] is a name in [`ALL`]. The checker types a call with [`BuiltinDef::result`]; the evaluator runs
//! it; the reference manual is made from `doc` and `example`, and a test runs each example.

mod collections;
mod decode;
mod encodings;
mod files;
mod hashes;
mod metrics;
mod nets;
mod numbers;
mod sets;
mod shape;
mod table;
mod texts;
mod times;
pub(super) mod units;
mod versions;

pub use shape::{Mismatch, Shape, join};
pub(super) use shape::{taints, waits};
pub use table::ALL;
pub(super) use texts::bounded;

use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;

use crate::model::expr::Builtin;
use crate::model::{Code, SourceId, Type, Value};

/// One built-in function.
pub struct BuiltinDef {
    pub name: &'static str,
    /// The chapter of the manual.
    pub group: &'static str,
    /// One sentence.
    pub doc: &'static str,
    pub params: &'static [Param],
    pub result: Shape,
    /// Whether it reads a file or a variable: such a call is of stage environment, all others as late as their arguments.
    pub reads: bool,
    /// Whether the result is plain although an argument is secret.
    pub reveals: bool,
    /// An expression and the literal that it gives.
    pub example: (&'static str, &'static str),
    pub(super) run: fn(&Arguments<'_>) -> Result<Value, Problem>,
}

/// One parameter of a built-in function. Arguments are given by place or by name.
pub struct Param {
    pub name: &'static str,
    pub shape: Shape,
    pub need: ParamNeed,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ParamNeed {
    Required,
    Optional,
    /// The last one: any number of arguments, none included. They follow the others in [`crate::model::expr::ExprKind::Builtin`].
    Rest,
}

/// Why a call has no result. The evaluator adds the place.
#[derive(Debug)]
pub(super) struct Problem {
    pub code: Code,
    pub message: String,
}

/// What built-ins read from outside of the program. Given by whoever evaluates; a pure evaluation gives [`Nothing`]. Parts of a
/// program are evaluated at once, and may ask at once.
pub trait Outside: Sync {
    /// The bytes of a file of the stack or of an import. `from` is the source that asks, where relative paths begin.
    ///
    /// Errors: why not, as a clause: "it leaves the stack's directory".
    fn file(&self, path: &str, from: SourceId) -> Result<Arc<[u8]>, String>;
    /// Whether there is such a file.
    ///
    /// Errors: as [`Outside::file`], but for one that does not exist.
    fn exists(&self, path: &str, from: SourceId) -> Result<bool, String>;
    /// The files below a directory, by their paths from there, in order.
    ///
    /// Errors: as [`Outside::file`].
    fn list(&self, dir: &str, from: SourceId) -> Result<Vec<String>, String>;
    /// A variable of the environment; `None` if it is not set.
    ///
    /// Errors: why a program may not read it, as a clause.
    fn variable(&self, name: &str, from: SourceId) -> Result<Option<String>, String>;
}

/// An outside in which there is nothing.
pub struct Nothing;

impl Outside for Nothing {
    fn file(&self, _: &str, _: SourceId) -> Result<Arc<[u8]>, String> {
        Err("files cannot be read here".into())
    }

    fn exists(&self, _: &str, _: SourceId) -> Result<bool, String> {
        Err("files cannot be read here".into())
    }

    fn list(&self, _: &str, _: SourceId) -> Result<Vec<String>, String> {
        Err("files cannot be read here".into())
    }

    fn variable(&self, _: &str, _: SourceId) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// The function with that name, as expressions hold it.
pub fn find(name: &str) -> Option<Builtin> {
    definition(name).map(|def| Builtin(def.name.into()))
}

/// The function with that name.
pub fn definition(name: &str) -> Option<&'static BuiltinDef> {
    static PLACES: LazyLock<FxHashMap<&str, usize>> =
        LazyLock::new(|| ALL.iter().enumerate().map(|(at, def)| (def.name, at)).collect());
    ALL.get(*PLACES.get(name)?)
}

/// The definition of a function; `None` only for an expression that came from outside.
pub fn get(builtin: &Builtin) -> Option<&'static BuiltinDef> {
    definition(&builtin.0)
}

impl BuiltinDef {
    /// The type of a call with arguments of these types, in the order of the parameters (`None`: left out; more than there are
    /// parameters belong to the last). What is computed from a secret is secret.
    ///
    /// Errors: the first argument that does not fit, and what would.
    pub fn result(&self, arguments: &[Option<Type>]) -> Result<Type, Mismatch> {
        shape::result(self, arguments)
    }

    /// The parameter that takes the argument at this place.
    pub fn param(&self, at: usize) -> Option<&'static Param> {
        self.params.get(at).or_else(|| self.params.last().filter(|last| last.need == ParamNeed::Rest))
    }

    /// `join(by: string, list: list<string>)`, for messages and the manual.
    pub fn signature(&self) -> String {
        let params = self.params.iter().map(|param| match param.need {
            ParamNeed::Required => format!("{}: {}", param.name, param.shape),
            ParamNeed::Optional => format!("{}?: {}", param.name, param.shape),
            ParamNeed::Rest => format!("...{}: {}", param.name, param.shape),
        });
        format!("{}({}): {}", self.name, params.collect::<Vec<_>>().join(", "), self.result)
    }
}

impl Problem {
    fn new(code: Code, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into() }
    }

    fn argument(message: impl Into<String>) -> Problem {
        Problem::new(Code::BadArguments, message)
    }

    fn arithmetic(message: impl Into<String>) -> Problem {
        Problem::new(Code::Arithmetic, message)
    }
}

/// The known arguments of a call.
pub(super) struct Arguments<'a> {
    pub values: &'a [Option<Value>],
    pub outside: &'a dyn Outside,
    /// The source that holds the call.
    pub source: SourceId,
}

impl<'a> Arguments<'a> {
    fn get(&self, at: usize) -> Option<&'a Value> {
        self.values.get(at).and_then(Option::as_ref)
    }

    fn value(&self, at: usize) -> Result<&'a Value, Problem> {
        self.get(at).ok_or_else(|| Problem::argument(format!("argument {} is missing", at + 1)))
    }

    fn text(&self, at: usize) -> Result<&'a str, Problem> {
        let value = self.value(at)?;
        value.as_text().ok_or_else(|| self.unfit(at, "a string"))
    }

    fn int(&self, at: usize) -> Result<i64, Problem> {
        self.value(at)?.as_int().ok_or_else(|| self.unfit(at, "an int"))
    }

    fn int_or(&self, at: usize, default: i64) -> Result<i64, Problem> {
        match self.get(at) {
            None => Ok(default),
            Some(_) => self.int(at),
        }
    }

    fn list(&self, at: usize) -> Result<&'a [Value], Problem> {
        self.value(at)?.as_list().ok_or_else(|| self.unfit(at, "a list"))
    }

    fn map(&self, at: usize) -> Result<&'a crate::model::Fields, Problem> {
        self.value(at)?.as_map().ok_or_else(|| self.unfit(at, "a map"))
    }

    /// The arguments from this place on.
    fn rest(&self, at: usize) -> impl Iterator<Item = &'a Value> {
        self.values.iter().skip(at).filter_map(Option::as_ref)
    }

    fn unfit(&self, at: usize, expected: &str) -> Problem {
        Problem::new(Code::WrongType, format!("argument {} is not {expected}", at + 1))
    }
}

/// A regular expression, bounded in size, so that no pattern takes long to compile.
///
/// Errors: why not, as a clause.
pub(super) fn compile(pattern: &str) -> Result<regex::Regex, String> {
    // Longer ones are refused before anything reads them.
    if pattern.len() > 64 << 10 {
        return Err("it is longer than 64 KiB".into());
    }
    regex::RegexBuilder::new(pattern).size_limit(1 << 20).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large once its repetitions are written out".into(),
        error => error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    })
}

#[cfg(test)]
mod tests;

/// Whether the text is a network such as `10.0.0.0/16`.
pub(super) fn is_network(text: &str) -> bool {
    nets::Network::parse(text).is_some()
}
