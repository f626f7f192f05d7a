//! The kinds of entries, as the rest of the engine sees them: everything known, secrets open in memory. `wire.rs` beside this
//! file gives them their bytes and seals what is secret.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::key::KeyChange;
use crate::model::value::{Fields, Value};
use crate::model::verdict::{Finding, Level, PolicyResult, Verdict};
use crate::model::{Address, Digest, Name, ProviderName, Record, RecordEdge, RecordId};
use crate::state::contract::{Head, Sequence, StoreId};
use crate::state::sign::{PublicKey, SignatureBytes};

/// 128 random bits that name one mutating call for ever.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OperationId(pub [u8; 16]);

impl OperationId {
    /// What goes into every mark that a platform has: 35 characters of `[a-z0-9-]`.
    pub fn token(&self) -> String {
        let mut token = String::from("sw-");
        self.0.iter().for_each(|byte| token.push_str(&format!("{byte:02x}")));
        token
    }

    /// The id of the record that this operation creates.
    pub fn record(&self) -> RecordId {
        RecordId(self.0)
    }
}

impl std::fmt::Debug for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.token())
    }
}

/// What an entry says.
#[derive(Clone, Debug)]
pub enum Body {
    Genesis(Genesis),
    Lease(Lease),
    /// The holder lives, or leases more: the addresses are added to what it has.
    Renew {
        addresses: Vec<Address>,
    },
    /// A run gives its addresses back.
    Release,
    Takeover(Takeover),
    Intent(Box<Intent>),
    /// The platform took an asynchronous operation on, under this id of its own.
    Accepted {
        operation: OperationId,
        id: String,
    },
    /// A call was throttled or refused before any effect, and will be tried again.
    Attempt {
        operation: OperationId,
        words: String,
    },
    Outcome(Box<Outcome>),
    /// Recovery found out what became of an operation.
    Settled(Box<Settled>),
    /// A change of records that needs no call: a guard, an edge, a move, a forget, an adoption.
    Write(Box<Write>),
    /// A plan was made and published (in CI).
    Plan {
        id: String,
        effects: Digest,
        who: String,
    },
    Approval {
        plan: String,
        effects: Digest,
        who: String,
    },
    /// A run opens a secret.
    Reveal(Revealed),
    /// How a provider instance is reached, as the program says it now: destroying needs no program.
    Provider(ProviderSettings),
    /// A run ends with this.
    Revision(Arc<Revision>),
    /// Who can open the secrets, or under which key they are sealed, is another from here on.
    Key(Box<KeyChange>),
    /// Somebody may sign from here on, or no longer.
    Signer(Box<SignerChange>),
    /// Somebody vouches for a head, and with it for all before it.
    Signature(HeadSignature),
    /// The log was put back from a backup.
    Restore(Restored),
    /// The log was carried here from elsewhere: from now on this store is the one that goes on.
    Import(Carried),
    /// The log goes on in another store: nobody begins a run in this one any more.
    Moved(Carried),
    /// A kind that a newer minor version knows: kept, chained, shown, without effect.
    Other {
        kind: String,
    },
}

impl Body {
    /// The word in the entry's header.
    pub fn kind(&self) -> &str {
        match self {
            Body::Genesis(_) => "genesis",
            Body::Lease(_) => "lease",
            Body::Renew { .. } => "renew",
            Body::Release => "release",
            Body::Takeover(_) => "takeover",
            Body::Intent(_) => "intent",
            Body::Accepted { .. } => "accepted",
            Body::Attempt { .. } => "attempt",
            Body::Outcome(_) => "outcome",
            Body::Settled(_) => "settled",
            Body::Write(_) => "write",
            Body::Plan { .. } => "plan",
            Body::Approval { .. } => "approval",
            Body::Reveal(_) => "reveal",
            Body::Provider(_) => "provider",
            Body::Revision(_) => "revision",
            Body::Key(_) => "key",
            Body::Signer(_) => "signer",
            Body::Signature(_) => "signature",
            Body::Restore(_) => "restore",
            Body::Import(_) => "import",
            Body::Moved(_) => "moved",
            Body::Other { kind } => kind,
        }
    }
}

/// The first entry of a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Genesis {
    pub store: StoreId,
    pub environment: String,
    /// Version of the program that made it.
    pub engine: String,
    /// Of the key that seals its secrets.
    pub key: String,
}

