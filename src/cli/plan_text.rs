//! A plan as a reviewer reads it: loss of data first, then what is replaced, changed, moved, made; each change with its cause.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::diff;
use super::escape::Escaped;
use super::report::count;
use super::terminal::{Ink, Terminal, spread};
use crate::model::plan::{Action, Change, FieldChange, Plan, Reason};
use crate::model::schema::ReplaceOrder;
use crate::model::verdict::{FindingOutcome, PolicyResult};
use crate::model::{Address, Sources, Span, Step};

/// How a plan is shown.
pub struct View<'p> {
    pub plan: &'p Plan,
    pub sources: &'p Sources,
    pub terminal: Terminal,
    /// Also what stays the same, and every attribute of what is made.
    pub full: bool,
    pub read: Read,
}

/// What a plan rests on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Read {
    /// So many live resources were read, and that took so long.
    Live(usize, Duration),
    /// Records alone.
    Records,
    /// It was made earlier, and is shown as it was made.
    Before,
    /// The same, and what it foresaw has been found out by now.
    Reviewed,
}

/// What a group of changes is about, worst first: the order on the page.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    LosesData,
    Destroy,
    Replace,
    Change,
    Drift,
    Move,
    Adopt,
    Forget,
    Create,
    Quiet,
}

impl View<'_> {
    pub fn render(&self) -> String {
        let mut out = format!("{}\n", self.headline());
        self.foreseen(&mut out);
        if self.plan.is_empty() {
            out.push_str(&format!("\nNothing to change: {} as the source says.\n", resources(self.plan.same as usize)));
            self.notices(&mut out);
            out.push_str(&self.policies());
            return out;
        }
        out.push('\n');
        for (weight, instance, changes) in self.groups() {
            self.group(&mut out, weight, &instance, &changes);
        }
        self.deferred(&mut out);
        self.outputs(&mut out);
        self.notices(&mut out);
        self.requirements(&mut out);
        out.push_str(&format!("\n  {}\n", self.counts()));
        out.push_str(&self.policies());
        out
    }

    /// What an interrupted run left open, and what becomes of it before anything else.
    fn foreseen(&self, out: &mut String) {
        let all = &self.plan.foreseen;
        if all.is_empty() || self.read == Read::Reviewed {
            return;
        }
        let calls = count(all.len(), "call");
        let line = format!("! an interrupted run left {calls} without an answer; apply settles that before anything else");
        out.push_str(&format!("\n{}\n", self.terminal.paint(Ink::Change, line)));
        for it in all {
            let line = format!("  {} {}: {}", Escaped(&it.action), Escaped(it.address.as_str()), Escaped(&it.words));
            out.push_str(&format!("{}\n", self.terminal.paint(if it.certain { Ink::Quiet } else { Ink::Change }, line)));
        }
    }

    /// What the policies say, in a line; nothing where there are none.
    fn policies(&self) -> String {
        let all = &self.plan.policies;
        if all.is_empty() {
            return String::new();
        }
        let of = |result: PolicyResult| {
            let names: Vec<&str> = all.iter().filter(|it| it.result() == result).map(|it| &*it.policy).collect();
            (!names.is_empty()).then_some(names)
        };
        let mut parts = Vec::new();
        let words = [
            (PolicyResult::Refused, Ink::Bad, "refused by"),
            (PolicyResult::Warned, Ink::Change, "warned by"),
            (PolicyResult::Undecided, Ink::Change, "undecided"),
        ];
        for (result, ink, words) in words {
            if let Some(names) = of(result) {
                parts.push(self.terminal.paint(ink, format!("{words} {}", names.join(", "))));
            }
        }
        if let Some(passed) = of(PolicyResult::Passed) {
            parts.push(format!("{} passed", passed.len()));
        }
        let excepted =
            all.iter().flat_map(|it| &it.findings).filter(|it| matches!(it.outcome, FindingOutcome::Excepted(_))).count();
        if excepted > 0 {
            parts.push(count(excepted, "exception"));
        }
        format!("  policy   {}\n", parts.join("   "))
    }

    fn headline(&self) -> String {
        let plan = self.plan;
        let on = plan.base.map_or("on an empty state".to_owned(), |rev| format!("on state rev {rev}"));
        let read = match self.read {
            Read::Records => "from records, nothing read".to_owned(),
            Read::Before | Read::Reviewed => match &plan.made {
                Some(made) => format!("made {}", Escaped(&made.to_string())),
                None => "as it was made".to_owned(),
            },
            Read::Live(number, took) => format!("{} read in {:.1} s", resources(number), took.as_secs_f64()),
        };
        let simulated = if plan.simulated { "   simulated" } else { "" };
        let name = self.terminal.paint(Ink::Strong, format!("{}/{}", plan.stack, plan.environment));
        format!("{name}   plan {}   {on}   {read}{simulated}", plan.id)
    }

    /// Changes by the instance that they belong to, in the order of the page.
    fn groups(&self) -> Vec<(Weight, Address, Vec<&Change>)> {
        let mut by_instance: BTreeMap<&Address, Vec<&Change>> = BTreeMap::new();
        for change in &self.plan.changes {
            by_instance.entry(&change.instance).or_default().push(change);
        }
        let mut groups: Vec<_> = by_instance
            .into_iter()
            .map(|(instance, changes)| {
                let weight = changes.iter().map(|change| weigh(change)).min().expect("a group has a change");
                (weight, instance.clone(), changes)
            })
            .collect();
        groups.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        groups
    }

    fn group(&self, out: &mut String, weight: Weight, instance: &Address, changes: &[&Change]) {
        let own = changes.iter().all(|change| change.address == *instance);
        let (symbol, ink) = self.symbol(weight);
        let summary = match own {
            true => self.own_summary(changes),
            false => summary(changes),
        };
        let remark = self.plan.remarks.iter().filter(|(address, _)| address == instance).map(|(_, text)| text);
        let head = self.terminal.paint(ink, format!("{symbol} {}", Escaped(instance.as_str())));
        let cause = self.group_cause(changes);
        let cause = self.terminal.paint(Ink::Quiet, cause);
        out.push_str(&format!("{}\n", spread(&self.terminal, &format!("{head}  {summary}"), &cause)));
        for text in remark {
            out.push_str(&format!("    {}\n", self.terminal.paint(Ink::Quiet, Escaped(text))));
        }
        if own {
            self.fields(out, "    ", changes[0]);
            // What else changes beside a move or an adoption.
            for change in &changes[1..] {
                let (symbol, ink) = self.symbol(weigh(change));
                let head = self.terminal.paint(ink, format!("    {symbol} {}", self.what(change)));
                out.push_str(&format!("{head}\n"));
                self.fields(out, "        ", change);
            }
            return;
        }
        for alike in group_alike(changes, instance) {
            self.resource(out, instance, &alike);
        }
    }

    /// One resource of a group, with those that change the same way.
    fn resource(&self, out: &mut String, instance: &Address, alike: &[&Change]) {
        let change = alike[0];
        let (symbol, ink) = self.symbol(weigh(change));
        let name = change.address.as_str().strip_prefix(&format!("{instance}/")).unwrap_or(change.address.as_str());
        let rest: Vec<String> = alike[1..].iter().map(|it| key_or_name(&it.address)).collect();
        let same = match rest.len() {
            0 => String::new(),
            1..=4 => format!("; {} the same way", rest.join(", ")),
            more => format!("; {} and {} more the same way", rest[..3].join(", "), more - 3),
        };
        let head = self.terminal.paint(ink, format!("{symbol} {}", Escaped(name)));
        let line = format!("    {head}  {}{same}", self.what(change));
        let from = match &change.reasons[..] {
            [Reason::Removed { .. } | Reason::New { .. }, ..] | [] => String::new(),
            [Reason::Asked, ..] if change.after.is_none() => String::new(),
            reasons => reasons
                .iter()
                .filter(|it| !matches!(it, Reason::Changed { .. }))
                .map(|it| self.reason(it))
                .collect::<Vec<_>>()
                .join(", "),
        };
        out.push_str(&format!("{}\n", spread(&self.terminal, &line, &self.terminal.paint(Ink::Quiet, from))));
        self.fields(out, "        ", change);
    }

    fn fields(&self, out: &mut String, indent: &str, change: &Change) {
        let listed = match change.action {
            Action::Create | Action::Run | Action::Read => self.full,
            Action::Destroy { .. } | Action::Forget | Action::Move { .. } | Action::Adopt { .. } => false,
            _ => true,
        };
        if !listed {
            return;
        }
        let name_width = change.fields.iter().map(|field| path_text(&field.path).len()).max().unwrap_or(0).min(28);
        for field in &change.fields {
            self.field(out, indent, name_width, field, change);
        }
        let same = change.before.as_ref().map_or(0, |before| before.inputs.len()).saturating_sub(change.fields.len());
        if same > 0 && !change.fields.is_empty() {
            out.push_str(&format!("{indent}{}\n", self.terminal.paint(Ink::Quiet, format!("{} same", count(same, "field")))));
        }
    }

    fn field(&self, out: &mut String, indent: &str, width: usize, field: &FieldChange, change: &Change) {
        let lines = diff::change(field.before.as_ref(), field.after.as_ref(), &self.terminal);
        let waits = field.after.as_ref().map(waits_for).unwrap_or_default();
        let cause = match (field.forces_replacement, field.cause.filter(|span| !span.is_engine())) {
            (Some(why), span) => {
                let at = span.map(|span| format!("{}; ", self.cause(span))).unwrap_or_default();
                format!("forces it: {at}{} cannot {why}", change.kind.provider())
            }
            _ if !waits.is_empty() => format!("waits for {}", waits.join(", ")),
            (None, Some(span)) => self.cause(span),
            (None, None) => String::new(),
        };
        let name = Escaped(&path_text(&field.path)).to_string();
        let line = format!("{indent}{name:width$}  {}", lines.first().map_or("", String::as_str));
        out.push_str(&format!("{}\n", spread(&self.terminal, line.trim_end(), &self.terminal.paint(Ink::Quiet, cause))));
        for line in lines.iter().skip(1) {
            out.push_str(&format!("{indent}  {line}\n"));
        }
    }

    fn what(&self, change: &Change) -> String {
        let maybe = if change.maybe_replace { ", may be replaced" } else { "" };
        match &change.action {
            Action::Create if matches!(change.reasons.first(), Some(Reason::Gone)) => "create again, it is gone".into(),
            Action::Create => "create".into(),
            Action::Update if weigh(change) == Weight::Drift => format!("DRIFT: set back{maybe}"),
            Action::Update => format!("in place{maybe}"),
            Action::Replace { order: ReplaceOrder::CreateFirst } => "replace, new one first".into(),
            Action::Replace { order: ReplaceOrder::DestroyFirst } => "replace, old one first".into(),
            Action::Destroy { loses_data: true } => self.terminal.paint(Ink::Bad, "DESTROY, holds data"),
            Action::Destroy { loses_data: false } => "destroy".into(),
            Action::Run => "runs".into(),
            Action::Read => "read during apply".into(),
            Action::Move { from } => format!("moved from {}", Escaped(from.as_str())),
            Action::Adopt { id } => format!("adopt {}", Escaped(id)),
            Action::Forget => "forget: stays as it is, no longer managed".into(),
            Action::Record => "recorded, nothing is called".into(),
        }
    }

    /// What happens to a resource that is its own instance.
    fn own_summary(&self, changes: &[&Change]) -> String {
        let alone = changes.len() == 1 && matches!(changes[0].action, Action::Move { .. } | Action::Adopt { .. });
        format!("{}{}", self.what(changes[0]), if alone { ", nothing else" } else { "" })
    }

    /// Where the whole group comes from: the item of the program, or what became of it.
    fn group_cause(&self, changes: &[&Change]) -> String {
        let removed = changes.iter().find_map(|change| match (change.reasons.first(), &change.before) {
            (Some(Reason::Removed { was }), _) => Some(format!("removed, was {}", Escaped(was))),
            (Some(Reason::Asked), Some(before)) => Some(Escaped(&before.declared_at).to_string()),
            _ => None,
        });
        if let Some(removed) = removed.filter(|_| changes.iter().all(|change| change.after.is_none())) {
            return removed;
        }
        let called_at = changes.iter().find_map(|change| change.after.as_ref().map(|after| after.called_at));
        called_at.map(|span| self.line(span)).unwrap_or_default()
    }

    fn reason(&self, reason: &Reason) -> String {
        match reason {
            Reason::New { span } => self.line(*span),
            Reason::Removed { was } => format!("removed, was {}", Escaped(was)),
            Reason::Changed { span } => self.cause(*span),
            Reason::Drifted => "the platform holds something else".into(),
            Reason::Gone => "gone from the platform".into(),
            Reason::WaitsFor { address } => format!("waits for {}", Escaped(address.as_str())),
            Reason::Asked => "asked for by --replace".into(),
            Reason::ReplaceOn { span } => format!("replace_on {}", self.line(*span)),
            Reason::Moved { from, span } => format!("moved from {}, {}", Escaped(from.as_str()), self.line(*span)),
            Reason::Adopted { span } | Reason::Forgotten { span } => self.line(*span),
            Reason::Guard { protect: true, .. } => "guard set".into(),
            Reason::Guard { protect: false, .. } => "guard lifted".into(),
        }
    }

    /// `shop.stack:30:11`, `input.version, from --input`.
    fn cause(&self, span: Span) -> String {
        self.sources.place(span).map_or(String::new(), |place| Escaped(&place.to_string()).to_string())
    }

    /// `shop.stack:30`.
    fn line(&self, span: Span) -> String {
        self.sources.place(span).map_or(String::new(), |place| format!("{}:{}", Escaped(&place.file), place.line))
    }

    fn symbol(&self, weight: Weight) -> (&'static str, Ink) {
        match weight {
            Weight::LosesData | Weight::Destroy => ("-", Ink::Bad),
            Weight::Replace => (self.terminal.pick("±", "-/+"), Ink::Bad),
            Weight::Change => ("~", Ink::Change),
            Weight::Drift => ("!", Ink::Change),
            Weight::Move => (self.terminal.pick("→", "->"), Ink::Data),
            Weight::Adopt => ("*", Ink::Data),
            Weight::Forget => ("x", Ink::Quiet),
            Weight::Create => ("+", Ink::Good),
            Weight::Quiet => (self.terminal.pick("·", "."), Ink::Quiet),
        }
    }

    /// Sets that are planned once their keys are known.
    fn deferred(&self, out: &mut String) {
        for set in &self.plan.deferred {
            let waits: Vec<String> = set.waits_for.iter().map(|it| Escaped(it.as_str()).to_string()).collect();
            let head = self.terminal.paint(Ink::Change, format!("? {}", Escaped(set.address.as_str())));
            let most = if set.at_most == 1 { "1".to_owned() } else { format!("up to {}", set.at_most) };
            let line = format!("{head}  deferred: create {most}, keys known after {}", waits.join(", "));
            out.push_str(&format!("{}\n", spread(&self.terminal, &line, &self.terminal.paint(Ink::Quiet, self.line(set.span)))));
        }
    }

    /// Requirements that the apply judges.
    fn requirements(&self, out: &mut String) {
        let all = &self.plan.requirements;
        if all.is_empty() {
            return;
        }
        let waits: BTreeSet<Address> = all.iter().flat_map(|it| it.waits_for()).collect();
        let shown: Vec<String> = waits.iter().take(3).map(|it| Escaped(it.as_str()).to_string()).collect();
        let more = if waits.len() > 3 { format!(" and {} more", waits.len() - 3) } else { String::new() };
        let what = count(all.len(), "requirement");
        let line = format!("? checked once known: {what}, after {}{more}", shown.join(", "));
        out.push_str(&format!("{}\n", self.terminal.paint(Ink::Quiet, line)));
    }

    fn outputs(&self, out: &mut String) {
        for output in &self.plan.outputs {
            let after = output.after.as_ref().map(|after| &after.value);
            let lines = diff::change(output.before.as_ref(), after, &self.terminal);
            let symbol = match (&output.before, after) {
                (None, _) => self.terminal.paint(Ink::Good, "+"),
                (_, None) => self.terminal.paint(Ink::Bad, "-"),
                _ => self.terminal.paint(Ink::Change, "~"),
            };
            let cause = output.after.as_ref().map(|after| self.line(after.span)).unwrap_or_default();
            let line = format!("{symbol} output.{}  {}", Escaped(&output.name), lines.join(" "));
            out.push_str(&format!("{}\n", spread(&self.terminal, &line, &self.terminal.paint(Ink::Quiet, cause))));
        }
    }

    fn notices(&self, out: &mut String) {
        for drift in &self.plan.notices {
            let fields: Vec<String> = drift.fields.iter().map(|field| path_text(&field.path)).collect();
            let line = format!("! {}  differs in {}, which the source does not set", drift.address, fields.join(", "));
            out.push_str(&format!("{}\n", self.terminal.paint(Ink::Quiet, Escaped(&line))));
        }
        for reveal in &self.plan.reveals {
            let place = self.sources.place(reveal.span).map(|it| it.to_string()).unwrap_or_default();
            let of = reveal.instance.as_ref().map(|it| format!(" in {it}")).unwrap_or_default();
            let line = format!("! reveals a secret{of}: {}", reveal.reason);
            let line = self.terminal.paint(Ink::Change, Escaped(&line));
            out.push_str(&format!("{}\n", spread(&self.terminal, &line, &self.terminal.paint(Ink::Quiet, place))));
        }
        for (address, edge) in &self.plan.dropped {
            let line = format!("order between {address} and {} is dropped: they know each other", edge.to);
            out.push_str(&format!("{}\n", self.terminal.paint(Ink::Quiet, Escaped(&line))));
        }
    }

    fn counts(&self) -> String {
        counts(self.plan).iter().map(|(word, number)| format!("{word} {number}")).collect::<Vec<_>>().join("   ")
    }
}

