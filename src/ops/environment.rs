//! Which environment a command means.

use crate::lang::program::{Environment, Program};
use crate::model::{Code, Diagnostic};

/// The environment that was named, or the only one.
///
/// Errors: [`Code::UnknownEnvironment`].
pub fn choose<'p>(program: &'p Program, named: Option<&str>) -> Result<&'p Environment, Box<Diagnostic>> {
    let names: Vec<&str> = program.environments.iter().map(|it| &*it.name).collect();
    let list = names.iter().map(|it| format!("`{it}`")).collect::<Vec<_>>().join(", ");
    match (named, &program.environments[..]) {
        (Some(name), all) => all.iter().find(|it| &*it.name == name).ok_or_else(|| {
            let text = format!("the stack has no environment `{name}`");
            let near = super::nearest(name, names.iter().copied())
                .map(|it| format!("an environment with a similar name exists: `{it}`"));
            let all = (!names.is_empty()).then(|| format!("it has {list}"));
            let none = names.is_empty().then(|| format!("declare it: `environment {name} {{ on = local }}`"));
            Box::new(Code::UnknownEnvironment.error(text).helps(near).helps(all).helps(none))
        }),
        (None, [only]) => Ok(only),
        (None, []) => Err(Box::new(
            Code::UnknownEnvironment
                .error(format!("the stack `{}` has no environment", program.stack.name))
                .help("declare one: `environment local { on = local }`"),
        )),
        (None, _) => Err(Box::new(
            Code::UnknownEnvironment
                .error("the stack has several environments, and none was named")
                .help(format!("write `--env NAME`, with one of {list}")),
        )),
    }
}
