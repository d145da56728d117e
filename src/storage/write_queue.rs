use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use crate::kernel::{BackgroundTask, Error};

#[cfg(test)]
mod tests;

/// Changes that are written in one transaction at most.
const MAX_BATCH_CHANGES: usize = 200;
/// Bytes that are written in one transaction, unless a single change has more.
const MAX_BATCH_BYTES: usize = 1_000_000;
/// KiB that wait or are being written; who brings more waits for room. A small change counts as one KiB, so this bounds their number too.
const MAX_QUEUED_KIB: u32 = 32_768;
/// How long changes that nobody waits for wait for others to be written with.
const LINGER: Duration = Duration::from_millis(5);
/// How long a change may wait for its turn: behind a locked or slow store, later ones fail instead of adding up their waits.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// How long a reader waits for what is to be written.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);
/// How long [`WriteQueue::drain`] and [`WriteQueue::close`] wait for that.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Writes what a [`WriteQueue`] hands it.
pub(super) trait BatchWriter: Send + Sync + 'static {
    type Change: QueuedChange;
    /// The name of the task.
    const TASK: &'static str;

    /// Writes changes that stand in the order in which they were made, and gives the outcome of each, in this order.
    fn write(&self, changes: Vec<Self::Change>) -> impl Future<Output = Vec<WriteOutcome>> + Send;
}

/// A change that can wait for others to be written with.
pub(super) trait QueuedChange: Send + 'static {
    /// About how much it is to write.
    fn bytes(&self) -> usize;
    /// Whether it must not be written together with others.
    fn is_alone(&self) -> bool;
    /// What is being done, for an error.
    fn what(&self) -> &'static str;
}

/// What came of a change; a number that depends on its kind.
pub type WriteOutcome = Result<usize, Error>;

/// The one way to write to a store: whatever waits is written in one transaction, in order. Cheap to clone.
pub(super) struct WriteQueue<C> {
    state: Arc<QueueState<C>>,
    _task: Arc<BackgroundTask>,
}

/// A change that was put into the queue. It is written even if nobody waits for that.
#[derive(Debug)]
pub struct PendingWrite(oneshot::Receiver<WriteOutcome>);

struct QueueState<C> {
    entries: Mutex<QueueEntries<C>>,
    room: Arc<Semaphore>,
    wake: Notify,
}

struct QueueEntries<C> {
    waiting: VecDeque<QueueEntry<C>>,
    /// Whether somebody waits for one of them.
    is_urgent: bool,
    is_closed: bool,
}

enum QueueEntry<C> {
    Write(QueuedWrite<C>),
    /// All that came before it is written.
    Fence(oneshot::Sender<()>),
}

struct QueuedWrite<C> {
    change: C,
    queued_at: Instant,
    /// Whether somebody waits for it.
    is_urgent: bool,
    waiter: oneshot::Sender<WriteOutcome>,
    room: OwnedSemaphorePermit,
}

impl<C> Clone for WriteQueue<C> {
    fn clone(&self) -> Self {
        Self { state: self.state.clone(), _task: self._task.clone() }
    }
}

impl<C> std::fmt::Debug for WriteQueue<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WriteQueue").field("waiting", &self.state.entries.lock().waiting.len()).finish_non_exhaustive()
    }
}

impl<C: QueuedChange> WriteQueue<C> {
    /// A queue whose changes `writer` writes.
    pub(super) fn new<W: BatchWriter<Change = C>>(writer: W) -> Self {
        let entries = QueueEntries { waiting: VecDeque::new(), is_urgent: false, is_closed: false };
        let room = Arc::new(Semaphore::new(MAX_QUEUED_KIB as usize));
        let state = Arc::new(QueueState { entries: Mutex::new(entries), room, wake: Notify::new() });
        let (writer, queue) = (Arc::new(writer), state.clone());
        let task = BackgroundTask::spawn(W::TASK, move || run(writer.clone(), queue.clone()));
        Self { state, _task: Arc::new(task) }
    }

