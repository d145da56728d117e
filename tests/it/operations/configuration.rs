//! What a server is configured with: variables, `.env`, JSON files, and what the program says when they are wrong.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use orchestrator_studio::kernel::Secret;
use orchestrator_studio::settings::{Environment, Settings, load, variable_names};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};
use tempfile::TempDir;

use crate::common::Program;
use crate::common::program::free_port;

const EXAMPLE: &str = include_str!("../../../.env.example");

/// The four sample files, by the variable that says where such a file is.
const FILES: [(&str, &str); 4] = [
    ("LLM_CONFIG_PATH", "config/llm.example.json"),
    ("AGENTS_CONFIG_PATH", "config/agents.example.json"),
    ("DATASOURCES_CONFIG_PATH", "config/datasources.example.json"),
    ("TOOLS_CONFIG_PATH", "config/tools.example.json"),
];

/// The `NAME=value` of a line such as `# NAME=value`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.strip_prefix("# ")?.split_once('=')?;
    let is_name = name.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
    is_name.then_some((name, value))
}

/// The variables of `.env.example` that it gives a value.
fn defaults() -> Vec<(String, String)> {
    let given = EXAMPLE.lines().filter_map(assignment).filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect()
}

/// All that settings hold, secrets included.
fn held(variables: &[(String, String)]) -> String {
    // Makes the defaults visible that count only when there is something to connect to, and lets authentication be turned on.
    let upstreams = [
        ("EXTERNAL_AGENT_BASE_URL", "http://agent"),
        ("DATASOURCE_BASE_URL", "http://source"),
        ("REDIS_HOST", "cache"),
        ("POSTGRES_HOST", "db"),
        ("AUTH_SECRET_KEY", "0b5c1f6e9a7d4832b5f0c9e8d7a6142335f7a9c1e2d4b6f8"),
    ];
    let upstreams = upstreams.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = Environment::from_pairs(upstreams.into_iter().chain(variables.iter().cloned()));
    let settings = load(environment).unwrap_or_else(|issues| panic!("{issues:?}")).settings;
    let Settings {
        server,
        auth,
        limits,
        llm,
        memory,
        cache,
        orchestration,
        monitoring,
        storage,
        outbound,
        agents,
        datasources,
        tools,
        tool_policy,
        ..
    } = &settings;
    let urls = [&storage.redis_url, &storage.postgres_dsn].map(|url| url.as_ref().map(Secret::expose));
    let llm = llm.effective();
    format!(
        "{server:#?} {auth:#?} {limits:#?} {llm:#?} {memory:#?} {cache:#?} {orchestration:#?} {monitoring:#?} {storage:#?} {urls:?} {outbound:#?} {agents:#?} {datasources:#?} {tools:#?} {tool_policy:#?}"
    )
}

/// A valid value of this variable other than this one.
fn another<'a>(name: &str, value: &'a str) -> &'a str {
    match value {
        _ if name == "INTENT_CLASSIFIER" => "rules",
        _ if name == "GROUNDING_REFRESH_SECONDS" => "60",
        "true" => "false",
        "false" => "true",
        "127.0.0.1" => "0.0.0.0",
        "/v1" => "/v2",
        "http://localhost:3000" => "http://localhost:3001",
        "auto" => "openai",
        "private_allowed" => "public_only",
        "1" => "2",
        "HS256" => "HS384",
        "enforce" => "shadow",
        "text" => "json",
        number if number.parse::<f64>().is_ok() => "1",
        _ => "DEBUG",
    }
}

#[test]
fn the_example_lists_every_variable_with_a_comment() {
    let mut listed = BTreeSet::new();
    let mut above = "";
    for line in EXAMPLE.lines() {
        assert!(line.is_empty() || line.starts_with('#'), "{line} is not commented out");
        if let Some((name, value)) = assignment(line) {
            let is_comment = above.starts_with("# ") && assignment(above).is_none();
            assert!(is_comment, "{name} has no comment above it");
            assert!(listed.insert(name), "{name} is listed twice");
            let secret = ["_KEY", "_TOKEN", "_PASSWORD", "_URL", "_DSN"].iter().any(|end| name.ends_with(end));
            assert!(!secret || value.is_empty(), "{name} must have no value");
        }
        above = line;
    }
    let read: BTreeSet<_> = variable_names().into_iter().collect();
    let missing: Vec<_> = read.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&read).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "not in .env.example: {missing:?}; not read: {unknown:?}");
}

