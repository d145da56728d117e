use std::time::Duration;

use url::{Host, Url};

use super::TokenAlgorithm;
use super::strength::check_strength;
use crate::kernel::{AccessRole, Fields, Secret, SecretUrl};

/// Who may call, and which tokens are believed.
#[derive(Clone, Debug)]
pub struct AuthSettings {
    /// `AUTH_ENABLED`: whether callers have to say who they are.
    pub enabled: bool,
    /// `AUTH_SECRET_KEY`: signs and verifies the server's own tokens, and others' under a symmetric algorithm. `None` while
    /// authentication is off.
    pub secret_key: Option<Secret>,
    /// `AUTH_ALGORITHM`: the one algorithm of tokens of others.
    pub algorithm: TokenAlgorithm,
    /// `AUTH_TOKEN_EXPIRE_MINUTES`: how long the server's own tokens are valid.
    pub token_lifetime: Duration,
    /// `AUTH_JWKS_URL`: where the keys of the identity provider are.
    pub jwks_url: Option<SecretUrl>,
    /// `AUTH_ISSUER`: who has to have made the tokens of others.
    pub issuer: Option<String>,
    /// `AUTH_AUDIENCE`: whom the tokens of others have to be for.
    pub audience: Option<String>,
    /// `AUTH_LEEWAY_SECONDS`: how far clocks may be apart.
    pub leeway: Duration,
    /// `AUTH_REQUIRED_CLAIMS`: claims that tokens of others have to have.
    pub required_claims: Vec<String>,
    /// `AUTH_USER_CLAIM`: the claim of others' tokens that names the user.
    pub user_claim: String,
    /// `AUTH_ROLE_CLAIM`: the claim that names the role, or a path to it such as `realm_access.roles`.
    pub role_claim: String,
    /// `AUTH_SCOPE_CLAIM`: the claim that names the scopes.
    pub scope_claim: String,
    /// `AUTH_DEFAULT_ROLE`: the role of tokens that name none; without it they are refused.
    pub default_role: Option<AccessRole>,
    /// `AUTH_BOOTSTRAP_KEY`: a key with which the first ones are made. `None` while authentication is off.
    pub bootstrap_key: Option<Secret>,
}

impl AuthSettings {
    /// What the server's own tokens call their issuer and their audience.
    pub const OWN_NAME: &str = "orchestrator-studio";
    /// For whom its tickets are: whoever takes tokens takes none.
    pub const TICKET_NAME: &str = "orchestrator-studio/ticket";

    pub(in crate::settings) fn read(env: &mut Fields<'_>) -> Self {
        let enabled = env.or("AUTH_ENABLED", false);
        let algorithm = env.or("AUTH_ALGORITHM", TokenAlgorithm::default());
        let secret_key = read_secret(env, "AUTH_SECRET_KEY", algorithm.min_secret_bytes(), enabled);
        let read = Self {
            enabled,
            secret_key,
            algorithm,
            token_lifetime: read_minutes(env),
            jwks_url: read_url(env),
            issuer: env.optional("AUTH_ISSUER"),
            audience: env.optional("AUTH_AUDIENCE"),
            leeway: env.seconds_or("AUTH_LEEWAY_SECONDS", 30, 0..=300),
            required_claims: env.or("AUTH_REQUIRED_CLAIMS", Vec::new()),
            user_claim: env.or("AUTH_USER_CLAIM", "sub".to_owned()),
            role_claim: env.or("AUTH_ROLE_CLAIM", "role".to_owned()),
            scope_claim: env.or("AUTH_SCOPE_CLAIM", "scope".to_owned()),
            default_role: read_role(env),
            bootstrap_key: read_secret(env, "AUTH_BOOTSTRAP_KEY", 32, enabled),
        };
        if enabled {
            read.check(env);
        }
        read
    }