    /// Puts a change into the queue, as soon as there is room. Whoever does so is about to wait for it.
    pub(super) async fn push(&self, change: C) -> Result<PendingWrite, Error> {
        self.add(change, true).await
    }

    /// The same, for a change that nobody waits for at once: it is written a moment later, together with what comes next.
    pub(super) async fn push_lingering(&self, change: C) -> Result<PendingWrite, Error> {
        self.add(change, false).await
    }

    /// Puts a change into the queue and waits until it is written.
    pub(super) async fn write(&self, change: C) -> WriteOutcome {
        self.push(change).await?.written().await
    }

    /// Waits until all that was put into the queue before is written, so that it can be read. Not for long: a reader is better off with
    /// what is there.
    pub(super) async fn settle(&self) -> bool {
        self.pass_fence(SETTLE_TIMEOUT, false).await
    }

    /// The same for whoever writes by another way, and must not come before.
    pub(super) async fn drain(&self) {
        if !self.pass_fence(DRAIN_TIMEOUT, false).await {
            tracing::warn!("not all that waited could be written before what came after it");
        }
    }

    /// Writes what waits, and takes nothing more.
    pub(super) async fn close(&self) {
        if !self.pass_fence(DRAIN_TIMEOUT, true).await {
            tracing::warn!("not all that waited could be written before the store was closed");
        }
    }

    async fn pass_fence(&self, limit: Duration, is_last: bool) -> bool {
        let (fence, passed) = oneshot::channel();
        {
            let mut entries = self.state.entries.lock();
            if entries.is_closed {
                return false;
            }
            entries.is_closed = is_last;
            entries.waiting.push_back(QueueEntry::Fence(fence));
            entries.is_urgent = true;
        }
        self.state.wake.notify_one();
        timeout(limit, passed).await.is_ok_and(|passed| passed.is_ok())
    }

    async fn add(&self, change: C, is_urgent: bool) -> Result<PendingWrite, Error> {
        let (waiter, outcome) = oneshot::channel();
        let kib = u32::try_from(change.bytes() / 1024).unwrap_or(u32::MAX).clamp(1, MAX_QUEUED_KIB);
        let what = change.what();
        let room = self.state.room.clone();
        match room.clone().try_acquire_many_owned(kib) {
            Ok(room) => self.state.enter(QueuedWrite { change, queued_at: Instant::now(), is_urgent, waiter, room })?,
            Err(_) => {
                let state = self.state.clone();
                // In a task of its own: it goes on if whoever brings it leaves meanwhile.
                let entering = tokio::spawn(async move {
                    let slow = || Error::internal(what, "the store is too slow");
                    let room = timeout(MAX_WAIT, room.acquire_many_owned(kib)).await.map_err(|_| slow())?;
                    let room = room.map_err(|_| slow())?;
                    state.enter(QueuedWrite { change, queued_at: Instant::now(), is_urgent, waiter, room })
                });
                entering.await.map_err(|error| Error::internal(what, error))??;
            }
        }
        Ok(PendingWrite(outcome))
    }
}

impl PendingWrite {
    /// What came of it, if that is known by now. Not to be asked again once it is.
    pub fn known(&mut self) -> Option<WriteOutcome> {
        match self.0.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Closed) => Some(Err(writer_stopped())),
        }
    }

    /// What came of it.
    pub async fn written(self) -> WriteOutcome {
        self.0.await.unwrap_or_else(|_| Err(writer_stopped()))
    }
}

fn writer_stopped() -> Error {
    Error::internal("could not write to the store", "the writer has stopped")
}

impl<C: QueuedChange> QueuedWrite<C> {
    fn too_late(self) {
        let error = Error::internal(self.change.what(), "the store was busy or locked for too long");
        answer(self.waiter, Err(error));
    }
}