/// A change of the list of those who sign revisions.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignerChange {
    pub action: SignerAction,
    pub key: PublicKey,
    /// What people call the key: `ci`.
    pub name: String,
    pub reason: String,
    pub who: String,
    /// Who agreed, as the list was before, and the signature over this change in its place. The first change may go without.
    pub by: Option<(PublicKey, SignatureBytes)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SignerAction {
    Add,
    Remove,
}

/// A signature over the head that `of` names, which lies before it in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeadSignature {
    pub key: PublicKey,
    pub of: Head,
    pub signature: SignatureBytes,
}

/// Somebody whose signatures count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signer {
    pub name: String,
    /// Place of the entry that added it.
    pub since: Sequence,
    pub who: String,
}

/// What `state restore` did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Restored {
    pub who: String,
    pub reason: String,
    /// Entries that the log had once and that nobody could put back.
    pub lost: u64,
}

/// The log went from one store to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Carried {
    pub who: String,
    pub reason: String,
    /// In words: where from, for `import`; where to, for `moved`.
    pub place: String,
}

/// The settings of a provider instance, all known; secrets among them are sealed.
#[derive(Clone, PartialEq, Debug)]
pub struct ProviderSettings {
    pub name: ProviderName,
    pub settings: Fields,
}

/// A `reveal(x, "reason")` of the program that a run applies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Revealed {
    /// `shop.stack:39:20`.
    pub place: String,
    pub reason: String,
    /// The instance in whose component it stands.
    pub instance: Option<Address>,
    pub who: String,
}

/// A run announces itself. Its sequence is the run's epoch.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lease {
    /// Its number, one more than the run before.
    pub run: u64,
    pub header: RunHeader,
    /// The name under which the store knows whether it lives.
    pub hold: String,
}

/// The lease of another run ends here; what that still writes is void.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Takeover {
    pub run: u64,
    /// Its process was known to be gone: no byte of its calls can leave any more.
    pub gone: bool,
    pub reason: String,
    /// Who took it over or released it, where that is known.
    pub who: Option<String>,
}

/// Who does what, before anything is done.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RunHeader {
    /// The word on the command line: `apply`, `destroy`, `state mv`.
    pub command: String,
    /// `jroy`, or `ci for jroy (PR 128)`.
    pub who: String,
    pub host: String,
    pub pid: u32,
    pub commit: Option<String>,
    pub plan: Option<String>,
    pub effects: Option<Digest>,
    /// What it may write. An address stands for everything inside of it as well; ordered.
    pub addresses: Vec<Address>,
    /// How many changes it means to make, for progress.
    pub changes: u32,
    /// Version of the program.
    pub engine: String,
}

/// One mutating call, written down before it leaves.
#[derive(Clone, Debug)]
pub struct Intent {
    pub operation: OperationId,
    pub address: Address,
    pub kind: Name,
    pub provider: ProviderName,
    /// The outermost instance that it belongs to.
    pub instance: Address,
    pub call: IntentCall,
    /// The word of the planned change: `create`, `update`, `replace`, `destroy`, `run`.
    pub action: Name,
    /// All inputs, complete and known; empty for a delete.
    pub inputs: Fields,
    /// The record that it changes or deletes; `None` for a create.
    pub before: Option<Arc<Record>>,
    /// What it waits for, as its record will say; empty for a delete. With the guard, so that what is found after a crash is
    /// recorded with both.
    pub edges: Vec<RecordEdge>,
    /// The guard of its record.
    pub protect: bool,
    /// As its record will say: how often it was replaced by a new one first, and the values that replace it.
    pub generation: u32,
    pub replace_on: Vec<Value>,
    /// `keyed`, `named`, `tagged`, `put`, `opaque`.
    pub recovery: Name,
    /// How long after the intent a byte of the call may still leave.
    pub not_after: Duration,
    /// Hash of the effect, as in the plan.
    pub effect: Option<Digest>,
    /// Ids that a listing showed before the call, for kinds whose objects cannot be told apart.
    pub ids_before: Vec<String>,
    /// Where the new value of each changed attribute came from: attribute, and place in words (`shop.stack:30:11`).
    pub causes: BTreeMap<Name, String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IntentCall {
    Create,
    Update,
    Delete,
}

/// What became of a call.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub operation: OperationId,
    pub result: OutcomeResult,
    /// How long the call took, with its retries.
    pub took: Duration,
    /// Evidence: one line a request.
    pub requests: Vec<String>,
}

#[derive(Clone, Debug)]
pub enum OutcomeResult {
    /// The operation is over, and this is what state holds from now on.
    Done { writes: Vec<RecordWrite> },
    /// A definite no: nothing changed. `words` are escaped already.
    Failed { code: u16, words: String },
}

