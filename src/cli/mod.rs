//! The command line: arguments in, text or JSON and an exit code out. One file a command; everything that decides lies in `ops`.

pub mod args;
mod ask;
mod commands;
pub mod diff;
mod draw;
pub mod escape;
mod exit;
mod json;
mod junit;
pub mod manual;
mod notices;
mod output;
pub mod plan_text;
mod progress;
pub mod report;
mod sarif;
mod signals;
pub mod terminal;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use args::{Cli, Global};
use exit::Exit;
use output::Output;

use crate::ops::settings::{Clouds, Settings, absolute};
use crate::world::World;

/// Runs the command of the process's own arguments.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(with_nearest_flag(error)),
    };
    let place = std::sync::Arc::new(std::sync::Mutex::new(None));
    let seen = place.clone();
    std::panic::set_hook(Box::new(move |info| {
        // Only the place: a message of a panic may hold anything.
        *seen.lock().unwrap_or_else(|it| it.into_inner()) = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
    }));
    // The checker walks deep trees: a thread of its own has the stack for it.
    let runner = std::thread::Builder::new().stack_size(64 << 20).spawn(move || run(cli));
    match runner.expect("a thread can be started").join() {
        Ok(exit) => ExitCode::from(exit as u8),
        Err(_) => {
            let place = place.lock().unwrap_or_else(|it| it.into_inner()).clone().unwrap_or_default();
            bug(&place)
        }
    }
}

fn run(cli: Cli) -> Exit {
    let Cli { global, command } = cli;
    let output = Output::new(&global, variable);
    let settings = settings(&global, &output);
    commands::run(command, &global, &settings, &output)
}

fn settings(global: &Global, output: &Output) -> Settings {
    let telling = output.clone();
    Settings {
        dir: absolute(&global.dir),
        clouds: match &global.sim {
            None => Clouds::Real,
            Some(url) if url.is_empty() => Clouds::Simulated,
            Some(url) => Clouds::SimulatedAt(url.trim_end_matches('/').to_owned()),
        },
        world: World::real(),
        variable: Arc::new(variable),
        variables: Arc::new(variables),
        ask: ask::can_ask(output).then(|| Arc::new(ask::hidden) as crate::ops::settings::Ask),
        parallel: None,
        tell: Arc::new(move |line| telling.notice(line)),
    }
}

#[allow(clippy::disallowed_methods, reason = "the command line is where variables of the environment come in")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[allow(clippy::disallowed_methods, reason = "the command line is where variables of the environment come in")]
fn variables(begin: &str) -> Vec<(String, String)> {
    let all = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut all: Vec<_> = all.filter(|(name, _)| name.starts_with(begin)).collect();
    all.sort();
    all
}

/// Names the flag of that command which is nearest to one that does not exist, where clap finds none: `--evn` is two slips from
/// `--env`.
fn with_nearest_flag(mut error: clap::Error) -> clap::Error {
    let Some(ContextValue::String(wrong)) = error.get(ContextKind::InvalidArg) else { return error };
    if error.kind() != ErrorKind::UnknownArgument || error.get(ContextKind::SuggestedArg).is_some() {
        return error;
    }
    let root = <Cli as clap::CommandFactory>::command();
    let mut command = &root;
    for argument in std::env::args_os().skip(1) {
        command = command.find_subcommand(&argument).unwrap_or(command);
    }
    let flags = root.get_arguments().filter(|it| it.is_global_set()).chain(command.get_arguments());
    let flags: Vec<String> = flags.filter_map(|it| Some(format!("--{}", it.get_long()?))).collect();
    if let Some(near) = crate::ops::nearest(wrong, flags.iter().map(String::as_str)).map(str::to_owned) {
        error.insert(ContextKind::SuggestedArg, ContextValue::String(near));
    }
    error
}

/// Help and versions go out as they are; everything else that clap says is wrong usage.
fn usage(error: clap::Error) -> ExitCode {
    let _ = error.print();
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::from(Exit::Done as u8),
        _ => ExitCode::from(Exit::Usage as u8),
    }
}

/// A broken promise of our own: says so, and leaves a report without anything of the user's in it.
fn bug(place: &str) -> ExitCode {
    let path = std::env::temp_dir().join(format!("stackwright-bug-{}.txt", std::process::id()));
    let report = format!(
        "stackwright {}\nat {place}\non {} {}\n",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    let kept = crate::ops::files::write_whole(&path, report.as_bytes(), 0o600).is_ok();
    eprintln!("error: stackwright broke one of its own promises at {place}; this is a bug of ours");
    eprintln!("   = state: what was done is in the log; `stackwright status` tells, `stackwright apply` carries on");
    if kept {
        eprintln!("   = report: {}, without any of your values", path.display());
    }
    ExitCode::from(Exit::Bug as u8)
}
