//! What recovery would come to, for a plan: the platforms are asked, nothing is written, and nothing is waited for. What will be
//! certain only later is said to be uncertain.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::Connect;
use super::left_open::{LeftOpen, Verdict};
use crate::model::{DesiredProvider, Schemas};
use crate::providers::contract::Answer;
use crate::state::{IntentCall, OpenIntent, RecordWrite, Settlement, View};
use crate::world::World;

/// What became of one call, as far as can be seen now.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub open: Arc<OpenIntent>,
    pub how: Settlement,
    /// What state holds from then on.
    pub writes: Vec<RecordWrite>,
    /// Recovery comes to this, whenever it begins. What it sends again it certainly sends, and what comes of that nobody knows.
    pub certain: bool,
    /// For people.
    pub words: String,
}

/// Looks what became of calls that no living run holds; `true` beside a call says that its process is known to be gone. The answer is
/// in the order of addresses.
pub async fn foresee(
    calls: Vec<(Arc<OpenIntent>, bool)>,
    view: &View,
    schemas: &Schemas,
    connect: &dyn Connect,
    world: &World,
    providers: &[DesiredProvider],
) -> Vec<Outlook> {
    let (mut looks, mut outlooks) = (JoinSet::new(), Vec::new());
    for (open, gone) in calls {
        let writer_gone = gone || open.writer_gone;
        let recorded = view.records.contains_key(&open.intent.address);
        match LeftOpen::reach(open.clone(), schemas, connect, providers) {
            Ok(call) => drop(looks.spawn(outlook(call, writer_gone, recorded, world.clone()))),
            Err(why) => outlooks.push(flagged(open, &why)),
        }
    }
    while let Some(done) = looks.join_next().await {
        match done {
            Ok(outlook) => outlooks.push(outlook),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }
    outlooks.sort_by(|a, b| (&a.open.intent.address, a.open.sequence).cmp(&(&b.open.intent.address, b.open.sequence)));
    outlooks
}

async fn outlook(call: LeftOpen, writer_gone: bool, recorded: bool, world: World) -> Outlook {
    let leaving = if writer_gone { Duration::ZERO } else { call.intent().not_after };
    let wait = call.certain_in(leaving);
    let verdict = call.verdict(call.look(&world).await, recorded);
    let open = call.open.clone();
    let later = format!("when nothing of it can be under way any more, in {} s at most", wait.as_secs_f64().ceil());
    match verdict {
        Verdict::Happened(writes) => {
            let certain = wait.is_zero() || call.counts_at_once(writer_gone);
            let seen = match open.intent.call {
                IntentCall::Create => "it was created",
                IntentCall::Update => "it was changed",
                IntentCall::Delete => "it was destroyed",
            };
            let when = if certain { "first".to_owned() } else { format!("first, {later}") };
            Outlook { open, how: Settlement::Adopted, writes, certain, words: format!("{seen}; apply records that {when}") }
        }
        Verdict::Absent if wait.is_zero() => {
            Outlook { open, how: Settlement::Absent, writes: Vec::new(), certain: true, words: "it had not happened".into() }
        }
        Verdict::Absent => {
            let words = format!("it is not seen, and taken not to have happened; apply looks again {later}");
            Outlook { open, how: Settlement::Absent, writes: Vec::new(), certain: false, words }
        }
        Verdict::Again => {
            let writes = call.writes(&Answer::default(), recorded);
            let words = "it is not seen as it was sent; apply sends it again first".into();
            Outlook { open, how: Settlement::Repeated, writes, certain: wait.is_zero(), words }
        }
        Verdict::CannotTell(words) => flagged(open, &words),
    }
}

fn flagged(open: Arc<OpenIntent>, why: &str) -> Outlook {
    Outlook { open, how: Settlement::Flagged, writes: Vec::new(), certain: false, words: held_back(why) }
}

/// What is said of a call about which nobody can tell what became of it, and why.
pub fn held_back(why: &str) -> String {
    format!("{why}; nothing is done to it, or to what depends on it, until that can be told")
}
