use percent_encoding::percent_decode_str;
use url::Url;

use super::parameters::{Effect, effect};
use super::scheme::{DatabaseEngine, SchemedUrl};
use super::search_path::{one_schema, read_options, read_path};
use super::ssl_mode::SslMode;
use super::unused_sentence;
use crate::kernel::{SecretUrl, is_credential_name};

/// What a URL may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlReach {
    /// Servers on the network, as those may name who configure data sources.
    Network,
    /// Sockets and files of this machine too, as its operator may name.
    Machine,
}

/// What the URL of a database server says, each part decoded.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    /// What the server speaks.
    pub engine: DatabaseEngine,
    /// A name or an address, without brackets; empty if there is a socket.
    pub host: String,
    /// `None` for the engine's usual one.
    pub port: Option<u16>,
    /// Empty if none is named.
    pub user: String,
    /// `None` if there is none.
    pub password: Option<String>,
    /// Empty if none is named.
    pub database: String,
    /// `None` if nothing is said.
    pub ssl_mode: Option<SslMode>,
    /// A file of authorities that are trusted.
    pub root_certificate: Option<String>,
    /// The folder of a socket of this machine.
    pub socket: Option<String>,
    /// The schemas that names without one are looked up in; empty for the account's own.
    pub search_path: Vec<String>,
    /// What the connection is to be called.
    pub application_name: Option<String>,
    unused: Vec<String>,
}

const SHAPE: &str = "Input should be a URL that starts with postgres:// or mysql://, such as \
    postgres://user:password@host:5432/database";
const ONE_HOST: &str = "Input should be a URL that names one host: several are not tried in turn, so it should be the one of a proxy, \
    or a name that leads to the server in charge";

impl DatabaseUrl {
    /// Reads a URL, or says what was expected of it. What is quoted of it is no part of a password.
    pub fn read(url: &SecretUrl, reach: UrlReach) -> Result<Self, String> {
        let text = url.expose();
        let schemed = SchemedUrl::of(text).filter(|schemed| schemed.rest.starts_with("//")).ok_or(SHAPE)?;
        url.check_unambiguous()?;
        let authority = schemed.rest.get(2..).unwrap_or_default().split(['/', '?', '#']).next().unwrap_or_default();
        if authority.rsplit('@').next().unwrap_or_default().contains(',') {
            return Err(ONE_HOST.to_owned());
        }
        // What follows may be a password whose host was forgotten.
        if authority.ends_with(':') {
            return Err(SHAPE.to_owned());
        }
        // Where a parameter names the host, none stands behind the account: `postgres://u:p@/d?host=...`.
        let behind = schemed.rest.strip_prefix("//").and_then(|rest| rest.strip_prefix(authority)).unwrap_or_default();
        let has_host = !authority.ends_with('@');
        let placeholder = if has_host { "" } else { "none" };
        let whole = format!("{}://{authority}{placeholder}{behind}", schemed.engine.scheme());
        let parsed = Url::parse(&whole).map_err(|_| SHAPE)?;
        if parsed.fragment().is_some() {
            return Err("Input should be a URL without '#': in a password it is written as %23".to_owned());
        }
        let mut read = Self::of_parts(schemed.engine, &parsed)?;
        if !has_host {
            read.host.clear();
        }
        if read.host.starts_with('/') {
            read.set_socket(&read.host.clone(), reach)?;
        }
        let mut after_credential = false;
        for (name, value) in parsed.query_pairs() {
            // A password that is not encoded may go on as what looks like the name of a parameter.
            let shown = if after_credential { None } else { plain_name(&name) };
            after_credential |= is_credential_name(&name);
            read.apply(&schemed, &name, &value, reach).map_err(|refusal| refusal.sentence(shown))?;
        }
        match read.host.as_str() {
            "" if read.socket.is_none() => {
                Err("Input should name a host: postgres://user:password@host:5432/database".to_owned())
            }
            host if host.contains(',') => Err(ONE_HOST.to_owned()),
            // Encoded, or in the middle of a parameter.
            host if host.contains('/') => Err(SHAPE.to_owned()),
            _ => Ok(read),
        }
    }

    /// A sentence that names the parameters that change nothing here; `None` if there are none.
    pub fn unused(&self) -> Option<String> {
        unused_sentence(&self.unused)
    }

    /// What stands before the parameters.
    fn of_parts(engine: DatabaseEngine, url: &Url) -> Result<Self, String> {
        Ok(Self {
            engine,
            host: decoded(url.host_str().unwrap_or_default().trim_matches(['[', ']']))?,
            port: url.port(),
            user: decoded(url.username())?,
            password: url.password().map(decoded).transpose()?,
            database: decoded(url.path().trim_start_matches('/'))?,
            ssl_mode: None,
            root_certificate: None,
            socket: None,
            search_path: Vec::new(),
            application_name: None,
            unused: Vec::new(),
        })
    }