    /// The rules between variables.
    fn check(&self, env: &mut Fields<'_>) {
        if self.secret_key.is_none() {
            let expected = "Input should be set where AUTH_ENABLED is true; 'openssl rand -base64 48' makes a secret";
            env.reject("AUTH_SECRET_KEY", expected);
        }
        let algorithm = self.algorithm.name();
        if self.algorithm.is_symmetric() && self.jwks_url.is_some() {
            let expected = format!(
                "Input should be left out where AUTH_ALGORITHM is {algorithm}, whose tokens AUTH_SECRET_KEY verifies"
            );
            env.reject("AUTH_JWKS_URL", expected);
        }
        let given = [
            ("AUTH_JWKS_URL", self.jwks_url.is_some()),
            ("AUTH_ISSUER", self.issuer.is_some()),
            ("AUTH_AUDIENCE", self.audience.is_some()),
        ];
        // The provider's keys sign for other applications too.
        for (name, _) in given.into_iter().filter(|(_, is_given)| !is_given && !self.algorithm.is_symmetric()) {
            env.reject(name, format!("Input should be set where AUTH_ALGORITHM is {algorithm}"));
        }
        if self.issuer.as_deref() == Some(Self::OWN_NAME) {
            let expected =
                format!("Input should not be '{}', which the server's own tokens call their issuer", Self::OWN_NAME);
            env.reject("AUTH_ISSUER", expected);
        }
    }
}

/// A secret that has to be hard to guess; none is kept while authentication is off.
fn read_secret(env: &mut Fields<'_>, name: &'static str, min_bytes: usize, enabled: bool) -> Option<Secret> {
    let secret = env.optional::<String>(name).filter(|_| enabled)?;
    if let Err(expected) = check_strength(&secret, min_bytes) {
        env.reject(name, expected);
    }
    Some(Secret::new(secret))
}

fn read_minutes(env: &mut Fields<'_>) -> Duration {
    env.seconds_or("AUTH_TOKEN_EXPIRE_MINUTES", 30, 1..=525_600) * 60
}

fn read_role(env: &mut Fields<'_>) -> Option<AccessRole> {
    let role = env.optional::<String>("AUTH_DEFAULT_ROLE")?.trim().to_ascii_lowercase();
    AccessRole::parse(&role).map_err(|expected| env.reject("AUTH_DEFAULT_ROLE", expected)).ok()
}

fn read_url(env: &mut Fields<'_>) -> Option<SecretUrl> {
    let url = SecretUrl::new(env.optional::<String>("AUTH_JWKS_URL")?.trim());
    if !url.parse().is_some_and(|url| is_trustworthy(&url)) {
        let expected =
            "Input should be a URL that starts with https:// (or http:// on loopback), without account and #";
        env.reject("AUTH_JWKS_URL", expected);
    }
    Some(url)
}

