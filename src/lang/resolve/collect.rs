//! Walks the items of a program and gives each name its entry.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::imports;
use super::nearest::{Near, near, nearest};
use super::tables::*;
use crate::lang::syntax::ITEM_WORDS;
use crate::lang::syntax::tree::{self, Item, ItemKind};
use crate::lang::{CheckInput, Link};
use crate::model::{Code, Diagnostic, Name, Schemas, Span};

/// Collects the names of a program: the stack's own files, the standard library's, and those of imported directories.
pub fn collect<'t>(input: &'t CheckInput, diagnostics: &mut Vec<Diagnostic>) -> Tables<'t> {
    let mut collector = Collector { tables: Tables::default(), schemas: &input.schemas, links: &input.links, diagnostics };
    let imported = input.imports.iter().map(|it| format!("{}:", it.name).into());
    for prefix in ["".into(), "".into()].into_iter().chain(imported) {
        collector.tables.directories.push(Directory { prefix, ..Directory::default() });
    }
    let library_scope = collector.new_scope(None, LIBRARY, Owner::Library);
    let own_scope = collector.new_scope(Some(library_scope), OWN, Owner::Stack);
    // The library first, then what is imported before what imports it, then the stack.
    let mut all: Vec<(&'t [Arc<tree::File>], DirId, ScopeId)> = vec![(&input.library, LIBRARY, library_scope)];
    for (at, import) in input.imports.iter().enumerate() {
        let directory = DirId(at as u32 + 2);
        all.push((&import.files, directory, collector.new_scope(Some(library_scope), directory, Owner::Import)));
    }
    all.push((&input.files, OWN, own_scope));
    for (_, directory, scope) in &all {
        collector.tables.directories[directory.at()].scope = Some(*scope);
    }
    // Kinds first: an instance may stand before the component that it is of.
    for (files, directory, _) in &all {
        files.iter().flat_map(|file| &file.items).for_each(|item| collector.definition(item, *directory));
    }
    collector.refuse_shadowed_kinds();
    for (files, _, scope) in &all {
        files.iter().for_each(|file| collector.items(&file.items, *scope));
    }
    for (_, directory, scope) in &all {
        collector.refuse_ambiguous_imports(*directory, *scope);
    }
    collector.tables
}

struct Collector<'t, 'a> {
    tables: Tables<'t>,
    schemas: &'a Schemas,
    links: &'a FxHashMap<Span, Link>,
    diagnostics: &'a mut Vec<Diagnostic>,
}

/// Words with which references begin.
const RESERVED: [&str; 5] = ["env", "self", "instances", "input", "secret"];

