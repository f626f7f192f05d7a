//! Which tests a command names.

use crate::lang::program::{Program, Test};
use crate::model::{Code, Diagnostic, Sources};
use crate::providers::sim::glob;

/// Places of the tests that any filter names. A filter is a part of a name, in which `*` stands for any text, or a place:
/// `shop.stack`, or `shop.stack:80` for the test that has this line.
///
/// Errors: [`Code::Usage`] for a filter that names none, with the nearest name; [`Code::UnknownEnvironment`].
pub fn choose(
    program: &Program,
    sources: &Sources,
    environment: Option<&str>,
    filters: &[String],
) -> Result<Vec<usize>, Box<Diagnostic>> {
    if environment.is_some() {
        crate::ops::environment::choose(program, environment)?;
    }
    let mut named: Vec<bool> = vec![filters.is_empty(); program.tests.len()];
    for filter in filters {
        let mut fits = by_place(filter, program, sources);
        fits.extend(by_name(filter, program));
        if fits.is_empty() {
            let near = crate::ops::nearest(filter, program.tests.iter().map(|test| &*test.name));
            let near = near.map(|name| format!("a test with a similar name exists: \"{name}\""));
            return Err(Box::new(
                Code::Usage
                    .error(format!("no test is named by `{filter}`"))
                    .helps(near)
                    .help("`stackwright test --list` names all"),
            ));
        }
        fits.into_iter().for_each(|at| named[at] = true);
    }
    let here = |test: &Test| environment.is_none_or(|name| runs_in(test, name));
    Ok((0..program.tests.len()).filter(|at| named[*at] && here(&program.tests[*at])).collect())
}

/// Tests of that file; with a line, the last one that begins there or before.
fn by_place(filter: &str, program: &Program, sources: &Sources) -> Vec<usize> {
    let (file, line) = match filter.rsplit_once(':') {
        Some((file, line)) => match line.parse::<u32>() {
            Ok(line) => (file, Some(line)),
            Err(_) => return Vec::new(),
        },
        None => (filter, None),
    };
    let begins = |test: &Test| sources.place(test.span).filter(|place| *place.file == *file).map(|place| place.line);
    let all = program.tests.iter().enumerate().filter_map(|(at, test)| Some((begins(test)?, at)));
    match line {
        None => all.map(|(_, at)| at).collect(),
        Some(line) => all.filter(|(begins, _)| *begins <= line).max().map(|(_, at)| at).into_iter().collect(),
    }
}

/// Whether any step of it runs in that environment: one that names none runs in the only one.
fn runs_in(test: &Test, environment: &str) -> bool {
    test.steps.iter().any(|step| step.setting.environment.as_ref().is_none_or(|(name, _)| **name == *environment))
}

/// Tests whose name has this in it.
fn by_name<'p>(part: &str, program: &'p Program) -> impl Iterator<Item = usize> + 'p {
    let pattern = format!("*{part}*");
    program.tests.iter().enumerate().filter(move |(_, test)| glob(&pattern, &test.name)).map(|(at, _)| at)
}
