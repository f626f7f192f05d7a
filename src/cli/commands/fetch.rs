//! `stackwright fetch`.

use serde_json::json;

use super::Context;
use crate::cli::args::FetchArgs;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json;
use crate::cli::report::count;
use crate::ops;
use crate::ops::project::Failure;

pub async fn run(context: &Context<'_>, args: &FetchArgs) -> Result<Exit, Failure> {
    let done = ops::fetch::fetch(context.settings, args.update).await?;
    let imports: Vec<_> = done.imports.iter().map(|(key, commit)| json!({ "import": key, "commit": commit })).collect();
    context.output.document(&json::document(
        "fetch",
        json!({ "fetched": imports, "dropped": done.dropped, "imports": done.total, "lock_written": done.written }),
    ))?;
    let mut text = String::new();
    for (key, commit) in &done.imports {
        text.push_str(&format!("+ {}  {}\n", Escaped(key), &commit[..12.min(commit.len())]));
    }
    for key in &done.dropped {
        text.push_str(&format!("- {}  is no longer imported\n", Escaped(key)));
    }
    let lock = if done.written { "`stack.lock` is written: keep it in version control" } else { "`stack.lock` is as it was" };
    text.push_str(&format!("ok   {}   {lock}\n", count(done.total, "repository").replace("repositorys", "repositories")));
    context.output.text(&text);
    Ok(Exit::Done)
}
