use std::sync::Arc;

use super::llm::{LlmLayer, by_variable};
use super::secret_file::with_secret_files;
use super::{
    AuthSettings, CacheSettings, Environment, JsonFile, LimitSettings, LlmSection, MemorySettings, MonitoringSettings,
    OrchestrationSettings, OutboundSettings, ServerSettings, Settings, StorageSettings, ToolPolicy, resources,
};
use crate::kernel::{FieldIssue, Fields, prefixed};

/// Settings as the environment and the files give them, before what was changed through the API is laid on top.
#[derive(Debug)]
pub struct LoadedSettings {
    /// The settings.
    pub settings: Settings,
    /// The variables they were read from, secrets that stand in files among them; `${NAME}` is looked up here.
    pub environment: Environment,
}

/// Reads everything and checks it; the error lists all problems at once.
pub fn load(environment: Environment) -> Result<LoadedSettings, Vec<FieldIssue>> {
    let (loaded, issues) = read(environment);
    if issues.is_empty() { Ok(loaded) } else { Err(issues) }
}

/// The settings, with defaults for what is wrong, and all that is.
pub fn read(environment: Environment) -> (LoadedSettings, Vec<FieldIssue>) {
    let mut issues = Vec::new();
    let environment = with_secret_files(environment, &mut issues);
    let mut env = environment.fields();
    let settings = read_sections(&environment, &mut env);
    issues.extend(env.into_issues());
    (LoadedSettings { settings, environment }, issues)
}

/// The names of all variables that are read, for the test that holds them against `.env.example`.
pub fn variable_names() -> Vec<&'static str> {
    let environment = Environment::default();
    let mut env = environment.fields();
    read_sections(&environment, &mut env);
    let mut names = env.asked().to_vec();
    names.sort_unstable();
    names.dedup();
    names
}

fn read_sections(environment: &Environment, env: &mut Fields<'_>) -> Settings {
    let server = ServerSettings::read(env);
    Settings {
        auth: Arc::new(AuthSettings::read(env)),
        limits: Arc::new(LimitSettings::read(env)),
        agents: resources::read(environment, env, &resources::AGENTS),
        datasources: resources::read(environment, env, &resources::DATASOURCES),
        tools: resources::read(environment, env, &resources::TOOLS),
        memory: Arc::new(MemorySettings::read(env, server.is_local())),
        server: Arc::new(server),
        llm: Arc::new(read_llm(environment, env)),
        cache: Arc::new(CacheSettings::read(env)),
        orchestration: Arc::new(OrchestrationSettings::read(env)),
        monitoring: Arc::new(MonitoringSettings::read(env)),
        storage: Arc::new(StorageSettings::read(env)),
        outbound: Arc::new(OutboundSettings::read(env)),
        tool_policy: Arc::new(ToolPolicy::read(env)),
        verified: Arc::default(),
        redactions: Arc::default(),
    }
}

