//! What policies say of a finished plan.

use super::types::Name;
use super::{Address, Code, Diagnostic, Span};

/// What one policy says. Ordered as the program orders its policies.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    pub policy: Name,
    pub level: Level,
    /// The controls that it answers for, such as `SOC2 A1.2`.
    pub control: Vec<Name>,
    /// `policy NAME`.
    pub span: Span,
    /// In the order of the rules; what holds is not in it.
    pub findings: Vec<Finding>,
    /// In the order of the source.
    pub exceptions: Vec<Exception>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Level {
    /// A plan that breaks the policy is refused.
    Deny,
    /// It is said.
    Warn,
}

/// One requirement that does not hold, or may not.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    pub outcome: FindingOutcome,
    /// What it is about: the instance, resource or change that the nearest `for` is at.
    pub address: Option<Address>,
    /// The policy's words.
    pub message: String,
    /// `require …`.
    pub rule: Span,
    /// Where the program says what the requirement reads.
    pub places: Vec<Span>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FindingOutcome {
    Broken,
    /// It reads what only a platform will tell.
    Undecided,
    /// Broken or undecided at an address that this exception, by its place in [`Verdict::exceptions`], stands for.
    Excepted(u32),
}

#[derive(Clone, PartialEq, Debug)]
pub struct Exception {
    /// An address or a glob.
    pub pattern: Name,
    pub reason: String,
    pub span: Span,
    /// Nothing that there is, or that changes, has such an address.
    pub idle: bool,
}

/// The outcome of a whole policy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PolicyResult {
    /// Also where all that breaks it is excepted.
    Passed,
    /// Nothing breaks it, and something may.
    Undecided,
    /// Broken, at the level that says so.
    Warned,
    /// Broken, at the level that refuses.
    Refused,
}

impl PolicyResult {
    pub fn parse(word: &str) -> Option<PolicyResult> {
        use PolicyResult::*;
        [Passed, Undecided, Warned, Refused].into_iter().find(|it| it.word() == word)
    }

    /// The word in JSON, in the log and on the screen.
    pub fn word(self) -> &'static str {
        match self {
            PolicyResult::Passed => "passed",
            PolicyResult::Undecided => "undecided",
            PolicyResult::Warned => "warned",
            PolicyResult::Refused => "refused",
        }
    }
}

impl Level {
    pub fn parse(word: &str) -> Option<Level> {
        [Level::Deny, Level::Warn].into_iter().find(|it| it.word() == word)
    }

    /// As programs write it.
    pub fn word(self) -> &'static str {
        match self {
            Level::Deny => "deny",
            Level::Warn => "warn",
        }
    }
}

impl FindingOutcome {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            FindingOutcome::Broken => "broken",
            FindingOutcome::Undecided => "undecided",
            FindingOutcome::Excepted(_) => "excepted",
        }
    }
}

impl Verdict {
    pub fn result(&self) -> PolicyResult {
        let any = |outcome: FindingOutcome| self.findings.iter().any(|it| it.outcome == outcome);
        match self.level {
            Level::Deny if any(FindingOutcome::Broken) => PolicyResult::Refused,
            Level::Warn if any(FindingOutcome::Broken) => PolicyResult::Warned,
            _ if any(FindingOutcome::Undecided) => PolicyResult::Undecided,
            _ => PolicyResult::Passed,
        }
    }

    /// What is to be said of it: an error for each thing that refuses the plan, a warning for all else.
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let mut said: Vec<Diagnostic> = Vec::new();
        let mut undecided: Vec<Span> = Vec::new();
        for (at, finding) in self.findings.iter().enumerate() {
            if finding.outcome == FindingOutcome::Undecided {
                // Of what is undecided by one rule, the first stands for all.
                if undecided.contains(&finding.rule) {
                    continue;
                }
                undecided.push(finding.rule);
                let same = |it: &&Finding| it.outcome == finding.outcome && it.rule == finding.rule;
                let others: Vec<&Finding> = self.findings[at + 1..].iter().filter(same).collect();
                said.extend(self.diagnostic(finding).map(|it| match others_text(&others) {
                    Some(text) => it.fact("also", text),
                    None => it,
                }));
                continue;
            }
            said.extend(self.diagnostic(finding));
        }
        for exception in self.exceptions.iter().filter(|it| it.idle) {
            let text = format!("the exception `{}` of policy `{}` is for nothing", exception.pattern, self.policy);
            said.push(
                Code::IdleException
                    .warning(text)
                    .label(exception.span, "nothing has such an address")
                    .help("remove it, or correct the address"),
            );
        }
        said
    }

    fn diagnostic(&self, finding: &Finding) -> Option<Diagnostic> {
        let diagnostic = match (finding.outcome, self.level) {
            (FindingOutcome::Excepted(_), _) => return None,
            (FindingOutcome::Broken, Level::Deny) => Code::PolicyBroken.error(finding.message.clone()),
            (FindingOutcome::Broken, Level::Warn) => Code::PolicyBroken.warning(finding.message.clone()),
            (FindingOutcome::Undecided, _) => Code::PolicyUndecided.warning(finding.message.clone()),
        };
        let (there, here) = match finding.outcome {
            FindingOutcome::Undecided => ("is about this", "cannot be decided before apply"),
            _ => ("does not fulfil it", "required here"),
        };
        let mut diagnostic = diagnostic.labels(finding.places.iter().map(|span| (*span, there))).label(finding.rule, here);
        let controls = match self.control.is_empty() {
            true => String::new(),
            false => format!(" ({})", self.control.join(", ")),
        };
        diagnostic = diagnostic.fact("policy", format!("{}{controls}", self.policy));
        if let Some(address) = &finding.address {
            diagnostic = diagnostic.about(address.clone());
            if finding.outcome == FindingOutcome::Broken {
                let text = format!("correct it, or say why not: `except = {{ {:?} = \"reason\" }}`", address.as_str());
                diagnostic = diagnostic.help(text);
            }
        }
        Some(diagnostic)
    }
}

/// The addresses of others, a few of them by name.
fn others_text(others: &[&Finding]) -> Option<String> {
    let shown: Vec<String> = others.iter().filter_map(|it| Some(format!("`{}`", it.address.as_ref()?))).take(3).collect();
    let more = others.len() - shown.len();
    match (shown.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(shown.join(", ")),
        (false, more) => Some(format!("{} and {more} more", shown.join(", "))),
    }
}
