//! A real Prometheus that scrapes servers under test.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::program::free_port;
use super::{Client, Program, programs_are_required};

/// Ends with the test.
pub struct Prometheus {
    process: Child,
    client: Client,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

impl Prometheus {
    /// Scrapes these programs every second as one job, with the rules of a file. None if there is no Prometheus on this machine, and need not be.
    pub fn start(job: &str, programs: &[&Program], rules: Option<&Path>) -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let targets: Vec<_> = programs.iter().map(|program| format!("127.0.0.1:{}", program.port)).collect();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "scrape_configs": [{"job_name": job, "static_configs": [{"targets": targets}]}],
            "rule_files": rules.iter().collect::<Vec<_>>(),
        });
        // JSON is YAML.
        std::fs::write(folder.path().join("prometheus.yml"), config.to_string()).unwrap();
        let port = free_port();
        let process = Command::new("prometheus")
            .args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"])
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let Ok(process) = process else {
            assert!(!programs_are_required(), "no prometheus on PATH; install the package prometheus");
            return None;
        };
        Some(Self { process, client: Client::new(format!("http://127.0.0.1:{port}")), _folder: folder })
    }

    /// A reply of its API, as soon as it gives one that fits.
    pub async fn wait_for(&self, path: &str, parameters: &[(&str, &str)], fits: impl Fn(&Value) -> bool) -> Value {
        let path =
            format!("{path}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish());
        let mut last = Value::Null;
        for _ in 0..300 {
            if let Ok(reply) = self.client.request("GET", &path).send().await
                && let Ok(text) = reply.text().await
            {
                last = serde_json::from_str(&text).unwrap_or(Value::String(text));
                if fits(&last) {
                    return last;
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{path} {parameters:?}: {last}");
    }

    /// What a query finds, as soon as that is anything.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let result = |reply: &Value| reply["data"]["result"].as_array().cloned().unwrap_or_default();
        let reply = self.wait_for("/api/v1/query", &[("query", query)], |reply| !result(reply).is_empty()).await;
        result(&reply)
    }
}
