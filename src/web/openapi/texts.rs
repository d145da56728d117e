//! The schemas of texts that several modules know: names, user ids, addresses, credentials.

use std::ops::RangeInclusive;

use utoipa::openapi::Schema;

use super::numbers;
use super::schema::{PADDING, any_case, bounded_pattern, map_of, pattern};
use crate::kernel::{ResourceName, UserId};
use crate::settings::bounds::{
    CREDENTIAL_SUFFIXES, DANGEROUS_VARIABLE_PREFIXES, DANGEROUS_VARIABLES, MAX_URL_CHARS, RESERVED_HEADERS,
};

/// Characters that no text which is shown or sent on may hold, for use between brackets.
const CONTROL: &str = r"\x00-\x1f\x7f-\x9f";

/// What [`ResourceName::parse`] takes.
pub fn name() -> Schema {
    bounded_pattern(format!(r"^(?!\.{{1,2}}$)[^{CONTROL}]+$"), &(1..=ResourceName::MAX_CHARS))
}

/// What clients are told of the name of something new.
pub const NEW_NAME_PURPOSE: &str = "1 to 128 characters, none of them `/ \\ ? #`, and no `%20` or the like.";

/// What [`ResourceName::check_new`] takes of that.
pub fn new_name() -> Schema {
    let (dots, blanks, code) = (r"\.{1,2}$", r"\s|.*\s$", ".*%[0-9A-Fa-f]{2}");
    bounded_pattern(format!(r"^(?!{dots}|{blanks}|{code})[^/\\?#{CONTROL}]+$"), &(1..=ResourceName::MAX_CHARS))
}

/// What [`UserId::parse`] takes.
pub fn user() -> Schema {
    let reserved = UserId::RESERVED.join("|");
    bounded_pattern(format!("^(?!(?:{reserved})$)[^{CONTROL}]+$"), &(1..=UserId::MAX_CHARS))
}

/// What [`UserId::parse_speaker`] takes of that.
pub fn speaker() -> Schema {
    let (reserved, prefix) = (UserId::RESERVED.join("|"), UserId::CHAT_PAGE_PREFIX);
    bounded_pattern(format!("^(?!(?:{reserved})$|{prefix})[^{CONTROL}]+$"), &(1..=UserId::MAX_CHARS))
}

/// A text of so many characters, none of which is a control character.
pub fn plain(length: &RangeInclusive<usize>) -> Schema {
    bounded_pattern(format!("^[^{CONTROL}]*$"), length)
}

/// A text of at most so many characters, none of which is a control character; and that `excluded` does not match as a whole.
pub fn plain_but(excluded: &str, max_chars: usize) -> Schema {
    bounded_pattern(format!("^(?!(?:{excluded})$)[^{CONTROL}]*$"), &(0..=max_chars))
}

/// A text without control characters.
pub fn without_control() -> Schema {
    pattern(format!("^[^{CONTROL}]*$"))
}

/// A text without control characters, but for blanks around it.
pub fn trimmed() -> Schema {
    pattern(format!(r"^{PADDING}[^{CONTROL}]*{PADDING}$"))
}

/// A key: printable ASCII, but for blanks around it.
pub fn key() -> Schema {
    pattern(format!("^{PADDING}[!-~]*{PADDING}$"))
}

/// The address of an HTTP service: no user, query or fragment. Names are given in their ASCII form.
pub fn http_url() -> Schema {
    bounded_pattern(format!("^{}$", http()), &(8..=MAX_URL_CHARS))
}

/// The same, but for blanks around it.
pub fn trimmed_http_url() -> Schema {
    bounded_pattern(format!(r"^{PADDING}{}{PADDING}$", http()), &(8..=MAX_URL_CHARS))
}

fn http() -> String {
    // An `@` with a `:` before it would look like the end of a password.
    let path = format!("[^{BLANK}{CONTROL}?#@]*");
    let path_with_at = format!("[^{BLANK}{CONTROL}?#:]*@{path}");
    format!("(?:{})://(?:{}(?:/{path})?|{}/{path_with_at})", any_case(&["http", "https"]), authority(), name_or_ipv4())
}

/// Parameters of a database's URL that most hosters and ORMs write.
const DATABASE_PARAMETERS: &str = "application_name|charset|collation|timezone|channel_binding|connect_timeout|connection_limit|\
    pool_timeout|pgbouncer|target_session_attrs";

