//! `encryption`: who is to have the key of the stack's state. As `state`, it is needed before anything else is known.

use std::sync::Arc;

use super::Checker;
use crate::lang::resolve::ScopeId;
use crate::model::expr::{Expr, ExprKind};
use crate::model::types::{FieldType, Need, ObjectType, VariantType};
use crate::model::{Code, Data, Name, Type};

/// `age { recipients = { ada = "age1…" } }`
pub(super) fn encryption_type() -> Type {
    let recipients = FieldType { ty: Type::map(Type::TEXT), need: Need::Required };
    let age = ObjectType { fields: [(Name::from("recipients"), recipients)].into_iter().collect(), name: None };
    Type::Variant(Arc::new(VariantType { name: None, cases: [(Name::from("age"), Arc::new(age))].into_iter().collect() }))
}

impl Checker<'_> {
    pub(super) fn check_encryption(&mut self, scope: ScopeId, value: &Expr) {
        self.check_early(scope, value, "encryption", "who has the state's key has to be known before anything else");
        // What depends on the environment is looked at when that is known.
        match &value.kind {
            ExprKind::If(_, then, otherwise) => {
                self.check_recipients(then);
                self.check_recipients(otherwise);
            }
            _ => self.check_recipients(value),
        }
    }

    fn check_recipients(&mut self, value: &Expr) {
        let Some(constant) = self.constant_value(value) else { return };
        let recipients = match &constant.data {
            Data::Variant(_, fields) => fields.get("recipients").map(|it| it.data.clone()),
            _ => None,
        };
        let Some(Data::Map(recipients)) = recipients else { return };
        if recipients.is_empty() {
            let diagnostic = Code::OutOfRange
                .error("nobody could open this state: `recipients` names nobody")
                .label(value.span, "nobody")
                .help("make an identity with `stackwright key new`, and write what it prints");
            self.say(diagnostic);
        }
        for (name, recipient) in recipients.iter() {
            let text = recipient.as_text().unwrap_or_default();
            if text.starts_with("age1") || recipient.has_unknown() {
                continue;
            }
            let is_secret = text.to_ascii_uppercase().starts_with("AGE-SECRET");
            let what = if is_secret { "the secret half of an identity" } else { "no recipient" };
            let diagnostic = Code::OutOfRange
                .error(format!("what `recipients` has for `{name}` is {what}"))
                .label(value.span, "declared here")
                .help("a recipient begins with `age1`: `stackwright key new` prints one");
            self.say(diagnostic);
        }
    }
}
