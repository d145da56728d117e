use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A new id, for executions and requests. It begins with the time (UUID version 7), so that those of one table are added at the end of its
/// index; it is no secret.
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// The version of what this text describes: the beginning of its digest.
pub fn version_of(text: &str) -> String {
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
