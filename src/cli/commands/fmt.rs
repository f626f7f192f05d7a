//! `stackwright fmt`.

use serde_json::json;

use super::Context;
use crate::cli::args::FmtArgs;
use crate::cli::escape::Escaped;
use crate::cli::exit::Exit;
use crate::cli::json::document;
use crate::cli::{diff, report};
use crate::ops::fmt::{format_files, write};
use crate::ops::project::Failure;

pub fn run(context: &Context<'_>, args: &FmtArgs) -> Result<Exit, Failure> {
    let files = format_files(context.settings, &args.files, args.range.as_ref())?;
    let output = context.output;
    let changed: Vec<_> = files.iter().filter(|file| file.changes()).collect();
    let names: Vec<_> = changed.iter().map(|file| file.name.as_str()).collect();
    output.document(&document("fmt", json!({"changed": names, "files": files.len()})))?;
    if args.diff {
        changed.iter().for_each(|file| output.text(&diff::unified(&file.name, &file.before, &file.after)));
    } else if args.check {
        changed.iter().for_each(|file| output.text(&format!("{}\n", Escaped(&file.name))));
    } else {
        for file in files.iter().filter(|file| file.path.is_none()) {
            output.raw(&file.after);
        }
        for file in changed.iter().filter(|file| file.path.is_some()) {
            write(file)?;
            output.text(&format!("{}\n", Escaped(&file.name)));
        }
    }
    output.about(&match (changed.len(), args.check || args.diff) {
        (0, _) => format!("{} in form\n", report::count(files.len(), "file")),
        (some, true) => {
            format!("{} of {} not in form; `stackwright fmt` writes them\n", some, report::count(files.len(), "file"))
        }
        (some, false) => format!("{} laid out\n", report::count(some, "file")),
    });
    Ok(if args.check && !changed.is_empty() { Exit::Differences } else { Exit::Done })
}
