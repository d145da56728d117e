//! The file that keeps what was collected, so that a restart has it at once.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::vocabulary::Vocabulary;
use crate::kernel::JsonReader;
use crate::storage::replace_file;

/// Raised when the file means something else than it did; one of another format is not read.
const FORMAT: u32 = 1;
/// Bytes of vocabularies that are kept in all, roughly.
pub(super) const MAX_BYTES: usize = 16_000_000;

/// What is kept of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredVocabulary {
    pub(super) vocabulary: Vocabulary,
    /// When its resource was asked, in milliseconds since 1970.
    pub(super) collected_at: i64,
    /// When the values of its columns were read.
    pub(super) sampled_at: i64,
}

#[derive(Serialize, Deserialize)]
struct VocabularyFile {
    format: u32,
    resources: Vec<StoredVocabulary>,
}

/// `DATA_DIR/grounding.json`.
#[derive(Clone, Debug)]
pub(super) struct VocabularyStore {
    path: PathBuf,
}

impl VocabularyStore {
    pub(super) fn new(data_dir: &std::path::Path) -> Self {
        Self { path: data_dir.join("grounding.json") }
    }

    /// What an earlier process has collected. A file that can't be used is logged, and collected anew.
    pub(super) fn load(&self) -> Vec<StoredVocabulary> {
        match self.read() {
            Ok(resources) => resources,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!(%error, path = %self.path.display(), "what resources offer is collected anew");
                }
                Vec::new()
            }
        }
    }

    fn read(&self) -> io::Result<Vec<StoredVocabulary>> {
        // In JSON, everything may be some bytes longer.
        if std::fs::metadata(&self.path)?.len() > 4 * MAX_BYTES as u64 {
            return Err(io::Error::other("the file is too large"));
        }
        let file: VocabularyFile = JsonReader::stored().read(&std::fs::read(&self.path)?).map_err(io::Error::other)?;
        if file.format != FORMAT {
            return Err(io::Error::other(format!("the file has format {} instead of {FORMAT}", file.format)));
        }
        Ok(file.resources)
    }

    /// Replaces the file.
    pub(super) fn save(&self, resources: Vec<StoredVocabulary>) -> io::Result<()> {
        replace_file(&self.path, &serde_json::to_vec(&VocabularyFile { format: FORMAT, resources })?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grounding::ResourceKind;

    #[test]
    fn what_is_saved_is_read_and_what_is_broken_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let store = VocabularyStore::new(folder.path());
        assert!(store.load().is_empty());
        let vocabulary = Vocabulary {
            kind: ResourceKind::Tool,
            name: "files".to_owned(),
            version: "1".to_owned(),
            description: None,
            items: Vec::new(),
            is_complete: true,
        };
        let stored = StoredVocabulary { vocabulary, collected_at: 7, sampled_at: 7 };
        store.save(vec![stored.clone()]).unwrap();
        assert_eq!(store.load(), [stored]);
        for broken in ["{", "{\"format\": 99, \"resources\": []}", "[]"] {
            std::fs::write(folder.path().join("grounding.json"), broken).unwrap();
            assert!(store.load().is_empty(), "{broken}");
        }
    }
}