/// A change of what state holds.
#[derive(Clone, Debug)]
pub enum RecordWrite {
    /// [`Record::version`] is set by the log; what it holds before does not matter.
    Put(Arc<Record>),
    Remove(Address),
    /// The record makes room for a successor that exists already: it moves to [`crate::state::View::deposed`], and its destroy is
    /// owed. Stands before the `Put` of the successor.
    Depose(Address),
    /// What was owed is done.
    RemoveDeposed {
        address: Address,
        id: RecordId,
    },
    /// The record at `from` gets the address `to`, and stays the same record.
    Move {
        from: Address,
        to: Address,
    },
}

/// How an open intent was settled.
#[derive(Clone, Debug)]
pub struct Settled {
    pub operation: OperationId,
    pub how: Settlement,
    pub writes: Vec<RecordWrite>,
    /// For people.
    pub words: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Settlement {
    /// It had happened; the object is recorded.
    Adopted,
    /// It had not happened.
    Absent,
    /// It was done again under the same token, and succeeded.
    Repeated,
    /// Cannot be told: stays open, and blocks what depends on it.
    Flagged,
}

/// A change of records without a call.
#[derive(Clone, Debug)]
pub struct Write {
    /// `move`, `forget`, `record`, `adopt`, `read`.
    pub action: Name,
    pub writes: Vec<RecordWrite>,
    /// As [`Intent::causes`].
    pub causes: BTreeMap<Name, String>,
    pub reason: Option<String>,
}

/// What closes a run. What changed is not repeated here: the entries of the run say it.
#[derive(Clone, Debug)]
pub struct Revision {
    /// Set by the log: one more than the revision before.
    pub number: u64,
    /// Set by the log.
    pub run: u64,
    /// Set by the log: when it was closed, in milliseconds since 1970.
    pub time_ms: i64,
    pub command: String,
    pub who: String,
    pub commit: Option<String>,
    pub plan: Option<String>,
    pub effects: Option<Digest>,
    pub approved_by: Vec<String>,
    /// Done changes by word: `create`, `update`, …
    pub counts: BTreeMap<Name, u32>,
    pub result: RunResult,
    /// Inputs as shown (a secret is `(secret)`), with the words for where each came from.
    pub inputs: Vec<(Name, String, String)>,
    /// All outputs of the stack after this run.
    pub outputs: Fields,
    /// Version of the program.
    pub engine: String,
    /// Versions of the provider declarations that took part.
    pub providers: BTreeMap<Name, u32>,
    /// What failed: address, number of the code, words (escaped).
    pub failed: Vec<(Address, u16, String)>,
    /// What was not started: address, and why in words.
    pub not_started: Vec<(Address, String)>,
    /// Why, where a person gave a reason.
    pub reason: Option<String>,
    /// What the policies said of the plan, in their order.
    pub policies: Vec<JudgedPolicy>,
}

/// What one policy said of a plan that was applied.
#[derive(Clone, PartialEq, Debug)]
pub struct JudgedPolicy {
    pub policy: Name,
    pub level: Level,
    pub result: PolicyResult,
    pub control: Vec<Name>,
    /// What did not hold, or was not decided: address or nothing, the word of the outcome, the policy's words (escaped).
    pub findings: Vec<(String, String, String)>,
    /// Exceptions that the program made: address or glob, and the reason.
    pub exceptions: Vec<(String, String)>,
}

impl JudgedPolicy {
    pub fn of(verdict: &Verdict) -> JudgedPolicy {
        let finding = |it: &Finding| {
            let address = it.address.as_ref().map(|address| address.to_string()).unwrap_or_default();
            (address, it.outcome.word().to_owned(), it.message.clone())
        };
        JudgedPolicy {
            policy: verdict.policy.clone(),
            level: verdict.level,
            result: verdict.result(),
            control: verdict.control.clone(),
            findings: verdict.findings.iter().map(finding).collect(),
            exceptions: verdict.exceptions.iter().map(|it| (it.pattern.to_string(), it.reason.clone())).collect(),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RunResult {
    Done,
    /// Some changes were made and some not.
    PartWay,
    /// Nothing was changed.
    Failed,
    Interrupted,
    /// A gate failed, and what it guards was put back.
    RolledBack,
}

impl RunResult {
    /// As `history` shows it.
    pub fn word(self) -> &'static str {
        match self {
            RunResult::Done => "ok",
            RunResult::PartWay => "part-way",
            RunResult::Failed => "failed",
            RunResult::Interrupted => "interrupted",
            RunResult::RolledBack => "rolled back",
        }
    }
}
