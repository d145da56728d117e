use std::net::{IpAddr, Ipv4Addr};

use axum::http::{HeaderMap, HeaderValue};
use serde_json::Value;

use super::PeerAddress;
use super::python_json::beyond_json;
use crate::kernel::{ErrorKind, JsonReader, Segment, json_depth};
use crate::settings::AllowedTarget;

/// Levels that a body may have.
const MAX_DEPTH: usize = 127;

/// A body is the JSON that it is, or is refused with one place in it.
pub(crate) fn body(data: &[u8]) {
    let reader = JsonReader::new(1_000);
    let text = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let expected: Result<Value, _> = serde_json::from_slice(text);
    match super::body::parse(data, reader) {
        Ok(body) => {
            assert!(json_depth(&body) <= MAX_DEPTH);
            assert_eq!(Some(&body), expected.as_ref().ok());
        }
        Err(error) => {
            let is_place = |part: &Segment| !matches!(part, Segment::Index(at) if *at > text.len());
            let in_body = error.issues().iter().all(|issue| issue.loc.first() == Some(&"body".into()));
            assert!(in_body && error.issues().iter().flat_map(|issue| &issue.loc).all(is_place), "{error}");
            let kinds = [ErrorKind::BadRequest, ErrorKind::TooLarge];
            assert!(error.issues().len() == 1 || kinds.contains(&error.kind()), "{error}");
            assert!(expected.is_err() || error.kind() == ErrorKind::TooLarge, "{error}");
        }
    }
    if let Some(issue) = beyond_json(text, reader) {
        assert!(expected.is_err() && issue.loc.first() == Some(&"body".into()), "{issue}");
    }
}

/// Lines of `X-Forwarded-For`: without trusted proxies they count for nothing, and what a client writes before them never does.
pub(crate) fn forwarded_for(data: &[u8]) {
    let lines = data.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let lines: Vec<_> = lines.take(20).collect();
    let headers = |lines: &[HeaderValue]| -> HeaderMap {
        lines.iter().map(|line| (super::client_address::FORWARDED_FOR, line.clone())).collect()
    };
    let peer = PeerAddress(Ipv4Addr::new(10, 0, 0, 1).into());
    let trusted: Vec<AllowedTarget> =
        ["10.0.0.0/8", "fd00::/8"].iter().filter_map(|range| range.parse().ok()).collect();
    assert_eq!(peer.client(&headers(&lines), &[]), peer.0);
    let stranger = PeerAddress(Ipv4Addr::new(192, 0, 2, 1).into());
    assert_eq!(stranger.client(&headers(&lines), &trusted), stranger.0);

    let client = peer.client(&headers(&lines), &trusted);
    let is_proxy = |address: IpAddr| trusted.iter().any(|proxy| proxy.contains(address));
    if !is_proxy(client) {
        let forged = [HeaderValue::from_static("203.0.113.9, 10.0.0.2")];
        assert_eq!(peer.client(&headers(&[forged.as_slice(), &lines].concat()), &trusted), client);
    }
}
