//! What recovery will come to, looked up before a plan is made: the plan is then made from state as it will be.

use super::connections::Connections;
use super::desired::{desired, with_remembered};
use super::interrupted::left_open;
use super::workspace::Workspace;
use crate::apply::{self, Outlook};
use crate::model::{Address, Became, Foreseen};
use crate::plan::record_digest;
use crate::state::{Look, OperationId, RecordWrite, Settlement, State};

/// What calls that interrupted runs left open will turn out to be.
#[derive(Default)]
pub struct Ahead {
    /// Ordered by address.
    pub foreseen: Vec<Foreseen>,
    /// What recovery will write.
    writes: Vec<(OperationId, Vec<RecordWrite>)>,
}

/// Asks the platforms, as recovery would, and writes nothing.
pub async fn look(workspace: &Workspace, connections: &Connections, look: &Look) -> Ahead {
    let left: Vec<_> = left_open(look).into_iter().map(|it| (it.open, it.writer_gone)).collect();
    if left.is_empty() {
        return Ahead::default();
    }
    // A program that no longer expands must not keep what is open from being looked at.
    let providers = desired(workspace).map(|desired| desired.providers).unwrap_or_default();
    let providers = with_remembered(providers, &look.view);
    let world = &workspace.settings.world;
    let outlooks = apply::foresee(left, &look.view, &workspace.schemas, connections, world, &providers).await;
    let foreseen = outlooks.iter().map(|it| foreseen(it, workspace)).collect();
    let settled = outlooks.into_iter().filter(|it| it.how != Settlement::Flagged);
    Ahead { foreseen, writes: settled.map(|it| (it.open.intent.operation, it.writes)).collect() }
}

fn foreseen(outlook: &Outlook, workspace: &Workspace) -> Foreseen {
    let intent = &outlook.open.intent;
    let became = match outlook.how {
        Settlement::Adopted => Became::Done,
        Settlement::Absent => Became::NotDone,
        Settlement::Repeated => Became::Again,
        Settlement::Flagged => Became::Unknown,
    };
    let digest = workspace.state.digester();
    let record = outlook.writes.iter().find_map(|write| match write {
        RecordWrite::Put(record) => Some(record_digest(record, became, &workspace.schemas, &*digest)),
        _ => None,
    });
    Foreseen {
        address: intent.address.clone(),
        action: intent.action.clone(),
        became,
        certain: outlook.certain,
        words: outlook.words.clone(),
        record,
    }
}

impl Ahead {
    /// What is open where the platforms are not asked.
    pub fn unseen(look: &Look) -> Ahead {
        let unseen = |it: super::interrupted::LeftOpen| Foreseen {
            address: it.open.intent.address.clone(),
            action: it.open.intent.action.clone(),
            became: Became::Unknown,
            certain: false,
            words: match &it.open.flagged {
                Some(why) => apply::held_back(why),
                None => "not looked for; apply does that first".to_owned(),
            },
            record: None,
        };
        let mut foreseen: Vec<Foreseen> = left_open(look).into_iter().map(unseen).collect();
        foreseen.sort_by(|a, b| a.address.cmp(&b.address));
        Ahead { foreseen, writes: Vec::new() }
    }

    /// The state that recovery will leave.
    pub fn supposed(&self, state: &State) -> State {
        state.supposing(|view| {
            for (operation, writes) in &self.writes {
                view.suppose(*operation, writes.clone());
            }
        })
    }

    /// Whether a call about it is yet to be sent again.
    pub fn is_sent_again(&self, address: &Address) -> bool {
        self.foreseen.iter().any(|it| it.became == Became::Again && it.address == *address)
    }
}
