use uuid::Uuid;

/// A new random id (UUID version 4), for executions and requests.
pub fn new_id() -> String {
    Uuid::new_v4().to_string()
}
