//! Programs that nobody wrote: whatever the grammar allows, laid out as nobody would. Formatting keeps their meaning and every
//! comment, and formatting twice is formatting once. `STACKWRIGHT_PROGRAMS` says how many; a seed that fails is printed.

use stackwright::lang::format::format;
use stackwright::lang::syntax::{self, comments};
use stackwright::model::SourceId;

/// Chance by a seed (xorshift), so that a program can be made again.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn once_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }
}

const NAMES: &[&str] = &["a", "api", "for_each", "zone_2", "main", "x1", "very_long_name_of_something_that_wraps"];
const TEXTS: &[&str] = &[
    "\"\"",
    "\"text\"",
    "\"a ${x} b\"",
    "\"${if a then \"b\" else \"c\"}\"",
    "r\"\\d # no comment\"",
    "\"\\n\\u{e9} é\"",
    "re\"^[a-z]+$\"",
    "\"\"\"\n    several\n      lines\n    \"\"\"",
    "promql\"sum(rate(x{a='b'}[5m]))\"",
    "\"${{ no }}\"",
];
const LITERALS: &[&str] = &[
    "3",
    "0.25",
    "1_000",
    "30s",
    "1h30m",
    "256MiB",
    "70%",
    "100/s",
    "15.50EUR",
    "@2026-11-22T06:00Z",
    "true",
    "null",
    "2..10",
    "-4",
    "!x",
];
const OPS: &[&str] = &["??", "||", "&&", "+", "-", "*", "/"];

struct Program {
    chance: Chance,
    text: String,
    indent: usize,
}

