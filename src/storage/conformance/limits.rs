//! What callers use of their limits, counted here and in Redis.

use std::time::Duration;

use futures_util::future::join_all;
use tempfile::TempDir;

use super::{TestStores, settings, stories};
use crate::kernel::{Clock, new_id};
use crate::storage::{
    LimitCheck, LimitCounter, LimitDemand, LimitEffect, LimitLevel, LimitStore, PreviousWindow, Stores,
};

stories!(embedded: many_at_once_get_no_more_than_there_is, what_is_held_counts_until_it_ends_and_then_what_was_used,
    either_all_limits_allow_it_or_nothing_is_used, of_the_window_before_a_part_counts,
    who_is_content_with_less_gets_what_is_left, in_a_shadow_all_is_granted_and_counted);
stories!(redis: many_at_once_get_no_more_than_there_is, what_is_held_counts_until_it_ends_and_then_what_was_used,
    either_all_limits_allow_it_or_nothing_is_used, of_the_window_before_a_part_counts,
    who_is_content_with_less_gets_what_is_left, in_a_shadow_all_is_granted_and_counted);

/// A use that nobody else has.
struct Use {
    name: String,
    ends_ms: i64,
}

impl Use {
    fn new() -> Self {
        Self { name: format!("user:{}", new_id()), ends_ms: Clock::system().now_ms() + 3_600_000 }
    }

    fn check(&self, amount: u64, quota: u64, effect: LimitEffect) -> LimitCheck {
        let counter = LimitCounter { name: format!("{}:day", self.name), previous: None, ends_ms: self.ends_ms };
        let pool = Some(format!("{}:tokens", self.name));
        LimitCheck { counter: Some(counter), pool, amount, least: amount, quota, effect }
    }

    async fn level(&self, store: &LimitStore) -> LimitLevel {
        let checks = vec![self.check(0, 0, LimitEffect::Probe)];
        store.take(&LimitDemand { checks, is_forced: true }).await.0.levels[0]
    }
}

fn demand(checks: impl Into<Vec<LimitCheck>>) -> LimitDemand {
    LimitDemand { checks: checks.into(), is_forced: false }
}

async fn many_at_once_get_no_more_than_there_is(bench: &TestStores) {
    let (store, of) = (&bench.stores.limits, Use::new());
    let one = demand([of.check(3, 100, LimitEffect::Spend)]);
    let granted = join_all((0..200).map(|_| store.take(&one))).await;
    assert_eq!(granted.iter().filter(|(verdict, _)| verdict.refused.is_none()).count(), 33);
    assert_eq!(of.level(store).await, LimitLevel { used: 99, held: 0 });
    let held = demand([LimitCheck { counter: None, ..of.check(1, 10, LimitEffect::Hold) }]);
    let granted = join_all((0..200).map(|_| store.take(&held))).await;
    assert_eq!(granted.iter().filter(|(verdict, _)| verdict.refused.is_none()).count(), 10);
    drop(granted);
    assert_eq!(store.take(&held).await.0.refused, None, "who comes back at once finds what was let go of");
}

async fn what_is_held_counts_until_it_ends_and_then_what_was_used(bench: &TestStores) {
    let (store, of) = (&bench.stores.limits, Use::new());
    let large = demand([of.check(60, 100, LimitEffect::Hold)]);
    let (verdict, mut hold) = store.take(&large).await;
    assert_eq!(verdict.refused, None);
    assert_eq!(of.level(store).await, LimitLevel { used: 0, held: 60 });
    let (verdict, refused) = store.take(&large).await;
    assert_eq!((verdict.refused, verdict.levels), (Some(0), vec![LimitLevel { used: 0, held: 60 }]));
    drop(refused);
    assert_eq!(of.level(store).await, LimitLevel { used: 0, held: 60 }, "a refusal lets nothing of others go");
    hold.spent = 41;
    drop(hold);
    assert_eq!(of.level(store).await, LimitLevel { used: 41, held: 0 });
    let (verdict, hold) = store.take(&demand([of.check(59, 100, LimitEffect::Hold)])).await;
    assert_eq!(verdict.refused, None);
    drop(hold);
    assert_eq!(of.level(store).await, LimitLevel { used: 41, held: 0 }, "what came to nothing is given back");
}

async fn either_all_limits_allow_it_or_nothing_is_used(bench: &TestStores) {
    let (store, wide, narrow) = (&bench.stores.limits, Use::new(), Use::new());
    let both = demand([wide.check(5, 100, LimitEffect::Hold), narrow.check(5, 5, LimitEffect::Spend)]);
    let (verdict, hold) = store.take(&both).await;
    assert_eq!(verdict.refused, None);
    let (verdict, none) = store.take(&both).await;
    assert_eq!((verdict.refused, verdict.levels.len()), (Some(1), 2));
    assert_eq!(wide.level(store).await.held, 5);
    drop((hold, none));
    // Two limits of one use hold it once.
    let month = LimitCounter { name: format!("{}:month", wide.name), previous: None, ends_ms: wide.ends_ms };
    let twice = [
        wide.check(7, 100, LimitEffect::Hold),
        LimitCheck { counter: Some(month), ..wide.check(7, 1000, LimitEffect::Hold) },
    ];
    let (_, mut hold) = store.take(&demand(twice.clone())).await;
    assert_eq!(wide.level(store).await.held, 7);
    hold.spent = 3;
    drop(hold);
    let (verdict, _hold) = store.take(&demand(twice)).await;
    assert_eq!(verdict.levels, [LimitLevel { used: 3, held: 0 }; 2]);
}

