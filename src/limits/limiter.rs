use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::report::{LimitUse, UsageReport};
use super::subject::LimitSubject;
use super::window::LimitWindow;
use crate::kernel::{BackgroundTask, Caller, Clock, Error, ErrorKind, Identity, LimitReached, LimitStatus};
use crate::settings::{LimitKind, LimitMode, LimitSettings};
use crate::storage::{LimitCheck, LimitDemand, LimitEffect, LimitHold, LimitLevel, LimitStore};
use crate::telemetry::metrics;

/// How soon it may be tried again where something else has to end first.
const SHORT_WAIT: Duration = Duration::from_secs(1);

/// Keeps callers to what they may use. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Limiter {
    settings: Arc<LimitSettings>,
    store: LimitStore,
    clock: Clock,
    chats: Arc<Semaphore>,
}

/// A chat that may be answered, until this is dropped.
#[derive(Debug)]
pub struct ChatPermit {
    _held: Option<LimitHold>,
    _place: OwnedSemaphorePermit,
}

/// Tokens that may be used until this is dropped: those that were used by then are counted.
#[derive(Debug, Default)]
pub struct TokenReservation(Option<LimitHold>);

impl TokenReservation {
    /// So many were used so far; not asked for unless it matters.
    pub fn used(&mut self, tokens: impl FnOnce() -> u64) {
        if let Some(hold) = &mut self.0 {
            hold.spent = tokens();
        }
    }

    /// So many more were used.
    pub fn used_more(&mut self, tokens: impl FnOnce() -> u64) {
        if let Some(hold) = &mut self.0 {
            hold.spent = hold.spent.saturating_add(tokens());
        }
    }
}

/// A limit that a caller is under, as it is now.
struct AppliedLimit {
    kind: LimitKind,
    subject: LimitSubject,
    quota: u64,
    window: LimitWindow,
}

impl Limiter {
    /// A limiter that counts in `store`.
    pub fn new(settings: Arc<LimitSettings>, store: LimitStore, clock: Clock) -> Self {
        let chats = Arc::new(Semaphore::new(settings.max_chats.min(Semaphore::MAX_PERMITS)));
        Self { settings, store, clock, chats }
    }

    /// Starts what goes on beside the requests.
    pub fn start(&self) -> BackgroundTask {
        let store = self.store.clone();
        BackgroundTask::spawn("limits", move || store.clone().keep_up())
    }

    /// Counts a request; tells how many more the caller may make, if that is limited.
    pub async fn admit_request(&self, caller: &Caller) -> Result<Option<LimitStatus>, LimitReached> {
        let limits = self.limits_of(caller, &[LimitKind::RequestsPerMinute]);
        if limits.is_empty() {
            return Ok(None);
        }
        let checks = limits.iter().map(|limit| limit.check(1, LimitEffect::Spend)).collect();
        let (_, levels) = self.take(&limits, checks).await?;
        let statuses =
            limits.iter().zip(levels).map(|(limit, level)| limit.status(limit.left(level).saturating_sub(1), level));
        Ok(statuses.min_by_key(|status| status.remaining))
    }

    /// Lets a chat be answered: there is room for it, and its caller has tokens left.
    pub async fn admit_chat(&self, caller: &Caller) -> Result<ChatPermit, Error> {
        let place = self.chats.clone().try_acquire_owned().map_err(|_| {
            let text =
                format!("{} chats are being answered already (MAX_CHATS); try again later", self.settings.max_chats);
            Error::new(ErrorKind::Busy, text).with_wait(SHORT_WAIT)
        })?;
        let kinds = [LimitKind::ConcurrentChats, LimitKind::TokensPerDay, LimitKind::TokensPerMonth];
        let limits = self.limits_of(caller, &kinds);
        if limits.is_empty() {
            return Ok(ChatPermit { _held: None, _place: place });
        }
        let effect = |kind| if kind == LimitKind::ConcurrentChats { LimitEffect::Hold } else { LimitEffect::Probe };
        let checks = limits.iter().map(|limit| limit.check(1, effect(limit.kind))).collect();
        let (held, _) = self.take(&limits, checks).await?;
        Ok(ChatPermit { _held: Some(held), _place: place })
    }

    /// Reserves about as many tokens as a call of a model is going to use; not asked how many, unless that is limited.
    pub async fn reserve_tokens(
        &self,
        caller: &Caller,
        estimate: impl FnOnce() -> u64,
    ) -> Result<TokenReservation, LimitReached> {
        let limits = self.limits_of(caller, &[LimitKind::TokensPerDay, LimitKind::TokensPerMonth]);
        if limits.is_empty() {
            return Ok(TokenReservation(None));
        }
        let amount = estimate().max(1);
        // The last call of a quota gets what is left of it.
        let checks =
            limits.iter().map(|limit| LimitCheck { least: 1, ..limit.check(amount, LimitEffect::Hold) }).collect();
        let (held, _) = self.take(&limits, checks).await?;
        Ok(TokenReservation(Some(held)))
    }

