//! Group commit: many calls write down what they are about to do and what became of it, in few durable appends.
//!
//! Whoever finds no append under way leads the next one and takes along what has queued meanwhile. It waits for company only
//! while calls are running that could bring some. There is no task in the background: a journal that is dropped is over, and
//! what was not yet durable was never said.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};

use crate::model::{Code, Diagnostic};
use crate::state::{Body, Intent, OpenIntent, OperationId, Outcome, Revision, Run, Sequence, Settled, View, Write};
use crate::world::World;

/// The journal of one run. Cheap to clone; all clones are one journal.
#[derive(Clone)]
pub struct Journal {
    inner: Arc<Inner>,
}

struct Inner {
    run: Run,
    world: World,
    queue: Mutex<VecDeque<Queued>>,
    /// Calls between their intent and their outcome: each could bring a record soon.
    running: AtomicUsize,
    /// Something was queued.
    news: Notify,
    leading: tokio::sync::Mutex<()>,
}

/// Records that stand together, and who waits for them.
struct Queued {
    bodies: Vec<Body>,
    done: oneshot::Sender<Result<Vec<Sequence>, Box<Diagnostic>>>,
}

impl Journal {
    pub fn new(run: Run, world: World) -> Journal {
        let inner = Inner {
            run,
            world,
            queue: Mutex::default(),
            running: AtomicUsize::new(0),
            news: Notify::new(),
            leading: tokio::sync::Mutex::new(()),
        };
        Journal { inner: Arc::new(inner) }
    }

    /// A name for a new operation.
    pub fn operation(&self) -> OperationId {
        OperationId(self.inner.world.random_id())
    }

    /// Number of the run.
    pub fn run(&self) -> u64 {
        self.inner.run.number()
    }

    /// The view as the run began; what the run writes is not in it.
    pub fn view(&self) -> Arc<View> {
        self.inner.run.view()
    }

    /// Asks the view as of the last durable batch.
    pub async fn with_latest<T>(&self, ask: impl FnOnce(&View) -> T) -> T {
        self.inner.run.with_latest(ask).await
    }

    /// What earlier runs left open, to be settled before anything else.
    pub fn unsettled(&self) -> Vec<Arc<OpenIntent>> {
        self.inner.run.unsettled()
    }

    /// The outcome of an unsettled call, where the store did not take it and this machine has kept it.
    pub fn kept_outcome(&self, open: &OpenIntent) -> Option<Outcome> {
        self.inner.run.kept_outcome(open)
    }

    /// Until when, by this process's clock, a byte of an unsettled call may still leave its writer.
    pub fn leaves_until(&self, open: &OpenIntent) -> Duration {
        self.inner.run.leaves_until(open)
    }

    /// Makes sure that the run holds its lease for a call of this length.
    ///
    /// Errors: it does not, or nobody knows; then no call may leave.
    pub async fn last_for(&self, call: Duration) -> Result<(), Box<Diagnostic>> {
        self.inner.run.last_for(call).await
    }

    /// Writes an intent down; durable when it returns. No call leaves before.
    pub async fn open(&self, intent: Intent) -> Result<OperationId, Box<Diagnostic>> {
        let operation = intent.operation;
        self.write(vec![Body::Intent(Box::new(intent))]).await?;
        Ok(operation)
    }

    /// Writes an outcome down; durable when it returns: nobody hears of it before. Gives its place, the version of the records.
    pub async fn close(&self, outcome: Outcome) -> Result<Sequence, Box<Diagnostic>> {
        self.close_then_open(outcome, Vec::new()).await
    }

    /// Writes an outcome down together with the intents of the calls that it releases, in one append: no call leaves before both
    /// are durable. Gives the place of the outcome.
    pub async fn close_then_open(&self, outcome: Outcome, released: Vec<Intent>) -> Result<Sequence, Box<Diagnostic>> {
        let released = released.into_iter().map(|intent| Body::Intent(Box::new(intent)));
        let bodies = std::iter::once(Body::Outcome(Box::new(outcome))).chain(released).collect();
        self.write_one(bodies).await
    }

    /// The platform took an asynchronous operation on.
    pub async fn accepted(&self, operation: OperationId, id: String) -> Result<(), Box<Diagnostic>> {
        self.write(vec![Body::Accepted { operation, id }]).await.map(drop)
    }

    /// A call was throttled or refused before any effect, and will be tried again under the same intent.
    pub async fn attempt(&self, operation: OperationId, words: String) -> Result<(), Box<Diagnostic>> {
        self.write(vec![Body::Attempt { operation, words }]).await.map(drop)
    }

