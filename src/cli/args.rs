//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::terminal::ColorChoice;

/// Describes and runs infrastructure: `.stack` files become a plan, a plan becomes resources and a log that can be verified.
#[derive(Parser, Debug)]
#[command(
    name = "stackwright",
    version,
    disable_help_subcommand = true,
    override_usage = "stackwright [OPTIONS] <COMMAND>",
    before_help = "Examples:\n  stackwright check                          every mistake of the stack in this directory\n  \
                   stackwright plan --env staging             what would change, and why\n  \
                   stackwright apply --env staging            the same, and does it\n  \
                   stackwright apply --env staging --sim      on simulated clouds: no account needed\n  \
                   stackwright status --env staging           what there is",
    after_help = "Exit codes: 0 done, 1 failed and nothing changed, 2 differences (--detailed-exitcode, fmt --check),\n3 the source \
                  has errors, 4 refused, 5 stale plan, 6 locked, 7 failed part-way, 64 wrong usage, 70 a bug of ours, 130 interrupted"
)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Debug, Clone)]
pub struct Global {
    /// The environment to work on
    #[arg(long, short = 'e', global = true, value_name = "ENV", env = "STACKWRIGHT_ENV")]
    pub env: Option<String>,
    /// The directory of the stack
    #[arg(short = 'C', global = true, value_name = "DIR", default_value = ".", hide_default_value = true)]
    pub dir: PathBuf,
    /// Simulated clouds over HTTP on this machine; with a URL those of a running `stackwright sim`
    #[arg(long, global = true, value_name = "URL", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub sim: Option<String>,
    /// The result as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The result as JSON into a file, and as text on the screen
    #[arg(long, global = true, value_name = "FILE")]
    pub json_to: Option<PathBuf>,
    /// Results and errors only
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Plans in full, as `--full`
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    #[arg(long, global = true, value_enum, default_value = "auto", hide_default_value = true, hide_short_help = true)]
    pub color: ColorChoice,
    /// Labels and values, no symbols or boxes
    #[arg(long, global = true, env = "STACKWRIGHT_PLAIN", hide_short_help = true)]
    pub plain: bool,
    /// Never ask
    #[arg(long, global = true, hide_short_help = true)]
    pub no_input: bool,
    /// Give up after this long
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub timeout: Option<Duration>,
    /// Wait this long for somebody else's apply of the same resources
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub lock_wait: Option<Duration>,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Find every mistake of the program
    Check(CheckArgs),
    /// Run the tests of the stack, on simulated clouds and without network
    Test(TestArgs),
    /// Fetch what the stack imports from other repositories, and pin it in `stack.lock`
    Fetch(FetchArgs),
    /// Lay out the source in its one form
    Fmt(FmtArgs),
    /// Put right what `check` is sure about, and show what changed
    Fix(FixArgs),
    /// Show what would change, and why
    Plan(PlanArgs),
    /// Make a plan and do it, or do a plan that was made before
    Apply(ApplyArgs),
    /// Destroy everything that this stack has in an environment
    Destroy(DestroyArgs),
    /// Give a secret another value, and update whatever uses it
    Rotate(RotateArgs),
    /// Take over something that exists: it becomes the resource at an address
    Adopt(AdoptArgs),
    /// Stop managing what is at an address, and leave the objects alone
    Forget(ForgetArgs),
    /// What there is, and what is interrupted or owed
    Status,
    /// A plan, a revision, or a resource with all its attributes
    Show(ShowArgs),
    /// Where a value comes from, step by step
    Why(WhyArgs),
    /// What an expression is worth in the stack's scope
    Eval(EvalArgs),
    /// The outputs of an environment
    Output(OutputArgs),
    /// What depends on what
    Graph(GraphArgs),
    /// What was applied to an environment, and what was done to its log, newest first
    History(HistoryArgs),
    /// What changed between two revisions
    Diff(DiffArgs),
    /// Who last changed each attribute of a resource, when, and from which line
    Blame(BlameArgs),
    /// Check that the log was not altered and that the state is what it says
    Verify(VerifyArgs),
    /// Who can open the secrets of an environment's state, and with which key they are sealed
    Key(KeyArgs),
    /// Look into the stored state
    State(StateArgs),
    /// Show which runs hold what, and free what a run holds that is gone
    Lock(LockArgs),
    /// What there is to write: kinds, types, resources, functions, each with its fields
    Docs(DocsArgs),
    /// What a code means, with a wrong and a right example
    Explain(ExplainArgs),
    /// Serve the simulated clouds until Ctrl-C
    Sim(SimArgs),
    /// Completions for a shell
    Completions(CompletionsArgs),
    /// The version of this program
    Version,
}

