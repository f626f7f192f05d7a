use super::*;
use crate::model::types::Bounds;

/// Types a call by name.
fn typed(name: &str, arguments: &[Type]) -> String {
    let def = definition(name).expect("the function exists");
    let arguments: Vec<_> = arguments.iter().cloned().map(Some).collect();
    match def.result(&arguments) {
        Ok(ty) => ty.to_string(),
        Err(mismatch) => format!("{}: {}", mismatch.at, mismatch.expected),
    }
}

fn secret(ty: Type) -> Type {
    Type::Secret(Box::new(ty))
}

#[test]
fn letters_carry_the_type_of_elements() {
    assert_eq!(typed("reverse", &[Type::list(Type::Size)]), "list<size>");
    assert_eq!(typed("values", &[Type::map(secret(Type::TEXT))]), "list<secret<string>>");
    assert_eq!(typed("lookup", &[Type::map(Type::INT), Type::TEXT, Type::NUMBER]), "number");
    assert_eq!(typed("max", &[Type::Duration, Type::Duration]), "duration");
    assert_eq!(typed("min", &[Type::Int(Bounds { min: Some(1), max: None }), Type::INT]), "int");
    assert_eq!(typed("index", &[Type::list(Type::TEXT), Type::TEXT]), "int?");
}

#[test]
fn what_is_computed_from_a_secret_is_secret() {
    assert_eq!(typed("upper", &[secret(Type::TEXT)]), "secret<string>");
    assert_eq!(typed("join", &[Type::TEXT, Type::list(secret(Type::TEXT))]), "secret<string>");
    assert_eq!(typed("length", &[Type::list(secret(Type::TEXT))]), "int");
    assert_eq!(typed("length", &[secret(Type::list(Type::TEXT))]), "secret<int>");
    assert_eq!(typed("json_encode", &[Type::map(secret(Type::TEXT))]), "secret<string>");
    assert_eq!(typed("reveal", &[secret(Type::TEXT), Type::TEXT]), "string");
    assert_eq!(typed("plain", &[Type::map(Type::Sensitive(Box::new(Type::TEXT)))]), "map<string>");
    assert_eq!(typed("secrets", &[Type::map(Type::Sensitive(Box::new(Type::TEXT)))]), "map<secret<string>>");
}

#[test]
fn arguments_that_do_not_fit_are_named() {
    assert_eq!(typed("upper", &[Type::INT]), "0: string");
    assert_eq!(typed("join", &[Type::TEXT, Type::list(Type::Size)]), "1: list<string>");
    assert_eq!(typed("max", &[Type::Duration, Type::Size]), "1: number or unit");
    assert_eq!(typed("length", &[Type::Bool]), "0: string or list<A> or map<A>");
}

#[test]
fn names_are_unique() {
    let mut names: Vec<_> = ALL.iter().map(|def| def.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}
