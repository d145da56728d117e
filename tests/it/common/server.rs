//! The server in this process: the real router on a real socket, its state in a folder of its own.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;

use orchestrator_studio::app::{self, App, NameResolver, Platform};
use orchestrator_studio::kernel::Clock;
use orchestrator_studio::settings::Environment;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::util::SubscriberInitExt;

use super::{Client, Upstream};

pub struct TestServer {
    client: Client,
    folder: Arc<TempDir>,
    variables: Vec<(String, String)>,
    platform: Platform,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl TestServer {
    /// A server with nothing configured.
    pub async fn bare() -> Self {
        Self::with(&[]).await
    }

    /// A server with these variables.
    pub async fn with(variables: &[(&str, &str)]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::start(Arc::new(TempDir::new().unwrap()), variables, platform()).await
    }

    /// A server whose LLM is this upstream, and with these variables besides.
    pub async fn with_llm(upstream: &Upstream, variables: &[(&str, &str)]) -> Self {
        let base = upstream.url();
        let mut all =
            vec![("LLM_BASE_URL", base.as_str()), ("LLM_DEFAULT_MODEL", "stub-model"), ("LLM_PROVIDER", "openai")];
        all.extend_from_slice(variables);
        Self::with(&all).await
    }

    /// A server with these variables whose clock stands still until it is moved.
    pub async fn with_clock(variables: &[(&str, &str)], clock: Clock) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::start(Arc::new(TempDir::new().unwrap()), variables, Platform { clock, ..platform() }).await
    }

    /// A server with these variables, for which these names have these addresses.
    pub async fn with_names(variables: &[(&str, &str)], names: &[(&str, &[&str])]) -> Self {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let addresses = |of: &[&str]| of.iter().map(|address| address.parse().unwrap()).collect();
        let names = NameResolver::with(names.iter().map(|(name, of)| ((*name).to_owned(), addresses(of))));
        Self::start(Arc::new(TempDir::new().unwrap()), variables, Platform { names, ..platform() }).await
    }

    async fn start(folder: Arc<TempDir>, variables: Vec<(String, String)>, platform: Platform) -> Self {
        let missing = folder.path().join("no-such-file").display().to_string();
        let files = ["LLM_CONFIG_PATH", "AGENTS_CONFIG_PATH", "DATASOURCES_CONFIG_PATH", "TOOLS_CONFIG_PATH"];
        let mut all: Vec<(String, String)> = files.map(|name| (name.to_owned(), missing.clone())).into();
        all.push(("DATA_DIR".to_owned(), folder.path().display().to_string()));
        // Nothing is asked of upstreams in the background, so that stories can count what they are asked. An empty value of a
        // story takes the setting back.
        let quiet = [("GROUNDING_REFRESH_SECONDS", "0"), ("CONTEXT_TOKENS", "2000")];
        let is_given = |name: &str| variables.iter().any(|(given, _)| given == name);
        let quiet = quiet.iter().filter(|(name, _)| !is_given(name));
        all.extend(quiet.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        all.extend(variables.clone());
        // Spans hold the ids of requests, and need somebody who keeps them. A second call fails, and changes nothing.
        drop(tracing_subscriber::registry().try_init());
        let loaded = app::load_settings(Environment::from_pairs(all)).unwrap_or_else(|error| panic!("{error}"));
        let app = App::build(loaded, platform.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        let listener = app::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let client = Client::new(format!("http://{}", listener.local_addr().unwrap()));
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let serving = tokio::spawn(async move {
            app::serve(vec![listener], app, stopped.cancelled()).await;
        });
        Self { client, folder, variables, platform, stop, serving }
    }

    /// Stops the server and starts another one on the same folder.
    pub async fn restart(self) -> Self {
        let Self { folder, variables, platform, stop, serving, .. } = self;
        stop.cancel();
        serving.await.unwrap();
        Self::start(folder, variables, platform).await
    }

    /// [`TestServer::restart`] with these variables besides.
    pub async fn restart_with(mut self, variables: &[(&str, &str)]) -> Self {
        self.variables.retain(|(name, _)| variables.iter().all(|(changed, _)| name != changed));
        self.variables.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.restart().await
    }

    /// Stops the server and waits until it has ended.
    pub async fn stop(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    /// Stops the server and gives its data folder, which is there as long as what this returns.
    pub async fn keep_folder(self) -> Arc<TempDir> {
        let folder = Arc::clone(&self.folder);
        self.stop().await;
        folder
    }

    /// Its data folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Those of the program, which this process is not.
fn platform() -> Platform {
    Platform { program: env!("CARGO_BIN_EXE_orchestrator-studio").into(), ..Platform::system() }
}

impl Deref for TestServer {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}
