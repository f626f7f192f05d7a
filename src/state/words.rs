//! What people read when state cannot be used.

use std::time::Duration;

use super::contract::{FORMAT, StoreError};
use super::crypt::ring::KeyError;
use super::holder::{Held, Holder, Life};
use super::log::Carried;
use super::run::Taken;
use super::sign::PublicKey;
use super::view::View;
use super::watch::LEASE;
use crate::model::{Code, Diagnostic};

pub fn store(error: &StoreError) -> Box<Diagnostic> {
    Box::new(match error {
        StoreError::Moved { .. } => Code::StateUnavailable
            .error("others write to this state faster than this run can")
            .help("run the command again when they are done"),
        StoreError::Newer { format, engine, revision } => Code::NewerState
            .error("this state was written by a newer stackwright")
            .fact(
                "state",
                format!(
                    "{}format {}, by version {engine}",
                    revision.map_or_else(String::new, |revision| format!("rev {revision}, ")),
                    format.major
                ),
            )
            .fact(
                "this program",
                format!(
                    "{}, reads formats up to {}; only the header was read, nothing written",
                    env!("CARGO_PKG_VERSION"),
                    FORMAT.major
                ),
            )
            .help(format!("install {engine} or later")),
        StoreError::Damaged { place, what } => Code::DamagedState
            .error(format!("the state is damaged: {what}"))
            .fact("place", place.clone())
            .note("nothing was changed")
            .help("`stackwright state restore BACKUP --reason \"…\"` puts a backup back, saves what can be read behind it, and keeps this aside")
            .help("`stackwright verify` says more; nothing is read past the damage"),
        StoreError::Unavailable { what, why } => Code::StateUnavailable
            .error(format!("cannot {what}: {why}"))
            .note("the state was not changed")
            .help("look at the directory of the state, its space and its permissions, then run the command again"),
        StoreError::Unconfirmed { place, why } => Code::StateUnavailable
            .error(format!("the disk did not confirm a write: {why}"))
            .fact("place", place.clone())
            .note("nothing more is written by this run; what was reported as done is kept")
            .help("check the disk, then run the command again: it first finds out what became of the last calls"),
        StoreError::Unreachable { place, why } => Code::StateUnavailable
            .error(format!("the state's store does not answer: {why}"))
            .fact("store", place.clone())
            .note("nothing more was written to the state")
            .help("once it can be reached, run the command again: it first finds out what became of the last calls"),
        StoreError::Unanswered { place, why } => Code::StateUnavailable
            .error(format!("the state's store did not say whether it has written: {why}"))
            .fact("store", place.clone())
            .note("what was reported as done is kept; the last entries are there, or are not")
            .help("once it can be reached, run the command again: it first finds out what became of the last calls"),
        StoreError::Refused { place, why, help } => Code::StateUnavailable
            .error(format!("the state's store cannot be used: {why}"))
            .fact("store", place.clone())
            .note("the state was not changed")
            .help(help.clone()),
        StoreError::Misuse(words) => Code::StateUnavailable
            .error(format!("the state refused an entry: {words}"))
            .help("this is a bug of stackwright: please report it"),
    })
}

/// Why there is no key: which one, where it was looked for, and who has it. Names of places only, never what is in them.
pub fn key(error: &KeyError) -> Box<Diagnostic> {
    let missing = match error {
        KeyError::Store(error) => return store(error),
        KeyError::Nobody(declared) => {
            let text =
                format!("the key of this state is to be made for {}, and no identity here is one of them", declared.join(", "));
            return Box::new(
                Code::NoKey
                    .error(text)
                    .note("whoever made it could not read the state again; nothing was changed")
                    .help("name your identity with STACKWRIGHT_IDENTITY_FILE, or make one with `stackwright key new`")
                    .help("write its recipient into `encryption = age { recipients = { … } }`"),
            );
        }
        KeyError::Missing(missing) => missing,
    };
    let key = missing.key;
    let error = match (missing.holders.is_empty(), missing.is_other) {
        (true, false) => Code::NoKey.error(format!("the state holds secrets, and their key {key} is missing")),
        (true, true) => Code::NoKey.error(format!("the keys that are here do not fit the state's secrets, which need key {key}")),
        (false, _) => Code::NoKey.error(format!("the state holds secrets, and their key {key} cannot be opened here")),
    };
    let error = missing.tried.iter().fold(error, |error, (place, why)| error.fact("looked", format!("{place}: {why}")));
    let error = match missing.holders.is_empty() {
        true => error,
        false => error.fact("wrapped for", missing.holders.join(", ")),
    };
    let error = error.note("nothing was changed");
    let path = missing.path.as_ref().map_or_else(|| "memory".into(), |path| path.display().to_string());
    Box::new(match missing.holders.is_empty() {
        true => error.help(format!("put the key {key} back from its backup, or from a colleague's copy, at {path}")),
        false => error
            .help("name the identity of one of them with STACKWRIGHT_IDENTITY_FILE, or its passphrase with STACKWRIGHT_PASSPHRASE_FILE")
            .help("or let one of them run `stackwright key add RECIPIENT --name NAME --reason TEXT`, with what `stackwright key new` prints you"),
    })
}

