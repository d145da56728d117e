use std::time::Duration;

use super::*;
use crate::settings::{Environment, load};

fn connections(variables: &[(&str, &str)]) -> Connections {
    let loaded = load(Environment::from_pairs(variables.iter().copied())).unwrap();
    Connections::new(&loaded.settings.server, usize::MAX)
}

async fn admit(connections: &Connections, address: &str) -> Option<(Admission, CancellationToken)> {
    let close = CancellationToken::new();
    let admission = connections.admit(address.parse().unwrap(), close.clone()).await.ok()?;
    Some((admission, close))
}

#[tokio::test]
async fn beyond_its_share_a_client_loses_its_longest_idle_connection_and_then_gets_no_more() {
    let connections = connections(&[("MAX_CONNECTIONS_PER_ADDRESS", "2")]);
    let (busy, busy_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    let (idle, idle_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    busy.connection.request_started(false);
    let (other, _) = admit(&connections, "10.0.0.2").await.unwrap();
    let (third, third_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    assert_eq!([busy_closed.is_cancelled(), idle_closed.is_cancelled()], [false, true]);
    third.connection.request_started(false);
    assert!(admit(&connections, "10.0.0.1").await.is_none(), "both are in use");
    drop((other, idle, busy));
    let (_fourth, _) = admit(&connections, "10.0.0.1").await.unwrap();
    assert!(!third_closed.is_cancelled());
}

#[tokio::test]
async fn a_client_is_an_address_or_a_network_of_a_household() {
    let connections = connections(&[("MAX_CONNECTIONS_PER_ADDRESS", "1")]);
    let (_kept, closed) = admit(&connections, "2001:db8:1:2::1").await.unwrap();
    let _other = admit(&connections, "2001:db8:1:3::1").await.unwrap();
    assert!(!closed.is_cancelled());
    let _same = admit(&connections, "2001:db8:1:2:ffff::9").await.unwrap();
    assert!(closed.is_cancelled());
    let (_four, closed) = admit(&connections, "::ffff:10.0.0.1").await.unwrap();
    let _mapped = admit(&connections, "10.0.0.1").await.unwrap();
    assert!(closed.is_cancelled());
}

#[tokio::test(start_paused = true)]
async fn a_full_server_closes_idle_connections_of_the_client_with_the_most_and_then_slow_bodies() {
    let connections = connections(&[("MAX_CONNECTIONS", "3"), ("MAX_CONNECTIONS_PER_ADDRESS", "0")]);
    let (one, one_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (two, two_closed) = admit(&connections, "10.0.0.2").await.unwrap();
    let (three, three_closed) = admit(&connections, "10.0.0.2").await.unwrap();
    let waiting = tokio::spawn({
        let connections = connections.clone();
        async move { admit(&connections, "10.0.0.3").await }
    });
    two_closed.cancelled().await;
    drop(two);
    let (four, four_closed) = waiting.await.unwrap().unwrap();
    assert_eq!([one_closed.is_cancelled(), three_closed.is_cancelled()], [false, false]);

    // Nobody is idle: a body that is on its way for long goes, one that has just begun and an answer stay.
    one.connection.request_started(true);
    three.connection.request_started(false);
    tokio::time::sleep(Duration::from_secs(6)).await;
    four.connection.request_started(true);
    let waiting = tokio::spawn(async move { admit(&connections, "10.0.0.4").await });
    one_closed.cancelled().await;
    drop(one);
    assert!(waiting.await.unwrap().is_some());
    assert_eq!([three_closed.is_cancelled(), four_closed.is_cancelled()], [false, false]);
}

#[tokio::test]
async fn who_comes_while_all_is_in_use_is_refused_at_once() {
    let connections = connections(&[("MAX_CONNECTIONS", "2"), ("MAX_CONNECTIONS_PER_ADDRESS", "1")]);
    let (one, _) = admit(&connections, "10.0.0.1").await.unwrap();
    let (two, _) = admit(&connections, "10.0.0.2").await.unwrap();
    one.connection.request_started(false);
    two.connection.request_started(true);
    let refused =
        async |address: &str| connections.admit(address.parse().unwrap(), CancellationToken::new()).await.unwrap_err();
    assert_eq!(refused("10.0.0.3").await, ConnectionRefusal::ServerFull);
    assert_eq!(refused("10.0.0.1").await, ConnectionRefusal::ClientFull);
    drop(one);
    assert!(admit(&connections, "10.0.0.3").await.is_some());
}

#[tokio::test]
async fn what_clients_keep_is_bounded_and_the_one_with_the_most_pays() {
    let connections = connections(&[("MAX_BODY_BYTES", "10"), ("MAX_BUFFERED_BYTES", "100")]);
    let (greedy, greedy_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    let (second, second_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    let (honest, honest_closed) = admit(&connections, "10.0.0.2").await.unwrap();
    greedy.connection.request_started(false);
    greedy.connection.reply_started(Some(40));
    second.connection.request_started(true);
    second.connection.received(30);
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 70);
    honest.connection.received(30);
    honest.connection.request_started(true);
    assert!(!greedy_closed.is_cancelled());
    honest.connection.received(1);
    assert_eq!([greedy_closed, second_closed, honest_closed].map(|it| it.is_cancelled()), [true, false, false]);
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 61);

    // All of it is let go of once there is a reply and that is sent, or the connection is gone.
    honest.connection.request_body_ended();
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 61, "who works on it keeps it");
    honest.connection.reply_started(Some(20));
    honest.connection.reply_queued(20, true);
    honest.connection.reply_body_ended();
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 50);
    honest.connection.flushed();
    drop((greedy, second));
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 0);
    assert!(honest.connection.idle().is_some());
}

#[tokio::test]
async fn prompts_count_while_a_model_works_on_them_and_while_its_answer_streams() {
    let connections = connections(&[("MAX_BODY_BYTES", "40"), ("MAX_BUFFERED_BYTES", "100")]);
    let mut prompts = Vec::new();
    for from in ["10.0.0.1", "10.0.0.1", "10.0.0.2"] {
        let (prompt, closed) = admit(&connections, from).await.unwrap();
        prompt.connection.request_started(true);
        prompt.connection.received(30);
        prompt.connection.request_body_ended();
        prompts.push((prompt, closed));
    }
    let [(streamed, streamed_closed), (second, second_closed), (other, other_closed)] = &prompts[..] else { panic!() };
    streamed.connection.reply_started(None);
    streamed.connection.reply_queued(5, false);
    streamed.connection.flushed();
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 90);
    let (newcomer, _) = admit(&connections, "10.0.0.3").await.unwrap();
    newcomer.connection.received(11);
    assert_eq!([streamed_closed, second_closed, other_closed].map(|it| it.is_cancelled()), [true, false, false]);

    // What a connection that was closed still says is not counted, and the end of a stream lets go of its prompt.
    streamed.connection.reply_body_ended();
    streamed.connection.flushed();
    other.connection.reply_started(None);
    other.connection.reply_body_ended();
    other.connection.flushed();
    second.connection.reply_started(Some(2));
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 13);
}

#[tokio::test]
async fn a_handshake_counts_while_it_goes_on_and_leaves_the_connection_idle() {
    let connections = connections(&[]);
    let (begun, _) = admit(&connections, "10.0.0.1").await.unwrap();
    begun.connection.received(1_500);
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 1_500);
    begun.connection.handshake_ended();
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 0);
    assert!(begun.connection.idle().is_some());
}

#[tokio::test]
async fn a_reply_larger_than_the_budget_is_sent_while_nobody_else_keeps_anything() {
    let connections = connections(&[("MAX_BODY_BYTES", "10"), ("MAX_BUFFERED_BYTES", "100")]);
    let (large, large_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    let (other, other_closed) = admit(&connections, "10.0.0.1").await.unwrap();
    large.connection.request_started(false);
    large.connection.reply_started(Some(1_000));
    large.connection.reply_queued(1_000, false);
    assert!(!large_closed.is_cancelled());
    other.connection.received(1);
    assert_eq!([large_closed, other_closed].map(|it| it.is_cancelled()), [true, false]);
    assert_eq!(connections.0.buffered.load(Ordering::Relaxed), 1);
}