/// Counts by word, those that are zero left out, `same` last.
pub fn counts(plan: &Plan) -> Vec<(&'static str, usize)> {
    let of = |test: &dyn Fn(&Change) -> bool| plan.changes.iter().filter(|change| test(change)).count();
    let all = [
        ("create", of(&|it| matches!(it.action, Action::Create))),
        ("change", of(&|it| matches!(it.action, Action::Update))),
        ("replace", of(&|it| matches!(it.action, Action::Replace { .. }))),
        ("maybe", of(&|it| it.maybe_replace)),
        ("destroy", of(&|it| matches!(it.action, Action::Destroy { .. }))),
        ("run", of(&|it| matches!(it.action, Action::Run))),
        ("read", of(&|it| matches!(it.action, Action::Read))),
        ("moved", of(&|it| matches!(it.action, Action::Move { .. }))),
        ("adopt", of(&|it| matches!(it.action, Action::Adopt { .. }))),
        ("forget", of(&|it| matches!(it.action, Action::Forget))),
        ("recorded", of(&|it| matches!(it.action, Action::Record))),
        ("deferred", plan.deferred.len()),
        ("drift", of(&|it| !it.drift.is_empty())),
        ("same", plan.same as usize),
    ];
    all.into_iter().filter(|(word, number)| *number > 0 || *word == "same").collect()
}