/// Somebody else is applying. `what` names the environment, with its stack where that is known.
pub fn locked(what: &str, held: &Held) -> Box<Diagnostic> {
    let Holder { active, life, .. } = &held.holder;
    let header = &active.lease.header;
    let gone = match life {
        Life::Alive { beats: false, .. } | Life::Gone => "for a holder that hangs".to_owned(),
        Life::Alive { beats: true, .. } | Life::Silent { .. } => {
            format!("for a holder that is gone (no sign of life for {} s)", LEASE.as_secs())
        }
    };
    Box::new(
        Code::Locked
            .error(format!("{what} is locked by another {}", header.command))
            .fact("holder", held.holder.words())
            .fact("process", format!("{} on {}", header.pid, header.host))
            .fact("both want", held.address.to_string())
            .help("`--lock-wait 10m` waits, `stackwright lock show` shows how far it is; plan needs no lock")
            .help(format!("{gone}: `stackwright lock release --run {} --reason \"…\"`, recorded", active.lease.run)),
    )
}

impl Held {
    /// Why nothing was begun. `what` names the environment, with its stack where that is known.
    pub fn refusal(&self, what: &str) -> Box<Diagnostic> {
        locked(what, self)
    }
}

impl Holder {
    /// `run 42 by ci for jroy (PR 128)`, with its plan.
    pub fn who(&self) -> String {
        let header = &self.active.lease.header;
        let plan = header.plan.as_ref().map(|plan| format!(", plan {plan}")).unwrap_or_default();
        format!("run {} by {}{plan}", self.active.lease.run, header.who)
    }

    /// `06:28:40 UTC (3 min 12 s), heartbeat 4 s ago: alive; 3 of 9 done, about 5 min left`.
    pub fn state(&self) -> String {
        let since = jiff::Timestamp::from_millisecond(self.active.since_ms)
            .map_or_else(|_| "an unknown time".into(), |since| since.strftime("%H:%M:%S UTC").to_string());
        let changes = self.active.lease.header.changes;
        let done = self.active.done.min(changes);
        let left = match (self.life, self.left) {
            (Life::Alive { .. }, Some(left)) => format!(", about {} left", span(left)),
            _ => String::new(),
        };
        format!("{since} ({}), {}; {done} of {changes} done{left}", span(self.running), self.life.words())
    }

    pub(super) fn words(&self) -> String {
        format!("{}, since {}", self.who(), self.state())
    }
}

impl Life {
    /// `heartbeat 4 s ago: alive`, `no sign of life for 35 s, its lease ends in 25 s`, `gone`.
    pub fn words(self) -> String {
        match self {
            Life::Alive { heard, beats: true } => format!("heartbeat {} ago: alive", span(heard)),
            Life::Alive { heard, beats: false } => format!("last entry {} ago: alive", span(heard)),
            Life::Gone => "gone".into(),
            Life::Silent { heard, ends_in: Duration::ZERO } => {
                format!("no sign of life for {}, its lease is over", span(heard))
            }
            Life::Silent { heard, ends_in } => {
                format!("no sign of life for {}, its lease ends in {}", span(heard), span(ends_in))
            }
        }
    }
}

/// Revisions of this state are signed, and this process has no key that may.
pub fn unsigned(environment: &str, view: &View, found: Option<PublicKey>) -> Box<Diagnostic> {
    let names: Vec<String> = view.signers.iter().map(|(key, it)| format!("{} ({})", it.name, key.fingerprint())).collect();
    let error = match found {
        None => Code::NoSigner.error(format!("revisions of {environment} are signed, and there is no signing key here")),
        Some(key) => Code::NoSigner
            .error(format!("revisions of {environment} are signed, and this key is not one of its signers"))
            .fact("key", key.fingerprint()),
    };
    Box::new(
        error
            .fact("signers", names.join(", "))
            .note("nothing was changed")
            .help("name your private key in STACKWRIGHT_SIGNING_KEY_FILE, or put its text into STACKWRIGHT_SIGNING_KEY")
            .help("a signer adds your key: `stackwright key add \"ssh-ed25519 …\" --name NAME --reason \"…\"`"),
    )
}

/// The log goes on elsewhere.
pub fn moved(environment: &str, moved: &Carried) -> Box<Diagnostic> {
    let diagnostic = Code::StateMoved
        .error(format!("the state of {environment} has moved to {}; nothing was changed", moved.place))
        .fact("moved", format!("by {}: {}", moved.who, moved.reason));
    Box::new(
        diagnostic
            .help(format!("name that place in the stack (`state = {}`), so that everybody works there", moved.place))
            .help("to come back, set `state` as you want it and run `stackwright state migrate --from` the other place"),
    )
}

/// The lease went to somebody else while the run was going on.
pub fn lost(environment: &str, run: u64, taken: Option<&Taken>) -> Box<Diagnostic> {
    let how = match taken {
        None => "its lock was released or taken over".to_owned(),
        Some(Taken { by: 0, who, reason }) => format!("{who} released its lock: {reason}"),
        Some(Taken { by, who, reason }) => format!("run {by} by {who} took it over: {reason}"),
    };
    Box::new(
        Code::Locked
            .error(format!("run {run} no longer holds {environment}: {how}"))
            .note("this run writes and calls nothing more; calls that were under way are found again by the next run")
            .help("`stackwright status` shows what it left; then `stackwright apply` carries on"),
    )
}

/// `3 min 12 s`, `4 s`.
fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}