#[test]
fn the_values_of_the_example_are_the_defaults() {
    let plain = held(&[]);
    for (name, value) in defaults() {
        assert_eq!(held(&[(name.clone(), value.clone())]), plain, "{name}={value} is not the default");
        if !name.ends_with("_CONFIG_PATH") {
            let other = another(&name, &value);
            assert_ne!(held(&[(name.clone(), other.to_owned())]), plain, "{name}={other} changes nothing");
        }
    }
}

#[test]
fn the_paths_of_the_example_are_where_files_are_looked_for() {
    let folder = TempDir::new().unwrap();
    let paths: Vec<_> = defaults().into_iter().filter(|(name, _)| name.ends_with("_CONFIG_PATH")).collect();
    assert_eq!(paths.len(), FILES.len());
    for (_, path) in &paths {
        write(folder.path(), path, "nonsense");
    }
    let told = refusal(&Program::run("check-config", folder.path(), &[]));
    for (name, path) in &paths {
        assert!(told.contains(&format!("{path}: line 1, column ")), "{name}: {told}");
    }
}

/// The variables that the sample files refer to, and environments with and without them.
fn sample_environments() -> (BTreeSet<String>, Environment, Environment) {
    let mut names = BTreeSet::new();
    let mut pairs = Vec::new();
    for (variable, file) in FILES {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
        collect_references(&serde_json::from_slice(&fs::read(&path).unwrap()).unwrap(), &mut names);
        pairs.push((variable.to_owned(), path.display().to_string()));
    }
    let without = Environment::from_pairs(pairs);
    let with = names.iter().fold(without.clone(), |all, name| all.with(name, format!("http://{name}").to_lowercase()));
    (names, with, without)
}

/// The names in values of the form `${NAME}`. A credential must be one of those, or nothing.
fn collect_references(value: &Value, names: &mut BTreeSet<String>) {
    let name = |text: &str| text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).map(str::to_owned);
    match value {
        Value::String(text) => names.extend(name(text)),
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, names)),
        Value::Object(members) => {
            for (key, member) in members {
                let safe = member.is_null() || member.as_str().and_then(name).is_some();
                assert!(safe || !["api_key", "auth_token"].contains(&key.as_str()), "{key} holds {member}");
                collect_references(member, names);
            }
        }
        _ => {}
    }
}

#[test]
fn the_sample_files_are_valid_and_take_their_secrets_from_the_environment() {
    let (names, with, without) = sample_environments();
    assert!(names.contains("OPENAI_API_KEY"));
    let settings = load(with).unwrap_or_else(|issues| panic!("{issues:?}")).settings;
    let llm = settings.llm.effective();
    assert_eq!(llm.api_key.as_ref().map(Secret::expose), Some("http://openai_api_key"));
    assert_eq!(settings.llm.written().api_key.as_ref().map(Secret::expose), Some("${OPENAI_API_KEY}"));
    let kinds: Vec<_> = settings.datasources.iter().map(|source| source.effective.kind.as_str()).collect();
    assert_eq!(kinds, ["cubejs", "postgres"]);
    assert!(settings.agents.len() > 1 && settings.tools.len() > 2);

    let told = load(without).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    for name in ["OPENAI_API_KEY", "BILLING_AGENT_TOKEN", "CUBE_API_TOKEN", "CUSTOMERS_DATABASE_URL"] {
        assert!(told.contains(&format!("{name}, which this value refers to, is not set")), "{name}: {told}");
    }
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// What the program says when it refuses its configuration.
fn refusal(output: &Output) -> String {
    let told = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    told
}

#[test]
fn a_valid_configuration_is_said_to_be_valid() {
    let folder = TempDir::new().unwrap();
    let variables = [("LLM_BASE_URL", "http://localhost:11434"), ("api_port", "8001"), ("SOMETHING_ELSE", "x")];
    for variables in [&[][..], &variables[..]] {
        let output = Program::run("check-config", folder.path(), variables);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), told.as_str()), (Some(0), ""));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "the configuration is valid\n");
    }
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
    assert!(left.is_empty(), "a check leaves {left:?} behind");
}

