//! One test, from its first step to its last expectation.

use std::sync::Arc;

use super::coverage::Seen;
use super::expect::{self, Looked};
use super::report::{Problem, StepResult, TestResult};
use super::sandbox::{Done, TestWorld};
use super::setting::told;
use crate::expand::rules::Finished;
use crate::lang::program::{Act, Body, Program, Rule, Step, Test};
use crate::model::{Code, Diagnostic, Name, Sources};
use crate::ops::desired::{Answers, judged};
use crate::ops::environment;
use crate::ops::project::Failure;
use crate::ops::settings::Settings;

/// Runs a test; never fails as a whole.
pub fn run(settings: &Settings, program: &Arc<Program>, sources: &Arc<Sources>, test: &Test) -> (TestResult, Seen) {
    let started = settings.world.clock.elapsed();
    let first = test.steps.first().and_then(|step| step.setting.environment.as_ref());
    let mut result = TestResult {
        name: test.name.clone(),
        environment: first.map_or_else(String::new, |(name, _)| name.to_string()),
        span: test.span,
        steps: Vec::new(),
        problems: Vec::new(),
        took: Default::default(),
    };
    let mut running = Running { settings, program, sources, test, result: &mut result, seen: Seen::default() };
    match running.environment_of(0) {
        Err(diagnostic) => running.problem(None, *diagnostic),
        Ok(environment) => {
            let mut world = TestWorld::new(settings, &test.name, &environment, program.clone(), sources.clone());
            running.result.environment = environment;
            let clock = world.clock.clone();
            if clock.run(running.steps(&mut world)).is_err() {
                let stuck = Code::Limit.error("the test waits for something that never comes").label(test.span, "never ends");
                running.problem(None, stuck.note("this is a bug of ours: please report it with the test"));
            }
        }
    }
    let seen = running.seen;
    result.took = settings.world.clock.elapsed().saturating_sub(started);
    (result, seen)
}

struct Running<'t> {
    settings: &'t Settings,
    program: &'t Arc<Program>,
    sources: &'t Arc<Sources>,
    test: &'t Test,
    result: &'t mut TestResult,
    seen: Seen,
}

