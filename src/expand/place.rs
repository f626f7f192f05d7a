//! Where an instance or a raw resource goes.

use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::expander::{Expander, too_late};
use super::frame::Frame;
use crate::eval::Outcome;
use crate::lang::program::{Component, Head, Placed, Resource};
use crate::model::schema::Given;
use crate::model::{Code, Data, Expr, Fields, Name, ProviderName, Slot, Span, Value};

/// Where an instance goes: the provider instance, if it goes anywhere.
pub type Place = Option<ProviderName>;

/// Where the environment puts things: all of its `on` and `place`, evaluated.
#[derive(Default)]
pub struct Grounds {
    on: Place,
    /// `on`, where it is one's own machine.
    machine: Place,
    /// What `place` says of a kind, and where.
    kinds: FxHashMap<Name, (ProviderName, Span)>,
    /// What `place` puts instead of a provider instance.
    replaced: FxHashMap<ProviderName, ProviderName>,
}

impl<'p> Expander<'p> {
    /// Its own `on`; else, nested, its parent's; else the environment's `place` for its kind; else the environment's `on`. If
    /// the kind has no clause there, the only declared provider that it has one for.
    pub fn place(
        &self,
        frame: &Rc<Frame<'p>>,
        component: &'p Component,
        head: &'p Head,
        locals: &[(Slot, Value)],
        span: Span,
    ) -> Outcome<Place> {
        let grounds = self.grounds()?;
        let named = grounds.kinds.get(&component.kind).cloned();
        let (mut chosen, because) = match (&head.on, &frame.provider, &named, &self.environment.on) {
            (Some(on), ..) => (Some(self.provider_value(frame, on, locals)?), Some(on.span)),
            (None, Some(parent), ..) => (Some(parent.clone()), None),
            (None, None, Some((place, at)), _) => (Some(place.clone()), Some(*at)),
            (None, None, None, Some(on)) => (grounds.on.clone(), Some(on.span)),
            (None, None, None, None) => (None, None),
        };
        if component.clauses.is_empty() && component.body.resources.is_empty() && component.body.instances.is_empty() {
            return Ok(None);
        }
        let machine = &grounds.machine;
        if let Some(provider) = &chosen {
            chosen = Some(match (grounds.replaced.get(provider).cloned(), &named, machine) {
                (Some(replaced), ..) => replaced,
                // `place` names the kind, so that it leaves the machine.
                (None, Some((place, _)), Some(_)) if frame.provider.is_none() => place.clone(),
                (None, _, Some(machine)) => match self.leaves_machine(frame) {
                    true => provider.clone(),
                    false => machine.clone(),
                },
                (None, _, None) => provider.clone(),
            });
        }
        if component.clauses.is_empty() {
            return self.declared(chosen, span).map(Some);
        }
        let has_clause = |ty: &str| component.clauses.iter().any(|clause| &*clause.provider == ty);
        if let Some(provider) = &chosen
            && has_clause(&provider.ty)
        {
            return self.declared(chosen, span).map(Some);
        }
        let kinds: Vec<&str> = component.clauses.iter().map(|clause| &*clause.provider).collect();
        let candidates: Vec<&ProviderName> = match machine {
            // An environment on one's own machine reaches no cloud unless `place` names it.
            Some(_) => Vec::new(),
            None => self.program.providers.iter().map(|it| &it.name).filter(|name| has_clause(&name.ty)).collect(),
        };
        match (&candidates[..], head.on.is_some()) {
            ([only], false) => Ok(Some((*only).clone())),
            _ => {
                let kind = self.kind_as_written(span).unwrap_or(&component.kind);
                let to = chosen.as_ref().map_or_else(|| "any provider".to_owned(), |it| format!("`{it}`"));
                let mut diagnostic = Code::NoPlace
                    .error(format!("`{kind}` cannot be placed on {to}"))
                    .label(span, format!("has clauses for {}", listed(&kinds)));
                if let Some(because) = because.filter(|it| *it != span) {
                    diagnostic = diagnostic.label(because, "placed here");
                }
                let diagnostic = match &candidates[..] {
                    [] if machine.is_some() => diagnostic.help(format!(
                        "switch it off there with `if env.name != \"{}\"`, or name a provider in the environment's `place {{ {} = {} }}`",
                        self.environment.name, kind, kinds[0]
                    )),
                    [] => diagnostic.help(format!("declare a provider that it has a clause for: {}", listed(&kinds))),
                    several => {
                        let names: Vec<String> = several.iter().map(|it| it.to_string()).collect();
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        diagnostic.help(format!("say which with `on`: {}", listed(&names)))
                    }
                };
                Err(Box::new(diagnostic))
            }
        }
    }

    /// Where a raw resource goes: its own `on`, the provider instance of what surrounds it, the environment's, the one that is
    /// declared.
    pub fn place_resource(&self, frame: &Rc<Frame<'p>>, decl: &'p Resource, locals: &[(Slot, Value)]) -> Outcome<ProviderName> {
        let ty = decl.kind.provider();
        let fits = |provider: &ProviderName| &*provider.ty == ty;
        let on = match &decl.head.on {
            Some(on) => Some(self.provider_value(frame, on, locals)?),
            None => None,
        };
        let grounds = self.grounds()?;
        let environment = grounds.on.clone();
        let declared = || {
            let mut all = self.program.providers.iter().map(|it| &it.name).filter(|name| fits(name));
            let unnamed = ProviderName { ty: ty.into(), name: None };
            let names: Vec<&ProviderName> = all.by_ref().collect();
            match &names[..] {
                [only] => (*only).clone(),
                _ => unnamed,
            }
        };
        let chosen =
            on.or_else(|| frame.provider.clone().filter(fits)).or_else(|| environment.filter(fits)).unwrap_or_else(declared);
        let replaced = grounds.replaced.get(&chosen).cloned();
        let reached = match (&replaced, &grounds.machine) {
            (Some(other), _) => fits(other),
            (None, Some(_)) => self.is_own_machine(ty) || frame.provider.as_ref().is_some_and(fits),
            (None, None) => true,
        };
        if !reached {
            let name = &self.environment.name;
            return Err(Box::new(
                Code::NoPlace
                    .error(format!("`{}.{}` cannot be in `{name}`, which does not reach {chosen}", decl.kind.name, decl.name))
                    .label(decl.span, "a raw resource cannot move to another provider")
                    .help(format!("switch it off there: `if env.name != \"{name}\"`")),
            ));
        }
        self.declared(Some(replaced.unwrap_or(chosen)), decl.span)
    }

