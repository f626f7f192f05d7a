//! One file a command.

mod check;
mod small;

use super::args::{Command, Global};
use super::exit::Exit;
use super::output::Output;
use crate::ops::project::Failure;
use crate::ops::settings::Settings;

/// What a command gets.
pub struct Context<'c> {
    pub global: &'c Global,
    pub settings: &'c Settings,
    pub output: &'c Output,
}

pub fn run(command: Command, global: &Global, settings: &Settings, output: &Output) -> Exit {
    let context = Context { global, settings, output };
    let result = match command {
        Command::Check(args) => check::run(&context, &args),
        Command::Explain(args) => small::explain(&context, &args),
        Command::Completions(args) => small::completions(&context, &args),
        Command::Version => small::version(&context),
        _ => todo_command(),
    };
    result.unwrap_or_else(|failure| output.fail(&failure))
}

fn todo_command() -> Result<Exit, Failure> {
    Ok(Exit::Failed)
}
