use super::*;

fn formatted(text: &str) -> String {
    format(SourceId(0), text).unwrap_or_else(|found| panic!("{found:?} in\n{text}"))
}

fn fixtures() -> Vec<(String, String)> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lang");
    let library = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("stdlib");
    let files = [root.clone(), root.join("syntax"), library]
        .into_iter()
        .flat_map(|it| std::fs::read_dir(it).expect("the fixtures are there"));
    let files = files.flatten().map(|it| it.path()).filter(|it| it.extension().is_some_and(|it| it == "stack"));
    files.map(|it| (it.display().to_string(), std::fs::read_to_string(&it).expect("a fixture can be read"))).collect()
}

#[test]
fn fixtures_are_laid_out_already() {
    for (name, text) in fixtures() {
        let formatted = formatted(&text);
        if std::env::var_os("ACCEPT").is_some() {
            std::fs::write(&name, formatted).expect("a fixture can be written");
            continue;
        }
        let differences = similar::TextDiff::from_lines(&text, &formatted);
        assert!(text == formatted, "{name}:\n{}", differences.unified_diff());
    }
}

#[test]
fn layout_is_regular_and_keeps_choices() {
    for (text, expected) in [
        ("let a=1", "let a = 1\n"),
        ("let   a  =  [ 1,2 , 3, ]", "let a = [1, 2, 3]\n"),
        ("let a = [1,\n2]", "let a = [\n  1,\n  2,\n]\n"),
        ("let a = [\n1 # one\n, 2 ]", "let a = [\n  1, # one\n  2,\n]\n"),
        ("service a {x=1,y=2}", "service a { x = 1, y = 2 }\n"),
        ("service a {x=1,y=2,\n z = 3}", "service a {\n  x = 1\n  y = 2\n  z = 3\n}\n"),
        ("service a { }\n\n\n\n\nlet b = 1", "service a {}\n\nlet b = 1\n"),
        ("service a {\n\n x = 1\n\n\n y = 2\n\n}", "service a {\n  x = 1\n\n  y = 2\n}\n"),
        ("let a = - 1 + ! b", "let a = -1 + !b\n"),
        ("let a = f ( x , by=2 )[ 0 ]. b", "let a = f(x, by = 2)[0].b\n"),
        ("let a = [ for x in xs:x ]", "let a = [for x in xs : x]\n"),
        ("let a = {for k,v in m:[ k ]=v}", "let a = {for k, v in m : [k] = v}\n"),
        ("type a = list<  string >( 1 .. ) ?", "type a = list<string>(1..)?\n"),
        ("type a = {a ? :int=1}", "type a = { a?: int = 1 }\n"),
        ("if a {let b = 1}\nelse {let b = 2}", "if a { let b = 1 } else { let b = 2 }\n"),
        ("let a =\n1 +\n2", "let a =\n  1 +\n  2\n"),
        ("let a = match x {\"a\"=>1,_=>2,}", "let a = match x { \"a\" => 1, _ => 2 }\n"),
        ("service a {\n# one\nx = 1 # two\n# three\n}\n# four", "service a {\n  # one\n  x = 1 # two\n  # three\n}\n# four\n"),
        ("let a = f({\n x = 1\n})", "let a = f({\n  x = 1\n})\n"),
        ("let a = \"\"\"\n  text\n  \"\"\"", "let a = \"\"\"\n  text\n  \"\"\"\n"),
        (
            "service a {\n x = 1\n long = 2\n b {c = 1}\n \"q\" = 3\n}",
            "service a {\n  x    = 1\n  long = 2\n  b { c = 1 }\n  \"q\"  = 3\n}\n",
        ),
        (
            "component a {\n require length(input.extensions) == 0 else \"extensions are not built in this version: create them in a migration of your own, before\"\n}",
            "component a {\n  require length(input.extensions) == 0\n    else \"extensions are not built in this version: create them in a migration of your own, before\"\n}\n",
        ),
        ("", ""),
        ("# only this", "# only this\n"),
    ] {
        let text = text.replace(". b", ".b").replace("a ? :", "a? :");
        assert_eq!(formatted(&text), expected, "{text}");
        assert_eq!(formatted(expected), expected, "again");
    }
}

