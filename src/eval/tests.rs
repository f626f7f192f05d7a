use std::collections::BTreeMap;

use super::*;
use crate::model::expr::{Binary, ExprKind, ForClause, ListPart, MapPart, Pattern, Unary};
use crate::model::types::{Bounds, FieldType, Need, ObjectType};
use crate::model::value::{Fields, Network};

const AT: Span = Span { source: SourceId(0), start: 10, end: 20 };

fn e(kind: ExprKind) -> Expr {
    Expr::new(kind, AT)
}

fn lit(value: Value) -> Expr {
    e(ExprKind::Literal(value.at(AT)))
}

fn int(value: i64) -> Expr {
    lit(Value::int(value))
}

fn text(value: &str) -> Expr {
    lit(Value::text(value))
}

fn data(data: Data) -> Expr {
    lit(Value::engine(data))
}

/// The attribute `NAME` of the resource `local.value.ADDRESS`, which is not known.
fn attr(address: &str, name: &str) -> Expr {
    let path = vec![Step::Field(name.into())];
    e(ExprKind::Name(Reference::Attribute { address: Address::root("local.value", address), path }))
}

fn op(operator: Binary, a: Expr, b: Expr) -> Expr {
    e(ExprKind::Binary(operator, Box::new(a), Box::new(b)))
}

fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let builtin = builtins::find(name).expect("a built-in of that name");
    e(ExprKind::Builtin(builtin, arguments.into_iter().map(Some).collect()))
}

fn list(items: Vec<Expr>) -> Expr {
    e(ExprKind::List(items.into_iter().map(ListPart::Item).collect()))
}

/// Evaluates with nothing known of resources.
fn eval(expr: &Expr) -> Outcome<Value> {
    evaluate(expr, &Attributes { lookup: &|_, _| None, budget: Budget::new() })
}

fn shows(expr: &Expr, expected: &str) {
    match eval(expr) {
        Ok(value) => assert_eq!(value.to_literal(), expected),
        Err(error) => assert_eq!(format!("{} {}", error.code, error.message), expected),
    }
}

/// Evaluates first with nothing known, then with every attribute known to be this: the result is that of evaluating at once.
fn shows_later(expr: &Expr, attribute: Value, expected: &str) -> Value {
    let open = eval(expr).expect("a value that is partly unknown");
    assert!(open.has_unknown(), "{open:?} is known too early");
    let lookup = |_: &Address, _: &[Step]| Some(attribute.clone());
    let known = resume(&open, &lookup);
    match &known {
        Ok(value) => assert_eq!(value.to_literal(), expected),
        Err(error) => assert_eq!(format!("{} {}", error.code, error.message), expected),
    }
    known.unwrap_or_else(|_| Value::null())
}

#[test]
fn units_follow_their_table() {
    let minutes = |n: i64| data(Data::Duration(n * 60_000_000_000));
    let mib = |n: i64| data(Data::Size(n << 20));
    let percent = |n: i64| data(Data::Percent(rust_decimal::Decimal::new(n, 2)));
    shows(&op(Binary::Plus, minutes(1), minutes(2)), "3m");
    shows(&op(Binary::Times, int(3), minutes(5)), "15m");
    shows(&op(Binary::Times, percent(50), mib(512)), "256MiB");
    shows(&op(Binary::Divide, mib(512), mib(256)), "2");
    shows(&op(Binary::Divide, minutes(5), int(2)), "2m30s");
    shows(&op(Binary::Less, percent(1), percent(2)), "true");
    shows(&op(Binary::Plus, int(3), minutes(5)), "SW0211 `+` does not take an int and a duration");
    shows(&op(Binary::Greater, mib(256), minutes(1)), "SW0211 `>` does not take a size and a duration");
    let rate = data(Data::Rate(rust_decimal::Decimal::from(3600)));
    shows(&op(Binary::Times, rate, minutes(1)), "60");
}