/// An address of one of these schemes, with or without the name of a driver: a user with or without a password, a host, a database,
/// and the usual parameters.
pub fn database_url(schemes: &[&str]) -> Schema {
    let part = r"(?:[A-Za-z0-9_.~!$&'*+,;=-]|%[2-7][0-9A-Fa-f])";
    let mode = "ssl-?mode=(?:disable|allow|prefer|require|verify-ca|verify-full)";
    let parameter = format!(r"(?:{mode}|(?:{DATABASE_PARAMETERS})(?:=(?:[A-Za-z0-9_.~+-]|%[2-7][0-9A-Fa-f])*)?)");
    let (scheme, authority) = (database_scheme(schemes), authority());
    let expression =
        format!(r"^{scheme}://(?:{part}+(?::{part}*)?@)?{authority}(?:/{part}*)?(?:\?{parameter}(?:&{parameter})*)?$");
    bounded_pattern(expression, &(0..=MAX_URL_CHARS))
}

/// The address of a SQLite file.
pub fn file_url() -> Schema {
    pattern(format!("^{}:", database_scheme(&["sqlite", "sqlite3"])))
}

fn database_scheme(schemes: &[&str]) -> String {
    format!(r"(?:{}:)?(?:{})(?:\+(?!srv:)[A-Za-z0-9_]+)?", any_case(&["jdbc"]), any_case(schemes))
}

/// What [`crate::settings::HostPattern::parse`] takes: `host`, `host:port` or `*.host`. Names are given in their ASCII form.
pub fn host_pattern() -> Schema {
    pattern(format!(r"^{PADDING}{}{PADDING}$", host_expression()))
}

/// The regular expression of such a host.
pub fn host_expression() -> String {
    format!(r"(?:\*\.{HOST_NAME}|{})(?::{})?", host(), numbers::digits(&(1..=65_535)))
}

/// Headers that a tool may set, besides the `reserved` ones.
pub fn headers(reserved: &[&str]) -> Schema {
    let reserved = any_case(&[&RESERVED_HEADERS, reserved].concat());
    let name = pattern(format!("^(?!(?:{reserved})$)[A-Za-z0-9!#$%&'*+.^_`|~-]+$"));
    map_of(name, without_control())
}

/// The name of a variable that a process may be given.
pub fn variable_name() -> Schema {
    let (names, starts) = (DANGEROUS_VARIABLES.join("|"), DANGEROUS_VARIABLE_PREFIXES.join("|"));
    pattern(format!(r"^(?!(?:{names})$|(?:{starts}))[^=\x00]+$"))
}

/// The endpoint of a service: a path that stays below the address that it is appended to.
pub fn endpoint() -> Schema {
    let separator = "(?:[/;]|%(?:25)?(?:2[Ff]|5[Cc]))";
    let dot_dot = format!(r"(?:[^?]*{separator})?{PADDING}(?:\.|%(?:25)?2[Ee]){{2}}{PADDING}(?:{separator}|\?|$)");
    pattern(format!(r"^(?!//)(?![^?]*://)(?!{dot_dot})[^{CONTROL}\\#]*$"))
}

/// A text without blanks that is no HTTP address, shows where a password ends, and has no credential as a parameter.
pub fn other_url() -> Schema {
    let http = any_case(&["http", "https"]);
    let credential = format!("(?:.*[?&;])?[^?&;=]*(?:{})=", any_case(&CREDENTIAL_SUFFIXES));
    let doubtful = "(?:[^:]*://|//|(?!//|[^:]*://))(?:[^:]*:.*[/?#]|[^/?#]*[/?#].*:).*@";
    let expression = format!("^(?!(?:{http})(?:$|:))(?!{credential})(?!{doubtful})[^{BLANK}{CONTROL}]*$");
    bounded_pattern(expression, &(0..=MAX_URL_CHARS))
}

/// Blanks and the backslash, which URL parsers drop or bend, for use between brackets.
const BLANK: &str = r"\s\\";
/// A host's name: its last part begins with a letter, or it would be taken for an address.
const HOST_NAME: &str = r"(?:[A-Za-z0-9_][A-Za-z0-9_-]*\.)*[A-Za-z][A-Za-z0-9_-]*\.?";

fn authority() -> String {
    format!("{}(?::{})?", host(), numbers::digits(&(0..=65_535)))
}

fn host() -> String {
    let group = "[0-9A-Fa-f]{1,4}";
    let ipv6 = format!("(?:{group}:){{7}}{group}|::(?:{group}(?::{group}){{0,5}})?|{group}::{group}");
    format!(r"(?:{}|\[(?:{ipv6})\])", name_or_ipv4())
}

fn name_or_ipv4() -> String {
    // The parts of an address may be octal, and the last one may stand for all that are missing.
    let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]|0[0-3]?[0-7]{1,2})";
    let last = |digits: usize| format!("(?:[1-9][0-9]{{0,{digits}}}|0[0-7]{{0,{digits}}})");
    let (two, three, four) = (last(3), last(6), last(8));
    let address = format!(r"{octet}(?:\.{octet}){{3}}|{octet}\.{octet}\.{two}|{octet}\.{three}|{four}");
    format!("(?:{HOST_NAME}|{address})")
}
