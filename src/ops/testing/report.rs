//! What came of the tests of a stack.

use std::sync::Arc;
use std::time::Duration;

use super::coverage::Coverage;
use crate::model::{Diagnostic, Name, Sources, Span};

/// All tests that were run, in the order of the source.
pub struct Report {
    /// Empty in a directory of components.
    pub stack: String,
    pub results: Vec<TestResult>,
    /// Tests that no filter named.
    pub left_out: usize,
    pub took: Duration,
    pub coverage: Coverage,
    /// The texts of the program.
    pub sources: Arc<Sources>,
}

pub struct TestResult {
    pub name: Name,
    pub environment: String,
    /// The test's head.
    pub span: Span,
    pub steps: Vec<StepResult>,
    /// Empty where it passed.
    pub problems: Vec<Problem>,
    pub took: Duration,
}

/// A step that was done.
pub struct StepResult {
    /// None: the test is its one step.
    pub name: Option<Name>,
    /// `check`, `plan`, `apply` or `destroy`.
    pub act: &'static str,
    /// How many expectations held, and how many there are.
    pub held: usize,
    pub expectations: usize,
    pub took: Duration,
}

/// One thing that was not as the test says.
pub struct Problem {
    /// The step that it happened in; none for what the test says outside of its steps.
    pub step: Option<Name>,
    /// An expectation does not hold; else the step, or the test, went wrong by itself.
    pub missed: bool,
    pub diagnostic: Diagnostic,
    /// Texts that the diagnostic points into.
    pub sources: Arc<Sources>,
}

impl TestResult {
    pub fn passed(&self) -> bool {
        self.problems.is_empty()
    }

    /// Whether something went wrong that is no expectation.
    pub fn broke(&self) -> bool {
        self.problems.iter().any(|it| !it.missed)
    }
}

impl Report {
    pub fn failed(&self) -> usize {
        self.results.iter().filter(|it| !it.passed()).count()
    }
}
