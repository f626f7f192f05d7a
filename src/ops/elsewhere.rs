//! Outputs of other stacks, and of other environments of this one: read from their states as they were last applied.

use std::collections::BTreeSet;
use std::path::PathBuf;

use super::settings::Settings;
use super::stores;
use super::workspace::Workspace;
use crate::expand::{Elsewhere, Told};
use crate::lang::program::{Body, Program};
use crate::model::{Code, Diagnostic, Name, Plan};
use crate::plan::{elsewhere_digest, planned};

/// Reads what a program takes from elsewhere. A state that cannot be read is an error of whoever uses it.
pub async fn read(settings: &Settings, program: &Program, environment: &str) -> Elsewhere {
    let mut elsewhere = Elsewhere::default();
    for stack in &program.stacks {
        let name = stack.environment.as_ref().map_or(environment, |(name, _)| name);
        // One that it has not is said where it is read.
        elsewhere.stacks.push(match stack.environments.iter().any(|it| **it == *name) {
            true => told(settings, stack.program.as_deref(), &stack.home, name).await,
            false => Ok(Told::default()),
        });
    }
    let mut names = BTreeSet::new();
    homes(&program.body, &mut names);
    for component in program.components.values() {
        homes(&component.body, &mut names);
        component.clauses.iter().for_each(|clause| homes(&clause.body, &mut names));
    }
    for name in names.into_iter().filter(|name| **name != *environment) {
        let told = told(settings, Some(program), "", &name).await;
        elsewhere.environments.insert(name, told);
    }
    elsewhere
}

/// Environments that instances are `in`.
fn homes(body: &Body, names: &mut BTreeSet<Name>) {
    names.extend(body.instances.iter().filter_map(|it| it.head.in_env.as_ref()).map(|(name, _)| name.clone()));
    for branch in &body.branches {
        homes(&branch.then, names);
        homes(&branch.otherwise, names);
    }
}

/// The outputs that the state of an environment holds. `stack` is the directory of another stack, relative to this one's; empty
/// for this one. `program` is that stack's, and says where its state is.
async fn told(settings: &Settings, program: Option<&Program>, stack: &str, environment: &str) -> Result<Told, Box<Diagnostic>> {
    let dir: PathBuf = settings.dir.join(stack);
    let of = Settings { dir, ..settings.clone() };
    let state = match program {
        Some(program) => stores::open(&of, program, environment).await?,
        None => stores::open_local(&of, environment).await?,
    };
    Ok(Told { revision: state.view().revision, outputs: state.view().outputs.clone() })
}

/// Checks that what a plan was made from is still what the other states hold.
///
/// Errors: [`Code::StalePlan`], naming what changed.
pub async fn check_fits(workspace: &Workspace, plan: &Plan) -> Result<(), Box<Diagnostic>> {
    let digest = workspace.state.digester();
    let mut changed = Vec::new();
    for read in &plan.elsewhere {
        let own = &workspace.project.program;
        let program = match read.stack.is_empty() {
            true => Some(&**own),
            false => own.stacks.iter().find(|it| *it.home == *read.stack).and_then(|it| it.program.as_deref()),
        };
        let told = told(&workspace.settings, program, &read.stack, &read.environment).await?;
        let now = told.outputs.get(&read.output).map(|value| elsewhere_digest(value, &*digest));
        if now != Some(read.digest) {
            changed.push(match read.stack.is_empty() {
                true => format!("`{}` in `{}`", read.output, read.environment),
                false => format!("output `{}` of `{}` in `{}`", read.output, read.stack, read.environment),
            });
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    let message = format!("plan {} does not fit the present state; nothing was changed", plan.id);
    Err(Box::new(
        Code::StalePlan
            .error(message)
            .fact("planned", planned(plan))
            .fact("since", format!("{} changed", changed.join(", ")))
            .help(format!("`stackwright plan --env {}`, then approve the new plan", plan.environment)),
    ))
}
