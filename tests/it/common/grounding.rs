//! What the server has collected of its resources.

use std::path::Path;

use serde_json::Value;

use super::TestServer;
use super::sources::wait_for;

/// The variable that has a server collect in the background, as it does by default.
pub const COLLECTING: (&str, &str) = ("GROUNDING_REFRESH_SECONDS", "300");

/// What a server with this folder has collected: the vocabularies in its file.
pub fn vocabularies(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("grounding.json")).unwrap_or_default();
    let file: Value = serde_json::from_str(&text).unwrap_or_default();
    let resources = file["resources"].as_array().cloned().unwrap_or_default();
    resources.into_iter().map(|mut resource| resource["vocabulary"].take()).collect()
}

/// What is known of a resource, once it is known.
pub async fn collected(server: &TestServer, name: &str) -> Value {
    let find = || vocabularies(server.folder()).into_iter().find(|one| one["name"] == name);
    wait_for(async || find().is_some()).await;
    find().unwrap()
}

/// The item of this name.
pub fn item(vocabulary: &Value, name: &str) -> Value {
    let items = vocabulary["items"].as_array().unwrap();
    let found = items.iter().find(|item| item["name"] == name).cloned();
    found.unwrap_or_else(|| panic!("no {name} in {vocabulary}"))
}

/// The values of a column.
pub fn values(vocabulary: &Value, table: &str, column: &str) -> Vec<String> {
    let table = item(vocabulary, table);
    let detail = table["details"].as_array().unwrap().iter().find(|detail| detail["name"] == column).unwrap();
    let mut values: Vec<_> =
        detail["values"].as_array().unwrap().iter().map(|value| value.as_str().unwrap().to_owned()).collect();
    values.sort();
    values
}

/// Waits until the meaning of so many texts is known.
pub async fn embedded(server: &TestServer, texts: usize) {
    wait_for(async || embeddings(server.folder()) >= texts).await;
}

/// How many embeddings a server with this folder keeps.
pub fn embeddings(folder: &Path) -> usize {
    let text = std::fs::read_to_string(folder.join("grounding-embeddings.json")).unwrap_or_default();
    let file: Value = serde_json::from_str(&text).unwrap_or_default();
    file["vectors"].as_object().map_or(0, serde_json::Map::len)
}
