//! Which tests a command names.

use crate::lang::program::{Program, Test};
use crate::model::{Code, Diagnostic, Sources};
use crate::providers::sim::glob;

/// Places of the tests that any filter names. A filter is a part of a name, in which `*` stands for any text, or a place:
/// `shop.stack`, or `shop.stack:80` for the test that has this line.
///
/// Errors: [`Code::Usage`] for a filter that names none, with the nearest name.
pub fn choose(
    program: &Program,
    sources: &Sources,
    environment: Option<&str>,
    filters: &[String],
) -> Result<Vec<usize>, Box<Diagnostic>> {
    let named = |filter: &str, test: &Test| {
        by_place(filter, test, sources) || glob(&format!("*{filter}*"), &test.name)
    };
    for filter in filters {
        if !program.tests.iter().any(|test| named(filter, test)) {
            let near = crate::ops::nearest(filter, program.tests.iter().map(|test| &*test.name));
            let near = near.map(|name| format!("a test with a similar name exists: \"{name}\""));
            return Err(Box::new(
                Code::Usage
                    .error(format!("no test is named by `{filter}`"))
                    .helps(near)
                    .help("`stackwright test --list` names all"),
            ));
        }
    }
    let chosen = program.tests.iter().enumerate().filter(|(_, test)| {
        let here = environment.is_none_or(|name| runs_in(test, name));
        here && (filters.is_empty() || filters.iter().any(|filter| named(filter, test)))
    });
    Ok(chosen.map(|(at, _)| at).collect())
}

fn by_place(filter: &str, test: &Test, sources: &Sources) -> bool {
    let Some(place) = sources.place(test.span) else { return false };
    match filter.rsplit_once(':') {
        Some((file, line)) => {
            let line = line.parse().ok();
            *place.file == *file && line.is_some_and(|line: u32| (place.line..=place.end_line).contains(&line))
        }
        None => *place.file == *filter,
    }
}

/// Whether any step of it does.
fn runs_in(test: &Test, environment: &str) -> bool {
    test.steps.iter().any(|step| step.setting.environment.as_ref().is_none_or(|(name, _)| **name == *environment))
}