    /// A provider instance that is declared, or that needs no setting.
    fn declared(&self, provider: Place, span: Span) -> Outcome<ProviderName> {
        let Some(provider) = provider else {
            return Err(Box::new(
                Code::NoPlace
                    .error(format!("nothing says where this goes in `{}`", self.environment.name))
                    .label(span, "has no place")
                    .help(format!("write `on` in its head, or in `environment {} {{ on = … }}`", self.environment.name)),
            ));
        };
        let is_declared = self.program.providers.iter().any(|it| it.name == provider);
        let schema = self.program.schemas.providers.get(&provider.ty);
        let needs_nothing = schema.is_some_and(|schema| {
            provider.name.is_none() && schema.settings.iter().all(|it| !matches!(it.given, Given::Required))
        });
        match is_declared || needs_nothing {
            true => Ok(provider),
            false => Err(Box::new(
                Code::UnknownProvider
                    .error(format!("the provider `{provider}` is not declared"))
                    .label(span, "goes there")
                    .help(format!("declare it: `provider {} {{ … }}`", provider.to_string().replace('.', " "))),
            )),
        }
    }

    pub fn provider_value(&self, frame: &Rc<Frame<'p>>, expr: &Expr, locals: &[(Slot, Value)]) -> Outcome<ProviderName> {
        let value = self.eval(frame, expr, locals)?;
        match &value.data {
            Data::Provider(provider) => Ok(provider.clone()),
            Data::Unknown(_) => Err(too_late(&value, expr.span, "where an instance goes")),
            _ => Err(Box::new(
                Code::NoPlace.error("this is no provider instance here").label(expr.span, "expected a provider instance"),
            )),
        }
    }

    /// What the environment says of where things go, evaluated when it is first asked for.
    fn grounds(&self) -> Outcome<Rc<Grounds>> {
        if let Some(grounds) = self.grounds.get() {
            return Ok(grounds.clone());
        }
        let top = self.top().clone();
        let on = self.environment.on.as_ref().map(|on| self.provider_value(&top, on, &[])).transpose()?;
        let machine = on.clone().filter(|on| self.is_own_machine(&on.ty));
        let mut grounds = Grounds { on, machine, ..Grounds::default() };
        for it in &self.environment.place {
            let to = self.provider_value(&top, &it.to, &[])?;
            match &it.what {
                Placed::Kind(kind) => drop(grounds.kinds.entry(kind.clone()).or_insert((to, it.span))),
                Placed::Provider(provider) => drop(grounds.replaced.entry(provider.clone()).or_insert(to)),
            }
        }
        Ok(self.grounds.get_or_init(|| Rc::new(grounds)).clone())
    }

    fn is_own_machine(&self, ty: &str) -> bool {
        ty == "docker" || self.program.schemas.providers.get(ty).is_some_and(|schema| schema.on_this_machine)
    }

    /// Whether the instance around was placed on a cloud by `place`, in an environment on one's own machine.
    fn leaves_machine(&self, frame: &Frame<'p>) -> bool {
        frame.provider.as_ref().is_some_and(|provider| !self.is_own_machine(&provider.ty))
    }

    /// The settings of a provider instance, defaults included.
    pub fn settings_of(&self, provider: &ProviderName) -> Outcome<Rc<Fields>> {
        if let Some(settings) = self.settings.borrow().get(provider) {
            return Ok(settings.clone());
        }
        let top = self.top().clone();
        let mut settings = Fields::new();
        if let Some(declared) = self.program.providers.iter().find(|it| it.name == *provider) {
            for (name, expr) in &declared.settings {
                let value = self.eval(&top, expr, &[])?;
                if !value.is_null() {
                    settings.insert(name.clone(), value);
                }
            }
        }
        if let Some(schema) = self.program.schemas.providers.get(&provider.ty) {
            for setting in &schema.settings {
                if let Given::Default(value) = &setting.given {
                    settings.insert_if_missing(&setting.name, || value.clone());
                }
            }
        }
        let settings = Rc::new(settings);
        self.settings.borrow_mut().insert(provider.clone(), settings.clone());
        Ok(settings)
    }

    /// The name of the private network of a provider instance's account.
    pub fn network(&self, provider: &ProviderName) -> Outcome<Name> {
        let setting = self.program.schemas.providers.get(&provider.ty).and_then(|schema| schema.network.clone());
        let Some(setting) = setting else { return Ok(provider.ty.clone()) };
        let settings = self.settings_of(provider)?;
        Ok(match settings.get(&setting).and_then(Value::as_text) {
            Some(account) => format!("{}/{account}", provider.ty).into(),
            None => provider.ty.clone(),
        })
    }
}

/// `a`, `b` and `c`.
pub fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match &quoted[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
