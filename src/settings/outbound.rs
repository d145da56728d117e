use serde::Deserialize;
use serde_json::Value;

use super::AllowedTarget;
use crate::kernel::{Fields, JsonReader, Lenient, LenientResult, SecretUrl, read_word};

/// Which addresses this server may call.
#[derive(Clone, Debug)]
pub struct OutboundSettings {
    /// `OUTBOUND_POLICY`
    pub policy: OutboundPolicy,
    /// `OUTBOUND_ALLOW`: hosts and ranges that `public_only` lets through.
    pub allow: Vec<AllowedTarget>,
    /// `MAX_REPLY_VALUES`: reads replies of at most so many values.
    pub reply_reader: JsonReader,
}

/// What is refused besides what always is: link-local, cloud metadata and unspecified addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutboundPolicy {
    /// Nothing more: agents and databases usually live in the same private network.
    #[default]
    PrivateAllowed,
    /// Loopback and private ranges, unless allowed by name.
    PublicOnly,
}

impl Lenient for OutboundPolicy {
    fn read(value: &Value) -> LenientResult<Self> {
        read_word(value.as_str(), "Input should be 'private_allowed' or 'public_only'")
    }
}

impl OutboundSettings {
    /// The variables that name proxies: for what goes to `https://`, to `http://`, and to either.
    pub const PROXIES: [&str; 3] = ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

    pub(super) fn read(env: &mut Fields<'_>) -> Self {
        let policy = env.or("OUTBOUND_POLICY", OutboundPolicy::default());
        let allow = env.list("OUTBOUND_ALLOW");
        for name in Self::PROXIES {
            let proxy = env.optional::<String>(name).map(SecretUrl::new);
            if let Some(Err(expected)) = proxy.map(|url| url.check_unambiguous()) {
                env.reject(name, expected);
            }
        }
        let reply_reader = JsonReader::new(env.count_or("MAX_REPLY_VALUES", 250_000, 1..=100_000_000));
        Self { policy, allow, reply_reader }
    }
}
