//! Exit codes.

use crate::model::{Code, Diagnostic};

/// What the process ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    /// Failed, and nothing was changed; or a file is damaged.
    Failed = 1,
    /// Only where it was asked for: there are differences.
    Differences = 2,
    /// The source has errors, or an input is missing.
    Source = 3,
    /// Refused: protection, policy, declined.
    Refused = 4,
    Stale = 5,
    Locked = 6,
    /// Failed part-way; state is saved.
    PartWay = 7,
    Usage = 64,
    Bug = 70,
    Interrupted = 130,
}

impl Exit {
    /// The exit code of a command that these end. The gravest decides: wrong usage, then the source, then the world.
    pub fn of(diagnostics: &[Diagnostic]) -> Exit {
        let of = |code: Code| match code {
            Code::UnknownEnvironment | Code::Usage | Code::NoStack => Exit::Usage,
            Code::MissingInput | Code::SecretMissing => Exit::Source,
            Code::Unreadable | Code::NotUtf8 => Exit::Failed,
            Code::StalePlan => Exit::Stale,
            Code::Locked => Exit::Locked,
            Code::Protected | Code::PolicyBroken | Code::LossNotConfirmed | Code::NotConfirmed => Exit::Refused,
            code if (code as u16) < 500 => Exit::Source,
            _ => Exit::Failed,
        };
        let errors = || diagnostics.iter().filter(|it| it.is_error()).map(|it| of(it.code));
        let order = [Exit::Usage, Exit::Source, Exit::Refused, Exit::Locked, Exit::Stale];
        order.into_iter().find(|exit| errors().any(|it| it == *exit)).unwrap_or(Exit::Failed)
    }
}
