//! Secrets: generated ones are resources, given ones are values.

use std::rc::Rc;

use super::expander::{Expander, silent};
use super::frame::Frame;
use crate::eval::{Outcome, fit};
use crate::lang::program::Secret;
use crate::model::{Address, Code, Data, DesiredResource, Diagnostic, Fields, Lifecycle, Name, ProviderName, Span, Type, Value};

const KIND: &str = "engine.secret";

impl<'p> Expander<'p> {
    /// `secret.name.value`. That it is asked for is what makes a generated one.
    pub fn secret(&self, frame: &Rc<Frame<'p>>, name: &Name, previous: bool, span: Span) -> Outcome<Value> {
        self.ready(frame);
        let found = frame.tables.borrow().secrets.get(name).copied();
        let secret = found.ok_or_else(silent)?;
        if previous {
            // No rotation is built in this version, so there is none.
            return Ok(Value::null().at(span));
        }
        let address = frame.address_of("secret", name);
        if secret.generate.is_some() {
            self.generated(frame, secret, &address)?;
            return self.attribute(&address, &KIND.into(), &"value".into(), span);
        }
        if let Some(given) = self.request.known.secrets.get(&address) {
            return Ok(given.clone().at(span).secret());
        }
        if self.request.known.simulated {
            self.made_up(frame, secret, &address)?;
            return self.attribute(&address, &KIND.into(), &"value".into(), span);
        }
        self.missing_secrets.borrow_mut().entry(address.clone()).or_insert((secret.span, span));
        let mut placeholder = self.resource_value(&address, &KIND.into(), span);
        placeholder.mark.secret = true;
        // What is made from it is never used: the missing secret is an error in the end.
        fit(placeholder, &Type::Secret(Box::new(Type::TEXT)), span)
    }

    fn generated(&self, frame: &Rc<Frame<'p>>, secret: &'p Secret, address: &Address) -> Outcome<()> {
        if self.secrets.borrow().contains_key(address) {
            return Ok(());
        }
        let mut attributes = Fields::new();
        for (name, expr) in [("bytes", &secret.generate), ("format", &secret.format)] {
            let Some(expr) = expr else { continue };
            let value = self.eval(frame, expr, &[])?;
            let expected = self.program.schemas.kind(KIND).and_then(|kind| kind.attribute(name)).map(|it| it.ty.clone());
            if let Some(ty) = expected {
                attributes.insert(name.into(), fit(value, &ty, expr.span)?);
            }
        }
        if let Some(Data::Size(bytes)) = attributes.get("bytes").map(|value| &value.data)
            && !(8..=1024).contains(bytes)
        {
            return Err(Box::new(
                Code::OutOfRange
                    .error("a secret carries 8 to 1024 bytes")
                    .label(secret.generate.as_ref().map_or(secret.span, |expr| expr.span), "expected 8B to 1024B"),
            ));
        }
        self.add_secret(frame, secret, address, attributes)
    }

    /// A secret that was not given, where the clouds are simulated.
    fn made_up(&self, frame: &Rc<Frame<'p>>, secret: &'p Secret, address: &Address) -> Outcome<()> {
        if self.secrets.borrow().contains_key(address) {
            return Ok(());
        }
        self.warnings.borrow_mut().push(
            Code::SecretMissing
                .warning(format!("`{address}` was not given and is made up, since the clouds are simulated"))
                .label(secret.span, "given from outside")
                .about(address.clone()),
        );
        self.add_secret(frame, secret, address, Fields::new())
    }

    fn add_secret(&self, frame: &Rc<Frame<'p>>, secret: &'p Secret, address: &Address, mut attributes: Fields) -> Outcome<()> {
        let kind = self.program.schemas.kind(KIND).cloned();
        let kind = kind.ok_or_else(|| {
            Box::new(
                Code::UnknownKind.error("secrets cannot be generated here").label(secret.span, "there is no `engine.secret`"),
            )
        })?;
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
            // What has to be given is known by its address, which is a name where it stands at the top of the stack.
            let name = address.as_str().strip_prefix("secret.").unwrap_or(address.as_str());
            Code::SecretMissing
                .error(format!("`{address}` has no value"))
                .label(*declared, "given from outside")
                .labels((used != declared && self.is_near(*used)).then_some((*used, "needed here")))
                .help(format!(
                    "set STACK_SECRET_{name}, write it into `.stackwright/secrets/{name}`, or name a file with `--secret-file {name}=PATH`"
                ))
                .about(address.clone())
        });
        said.collect()
    }
}
