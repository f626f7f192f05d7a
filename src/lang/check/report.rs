//! The sentences of the checker that several of its parts say.

use super::Checker;
use super::describe::{At, AtWhat, examples, listed, noun, quoted};
use super::fit::Fit;
use crate::lang::resolve::{near, nearest, snake_case};
use crate::lang::syntax::tree;
use crate::model::{Code, Confidence, Diagnostic, Edit, Name, Origin, Span, Type};

impl Checker<'_> {
    /// A value of one type stands where another is wanted.
    pub(super) fn say_unfit(&mut self, from: &Type, want: &Type, how: Fit, at: &At<'_>, span: Span) {
        if self.quiet > 0 {
            return;
        }
        let diagnostic = match how {
            Fit::Same | Fit::Convert => return,
            Fit::Secret => return self.say_secret_shown(None, from, at, span),
            Fit::MaybeNull => self.maybe_null(want, at, span),
            Fit::No => self.wrong_type(from, want, at, span),
        };
        let diagnostic = self.with_declaration(diagnostic, at);
        self.say(diagnostic);
    }

    fn wrong_type(&self, from: &Type, want: &Type, at: &At<'_>, span: Span) -> Diagnostic {
        let text = quoted(self.text(span));
        let takes = match at.what {
            AtWhat::Output(_) | AtWhat::Let(_) => "is declared as",
            AtWhat::Place(words) if words.starts_with("the result of") => "is declared as",
            _ => "takes",
        };
        // That it may be null as well is beside the point.
        let want = match want {
            Type::Optional(of) => of,
            other => other,
        };
        let (wanted, is) = (noun(want), noun(from));
        // Two nouns that read alike have a difference that only the whole types show.
        let message = match wanted == is || matches!(want, Type::Object(_)) && matches!(from, Type::Object(_)) {
            true => format!("{} {takes} `{want}`, and {text} is `{from}`", at.words()),
            false => format!("{} {takes} {wanted}, and {text} is {is}", at.words()),
        };
        let expected = match (examples(want), want) {
            (Some(examples), _) => format!("expected {wanted}: {examples}"),
            (None, Type::Literals(_)) => format!("expected {wanted}"),
            (None, Type::Object(object)) => {
                let fields = listed(object.fields.keys().map(|it| &**it));
                format!("expected {wanted}{}{fields}", if fields.is_empty() { "" } else { ": " })
            }
            _ => format!("expected {wanted}"),
        };
        let diagnostic = Code::WrongType.error(message).label(span, expected);
        match (from, want) {
            (Type::Null, _) => diagnostic,
            _ if self.written_as(from, want, span).is_some() => {
                let (text, confidence) = self.written_as(from, want, span).unwrap_or_else(|| (String::new(), Confidence::Maybe));
                let words = match confidence {
                    Confidence::Sure => format!("write `{text}`"),
                    _ => format!("write such as `{text}`"),
                };
                diagnostic.help(words).fix(format!("write `{text}`"), confidence, vec![Edit { span, text }])
            }
            (from, Type::List(of, _)) if super::fit::fit(from, of) <= Fit::Convert => {
                let edits = vec![
                    Edit { span: Span { end: span.start, ..span }, text: "[".into() },
                    Edit { span: Span { start: span.end, ..span }, text: "]".into() },
                ];
                diagnostic.help(format!("put it in brackets: `[{}]`", self.text(span))).fix("put it in brackets", Confidence::Maybe, edits)
            }
            (from, Type::Text(_)) if is_unit(from) => {
                diagnostic.help("programs read units in different ways: divide by the one that is meant, such as `size / 1MiB`, or use `text(x)` for people")
            }
            (Type::Number(_), Type::Int(_)) => diagnostic.help("`floor`, `ceil` and `round` give an int"),
            (Type::Int(_) | Type::Number(_), Type::Text(_)) => diagnostic.help(format!("write `\"${{{}}}\"`", self.text(span))),
            (Type::Set(_), _) | (_, Type::Set(_)) => diagnostic,
            _ => diagnostic,
        }
    }

    fn maybe_null(&self, want: &Type, at: &At<'_>, span: Span) -> Diagnostic {
        let text = quoted(self.text(span));
        if self.text(span) == "null" {
            return Code::MaybeNull
                .error(format!("{} takes {}, and this is null", at.words(), noun(want)))
                .label(span, "is null")
                .help("leave the whole entry out where it is to take its default");
        }
        let is = format!("{text} may be null");
        Code::MaybeNull
            .error(format!("{} takes {}, and {is}", at.words(), noun(want)))
            .label(span, "may be null")
            .help("test it with `!= null`, or say with `??` what stands in its place")
    }

    /// Adds where the place is declared, if the declaration is far from the reader.
    pub(super) fn with_declaration(&self, diagnostic: Diagnostic, at: &At<'_>) -> Diagnostic {
        let declared = match at.what {
            AtWhat::Element | AtWhat::Entry(_) => at.declared.or(at.outer.and_then(|outer| outer.declared)),
            _ => at.declared,
        };
        let Some((span, place)) = declared.and_then(|span| Some((span, self.sources.place(span)?))) else { return diagnostic };
        let text = self.text(span);
        if text.contains('\n') || text.chars().count() > 100 {
            return diagnostic;
        }
        let here = diagnostic.span().is_some_and(|wrong| wrong.source == span.source);
        match place.origin {
            Origin::Stdlib => {
                let file = place.file.strip_prefix("stdlib/").unwrap_or(&place.file);
                diagnostic.note(format!("declared as `{text}` in the standard library, {file}:{}", place.line))
            }
            _ if here => diagnostic.note(format!("declared as `{text}`, line {}", place.line)),
            _ => diagnostic.note(format!("declared as `{text}`, {}:{}", place.file, place.line)),
        }
    }

    /// A field that nobody declares. `of` is who has no such field: `` `cache` ``.
    pub(super) fn say_unknown_field(&mut self, of: &str, name: &str, span: Span, known: &[&str]) {
        self.say_unknown_field_beside(of, name, span, known, |_| false);
    }

    /// The same where fields are given: one that is there already was not meant a second time.
    pub(super) fn say_unknown_field_beside(
        &mut self,
        of: &str,
        name: &str,
        span: Span,
        known: &[&str],
        is_given: impl Fn(&str) -> bool,
    ) {
        let diagnostic = Code::UnknownField.error(format!("{of} has no field `{name}`")).label(span, "unknown field");
        let diagnostic = match near(name, known.iter().copied()) {
            Some(near) => diagnostic.help(format!("a field with a similar name exists: `{}`", near.name)).fix(
                format!("write `{}`", near.name),
                confidence(near.sure && !is_given(near.name)),
                vec![Edit { span, text: near.name.to_owned() }],
            ),
            None if known.is_empty() => diagnostic.help("it has no fields"),
            None => diagnostic.help(format!("its fields: {}", listed(known.iter().copied()))),
        };
        self.say(diagnostic);
    }

    /// Whether similar names are worth looking for: with thousands of mistakes, comparing each with every name would take minutes.
    pub(super) fn looks_for_similar(&self) -> bool {
        self.diagnostics.len() < 200
    }

    /// A name that is not defined. `similar` are candidates as they would be written here, with their definitions.
    pub(super) fn say_unknown_name(&mut self, name: &str, span: Span, what: &str, similar: &[(String, Option<Span>)]) {
        let near = nearest(name, similar.iter().map(|(it, _)| &**it)).map(str::to_owned);
        let mut diagnostic =
            Code::UnknownName.error(format!("there is no `{name}`")).label(span, "not defined in this stack or its imports");
        if let Some(near) = near {
            if let Some((_, Some(defined))) = similar.iter().find(|(it, _)| *it == near) {
                diagnostic = diagnostic.label(*defined, format!("{} {what} with a similar name", super::describe::article(what)));
            }
            diagnostic = diagnostic.help(format!("write `{near}`")).fix(
                format!("write `{near}`"),
                // Only spelt in another way.
                confidence(near == snake_case(name)),
                vec![Edit { span, text: near }],
            );
        }
        self.say(diagnostic);
    }

    /// Whether a field of that name was given before, which is said.
    pub(super) fn say_given_twice(&mut self, given: &[(&str, Span)], name: &tree::Spanned<Name>) -> bool {
        let Some((_, first)) = given.iter().find(|(it, _)| *it == &*name.node) else { return false };
        let diagnostic = Code::DuplicateField
            .error(format!("`{}` is given twice", name.node))
            .label(name.span, "second time")
            .label(*first, "first time");
        self.say(diagnostic);
        true
    }

    pub(super) fn say_not_yet(&mut self, what: &str, span: Span, instead: &str) {
        let diagnostic =
            Code::NotYet.error(format!("this version does not run {what}")).label(span, "would be without effect").help(instead);
        self.say(diagnostic);
    }
}

/// Of a fix that is made without asking only where nothing else can be meant.
pub(super) fn confidence(sure: bool) -> Confidence {
    if sure { Confidence::Sure } else { Confidence::Maybe }
}

fn is_unit(ty: &Type) -> bool {
    matches!(ty, Type::Duration | Type::Size | Type::Percent | Type::Rate | Type::Money | Type::Instant)
}