fn read_llm(environment: &Environment, env: &mut Fields<'_>) -> LlmSection {
    let path: String = env.or("LLM_CONFIG_PATH", "config/llm.json".to_owned());
    let file = JsonFile::read(path.as_ref()).unwrap_or_else(|issue| {
        env.extend([issue]);
        None
    });
    let place = file.iter().map(|file| file.place().clone()).collect::<Vec<_>>();
    let (in_file, issues) = file.as_ref().map(|file| LlmLayer::from_json(file.object())).unwrap_or_default();
    env.extend(prefixed(&place, issues));
    let variables = LlmLayer::from_variables(env);
    LlmSection::new(in_file, variables.clone(), LlmLayer::default(), environment).unwrap_or_else(|issues| {
        let (of_variables, of_file) = issues.into_iter().partition(|issue| variables.sets(&issue.path()));
        env.extend(Vec::into_iter(of_variables).map(by_variable));
        env.extend(prefixed(&place, of_file));
        LlmSection::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_told_at_once_with_the_variable_and_what_was_expected() {
        let environment = Environment::from_pairs([
            ("API_PORT", "eighty"),
            ("llm_timeout_seconds", "-5"),
            ("LLM_BASE_URL", "localhost:11434"),
            ("CORS_ORIGINS", "localhost"),
            ("AUTH_ENABLED", "true"),
            ("REDIS_URL", "http://x"),
            ("DATASOURCES", "{"),
        ]);
        let issues = load(environment).unwrap_err();
        let mut named: Vec<_> = issues.iter().map(FieldIssue::path).collect();
        named.sort();
        let expected = [
            "API_PORT",
            "AUTH_SECRET_KEY",
            "CORS_ORIGINS",
            "DATASOURCES",
            "LLM_BASE_URL",
            "LLM_TIMEOUT_SECONDS",
            "REDIS_URL",
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn the_parts_of_a_dsn_are_escaped() {
        let environment = Environment::from_pairs([
            ("POSTGRES_HOST", "db"),
            ("POSTGRES_USER", "a b"),
            ("POSTGRES_PASSWORD", "p@s/s"),
            ("POSTGRES_DATABASE", "studio"),
            ("REDIS_HOST", "cache"),
            ("REDIS_PASSWORD", "x:y"),
        ]);
        let storage = load(environment).unwrap().settings.storage;
        assert_eq!(storage.postgres_dsn.as_ref().unwrap().expose(), "postgres://a%20b:p%40s%2Fs@db:5432/studio");
        assert_eq!(storage.redis_url.as_ref().unwrap().expose(), "redis://:x%3Ay@cache:6379/0");
    }

    #[test]
    fn a_password_given_apart_is_that_of_a_url_without_one() {
        let read = |redis: &str, postgres: &str| {
            let environment = Environment::from_pairs([
                ("REDIS_URL", redis),
                ("REDIS_PASSWORD", "x:y%41"),
                ("POSTGRES_DSN", postgres),
                ("POSTGRES_PASSWORD", "p@s/s"),
            ]);
            let storage = load(environment).unwrap().settings.storage;
            [&storage.redis_url, &storage.postgres_dsn].map(|url| url.as_ref().unwrap().expose().to_owned())
        };
        let apart = read("redis://cache:6379/0", "postgres://studio@db:5432/studio?sslmode=require");
        let expected =
            ["redis://:x%3Ay%2541@cache:6379/0", "postgres://studio:p%40s%2Fs@db:5432/studio?sslmode=require"];
        assert_eq!(apart, expected);
        let placed = [
            ("postgresql://studio@/studio?host=/cloudsql/p:i", "&password=p%40s%2Fs"),
            ("postgres:///studio?host=/run/postgresql&user=studio", "&password=p%40s%2Fs"),
            ("jdbc:postgresql://db/studio", "?password=p%40s%2Fs"),
        ];
        for (url, parameter) in placed {
            assert_eq!(read("redis://cache", url)[1], format!("{url}{parameter}"));
        }
        for own in
            [["redis://u:own@cache", "postgres://u:own@db/d"], ["redis://:own@cache", "postgres://u@db/d?password=own"]]
        {
            assert_eq!(read(own[0], own[1]), own);
        }
    }

    #[test]
    fn the_single_agent_and_source_of_the_original_are_called_default() {
        let environment = Environment::from_pairs([
            ("EXTERNAL_AGENT_BASE_URL", "http://agent"),
            ("DATASOURCE_BASE_URL", "http://source"),
            ("TOOLS", r#"{"search": {"type": "web_search"}}"#),
        ]);
        let settings = load(environment).unwrap().settings;
        assert_eq!(settings.agents.get("default").unwrap().effective.url.expose(), "http://agent");
        assert_eq!(settings.datasources.get("default").unwrap().effective.kind, "api");
        assert_eq!(settings.tools.get("search").unwrap().effective.kind, "web_search");
    }
}