    fn apply(
        &mut self,
        url: &SchemedUrl<'_>,
        name: &str,
        value: &str,
        reach: UrlReach,
    ) -> Result<(), ParameterRefusal> {
        let is_postgres = self.engine == DatabaseEngine::Postgres;
        // Java's drivers know no other place for the account.
        let takes_account = url.is_jdbc || reach == UrlReach::Machine;
        match effect(name, value).ok_or(ParameterRefusal::Unknown)? {
            Effect::SslMode => {
                let expected = || format!("Input should be a URL whose sslmode is {}", SslMode::WORDS);
                self.protect(SslMode::of_word(value).ok_or_else(expected)?);
            }
            Effect::SslSwitch => {
                let mode = SslMode::of_switch(value, url.engine.plain_ssl(url.is_jdbc));
                self.protect(mode.ok_or(ParameterRefusal::Because("should be true or false"))?);
            }
            Effect::VerifyCertificate if is_true(value) => self.protect(SslMode::VerifyCa),
            Effect::VerifyHost if is_true(value) => self.protect(SslMode::VerifyFull),
            Effect::RootCertificate if value == "system" => self.protect(SslMode::VerifyFull),
            Effect::RootCertificate if reach == UrlReach::Machine => self.root_certificate = Some(value.to_owned()),
            Effect::RootCertificate => return Err(ParameterRefusal::Because("names a file of this machine")),
            Effect::User if takes_account => value.clone_into(&mut self.user),
            Effect::Password if takes_account => self.password = Some(value.to_owned()),
            Effect::User | Effect::Password => {
                return Err(ParameterRefusal::Because("belongs before the @ of the URL"));
            }
            Effect::Host if value.starts_with('/') => self.set_socket(value, reach)?,
            Effect::Host if value.contains(',') => return Err(ONE_HOST.to_owned().into()),
            Effect::Host => (self.host, self.socket) = (value.to_owned(), None),
            Effect::Port => self.port = Some(value.parse().map_err(|_| ParameterRefusal::Because("should be a port"))?),
            Effect::Database => value.clone_into(&mut self.database),
            Effect::SearchPath if is_postgres => self.search_path = read_path(value)?,
            Effect::Schema if is_postgres => self.search_path = one_schema(value)?,
            Effect::Options if is_postgres => {
                if let Some(path) = read_options(value, &mut self.unused)? {
                    self.search_path = path;
                }
            }
            Effect::ApplicationName if is_postgres => self.application_name = Some(value.to_owned()),
            Effect::SearchPath | Effect::Schema | Effect::Options => {
                return Err(ParameterRefusal::Because("is one of PostgreSQL's"));
            }
            Effect::Refused(why) => return Err(ParameterRefusal::Because(why)),
            Effect::Nothing | Effect::ApplicationName | Effect::VerifyCertificate | Effect::VerifyHost => {
                self.unused.push(name.to_owned());
            }
        }
        Ok(())
    }

    /// Several parameters may ask for protection: the strongest counts, in whatever order they stand.
    fn protect(&mut self, mode: SslMode) {
        self.ssl_mode = Some(self.ssl_mode.map_or(mode, |known| known.max(mode)));
    }

    fn set_socket(&mut self, folder: &str, reach: UrlReach) -> Result<(), String> {
        if reach == UrlReach::Network {
            return Err("Input should name a host: sockets of this machine are not for data sources".to_owned());
        }
        self.socket = Some(folder.to_owned());
        self.host.clear();
        Ok(())
    }
}

/// Why a parameter can't be taken.
enum ParameterRefusal {
    Unknown,
    /// What is wrong with it, after its name.
    Because(&'static str),
    Sentence(String),
}

impl From<String> for ParameterRefusal {
    fn from(sentence: String) -> Self {
        Self::Sentence(sentence)
    }
}

impl ParameterRefusal {
    /// In words; the parameter is called by `name`, unless that may be part of a password.
    fn sentence(self, name: Option<String>) -> String {
        let parameter =
            name.map_or_else(|| "one of its parameters".to_owned(), |name| format!("the parameter '{name}'"));
        match self {
            Self::Unknown => {
                format!(
                    "Input should be a URL without {parameter}, which is not known here; a password belongs before the @"
                )
            }
            Self::Because(why) => format!("Input should be a URL without {parameter}, which {why}"),
            Self::Sentence(sentence) => sentence,
        }
    }
}

/// The name of a parameter as messages may quote it.
fn plain_name(name: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (name.len() <= 50 && name.bytes().all(is_plain)).then(|| name.to_owned())
}

fn is_true(value: &str) -> bool {
    matches!(value.to_ascii_lowercase().as_str(), "true" | "1" | "on" | "yes")
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| "Input should be a URL of text in UTF-8")?;
    Ok(decoded.into_owned())
}

#[cfg(test)]
mod tests;