impl Running<'_> {
    /// The environment of a step.
    fn environment_of(&self, step: usize) -> Result<String, Box<Diagnostic>> {
        let setting = self.test.steps.get(step).map(|step| &step.setting);
        let named = setting.and_then(|it| it.environment.as_ref()).map(|(name, _)| &**name);
        let chosen = environment::choose(self.program, named).map(|it| it.name.to_string());
        chosen.map_err(|mut diagnostic| {
            diagnostic.labels = vec![(self.test.span, "runs in none".into())];
            diagnostic.help.retain(|help| !help.contains("--env"));
            let names: Vec<String> = self.program.environments.iter().map(|it| format!("`{}`", it.name)).collect();
            Box::new(diagnostic.help(format!("write `environment = NAME` in it, with one of {}", names.join(", "))))
        })
    }

    /// All steps, until one does not come out as the test says: what follows would only be a consequence.
    async fn steps(&mut self, world: &mut TestWorld) {
        let count = self.test.steps.len();
        for (at, step) in self.test.steps.iter().enumerate() {
            let rules: Vec<&[Rule]> = match at + 1 == count {
                true => vec![&step.rules, &self.test.rules],
                false => vec![&step.rules],
            };
            let started = self.settings.world.clock.elapsed();
            let before = self.result.problems.len();
            let (held, expectations) = self.step(world, at, step, &rules).await;
            self.result.steps.push(StepResult {
                name: step.name.clone(),
                act: word(step.act),
                held,
                expectations,
                took: self.settings.world.clock.elapsed().saturating_sub(started),
            });
            if self.result.problems.len() > before {
                return;
            }
        }
    }

    /// Does a step, and gives how many of its expectations held, and how many there were.
    async fn step(&mut self, world: &mut TestWorld, at: usize, step: &Step, rules: &[&[Rule]]) -> (usize, usize) {
        let name = step.name.clone();
        let environment = match self.environment_of(at) {
            Ok(environment) => environment,
            Err(diagnostic) => {
                self.problem(name, *diagnostic);
                return (0, 0);
            }
        };
        let program = match &step.setting.given {
            Some(given) => Arc::new(instead(self.program, &given.body)),
            None => self.program.clone(),
        };
        world.enter(&environment, program);
        let wrong = step.setting.given.as_ref().map(|given| &given.errors).filter(|errors| !errors.is_empty());
        let done = match (wrong, told(&world.workspace, &step.setting)) {
            (_, Err(failure)) => {
                self.failure(name, failure);
                return (0, 0);
            }
            (Some(errors), _) => Done { errors: errors.clone(), sources: self.sources.clone(), ..Done::default() },
            (None, Ok(told)) => world.act(step.act, told).await,
        };
        let looked = match self.look(world, step, &done, rules).await {
            Ok(looked) => looked,
            // What keeps the program from being looked at is what the step has said already.
            Err(_) if !done.errors.is_empty() => expect::without_program(rules),
            Err(failure) => {
                self.failure(name, failure);
                return (0, 0);
            }
        };
        let unexpected = expect::unexpected(&done.errors, &looked);
        let failed = !unexpected.is_empty();
        for diagnostic in unexpected {
            let doing = format!("{} in {}", word(step.act), world.workspace.environment);
            let doing = step.name.as_ref().map_or(doing.clone(), |name| format!("`{name}`, {doing}"));
            let diagnostic = diagnostic.fact("step", doing);
            self.result.problems.push(Problem { step: name.clone(), missed: false, diagnostic, sources: done.sources.clone() });
        }
        let (missed, held) = expect::missed(&done, &looked, word(step.act));
        let expectations = held + missed.len();
        // A step that failed has nothing to show: only whether it was to fail so is said.
        let missed = missed.into_iter().filter(|(is_failure, _)| !failed || *is_failure);
        for (_, diagnostic) in missed {
            self.result.problems.push(Problem { step: name.clone(), missed: true, diagnostic, sources: self.sources.clone() });
        }
        (held, expectations)
    }

    /// Evaluates the expectations over what the step left behind.
    async fn look(&mut self, world: &TestWorld, step: &Step, done: &Done, rules: &[&[Rule]]) -> Result<Looked, Failure> {
        if done.plan.is_none() && !done.errors.is_empty() {
            return Ok(expect::without_program(rules));
        }
        let workspace = &world.workspace;
        let connections = workspace.connections().await?;
        let finished = Finished {
            plan: done.plan.as_ref(),
            records: &workspace.state.view().records,
            applied: done.applied,
            destroy: step.act == Act::Destroy,
        };
        let seen = &mut self.seen;
        judged(workspace, &connections, &mut Answers::new(), finished, |names| {
            seen.add(names.desired());
            expect::look(names, rules, self.sources)
        })
        .await
    }

    fn failure(&mut self, step: Option<Name>, failure: Failure) {
        for diagnostic in failure.diagnostics {
            self.result.problems.push(Problem {
                step: step.clone(),
                missed: false,
                diagnostic,
                sources: failure.sources.clone(),
            });
        }
    }

    fn problem(&mut self, step: Option<Name>, diagnostic: Diagnostic) {
        self.result.problems.push(Problem { step, missed: false, diagnostic, sources: self.sources.clone() });
    }
}

fn word(act: Act) -> &'static str {
    match act {
        Act::Check => "check",
        Act::Plan => "plan",
        Act::Apply => "apply",
        Act::Destroy => "destroy",
    }
}

/// The program with these items in place of its own: what it says of items that were there before goes with them.
fn instead(program: &Program, body: &Body) -> Program {
    Program { body: body.clone(), moved: Vec::new(), adopt: Vec::new(), forget: Vec::new(), ..program.clone() }
}