fn weigh(change: &Change) -> Weight {
    match &change.action {
        Action::Destroy { loses_data: true } => Weight::LosesData,
        Action::Replace { .. } if change.kind.holds_data => Weight::LosesData,
        Action::Destroy { .. } => Weight::Destroy,
        Action::Replace { .. } => Weight::Replace,
        Action::Update if !change.drift.is_empty() && change.reasons.iter().all(|it| matches!(it, Reason::Drifted)) => {
            Weight::Drift
        }
        Action::Update | Action::Run => Weight::Change,
        Action::Move { .. } => Weight::Move,
        Action::Create => Weight::Create,
        Action::Adopt { .. } => Weight::Adopt,
        Action::Forget => Weight::Forget,
        Action::Read | Action::Record => Weight::Quiet,
    }
}

/// `REPLACE 1 of 3`, `change 3`, `create 2, destroy 1`.
fn summary(changes: &[&Change]) -> String {
    let mut by_word: BTreeMap<&str, usize> = BTreeMap::new();
    for change in changes {
        *by_word.entry(change.action.word()).or_default() += 1;
    }
    let word = |word: &str| match word {
        "destroy" => "DESTROY".to_owned(),
        "replace" => "REPLACE".to_owned(),
        "update" => "change".to_owned(),
        "record" => "recorded".to_owned(),
        other => other.to_owned(),
    };
    by_word.iter().map(|(action, number)| format!("{} {number}", word(action))).collect::<Vec<_>>().join(", ")
}

