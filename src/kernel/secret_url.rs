use std::fmt;
use std::ops::Range;

use serde::{Serialize, Serializer};
use url::Url;

use super::mask::is_credential_name;
use super::url_origin::UrlOrigin;
use super::{MASK, Secret};

/// What ends the part of a URL that holds account and host.
const ENDS_OF_AUTHORITY: [char; 4] = ['/', '?', '#', '\\'];

const AMBIGUOUS: &str = "Input should be a URL in which every / ? # \\ and @ that belongs to a user name, a password or a \
    path is percent-encoded (%2F %3F %23 %5C %40): it is unclear where a password ends";

/// An address that may hold secrets: a password, as connection strings of databases do, or parameters such as `api_key`.
/// Debug, Display and Serialize mask them, also in a text that is no valid URL.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    /// Wraps an address as it was written.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The address with its secrets: for connecting and for the store, nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The address, taken apart.
    pub fn parse(&self) -> Option<Url> {
        Url::parse(&self.0).ok()
    }

    /// The address without user, password, query and fragment; `None` for a text that is no URL.
    pub fn location(&self) -> Option<String> {
        let mut url = self.parse()?;
        // Both fail only for URLs that can't have credentials.
        let _ = (url.set_username("").is_ok(), url.set_password(None).is_ok());
        url.set_query(None);
        url.set_fragment(None);
        Some(url.into())
    }

    /// The secrets in it, as they were written.
    pub fn secrets(&self) -> Vec<Secret> {
        let [parameters, password] = self.spans();
        let text = |span: Option<Range<usize>>| span.and_then(|span| self.0.get(span)).unwrap_or_default();
        let mut parts = text(parameters).split(|c: char| ['&', ';', '#'].contains(&c) || c.is_whitespace());
        let first = parts.next();
        let others = parts.filter_map(|part| part.split_once('=').filter(|(name, _)| is_secret_name(name)));
        let all = [text(password)].into_iter().chain(first).chain(others.map(|(_, value)| value));
        all.filter(|secret| !secret.is_empty()).map(Secret::new).collect()
    }

    /// An error, which says what was expected, if parsers may disagree on where the password ends: part of it would count as
    /// the name of a host or a database, and be shown as such.
    pub fn check_unambiguous(&self) -> Result<(), &'static str> {
        let start = authority(&self.0);
        let account = password(&self.0).and_then(|span| self.0.get(start..span.end)).unwrap_or_default();
        if account.contains(ENDS_OF_AUTHORITY) { Err(AMBIGUOUS) } else { Ok(()) }
    }

    /// This address with the secrets of `stored` in the place of masks, unless it would send them elsewhere.
    pub fn unmask(&self, stored: &Self) -> Self {
        if self.0 == stored.to_string() {
            return stored.clone();
        }
        if !self.origin().accepts_credential_of(&stored.origin()) {
            return self.clone();
        }
        let mut text = self.0.clone();
        // The last first: the other one stays where it is.
        for (here, there) in self.spans().into_iter().zip(stored.spans()) {
            if let (Some(here), Some(there)) = (here, there)
                && self.0.get(here.clone()) == Some(MASK)
            {
                text.replace_range(here, stored.0.get(there).unwrap_or_default());
            }
        }
        Self(text)
    }

    /// Whether a mask stands where a secret should.
    pub(crate) fn has_mask(&self) -> bool {
        self.spans().into_iter().flatten().any(|span| self.0.get(span).is_some_and(|text| text.contains(MASK)))
    }

    /// Where it leads and how; no secret has a part in it.
    pub(super) fn origin(&self) -> UrlOrigin {
        let (mut text, [_, password]) = (self.0.clone(), self.spans());
        if let Some(span) = password {
            text.replace_range(span, MASK);
        }
        UrlOrigin::new(&text, || self.to_string())
    }

    /// Where the secrets stand: from the value of the first parameter that is a credential to the end of the text, since an `&`
    /// may be part of the value; and before that the password.
    fn spans(&self) -> [Option<Range<usize>>; 2] {
        let (text, end) = (self.0.as_str(), self.0.len());
        let password = password(text);
        let Range { start: before, end: after } = password.clone().unwrap_or(end..end);
        let spans = match secret_parameter(text, 0..before) {
            Some(start) => [Some(start..end), None],
            // What seems to be a password may be a port, and go on behind the `@`: `h:80/x?password=a@b`.
            None if secret_parameter(text, before..after).is_some() => [Some(before..end), None],
            None => [secret_parameter(text, after..end).map(|start| start..end), password],
        };
        spans.map(|span| span.filter(|span| !span.is_empty()))
    }
}

