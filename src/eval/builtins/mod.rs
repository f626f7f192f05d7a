//! The built-in functions: one table that types calls, runs them and documents them.
//!
//! [`crate::model::expr::Builtin`] is a place in [`ALL`]. The checker types a call with [`BuiltinDef::result`]; the evaluator runs
//! it; the reference manual is made from `doc` and `example`, and a test runs each example.

mod collections;
mod encodings;
mod metrics;
mod nets;
mod numbers;
mod shape;
mod texts;
pub(super) mod units;

pub use shape::{Mismatch, Shape, join};
pub(super) use shape::{taints, waits};
pub(super) use texts::bounded;

use crate::model::expr::Builtin;
use crate::model::{Code, Type, Value};

/// One built-in function.
pub struct BuiltinDef {
    pub name: &'static str,
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

/// What built-ins read from outside of the program. Given by whoever evaluates; a pure evaluation gives [`Nothing`].
pub trait Outside {
    /// The text of a file of the stack or of an import. `from` is the source that asks, where relative paths begin.
    ///
    /// Errors: why not, as a clause: "it leaves the stack's directory".
    fn file(&self, path: &str, from: crate::model::SourceId) -> Result<std::sync::Arc<str>, String>;
    /// A variable of the environment.
    fn variable(&self, name: &str) -> Option<String>;
}

/// An outside in which there is nothing.
pub struct Nothing;

impl Outside for Nothing {
    fn file(&self, _: &str, _: crate::model::SourceId) -> Result<std::sync::Arc<str>, String> {
        Err("files cannot be read here".into())
    }

    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}

/// The function with that name.
pub fn find(name: &str) -> Option<Builtin> {
    ALL.iter().position(|def| def.name == name).map(|at| Builtin(at as u16))
}

/// The definition of a function. A number that is not in the table is a bug of whoever made it.
pub fn get(builtin: Builtin) -> &'static BuiltinDef {
    ALL.get(usize::from(builtin.0)).expect("a built-in is a place in the table")
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
    pub source: crate::model::SourceId,
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

const fn required(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, need: ParamNeed::Required }
}

const fn optional(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, need: ParamNeed::Optional }
}

const fn rest(name: &'static str, shape: Shape) -> Param {
    Param { name, shape, need: ParamNeed::Rest }
}

macro_rules! table {
    ($($name:literal ($($param:expr),* $(,)?) -> $result:expr, $doc:literal, $example:literal => $gives:literal, $run:path $(, $flag:ident)*;)+) => {
        /// Every built-in, in the order of the manual. New ones go to the end of their group.
        pub static ALL: &[BuiltinDef] = &[$(BuiltinDef {
            name: $name,
            doc: $doc,
            params: { const PARAMS: &[Param] = &[$($param),*]; PARAMS },
            result: $result,
            reads: table!(@flag reads $($flag)*),
            reveals: table!(@flag reveals $($flag)*),
            example: ($example, $gives),
            run: $run,
        },)+];
    };
    (@flag reads reads) => { true };
    (@flag reveals reveals) => { true };
    (@flag $any:ident $($other:ident)*) => { false };
}

use Shape::{Amount, Any, Bool, Compared, Duration, Int, List, Map, Metric, Never, Number, Optional, Plain, Text, Union, Var};