impl<'t> Collector<'t, '_> {
    fn new_scope(&mut self, parent: Option<ScopeId>, directory: DirId, owner: Owner) -> ScopeId {
        let id = ScopeId(self.tables.scopes.len() as u32);
        self.tables.scopes.push(Scope {
            parent,
            directory,
            owner,
            clause: None,
            body: id,
            path: Vec::new(),
            given: false,
            lets: Default::default(),
            items: Default::default(),
            let_order: Vec::new(),
        });
        id
    }

    /// Components, types, functions and imports: what can be used before it stands there.
    fn definition(&mut self, item: &'t Item, directory: DirId) {
        match &item.kind {
            ItemKind::Component(component) => self.component(component, item, directory),
            ItemKind::Type(def) => {
                let id = TypeId(self.tables.types.len() as u32);
                let span = item.span.to(def.name.span);
                let span = Span { end: def.name.span.end, ..span };
                if let Some(first) = self.tables.directories[directory.at()].types.get(&def.name.node) {
                    let first = self.tables.types[first.at()].span;
                    return self.duplicate(&format!("type `{}`", def.name.node), span, first, None);
                }
                self.tables.types.push(TypeEntry { ast: def, directory, span });
                self.tables.directories[directory.at()].types.insert(def.name.node.clone(), id);
            }
            ItemKind::Fn(function) => {
                let id = FunctionId(self.tables.functions.len() as u32);
                let span = Span { end: function.name.span.end, ..item.span };
                if let Some(first) = self.tables.directories[directory.at()].functions.get(&function.name.node) {
                    let first = self.tables.functions[first.at()].span;
                    return self.duplicate(&format!("function `{}`", function.name.node), span, first, None);
                }
                self.tables.functions.push(FunctionEntry { ast: function, doc: &item.doc, directory, span });
                self.tables.directories[directory.at()].functions.insert(function.name.node.clone(), id);
            }
            ItemKind::Import(import) => match (&import.alias, imports::implied_name(&import.path.node)) {
                (Some(alias), _) => self.import(alias.node.clone(), alias.span, item.span, directory),
                (None, Some(name)) => self.import(name, import.path.span, item.span, directory),
                (None, None) => {
                    self.tables.directories[directory.at()].opaque = true;
                    // What was refused has another mistake, which is said first.
                    if self.links.contains_key(&item.span) {
                        let diagnostic = imports::without_name(import);
                        self.say(diagnostic);
                    }
                }
            },
            ItemKind::ImportStack(import) => self.import(import.alias.node.clone(), import.alias.span, item.span, directory),
            ItemKind::Error(broken) => self.tables.broken.push(broken.words.iter().map(|word| word.node.clone()).collect()),
            _ => {}
        }
    }

    fn component(&mut self, component: &'t tree::Component, item: &'t Item, directory: DirId) {
        let name = component.name.node.clone();
        let span = Span { end: component.name.span.end, ..item.span };
        if ITEM_WORDS.contains(&&*name) {
            let message = format!("a component cannot be called `{name}`");
            self.say(
                Code::Ambiguous
                    .error(message)
                    .label(component.name.span, "begins an item of its own")
                    .help("choose another name"),
            );
            return;
        }
        if let Some(first) = self.tables.directories[directory.at()].kinds.get(&name) {
            let first = self.tables.kinds[first.at()].span;
            return self.duplicate(&format!("component `{name}`"), span, first, None);
        }
        let id = KindId(self.tables.kinds.len() as u32);
        let parent = self.tables.directories[directory.at()].scope;
        let scope = self.new_scope(parent, directory, Owner::Kind(id));
        let into = &mut self.tables.directories[directory.at()];
        into.kinds.insert(name.clone(), id);
        let name: Name = if into.prefix.is_empty() { name } else { format!("{}{name}", into.prefix).into() };
        self.tables.kinds_by_name.entry(name.clone()).or_insert(id);
        self.tables.kinds.push(KindEntry {
            name,
            ast: component,
            doc: &item.doc,
            directory,
            scope,
            clauses: Vec::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            signals: Vec::new(),
            output_values: Vec::new(),
            span,
        });
    }

    /// Gives an import its name.
    fn import(&mut self, name: Name, span: Span, item: Span, directory: DirId) {
        let to = match self.links.get(&item) {
            Some(Link::Directory(at)) => Imported::Directory(DirId(at + 2)),
            Some(Link::Stack(at)) => Imported::Stack(StackId(*at)),
            None => Imported::Unread,
        };
        let first = self.tables.directories[directory.at()].imports.get(&name).map(|it| it.span);
        match first {
            Some(first) => {
                self.duplicate(&format!("the import `{name}`"), span, first, Some("give the second one another name with `as`"))
            }
            None => drop(self.tables.directories[directory.at()].imports.insert(name, ImportEntry { to, span })),
        }
    }

    /// The name of an import may stand for nothing else where it is seen.
    fn refuse_ambiguous_imports(&mut self, directory: DirId, scope: ScopeId) {
        let mut imports: Vec<(Name, Span)> =
            self.tables.directories[directory.at()].imports.iter().map(|(name, it)| (name.clone(), it.span)).collect();
        imports.sort();
        for (name, span) in imports {
            let is = if self.tables.find_kind(directory, &name).is_some() {
                "a kind"
            } else if self.schemas.providers.contains_key(&name) || self.tables.named_provider(&name).is_some() {
                "a provider"
            } else if self.tables.scope(scope).lets.contains_key(&name) {
                "a value"
            } else if ITEM_WORDS.contains(&&*name) || RESERVED.contains(&&*name) {
                "a word of the language"
            } else {
                continue;
            };
            let diagnostic = Code::Ambiguous
                .error(format!("an import cannot be called `{name}`"))
                .label(span, format!("is {is} too"))
                .help("choose another name with `as`");
            self.say(diagnostic);
        }
    }

    /// Items that an imported directory may hold besides definitions, and a stack, about which more is said.
    fn belongs_to_import(&self, item: &Item, place: Place) -> bool {
        place == Place::Import && matches!(item.kind, ItemKind::Policy(_) | ItemKind::Test(_) | ItemKind::Stack(_))
    }

    /// A kind of the stack may not bear the name of one of the library: state could not tell their addresses apart.
    fn refuse_shadowed_kinds(&mut self) {
        let mut shadowed: Vec<_> = self.tables.directories[OWN.at()]
            .kinds
            .iter()
            .filter_map(|(name, own)| Some((*own, *self.tables.directories[LIBRARY.at()].kinds.get(name)?)))
            .collect();
        shadowed.sort();
        for (own, first) in shadowed {
            let (own, first) = (&self.tables.kinds[own.at()], &self.tables.kinds[first.at()]);
            let (name, span, first) = (own.name.clone(), own.span, first.span);
            let diagnostic = Code::Duplicate
                .error(format!("component `{name}` is defined twice"))
                .label(span, "second definition")
                .label(first, "first definition, in the standard library")
                .help("choose another name");
            self.say(diagnostic);
            self.tables.directories[OWN.at()].kinds.remove(&name);
        }
    }

    fn items(&mut self, items: &'t [Item], scope: ScopeId) {
        for item in items {
            self.item(item, scope);
        }
    }

    fn item(&mut self, item: &'t Item, scope: ScopeId) {
        let place = self.place(scope);
        match &item.kind {
            ItemKind::Stack(_)
            | ItemKind::Environment(_)
            | ItemKind::Provider(_)
            | ItemKind::Test(_)
            | ItemKind::Moved(_)
            | ItemKind::Adopt(_)
            | ItemKind::Forget(_)
                if place != Place::Stack && !self.belongs_to_import(item, place) =>
            {
                self.misplaced(item, "stands at the top of a stack's file")
            }
            ItemKind::Policy(_) if !matches!(place, Place::Stack | Place::Library | Place::Import) => {
                self.misplaced(item, "stands at the top of a file")
            }
            // Those of an import are run where it is by itself.
            ItemKind::Test(_) if place == Place::Import => {}
            ItemKind::Stack(_) if place == Place::Import => {
                let diagnostic = imports::is_a_stack(item);
                self.say(diagnostic);
            }
            ItemKind::ImportStack(_) if place == Place::Import => self.misplaced(item, "stands at the top of a stack's file"),
            ItemKind::Component(_) | ItemKind::Type(_) | ItemKind::Fn(_) | ItemKind::Import(_) | ItemKind::ImportStack(_)
                if !matches!(place, Place::Stack | Place::Library | Place::Import) =>
            {
                self.misplaced(item, "stands at the top of a file")
            }
            ItemKind::Instance(_)
            | ItemKind::Resource(_)
            | ItemKind::Secret(_)
            | ItemKind::Input(_)
            | ItemKind::Output(_)
            | ItemKind::If(_)
            | ItemKind::Rollout(_)
            | ItemKind::Require(_)
                if matches!(place, Place::Library | Place::Import) =>
            {
                self.misplaced(item, "stands in a component or a stack")
            }
            ItemKind::Stack(stack) => match self.tables.stack {
                None => self.tables.stack = Some(item),
                Some(first) => {
                    let (first, name) = match &first.kind {
                        ItemKind::Stack(named) => (Span { end: named.name.span.end, ..first.span }, named.name.node.clone()),
                        _ => (first.span, stack.name.node.clone()),
                    };
                    let diagnostic = Code::Duplicate
                        .error(format!("this directory is already the stack `{name}`"))
                        .label(Span { end: stack.name.span.end, ..item.span }, "second stack")
                        .label(first, "first stack")
                        .help("give each stack a directory of its own");
                    self.say(diagnostic);
                }
            },
            ItemKind::Environment(named) => {
                let span = Span { end: named.name.span.end, ..item.span };
                match self.tables.environments.iter().find(|(it, _)| it.name.node == named.name.node) {
                    Some((_, first)) => {
                        let first = *first;
                        self.duplicate(&format!("environment `{}`", named.name.node), span, first, None)
                    }
                    None => self.tables.environments.push((named, span)),
                }
            }
            ItemKind::Provider(provider) => self.provider(provider, item),
            ItemKind::Input(input) => self.input(input, item, scope, place),
            ItemKind::Secret(named) => {
                let span = Span { end: named.name.span.end, ..item.span };
                self.add_item(What::Secret(named), "secret".into(), named.name.node.clone(), span, scope, false);
            }
            ItemKind::Let(it) => {
                let span = Span { end: it.name.span.end, ..item.span };
                let id = LetId(self.tables.lets.len() as u32);
                if let Some(first) = self.tables.scopes[scope.at()].lets.get(&it.name.node) {
                    let first = self.tables.lets[first.at()].span;
                    return self.duplicate(&format!("`{}`", it.name.node), span, first, None);
                }
                self.tables.lets.push(LetEntry { ast: it, scope, doc: &item.doc, span });
                let scope = &mut self.tables.scopes[scope.at()];
                scope.lets.insert(it.name.node.clone(), id);
                scope.let_order.push(id);
            }
            ItemKind::Output(output) => self.output(output, item, scope, place),
            ItemKind::Signal(signal) => match self.tables.scope(scope).owner {
                Owner::Kind(kind) => {
                    if place == Place::Component {
                        self.tables.kinds[kind.at()].signals.push((signal, item));
                    }
                }
                _ => self.misplaced(item, "stands in a component"),
            },
            ItemKind::Instance(instance) => {
                let mut kind: Name = instance.kind.to_string().into();
                let span = Span { end: instance.name.span.end, ..item.span };
                let directory = self.tables.scope(scope).directory;
                let what = match self.tables.find_kind(directory, &kind) {
                    Some(id) => {
                        kind = self.tables.kinds[id.at()].name.clone();
                        What::Instance(instance, id)
                    }
                    None => {
                        self.unknown_kind(instance, &kind, directory);
                        What::Unknown
                    }
                };
                self.add_item(what, kind, instance.name.node.clone(), span, scope, instance.head.each.is_some());
            }
            ItemKind::Resource(resource) => {
                let kind: Name = resource.kind.to_string().into();
                let span = Span { end: resource.name.span.end, ..item.span };
                if resource.mode == tree::ResourceMode::Shared && place != Place::Clause {
                    self.misplaced(item, "stands in an `on` clause of a component");
                }
                let what = match self.resource_kind(resource, &kind) {
                    Some(kind) => What::Resource(resource, kind),
                    None => What::Unknown,
                };
                self.add_item(what, kind, resource.name.node.clone(), span, scope, resource.head.each.is_some());
            }
            ItemKind::If(it) => self.branches(it, scope),
            ItemKind::On(on) => self.clause(on, item, scope, place),
            ItemKind::Component(component) => {
                let directory = self.tables.scope(scope).directory;
                let kind = self.tables.directories[directory.at()].kinds.get(&component.name.node).copied();
                let kind = kind.filter(|id| std::ptr::eq(self.tables.kinds[id.at()].ast, component));
                if let Some(kind) = kind {
                    let scope = self.tables.kinds[kind.at()].scope;
                    self.items(&component.items.items, scope);
                }
            }
            ItemKind::Policy(policy) => self.policy(policy, item, scope),
            ItemKind::Test(test) => self.test(test, item, scope),
            ItemKind::Error(broken) => {
                // Those at file level were seen with the definitions.
                if !matches!(place, Place::Stack | Place::Library | Place::Import) {
                    self.tables.broken.push(broken.words.iter().map(|word| word.node.clone()).collect())
                }
            }
            ItemKind::Type(_) | ItemKind::Fn(_) | ItemKind::Import(_) | ItemKind::ImportStack(_) => {}
            ItemKind::Rollout(_) | ItemKind::Require(_) | ItemKind::Moved(_) | ItemKind::Adopt(_) | ItemKind::Forget(_) => {}
        }
    }

    fn policy(&mut self, policy: &'t tree::Policy, item: &'t Item, scope: ScopeId) {
        let span = Span { end: policy.name.span.end, ..item.span };
        let directory = self.tables.scope(scope).directory;
        let same = |it: &&PolicyEntry<'_>| it.directory == directory && it.ast.name.node == policy.name.node;
        match self.tables.policies.iter().find(same) {
            Some(first) => {
                let first = first.span;
                self.duplicate(&format!("policy `{}`", policy.name.node), span, first, None)
            }
            None => self.tables.policies.push(PolicyEntry { ast: policy, doc: &item.doc, directory, span }),
        }
    }

    fn test(&mut self, test: &'t tree::Test, item: &'t Item, scope: ScopeId) {
        let span = Span { end: test.name.span.end, ..item.span };
        if let Some(first) = self.tables.tests.iter().find(|it| it.ast.name.node == test.name.node) {
            let first = first.span;
            return self.duplicate(&format!("test \"{}\"", test.name.node), span, first, None);
        }
        self.tables.tests.push(TestEntry { ast: test, doc: &item.doc, span });
        self.given(&test.rules, scope);
    }

    /// The items of each `given` of a test have a scope of their own.
    fn given(&mut self, rules: &'t tree::Rules, outer: ScopeId) {
        for rule in &rules.rules {
            match &rule.kind {
                tree::RuleKind::Given(items) => {
                    let Scope { directory, owner, .. } = *self.tables.scope(outer);
                    let scope = self.new_scope(Some(outer), directory, owner);
                    self.tables.scopes[scope.at()].given = true;
                    self.tables.given.insert(std::ptr::from_ref(items) as usize, scope);
                    self.items(&items.items, scope);
                }
                tree::RuleKind::Step { rules, .. } | tree::RuleKind::Each { rules, .. } => self.given(rules, outer),
                _ => {}
            }
        }
    }

    fn provider(&mut self, provider: &'t tree::Provider, item: &'t Item) {
        let end = provider.name.as_ref().unwrap_or(&provider.provider).span.end;
        let span = Span { end, ..item.span };
        let ty = &provider.provider.node;
        let same = |it: &&(&'t tree::Provider, Span)| {
            it.0.provider.node == *ty && it.0.name.as_ref().map(|it| &it.node) == provider.name.as_ref().map(|it| &it.node)
        };
        if let Some((_, first)) = self.tables.providers.iter().find(same) {
            let first = *first;
            return self.duplicate(
                &format!("provider `{ty}`"),
                span,
                first,
                Some("give the second one a name, such as `provider fly eu { … }`"),
            );
        }
        if let Some(name) = &provider.name {
            if self.tables.find_kind(OWN, &name.node).is_some() {
                let message = format!("a provider instance cannot be called `{}`", name.node);
                self.say(Code::Ambiguous.error(message).label(name.span, "is a kind").help("choose another name"));
            }
            if let Some((other, first)) =
                self.tables.providers.iter().find(|(it, _)| it.name.as_ref().is_some_and(|it| it.node == name.node))
            {
                let (what, first) = (format!("provider instance `{}`", other.name.as_ref().map_or("", |it| &it.node)), *first);
                return self.duplicate(&what, span, first, None);
            }
        }
        self.tables.providers.push((provider, span));
    }

    fn input(&mut self, input: &'t tree::Input, item: &'t Item, scope: ScopeId, place: Place) {
        let span = Span { end: input.name.span.end, ..item.span };
        let list = match (self.tables.scope(scope).owner, place) {
            (Owner::Stack, Place::Stack) => &mut self.tables.inputs,
            (Owner::Kind(kind), Place::Component) => &mut self.tables.kinds[kind.at()].inputs,
            _ => return self.misplaced(item, "stands at the top of a stack or a component"),
        };
        match list.iter().find(|(it, _)| it.name.node == input.name.node) {
            Some((first, item)) => {
                let first = Span { end: first.name.span.end, ..item.span };
                self.duplicate(&format!("input `{}`", input.name.node), span, first, None)
            }
            None => list.push((input, item)),
        }
    }

    fn output(&mut self, output: &'t tree::Output, item: &'t Item, scope: ScopeId, place: Place) {
        let Owner::Kind(kind) = self.tables.scope(scope).owner else { return };
        if place != Place::Component {
            return self.tables.kinds[kind.at()].output_values.push((output, scope));
        }
        let span = Span { end: output.name.span.end, ..item.span };
        let outputs = &mut self.tables.kinds[kind.at()].outputs;
        match outputs.iter().find(|(it, _)| it.name.node == output.name.node) {
            Some((first, item)) => {
                let first = Span { end: first.name.span.end, ..item.span };
                self.duplicate(&format!("output `{}`", output.name.node), span, first, None)
            }
            None => outputs.push((output, item)),
        }
    }

    fn branches(&mut self, it: &'t tree::If, scope: ScopeId) {
        let id = IfId(self.tables.ifs.len() as u32);
        self.tables.ifs.push(IfEntry { ast: it, scope, branches: Vec::new() });
        let bodies = it.branches.iter().map(|(_, items)| items).chain(&it.otherwise);
        for (at, items) in bodies.enumerate() {
            let outer = self.tables.scope(scope);
            let (directory, owner, clause, body) = (outer.directory, outer.owner, outer.clause.clone(), outer.body);
            let mut path = outer.path.clone();
            path.push((id, at as u32));
            let branch = self.new_scope(Some(scope), directory, owner);
            let inner = &mut self.tables.scopes[branch.at()];
            (inner.clause, inner.body, inner.path) = (clause, body, path);
            self.tables.ifs[id.at()].branches.push(branch);
            self.items(&items.items, branch);
        }
    }

    fn clause(&mut self, on: &'t tree::On, item: &'t Item, scope: ScopeId, place: Place) {
        let (Owner::Kind(kind), Place::Component) = (self.tables.scope(scope).owner, place) else {
            return self.misplaced(item, "stands directly in a component");
        };
        let span = Span { end: on.provider.span.end, ..item.span };
        let provider = on.provider.node.clone();
        if !self.schemas.providers.contains_key(&provider) {
            self.unknown_provider(&provider, on.provider.span);
        }
        if let Some(first) = self.tables.kinds[kind.at()].clauses.iter().find(|it| it.provider == provider) {
            let first = first.span;
            return self.duplicate(&format!("`on {provider}`"), span, first, Some("join the two clauses"));
        }
        let directory = self.tables.scope(scope).directory;
        let inner = self.new_scope(Some(scope), directory, Owner::Kind(kind));
        self.tables.scopes[inner.at()].clause = Some(provider.clone());
        self.tables.kinds[kind.at()].clauses.push(ClauseEntry { provider, items: &on.items, scope: inner, span });
        self.items(&on.items.items, inner);
    }

    fn add_item(&mut self, what: What<'t>, kind: Name, name: Name, span: Span, scope: ScopeId, keyed: bool) {
        let id = ItemId(self.tables.items.len() as u32);
        let Scope { body, path, .. } = self.tables.scope(scope);
        let (body, path) = (*body, path.clone());
        // Two items may share an address only where at most one of them is ever there.
        let others = self.tables.scopes[body.at()].items.get(&kind).and_then(|names| names.get(&name));
        let clash = others.into_iter().flatten().find(|other| {
            let other = &self.tables.scope(self.tables.items[other.at()].scope).path;
            !path.iter().any(|(at, branch)| other.iter().any(|(there, taken)| at == there && branch != taken))
        });
        if let Some(first) = clash {
            let first = self.tables.items[first.at()].span;
            let help = "rename the second one, so that the live resource keeps its address";
            self.duplicate(&format!("`{kind}.{name}`"), span, first, Some(help));
            self.tables.items.push(ItemEntry { what, kind, name, span, scope, keyed });
            return;
        }
        self.tables.items.push(ItemEntry { what, kind: kind.clone(), name: name.clone(), span, scope, keyed });
        self.tables.scopes[body.at()].items.entry(kind).or_default().entry(name).or_default().push(id);
    }

    fn resource_kind(&mut self, resource: &'t tree::Resource, kind: &str) -> Option<Arc<crate::model::Kind>> {
        let provider = &resource.kind.segments[0];
        let directory = OWN;
        if resource.kind.segments.len() < 2 {
            // Said where it was read.
            return None;
        }
        let Some(schema) = self.schemas.providers.get(&provider.node) else {
            if !self.tables.may_be_broken(directory, &[&provider.node]) {
                self.unknown_provider(&provider.node, provider.span);
            }
            return None;
        };
        let Some(found) = self.schemas.kind(kind) else {
            let short = &kind[provider.node.len() + 1..];
            let near = near(short, schema.kinds.keys().map(|it| &**it));
            let span = resource.kind.segments[1].span.to(resource.kind.span);
            let span = Span { start: resource.kind.segments[1].span.start, ..span };
            let mut diagnostic = Code::UnknownKind
                .error(format!("provider `{}` has no kind `{short}`", provider.node))
                .label(span, "unknown kind");
            diagnostic = match near {
                Some(Near { name, sure }) => {
                    let confidence = if sure { crate::model::Confidence::Sure } else { crate::model::Confidence::Maybe };
                    diagnostic.help(format!("a kind with a similar name exists: `{}.{name}`", provider.node)).fix(
                        format!("write `{name}`"),
                        confidence,
                        vec![crate::model::Edit { span, text: name.into() }],
                    )
                }
                None => diagnostic.help(format!("its kinds: {}", listed(schema.kinds.keys().map(|it| &**it)))),
            };
            self.say(diagnostic);
            return None;
        };
        let found = found.clone();
        let is_data = resource.mode == tree::ResourceMode::Data;
        if found.data != is_data {
            let (is, write) = if found.data { ("is read, not owned", "data") } else { ("is owned, not read", "resource") };
            let diagnostic = Code::UnknownKind
                .error(format!("`{kind}` {is}"))
                .label(resource.kind.span, format!("needs `{write}`"))
                .help(format!("write `{write} {kind} {}`", resource.name.node));
            self.say(diagnostic);
            return None;
        }
        Some(found)
    }

    fn unknown_kind(&mut self, instance: &tree::Instance, kind: &str, directory: DirId) {
        let first = &instance.kind.segments[0];
        if self.tables.may_be_broken(directory, &[kind]) || self.tables.may_be_broken(directory, &[&first.node]) {
            return;
        }
        const WORDS: [&str; 9] =
            ["environment", "component", "provider", "secret", "policy", "stack", "import", "output", "input"];
        let known = self.tables.kind_names(directory);
        let words = WORDS.into_iter().filter(|_| !kind.contains('.'));
        let near = near(kind, known.iter().map(|it| &**it).chain(words));
        let mut diagnostic = Code::UnknownKind
            .error(format!("there is no kind `{kind}`"))
            .label(instance.kind.span, "not defined in this stack or its imports");
        diagnostic = match near {
            Some(Near { name, sure }) => {
                let name = name.to_owned();
                let confidence = if sure { crate::model::Confidence::Sure } else { crate::model::Confidence::Maybe };
                diagnostic.help(format!("write `{name}`")).fix(
                    format!("write `{name}`"),
                    confidence,
                    vec![crate::model::Edit { span: instance.kind.span, text: name }],
                )
            }
            None if self.schemas.kind(kind).is_some() => {
                diagnostic.help(format!("a resource is written `resource {kind} {}`", instance.name.node))
            }
            None => diagnostic.help("`stackwright docs` lists the kinds"),
        };
        self.say(diagnostic);
    }

    fn unknown_provider(&mut self, name: &str, span: Span) {
        let near = nearest(name, self.schemas.providers.keys().map(|it| &**it));
        let diagnostic = Code::UnknownProvider.error(format!("there is no provider `{name}`")).label(span, "unknown provider");
        let diagnostic = match near {
            Some(near) => diagnostic.help(format!("write `{near}`")),
            None => diagnostic.help(format!("this version knows: {}", listed(self.schemas.providers.keys().map(|it| &**it)))),
        };
        self.say(diagnostic);
    }

    fn place(&self, scope: ScopeId) -> Place {
        let it = self.tables.scope(scope);
        match it.owner {
            _ if !it.path.is_empty() => Place::Branch,
            _ if it.given => Place::Given,
            Owner::Stack => Place::Stack,
            Owner::Library => Place::Library,
            Owner::Import => Place::Import,
            Owner::Kind(_) if it.clause.is_some() => Place::Clause,
            Owner::Kind(_) => Place::Component,
        }
    }

    fn misplaced(&mut self, item: &Item, belongs: &str) {
        let word = word(&item.kind);
        let span = Span { end: item.span.start + word.len() as u32, ..item.span };
        self.say(Code::Syntax.error(format!("`{word}` cannot stand here")).label(span, belongs.to_owned()));
    }

    fn duplicate(&mut self, what: &str, second: Span, first: Span, help: Option<&str>) {
        let diagnostic = Code::Duplicate
            .error(format!("{what} is defined twice"))
            .label(second, "second definition")
            .label(first, "first definition")
            .help(help.unwrap_or("rename one of the two"));
        self.say(diagnostic);
    }

    fn say(&mut self, diagnostic: Diagnostic) {
        self.diagnostics.push(diagnostic);
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Stack,
    /// The items of a `given`.
    Given,
    Library,
    Import,
    Component,
    Clause,
    Branch,
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The word with which an item begins.
fn word(kind: &ItemKind) -> &str {
    match kind {
        ItemKind::Stack(_) => "stack",
        ItemKind::Environment(_) => "environment",
        ItemKind::Provider(_) => "provider",
        ItemKind::Input(_) => "input",
        ItemKind::Secret(_) => "secret",
        ItemKind::Let(_) => "let",
        ItemKind::Output(_) => "output",
        ItemKind::Signal(_) => "signal",
        ItemKind::Type(_) => "type",
        ItemKind::Fn(_) => "fn",
        ItemKind::Import(_) | ItemKind::ImportStack(_) => "import",
        ItemKind::Component(_) => "component",
        ItemKind::On(_) => "on",
        ItemKind::Instance(instance) => &instance.kind.segments[0].node,
        ItemKind::Resource(resource) => match resource.mode {
            tree::ResourceMode::Owned => "resource",
            tree::ResourceMode::Shared => "shared",
            tree::ResourceMode::Data => "data",
        },
        ItemKind::Rollout(_) => "rollout",
        ItemKind::If(_) => "if",
        ItemKind::Require(_) => "require",
        ItemKind::Policy(_) => "policy",
        ItemKind::Test(_) => "test",
        ItemKind::Moved(_) => "moved",
        ItemKind::Adopt(_) => "adopt",
        ItemKind::Forget(_) => "forget",
        ItemKind::Error(_) => "",
    }
}