#[derive(Args, Debug)]
pub struct FetchArgs {
    /// Pin what is there now: moved tags, and the standard library of this program
    #[arg(long)]
    pub update: bool,
}

#[derive(Args, Debug)]
pub struct CheckArgs {
    #[arg(long, value_enum, default_value = "text")]
    pub format: CheckFormat,
    /// Check again after every change of a file, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum CheckFormat {
    Text,
    Json,
    Github,
    Sarif,
}

#[derive(Args, Debug)]
pub struct TestArgs {
    /// Only tests whose name has this in it, or `*` for any text; `FILE` or `FILE:LINE` names them by their place
    #[arg(value_name = "FILTER")]
    pub filters: Vec<String>,
    /// Name the tests, and run none
    #[arg(long)]
    pub list: bool,
    /// Also which kinds, clauses, branches and outputs of the directory's components no test has expanded
    #[arg(long)]
    pub coverage: bool,
    /// The results as JUnit's XML into a file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Tests at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub parallel: Option<u32>,
}

#[derive(Args, Debug)]
pub struct FmtArgs {
    /// Files, and directories with all that is in them; the stack's own if none is named; `-` reads stdin and writes stdout
    pub files: Vec<PathBuf>,
    /// Only items with one of these lines, the first and the last, of one file
    #[arg(long, value_name = "FIRST:LAST", value_parser = lines)]
    pub range: Option<std::ops::RangeInclusive<u32>>,
    /// Write nothing; exit 2 if a file is not in its form
    #[arg(long)]
    pub check: bool,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub diff: bool,
}

