use super::tree::*;
use super::*;

const SHOP: &str = include_str!("../../../fixtures/lang/shop.stack");

fn parsed(text: &str) -> Parsed {
    parse(SourceId(0), text)
}

/// The tree without its places.
pub fn shape(text: &str) -> String {
    let parsed = parsed(text);
    let found: Vec<&str> = parsed.diagnostics.iter().filter(|it| it.is_error()).map(|it| it.message.as_str()).collect();
    assert!(found.is_empty(), "{found:?} in\n{text}");
    without_places(&format!("{:?}", parsed.file))
}

fn without_places(debug: &str) -> String {
    regex::Regex::new(r"0:\d+\.\.\d+").expect("a regex").replace_all(debug, "_").into_owned()
}

#[test]
fn the_example_of_the_language_parses() {
    let parsed = parsed(SHOP);
    assert_eq!(parsed.diagnostics, []);
    assert_eq!(parsed.file.items.len(), 20);
    let stack = &parsed.file.items[0];
    assert_eq!(stack.doc.as_deref(), Some("The shop: one API, its data, and who is woken up when it fails."));
    let ItemKind::Instance(worker) = &parsed.file.items[14].kind else { panic!("{:?}", parsed.file.items[14]) };
    assert_eq!(&**worker.name, "worker");
    assert_eq!(&*worker.head.each.as_ref().unwrap().value.node, "queue");
}

// ---- text that means harm --------------------------------------------------------------------------------------------------

/// Every construct that nests: what stands before the core, and what stands after it, once for each level.
const NESTINGS: &[(&str, &str, &str)] = &[
    ("parentheses", "(", ")"),
    ("lists", "[", "]"),
    ("objects", "{ a = ", " }"),
    ("blocks", "{ a { b = ", " } }"),
    ("labelled blocks", "{ a \"b\" c { b = ", " } }"),
    ("computed keys", "{ [", "] = 1 }"),
    ("spreads", "{ ...", " }"),
    ("variants", "a { b = ", " }"),
    ("calls", "f(", ")"),
    ("named arguments", "f(a = ", ")"),
    ("indexes", "a[", "]"),
    ("optional indexes", "a?[", "]"),
    ("interpolations", "\"x${", "}\""),
    ("interpolations in blocks", "\"\"\"x${", "}\"\"\""),
    ("interpolations in tags", "re\"x${", "}\""),
    ("if in the condition", "if ", " then 1 else 2"),
    ("if in the branch", "if a then ", " else 2"),
    ("if behind an operator", "if a then 1 else 1 + ", ""),
    ("if behind a newline", "if a then 1\nelse 1\n+ ", ""),
    ("match", "match (", ") { _ => 1 }"),
    ("match in an arm", "match a { _ => ", " }"),
    ("comprehensions", "[for x in ", " : x]"),
    ("comprehensions in the value", "[for x in xs : ", "]"),
    ("object comprehensions", "{for k, v in ", " : [k] = v}"),
    ("object comprehensions in the key", "{for k, v in m : [", "] = v}"),
    ("operators and parentheses", "1 + (2 * ", ")"),
    ("signs and parentheses", "!(-", ")"),
];

const ITEM_NESTINGS: &[(&str, &str, &str)] = &[
    ("components", "component c {\n", "\n}"),
    ("clauses", "on fly {\n", "\n}"),
    ("conditions", "if a {\n", "\n} else {\n let b = 1 \n}"),
    ("else conditions", "if a { let b = 1 } else {\n", "\n}"),
    ("given", "test \"t\" { given {\n", "\n} }"),
];

const TYPE_NESTINGS: &[(&str, &str, &str)] = &[
    ("type arguments", "list<", ">"),
    ("type objects", "{ a: ", " }"),
    ("variants", "variant { a: ", " }"),
    ("sensitive arguments", "sensitive map<", ">?"),
    ("refinements", "int(", ")"),
];

fn good_bad_cut_end(open: &str, close: &str, core: &str, depth: usize, levels: usize) -> [String; 4] {
    let depth = depth / levels;
    let (before, after) = (open.repeat(depth), close.repeat(depth));
    let whole = format!("{before}{core}{after}");
    let mut cut = whole.len() * 3 / 4;
    while !whole.is_char_boundary(cut) {
        cut -= 1;
    }
    [whole.clone(), format!("{before}@!{core}{after}"), whole[..cut].to_owned(), format!("{whole} @!")]
}

fn levels_in(open: &str) -> usize {
    let brackets = open.matches(['(', '[', '{', '<']).count();
    (brackets + open.matches("if ").count() - open.matches("else if ").count()).max(1)
}