async fn of_the_window_before_a_part_counts(bench: &TestStores) {
    let (store, of) = (&bench.stores.limits, Use::new());
    store.take(&demand([of.check(80, 100, LimitEffect::Spend)])).await;
    let counter = |permille| {
        let previous = Some(PreviousWindow { name: format!("{}:day", of.name), permille });
        Some(LimitCounter { name: format!("{}:next", of.name), previous, ends_ms: of.ends_ms })
    };
    for (permille, expected) in [(1000, 80), (250, 20), (0, 0)] {
        let check = LimitCheck { counter: counter(permille), ..of.check(0, 100, LimitEffect::Probe) };
        assert_eq!(store.take(&demand([check])).await.0.levels[0].used, expected);
    }
    let check = LimitCheck { counter: counter(500), ..of.check(61, 100, LimitEffect::Spend) };
    assert_eq!(store.take(&demand([check])).await.0.refused, Some(0));
}

async fn who_is_content_with_less_gets_what_is_left(bench: &TestStores) {
    let (store, of) = (&bench.stores.limits, Use::new());
    store.take(&demand([of.check(30, 100, LimitEffect::Spend)])).await;
    let any = demand([LimitCheck { least: 1, ..of.check(5_000, 100, LimitEffect::Hold) }]);
    let (verdict, mut hold) = store.take(&any).await;
    assert_eq!(verdict.refused, None);
    assert_eq!(of.level(store).await, LimitLevel { used: 30, held: 70 });
    assert_eq!(store.take(&any).await.0.refused, Some(0));
    hold.spent = 69;
    drop(hold);
    let (verdict, hold) = store.take(&any).await;
    assert_eq!((verdict.refused, of.level(store).await.held), (None, 1));
    drop(hold);
    assert_eq!(store.take(&demand([of.check(2, 100, LimitEffect::Hold)])).await.0.refused, Some(0));
}

async fn in_a_shadow_all_is_granted_and_counted(bench: &TestStores) {
    let (store, of) = (&bench.stores.limits, Use::new());
    let forced = LimitDemand { checks: vec![of.check(80, 100, LimitEffect::Spend)], is_forced: true };
    let refused: Vec<_> = [store.take(&forced).await, store.take(&forced).await].map(|(it, _)| it.refused).into();
    assert_eq!(refused, [None, Some(0)]);
    assert_eq!(of.level(store).await.used, 160);
}

#[tokio::test]
async fn what_was_used_of_a_day_outlives_the_process_and_not_the_day() {
    let (folder, clock, of) = (TempDir::new().unwrap(), Clock::manual(1_000), Use::new());
    let of = Use { ends_ms: 50_000, ..of };
    let stores = Stores::open(&settings(&folder, None, None), clock.clone()).await.unwrap();
    let (_, mut hold) = stores.limits.take(&demand([of.check(60, 100, LimitEffect::Hold)])).await;
    hold.spent = 42;
    drop(hold);
    let (_, lost) = stores.limits.take(&demand([of.check(9, 100, LimitEffect::Hold)])).await;
    std::mem::forget(lost);
    stores.close().await;
    let stores = Stores::open(&settings(&folder, None, None), clock.clone()).await.unwrap();
    assert_eq!(of.level(&stores.limits).await, LimitLevel { used: 42, held: 0 });
    stores.close().await;
    clock.advance(Duration::from_secs(60));
    let stores = Stores::open(&settings(&folder, None, None), clock).await.unwrap();
    assert_eq!(of.level(&stores.limits).await, LimitLevel::default());
    stores.close().await;
}

#[tokio::test]
async fn two_servers_on_one_redis_count_together() {
    let Some((one, other)) = TestStores::redis().await.zip(TestStores::redis().await) else { return };
    let of = Use::new();
    let check = of.check(1, 100, LimitEffect::Spend);
    let asking = (0..100).flat_map(|_| [&one.stores.limits, &other.stores.limits]).map(|store| {
        let demand = demand([check.clone()]);
        async move { store.take(&demand).await.0.refused }
    });
    assert_eq!(join_all(asking).await.iter().filter(|refused| refused.is_none()).count(), 100);
    let (_, mut hold) = one.stores.limits.take(&demand([of.check(500, 1_000, LimitEffect::Hold)])).await;
    assert_eq!(of.level(&other.stores.limits).await, LimitLevel { used: 100, held: 500 });
    hold.spent = 7;
    drop(hold);
    one.stores.limits.flush().await;
    assert_eq!(of.level(&other.stores.limits).await, LimitLevel { used: 107, held: 0 });
}
