use std::sync::Arc;

use proptest::prelude::*;
use rust_decimal::Decimal;

use super::{Context, DEPTH, Sealer, Wire, WireError};
use crate::model::expr::{Binary, Builtin, Expr, ExprKind, ForClause, ListPart, MapPart, Pattern, Reference, Slot, Step};
use crate::model::types::{Bounds, FieldType, Name, Need, ObjectType, TextRule, Type};
use crate::model::value::{Condition, Data, Fields, Metric, Network, Unknown, Value};
use crate::model::{Address, ProviderName, SourceId, Span};

/// Writes the path and the text backwards, so that a wrong path or a missing call shows.
struct Backwards;

impl Sealer for Backwards {
    fn seal(&self, context: &Context<'_>, path: &str, plain: &[u8]) -> Result<String, WireError> {
        let plain = String::from_utf8(plain.to_vec()).expect("values are text");
        Ok(format!("{}|{path}|{}", context.part, plain.chars().rev().collect::<String>()))
    }

    fn open(&self, context: &Context<'_>, path: &str, sealed: &str) -> Result<zeroize::Zeroizing<Vec<u8>>, WireError> {
        let text = sealed.strip_prefix(&format!("{}|{path}|", context.part)).ok_or(WireError::Seal)?;
        Ok(text.chars().rev().collect::<String>().into_bytes().into())
    }
}

fn address(text: &str) -> Address {
    Address::parse(text).expect("an address")
}

fn written(wire: Wire<'_>, value: &Value) -> String {
    let mut out = Vec::new();
    wire.write_value(&mut out, Context::NONE, value).expect("it can be written");
    String::from_utf8(out).expect("JSON is UTF-8")
}

