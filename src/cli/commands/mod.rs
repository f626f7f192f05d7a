//! One file a command.

mod apply;
mod audit;
mod carry;
mod check;
mod docs;
mod eval;
mod fetch;
mod fix;
mod fmt;
mod key;
mod lock;
mod look;
mod plan;
mod signers;
mod sim;
mod small;
mod stored;
mod test;

use super::args::{Command, Global};
use super::exit::Exit;
use super::output::Output;
use crate::model::Code;
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
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be started");
    let result = runtime.block_on(in_time(command, &context));
    // What still runs in the background (a connection that is kept open) is not waited for.
    runtime.shutdown_background();
    result.unwrap_or_else(|failure| output.fail(&failure))
}

/// What only reads is left where it is when its time is over. What changes something ends as after a signal: see `signals`.
async fn in_time(command: Command, context: &Context<'_>) -> Result<Exit, Failure> {
    let ends_itself =
        matches!(command, Command::Apply(_) | Command::Destroy(_) | Command::Rotate(_) | Command::Adopt(_) | Command::Sim(_));
    match context.global.timeout.filter(|_| !ends_itself) {
        None => dispatch(command, context).await,
        Some(limit) => tokio::select! {
            result = dispatch(command, context) => result,
            () = context.settings.world.clock.sleep(limit) => {
                let text = format!("not done after {} s, which is all that `--timeout` gave it", limit.as_secs_f64());
                Ok(context.output.fail_with(Code::Unavailable.error(text)))
            }
        },
    }
}

async fn dispatch(command: Command, context: &Context<'_>) -> Result<Exit, Failure> {
    match command {
        Command::Check(args) => check::run(context, &args).await,
        Command::Test(args) => test::run(context, &args),
        Command::Plan(args) => plan::run(context, &args).await,
        Command::Apply(args) => apply::apply(context, &args).await,
        Command::Destroy(args) => apply::destroy(context, &args).await,
        Command::Rotate(args) => apply::rotate(context, &args).await,
        Command::Graph(args) => look::graph(context, &args).await,
        Command::Why(args) => look::why(context, &args).await,
        Command::Adopt(args) => apply::adopt(context, &args).await,
        Command::Forget(args) => stored::forget(context, &args).await,
        Command::Status => stored::status(context).await,
        Command::Output(args) => stored::output(context, &args).await,
        Command::Key(args) => key::run(context, &args.command).await,
        Command::State(args) => stored::state(context, &args.command).await,
        Command::Lock(args) => lock::lock(context, &args.command).await,
        Command::Eval(args) => eval::run(context, &args).await,
        Command::Explain(args) => small::explain(context, &args),
        Command::Completions(args) => small::completions(context, &args),
        Command::Version => small::version(context),
        Command::Fetch(args) => fetch::run(context, &args).await,
        Command::Fmt(args) => fmt::run(context, &args),
        Command::Docs(args) => docs::run(context, &args),
        Command::Fix(args) => fix::run(context, &args),
        Command::Show(args) => audit::show(context, &args).await,
        Command::History(args) => audit::history(context, &args).await,
        Command::Diff(args) => audit::diff(context, &args).await,
        Command::Blame(args) => audit::blame(context, &args).await,
        Command::Verify(args) => audit::verify(context, &args).await,
        Command::Sim(args) => sim::run(context, &args).await,
    }
}
