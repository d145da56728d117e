//! The command line: what to do is decided here, how is in the library.

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use orchestrator_studio::app::{self, App, CreatedKey, Platform, StartError};
use orchestrator_studio::identity::KeyDraft;
use orchestrator_studio::kernel::{AccessRole, Error, Grants, UserId};
use orchestrator_studio::settings::{Environment, LoadedSettings, StorageSettings};
use orchestrator_studio::{identity, telemetry};

/// A self-hosted AI orchestration server. Point it at an LLM, chat with it through one REST API; it remembers
/// conversations and says what it did.
///
/// Configuration comes from environment variables and a `.env` file (see `.env.example`), from JSON files under `config/`,
/// and, while it runs, from its own API. With nothing configured it serves on http://127.0.0.1:8000 and keeps its state
/// under `./data`; the API explorer is at http://127.0.0.1:8000/docs.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server (the default)
    Serve,
    /// Run the server with a scripted LLM of its own: needs no services and no keys
    Demo,
    /// Check the configuration and exit: 0 if it is valid, 2 with every problem listed if not
    CheckConfig,
    /// Bring the schemas of the databases up to date, say what was done, and exit
    Migrate,
    /// Print the OpenAPI document
    Openapi,
    /// Ask the running server whether it is ready: exit code 0 if so, 1 if not
    Healthcheck,
    /// Have the running server evaluate routing: a file of prompts, each with what it should reach; exit code 1 if one does not
    Evaluate {
        /// JSON: a list of cases such as {"prompt": "How many customers are there?", "expect": ["datasource:shop"]}
        file: PathBuf,
    },
    /// Write what was configured through the API to a file, or read it from one
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Encrypt the credentials of what was configured through the API
    #[command(subcommand)]
    Secrets(SecretsCommand),
    /// Make, list and revoke keys of the API, whether a server is running or not
    #[command(subcommand)]
    Key(KeyCommand),
    /// Read a SQLite file for the server that starts this
    #[command(hide = true)]
    ReadSqlite {
        /// The file
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print it as JSON, with credentials as they are stored: `${NAME}` stays `${NAME}`
    Export,
    /// Make it what a file says that `export` has written; the same file again changes nothing. With Postgres servers may be running
    Import {
        /// The file
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum SecretsCommand {
    /// Encrypt them with `SECRETS_KEY`, also those that are in clear or encrypted with one of `SECRETS_KEYS_OLD`; without `SECRETS_KEY`
    /// decrypt them. With Postgres servers may be running
    Rotate,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Make a key and print it: nobody can be told it again
    Create {
        /// What people call it
        #[arg(long, value_parser = identity::label)]
        name: String,
        /// What whoever has it may do
        #[arg(long, value_parser = AccessRole::parse)]
        role: AccessRole,
        /// What of that the key is good for; may be given several times; all of it if not given
        #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
        scopes: Vec<String>,
        /// The user whom it stands for
        #[arg(long, value_parser = UserId::parse_owner)]
        user: Option<UserId>,
        /// The tenant that it belongs to
        #[arg(long, value_parser = identity::label)]
        tenant: Option<String>,
        /// For how many days it is good; for ever if not given
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u32).range(1..=identity::MAX_KEY_DAYS))]
        expires_days: Option<u32>,
    },
    /// List all keys, those that were revoked or have expired among them
    List,
    /// Revoke a key for good
    Revoke {
        /// Its id or its prefix, as `key list` shows them
        #[arg(value_name = "ID_OR_PREFIX")]
        key: String,
    },
}

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Serve);
    let mut runtime = match &command {
        Command::ReadSqlite { .. } => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let outcome = runtime
        .enable_all()
        .build()
        .map_err(|error| Error::internal("the runtime could not be started", error).into())
        .and_then(|runtime| {
            let outcome = runtime.block_on(run(command));
            // A name look-up that hangs must not hold up the end.
            runtime.shutdown_timeout(Duration::from_secs(1));
            outcome
        });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            telemetry::print_fatal(&error.to_string());
            ExitCode::from(if matches!(error, StartError::Settings(_)) { 2 } else { 1 })
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, StartError> {
    let said = match command {
        Command::Serve => {
            let loaded = load()?;
            app::check(&loaded).await?;
            return serve(loaded, false).await;
        }
        Command::Demo => return demo().await,
        Command::ReadSqlite { file } => {
            app::read_sqlite(&file).await?;
            return Ok(ExitCode::SUCCESS);
        }
        Command::CheckConfig => check_config(&load()?).await?,
        Command::Migrate => app::migrate(&load()?.settings.storage).await?.join("\n"),
        Command::Openapi => app::openapi_document()
            .to_pretty_json()
            .map_err(|error| Error::internal("the document could not be written", error))?,
        Command::Healthcheck => {
            app::healthcheck(&load()?.settings.server).await?;
            "ready".to_owned()
        }
        Command::Config(command) => {
            let loaded = load()?;
            return Ok(run_config(command, loaded).await.unwrap_or_else(|error| {
                telemetry::print_fatal(&error.to_string());
                ExitCode::FAILURE
            }));
        }
        Command::Secrets(SecretsCommand::Rotate) => {
            return Ok(app::rotate_secrets(load()?).await.and_then(say).unwrap_or_else(|error| {
                telemetry::print_fatal(&error.to_string());
                ExitCode::FAILURE
            }));
        }
        Command::Key(command) => {
            let loaded = load()?;
            return Ok(run_key(command, &loaded.settings.storage).await.unwrap_or_else(|error| {
                telemetry::print_fatal(&error.to_string());
                ExitCode::FAILURE
            }));
        }
        Command::Evaluate { file } => {
            let (report, passed) = app::evaluate(&load()?.settings, &file).await?;
            drop(writeln!(io::stdout(), "{report}"));
            return Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
    };
    // A reader that has gone away is no error of ours.
    drop(writeln!(io::stdout(), "{said}"));
    Ok(ExitCode::SUCCESS)
}

async fn run_config(command: ConfigCommand, loaded: LoadedSettings) -> Result<ExitCode, Error> {
    let said = match command {
        ConfigCommand::Export => app::export_config(loaded).await?,
        ConfigCommand::Import { file } => app::import_config(loaded, &file).await?,
    };
    say(said)
}

fn say(said: String) -> Result<ExitCode, Error> {
    writeln!(io::stdout(), "{said}")
        .map_err(|error| Error::internal_public("can't write to standard output", error))?;
    Ok(ExitCode::SUCCESS)
}

async fn run_key(command: KeyCommand, settings: &StorageSettings) -> Result<ExitCode, Error> {
    let said = match command {
        KeyCommand::Create { name, role, scopes, user, tenant, expires_days } => {
            let scopes = Some(scopes).filter(|scopes| !scopes.is_empty());
            let draft = KeyDraft { name, role, scopes, owner: user, tenant, days: expires_days };
            let CreatedKey { text, summary } = app::create_key(settings, draft).await?;
            let lost = |error| Error::internal_public(format!("{summary}, which failed, so revoke it"), error);
            writeln!(io::stdout(), "{}", text.expose()).map_err(lost)?;
            drop(writeln!(io::stderr(), "{summary}"));
            return Ok(ExitCode::SUCCESS);
        }
        KeyCommand::List => app::list_keys(settings).await?,
        KeyCommand::Revoke { key } => app::revoke_key(settings, &key).await?,
    };
    drop(writeln!(io::stdout(), "{said}"));
    Ok(ExitCode::SUCCESS)
}

/// What is said of a configuration that a server starts with.
async fn check_config(loaded: &LoadedSettings) -> Result<String, StartError> {
    let warnings = app::check(loaded).await?;
    let skipped = loaded.environment.skipped().iter().map(ToString::to_string);
    let all = skipped.chain(warnings).map(|line| format!("warning: {line}\n"));
    Ok(all.chain(["the configuration is valid".to_owned()]).collect())
}

async fn demo() -> Result<ExitCode, StartError> {
    let (environment, llm) = app::demo::start(&environment()?).await?;
    let loaded = app::load_settings(environment)?;
    let _flush = telemetry::init(&loaded.settings);
    tracing::info!(%llm, "the demo LLM listens; it is scripted, everything else is real");
    serve(loaded, true).await
}

/// Serves until it is told to stop. The demo does without the second port if somebody else has it.
async fn serve(loaded: LoadedSettings, is_demo: bool) -> Result<ExitCode, StartError> {
    let _flush = telemetry::init(&loaded.settings);
    let (listener, scheme) = (app::bind(loaded.settings.server.address)?, loaded.settings.server.scheme());
    let chat_page = match app::bind_chat_page(&loaded.settings.server) {
        Err(error) if is_demo => {
            tracing::warn!(%error, "an older GUI will not find its chat page");
            None
        }
        bound => bound?,
    };
    let app = App::build(loaded, Platform::system()).await?;
    let address = listener.local_addr().map_err(|error| Error::internal("the listener has no address", error))?;
    tracing::info!(%address, "serving; API explorer at {scheme}://{address}/docs");
    if let Some(chat_page) = &chat_page {
        let address =
            chat_page.local_addr().map_err(|error| Error::internal("the second port has no address", error))?;
        tracing::info!(%address, "serving on the second port too, where an older GUI looks for its chat page (CHAT_UI_PORT)");
    }
    app::serve([listener].into_iter().chain(chat_page).collect(), app, app::stop_signal()).await;
    Ok(ExitCode::SUCCESS)
}

fn scope(text: &str) -> Result<String, String> {
    Grants::parse(&[text]).map(|_| text.to_owned())
}

fn environment() -> Result<Environment, StartError> {
    Environment::of_process(Path::new(".env")).map_err(|issue| StartError::Settings(vec![issue]))
}

fn load() -> Result<LoadedSettings, StartError> {
    app::load_settings(environment()?)
}