#[test]
fn long_lines_are_broken_once() {
    let entries: Vec<String> = (0..20).map(|it| format!("name_{it} = {it}")).collect();
    let text = format!("service a {{ {} }}\n", entries.join(", "));
    let once = formatted(&text);
    assert_eq!(once.lines().count(), 22);
    assert_eq!(formatted(&once), once);
}

#[test]
fn a_refinement_is_not_broken_into_arguments() {
    let text = format!("let {}: list<int(1..10)?>(1..) = \"{}\"\n", "a".repeat(60), "x".repeat(80));
    assert_eq!(formatted(&text), text);
}

#[test]
fn errors_are_given_back() {
    assert_eq!(format(SourceId(0), "let a = ").unwrap_err().len(), 1);
}

mod generated {
    use proptest::prelude::*;

    /// Expressions with blanks, newlines and comments wherever they may stand.
    fn blank() -> impl Strategy<Value = &'static str> {
        prop_oneof![6 => Just(" "), 1 => Just("  "), 1 => Just("\n"), 1 => Just(" # note\n"), 1 => Just("\n\n\n")]
    }

    fn expr() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("1"),
            Just("2.5s"),
            Just("a.b.c"),
            Just("\"text\""),
            Just("\"x ${y  +  1} z\""),
            Just("null"),
            Just("-3"),
            Just("re\"^a$\""),
            Just("@2026-11-22T06:00Z"),
            Just("70%"),
            Just("\"\"\"\n   a\n     b\n   \"\"\"")
        ]
        .prop_map(String::from);
        leaf.prop_recursive(4, 40, 4, |inner| {
            prop_oneof![
                (inner.clone(), blank(), "\\+|\\*|==|&&|\\?\\?|-", blank(), inner.clone())
                    .prop_map(|(a, before, op, after, b)| format!("({a}{before}{op}{after}{b})")),
                (prop::collection::vec((inner.clone(), blank()), 0..4), blank(), any::<bool>()).prop_map(
                    |(all, first, comma)| {
                        let all: Vec<String> = all.iter().map(|(it, blank)| format!("{it}{blank}")).collect();
                        let comma = if comma && !all.is_empty() { "," } else { "" };
                        format!("[{first}{}{comma}]", all.join(","))
                    }
                ),
                prop::collection::vec(
                    ("[a-z]{1,8}", inner.clone(), prop_oneof![Just(","), Just("\n"), Just(" # c\n"), Just(",\n")]),
                    0..4
                )
                .prop_map(|all| {
                    let all: String = all.iter().map(|(name, it, end)| format!("k{name} = {it}{end}")).collect();
                    format!("{{ {all} }}")
                }),
                (inner.clone(), blank(), inner.clone(), blank(), inner.clone())
                    .prop_map(|(a, x, b, y, c)| format!("if {a}{x}then{x}{b}{y}else{y}{c}")),
                (inner.clone(), blank(), inner.clone()).prop_map(|(a, x, b)| format!("[for{x}q in {a}{x}if b{x}:{x}{b}]")),
                (inner.clone(), blank(), inner.clone()).prop_map(|(a, x, b)| format!("f({x}{a}{x},{x}by{x}={x}{b}{x})")),
                (blank(), inner.clone(), blank())
                    .prop_map(|(x, a, y)| format!("match z {{{x}\"a\" | c{y}=>{x}{a}{y},{x}_ => 1{y}}}")),
                inner.clone().prop_map(|a| format!("v {{ x = {a} }}")),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]
        #[test]
        fn formatting_twice_is_formatting_once(value in expr(), other in expr(), comment in blank()) {
            let text = format!("let a = {value}{comment}\n## doc\nservice s {{ x = {other}{comment}\n on fly {{ fly.a.b[\"k\"] {{ y = {value} }} }} }}\n");
            let once = super::formatted(&text);
            prop_assert_eq!(super::formatted(&once), once);
        }
    }
}

#[test]
fn long_texts_take_their_time_once() {
    let shop = include_str!("../../../fixtures/lang/shop.stack");
    for text in [shop.repeat(40), "# comment\n".repeat(20_000), format!("let a = [{}]\n", "1, ".repeat(10_000))] {
        let before = std::time::Instant::now();
        let once = formatted(&text);
        assert!(before.elapsed().as_secs() < 30, "{:?} for {} bytes", before.elapsed(), text.len());
        assert!(!once.is_empty());
    }
}
