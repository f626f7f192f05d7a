//! What is wrong with a program, as plain data. Rooms collect these; only the faces render them.

use super::code::Code;
use super::span::Span;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Severity {
    Error,
    Warning,
}

/// How sure a fix is. Only [`Confidence::Sure`] is applied without asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Confidence {
    Sure,
    Maybe,
    NeedsFillingIn,
}

/// Replace the text under `span` with `text`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edit {
    pub span: Span,
    pub text: String,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fix {
    pub title: String,
    pub confidence: Confidence,
    pub edits: Vec<Edit>,
}

/// One message. The first label is the place that is wrong (the smallest wrong span); further labels show other places that
/// take part. `notes` are facts, each with a short head such as `note`, `path` or `looked`; `help` says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Diagnostic {
    pub code: Code,
    pub severity: Severity,
    pub message: String,
    pub labels: Vec<(Span, String)>,
    pub notes: Vec<(&'static str, String)>,
    pub help: Vec<String>,
    pub fixes: Vec<Fix>,
    /// The address it is about, where there is one.
    pub address: Option<super::Address>,
}

impl Diagnostic {
    pub fn new(code: Code, severity: Severity, message: impl Into<String>) -> Self {
        Diagnostic {
            code,
            severity,
            message: message.into(),
            labels: Vec::new(),
            notes: Vec::new(),
            help: Vec::new(),
            fixes: Vec::new(),
            address: None,
        }
    }

    pub fn label(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push((span, text.into()));
        self
    }

    pub fn labels(mut self, labels: impl IntoIterator<Item = (Span, impl Into<String>)>) -> Self {
        self.labels.extend(labels.into_iter().map(|(span, text)| (span, text.into())));
        self
    }

    /// A fact, shown as `= note: …`.
    pub fn note(self, text: impl Into<String>) -> Self {
        self.fact("note", text)
    }

    /// A fact with a head of its own, shown as `= path: …`.
    pub fn fact(mut self, head: &'static str, text: impl Into<String>) -> Self {
        self.notes.push((head, text.into()));
        self
    }

    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help.push(text.into());
        self
    }

    pub fn helps(mut self, texts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.help.extend(texts.into_iter().map(Into::into));
        self
    }

    pub fn fix(mut self, title: impl Into<String>, confidence: Confidence, edits: Vec<Edit>) -> Self {
        self.fixes.push(Fix { title: title.into(), confidence, edits });
        self
    }

    pub fn about(mut self, address: super::Address) -> Self {
        self.address = Some(address);
        self
    }

    /// The place that is wrong, if a text holds it.
    pub fn span(&self) -> Option<Span> {
        self.labels.first().map(|(span, _)| *span).filter(|span| !span.is_engine())
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}
