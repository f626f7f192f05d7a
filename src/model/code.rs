//! The codes of diagnostics. A code is for ever; its hundreds name the room that says it:
//! 01 syntax, 02 types and shapes, 03 names and graph, 04 secrets, 05 providers and the outside, 06 applying and state,
//! 07 policies and warnings about plans, 08 the command line, 09 the engine itself.

use super::diagnostic::{Diagnostic, Severity};

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $number:literal,)+) => {
        /// One kind of message. `Code::UnknownField` is shown as `SW0201`.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub enum Code { $($(#[doc = $doc])+ $name = $number,)+ }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// One sentence that says what the code means; the page of `explain` begins with it.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),+).trim_start(),)+ }
            }
        }
    };
}

codes! {
    /// The text does not follow the grammar.
    Syntax = 101,
    /// A file is larger, or nested deeper, than the language allows.
    Limit = 102,
    /// A file is not UTF-8.
    NotUtf8 = 103,
    /// A literal has no value, such as a size that is not whole bytes.
    BadLiteral = 104,
    /// A string holds an escape that does not exist.
    BadEscape = 105,

    /// A block or object has a field that its type does not know.
    UnknownField = 201,
    /// A required field is missing.
    MissingField = 202,
    /// One field is given twice.
    DuplicateField = 203,
    /// An expression has another type than its place takes.
    WrongType = 210,
    /// Two values of types that do not go together meet in an operator.
    BadOperands = 211,
    /// A value lies outside what its type allows.
    OutOfRange = 212,
    /// A `match` does not cover every case.
    NotExhaustive = 213,
    /// A function was called with the wrong arguments.
    BadArguments = 214,
    /// A value that may be null is used as if it were there.
    MaybeNull = 215,
    /// A list or map has no such element.
    NoSuchKey = 216,
    /// A computation has no result, such as an overflow or a division by zero.
    Arithmetic = 217,
    /// A requirement that a component, resource or program states does not hold.
    RequireFailed = 220,
    /// A value is known later than its place needs it.
    TooLate = 230,

    /// A name is not defined here.
    UnknownName = 301,
    /// Something is defined twice.
    Duplicate = 302,
    /// There is no such kind.
    UnknownKind = 303,
    /// There is no such function.
    UnknownFunction = 304,
    /// Things wait for each other.
    Cycle = 305,
    /// There is no such provider.
    UnknownProvider = 306,
    /// A kind cannot be placed where it should go.
    NoPlace = 307,
    /// Two resources are the same object on the platform.
    SameObject = 308,
    /// A construct of the language that this version parses and does not run.
    NotYet = 309,
    /// A component uses itself.
    Recursive = 310,
    /// A value that is reachable in one network only is used outside of it.
    Unreachable = 311,
    /// A name stands for two things at once.
    Ambiguous = 312,
    /// An import cannot be read, or may not be.
    ImportRefused = 313,
    /// An import, or the standard library, is not what `stack.lock` pins.
    LockMismatch = 314,

    /// A secret would be shown.
    SecretShown = 401,
    /// A secret has no value.
    SecretMissing = 402,

    /// A provider has no credentials.
    NoCredentials = 501,
    /// A platform refused the credentials.
    Unauthorized = 502,
    /// A platform could not be reached or did not answer usably.
    Unavailable = 503,
    /// A program that a resource needs is not installed.
    ProgramMissing = 504,
    /// A platform has no such object.
    NotFound = 505,
    /// Several objects of a platform fit where one is meant.
    SeveralFound = 506,
    /// An object of a platform cannot be taken over.
    NotAdopted = 507,

    /// A plan does not fit the present state.
    StalePlan = 601,
    /// Somebody else is applying the same resources.
    Locked = 602,
    /// The state was written by a newer version.
    NewerState = 603,
    /// The state is damaged.
    DamagedState = 604,
    /// The state cannot be read or written.
    StateUnavailable = 605,
    /// A plan file is damaged or was altered.
    DamagedPlan = 606,
    /// A platform refused a change.
    Refused = 610,
    /// It is not known whether a change happened.
    OutcomeUnknown = 611,
    /// A guard protects a resource that a plan would destroy.
    Protected = 612,
    /// A loss of data was not confirmed.
    LossNotConfirmed = 613,
    /// The state's key is missing or does not fit.
    NoKey = 614,
    /// Nobody agreed to a plan.
    NotConfirmed = 615,
    /// What is read as it was last applied elsewhere was never applied there.
    NotApplied = 616,
    /// Revisions of a state are signed, and there is no key here that may sign.
    NoSigner = 617,
    /// A state is not the continuation of the one that was known before.
    ForkedState = 618,

    /// The state of this environment is kept in another store now.
    StateMoved = 620,
    /// An export or a backup of a state is damaged, or is none.
    DamagedExport = 621,
    /// A state cannot be carried there.
    NotCarried = 622,

    /// An alert reaches nobody.
    AlertNotDelivered = 701,
    /// Something is allowed, and probably not meant.
    Doubtful = 702,
    /// A policy does not hold for a plan.
    PolicyBroken = 703,
    /// A policy reads what is known only after apply.
    PolicyUndecided = 704,
    /// An exception of a policy stands for nothing.
    IdleException = 705,
    /// A test does not come out as it says.
    ExpectFailed = 710,

    /// There is no such environment, or several and none was named.
    UnknownEnvironment = 801,
    /// An input has no value.
    MissingInput = 802,
    /// There is no stack here.
    NoStack = 803,
    /// A file cannot be read or written.
    Unreadable = 804,
    /// An argument on the command line does not fit.
    Usage = 805,
}

impl Code {
    pub fn error(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self, Severity::Error, message)
    }

    pub fn warning(self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::new(self, Severity::Warning, message)
    }

    /// The code that is written `SW0201`; case does not matter.
    pub fn parse(text: &str) -> Option<Code> {
        let number: u16 = text.strip_prefix("SW").or_else(|| text.strip_prefix("sw"))?.parse().ok()?;
        Code::ALL.iter().copied().find(|code| *code as u16 == number)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SW{:04}", *self as u16)
    }
}
