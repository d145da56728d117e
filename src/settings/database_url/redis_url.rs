use percent_encoding::percent_decode_str;
use url::Url;

use super::parameters::{Effect, effect};
use super::ssl_mode::SslMode;
use super::unused_sentence;
use crate::kernel::{SecretUrl, is_credential_name};

/// Where Redis is, in the form that its driver takes.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisUrl {
    /// With its password: for the driver.
    pub url: SecretUrl,
    unused: Vec<String>,
}

const SHAPE: &str = "Input should be a URL that starts with redis://, or rediss:// for TLS, as in \
    redis://user:password@host:6379/0; servers are not found by sockets, Sentinels or clusters";
const DATABASE: &str = "Input should be a URL that ends with the number of a database, as in redis://host:6379/0";
const TEXT: &str = "Input should be a URL of text in UTF-8";
const TLS: &str = "Input should be a URL that asks for TLS with rediss://, or says ssl=true or ssl=false";

impl RedisUrl {
    /// Reads a URL, or says what was expected of it.
    pub fn read(written: &SecretUrl) -> Result<Self, String> {
        written.check_unambiguous()?;
        let parsed = written.parse().ok_or(SHAPE)?;
        let mut scheme = match parsed.scheme() {
            "redis" | "valkey" => "redis",
            "rediss" | "valkeys" => "rediss",
            _ => return Err(SHAPE.to_owned()),
        };
        let host = parsed.host_str().filter(|host| !host.is_empty() && !host.contains(',')).ok_or(SHAPE)?;
        if matches!(host, "0.0.0.0" | "[::]") {
            return Err("Input should name a host, not the address for all of them".to_owned());
        }
        if parsed.fragment().is_some() {
            return Err(
                "Input should be a URL without '#': in a password it is written as %23, and certificates are always \
                checked"
                    .to_owned(),
            );
        }
        let (mut read, mut database) = (Self { url: written.clone(), unused: Vec::new() }, path(&parsed)?);
        for (name, value) in parsed.query_pairs() {
            match name.to_ascii_lowercase().as_str() {
                "db" => database = number(&value)?,
                name if is_about_tls(name, &value) => match asks_for_tls(&value)? {
                    true => scheme = "rediss",
                    false => read.unused.push(name.to_owned()),
                },
                name if is_credential_name(name) => {
                    return Err("Input should be a URL with its password before the @".to_owned());
                }
                name if name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') => {
                    read.unused.push(name.to_owned());
                }
                _ => return Err("Input should be a URL with plain names of parameters".to_owned()),
            }
        }
        let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
        read.url = SecretUrl::new(format!("{scheme}://{}{host}{port}/{database}", account(&parsed)?));
        Ok(read)
    }

    /// A sentence that names the parameters that change nothing here; `None` if there are none.
    pub fn unused(&self) -> Option<String> {
        unused_sentence(&self.unused)
    }
}

fn path(url: &Url) -> Result<u32, String> {
    match url.path().trim_matches('/') {
        "" => Ok(0),
        path => number(path),
    }
}

fn number(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| DATABASE.to_owned())
}

/// Whether a parameter says how the connection is protected, in the words that other databases have for it.
fn is_about_tls(name: &str, value: &str) -> bool {
    matches!(effect(name, value), Some(Effect::SslSwitch | Effect::SslMode))
}

/// Whether a connection is to be encrypted; refused if that is left to chance, which the driver does not know.
fn asks_for_tls(value: &str) -> Result<bool, String> {
    match SslMode::of_switch(value, SslMode::Require) {
        Some(SslMode::Disable) => Ok(false),
        Some(mode) if mode >= SslMode::Require => Ok(true),
        _ => Err(TLS.to_owned()),
    }
}

/// User and password as they were written, with what follows them.
fn account(url: &Url) -> Result<String, String> {
    let (user, password) = (url.username(), url.password());
    let is_text = |text: &str| percent_decode_str(text).decode_utf8().is_ok();
    if !is_text(user) || !password.is_none_or(is_text) {
        return Err(TEXT.to_owned());
    }
    Ok(match password {
        Some(password) => format!("{user}:{password}@"),
        None if user.is_empty() => String::new(),
        None => format!("{user}@"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(String, Option<String>), String> {
        RedisUrl::read(&SecretUrl::new(text)).map(|read| (read.url.expose().to_owned(), read.unused()))
    }

    #[test]
    fn urls_of_hosters_and_clients_become_those_of_the_driver() {
        for (text, url) in [
            ("redis://cache", "redis://cache/0"),
            ("redis://cache:6380/2", "redis://cache:6380/2"),
            ("rediss://default:p%40w@h.upstash.io:6379", "rediss://default:p%40w@h.upstash.io:6379/0"),
            ("redis://:pw@[::1]:6379/0", "redis://:pw@[::1]:6379/0"),
            ("valkeys://u:pw@h", "rediss://u:pw@h/0"),
            ("redis://h?db=3", "redis://h/3"),
            ("redis://h/0?ssl=true", "rediss://h/0"),
            ("redis://h/0?ssl=1", "rediss://h/0"),
            ("redis://h/0?SSL=Yes", "rediss://h/0"),
            ("redis://h/0?use_tls=on", "rediss://h/0"),
            ("redis://h/0?tls=required", "rediss://h/0"),
            ("redis://h/0?sslmode=verify-full", "rediss://h/0"),
        ] {
            assert_eq!(read(text), Ok((url.to_owned(), None)), "{text}");
        }
        let (url, unused) = read("rediss://h/0?ssl=false").unwrap();
        assert_eq!((url.as_str(), unused.is_some()), ("rediss://h/0", true), "the strongest counts");
        let (_, unused) = read("redis://h/0?socket_timeout=5&ssl_cert_reqs=none").unwrap();
        assert!(unused.unwrap().ends_with(": socket_timeout, ssl_cert_reqs"));
    }

    #[test]
    fn what_the_driver_would_refuse_at_start_is_refused_when_it_is_read() {
        for text in [
            "redis://:p@ss/w#1@127.0.0.1:6379/0",
            "redis://h/x",
            "redis://h/0/1",
            "redis://h?db=x",
            "redis://h/-1",
            "redis://",
            "redis://h1:1,h2:2/0",
            "redis://0.0.0.0/0",
            "rediss://h/0#insecure",
            "redis://h/0?password=x",
            "redis://h/0?ssl=perhaps",
            "redis://h/0?tls=prefer",
            "redis://h:70000/0",
            "redis://u:%ff@h/0",
            "redis-sentinel://h/0",
            "unix:///run/redis.sock",
            "h:6380,password=x,ssl=True",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