/// Changes of one keyed set, or of one kind for creates, that look the same are shown once.
fn group_alike<'c>(changes: &[&'c Change], _instance: &Address) -> Vec<Vec<&'c Change>> {
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for change in changes {
        let texts: Vec<String> = change
            .fields
            .iter()
            .map(|field| {
                let shown = diff::change(field.before.as_ref(), field.after.as_ref(), &Terminal::paper(100));
                format!("{} {shown:?} {:?}", path_text(&field.path), field.forces_replacement)
            })
            .collect();
        let set = change.address.split_key().0;
        let signature = match change.action {
            Action::Create => format!("{set} create"),
            _ => format!("{set} {} {texts:?}", change.action.word()),
        };
        let at = *places.entry(signature).or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    groups
}

fn key_or_name(address: &Address) -> String {
    match address.split_key() {
        (_, Some(key)) => Escaped(&format!("[{key:?}]")).to_string(),
        (_, None) => Escaped(address.last()).to_string(),
    }
}

/// `env.DATABASE_URL`, `mounts[0].path`.
pub fn path_text(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Field(name) if out.is_empty() => out.push_str(name),
            Step::Field(name) => out.push_str(&format!(".{name}")),
            Step::Item(at) => out.push_str(&format!("[{at}]")),
        }
    }
    out
}

fn waits_for(value: &crate::model::Value) -> Vec<String> {
    use crate::model::Data;
    let mut all = std::collections::BTreeSet::new();
    fn walk(value: &crate::model::Value, all: &mut std::collections::BTreeSet<String>) {
        match &value.data {
            Data::Unknown(unknown) => all.extend(unknown.waits_for.iter().map(|it| Escaped(it.as_str()).to_string())),
            Data::List(items) => items.iter().for_each(|item| walk(item, all)),
            Data::Map(fields) | Data::Variant(_, fields) => fields.values().for_each(|item| walk(item, all)),
            _ => {}
        }
    }
    walk(value, &mut all);
    all.into_iter().collect()
}

pub fn resources(number: usize) -> String {
    count(number, "resource")
}
