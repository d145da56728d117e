use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, header};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;
use crate::kernel::BackgroundTask;
use crate::settings::Environment;
use crate::telemetry;

async fn get(router: &Router, path: &str) -> String {
    let request = Request::get(path).header(header::HOST, "localhost").body(Body::empty()).unwrap();
    let reply = router.clone().oneshot(request).await.unwrap();
    assert_eq!(reply.status(), 200, "{path}");
    String::from_utf8(to_bytes(reply.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_background_task_that_panics_is_logged_and_counted_and_works_again() {
    telemetry::init_for_tests();
    let folder = TempDir::new().unwrap();
    let environment = Environment::from_pairs([("DATA_DIR", folder.path().display().to_string())]);
    let app = App::build(load_settings(environment).unwrap(), Platform::system()).await.unwrap();

    let (done, mut work) = mpsc::channel(1);
    let mut starts = 0;
    let _task = BackgroundTask::spawn("story", move || {
        starts += 1;
        let (nth, done) = (starts, done.clone());
        async move {
            assert!(nth > 1, "start {nth} fails");
            done.send(nth).await.unwrap();
        }
    });
    assert_eq!(work.recv().await, Some(2), "it works again");

    let metrics = get(&app.router, "/metrics").await;
    let count = |task: &str| format!("orchestrator_background_task_panics_total{{task=\"{task}\"}}");
    assert!(metrics.contains(&format!("{} 1.0\n", count("story"))), "{metrics}");
    for task in ["retention", "summaries", "monitoring"] {
        assert!(metrics.contains(&format!("{} 0.0\n", count(task))), "{task} is not supervised: {metrics}");
    }
    let lines = get(&app.router, "/api/monitoring/logs?level=error&contains=background+task").await;
    let lines: Value = serde_json::from_str(&lines).unwrap();
    let line = lines["logs"].as_array().unwrap().iter().find(|line| line["fields"]["task"] == "story");
    assert!(line.is_some_and(|line| line["message"] == "a background task has panicked"), "{lines}");
}