fn answer(waiter: oneshot::Sender<WriteOutcome>, outcome: WriteOutcome) {
    // What comes back has reached nobody.
    if let Err(Err(error)) = waiter.send(outcome) {
        tracing::warn!(%error, "a change that nobody waits for could not be written");
    }
}

async fn run<W: BatchWriter>(writer: Arc<W>, queue: Arc<QueueState<W::Change>>) {
    loop {
        queue.wait().await;
        let (batch, fences) = queue.next_batch();
        if !batch.is_empty() {
            write_batch(&*writer, batch).await;
        }
        for fence in fences {
            // Who has left does not mind.
            fence.send(()).ok();
        }
    }
}

async fn write_batch<W: BatchWriter>(writer: &W, batch: Vec<QueuedWrite<W::Change>>) {
    let (late, batch): (Vec<_>, Vec<_>) = batch.into_iter().partition(|write| write.queued_at.elapsed() > MAX_WAIT);
    late.into_iter().for_each(QueuedWrite::too_late);
    if batch.is_empty() {
        return;
    }
    let mut changes = Vec::with_capacity(batch.len());
    let mut waiters = Vec::with_capacity(batch.len());
    for QueuedWrite { change, waiter, room, .. } in batch {
        changes.push(change);
        waiters.push((waiter, room));
    }
    let outcomes = writer.write(changes).await;
    waiters.into_iter().zip(outcomes).for_each(|((waiter, _), outcome)| answer(waiter, outcome));
}

impl<C: QueuedChange> QueueState<C> {
    fn enter(&self, write: QueuedWrite<C>) -> Result<(), Error> {
        let wakes = {
            let mut entries = self.entries.lock();
            if entries.is_closed {
                return Err(Error::internal(write.change.what(), "the store is closed"));
            }
            // Whoever lingers is woken for what is urgent only.
            let wakes = entries.waiting.is_empty() || write.is_urgent && !entries.is_urgent;
            entries.is_urgent |= write.is_urgent;
            entries.waiting.push_back(QueueEntry::Write(write));
            wakes
        };
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Waits for something to write; if nobody waits for it, a moment longer for what comes next.
    async fn wait(&self) {
        let mut lingers_until = None;
        loop {
            let woken = self.wake.notified();
            let (is_empty, is_urgent) = {
                let entries = self.entries.lock();
                (entries.waiting.is_empty(), entries.is_urgent || entries.waiting.len() >= MAX_BATCH_CHANGES)
            };
            match (is_empty, is_urgent) {
                (true, _) => woken.await,
                (false, true) => return,
                (false, false) => {
                    let until = *lingers_until.get_or_insert_with(|| Instant::now() + LINGER);
                    if timeout_at(until, woken).await.is_err() {
                        return;
                    }
                }
            }
        }
    }

    /// What is written next, and who waits for just that.
    fn next_batch(&self) -> (Vec<QueuedWrite<C>>, Vec<oneshot::Sender<()>>) {
        let mut entries = self.entries.lock();
        let (mut batch, mut fences, mut bytes) = (Vec::new(), Vec::new(), 0);
        while let Some(item) = entries.waiting.pop_front() {
            match item {
                QueueEntry::Fence(fence) => fences.push(fence),
                QueueEntry::Write(write) => {
                    bytes += write.change.bytes();
                    let is_alone = write.change.is_alone();
                    let is_full = batch.len() >= MAX_BATCH_CHANGES || bytes > MAX_BATCH_BYTES;
                    if !batch.is_empty() && (is_alone || is_full) || !fences.is_empty() {
                        entries.waiting.push_front(QueueEntry::Write(write));
                        break;
                    }
                    batch.push(write);
                    if is_alone {
                        break;
                    }
                }
            }
        }
        let is_waited_for =
            |entry: &QueueEntry<C>| !matches!(entry, QueueEntry::Write(QueuedWrite { is_urgent: false, .. }));
        entries.is_urgent = entries.waiting.iter().any(is_waited_for);
        (batch, fences)
    }
}