impl Program {
    fn of(seed: u64) -> String {
        let mut program =
            Program { chance: Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1), text: String::new(), indent: 0 };
        for _ in 0..1 + program.chance.below(6) {
            program.item(3);
            program.line_end();
        }
        program.text
    }

    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn name(&mut self) {
        let name = self.chance.one(NAMES);
        self.put(name);
    }

    /// Blanks where one has to be.
    fn blank(&mut self) {
        let blank = self.chance.one(&[" ", " ", " ", "  ", "\t"]);
        self.put(blank);
    }

    /// Blanks where none has to be.
    fn maybe_blank(&mut self) {
        let blank = self.chance.one(&["", " ", " ", "   "]);
        self.put(blank);
    }

    /// Where newlines are blank: newlines and comments too.
    fn free(&mut self) {
        match self.chance.below(12) {
            0 => self.put("\n"),
            1 => self.put("  # why\n"),
            2 => self.put("\n\n    "),
            3 => self.put("\n# alone\n"),
            _ => self.maybe_blank(),
        }
    }

    /// What ends an entry or item.
    fn line_end(&mut self) {
        match self.chance.below(10) {
            0 => self.put("  # behind\n"),
            1 => self.put("\n\n\n"),
            2 => self.put("\n# above\n"),
            3 => self.put("   \n"),
            4 => self.put("\n  # far\n\n"),
            _ => self.put("\n"),
        }
        let indent = self.chance.below(3) * self.indent;
        self.put(&" ".repeat(indent));
    }

    fn entry_end(&mut self) {
        if self.chance.once_in(5) {
            self.maybe_blank();
            self.put(",");
        }
        self.line_end();
    }

    fn head(&mut self) {
        if self.chance.once_in(4) {
            let each = self.chance.one(&["for x in [1, 2]", "for k, v in m", "for q in instances(api)", "for x in xs up to 10"]);
            self.blank();
            self.put(each);
        }
        if self.chance.once_in(4) {
            let cond = self.chance.one(&["if env.protect", "if a == b && c", "if length(xs) > 2"]);
            self.blank();
            self.put(cond);
        }
        if self.chance.once_in(5) {
            self.blank();
            self.put("on eu");
        }
    }

    fn item(&mut self, depth: usize) {
        if self.chance.once_in(4) {
            self.put("## What it is.\n");
        }
        match self.chance.below(16) {
            0 => {
                self.put("let ");
                self.name();
                if self.chance.once_in(3) {
                    self.put(": ");
                    self.ty(2);
                }
                self.equals();
                self.expr(depth);
            }
            1 => {
                self.put("input ");
                self.name();
                self.put(":");
                self.maybe_blank();
                self.ty(3);
                if self.chance.once_in(2) {
                    self.equals();
                    self.expr(depth);
                }
            }
            2 => {
                self.put("output ");
                self.name();
                if self.chance.once_in(3) {
                    self.put(" : ");
                    self.ty(2);
                    if self.chance.once_in(3) {
                        self.put(" within provider.network");
                    }
                }
                self.equals();
                self.expr(depth);
            }
            3 => {
                self.put("type ");
                self.name();
                self.equals();
                self.ty(3);
            }
            4 => {
                self.put("fn ");
                self.name();
                self.put("(");
                self.free();
                self.put("a: int,");
                self.free();
                self.put("b: string = ");
                self.expr(1);
                self.put("): ");
                self.ty(1);
                self.equals();
                self.expr(depth);
            }
            5 if depth > 0 => {
                self.put("component ");
                self.name();
                self.maybe_blank();
                self.items(depth - 1);
            }
            6 if depth > 0 => {
                self.put("if ");
                self.put("a == b ");
                self.items(depth - 1);
                if self.chance.once_in(2) {
                    self.put(" else if c ");
                    self.items(depth - 1);
                }
                if self.chance.once_in(2) {
                    self.put(" else ");
                    self.items(depth - 1);
                }
            }
            7 => {
                self.put("require ");
                self.expr(1);
                self.put(" else \"no\"");
            }
            8 => {
                self.put("resource fly.machine ");
                self.name();
                self.head();
                self.blank();
                self.body(depth);
            }
            9 => {
                let word = self.chance.one(&["secret", "environment", "provider fly", "stack"]);
                self.put(word);
                self.blank();
                self.name();
                self.blank();
                self.braces(depth.min(1));
            }
            10 => {
                self.put("signal ");
                self.name();
                self.put("(window: duration = 5m): metric<percent>");
            }
            11 => {
                let text = self.chance.one(&[
                    "import \"../net\" as net",
                    "import stack \"../platform\" as platform",
                    "moved { from = \"cache.a\", to = \"cache.b\" }",
                    "forget {address=\"cache.a\"}",
                ]);
                self.put(text);
            }
            12 if depth > 0 => {
                self.put("policy ");
                self.name();
                self.put(" ");
                self.rules(depth - 1);
            }
            13 if depth > 0 => {
                self.put("test \"it works\" ");
                self.rules(depth - 1);
            }
            _ => {
                let kind = self.chance.one(&["service", "cache", "net.vpc"]);
                self.put(kind);
                self.blank();
                self.name();
                self.head();
                self.blank();
                self.body(depth);
            }
        }
    }

    fn items(&mut self, depth: usize) {
        self.put("{");
        self.indent += 2;
        self.line_end();
        for _ in 0..self.chance.below(4) {
            self.item(depth);
            self.line_end();
        }
        self.indent -= 2;
        self.put("}");
    }

    fn rules(&mut self, depth: usize) {
        self.put("{");
        self.line_end();
        for _ in 0..self.chance.below(4) {
            match self.chance.below(5) {
                0 => {
                    self.put("expect ");
                    self.expr(1);
                }
                1 if depth > 0 => {
                    self.put("for d in instances(api) ");
                    self.rules(depth - 1);
                }
                2 if depth > 0 => {
                    self.put("step ");
                    self.name();
                    self.blank();
                    self.rules(depth - 1);
                }
                3 => {
                    self.put("require a != null else \"b\"");
                }
                _ => self.entry(1),
            }
            self.line_end();
        }
        self.put("}");
    }

    fn equals(&mut self) {
        self.maybe_blank();
        self.put("=");
        self.maybe_blank();
    }

    fn body(&mut self, depth: usize) {
        self.put("{");
        if self.chance.once_in(3) {
            self.maybe_blank();
            self.entry(depth.saturating_sub(1));
            self.put(" }");
            return;
        }
        self.indent += 2;
        self.line_end();
        for _ in 0..self.chance.below(5) {
            match self.chance.below(9) {
                0 => self.put("lifecycle { protect = true }"),
                1 => {
                    self.put("on fly { fly.machine.web[\"0\"] ");
                    self.braces(depth.saturating_sub(1));
                    self.put(" }");
                }
                _ => self.entry(depth.saturating_sub(1)),
            }
            self.entry_end();
        }
        self.indent -= 2;
        self.put("}");
    }

    /// An object, or the body of a block.
    fn braces(&mut self, depth: usize) {
        self.put("{");
        if self.chance.once_in(2) {
            self.maybe_blank();
            for at in 0..self.chance.below(3) {
                if at > 0 {
                    self.put(", ");
                }
                self.entry(depth.saturating_sub(1));
            }
            self.put("}");
            return;
        }
        self.line_end();
        for _ in 0..self.chance.below(4) {
            self.entry(depth.saturating_sub(1));
            self.entry_end();
        }
        self.put("}");
    }

    fn entry(&mut self, depth: usize) {
        match self.chance.below(9) {
            0 => {
                self.put("...");
                self.name();
            }
            1 => {
                self.put("\"a b\"");
                self.equals();
                self.expr(depth);
            }
            2 => {
                self.put("[x.name]");
                self.equals();
                self.expr(depth);
            }
            3 if depth > 0 => {
                self.name();
                if self.chance.once_in(3) {
                    self.put(" \"/api\"");
                }
                if self.chance.once_in(3) {
                    self.put(" canary");
                }
                if self.chance.once_in(3) {
                    self.put(" for x in xs");
                }
                self.blank();
                self.braces(depth - 1);
            }
            4 => {
                self.put("## Said of it.\n");
                self.name();
                self.equals();
                self.expr(depth);
            }
            _ => {
                self.name();
                self.equals();
                self.expr(depth);
            }
        }
    }

    fn ty(&mut self, depth: usize) {
        match self.chance.below(9) {
            0 if depth > 0 => {
                self.put("list<");
                self.ty(depth - 1);
                self.put(">(1..)");
            }
            1 if depth > 0 => {
                self.put("{ a:");
                self.maybe_blank();
                self.ty(depth - 1);
                let text = self.chance_of(", b?: int = 3", "\n  c: string\n");
                self.put(text);
                self.put("}");
            }
            2 => self.put("\"a\"|\"b\" | \"c\""),
            3 => self.put("variant { rolling: {}, canary: { hold: duration } }"),
            4 => self.put("sensitive map<string>"),
            5 => self.put("int( 1 .. 10 )"),
            6 => self.put("string(re\"^[a-z]+$\")"),
            7 => self.put("secret<string>"),
            _ => self.put("string"),
        }
        if self.chance.once_in(5) {
            self.put("?");
        }
    }

    fn chance_of<'a>(&mut self, a: &'a str, b: &'a str) -> &'a str {
        self.chance.one(&[a, b])
    }

    fn expr(&mut self, depth: usize) {
        if depth == 0 {
            let text = match self.chance.below(4) {
                0 => self.chance.one(TEXTS),
                1 => self.chance.one(LITERALS),
                _ => {
                    self.chance.one(&["x", "input.tag", "database.main.url", "m[\"k\"]", "m?[k]", "a?.b", "f(x)", "service.api"])
                }
            };
            return self.put(text);
        }
        match self.chance.below(12) {
            0 => {
                self.put("[");
                self.free();
                for _ in 0..self.chance.below(4) {
                    self.expr(depth - 1);
                    self.put(",");
                    self.free();
                }
                self.put("]");
            }
            1 => self.braces(depth - 1),
            2 => {
                self.put("if ");
                self.expr(0);
                let text = self.chance_of(" then ", "\n  then ");
                self.put(text);
                self.expr(depth - 1);
                let text = self.chance_of(" else ", "\n  else ");
                self.put(text);
                self.expr(0);
            }
            3 => {
                self.put("match x {");
                self.free();
                self.put("\"a\" | \"b\" => ");
                self.expr(depth - 1);
                self.put(",");
                self.free();
                self.put("canary c => ");
                self.expr(0);
                let text = self.chance_of(", _ => 1 }", ",\n _ => 2,\n}");
                self.put(text);
            }
            4 => {
                self.put("[for i, x in xs");
                let text = self.chance_of(" if x > 1", " for y in ys");
                self.put(text);
                self.put(" : ");
                self.expr(depth - 1);
                self.put("]");
            }
            5 => {
                self.put("{for k, v in m :");
                self.free();
                self.put("[k] = ");
                self.expr(depth - 1);
                self.free();
                self.put("}");
            }
            6 => {
                self.put("f(");
                self.free();
                self.expr(depth - 1);
                self.put(",");
                self.free();
                self.put("by =");
                self.maybe_blank();
                self.expr(0);
                self.free();
                self.put(")");
            }
            7 => {
                self.put("(");
                self.free();
                self.expr(depth - 1);
                self.free();
                self.put(")");
            }
            8 => {
                self.expr(0);
                let text = self.chance_of(" ", "\n    ");
                self.put(text);
                let op = self.chance.one(OPS);
                self.put(op);
                self.put(" ");
                self.expr(depth - 1);
            }
            9 => {
                self.put("(canary ");
                self.braces(depth - 1);
                self.put(")");
            }
            _ => self.expr(0),
        }
    }
}

