//! Policies: a finished plan is judged before anybody may apply it.

use super::connections::Connections;
use super::desired::{Answers, judged, judged_offline};
use super::project::Failure;
use super::workspace::Workspace;
use crate::expand::rules::{Finished, Rules};
use crate::model::verdict::{Finding, FindingOutcome};
use crate::model::{Diagnostic, Level, Plan, Verdict};

/// Lets every policy that acts judge a plan; the verdicts go into it. Nothing else of it changes. `reached` are the platforms that
/// may be asked, and what they told when the plan was made: policies see the same.
///
/// Errors: of the program in this environment, and of the platforms whose data it asks for; none where everything is destroyed,
/// which a program that is broken does not prevent: what cannot be judged then is undecided.
pub async fn judge(
    workspace: &Workspace,
    reached: Option<(&Connections, &mut Answers)>,
    plan: &mut Plan,
    destroy: bool,
) -> Result<(), Failure> {
    if workspace.project.program.policies.is_empty() {
        return Ok(());
    }
    let records = &workspace.state.view().records;
    let verdicts = {
        let finished = Finished { plan: Some(plan), records, applied: false, destroy };
        let look = |rules: &Rules<'_, '_>| rules.policies();
        let judged = match reached {
            Some((connections, data)) => judged(workspace, connections, data, finished, look).await,
            None => judged_offline(workspace, finished, look),
        };
        match judged {
            Ok(Ok(verdicts)) => verdicts,
            Ok(Err(_)) | Err(_) if destroy => unjudged(workspace),
            Ok(Err(diagnostics)) => return Err(workspace.failure(diagnostics)),
            Err(failure) => return Err(failure),
        }
    };
    plan.policies = verdicts;
    Ok(())
}

/// What is said where the program cannot be expanded.
fn unjudged(workspace: &Workspace) -> Vec<Verdict> {
    let policies = workspace.project.program.policies.iter();
    let verdict = |policy: &crate::lang::program::Policy| Verdict {
        policy: policy.name.clone(),
        level: Level::Deny,
        control: Vec::new(),
        span: policy.span,
        findings: vec![Finding {
            outcome: FindingOutcome::Undecided,
            address: None,
            message: format!("policy `{}` is not judged: the program has errors in this environment", policy.name),
            rule: policy.span,
            places: Vec::new(),
        }],
        exceptions: Vec::new(),
    };
    policies.map(verdict).collect()
}

/// What the policies have against a plan: an error for each thing that breaks one whose level is `deny`.
pub fn refusals(plan: &Plan) -> Vec<Diagnostic> {
    plan.policies.iter().flat_map(Verdict::diagnostics).filter(Diagnostic::is_error).collect()
}

/// What the policies say of a plan besides.
pub fn warnings(plan: &Plan) -> Vec<Diagnostic> {
    plan.policies.iter().flat_map(Verdict::diagnostics).filter(|it| !it.is_error()).collect()
}