    /// What recovery found out about an open operation.
    pub async fn settle(&self, settled: Settled) -> Result<Sequence, Box<Diagnostic>> {
        self.write_one(vec![Body::Settled(Box::new(settled))]).await
    }

    /// A change of records that needs no call.
    pub async fn record(&self, write: Write) -> Result<Sequence, Box<Diagnostic>> {
        self.write_one(vec![Body::Write(Box::new(write))]).await
    }

    /// Closes the run with its revision, and gives the addresses back. The answer is the revision's number.
    pub async fn finish(&self, revision: Revision) -> Result<u64, Box<Diagnostic>> {
        self.inner.run.finish(revision).await
    }

    /// Gives the addresses back without a revision: nothing was changed.
    pub async fn release(&self) -> Result<(), Box<Diagnostic>> {
        self.inner.run.release().await
    }

    /// As [`Journal::write`]; gives the place of the first.
    async fn write_one(&self, bodies: Vec<Body>) -> Result<Sequence, Box<Diagnostic>> {
        let places = self.write(bodies).await?;
        Ok(*places.first().expect("each record has a place"))
    }

    /// Queues records that stand together, and answers when they are durable.
    async fn write(&self, bodies: Vec<Body>) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        let inner = &*self.inner;
        let opened = bodies.iter().filter(|body| matches!(body, Body::Intent(_))).count();
        let closed = bodies.iter().filter(|body| matches!(body, Body::Outcome(_))).count();
        let (done, mut answer) = oneshot::channel();
        inner.less_running(closed);
        inner.queue().push_back(Queued { bodies, done });
        inner.news.notify_one();
        let leading = tokio::select! {
            biased;
            answer = &mut answer => return inner.answered(answer, opened),
            leading = inner.leading.lock() => leading,
        };
        // It leads now, unless the one before took its records along.
        while !inner.queue().is_empty() {
            if let Ok(answer) = answer.try_recv() {
                return inner.answered(Ok(answer), opened);
            }
            inner.gather().await;
            inner.commit().await;
        }
        drop(leading);
        inner.answered(answer.await, opened)
    }
}

type Answer = Result<Result<Vec<Sequence>, Box<Diagnostic>>, oneshot::error::RecvError>;

impl Inner {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Queued>> {
        self.queue.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn less_running(&self, closed: usize) {
        let less = |running: usize| Some(running.saturating_sub(closed));
        let _ = self.running.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn answered(&self, answer: Answer, opened: usize) -> Result<Vec<Sequence>, Box<Diagnostic>> {
        let places = answer.unwrap_or_else(|_| Err(interrupted()))?;
        self.running.fetch_add(opened, Ordering::Relaxed);
        Ok(places)
    }

    /// Waits while a running call could join the batch, no longer than pays on this store.
    async fn gather(&self) {
        let batching = self.run.batching();
        let wait = self.world.clock.sleep(batching.wait);
        tokio::pin!(wait);
        while self.running.load(Ordering::Relaxed) > 0 && self.queued() < batching.records {
            tokio::select! {
                biased;
                () = self.news.notified() => {}
                () = &mut wait => return,
            }
        }
    }

    fn queued(&self) -> usize {
        self.queue().iter().map(|queued| queued.bodies.len()).sum()
    }

    /// Appends what has queued, and tells everybody.
    async fn commit(&self) {
        let batch = self.take_batch();
        let lengths: Vec<usize> = batch.iter().map(|queued| queued.bodies.len()).collect();
        let (bodies, waiting): (Vec<_>, Vec<_>) = batch.into_iter().map(|queued| (queued.bodies, queued.done)).unzip();
        let result = self.run.append(bodies.into_iter().flatten().collect()).await;
        let mut at = 0;
        for (done, length) in waiting.into_iter().zip(lengths) {
            let answer = match &result {
                Ok(places) => Ok(places[at..at + length].to_vec()),
                Err(diagnostic) => Err(diagnostic.clone()),
            };
            at += length;
            // Who no longer waits has been interrupted; an intent of its own stays open, and is the mark.
            let _ = done.send(answer);
        }
    }

    fn take_batch(&self) -> Vec<Queued> {
        let most = self.run.batching().records;
        let mut queue = self.queue();
        let mut batch = Vec::new();
        let mut records = 0;
        while let Some(next) = queue.front() {
            if !batch.is_empty() && records + next.bodies.len() > most {
                break;
            }
            records += next.bodies.len();
            batch.extend(queue.pop_front());
        }
        batch
    }
}

fn interrupted() -> Box<Diagnostic> {
    Box::new(Code::StateUnavailable.error("interrupted while writing to the log; the next run finds out what was written"))
}

#[cfg(test)]
mod tests;
