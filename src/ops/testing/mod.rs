//! `test`: runs the tests of a program, offline, in this process.
//!
//! The program is read and checked once. Each test then has a world of its own ([`sandbox`]), in which its steps do what the
//! commands of that name do, one after the other; tests know nothing of each other and run side by side.

pub mod coverage;
mod expect;
mod filter;
pub mod report;
mod runner;
pub mod sandbox;
mod setting;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use self::coverage::Seen;
use self::report::{Report, TestResult};
use super::project::{self, Failure};
use super::settings::Settings;
use crate::lang::program::{Program, Test};
use crate::model::Sources;
use crate::providers::registry;

/// How to run tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// Tests at once; `None`: as many as there are processors.
    pub parallel: Option<usize>,
}

/// The tests of a stack, or of a directory of components.
pub struct Suite {
    settings: Settings,
    program: Arc<Program>,
    /// The same without its tests, of which each `given` makes another.
    bare: Arc<Program>,
    sources: Arc<Sources>,
    /// Places of the chosen ones in the program's tests.
    chosen: Vec<usize>,
}

/// The stack that a thread needs for deep programs.
const STACK: usize = 64 << 20;

impl Suite {
    /// Reads and checks the program, and chooses the tests that any filter names; all of them without a filter. With an
    /// environment, only those that run in it.
    ///
    /// Errors: everything that is wrong with the program; [`crate::model::Code::Usage`] for a filter that names no test.
    pub fn load(settings: &Settings, environment: Option<&str>, filters: &[String]) -> Result<Suite, Failure> {
        let schemas = Arc::new(registry::schemas());
        let (checked, _) = project::check_directory(settings, schemas);
        let Some(program) = checked.program else {
            let errors = checked.diagnostics;
            return Err(Failure::new(errors, checked.sources));
        };
        let chosen = filter::choose(&program, &checked.sources, environment, filters);
        let chosen = chosen.map_err(|it| Failure::new(vec![*it], checked.sources.clone()))?;
        let bare = Arc::new(Program { tests: Vec::new(), ..Program::clone(&program) });
        Ok(Suite { settings: settings.clone(), program, bare, sources: checked.sources, chosen })
    }

    pub fn stack(&self) -> &str {
        &self.program.stack.name
    }

    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The chosen tests, in the order of the source.
    pub fn tests(&self) -> impl Iterator<Item = &Test> {
        self.chosen.iter().map(|at| &self.program.tests[*at])
    }

    /// Runs them. `told` hears each result as soon as all before it are there: always in the order of the source.
    pub fn run(&self, request: &Request, told: &mut dyn FnMut(&TestResult)) -> Report {
        let clock = &self.settings.world.clock;
        let started = clock.elapsed();
        let threads = request.parallel.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, Into::into));
        let next = AtomicUsize::new(0);
        let mut waiting: Vec<Option<TestResult>> = self.chosen.iter().map(|_| None).collect();
        let (mut results, mut seen) = (Vec::with_capacity(waiting.len()), Seen::default());
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            for _ in 0..threads.clamp(1, self.chosen.len().max(1)) {
                let (sender, next) = (sender.clone(), &next);
                let work = move || {
                    loop {
                        let turn = next.fetch_add(1, Ordering::Relaxed);
                        let Some(at) = self.chosen.get(turn) else { return };
                        let ran = runner::run(&self.settings, &self.bare, &self.sources, &self.program.tests[*at]);
                        if sender.send((turn, ran)).is_err() {
                            return;
                        }
                    }
                };
                std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).expect("a thread can be started");
            }
            drop(sender);
            while let Ok((turn, (result, covered))) = receiver.recv() {
                seen.merge(covered);
                waiting[turn] = Some(result);
                while let Some(result) = waiting.get_mut(results.len()).and_then(Option::take) {
                    told(&result);
                    results.push(result);
                }
            }
        });
        Report {
            stack: self.stack().to_owned(),
            left_out: self.program.tests.len() - self.chosen.len(),
            results,
            took: clock.elapsed().saturating_sub(started),
            coverage: seen.of(&self.program),
            sources: self.sources.clone(),
        }
    }
}