#[test]
fn generated_programs_keep_meaning_and_comments() {
    let asked = std::env::var("STACKWRIGHT_PROGRAMS").ok();
    let count: u64 = asked.and_then(|it| it.parse().ok()).unwrap_or(400);
    let mut parsed = 0;
    for seed in 1..=count {
        let text = Program::of(seed);
        // Some of what chance writes is no program (an operator before `[`, a chain of `..`): it says nothing here.
        if syntax::parse(SourceId(0), &text).diagnostics.iter().any(|it| it.is_error()) {
            continue;
        }
        parsed += 1;
        let once = format(SourceId(0), &text).unwrap_or_else(|found| panic!("seed {seed}: {found:#?}"));
        let twice = format(SourceId(0), &once).unwrap_or_else(|found| panic!("seed {seed}: {found:#?}\n{once}"));
        assert_eq!(once, twice, "seed {seed}: laid out twice differs from once; it was\n{text}");
        assert_eq!(comments(&text), comments(&once), "seed {seed}: comments differ; it was\n{text}\n---- became\n{once}");
    }
    assert!(parsed * 10 >= count * 7, "only {parsed} of {count} programs parse");
}

/// What newcomers read is in its form.
#[test]
fn the_examples_are_in_their_form() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut waiting, mut wrong, mut seen) = (vec![root.join("examples")], Vec::new(), 0);
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(dir).expect("the folder can be read") {
            let path = entry.expect("the folder can be read").path();
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                waiting.push(path);
            } else if name.ends_with(".stack") {
                seen += 1;
                let text = std::fs::read_to_string(&path).expect("the file can be read");
                if format(SourceId(0), &text).ok().as_deref() != Some(&*text) {
                    wrong.push(path);
                }
            }
        }
    }
    assert!(seen > 0 && wrong.is_empty(), "`stackwright fmt` lays these out: {wrong:#?}");
}
