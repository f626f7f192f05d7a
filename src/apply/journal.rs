//! Group commit: many calls write down what they are about to do and what became of it, in few durable appends.

use std::sync::Arc;
use std::time::Duration;

use crate::model::Diagnostic;
use crate::state::{Body, Intent, OpenIntent, OperationId, Outcome, Revision, Run, Sequence, Settled, View, Write};
use crate::world::World;

/// How long a batch waits for company.
pub const WAIT: Duration = Duration::from_millis(5);

/// How many records a batch holds at most.
pub const BATCH: usize = 64;

/// The journal of one run. Cheap to clone.
#[derive(Clone)]
pub struct Journal {
    run: Run,
    world: World,
}

impl Journal {
    pub fn new(run: Run, world: World) -> Journal {
        Journal { run, world }
    }

    /// A name for a new operation.
    pub fn operation(&self) -> OperationId {
        OperationId(self.world.random_id())
    }

    /// Number of the run.
    pub fn run(&self) -> u64 {
        self.run.number()
    }

    /// The view as of the last durable batch.
    pub fn view(&self) -> Arc<View> {
        self.run.view()
    }

    /// What earlier runs left open, to be settled before anything else.
    pub fn unsettled(&self) -> Vec<Arc<OpenIntent>> {
        self.run.unsettled()
    }

    /// Writes an intent down; durable when it returns. No call leaves before.
    pub async fn open(&self, intent: Intent) -> Result<OperationId, Box<Diagnostic>> {
        let operation = intent.operation;
        self.write(Body::Intent(Box::new(intent))).await?;
        Ok(operation)
    }

    /// Writes an outcome down; durable when it returns: nobody hears of it before. Gives its place, the version of the records.
    pub async fn close(&self, outcome: Outcome) -> Result<Sequence, Box<Diagnostic>> {
        self.write(Body::Outcome(Box::new(outcome))).await
    }

    /// The platform took an asynchronous operation on.
    pub async fn accepted(&self, operation: OperationId, id: String) -> Result<(), Box<Diagnostic>> {
        self.write(Body::Accepted { operation, id }).await.map(drop)
    }

    /// What recovery found out about an open operation.
    pub async fn settle(&self, settled: Settled) -> Result<Sequence, Box<Diagnostic>> {
        self.write(Body::Settled(Box::new(settled))).await
    }

    /// A change of records that needs no call.
    pub async fn record(&self, write: Write) -> Result<Sequence, Box<Diagnostic>> {
        self.write(Body::Write(Box::new(write))).await
    }

    /// Closes the run with its revision, and gives the addresses back. The answer is the revision's number.
    pub async fn finish(&self, revision: Revision) -> Result<u64, Box<Diagnostic>> {
        self.run.finish(revision).await
    }

    /// Gives the addresses back without a revision: nothing was changed.
    pub async fn release(&self) -> Result<(), Box<Diagnostic>> {
        self.run.release().await
    }

    /// Waits with others until a batch leaves; answers when it is durable.
    async fn write(&self, body: Body) -> Result<Sequence, Box<Diagnostic>> {
        let places = self.run.append(vec![body]).await?;
        Ok(places[0])
    }
}
