//! Secrets: each that something refers to is a resource, generated or given.

use std::rc::Rc;

use super::expander::{Expander, silent};
use super::frame::Frame;
use crate::eval::{Outcome, fit};
use crate::lang::program::Secret;
use crate::model::expr::SecretPart;
use crate::model::{
    Address, Code, Data, DesiredResource, Diagnostic, Expr, Fields, Lifecycle, Name, ProviderName, Span, Type, Value,
};

const KIND: &str = "engine.secret";

/// What the record of a secret says of its value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct KeptSecret {
    /// Which of its values it is to have: the one that it has, or the next.
    pub version: i64,
    /// The overlap of the last rotation is over.
    pub ended: bool,
    /// Its value was given from outside.
    pub given: bool,
}

impl<'p> Expander<'p> {
    /// `secret.name.value` and its like. That it is asked for is what makes it.
    pub fn secret(&self, frame: &Rc<Frame<'p>>, name: &Name, part: SecretPart, span: Span) -> Outcome<Value> {
        self.ready(frame);
        let found = frame.tables.borrow().secrets.get(name).copied();
        let secret = found.ok_or_else(silent)?;
        let address = frame.address_of("secret", name);
        let given = self.request.known.secrets.get(&address).filter(|_| secret.generate.is_none());
        match (given, &secret.generate) {
            (Some(_), _) | (None, Some(_)) => self.declare(frame, secret, &address, given)?,
            (None, None) if self.request.known.simulated => self.made_up(frame, secret, &address)?,
            // What is made from it is never used: the missing secret is an error in the end.
            (None, None) => {
                self.missing_secrets.borrow_mut().entry(address.clone()).or_insert((secret.span, span));
            }
        }
        match (part, given) {
            (SecretPart::Value, Some(given)) => Ok(given.clone().at(span).secret()),
            (part, _) => self.attribute(&address, &KIND.into(), &part.word().into(), span),
        }
    }

    /// A secret that was not given, where the clouds are simulated.
    fn made_up(&self, frame: &Rc<Frame<'p>>, secret: &'p Secret, address: &Address) -> Outcome<()> {
        if self.secrets.borrow().contains_key(address) {
            return Ok(());
        }
        let warning = Code::SecretMissing
            .warning(format!("`{address}` was not given and is made up, since the clouds are simulated"))
            .label(secret.span, "given from outside")
            .about(address.clone());
        self.warnings.borrow_mut().push((self.moment.get(), warning));
        self.declare(frame, secret, address, None)
    }

    fn declare(&self, frame: &Rc<Frame<'p>>, secret: &'p Secret, address: &Address, given: Option<&Value>) -> Outcome<()> {
        if self.secrets.borrow().contains_key(address) {
            return Ok(());
        }
        let kind = self.program.schemas.kind(KIND).cloned();
        let kind = kind.ok_or_else(|| {
            Box::new(Code::UnknownKind.error("secrets cannot be kept here").label(secret.span, "there is no `engine.secret`"))
        })?;
        let mut attributes = Fields::new();
        let said =
            [("bytes", &secret.generate), ("format", &secret.format), ("rotate", &secret.rotate), ("overlap", &secret.overlap)];
        for (name, expr) in said {
            let Some(expr) = expr else { continue };
            let value = self.eval(frame, expr, &[])?;
            let ty = kind.attribute(name).map_or(&Type::Any, |it| &it.ty);
            attributes.insert(name.into(), fit(value, ty, expr.span)?);
        }
        refuse_odd(secret, &attributes)?;
        attributes.extend(given.map(|given| ("given".into(), given.clone().secret())));
        let kept = &self.request.known.kept_secrets;
        if let Some(kept) =
            super::naming::of_record(&super::moves::moved(self.program), address, |address| kept.get(address).copied())
        {
            // One that was given and is generated now, or the other way round, has another value.
            let turned = kept.given != given.is_some();
            attributes.insert("version".into(), Value::int(kept.version.saturating_add(i64::from(turned))));
            attributes.insert("ended".into(), Value::bool(kept.ended && !turned));
        }
        super::resources::fill_in_defaults(&kind, &mut attributes);
        let (instance, called_at) = match &frame.root {
            Some((root, span)) => (root.clone(), *span),
            None => (address.clone(), secret.span),
        };
        let resource = DesiredResource {
            address: address.clone(),
            kind,
            provider: ProviderName { ty: "engine".into(), name: None },
            instance,
            attributes,
            lifecycle: Lifecycle::default(),
            edges: Vec::new(),
            span: secret.span,
            called_at,
        };
        self.secrets.borrow_mut().insert(address.clone(), resource);
        Ok(())
    }

    /// One diagnostic for each secret that has to be given and is not.
    pub fn say_missing_secrets(&self) -> Vec<Diagnostic> {
        let missing = self.missing_secrets.borrow();
        let said = missing.iter().map(|(address, (declared, used))| {
            // Only a secret of the stack is given: its address is its name.
            let name = address.as_str().strip_prefix("secret.").unwrap_or(address.as_str());
            Code::SecretMissing
                .error(format!("`{address}` has no value"))
                .label(*declared, "given from outside")
                .labels((used != declared && self.is_near(*used)).then_some((*used, "needed here")))
                .help(format!(
                    "set STACK_SECRET_{name}, write it into `.stackwright/secrets/{name}` (mode 0600), or say where it is: \
                     `--secret-file {name}=FILE`, `--secret-stdin {name}`, `--secret-command {name}=COMMAND`"
                ))
                .about(address.clone())
        });
        said.collect()
    }
}

/// Sizes and spans that no secret can have.
fn refuse_odd(secret: &Secret, attributes: &Fields) -> Outcome<()> {
    let place = |expr: &Option<Expr>| expr.as_ref().map_or(secret.span, |expr| expr.span);
    let refuse = |message: &str, expr: &Option<Expr>, label: &str| -> Outcome<()> {
        Err(Box::new(Code::OutOfRange.error(message).label(place(expr), label)))
    };
    let is_pair = attributes.get("format").and_then(Value::as_text) == Some("ed25519");
    match attributes.get("bytes").map(|value| &value.data) {
        Some(Data::Size(bytes)) if is_pair && *bytes != 32 => {
            refuse("an ed25519 key is made from 32 bytes", &secret.generate, "expected 32B")?
        }
        Some(Data::Size(bytes)) if !(8..=1024).contains(bytes) => {
            refuse("a secret carries 8 to 1024 bytes", &secret.generate, "expected 8B to 1024B")?
        }
        _ => {}
    }
    let span = |name: &str| match attributes.get(name).map(|value| &value.data) {
        Some(Data::Duration(nanos)) => Some(*nanos),
        _ => None,
    };
    let (rotate, overlap) = (span("rotate"), span("overlap"));
    if rotate.is_some_and(|it| it <= 0) {
        refuse("`rotate` is how long a value is good for", &secret.rotate, "expected more than 0s")?;
    }
    if overlap.is_some_and(|it| it <= 0) {
        refuse("`overlap` is how long the former value is kept", &secret.overlap, "expected more than 0s")?;
    }
    if let (Some(rotate), Some(overlap)) = (rotate, overlap)
        && overlap >= rotate
    {
        refuse("the former value is kept until after the next rotation is due", &secret.overlap, "expected less than `rotate`")?;
    }
    Ok(())
}
