use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A new random id (UUID version 4), for executions and requests.
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}

/// The version of what this text describes: the beginning of its digest.
pub fn version_of(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
