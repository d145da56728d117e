use std::cell::RefCell;
use std::future::Future;

use serde_json::Value;

/// A change that a request made to what is configured, without secrets.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordedChange {
    /// What was changed: `tools/weather`, `llm`, `keys/5f0c...`.
    pub target: String,
    /// What it was; `None` if it was not there.
    pub before: Option<Value>,
    /// What it is; `None` if it is no more.
    pub after: Option<Value>,
}

/// Which request a change comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestOrigin {
    /// Who made it; `None` where callers are not told apart.
    pub author: Option<String>,
    /// Its id.
    pub request_id: Option<String>,
    /// What it is called in the API's document, or what the server does of its own accord.
    pub operation: String,
}

/// What a request did that others should be able to look up.
#[derive(Debug, Default)]
pub struct RequestTrail {
    /// What it changed.
    pub changes: Vec<RecordedChange>,
    /// What it asked for that is not the caller's.
    pub denied: Option<String>,
}

tokio::task_local! {
    static TRAIL: RefCell<RequestTrail>;
    static ORIGIN: RequestOrigin;
}

impl RequestOrigin {
    /// Of what no request asks for, but this author.
    pub fn by(author: &str) -> Self {
        Self { author: Some(author.to_owned()), ..Self::default() }
    }

    /// Does the work of this request.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        ORIGIN.scope(self, work).await
    }

    /// That of the request at hand; an empty one for what no request asks for.
    pub fn current() -> Self {
        ORIGIN.try_with(Self::clone).unwrap_or_default()
    }
}

impl RequestTrail {
    /// Does the work of a request; gives what it did beside what it came to.
    pub async fn of<F: Future>(work: F) -> (F::Output, Self) {
        let work = async {
            let output = work.await;
            (output, TRAIL.with(RefCell::take))
        };
        TRAIL.scope(RefCell::default(), work).await
    }

    /// Whether anybody wants to know of changes.
    pub fn is_kept() -> bool {
        TRAIL.try_with(|_| ()).is_ok()
    }

    /// Notes changes that the request at hand has made.
    pub fn note(changes: impl IntoIterator<Item = RecordedChange>) {
        // Nobody wants to know of what the server does by itself.
        TRAIL.try_with(|trail| trail.borrow_mut().changes.extend(changes)).unwrap_or_default();
    }

    /// Notes that the request at hand has asked for what is somebody else's.
    pub fn note_denied(target: impl FnOnce() -> String) {
        TRAIL.try_with(|trail| trail.borrow_mut().denied = Some(target())).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_request_leaves_a_trail_of_its_own() {
        let change = |target: &str| RecordedChange { target: target.to_owned(), before: None, after: None };
        RequestTrail::note([change("lost")]);
        assert!(!RequestTrail::is_kept());
        let ask = |target: &'static str| async move {
            RequestTrail::note([change(target)]);
            tokio::task::yield_now().await;
            RequestTrail::note_denied(|| target.to_owned());
            RequestTrail::is_kept()
        };
        let ((one, of_one), (other, of_other)) =
            tokio::join!(RequestTrail::of(ask("tools/a")), RequestTrail::of(ask("tools/b")));
        assert!(one && other);
        let origin = RequestOrigin { operation: "update_tool".to_owned(), ..RequestOrigin::default() };
        assert_eq!(origin.clone().scope(async { RequestOrigin::current() }).await, origin);
        assert_eq!(RequestOrigin::current(), RequestOrigin::default());
        assert_eq!((of_one.changes, of_one.denied), (vec![change("tools/a")], Some("tools/a".to_owned())));
        assert_eq!((of_other.changes, of_other.denied), (vec![change("tools/b")], Some("tools/b".to_owned())));
    }
}