table! {
    // Texts.
    "lower"(required("text", Text)) -> Text, "The text in lower case.", r#"lower("Hello")"# => r#""hello""#, texts::lower;
    "upper"(required("text", Text)) -> Text, "The text in upper case.", r#"upper("Hello")"# => r#""HELLO""#, texts::upper;
    "title"(required("text", Text)) -> Text, "The first letter of each word in upper case.", r#"title("hello world")"# => r#""Hello World""#, texts::title;
    "trim"(required("text", Text), required("characters", Text)) -> Text, "The text without any of these characters at both ends.", r#"trim("?hi!", "?!")"# => r#""hi""#, texts::trim;
    "trim_space"(required("text", Text)) -> Text, "The text without blanks and newlines at both ends.", r#"trim_space("  hi ")"# => r#""hi""#, texts::trim_space;
    "trim_prefix"(required("text", Text), required("prefix", Text)) -> Text, "The text without this beginning, if it has it.", r#"trim_prefix("v1.2", "v")"# => r#""1.2""#, texts::trim_prefix;
    "trim_suffix"(required("text", Text), required("suffix", Text)) -> Text, "The text without this end, if it has it.", r#"trim_suffix("a.stack", ".stack")"# => r#""a""#, texts::trim_suffix;
    "starts_with"(required("text", Text), required("prefix", Text)) -> Bool, "Whether the text begins so.", r#"starts_with("hello", "he")"# => "true", texts::starts_with;
    "ends_with"(required("text", Text), required("suffix", Text)) -> Bool, "Whether the text ends so.", r#"ends_with("hello", "lo")"# => "true", texts::ends_with;
    "str_contains"(required("text", Text), required("part", Text)) -> Bool, "Whether the text holds the part.", r#"str_contains("hello", "ell")"# => "true", texts::str_contains;
    "split"(required("by", Text), required("text", Text)) -> List(&Text), "The pieces of the text between separators.", r#"split(",", "a,b")"# => r#"["a", "b"]"#, texts::split;
    "join"(required("by", Text), required("list", List(&Text))) -> Text, "The texts with the separator between them.", r#"join("-", ["a", "b"])"# => r#""a-b""#, texts::join;
    "replace"(required("text", Text), required("old", Text), required("new", Text)) -> Text, "The text with each `old` replaced.", r#"replace("a.b.c", ".", "-")"# => r#""a-b-c""#, texts::replace;
    "substr"(required("text", Text), required("offset", Int), required("length", Int)) -> Text, "A part, counted in characters; a negative offset counts from the end, length -1 takes the rest.", r#"substr("hello", 1, 3)"# => r#""ell""#, texts::substr;
    "indent"(required("spaces", Int), required("text", Text)) -> Text, "The text with every line but the first moved to the right.", "indent(2, \"a\\nb\")" => r#""a\n  b""#, texts::indent;
    "format"(required("format", Text), rest("values", Any)) -> Text, "Values written after a format: %s %d %f %q %v %x %%, with width and precision as in C.", r#"format("%s-%03d", "web", 7)"# => r#""web-007""#, texts::format;
    "regex"(required("pattern", Text), required("text", Text)) -> Optional(&Text), "The first match of a regular expression, or its first group if it has one; null where nothing matches.", r#"regex("v([0-9]+)", "v12")"# => r#""12""#, texts::regex;
    "regex_all"(required("pattern", Text), required("text", Text)) -> List(&Text), "All matches of a regular expression, or of its first group.", r#"regex_all("[a-z]+", "ab-cd")"# => r#"["ab", "cd"]"#, texts::regex_all;
    "regex_replace"(required("text", Text), required("pattern", Text), required("new", Text)) -> Text, "The text with each match replaced; `$1` stands for a group and `$$` for a dollar.", r#"regex_replace("a1b2", "[0-9]", "_")"# => r#""a_b_""#, texts::regex_replace;
    "text"(required("value", Any)) -> Text, "A value as people write it.", "text(256MiB)" => r#""256MiB""#, texts::text;

    // Collections.
    "length"(required("of", Union(&[Text, List(&Var('a')), Map(&Var('a'))]))) -> Int, "How many elements, entries or characters.", "length([1, 2])" => "2", collections::length;
    "len"(required("of", Union(&[Text, List(&Var('a')), Map(&Var('a'))]))) -> Int, "The same as `length`.", r#"len("abc")"# => "3", collections::length;
    "count"(required("n", Int)) -> List(&Int), "The list 0 … n-1.", "count(3)" => "[0, 1, 2]", collections::count;
    "keys"(required("map", Map(&Var('a')))) -> List(&Text), "The keys of a map, in order.", "keys({ b = 1, a = 2 })" => r#"["a", "b"]"#, collections::keys;
    "values"(required("map", Map(&Var('a')))) -> List(&Var('a')), "The values of a map, in the order of its keys.", "values({ b = 1, a = 2 })" => "[2, 1]", collections::values;
    "merge"(rest("maps", Map(&Var('a')))) -> Map(&Var('a')), "All entries of the maps; later ones win.", "merge({ a = 1 }, { a = 2, b = 3 })" => "{ a = 2, b = 3 }", collections::merge;
    "lookup"(required("map", Map(&Var('a'))), required("key", Text), optional("default", Var('a'))) -> Var('a'), "The entry with that key, else the default.", r#"lookup({ a = 1 }, "b", 0)"# => "0", collections::lookup;
    "contains"(required("list", List(&Compared('a'))), required("value", Compared('a'))) -> Bool, "Whether the list has the value.", r#"contains(["a", "b"], "b")"# => "true", collections::contains;
    "index"(required("list", List(&Compared('a'))), required("value", Compared('a'))) -> Optional(&Int), "The place of the value in the list, from 0; null where it is not.", r#"index(["a", "b"], "b")"# => "1", collections::index;
    "element"(required("list", List(&Var('a'))), required("index", Int)) -> Var('a'), "The element at a place that wraps around at the end.", r#"element(["a", "b"], 3)"# => r#""b""#, collections::element;
    "distinct"(required("list", List(&Compared('a')))) -> List(&Compared('a')), "The list without repetitions; first ones stay.", "distinct([1, 2, 1])" => "[1, 2]", collections::distinct;
    "flatten"(required("lists", List(&List(&Var('a'))))) -> List(&Var('a')), "The elements of all lists of a list.", "flatten([[1], [2, 3]])" => "[1, 2, 3]", collections::flatten;
    "concat"(rest("lists", List(&Var('a')))) -> List(&Var('a')), "The lists one after the other.", "concat([1], [2])" => "[1, 2]", collections::concat;
    "compact"(required("list", List(&Optional(&Compared('a'))))) -> List(&Compared('a')), "The list without nulls and empty texts.", r#"compact(["a", null, ""])"# => r#"["a"]"#, collections::compact;
    "sort"(required("list", List(&Compared('a')))) -> List(&Compared('a')), "Texts, numbers or units in rising order.", "sort([3, 1, 2])" => "[1, 2, 3]", collections::sort;
    "reverse"(required("list", List(&Var('a')))) -> List(&Var('a')), "The list from its end.", "reverse([1, 2])" => "[2, 1]", collections::reverse;
    "slice"(required("list", List(&Var('a'))), required("from", Int), required("to", Int)) -> List(&Var('a')), "The elements from one place to before another.", "slice([1, 2, 3], 1, 3)" => "[2, 3]", collections::slice;
    "chunk_list"(required("list", List(&Var('a'))), required("size", Int)) -> List(&List(&Var('a'))), "The list in pieces of that size.", "chunk_list([1, 2, 3], 2)" => "[[1, 2], [3]]", collections::chunk_list;
    "zipmap"(required("keys", List(&Text)), required("values", List(&Var('a')))) -> Map(&Var('a')), "A map from keys and values.", r#"zipmap(["a"], [1])"# => "{ a = 1 }", collections::zipmap;
    "coalesce"(rest("values", Optional(&Compared('a')))) -> Compared('a'), "The first value that is neither null nor an empty text.", r#"coalesce(null, "", "c")"# => r#""c""#, collections::coalesce;
    "all_true"(required("list", List(&Bool))) -> Bool, "Whether every element is true.", "all_true([true, false])" => "false", collections::all_true;
    "any_true"(required("list", List(&Bool))) -> Bool, "Whether an element is true.", "any_true([true, false])" => "true", collections::any_true;
    "plain"(required("map", Map(&Var('a')))) -> Map(&Plain('a')), "The entries of a map that hold no secret.", "plain({ a = 1 })" => "{ a = 1 }", collections::plain;
    "secrets"(required("map", Map(&Var('a')))) -> Map(&Shape::Secret('a')), "The entries of a map that hold a secret.", "secrets({ a = 1 })" => "{}", collections::secrets;

    // Numbers.
    "floor"(required("number", Number)) -> Int, "The greatest int that is not above.", "floor(2.7)" => "2", numbers::floor;
    "ceil"(required("number", Number)) -> Int, "The least int that is not below.", "ceil(2.1)" => "3", numbers::ceil;
    "round"(required("number", Number)) -> Int, "The nearest int; halves go to the even one.", "round(2.5)" => "2", numbers::round;
    "abs"(required("amount", Amount('a'))) -> Amount('a'), "The amount without its sign.", "abs(-3)" => "3", numbers::abs;
    "min"(rest("amounts", Amount('a'))) -> Amount('a'), "The least of numbers or units.", "min(2, 1)" => "1", numbers::min;
    "max"(rest("amounts", Amount('a'))) -> Amount('a'), "The greatest of numbers or units.", "max(1m, 90s)" => "1m30s", numbers::max;
    "sum"(required("list", List(&Amount('a')))) -> Amount('a'), "All of a list together; 0 for an empty one.", "sum([1, 2])" => "3", numbers::sum;
    "parse_int"(required("text", Text), optional("base", Int)) -> Int, "The int that the text writes, in base 10 unless said otherwise.", r#"parse_int("ff", 16)"# => "255", numbers::parse_int;
    "parse_number"(required("text", Text)) -> Number, "The number that the text writes.", r#"parse_number("2.5")"# => "2.5", numbers::parse_number;

    // Encodings and hashes.
    "json_encode"(required("value", Any)) -> Text, "The value as JSON on one line, keys in order.", "json_encode({ a = [1, null] })" => r#""{\"a\":[1,null]}""#, encodings::json_encode;
    "json_decode"(required("text", Text)) -> Any, "The value that a JSON text holds.", "json_decode(\"[1, 2]\")" => "[1, 2]", encodings::json_decode;
    "yaml_encode"(required("value", Any)) -> Text, "The value as YAML, keys in order.", "yaml_encode({ a = [\"b\", \"yes\"] })"
        => r#""a:\n  - b\n  - \"yes\"\n""#, encodings::yaml_encode;
    "base64_encode"(required("text", Text)) -> Text, "The text in base 64.", r#"base64_encode("hi")"# => r#""aGk=""#, encodings::base64_encode;
    "base64_decode"(required("text", Text)) -> Text, "The text that base 64 stands for.", r#"base64_decode("aGk=")"# => r#""hi""#, encodings::base64_decode;
    "url_encode"(required("text", Text)) -> Text, "The text as it may stand in a query.", r#"url_encode("a b&c")"# => r#""a%20b%26c""#, encodings::url_encode;
    "sha256"(required("text", Text)) -> Text, "SHA-256, in hexadecimal.", r#"substr(sha256("a"), 0, 8)"# => r#""ca978112""#, encodings::sha256;
    "sha512"(required("text", Text)) -> Text, "SHA-512, in hexadecimal.", r#"substr(sha512("a"), 0, 8)"# => r#""1f40fc92""#, encodings::sha512;

    // Networks.
    "cidr_host"(required("prefix", Text), required("number", Int)) -> Text, "The address with that number in a network; negative ones count from the end.", r#"cidr_host("10.0.0.0/24", 5)"# => r#""10.0.0.5""#, nets::cidr_host;
    "cidr_subnet"(required("prefix", Text), required("new_bits", Int), required("number", Int)) -> Text, "A network inside a network.", r#"cidr_subnet("10.0.0.0/16", 8, 2)"# => r#""10.0.2.0/24""#, nets::cidr_subnet;
    "cidr_netmask"(required("prefix", Text)) -> Text, "The mask of an IPv4 network.", r#"cidr_netmask("10.0.0.0/12")"# => r#""255.240.0.0""#, nets::cidr_netmask;

    // From outside.
    "file"(required("path", Text)) -> Text, "The text of a file of the stack.", r#"file("greeting.txt")"# => r#""hello \${name}""#, encodings::file, reads;
    "template"(required("path", Text), required("values", Map(&Any))) -> Text, "The text of a file with each `${name}` replaced.", r#"template("greeting.txt", { name = "you" })"# => r#""hello you""#, encodings::template, reads;
    "env_var"(required("name", Text), optional("default", Text)) -> Text, "A variable of the environment.", r#"env_var("STACKWRIGHT_NO_SUCH", "none")"# => r#""none""#, encodings::env_var, reads;

    // Secrets and failure.
    "reveal"(required("value", Compared('a')), required("reason", Text)) -> Plain('a'), "The value, no longer secret; the reason is recorded in the log.", r#"reveal("a", "shown on purpose")"# => r#""a""#, collections::reveal, reveals;
    "fail"(required("message", Text)) -> Never, "No value: stops with the message.", r#"if true then 1 else fail("no")"# => "1", collections::fail;

    // Metrics.
    "avg_over"(required("metric", Metric('a')), required("window", Duration)) -> Metric('a'), "The average over the last while.", r#"avg_over(promql"up", 5m)"# => r#"promql"avg_over_time((up)[5m:])""#, metrics::avg_over;
    "max_over"(required("metric", Metric('a')), required("window", Duration)) -> Metric('a'), "The greatest value of the last while.", r#"max_over(promql"up", 5m)"# => r#"promql"max_over_time((up)[5m:])""#, metrics::max_over;
    "min_over"(required("metric", Metric('a')), required("window", Duration)) -> Metric('a'), "The least value of the last while.", r#"min_over(promql"up", 5m)"# => r#"promql"min_over_time((up)[5m:])""#, metrics::min_over;
    "predict"(required("metric", Metric('a')), required("ahead", Duration)) -> Metric('a'), "What it will be in a while if it goes on as in the last hour.", r#"predict(promql"up", 4h)"# => r#"promql"predict_linear((up)[1h:], 14400)""#, metrics::predict;
    "anomalous"(required("metric", Metric('a')), optional("deviations", Number)) -> Shape::Condition, "Whether it is that many standard deviations (3) from its average of the last day.", r#"anomalous(promql"up", 3)"# => r#"promql"abs((up) - avg_over_time((up)[1d:])) > 3 * stddev_over_time((up)[1d:])""#, metrics::anomalous;
}

#[cfg(test)]
mod tests;

/// Whether the text is a network such as `10.0.0.0/16`.
pub(super) fn is_network(text: &str) -> bool {
    nets::Network::parse(text).is_some()
}