#[test]
fn what_has_no_result_says_why() {
    shows(&op(Binary::Divide, int(1), int(0)), "SW0217 this divides by zero");
    shows(&op(Binary::Times, int(i64::MAX), int(2)), "SW0217 the product is too large");
    shows(&op(Binary::Plus, int(i64::MAX), int(1)), "SW0217 the sum is too large");
    shows(&e(ExprKind::Unary(Unary::Minus, Box::new(int(i64::MIN)))), "SW0217 the result is too large");
    shows(&call("fail", vec![text("no such city")]), "SW0220 no such city");
    shows(&call("count", vec![int(10_000_000)]), "SW0102 `count`: a list has at most 1,000,000 elements");
    let of = Box::new(list(vec![int(1)]));
    shows(&e(ExprKind::Index { of, key: Box::new(int(3)), optional: false }), "SW0216 there is no element 3 in a list of 1");
    shows(&call("regex", vec![text("("), text("a")]), "SW0214 `regex`: the regular expression cannot be used: unclosed group");
}

#[test]
fn division_of_ints_is_exact_and_numbers_have_28_digits() {
    shows(&op(Binary::Divide, int(1), int(4)), "0.25");
    shows(&op(Binary::Divide, int(1), int(3)), "0.3333333333333333333333333333");
}

#[test]
fn a_program_that_goes_on_for_too_long_is_stopped() {
    let thousand = || call("count", vec![int(1000)]);
    let over = |slot| ForClause::For { key: None, value: Some(Slot(slot)), over: thousand() };
    let expr = e(ExprKind::ForList { clauses: vec![over(0), over(1), over(2)], item: Box::new(call("sum", vec![thousand()])) });
    let names = Attributes { lookup: &|_, _| None, budget: Budget::of(100_000) };
    let error = evaluate(&expr, &names).expect_err("the steps do not suffice");
    assert_eq!((error.code, error.message.as_str()), (Code::Limit, "the program needs more than 100,000 steps"));
}

