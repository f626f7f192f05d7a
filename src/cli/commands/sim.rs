//! `stackwright sim`.

use super::Context;
use crate::cli::args::SimArgs;
use crate::cli::exit::Exit;
use crate::cli::signals;
use crate::ops;
use crate::ops::apply::Stop;
use crate::ops::project::Failure;

pub async fn run(context: &Context<'_>, args: &SimArgs) -> Result<Exit, Failure> {
    let mut stop = signals::listen(context.global.timeout, &context.settings.world);
    let server =
        ops::sim::serve_clouds(context.settings, &args.providers, args.data.as_deref(), args.port, args.faults.as_deref())
            .await?;
    context.output.raw(&format!("simulated clouds at {}\n", server.url()));
    context
        .output
        .about(&format!("journal: {0}/_sim/journal   use them: stackwright plan --sim={0}   Ctrl-C ends\n", server.url()));
    // The channel lives as long as its senders, which listen for ever.
    let _ = stop.wait_for(|stop| *stop != Stop::No).await;
    server.close().await;
    Ok(Exit::Done)
}