/// Whether what comes from there is what its server said: who can change keys on the way can sign any token.
fn is_trustworthy(url: &Url) -> bool {
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.to_canonical().is_loopback(),
        None => false,
    };
    let is_safe = url.scheme() == "https" || url.scheme() == "http" && is_loopback;
    is_safe && url.username().is_empty() && url.password().is_none() && url.fragment().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::FieldIssue;
    use crate::settings::{Environment, load};

    const SECRET: &str = "Qm7Zt1kXvR4cN8yWb3Hs6LpDf0JgUa5E9oTiKe2MxBz";

    /// The settings that these variables make, or the names of those that are wrong.
    fn read(variables: &[(&str, &str)]) -> Result<AuthSettings, Vec<String>> {
        let loaded = load(Environment::from_pairs(variables.iter().copied()));
        let loaded = loaded.map_err(|issues| issues.iter().map(FieldIssue::path).collect::<Vec<_>>())?;
        Ok(AuthSettings::clone(&loaded.settings.auth))
    }

    fn enabled(more: &[(&str, &str)]) -> Result<AuthSettings, Vec<String>> {
        read(&[&[("AUTH_ENABLED", "true"), ("AUTH_SECRET_KEY", SECRET)], more].concat())
    }

    #[test]
    fn who_turns_it_on_has_to_give_a_secret_that_nobody_guesses() {
        let off = read(&[("AUTH_SECRET_KEY", "changeme"), ("AUTH_BOOTSTRAP_KEY", "x"), ("AUTH_ALGORITHM", "rs256")]);
        let off = off.unwrap();
        assert!(!off.enabled && off.secret_key.is_none() && off.bootstrap_key.is_none());
        assert_eq!(read(&[("AUTH_ENABLED", "true")]).unwrap_err(), ["AUTH_SECRET_KEY"]);
        for weak in
            ["changeme", "your-secret-key-your-secret-key-0123456789", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
        {
            let refused = read(&[("AUTH_ENABLED", "true"), ("AUTH_SECRET_KEY", weak)]).unwrap_err();
            assert_eq!(refused, ["AUTH_SECRET_KEY"], "{weak}");
            assert_eq!(enabled(&[("AUTH_BOOTSTRAP_KEY", weak)]).unwrap_err(), ["AUTH_BOOTSTRAP_KEY"], "{weak}");
        }
        let on = enabled(&[("AUTH_BOOTSTRAP_KEY", SECRET)]).unwrap();
        assert_eq!(on.secret_key.as_ref().map(Secret::expose), Some(SECRET));
        assert_eq!(on.bootstrap_key.as_ref().map(Secret::expose), Some(SECRET));
        assert_eq!(on.token_lifetime, Duration::from_secs(1800));
        assert!(!format!("{on:?}").contains(SECRET));
    }

    #[test]
    fn a_longer_digest_needs_a_longer_secret() {
        assert_eq!(enabled(&[("AUTH_ALGORITHM", "HS512")]).unwrap_err(), ["AUTH_SECRET_KEY"]);
        let long = SECRET.repeat(2);
        assert!(enabled(&[("AUTH_ALGORITHM", "HS512"), ("AUTH_SECRET_KEY", &long)]).is_ok());
    }

    #[test]
    fn a_provider_has_to_be_named_in_full_and_only_where_there_is_one() {
        let url = ("AUTH_JWKS_URL", "https://id.example/keys");
        let names = [("AUTH_ISSUER", "https://id.example/"), ("AUTH_AUDIENCE", "studio")];
        for algorithm in ["RS256", "es256"] {
            let algorithm = ("AUTH_ALGORITHM", algorithm);
            let all = ["AUTH_JWKS_URL", "AUTH_ISSUER", "AUTH_AUDIENCE"];
            assert_eq!(enabled(&[algorithm]).unwrap_err(), all);
            let on = enabled(&[algorithm, url, names[0], names[1]]).unwrap();
            assert_eq!(on.algorithm.of_own_tokens(), TokenAlgorithm::Hs256);
        }
        assert_eq!(enabled(&[url]).unwrap_err(), ["AUTH_JWKS_URL"]);
        assert_eq!(enabled(&[("AUTH_ISSUER", AuthSettings::OWN_NAME)]).unwrap_err(), ["AUTH_ISSUER"]);
        assert_eq!(enabled(&[("AUTH_ALGORITHM", "none")]).unwrap_err(), ["AUTH_ALGORITHM"]);
        assert_eq!(enabled(&[("AUTH_DEFAULT_ROLE", "root")]).unwrap_err(), ["AUTH_DEFAULT_ROLE"]);
        assert_eq!(enabled(&[("AUTH_DEFAULT_ROLE", " Viewer ")]).unwrap().default_role, Some(AccessRole::Viewer));
    }

    #[test]
    fn keys_come_over_a_connection_that_nobody_can_change() {
        let accepts = |url: &str| read(&[("AUTH_JWKS_URL", url)]).is_ok();
        for url in ["https://id.example/keys?p=a", "http://127.0.0.1:8080/k", "http://[::1]/k", "http://localhost/k"] {
            assert!(accepts(url), "{url}");
        }
        for url in [
            "http://id.example/keys",
            "http://10.0.0.7/k",
            "file:///k",
            "id.example",
            "https://u:p@h/k",
            "https://h/k#x",
        ] {
            assert!(!accepts(url), "{url}");
        }
    }
}