#[derive(Args, Debug)]
pub struct FixArgs {
    /// Only mistakes with these codes, such as SW0201
    #[arg(value_name = "CODE")]
    pub codes: Vec<String>,
    /// Show what would change, and write nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What the program gets from outside.
#[derive(Args, Debug, Clone, Default)]
pub struct GivenArgs {
    /// The value of an input
    #[arg(long = "input", value_name = "NAME=VALUE")]
    pub inputs: Vec<String>,
    /// Inputs as a JSON object
    #[arg(long, value_name = "FILE")]
    pub input_file: Vec<PathBuf>,
    /// The value of a secret, in a file that only you can read (mode 0600)
    #[arg(long = "secret-file", value_name = "NAME=FILE")]
    pub secret_files: Vec<String>,
    /// Read the value of a secret from stdin
    #[arg(long, value_name = "NAME")]
    pub secret_stdin: Vec<String>,
    /// The value of a secret is what this command prints; no shell runs it
    #[arg(long = "secret-command", value_name = "NAME=COMMAND")]
    pub secret_commands: Vec<String>,
    /// Whoever writes a secret here is told what it costs.
    #[arg(long = "secret", value_name = "NAME=VALUE", hide = true)]
    pub secret_values: Vec<String>,
}

#[derive(Args, Debug, Clone, Default)]
pub struct ScopeArgs {
    /// Only resources that match, and what they need; `*` within a segment, `**` across
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    /// Replace this resource
    #[arg(long, value_name = "ADDRESS")]
    pub replace: Vec<String>,
    /// Plan from records, without asking the platforms
    #[arg(long)]
    pub offline: bool,
}

#[derive(Args, Debug)]
pub struct PlanArgs {
    #[command(flatten)]
    pub given: GivenArgs,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Write the plan to a file, for `apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Exit 2 if there is anything to change
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Plan to destroy everything
    #[arg(long)]
    pub destroy: bool,
    /// Also what stays the same, and every attribute of what is made
    #[arg(long)]
    pub full: bool,
}

#[derive(Args, Debug, Clone, Default)]
pub struct ConsentArgs {
    /// Do it without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Confirm the loss of what this resource holds
    #[arg(long, value_name = "ADDRESS")]
    pub allow_destroy: Vec<String>,
    /// Calls at once, for each provider
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub parallel: Option<u32>,
}

#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// A plan's id, or the file that `plan --out` wrote
    pub plan: Option<String>,
    #[command(flatten)]
    pub given: GivenArgs,
    #[command(flatten)]
    pub scope: ScopeArgs,
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[arg(long)]
    pub full: bool,
}

#[derive(Args, Debug)]
pub struct DestroyArgs {
    #[command(flatten)]
    pub given: GivenArgs,
    /// Only resources that match, and what needs them
    #[arg(long, value_name = "GLOB")]
    pub only: Vec<String>,
    #[command(flatten)]
    pub consent: ConsentArgs,
}

#[derive(Args, Debug)]
pub struct RotateArgs {
    /// `session_key`, or the address of a component's: `database.main/secret.password`
    pub secret: String,
    #[command(flatten)]
    pub given: GivenArgs,
    #[command(flatten)]
    pub consent: ConsentArgs,
    #[arg(long)]
    pub full: bool,
}

#[derive(Args, Debug)]
pub struct AdoptArgs {
    /// The resource of the program that it becomes, such as `service.api/fly.app.app`
    pub address: String,
    /// What the platform calls it
    pub id: String,
    #[command(flatten)]
    pub given: GivenArgs,
    #[command(flatten)]
    pub consent: ConsentArgs,
}

#[derive(Args, Debug)]
pub struct ForgetArgs {
    /// A resource, or an instance with everything in it
    pub address: String,
    /// Why, for those who read the log
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Args, Debug)]
pub struct ShowArgs {
    /// A plan's id or file, the number of a revision, or an address
    pub what: String,
    #[arg(long)]
    pub full: bool,
}

#[derive(Args, Debug)]
pub struct WhyArgs {
    /// `ADDRESS` or `ADDRESS.field`
    pub what: String,
    #[command(flatten)]
    pub given: GivenArgs,
}

#[derive(Args, Debug)]
pub struct EvalArgs {
    /// Such as `service.api.url` or `[for d in database : d.host]`
    #[arg(value_name = "EXPR", allow_negative_numbers = true)]
    pub expression: String,
    /// Show its type, not its value
    #[arg(long)]
    pub r#type: bool,
    #[command(flatten)]
    pub given: GivenArgs,
}

#[derive(Args, Debug)]
pub struct OutputArgs {
    /// One output, printed bare
    pub name: Option<String>,
    /// Print a secret output; needs its name
    #[arg(long, requires = "name")]
    pub reveal: bool,
}

#[derive(Args, Debug)]
pub struct GraphArgs {
    #[arg(long, value_enum, default_value = "tree")]
    pub format: GraphFormat,
    /// Only this instance or resource and its neighbours
    #[arg(long, value_name = "ADDRESS")]
    pub focus: Option<String>,
    /// How many steps around the focus
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub depth: u32,
    /// One node an instance, not one a resource
    #[arg(long)]
    pub instances: bool,
    #[command(flatten)]
    pub given: GivenArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum GraphFormat {
    Tree,
    Dot,
    Mermaid,
    Svg,
    Json,
}

#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// Only revisions that touched a matching address
    #[arg(long, value_name = "GLOB")]
    pub address: Option<String>,
    /// At most this many
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

#[derive(Args, Debug)]
pub struct DiffArgs {
    /// `A..B`: two revisions
    pub range: String,
}

#[derive(Args, Debug)]
pub struct BlameArgs {
    pub address: String,
}

#[derive(Args, Debug)]
pub struct StateArgs {
    #[command(subcommand)]
    pub command: StateCommand,
}

#[derive(Subcommand, Debug)]
pub enum StateCommand {
    /// All addresses that state holds
    List {
        /// Only those that match
        glob: Option<String>,
    },
    /// Give what is recorded at an address, and inside of it, another one
    Mv {
        from: String,
        to: String,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Throw the derived view away and make it again from the log
    Rebuild,
    /// Seal every secret that state holds under the current data key; history keeps what it has
    Rewrap {
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Write the whole log as one file, to carry it elsewhere; secrets stay sealed
    Export {
        /// The file; stdout if none is named
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put an export where nothing was ever applied
    Import {
        file: PathBuf,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Move the state to the store that the stack asks for now; the old one is closed, and nothing of it is deleted
    Migrate {
        /// Where it was, as the stack said it: `local {}`, `s3 { bucket = "acme-state" }`
        #[arg(long, value_name = "STORE")]
        from: String,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Write the log and a snapshot as one file, read back before it is believed
    Backup {
        /// The file; `.stackwright/backups/…` if none is named
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Put a backup in the place of a log that is damaged, gone or shorter; what is there is kept aside
    Restore {
        file: PathBuf,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Args, Debug)]
pub struct KeyArgs {
    #[command(subcommand)]
    pub command: KeyCommand,
}

#[derive(Subcommand, Debug)]
pub enum KeyCommand {
    /// Make an identity of your own, in a file that only you can read, and print its recipient for `key add`
    New {
        /// Where to; `~/.config/stackwright/identity` if none is named. A file that is there already is never written over
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Make a key that signs revisions instead, in OpenSSH's form; `~/.config/stackwright/signing` if no file is named
        #[arg(long)]
        sign: bool,
    },
    /// The data keys of the state, whom each is wrapped for, and which of them can be opened here
    List,
    /// Let somebody else open the state's secrets, or let a key sign its revisions; recorded in the log
    Add {
        /// What `key new` printed (`age1…`), or `passphrase`; or a public key that signs (`"ssh-ed25519 AAAA…"`)
        recipient: String,
        /// What it is called in `key list`, such as `ada` or `ci`
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
    /// Seal new values under a new data key, which this one cannot open; or let a key sign no longer. Recorded in the log
    Remove {
        /// As `key list` shows it
        name: String,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The key that signs, where somebody of that name opens secrets as well
        #[arg(long)]
        sign: bool,
    },
    /// Seal new values under a new data key, for the same recipients; recorded in the log
    Rotate {
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Args, Debug)]
pub struct VerifyArgs {
    /// A head that the log has to extend: `NUMBER:HASH` as `verify` prints it, `git` for all git notes, or a file that holds heads
    #[arg(long, value_name = "ANCHOR")]
    pub since: Option<String>,
    /// Who may sign first, in the form of ssh's `allowed_signers`; without it the first signer of the log is believed
    #[arg(long, value_name = "FILE")]
    pub signers: Option<PathBuf>,
    /// Verify a file that `state export` or `state backup` wrote instead; needs neither the store nor its key
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Write the head down where the store cannot reach it, if all holds: `git` for a note of this commit, or a file
    #[arg(long, value_name = "git|FILE")]
    pub anchor: Option<String>,
}

#[derive(Args, Debug)]
pub struct LockArgs {
    #[command(subcommand)]
    pub command: LockCommand,
}

#[derive(Subcommand, Debug)]
pub enum LockCommand {
    /// The runs that hold something: who, since when, whether they live, how far they are
    Show,
    /// End the hold of a run that is gone; what it still writes is void. Recorded in the log
    Release {
        /// The number of the run, as `status` shows it
        #[arg(long, value_name = "N")]
        run: u64,
        /// Why, for those who read the log
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

#[derive(Args, Debug)]
pub struct DocsArgs {
    /// A kind, type, resource, provider or function, such as `service` or `fly.machine`; `kinds` for all kinds; everything if
    /// none is named
    pub name: Option<String>,
    /// As Markdown
    #[arg(long)]
    pub markdown: bool,
}

#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// A code such as SW0201; `functions` for all functions of the language; all codes if none is named
    pub code: Option<String>,
}

#[derive(Args, Debug)]
pub struct SimArgs {
    /// Only these providers
    pub providers: Vec<String>,
    /// The port on 127.0.0.1; a free one if none is named
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
    /// Where the clouds keep what they hold; in memory if not named
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Faults to inject, as JSON
    #[arg(long, value_name = "FILE")]
    pub faults: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// `10:20`
fn lines(text: &str) -> Result<std::ops::RangeInclusive<u32>, String> {
    let wrong = || format!("`{text}` is no range of lines; write such as 10:20");
    let (first, last) = text.split_once(':').ok_or_else(wrong)?;
    let (first, last): (u32, u32) = (first.parse().map_err(|_| wrong())?, last.parse().map_err(|_| wrong())?);
    if first == 0 || last < first { Err(wrong()) } else { Ok(first..=last) }
}

/// `90s`, `5m`, `1h30m`: the language's own durations.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; write one such as 30s, 5m or 1h30m");
    let (mut rest, mut nanos) = (text, 0i64);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let length =
            crate::model::units::DURATION_UNITS.iter().find(|(unit, _)| *unit == &rest[digits..unit_end]).ok_or_else(wrong)?.1;
        nanos = number.checked_mul(length).and_then(|it| nanos.checked_add(it)).ok_or_else(wrong)?;
        rest = &rest[unit_end..];
    }
    if nanos == 0 { Err(wrong()) } else { Ok(Duration::from_nanos(nanos as u64)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn durations_are_those_of_the_language() {
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "5", "m", "5 m", "-5m", "0s", "99999999999999999w"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