#[test]
fn all_problems_are_told_at_once_with_what_was_expected() {
    let folder = TempDir::new().unwrap();
    let wrong = [
        ("API_PORT", "70000", "less than or equal to 65535"),
        ("API_HOST", "example.com", "IP address"),
        ("API_PREFIX", "v1", "path such as /v1"),
        ("CORS_ORIGINS", "localhost", "origin such as http://localhost:3000"),
        ("LOG_LEVEL", "verbose", "level such as INFO"),
        ("LOG_FORMAT", "xml", "'text' or 'json'"),
        ("LLM_BASE_URL", "localhost:11434", "starts with http:// or https://"),
        ("LLM_TIMEOUT_SECONDS", "-5", "greater than or equal to 1"),
        ("LLM_TEMPERATURE", "warm", "valid number"),
        ("LLM_PROVIDER", "bedrock", "'auto', 'openai' or 'ollama'"),
        ("MEMORY_ENABLED", "maybe", "valid boolean"),
        ("CACHE_TTL_SECONDS", "1.5", "valid integer"),
        ("INTENT_CLASSIFIER", "guess", "'rules', 'auto' or 'llm'"),
        ("REDIS_URL", "localhost:6379", "starts with redis://"),
        ("POSTGRES_DSN", "postgres:/u:canary@h/x", "starts with postgres://"),
        ("DATASOURCES", "{", "JSON object"),
        ("AUTH_ALGORITHM", "none", "'HS256', 'HS384', 'HS512', 'RS256' or 'ES256'"),
        ("LIMIT_MODE", "off", "'enforce' or 'shadow'"),
        ("LIMIT_TOKENS_PER_DAY", "60", "key=NUMBER, user=NUMBER or role.ROLE=NUMBER"),
        ("AUTH_DEFAULT_ROLE", "root", "'viewer', 'user', 'operator' or 'admin'"),
        ("AUTH_JWKS_URL", "http://id.example/keys", "starts with https://"),
        ("MONITORING_EXPORT_INTERVAL", "0", "greater than or equal to 1"),
    ];
    let variables = wrong.map(|(name, value, _)| (name, value));
    for command in ["check-config", "serve", "healthcheck"] {
        let told = refusal(&Program::run(command, folder.path(), &variables));
        for (name, _, expected) in wrong {
            let line = told.lines().find(|line| line.contains(&format!("{name}: "))).unwrap_or_default();
            assert!(line.contains(expected), "{command}: {name} should say {expected:?}: {told}");
        }
    }
}