/// `text` as it may be shown, if it may be a URL with secrets: anything with `//`, and `user:password@host`.
pub(super) fn shown_url(text: &str) -> Option<String> {
    looks_like_url(text).then(|| SecretUrl::new(text).to_string())
}

/// Whether a text that may be anything has to be treated as a [`SecretUrl`]. The name of a container's image has a `/`.
pub(crate) fn looks_like_url(text: &str) -> bool {
    let is_account = |(user, rest): (&str, &str)| !user.contains('/') && rest.contains('@');
    text.contains("//") || !text.contains(char::is_whitespace) && text.split_once(':').is_some_and(is_account)
}

/// Where account and host begin. Without a scheme, `://` may be part of a password.
fn authority(text: &str) -> usize {
    let is_jdbc = |before: &str| before.to_ascii_lowercase().contains("jdbc:");
    let is_account = |before: &str| before.contains(':') && !is_jdbc(before) && !before.contains(' ');
    match text.split_once("://") {
        Some((before, _)) if !is_account(before) => before.len() + 3,
        None if text.starts_with("//") => 2,
        _ => 0,
    }
}

/// Where the password stands: between the first `:` and the last `@`, since it may hold anything that its writer did not
/// escape. Services over HTTP also take a token in the place of the account.
fn password(text: &str) -> Option<Range<usize>> {
    let start = authority(text);
    let rest = text.get(start..)?;
    let Some(at) = rest.rfind('@') else { return password_as_port(text, start) };
    let account = rest.get(..at)?;
    let is_token = || is_http(text.get(..start).unwrap_or_default()) && !account.contains(ENDS_OF_AUTHORITY);
    match account.find(':') {
        Some(colon) => Some(start + colon + 1..start + at),
        None => is_token().then_some(start..start + at),
    }
}

/// What stands in the place of a port and is none: a password whose host was forgotten. It may hold anything.
fn password_as_port(text: &str, start: usize) -> Option<Range<usize>> {
    let rest = text.get(start..).filter(|rest| start > 0 && !rest.starts_with('['))?;
    let host = rest.get(..rest.find(ENDS_OF_AUTHORITY).unwrap_or(rest.len()))?;
    let (before, port) = host.split_once(':')?;
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    // Several hosts, each with a port: `mongodb://a:1,b:2/x`.
    let are_hosts = host.split(',').all(|one| one.split_once(':').is_some_and(|(_, port)| is_port(port)));
    (!are_hosts && !port.contains("${")).then(|| start + before.len() + 1..text.len())
}

fn is_http(before_authority: &str) -> bool {
    let before = before_authority.to_ascii_lowercase();
    before.ends_with("http://") || before.ends_with("https://")
}

/// Where the value of the first parameter begins that is a credential by its name, within this range.
fn secret_parameter(text: &str, range: Range<usize>) -> Option<usize> {
    let within = text.get(range.clone())?;
    let starts = within.match_indices('=').map(|(at, _)| range.start + at);
    let is_secret = |equals: &usize| {
        let before = text.get(..*equals).unwrap_or_default();
        let separators =
            |c: char| ENDS_OF_AUTHORITY.contains(&c) || ['&', ';', '@', '='].contains(&c) || c.is_whitespace();
        is_secret_name(before.rsplit(separators).next().unwrap_or_default())
    };
    starts.into_iter().find(is_secret).map(|equals| equals + 1)
}

fn is_secret_name(name: &str) -> bool {
    let name = percent_encoding::percent_decode_str(name.trim()).decode_utf8_lossy();
    is_credential_name(&name) || ["sig", "signature"].iter().any(|known| name.eq_ignore_ascii_case(known))
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        for span in self.spans().into_iter().flatten() {
            shown.replace_range(span, MASK);
        }
        f.write_str(&shown)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for SecretUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests;
