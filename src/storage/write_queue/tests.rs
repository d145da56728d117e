use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use tokio::time::{advance, timeout};

use super::{BatchWriter, LINGER, MAX_BATCH_BYTES, MAX_QUEUED_KIB, MAX_WAIT, QueuedChange, WriteOutcome, WriteQueue};
use crate::kernel::{Error, ErrorKind};

#[derive(Clone, Debug, PartialEq)]
struct Number {
    number: usize,
    bytes: usize,
    is_alone: bool,
}

fn number(number: usize) -> Number {
    Number { number, bytes: 1, is_alone: false }
}

impl QueuedChange for Number {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_alone(&self) -> bool {
        self.is_alone
    }

    fn what(&self) -> &'static str {
        "could not write a number"
    }
}

/// Takes batches as it is allowed to; odd numbers above 100 are refused, and 666 makes it panic.
#[derive(Clone)]
struct Notebook {
    batches: Arc<Mutex<Vec<Vec<usize>>>>,
    allowed: Arc<Semaphore>,
}

impl Notebook {
    fn new(allowed: usize) -> (Self, WriteQueue<Number>) {
        let notebook = Self { batches: Arc::default(), allowed: Arc::new(Semaphore::new(allowed)) };
        (notebook.clone(), WriteQueue::new(notebook))
    }

    fn batches(&self) -> Vec<Vec<usize>> {
        self.batches.lock().clone()
    }

    /// Waits until the writer has taken a first change, so that others wait behind it.
    async fn keep_busy(queue: &WriteQueue<Number>) {
        drop(queue.push(number(0)).await.unwrap());
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
}

impl BatchWriter for Notebook {
    type Change = Number;

    const TASK: &'static str = "notebook";

    async fn write(&self, changes: Vec<Number>) -> Vec<WriteOutcome> {
        self.allowed.acquire().await.unwrap().forget();
        let numbers: Vec<usize> = changes.iter().map(|change| change.number).collect();
        assert!(!numbers.contains(&666), "as it was asked to");
        self.batches.lock().push(numbers.clone());
        let outcome = |number| match number {
            101.. if number % 2 == 1 => Err(Error::new(ErrorKind::BadRequest, "odd")),
            _ => Ok(number),
        };
        numbers.into_iter().map(outcome).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_written_together_in_order_and_each_learns_of_its_own() {
    let (notebook, queue) = Notebook::new(2);
    Notebook::keep_busy(&queue).await;
    let outcomes = join_all((100..104).map(|it| queue.write(number(it)))).await;
    assert_eq!(notebook.batches(), [vec![0], vec![100, 101, 102, 103]]);
    let outcomes: Vec<_> = outcomes.into_iter().map(|outcome| outcome.map_err(|error| error.kind())).collect();
    assert_eq!(outcomes, [Ok(100), Err(ErrorKind::BadRequest), Ok(102), Err(ErrorKind::BadRequest)]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_is_written_with_what_comes_next_or_a_moment_later() {
    let (notebook, queue) = Notebook::new(9);
    drop(queue.push_lingering(number(1)).await.unwrap());
    tokio::time::sleep(LINGER / 2).await;
    assert_eq!(notebook.batches(), Vec::<Vec<usize>>::new());
    queue.write(number(2)).await.unwrap();
    drop(queue.push_lingering(number(3)).await.unwrap());
    drop(queue.push_lingering(number(4)).await.unwrap());
    tokio::time::sleep(2 * LINGER).await;
    assert_eq!(notebook.batches(), [[1, 2], [3, 4]]);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_alone_is_alone_and_a_batch_has_its_limit() {
    let (notebook, queue) = Notebook::new(99);
    Notebook::keep_busy(&queue).await;
    notebook.batches.lock().clear();
    let alone = Number { is_alone: true, ..number(2) };
    let large = |it| Number { bytes: MAX_BATCH_BYTES - 1, ..number(it) };
    let changes = [number(1), alone, number(3), number(4), large(5), large(6), number(7)];
    let (notebook, queue) = (&notebook, &queue);
    let mut pending = Vec::new();
    for change in changes {
        pending.push(queue.push(change).await.unwrap());
    }
    for (at, write) in pending.into_iter().enumerate() {
        assert_eq!(write.written().await.unwrap(), at + 1);
    }
    assert_eq!(notebook.batches(), [vec![1], vec![2], vec![3, 4], vec![5], vec![6, 7]]);
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_on_though_nobody_waits_for_it_any_more() {
    let (notebook, queue) = Notebook::new(0);
    let writing = queue.write(number(1));
    assert!(timeout(Duration::from_millis(1), writing).await.is_err());
    notebook.allowed.add_permits(1);
    assert!(queue.settle().await);
    assert_eq!(notebook.batches(), [[1]]);
}

#[tokio::test(start_paused = true)]
async fn waits_behind_a_slow_store_do_not_add_up() {
    let (notebook, queue) = Notebook::new(0);
    Notebook::keep_busy(&queue).await;
    let late = queue.push(number(1)).await.unwrap();
    advance(MAX_WAIT + Duration::from_secs(1)).await;
    let in_time = queue.push(number(2)).await.unwrap();
    notebook.allowed.add_permits(9);
    assert!(late.written().await.unwrap_err().to_string().contains("could not write a number"));
    assert_eq!(in_time.written().await.unwrap(), 2);
    assert_eq!(notebook.batches(), [[0], [2]]);
}

#[tokio::test(start_paused = true)]
async fn who_brings_more_than_there_is_room_for_waits_and_is_refused_in_the_end() {
    let (notebook, queue) = Notebook::new(0);
    let half = |it| Number { bytes: MAX_QUEUED_KIB as usize * 512, ..number(it) };
    for it in [1, 2] {
        drop(queue.push_lingering(half(it)).await.unwrap());
    }
    assert!(queue.push(half(3)).await.is_err());
    notebook.allowed.add_permits(9);
    let larger_than_all = Number { bytes: usize::MAX / 2, ..number(4) };
    assert_eq!(queue.write(larger_than_all).await.unwrap(), 4);
}

#[tokio::test(start_paused = true)]
async fn who_leaves_while_there_is_no_room_has_brought_it_all_the_same() {
    let (notebook, queue) = Notebook::new(0);
    let all = Number { bytes: MAX_QUEUED_KIB as usize * 1024, ..number(1) };
    drop(queue.push(all).await.unwrap());
    assert!(timeout(Duration::from_millis(1), queue.push(number(2))).await.is_err());
    notebook.allowed.add_permits(9);
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(queue.settle().await);
    assert_eq!(notebook.batches(), [[1], [2]]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_writer_costs_one_batch_only() {
    let (notebook, queue) = Notebook::new(9);
    assert!(queue.write(number(666)).await.is_err());
    assert_eq!(queue.write(number(7)).await.unwrap(), 7);
    assert_eq!(notebook.batches(), [[7]]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_queue_has_written_all_and_takes_nothing_more() {
    let (notebook, queue) = Notebook::new(9);
    drop(queue.push_lingering(number(1)).await.unwrap());
    queue.close().await;
    assert_eq!(notebook.batches(), [[1]]);
    assert!(queue.push(number(2)).await.is_err() && !queue.settle().await);
}