/// The bytes are as expected, and reading them gives what was written.
fn check(value: Value, expected: &str) {
    let wire = Wire { secrets: super::Secrets::Sealed(&Backwards), origins: false };
    let text = written(wire, &value);
    assert_eq!(text, expected);
    let back = wire.read_value(Context::NONE, &text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(written(Wire::inside_sealed(), &back), written(Wire::inside_sealed(), &value), "{text}");
}

#[test]
fn every_kind_of_value_has_one_form() {
    let decimal = |text: &str| text.parse::<Decimal>().expect("a decimal");
    check(Value::null(), "null");
    check(Value::bool(true), "true");
    check(Value::int(i64::MIN), "-9223372036854775808");
    check(Value::text("a\"\\\n\u{1}é"), r#""a\"\\\n\u0001é""#);
    check(Value::engine(Data::Number(decimal("-1.50"))), r#"{"$number":"-1.50"}"#);
    check(
        Value::engine(Data::Number(decimal("0.0000000000000000000000000001"))),
        r#"{"$number":"0.0000000000000000000000000001"}"#,
    );
    check(Value::engine(Data::Duration(-30)), r#"{"$duration":-30}"#);
    check(Value::engine(Data::Size(1 << 40)), r#"{"$size":1099511627776}"#);
    check(Value::engine(Data::Percent(decimal("0.125"))), r#"{"$percent":"0.125"}"#);
    check(Value::engine(Data::Rate(decimal("3600"))), r#"{"$rate":"3600"}"#);
    check(Value::engine(Data::Money(decimal("12.30"), "USD".into())), r#"{"$money":["12.30","USD"]}"#);
    check(
        Value::engine(Data::Instant("2026-11-22T06:41:00.000000001Z".parse().expect("an instant"))),
        r#"{"$instant":"2026-11-22T06:41:00.000000001Z"}"#,
    );
    check(Value::engine(Data::Range(Arc::new((Value::int(1), Value::int(3))))), r#"{"$range":[1,3]}"#);
    check(Value::list(vec![Value::int(1), Value::list(vec![])]), "[1,[]]");
    check(Value::map(fields(&[("b", Value::int(1)), ("a", Value::null())])), r#"{"a":null,"b":1}"#);
    check(Value::map(fields(&[("$a", Value::int(1))])), r#"{"$map":{"$a":1}}"#);
    check(Value::map(Fields::new()), "{}");
    check(
        Value::engine(Data::Variant("http".into(), Arc::new(fields(&[("port", Value::int(80))])))),
        r#"{"$variant":["http",{"port":80}]}"#,
    );
    check(
        Value::engine(Data::Ref(Arc::new(crate::model::value::Reference {
            kind: "service".into(),
            address: address("service.api[\"a/b\"]"),
        }))),
        r#"{"$ref":["service","service.api[\"a/b\"]"]}"#,
    );
    check(Value::engine(Data::Provider(ProviderName::parse("fly.eu"))), r#"{"$provider":"fly.eu"}"#);
    check(
        Value::engine(Data::Metric(Arc::new(Metric {
            promql: "up".into(),
            unit: Type::Rate,
            source: Some(address("monitor.a")),
        }))),
        r#"{"$metric":["up","monitor.a","rate"]}"#,
    );
    check(
        Value::engine(Data::Condition(Arc::new(Condition { promql: "up > 1".into(), source: None }))),
        r#"{"$condition":["up > 1",null]}"#,
    );
    let mut near = Value::text("redis.internal");
    near.mark.within = Some(Arc::new(Network { name: "fly/acme".into(), output: "cache.a.url".into() }));
    check(near.clone(), r#"{"$mark":{"is":"redis.internal","within":["fly/acme","cache.a.url"]}}"#);
    check(near.secret(), r#"{"$mark":{"sealed":"||\"lanretni.sider\"","within":["fly/acme","cache.a.url"]}}"#);
    check(Value::text("hunter2").secret(), r#"{"$sealed":"||\"2retnuh\""}"#);
    check(
        Value::map(fields(&[("env", Value::list(vec![Value::text("x"), Value::text("abc").secret()]))])),
        r#"{"env":["x",{"$sealed":"|3:env1:1|\"cba\""}]}"#,
    );
}

fn fields(entries: &[(&str, Value)]) -> Fields {
    entries.iter().map(|(name, value)| (Name::from(*name), value.clone())).collect()
}

#[test]
fn an_unknown_value_comes_back_with_its_computation() {
    let id = Expr::new(
        ExprKind::Name(Reference::Attribute {
            address: address("fly.app.a"),
            path: vec![Step::Field("id".into()), Step::Item(0)],
        }),
        span(1, 2),
    );
    let rest = Expr::new(
        ExprKind::Convert(
            Box::new(Expr::new(ExprKind::Text(vec![Expr::literal(Value::text("https://")), id]), span(3, 4))),
            Arc::new(Type::Text(TextRule::Url)),
        ),
        span(5, 6),
    );
    let waits_for = Arc::new([address("fly.app.a")].into());
    let value = Value::engine(Data::Unknown(Arc::new(Unknown { ty: Type::TEXT, rest: Arc::new(rest), waits_for }))).secret();
    let value = value.at(span(7, 8));
    let wire = Wire::inside_sealed();
    let text = written(wire, &value);
    let back = wire.read_value(Context::NONE, &text).expect("it reads");
    assert_eq!(back, value);
    assert!(back.mark == value.mark, "the marks survive");
    assert_eq!(written(wire, &back), text);
}

#[test]
fn what_only_a_program_can_resolve_cannot_be_stored() {
    let name = Expr::new(ExprKind::Name(Reference::Input("a".into())), Span::ENGINE);
    let written = Wire::inside_sealed().write_expr(&mut Vec::new(), Context::NONE, &name);
    assert_eq!(written, Err(WireError::Unstorable("a name of the program")));
}

#[test]
fn a_sum_of_thousands_does_not_nest() {
    let mut sum = Expr::literal(Value::int(0));
    for at in 1..3000 {
        let right = Expr::literal(Value::int(at)).boxed();
        sum = Expr::new(ExprKind::Binary(Binary::Plus, sum.boxed(), right), span(at as u32, at as u32 + 1));
    }
    let wire = Wire::inside_sealed();
    let mut out = Vec::new();
    wire.write_expr(&mut out, Context::NONE, &sum).expect("it can be written");
    let back = wire.read_expr(Context::NONE, std::str::from_utf8(&out).expect("UTF-8")).expect("it reads");
    let mut again = Vec::new();
    wire.write_expr(&mut again, Context::NONE, &back).expect("it can be written");
    assert!(out == again, "spans and operands are the same");
}

impl Expr {
    fn boxed(self) -> Box<Expr> {
        Box::new(self)
    }
}

fn span(start: u32, end: u32) -> Span {
    Span { source: SourceId(0), start, end }
}

#[test]
fn bad_bytes_are_an_error_and_never_a_panic() {
    let deep = "[".repeat(usize::from(DEPTH) + 1);
    for text in [
        "",
        " 1",
        "1 ",
        "01",
        "-0",
        "-",
        "9223372036854775808",
        "\"a",
        "\"\\",
        "\"\\é\"",
        "\"\u{1}\"",
        "[1,]",
        "[1 ,2]",
        "{\"a\":1,\"a\":1}",
        "{\"b\":1,\"a\":1}",
        "{\"$what\":1}",
        "{\"$mark\":{\"secret\":true,\"is\":1}}",
        "{\"$sealed\":\"x\"}",
        "{\"$number\":1}",
        "{\"$ref\":[\"a\",\"not an address\"]}",
        "{\"$unknown\":[\"text\",[\"binary\",[\"literal\",1]],[]]}",
        "nul",
        &deep,
    ] {
        let wire = Wire { secrets: super::Secrets::Sealed(&Backwards), origins: false };
        assert!(wire.read_value(Context::NONE, text).is_err(), "{text:?} reads");
    }
}

#[test]
fn a_sealed_value_opens_only_in_its_place() {
    let wire = Wire { secrets: super::Secrets::Sealed(&Backwards), origins: false };
    let text = written(wire, &Value::map(fields(&[("a", Value::text("x").secret())])));
    assert_eq!(wire.read_value(Context::NONE, &text.replace("\"a\"", "\"b\"")), Err(WireError::Seal));
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::null()),
        any::<bool>().prop_map(Value::bool),
        any::<i64>().prop_map(Value::int),
        any::<i64>().prop_map(|nanos| Value::engine(Data::Duration(nanos))),
        ".{0,6}".prop_map(|text| Value::text(text.as_str())),
        (any::<i64>(), 0u32..18).prop_map(|(number, scale)| Value::engine(Data::Number(Decimal::new(number, scale)))),
        any_type().prop_map(|unit| { Value::engine(Data::Metric(Arc::new(Metric { promql: "up".into(), unit, source: None }))) }),
    ];
    let leaf = (leaf, any::<bool>(), 0u32..3).prop_map(marked);
    leaf.prop_recursive(4, 24, 4, |inner| {
        let fields = prop::collection::btree_map("[$a-c]{1,2}".prop_map(Name::from), inner.clone(), 0..4).prop_map(Fields::from);
        let value = prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::list),
            fields.clone().prop_map(Value::map),
            fields.prop_map(|fields| Value::engine(Data::Variant("v".into(), Arc::new(fields)))),
            (inner.clone(), inner.clone()).prop_map(|ends| Value::engine(Data::Range(Arc::new(ends)))),
            inner.prop_map(|value| {
                let unknown = Unknown { ty: Type::Any, rest: Arc::new(every_expr(value)), waits_for: Arc::default() };
                Value::engine(Data::Unknown(Arc::new(unknown)))
            }),
        ];
        (value, any::<bool>(), 0u32..3).prop_map(marked)
    })
}

fn marked((mut value, secret, origin): (Value, bool, u32)) -> Value {
    value.mark.origin = if origin == 0 { Span::ENGINE } else { span(origin, origin) };
    value.mark.secret = secret;
    value
}

/// One expression with everything that can be stored in it.
fn every_expr(value: Value) -> Expr {
    let new = |kind| Expr::new(kind, span(9, 10));
    let literal = || new(ExprKind::Literal(value.clone()));
    let local = || Box::new(new(ExprKind::Local(Slot(3))));
    let clauses = vec![
        ForClause::For { key: None, value: Some(Slot(1)), over: literal() },
        ForClause::If(Expr::new(ExprKind::Unary(crate::model::expr::Unary::Not, local()), Span::ENGINE)),
    ];
    new(ExprKind::List(vec![
        ListPart::Item(new(ExprKind::Promql { pieces: vec!["a".into(), "".into()], values: vec![literal()] })),
        ListPart::Spread(new(ExprKind::Field { of: local(), name: "f".into(), optional: true })),
        ListPart::Item(new(ExprKind::Index { of: local(), key: Box::new(literal()), optional: false })),
        ListPart::Item(new(ExprKind::If(local(), local(), Box::new(literal())))),
        ListPart::Item(new(ExprKind::Match(
            local(),
            vec![
                (Pattern::Label("l".into(), Some(Slot(2))), literal()),
                (Pattern::Literals(vec![value.clone()]), literal()),
                (Pattern::Labels(vec!["l".into(), "m".into()]), literal()),
                (Pattern::Any, literal()),
            ],
        ))),
        ListPart::Item(new(ExprKind::Map(vec![
            MapPart::Entry("k".into(), literal()),
            MapPart::Computed(literal(), *local()),
            MapPart::Spread(*local()),
        ]))),
        ListPart::Item(new(ExprKind::ForList { clauses: clauses.clone(), item: local() })),
        ListPart::Item(new(ExprKind::ForMap { clauses, key: local(), value: local() })),
        ListPart::Item(new(ExprKind::Variant("v".into(), local()))),
        ListPart::Item(new(ExprKind::Builtin(Builtin("upper".into()), vec![None, Some(literal())]))),
    ]))
}

fn any_type() -> impl Strategy<Value = Type> {
    let leaf = prop_oneof![
        Just(Type::Poison),
        Just(Type::TEXT),
        Just(Type::Text(TextRule::Matches("^a\"$".into()))),
        Just(Type::Text(TextRule::Cron)),
        any::<Option<i64>>().prop_map(|min| Type::Int(Bounds { min, max: None })),
        Just(Type::Number(Bounds { min: None, max: Some(Decimal::new(150, 2)) })),
        Just(Type::Literals(Arc::new(vec![Value::int(1), Value::text("a")]))),
        Just(Type::Ref("service".into())),
        Just(Type::Condition),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let field = (inner.clone(), 0..3).prop_map(|(ty, need)| FieldType {
            ty,
            need: [Need::Required, Need::Absent, Need::Default(Value::int(3))][need as usize].clone(),
        });
        let object = prop::collection::btree_map("[a-c]".prop_map(Name::from), field, 0..3)
            .prop_map(|fields| Arc::new(ObjectType { fields, name: Some("n".into()) }));
        prop_oneof![
            inner.clone().prop_map(|of| Type::List(Box::new(of), Bounds { min: Some(1), max: None })),
            inner.clone().prop_map(|of| Type::Secret(Box::new(of))),
            inner.prop_map(Type::optional),
            object.clone().prop_map(Type::Object),
            object.prop_map(|object| Type::Variant(Arc::new(crate::model::types::VariantType {
                name: None,
                cases: [("c".into(), object)].into(),
            }))),
        ]
    })
}

proptest! {
    #[test]
    fn reading_gives_what_was_written(value in any_value()) {
        let wire = Wire::inside_sealed();
        let text = written(wire, &value);
        let back = wire.read_value(Context::NONE, &text).expect(&text);
        prop_assert_eq!(&back, &value);
        prop_assert_eq!(written(wire, &back), text);
        let sealed = Wire { secrets: super::Secrets::Sealed(&Backwards), origins: true };
        let text = written(sealed, &value);
        let back = sealed.read_value(Context::NONE, &text).expect(&text);
        prop_assert_eq!(written(wire, &back), written(wire, &value));
    }

    #[test]
    fn no_bytes_make_it_panic(text in ".{0,40}", value in any_value(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let wire = Wire::inside_sealed();
        let _ = wire.read_value(Context::NONE, &text);
        let mut bytes = written(wire, &value).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = wire.read_value(Context::NONE, text);
            let _ = wire.read_expr(Context::NONE, text);
            let _ = wire.read_type(Context::NONE, text);
        }
    }
}
