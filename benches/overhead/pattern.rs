//! How chats arrive: from users who wait for the answer before they go on, or at a rate that knows no waiting.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::load::figures::Figures;
use crate::load::process::cpu_time;
use crate::load::{Chat, Talker};

/// Turns of a conversation; then the user begins another one, so that a chat costs the same at any time.
const TURNS: usize = 20;
/// Connections that those who come at a rate find open.
const READY: usize = 32;

#[derive(Clone, Copy)]
pub enum Pattern {
    /// So many users, each saying the next thing as soon as the last one was answered.
    Closed(usize),
    /// So many chats per second. What they wait for a late one before them counts.
    Open(usize),
}

/// One of the two that are compared.
pub struct Side {
    pub address: String,
    pub pid: u32,
}

/// Those who chat with one side.
pub struct Talkers {
    address: String,
    pid: u32,
    all: Vec<Talker>,
    pattern: Pattern,
}

impl Pattern {
    pub fn name(self) -> String {
        match self {
            Self::Closed(1) => "1 connection".to_owned(),
            Self::Closed(count) => format!("{count} connections"),
            Self::Open(rate) => format!("{rate}/s arriving"),
        }
    }
}

impl Talkers {
    /// With their connections open.
    pub async fn connect(side: &Side, pattern: Pattern) -> Self {
        let (count, kind) = match pattern {
            Pattern::Closed(count) => (count, "closed"),
            Pattern::Open(_) => (READY, "open"),
        };
        let name = |nth| format!("{kind}-{count}-{nth}");
        let mut all: Vec<_> = (0..count).map(|nth| Talker::new(&side.address, &name(nth), TURNS)).collect();
        for talker in &mut all {
            talker.connect().await;
        }
        Self { address: side.address.clone(), pid: side.pid, all, pattern }
    }

    /// They chat for this long.
    pub async fn chat(&mut self, time: Duration) -> Figures {
        let (started, before) = (Instant::now(), cpu_time(self.pid));
        let chats = match self.pattern {
            Pattern::Closed(_) => self.closed(started + time).await,
            Pattern::Open(rate) => self.open(rate, time).await,
        };
        Figures::of(&chats, started.elapsed(), cpu_time(self.pid) - before)
    }

    async fn closed(&mut self, end: Instant) -> Vec<Chat> {
        let talking = self.all.drain(..).map(|mut talker| {
            tokio::spawn(async move {
                let mut chats = Vec::new();
                while Instant::now() < end {
                    chats.push(talker.chat().await);
                }
                (talker, chats)
            })
        });
        let ended: Vec<_> = join_all(talking).await.into_iter().map(Result::unwrap).collect();
        let mut all = Vec::new();
        for (talker, chats) in ended {
            self.all.push(talker);
            all.extend(chats);
        }
        all
    }

    async fn open(&mut self, rate: usize, time: Duration) -> Vec<Chat> {
        let (mut due, mut talking, mut chats) = (arrivals(rate, time), JoinSet::new(), Vec::new());
        let mut extra = 0;
        while let Some(at) = due.recv().await {
            while let Some(ended) = talking.try_join_next() {
                self.keep(ended.unwrap(), &mut chats);
            }
            let mut talker = self.all.pop().unwrap_or_else(|| {
                extra += 1;
                Talker::new(&self.address, &format!("extra-{}-{extra}", self.all.len()), TURNS)
            });
            talking.spawn(async move {
                let Chat { is_right, .. } = talker.chat().await;
                (talker, Chat { took: at.elapsed(), is_right })
            });
        }
        while let Some(ended) = talking.join_next().await {
            self.keep(ended.unwrap(), &mut chats);
        }
        chats
    }

    fn keep(&mut self, (talker, chat): (Talker, Chat), chats: &mut Vec<Chat>) {
        self.all.push(talker);
        chats.push(chat);
    }
}

/// When chats are due. A thread of its own tells: timers of the runtime are a millisecond late.
fn arrivals(rate: usize, time: Duration) -> mpsc::UnboundedReceiver<Instant> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let (begun, pause) = (Instant::now(), Duration::from_secs(1) / rate.max(1) as u32);
    std::thread::spawn(move || {
        let mut at = begun;
        while at < begun + time && sender.send(at).is_ok() {
            at += pause;
            std::thread::sleep(at.saturating_duration_since(Instant::now()));
        }
    });
    receiver
}