#[allow(clippy::disallowed_methods, reason = "how long a hostile text takes is what is measured")]
fn in_time(what: &str, text: &str) -> Parsed {
    let before = std::time::Instant::now();
    let parsed = parsed(text);
    let took = before.elapsed();
    assert!(took.as_secs() < 60, "{what} took {took:?}");
    parsed
}

#[test]
fn whatever_nests_takes_its_time_once() {
    let around = [(NESTINGS, "let x = ", "1"), (ITEM_NESTINGS, "", "let x = 1"), (TYPE_NESTINGS, "type x = ", "int")];
    for (nestings, head, core) in around {
        for (name, open, close) in nestings {
            for depth in [20, 40, 60, 120] {
                let core = if *name == "refinements" { "1" } else { core };
                let variants = good_bad_cut_end(open, close, core, depth, levels_in(open));
                for (index, variant) in variants.iter().enumerate() {
                    let parsed = in_time(&format!("{name}, {depth}, {index}"), &format!("{head}{variant}\n"));
                    let wrong = parsed.diagnostics.iter().any(|it| it.is_error());
                    let is_good = index == 0 && *name != "refinements";
                    if is_good {
                        assert!(!wrong, "{name}, {depth}: {:?}\n{head}{variant}", parsed.diagnostics);
                    } else if index > 0 && *name != "if behind an operator" && *name != "if behind a newline" || index == 1 {
                        assert!(wrong, "{name}, {depth}, {index}: no error in\n{head}{variant}");
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_nested_too_deep_is_refused_by_a_limit() {
    for (name, open, close) in NESTINGS {
        let text = format!("let x = {}1{}\n", open.repeat(500), close.repeat(500));
        let parsed = in_time(name, &text);
        let codes: Vec<Code> = parsed.diagnostics.iter().map(|it| it.code).collect();
        assert_eq!(codes, [Code::Limit], "{name}");
    }
    for open in ["(", "[", "{", "list<", "\"${", "if "] {
        let parsed = in_time(open, &format!("type x = {}", open.repeat(100_000)));
        assert!(parsed.diagnostics.iter().any(|it| it.code == Code::Limit), "{open}");
    }
}

#[test]
fn long_texts_of_one_kind_are_linear() {
    let texts = [
        format!("let x = {}1", "1 + ".repeat(4000)),
        format!("let x = {}1", "a.b.".repeat(1000)),
        format!("let x = {}a", "!".repeat(4000)),
        format!("let x = if a then 1 {} else 1", "else if b then 2 ".repeat(20_000)),
        format!("let x = [{}]", "1, ".repeat(20_000)),
        format!("type x = {} string", "sensitive ".repeat(20_000)),
        "## doc\n".repeat(100_000),
        "# comment\n".repeat(100_000),
        "\n".repeat(100_000),
        "a {\n".repeat(100_000),
        "}\n".repeat(10_000),
        "service a {\n  b = \n}\n".repeat(1_000),
        "\"".repeat(100_000),
        "${".repeat(100_000),
        "let x = \"a\" +\n".repeat(1_000),
        format!("let x = {}", "a\n.b".repeat(4000)),
    ];
    for text in texts {
        in_time(&text[..text.len().min(30)], &text);
    }
    let too_many = parsed(&format!("let x = {}1", "1 + ".repeat(5000)));
    assert_eq!(too_many.diagnostics[0].code, Code::Limit);
    let too_long = parsed(&format!("let x = \"{}\"", "a".repeat(2 << 20)));
    assert_eq!(too_long.diagnostics[0].code, Code::Limit);
    let name = parsed(&format!("let {} = 1", "a".repeat(129)));
    assert_eq!(name.diagnostics[0].code, Code::Limit);
}

#[test]
fn a_file_of_20_mb_is_refused_at_once() {
    let parsed = in_time("20 MB", &"let a = 1\n".repeat(2_000_000));
    assert_eq!(parsed.diagnostics[0].code, Code::Limit);
}

#[test]
fn line_ends_and_byte_order_marks() {
    assert_eq!(shape("\u{feff}let a = 1\r\n\r\nlet b = 2\r\n"), shape("let a = 1\n\nlet b = 2\n"));
    let lone = parsed("let a = 1\rlet b = 2\n");
    assert_eq!(lone.diagnostics.len(), 1);
    assert!(matches!(lone.file.items[..], [Item { kind: ItemKind::Error(_), .. }]));
}

/// The fixtures that parse.
pub fn fixtures() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lang");
    let mut all = Vec::new();
    for folder in [root.clone(), root.join("syntax")] {
        for entry in std::fs::read_dir(folder).expect("the fixtures are there").flatten() {
            if entry.path().extension().is_some_and(|it| it == "stack") {
                let text = std::fs::read_to_string(entry.path()).expect("a fixture can be read");
                all.push((entry.path().display().to_string(), text));
            }
        }
    }
    all.sort();
    all
}

#[test]
fn splitting_agrees_with_the_grammar() {
    use pest::Parser as _;
    for (name, text) in fixtures() {
        let whole = grammar::Grammar::parse(grammar::Rule::chunk_of_items, &text).expect(&name);
        let mut builder = build::Builder::new(SourceId(0));
        let all = builder.on(&text, 0, true).items_of(whole.into_iter().next().unwrap().into_inner());
        assert_eq!(format!("{all:?}"), format!("{:?}", parsed(&text).file.items), "{name}");
        let chunks = scan::split(&text, 0..text.len());
        assert_eq!(chunks.iter().map(|it| &text[it.range.clone()]).collect::<String>(), text, "{name}");
    }
}

/// Parsed in one go, and each chunk on whichever thread is free.
fn the_same_in_parallel(name: &str, text: &str) {
    let (whole, apart) = (parse_by(SourceId(0), text, usize::MAX), parse_by(SourceId(0), text, 1));
    assert_eq!(whole.diagnostics, apart.diagnostics, "{name}");
    assert_eq!(format!("{:?}", whole.file), format!("{:?}", apart.file), "{name}");
}

#[test]
fn threads_make_no_difference() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut errors = 0;
    for folder in ["lang", "lang/syntax", "lang/syntax/errors", "lang/check", "fuzz/parser", "fuzz/checker"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("the fixtures are there").flatten() {
            // What is no text is for others.
            let Ok(text) = std::fs::read_to_string(entry.path()) else { continue };
            the_same_in_parallel(&entry.path().display().to_string(), &text);
            errors += parsed(&text).diagnostics.len();
        }
    }
    assert!(errors > 100, "there are {errors} errors in the fixtures");
}

#[test]
fn a_bad_item_leaves_the_others_and_says_how_it_began() {
    let parsed = parsed("let a = 1\nservice api { port = = }\noutput url: = 3\nlet b = 2\n");
    assert_eq!(parsed.diagnostics.len(), 2);
    let [first, api, url, last] = &parsed.file.items[..] else { panic!("{:?}", parsed.file.items) };
    assert!(matches!(first.kind, ItemKind::Let(_)) && matches!(last.kind, ItemKind::Let(_)));
    let ItemKind::Instance(api) = &api.kind else { panic!("{api:?}") };
    assert!(matches!(&api.body.entries[..], [Entry { kind: EntryKind::Error(Some(name)), .. }] if &*name.node == "port"));
    let ItemKind::Error(broken) = &url.kind else { panic!("{url:?}") };
    assert_eq!(broken.words.iter().map(|it| &*it.node).collect::<Vec<&str>>(), ["output", "url"]);
}

#[test]
fn changed_fixtures_never_panic() {
    // A small generator of its own, so that every run tries the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    let all = fixtures();
    let bits = [
        "{", "}", "(", ")", "[", "]", "\"", "\"\"\"", "${", "=", "\n", ",", "\\", "if ", "else ", "for ", "…", "#", "<", "@",
        "1", "..", "\r",
    ];
    for _ in 0..400 {
        let (name, text) = &all[random(all.len())];
        let mut chars: Vec<char> = text.chars().collect();
        for _ in 0..1 + random(4) {
            let at = random(chars.len());
            match random(3) {
                0 => drop(chars.drain(at..(at + 1 + random(8)).min(chars.len()))),
                1 => {
                    let bit: Vec<char> = bits[random(bits.len())].chars().collect();
                    chars.splice(at..at, bit);
                }
                _ => {
                    let from = random(chars.len());
                    let piece: Vec<char> = chars[from..(from + random(30)).min(chars.len())].to_vec();
                    chars.splice(at..at, piece);
                }
            }
        }
        let changed: String = chars.into_iter().collect();
        let parsed = in_time(name, &changed);
        the_same_in_parallel(name, &changed);
        for (span, _) in parsed.diagnostics.iter().flat_map(|it| &it.labels) {
            assert!(changed.get(span.start as usize..span.end as usize).is_some(), "{span:?} is no place in\n{changed}");
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(200))]
    #[test]
    fn no_text_panics(text in "[a-z0-9 \n\"{}()\\[\\]=,.$#<>|&!?:@%/*+'\\\\…-]{0,200}") {
        parsed(&text);
    }
}
