use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a body may be on its way before its connection may be closed for another one.
const SLOW_BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// The budget of memory that all connections share.
pub(super) trait BufferBudget: fmt::Debug + Send + Sync {
    /// What a connection keeps has changed from `before` to `after` bytes.
    fn count_bytes(&self, before: usize, after: usize);

    /// Closes connections while they keep too much together.
    fn enforce(&self);
}

/// One open connection: what it does, and what it keeps in memory.
#[derive(Debug)]
pub(in crate::app) struct ClientConnection {
    pub(super) client: IpAddr,
    close: CancellationToken,
    budget: Arc<dyn BufferBudget>,
    state: Mutex<ConnectionState>,
}

#[derive(Debug)]
struct ConnectionState {
    phase: ConnectionPhase,
    since: Instant,
    /// Whether no request has come yet.
    is_new: bool,
    /// Whether the reply has been made; it may not be sent yet.
    is_answered: bool,
    /// Bytes of a request that is still coming or worked on.
    received: usize,
    /// Bytes of the reply as it was made, while some of it is still to be taken.
    reply: usize,
    /// Bytes taken from the reply, but not sent.
    unsent: usize,
    /// Since when it keeps something.
    buffering_since: Instant,
    is_closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ConnectionPhase {
    /// No request, or not all of a request's head.
    Idle,
    /// A head has come, its body is still to come.
    Receiving,
    /// The request is worked on, or its reply is sent.
    Working,
}

/// How much a connection weighs when one has to go, and since when.
#[derive(Clone, Copy, Debug)]
pub(super) struct EvictionWeight {
    pub(super) amount: usize,
    pub(super) since: Instant,
}

impl ConnectionState {
    fn buffered(&self) -> usize {
        self.received + self.reply + self.unsent
    }

    fn enter(&mut self, phase: ConnectionPhase) {
        (self.phase, self.since) = (phase, Instant::now());
    }
}

impl ClientConnection {
    pub(super) fn new(client: IpAddr, close: CancellationToken, budget: Arc<dyn BufferBudget>) -> Self {
        let now = Instant::now();
        let state = ConnectionState {
            phase: ConnectionPhase::Idle,
            since: now,
            is_new: true,
            is_answered: false,
            received: 0,
            reply: 0,
            unsent: 0,
            buffering_since: now,
            is_closed: false,
        };
        Self { client, close, budget, state: Mutex::new(state) }
    }

    /// Bytes have come from the client.
    pub(in crate::app) fn received(&self, bytes: usize) {
        self.change(|state| {
            if state.phase != ConnectionPhase::Working {
                state.received += bytes;
            }
        });
    }

    /// TLS is spoken from now on, and what it took to agree on that is not kept.
    pub(in crate::app) fn handshake_ended(&self) {
        self.change(|state| state.received = 0);
    }

    /// A request's head is complete.
    pub(in crate::app) fn request_started(&self, has_body: bool) {
        self.change(|state| {
            state.enter(if has_body { ConnectionPhase::Receiving } else { ConnectionPhase::Working });
            if !has_body {
                state.received = 0;
            }
            (state.is_new, state.is_answered) = (false, false);
        });
    }

    /// The request's body has come, or is not wanted. Whoever works on the request may keep what has come.
    pub(super) fn request_body_ended(&self) {
        self.change(|state| {
            if state.phase == ConnectionPhase::Receiving {
                state.enter(ConnectionPhase::Working);
            }
        });
    }

    /// There is a reply of this size. If that is not known, it is a stream, and the request is worked on until its end.
    pub(in crate::app) fn reply_started(&self, size: Option<u64>) {
        if let Some(size) = size {
            self.change(|state| (state.received, state.reply) = (0, usize::try_from(size).unwrap_or_default()));
        }
    }

    /// These bytes of the reply are to be sent; they may be the last ones.
    pub(super) fn reply_queued(&self, bytes: usize, are_last: bool) {
        self.change(|state| {
            state.unsent += bytes;
            if are_last {
                state.reply = 0;
            }
        });
    }

    /// The reply has nothing more to send.
    pub(super) fn reply_body_ended(&self) {
        self.change(|state| (state.reply, state.is_answered) = (0, true));
    }

    /// The client has taken, or its system, whatever was to be sent.
    pub(in crate::app) fn flushed(&self) {
        self.change(|state| {
            state.unsent = 0;
            if state.is_answered {
                (state.is_answered, state.received) = (false, 0);
                state.enter(ConnectionPhase::Idle);
            }
        });
    }

    /// Whether its first request is still to come.
    pub(super) fn is_new(&self) -> bool {
        self.state.lock().is_new
    }

    /// Idle: without a request.
    pub(super) fn idle(&self) -> Option<EvictionWeight> {
        let state = self.state.lock();
        (state.phase == ConnectionPhase::Idle).then_some(EvictionWeight { amount: 1, since: state.since })
    }

    /// Slow: with a request whose body does not come to its end.
    pub(super) fn slow_body(&self) -> Option<EvictionWeight> {
        let state = self.state.lock();
        let is_slow = state.phase == ConnectionPhase::Receiving && state.since.elapsed() > SLOW_BODY_TIMEOUT;
        is_slow.then_some(EvictionWeight { amount: 1, since: state.since })
    }

    /// Buffering: with bytes that it keeps in memory.
    pub(super) fn buffering(&self) -> Option<EvictionWeight> {
        let state = self.state.lock();
        let amount = state.buffered();
        (amount > 0).then_some(EvictionWeight { amount, since: state.buffering_since })
    }

    /// Has it closed, and counts nothing for it any longer.
    pub(super) fn close(&self) {
        self.forget();
        self.close.cancel();
    }

    pub(super) fn forget(&self) {
        let mut state = self.state.lock();
        if !std::mem::replace(&mut state.is_closed, true) {
            self.budget.count_bytes(state.buffered(), 0);
        }
    }

    fn change(&self, change: impl FnOnce(&mut ConnectionState)) {
        let (before, after) = {
            let mut state = self.state.lock();
            if state.is_closed {
                return;
            }
            let before = state.buffered();
            change(&mut state);
            if before == 0 {
                state.buffering_since = Instant::now();
            }
            // Under the lock, or closing could take away what has not been added yet.
            self.budget.count_bytes(before, state.buffered());
            (before, state.buffered())
        };
        if after > before {
            self.budget.enforce();
        }
    }
}