#[test]
fn a_wrong_secret_is_not_repeated() {
    let folder = TempDir::new().unwrap();
    let variables = [
        ("AUTH_ENABLED", "true"),
        ("AUTH_SECRET_KEY", "canary7"),
        ("AUTH_BOOTSTRAP_KEY", "canary8"),
        ("AUTH_JWKS_URL", "https://u:canary9@id.example/keys"),
        ("LLM_API_KEY", "canary 1"),
        ("LLM_BASE_URL", "http://user:canary2@localhost"),
        ("REDIS_URL", "https://:canary3@localhost"),
        ("POSTGRES_DSN", "canary4"),
        ("EXTERNAL_AGENTS", "\"canary5\""),
        ("DATASOURCES", r#"{"sales": {"type": "api", "url": 5, "auth_token": "canary6"}}"#),
    ];
    let told = refusal(&Program::run("check-config", folder.path(), &variables));
    // That authentication is on is not wrong.
    assert!(variables[1..].iter().all(|(name, _)| told.contains(name)), "{told}");
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn a_broken_file_is_told_with_the_place_in_it() {
    let cases = [
        (
            "config/agents.json",
            "{\"agents\": [\n  {\"name\": \"one\", \"url\": \"http://a\"},\n  {\"name\"",
            "line 3, column 9: EOF",
        ),
        (
            "config/agents.json",
            "{\"agents\": [\n  {\"name\": \"one\", \"url\": \"http://a\"},\n  {\"name\": \"two\"}\n]}",
            "agents[1].url: Field required",
        ),
        ("config/datasources.json", "{\"datasources\": {}}", "datasources: Input should be a list"),
        (
            "config/tools.json",
            "{\"tools\": [{\"name\": \"t\", \"type\": \"web_search\",\n\"enabled\": \"maybe\"}]}",
            "tools[0].enabled: Input should be a valid boolean",
        ),
        ("config/llm.json", "{\n  \"timeout_seconds\": 0\n}", "timeout_seconds: Input should be greater"),
        ("config/llm.json", "{\n  \"base_url\": \"localhost\"\n}", "base_url: Input should be a URL"),
        ("config/llm.json", "[]", "line 1, column 1: expected a JSON object"),
        ("data/config/llm.json", "\u{1}garbage", "line 1, column 1: expected value"),
        ("data/config/llm.json", "{\n  \"base_url\": \"http://a\",\n  \"max", "line 3, column 6: EOF"),
        ("data/config/llm.json", "{\n  \"max_retries\": -1\n}", "max_retries: Input should be greater"),
        ("data/config/llm.json", "{\n  \"base_url\": \"localhost\"\n}", "base_url: Input should be a URL"),
    ];
    let mut wrong = Vec::new();
    for (file, text, expected) in cases {
        let folder = TempDir::new().unwrap();
        write(folder.path(), file, text);
        let told = refusal(&Program::run("check-config", folder.path(), &[]));
        if !told.contains(&format!("{file}: {expected}")) {
            wrong.push(format!("should say {file}: {expected}, says {told}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_problem_with_what_is_stored_is_told_along_with_the_others() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "state/config/llm.json", "{");
    write(folder.path(), "state/config/agents.json", r#"{"revision": 1, "agents": [{"name": "a"}]}"#);
    write(folder.path(), "config/tools.json", "{");
    let variables = [("DATA_DIR", "state"), ("API_PORT", "eighty")];
    let told = refusal(&Program::run("check-config", folder.path(), &variables));
    for place in [
        "API_PORT: ",
        "config/tools.json: line 1, column ",
        "state/config/llm.json: line 1, column ",
        "state/config/agents.json: agents[0].url: ",
    ] {
        assert!(told.contains(place), "{place} is missing: {told}");
    }
}

/// As the original did, which read the other lines.
#[tokio::test]
async fn a_broken_line_of_a_dotenv_file_is_skipped_and_named_but_not_repeated() {
    let broken = [
        ("LLM_API_KEY canary", 13),
        ("LLM_API_KEY=\"canary", 13),
        ("LLM_API_KEY='canary' canary", 22),
        ("= canary", 1),
        ("LLM_API_KEY: canary", 14),
    ];
    let folder = TempDir::new().unwrap();
    for (line, column) in broken {
        write(folder.path(), ".env", &format!("# A comment\nAPP_NAME='two\nlines'\n\n{line}\nDEBUG=true\n"));
        let skipped = format!(".env: line 5, column {column}: expected NAME=value");
        let output = Program::run("check-config", folder.path(), &[]);
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{told}");
        assert!(
            told.starts_with(&format!("warning: {skipped}")) && told.ends_with("the configuration is valid\n"),
            "{told}"
        );
        let refused = refusal(&Program::run("check-config", folder.path(), &[("API_PORT", "eighty")]));
        assert!(refused.contains("2 problem(s)") && refused.contains(&skipped), "{refused}");
        assert!(!told.contains("canary") && !refused.contains("canary"), "{told} {refused}");
    }
    let program = Program::start("serve", folder.path(), &[]).await;
    assert_eq!(program.client.get("/health").await.expect(200)["debug"], true, "what follows is read");
    assert!(program.log().contains(".env: line 5, column 14: expected NAME=value"), "{}", program.log());
}

#[test]
fn a_dotenv_file_that_is_no_text_is_refused_in_words() {
    let utf_16: Vec<u8> = "API_PORT=8001\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files = [
        ([&b"\xff\xfe"[..], &utf_16].concat(), "line 1 is not UTF-8"),
        (b"A=1\nAPP_NAME=B\xfcro\n".to_vec(), "line 2 is not UTF-8"),
        (b"A=1\n".repeat(250_001), "has more than 1000000 bytes"),
    ];
    for (bytes, expected) in files {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join(".env"), bytes).unwrap();
        let told = refusal(&Program::run("check-config", folder.path(), &[]));
        assert!(told.contains(&format!(".env: {expected}")), "{told}");
    }
}

/// Files that worked with the original's reader, each with what becomes of them.
#[tokio::test]
async fn a_dotenv_file_of_another_making_starts_the_server() {
    let files = [
        ("\u{feff}APP_NAME=Ada\r\nDEBUG=yes\r\n", "Ada", true),
        ("\u{feff}# Ours\n\t# and theirs\nHOST=da\nAPP_NAME=\"A${HOST}\"\nDEBUG=T\n", "Ada", true),
        ("WHO=Ada\nAPP_NAME=${WHO} $WHO ${NOBODY:-x}\ndebug=off", "Ada $WHO x", false),
        ("APP_NAME=\"abc$def@jk\"\nDEBUG=0", "abc$def@jk", false),
        ("export APP_NAME='it''s'\nAPP_NAME=Ada\nDEBUG=N # not yet", "Ada", false),
        ("APP_NAME=${:-$}{WHO}\nDEBUG=ON", "${WHO}", true),
    ];
    for (text, name, debug) in files {
        let folder = TempDir::new().unwrap();
        write(folder.path(), ".env", text);
        let program = Program::start("serve", folder.path(), &[]).await;
        let health = program.client.get("/health").await.expect(200);
        assert_eq!((&health["service"], &health["debug"]), (&name.into(), &debug.into()), "{text:?}");
    }
}

#[test]
fn values_are_read_in_every_form_that_pydantic_settings_takes() {
    let rows: [(&str, &[&str]); 9] = [
        (
            "CORS_ORIGINS",
            &[
                "http://a:1,https://b",
                " http://a:1 , https://b , ",
                r#"["http://a:1", "https://b"]"#,
                "[\n  \"http://a:1\",\n  \"https://b\"\n]",
                "['http://a:1', 'https://b']",
                "'http://a:1', \"https://b\"",
            ],
        ),
        ("ALLOWED_HOSTS", &["[fd00::1]:80,[fd00::2]", r#"["[fd00::1]:80", "[fd00::2]"]"#]),
        ("TRUSTED_PROXIES", &["10.0.0.7,10.0.0.0/8", r#"["10.0.0.7", "10.0.0.0/8"]"#]),
        ("LLM_FALLBACK_MODELS", &["a,b:7b", r#"["a","b:7b"]"#]),
        ("MCP_STDIO_COMMANDS", &["npx,uvx", r#" ["npx" , "uvx"] "#]),
        ("CACHE_ENABLED", &["false", " false ", "FALSE", "0", "no", "No", "off", "f", "n", "N"]),
        ("LOG_CONTENT", &["true", "True", "1", "yes", "on", "ON", "t", "y", "Y"]),
        ("LLM_TIMEOUT_SECONDS", &["75", " 75 ", "075", "+75", "75.0", "7_5", "75.00 "]),
        ("GROUNDING_SIMILARITY_THRESHOLD", &["0.5", ".5", " 0.5 ", "5e-1", "0.5_0", "5E-1"]),
    ];
    let plain = held(&[]);
    for (name, forms) in rows {
        let read: Vec<_> = forms.iter().map(|form| held(&[(name.to_owned(), (*form).to_owned())])).collect();
        assert_ne!(read[0], plain, "{name}");
        for (form, read) in forms.iter().zip(&read).skip(1) {
            assert_eq!(read, &read_of(name, forms[0]), "{name}={form}");
        }
    }
    for empty in ["[]", "[ ]", ",", "\"\""] {
        assert_eq!(read_of("CORS_ORIGINS", empty), read_of("CORS_ORIGINS", "[]"), "{empty}");
    }
}

fn read_of(name: &str, value: &str) -> String {
    held(&[(name.to_owned(), value.to_owned())])
}

#[test]
fn quotes_and_blanks_that_belong_to_a_value_are_pointed_out() {
    let folder = TempDir::new().unwrap();
    let quoted = [
        ("API_PORT", "\"8001\""),
        ("DEBUG", "'true'"),
        ("LOG_LEVEL", "\"INFO\""),
        ("LLM_BASE_URL", "\"http://localhost:11434\""),
        ("LLM_PROVIDER", "'ollama'"),
        ("REDIS_URL", "\"redis://:canary@localhost\""),
        ("EXTERNAL_AGENTS", "'{}'"),
    ];
    let told = refusal(&Program::run("check-config", folder.path(), &quoted));
    for (name, _) in quoted {
        let line = told.lines().find(|line| line.contains(&format!("{name}: "))).unwrap_or_default();
        assert!(line.contains("quotes around it are part of the value"), "{name}: {told}");
    }
    assert!(!told.contains("canary"), "{told}");
    let told =
        refusal(&Program::run("check-config", folder.path(), &[("API_HOST", "127.0.0.1 "), ("API_PORT", "eighty")]));
    let pointed_out: Vec<_> = told.lines().filter(|line| line.contains("are part of the value")).collect();
    assert!(pointed_out.len() == 1 && pointed_out[0].contains("API_HOST: "), "{told}");
}

/// What is in a folder and below it.
fn contents(folder: &Path) -> BTreeSet<PathBuf> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            all.extend(contents(&entry));
        }
        all.insert(entry);
    }
    all
}

#[tokio::test]
async fn what_keeps_the_server_from_starting_is_told_by_the_check_too() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "file", "x");
    write(folder.path(), "broken/studio.db", &"This is no database. ".repeat(100));
    let future = Program::start("serve", folder.path(), &[("DATA_DIR", "future")]).await;
    assert!(future.client.get("/readyz").await.status == 200);
    future.signal("TERM");
    assert_eq!(future.wait(), Some(0));
    let path = folder.path().join("future/studio.db").display().to_string();
    let mut database = SqliteConnection::connect(&format!("sqlite:{path}")).await.unwrap();
    database.execute("INSERT INTO _sqlx_migrations VALUES (99, 'future', datetime(), 1, x'00', 0)").await.unwrap();
    database.close().await.unwrap();

    let cases = [
        (("DATA_DIR", "file"), "file/config/llm.json: can't be read: Not a directory"),
        (("DATA_DIR", "file/below"), "file/below/config/llm.json: can't be read: Not a directory"),
        (("DATA_DIR", "/proc/nowhere"), "DATA_DIR: can't use /proc/nowhere/studio.db"),
        (("DATA_DIR", "broken"), "DATA_DIR: can't use broken/studio.db: "),
        (("DATA_DIR", "future"), "has a newer schema (it has migration 99)"),
        (("API_HOST", "203.0.113.77"), "API_HOST, API_PORT: can't listen on 203.0.113.77:"),
        (("REDIS_URL", "redis://:p@ss/w#1@127.0.0.1:6379/0"), "REDIS_URL: "),
        (("REDIS_URL", "redis://127.0.0.1:6379/one"), "REDIS_URL: "),
        (("POSTGRES_DSN", "postgres://u:p@ss/w#1@127.0.0.1/d"), "POSTGRES_DSN: "),
        (("HTTPS_PROXY", "http://[proxy"), "HTTPS_PROXY"),
    ];
    let before = contents(folder.path());
    for (variable, expected) in cases {
        let checked = refusal(&Program::run("check-config", folder.path(), &[variable]));
        assert!(checked.contains(expected), "{variable:?}: {checked}");
        assert_eq!(contents(folder.path()), before, "{variable:?} leaves something behind");
        let started = refusal(&Program::run("serve", folder.path(), &[variable, ("API_PORT", "0")]));
        assert!(started.contains(expected), "{variable:?}: {started}");
    }
}

/// A check beside the server that it is about says that all is well.
#[tokio::test]
async fn a_port_and_a_folder_that_the_server_itself_has_are_no_problem() {
    let folder = TempDir::new().unwrap();
    let program = Program::start("serve", folder.path(), &[]).await;
    let port = program.port.to_string();
    let output = Program::run("check-config", folder.path(), &[("API_PORT", &port)]);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "the configuration is valid\n");
    program.client.post("/api/memory/ada/message", &json!({"role": "user", "content": "Hi."})).await.expect(200);
}

#[tokio::test]
async fn the_dotenv_file_is_used_and_the_environment_wins_over_it() {
    let folder = TempDir::new().unwrap();
    let text =
        "# Ours\nAPP_NAME=\"From the file\"\napp_version = 1.2.3 # not yet\nexport DEBUG=true\n\nLLM_BASE_URL=\n";
    write(folder.path(), ".env", text);
    let variables = [("APP_VERSION", "9.9.9"), ("LLM_BASE_URL", "http://127.0.0.1:9"), ("APP_NAME", "")];
    let program = Program::start("serve", folder.path(), &variables).await;
    let health = program.client.get("/health").await.expect(200);
    assert_eq!(health["service"], "From the file", "an empty variable counts as not set");
    assert_eq!(health["version"], "9.9.9");
    assert_eq!(health["debug"], true);
    assert_eq!(health["llm_configured"], true, "an empty line does not hide the variable");
}

/// A `.env` that worked for the original works here: its reader takes an unquoted value as it stands.
#[test]
fn a_dotenv_file_of_the_original_is_understood() {
    let folder = TempDir::new().unwrap();
    let agents = r#"{"billing": {"url": "http://agent", "auth_token": "t"}}"#;
    let password = r"pa$word\1";
    write(
        folder.path(),
        ".env",
        &format!(
            "APP_NAME=ZainOne Orchestrator Studio\nEXTERNAL_AGENTS={agents}\nREDIS_PASSWORD={password}\nREDIS_HOST=cache\n"
        ),
    );
    let environment = match Environment::of_process(&folder.path().join(".env")) {
        Ok(environment) => environment,
        Err(issue) => panic!("{issue}"),
    };
    assert_eq!(environment.get("APP_NAME"), Some("ZainOne Orchestrator Studio"));
    assert_eq!(environment.get("EXTERNAL_AGENTS"), Some(agents));
    assert_eq!(environment.get("REDIS_PASSWORD"), Some(password));
}

#[test]
fn help_names_every_command() {
    let folder = TempDir::new().unwrap();
    let output = Program::run("--help", folder.path(), &[]);
    let help = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    for command in ["serve", "demo", "check-config", "openapi", "healthcheck"] {
        let described = help.lines().any(|line| line.trim_start().starts_with(&format!("{command} ")));
        assert!(described, "{command}: {help}");
    }
    assert_eq!(Program::run("nonsense", folder.path(), &[]).status.code(), Some(2));
}

#[test]
fn the_document_can_be_printed_without_a_configuration() {
    let folder = TempDir::new().unwrap();
    let output = Program::run("openapi", folder.path(), &[("API_PORT", "wrong")]);
    assert_eq!(output.status.code(), Some(0));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, include_str!("../../openapi.json"));
    serde_json::from_str::<Value>(&printed).unwrap();
}

#[tokio::test]
async fn the_health_check_tells_whether_the_server_runs() {
    let folder = TempDir::new().unwrap();
    let nobody = free_port().to_string();
    let output = Program::run("healthcheck", folder.path(), &[("API_PORT", &nobody)]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(&format!("127.0.0.1:{nobody}")), "{told}");

    // The server listens on loopback; a check of one that listens everywhere asks there too.
    let program = Program::start("serve", folder.path(), &[]).await;
    let port = program.port.to_string();
    for host in ["0.0.0.0", "127.0.0.1"] {
        let output = Program::run("healthcheck", folder.path(), &[("API_PORT", &port), ("API_HOST", host)]);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), b"ready\n".as_slice()), "{host}");
    }
}