#[test]
fn unknown_values_flow_through_every_expression() {
    let url = e(ExprKind::Text(vec![text("http://"), attr("a", "host"), text(":"), int(80)]));
    shows_later(&url, Value::text("h"), r#""http://h:80""#);

    let chosen = e(ExprKind::If(
        Box::new(op(Binary::Equal, attr("a", "x"), text("on"))),
        Box::new(int(1)),
        Box::new(call("fail", vec![text("is off")])),
    ));
    shows_later(&chosen, Value::text("on"), "1");
    shows_later(&chosen, Value::text("off"), "SW0220 is off");

    let either = op(Binary::Or, op(Binary::Equal, attr("a", "x"), text("on")), lit(Value::bool(false)));
    shows_later(&either, Value::text("on"), "true");

    let object = e(ExprKind::Map(vec![MapPart::Entry("a".into(), int(1)), MapPart::Spread(attr("a", "more"))]));
    shows_later(&object, Value::map(Fields::from([("a".into(), Value::int(2))])), "{ a = 2 }");

    let case = e(ExprKind::Match(
        Box::new(attr("a", "way")),
        vec![
            (
                Pattern::Label("rolling".into(), Some(Slot(3))),
                e(ExprKind::Field { of: Box::new(e(ExprKind::Local(Slot(3)))), name: "at_once".into(), optional: false }),
            ),
            (Pattern::Any, int(0)),
        ],
    ));
    let fields = Fields::from([("at_once".into(), Value::int(7))]);
    shows_later(&case, Value::engine(Data::Variant("rolling".into(), fields.into())), "7");
    shows_later(&case, Value::engine(Data::Variant("direct".into(), Arc::default())), "0");
}

#[test]
fn comprehensions_leave_only_what_is_unknown() {
    // [for x in ["a", attribute] if x != "b" : upper(x)]
    let over = list(vec![text("a"), attr("a", "x")]);
    let local = || e(ExprKind::Local(Slot(0)));
    let clauses =
        vec![ForClause::For { key: None, value: Some(Slot(0)), over }, ForClause::If(op(Binary::NotEqual, local(), text("b")))];
    let expr = e(ExprKind::ForList { clauses, item: Box::new(call("upper", vec![local()])) });
    shows_later(&expr, Value::text("c"), r#"["A", "C"]"#);
    shows_later(&expr, Value::text("b"), r#"["A"]"#);

    // {for k, x in attribute for y in x : ["${k}${y}"] = [for z in x : z + y]}: three variables, one inside of the other
    let local = |slot| e(ExprKind::Local(Slot(slot)));
    let inner = e(ExprKind::ForList {
        clauses: vec![ForClause::For { key: None, value: Some(Slot(9)), over: local(2) }],
        item: Box::new(op(Binary::Plus, local(9), local(3))),
    });
    let expr = e(ExprKind::ForMap {
        clauses: vec![
            ForClause::For { key: Some(Slot(1)), value: Some(Slot(2)), over: attr("a", "lists") },
            ForClause::For { key: None, value: Some(Slot(3)), over: local(2) },
        ],
        key: Box::new(e(ExprKind::Text(vec![local(1), local(3)]))),
        value: Box::new(inner),
    });
    let lists = Value::map(Fields::from([("l".into(), Value::list(vec![Value::int(1), Value::int(2)]))]));
    shows_later(&expr, lists, "{ l1 = [2, 3], l2 = [3, 4] }");
}

#[test]
fn equal_computations_leave_equal_bytes() {
    let expr = |slot| {
        let clauses = vec![ForClause::For { key: None, value: Some(Slot(slot)), over: attr("a", "xs") }];
        e(ExprKind::ForList { clauses, item: Box::new(op(Binary::Plus, e(ExprKind::Local(Slot(slot))), int(1))) })
    };
    let (a, b) = (eval(&expr(4)).expect("unknown"), eval(&expr(77)).expect("unknown"));
    assert!(a == b && format!("{:?}", a.data.left()) == format!("{:?}", b.data.left()));
}

trait Left {
    fn left(&self) -> &Expr;
}

impl Left for Data {
    fn left(&self) -> &Expr {
        match self {
            Data::Unknown(unknown) => &unknown.rest,
            _ => panic!("the value is known"),
        }
    }
}

#[test]
fn an_unknown_value_waits_for_what_it_was_made_from() {
    let both = e(ExprKind::Text(vec![attr("a", "x"), attr("b", "y")]));
    let value = eval(&call("upper", vec![both])).expect("unknown");
    let Data::Unknown(unknown) = &value.data else { panic!("the value is known") };
    let waits: Vec<&str> = unknown.waits_for.iter().map(Address::as_str).collect();
    assert_eq!(waits, ["local.value.a", "local.value.b"]);
    // One of them known is not enough, and then waits for the other alone.
    let lookup = |address: &Address, _: &[Step]| (address.as_str() == "local.value.a").then(|| Value::text("k"));
    let half = resume(&value, &lookup).expect("still unknown");
    let Data::Unknown(unknown) = &half.data else { panic!("the value is known") };
    assert_eq!(unknown.waits_for.iter().map(Address::as_str).collect::<Vec<_>>(), ["local.value.b"]);
}

#[test]
fn what_is_computed_from_a_secret_is_secret() {
    let secret = || lit(Value::text("hush").secret());
    let same = |expr: &Expr| eval(expr).expect("a value").mark.secret;
    assert!(same(&e(ExprKind::Text(vec![text("x"), secret()]))));
    assert!(same(&op(Binary::Equal, secret(), text("a"))));
    assert!(same(&op(Binary::Equal, list(vec![secret()]), list(vec![text("a")]))));
    let condition = Box::new(op(Binary::Equal, secret(), text("a")));
    assert!(same(&e(ExprKind::If(condition, Box::new(int(1)), Box::new(int(2))))));
    assert!(same(&call("length", vec![secret()])));
    assert!(!same(&call("length", vec![list(vec![secret()])])));
    assert!(same(&call("json_encode", vec![list(vec![secret()])])));
    assert!(!same(&call("reveal", vec![secret(), text("why")])));
    // A list keeps it for each element.
    let mixed = eval(&list(vec![secret(), text("plain")])).expect("a list");
    assert_eq!(mixed.to_literal(), r#"[(secret), "plain"]"#);
    // An unknown value made with a secret stays secret when it is known.
    let open = e(ExprKind::Text(vec![secret(), attr("a", "x")]));
    assert!(shows_later(&open, Value::text("x"), "(secret)").mark.secret);
}

#[test]
fn a_network_sticks_to_what_is_computed() {
    let network = Network { name: "fly/acme".into(), output: "database.main.url".into() };
    let mut inner = Value::text("10.0.0.1");
    inner.mark.within = Some(Arc::new(network));
    let url = e(ExprKind::Text(vec![text("http://"), lit(inner)]));
    assert!(eval(&url).expect("a text").mark.within.is_some());
}

#[test]
fn types_fill_in_defaults_and_check_refinements() {
    let field = |ty: Type, need: Need| FieldType { ty, need };
    let object = Type::Object(Arc::new(ObjectType {
        fields: BTreeMap::from([
            ("every".into(), field(Type::Duration, Need::Default(Value::engine(Data::Duration(10_000_000_000))))),
            ("port".into(), field(Type::Int(Bounds { min: Some(1), max: Some(65535) }), Need::Absent)),
        ]),
        name: None,
    }));
    let fitted = |value: Value, ty: &Type| match fit(value, ty, AT) {
        Ok(value) => value.to_literal(),
        Err(error) => format!("{} {}", error.code, error.message),
    };
    assert_eq!(fitted(Value::map(Fields::new()), &object), "{ every = 10s }");
    let with = |name: &str, value: Value| Value::map(Fields::from([(name.into(), value)]));
    assert_eq!(fitted(with("port", Value::null()), &object), "{ every = 10s }");
    assert_eq!(fitted(with("port", Value::int(0)), &object), "SW0212 0 is not int(1..65535)");
    assert_eq!(fitted(with("prot", Value::int(1)), &object), "SW0201 there is no field `prot`");
    assert_eq!(fitted(Value::int(3), &Type::Range(Box::new(Type::INT))), "3..3");
    assert_eq!(fitted(Value::null(), &Type::INT), "SW0210 this is null, and its place takes int");
    for (rule, good, bad) in [
        ("cron", "*/5 0-6 * jan mon", "61 * * * *"),
        ("cidr", "fd00::/64", "10.0.0.0/33"),
        ("semver", "1.0.0-rc.1+7", "01.0.0"),
        ("url", "https://example.com/a", "example.com"),
    ] {
        use crate::model::types::TextRule;
        let rule = match rule {
            "cron" => TextRule::Cron,
            "cidr" => TextRule::Cidr,
            "semver" => TextRule::Semver,
            _ => TextRule::Url,
        };
        assert_eq!(fitted(Value::text(good), &Type::Text(rule.clone())), format!("{good:?}"));
        assert!(fitted(Value::text(bad), &Type::Text(rule)).starts_with("SW0212"), "{bad}");
    }
}

#[test]
fn a_refinement_of_an_unknown_value_is_checked_when_it_is_known() {
    let port = Arc::new(Type::Int(Bounds { min: Some(1), max: Some(9) }));
    let expr = e(ExprKind::Convert(Box::new(attr("a", "port")), port));
    shows_later(&expr, Value::int(5), "5");
    shows_later(&expr, Value::int(50), "SW0212 50 is not int(1..9)");
}

#[test]
fn metrics_become_promql() {
    let promql = |text: &str| e(ExprKind::Promql { pieces: vec![text.into()], values: vec![] });
    let percent = data(Data::Percent(rust_decimal::Decimal::new(1, 2)));
    let over = || op(Binary::Greater, promql("a / b"), percent.clone());
    shows(&over(), r#"promql"(a / b) > 0.01""#);
    let slow = || op(Binary::Greater, promql("lat"), data(Data::Duration(200_000_000)));
    shows(&slow(), r#"promql"(lat) > 0.2""#);
    shows(&op(Binary::And, over(), slow()), r#"promql"((a / b) > 0.01) and on() ((lat) > 0.2)""#);
    let not = e(ExprKind::Unary(Unary::Not, Box::new(slow())));
    shows(&op(Binary::And, over(), not), r#"promql"((a / b) > 0.01) unless on() ((lat) > 0.2)""#);
    let window = e(ExprKind::Promql {
        pieces: vec!["rate(x{app=".into(), "}[".into(), "])".into()],
        values: vec![text("a\"b"), data(Data::Duration(5_400_000_000_000))],
    });
    shows(&window, r#"promql"rate(x{app="a\"b"}[1h30m])""#);
}

#[test]
fn texts_are_bounded() {
    let big = Value::text("x".repeat(9 << 20));
    shows(&e(ExprKind::Text(vec![lit(big.clone()), lit(big)])), "SW0102 the text would be longer than 16 MiB");
}

#[test]
fn deep_computations_of_unknown_values_are_refused() {
    let mut value = eval(&attr("a", "x")).expect("unknown");
    let names = Attributes { lookup: &|_, _| None, budget: Budget::new() };
    let mut result = Ok(value.clone());
    for _ in 0..1000 {
        let add = op(Binary::Plus, e(ExprKind::Local(Slot(0))), int(1));
        result = evaluate_with(&add, &names, &[(Slot(0), value.clone())]);
        match &result {
            Ok(next) => value = next.clone(),
            Err(_) => break,
        }
    }
    assert_eq!(result.expect_err("it is too deep").code, Code::Limit);
}

#[test]
fn functions_of_many_arguments_and_formats() {
    shows(
        &call("format", vec![text("%s|%5.2f|%-4d|%04d|%q"), text("a"), int(2), int(3), int(7), text("b")]),
        r#""a| 2.00|3   |0007|\"b\"""#,
    );
    shows(&call("max", vec![int(1), int(3), int(2)]), "3");
    shows(&call("max", vec![]), "SW0214 `max`: at least one value is needed");
    shows(&call("coalesce", vec![lit(Value::null()), text("")]), "SW0214 `coalesce`: every value is null or empty");
    shows(&call("cidr_subnet", vec![text("10.0.0.0/8"), int(16), int(258)]), r#""10.1.2.0/24""#);
    shows(&call("cidr_host", vec![text("10.0.0.0/24"), int(-1)]), r#""10.0.0.255""#);
    shows(&call("yaml_encode", vec![list(vec![list(vec![int(1)]), text("yes")])]), r#""- - 1\n- \"yes\"\n""#);
}

#[test]
fn no_message_quotes_a_secret() {
    let secret = || lit(Value::text("hush").secret());
    let empty = e(ExprKind::Map(vec![]));
    shows(&call("fail", vec![secret()]), "SW0220 `fail` has no result for a secret argument");
    shows(&call("lookup", vec![empty.clone(), secret()]), "SW0216 `lookup` has no result for a secret argument");
    shows(
        &e(ExprKind::Index { of: Box::new(empty), key: Box::new(secret()), optional: false }),
        "SW0216 there is no key (secret)",
    );
    let pair = list(vec![int(1), int(2)]);
    let clauses = vec![ForClause::For { key: None, value: None, over: pair }];
    let twice = e(ExprKind::ForMap { clauses, key: Box::new(secret()), value: Box::new(int(1)) });
    shows(&twice, "SW0302 a secret key is made twice");
}