    /// What a caller has used of all that it may use.
    pub async fn usage(&self, caller: &Caller) -> UsageReport {
        let limits = self.limits_of(caller, &LimitKind::ALL.map(|(kind, _)| kind));
        let checks = limits.iter().map(|limit| limit.check(0, LimitEffect::Probe)).collect();
        let (verdict, _) = self.store.take(&LimitDemand { checks, is_forced: true }).await;
        let uses = limits.iter().zip(verdict.levels).map(|(limit, level)| limit.report(level));
        UsageReport { mode: self.settings.mode, uses: uses.collect() }
    }

    async fn take(
        &self,
        limits: &[AppliedLimit],
        checks: Vec<LimitCheck>,
    ) -> Result<(LimitHold, Vec<LimitLevel>), LimitReached> {
        let is_forced = self.settings.mode == LimitMode::Shadow;
        let (verdict, hold) = self.store.take(&LimitDemand { checks, is_forced }).await;
        let refused = verdict.refused.and_then(|at| Some((limits.get(at)?, *verdict.levels.get(at)?)));
        if let Some((limit, level)) = refused {
            metrics::limit_reached(limit.kind.as_str(), limit.subject.kind(), is_forced);
            if !is_forced {
                return Err(limit.reached(level));
            }
        }
        Ok((hold, verdict.levels))
    }

    fn limits_of(&self, caller: &Caller, kinds: &[LimitKind]) -> Vec<AppliedLimit> {
        let Some(identity) = caller.identity() else { return Vec::new() };
        kinds.iter().flat_map(|kind| self.limits_of_kind(identity, *kind)).collect()
    }

    fn limits_of_kind(&self, identity: &Identity, kind: LimitKind) -> impl Iterator<Item = AppliedLimit> {
        self.settings.allowances(kind).iter().filter_map(move |allowance| {
            let subject = LimitSubject::of(identity, allowance.by)?;
            let window = LimitWindow::new(kind, &subject, self.clock.now_ms());
            Some(AppliedLimit { kind, subject, quota: allowance.quota, window })
        })
    }
}

impl AppliedLimit {
    fn check(&self, amount: u64, effect: LimitEffect) -> LimitCheck {
        let pool = match self.kind {
            LimitKind::RequestsPerMinute => None,
            LimitKind::ConcurrentChats => Some(format!("{}:chats", self.subject)),
            LimitKind::TokensPerDay | LimitKind::TokensPerMonth => Some(format!("{}:tokens", self.subject)),
        };
        LimitCheck { counter: self.window.counter.clone(), pool, amount, least: amount, quota: self.quota, effect }
    }

    fn left(&self, level: LimitLevel) -> u64 {
        self.quota.saturating_sub(level.used).saturating_sub(level.held)
    }

    /// How long until more may be used.
    fn reset(&self, level: LimitLevel) -> Duration {
        match self.kind {
            // Of a minute as full as this one, what came at once is gone soon after its end.
            LimitKind::RequestsPerMinute => {
                let one = Duration::from_secs(60) / u32::try_from(self.quota).unwrap_or(u32::MAX);
                self.window.rest + one
            }
            LimitKind::TokensPerDay | LimitKind::TokensPerMonth if level.used >= self.quota => self.window.rest,
            _ => SHORT_WAIT,
        }
    }

    fn status(&self, remaining: u64, level: LimitLevel) -> LimitStatus {
        let policy = format!("{}_{}", self.kind.as_str(), self.subject.kind());
        LimitStatus { policy, quota: self.quota, remaining, reset: self.reset(level), window: self.window.length }
    }

    fn reached(&self, level: LimitLevel) -> LimitReached {
        let (who, quota) = (self.subject.in_words(), self.quota);
        let what = match self.kind {
            LimitKind::RequestsPerMinute => "requests per minute",
            LimitKind::ConcurrentChats => "chats at the same time",
            LimitKind::TokensPerDay => "tokens per day (UTC)",
            LimitKind::TokensPerMonth => "tokens per month (UTC)",
        };
        let in_use = if level.held > 0 && self.kind != LimitKind::ConcurrentChats {
            format!(", of which {} are reserved for calls that go on", level.held)
        } else {
            String::new()
        };
        LimitReached { text: format!("{who} may use {quota} {what}{in_use}"), status: self.status(0, level) }
    }

    fn report(&self, level: LimitLevel) -> LimitUse {
        LimitUse {
            kind: self.kind,
            subject: self.subject.kind(),
            name: self.subject.name().to_owned(),
            quota: self.quota,
            used: level.used,
            reserved: level.held,
            resets_ms: self.window.ends_ms,
        }
    }
}
