use std::path::{Path, PathBuf};

use crate::settings::Environment;

/// Where programs are if the server has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The server's `PATH`.
pub(super) fn search_path(environment: &Environment) -> &str {
    environment.get("PATH").unwrap_or(DEFAULT_PATH)
}

/// The files of this name in the folders of `search`. A relative folder is another one wherever the server is started.
pub(super) fn on_path<'a>(name: &'a str, search: &'a str) -> impl Iterator<Item = PathBuf> + 'a {
    let folders = search.split(':').filter(|folder| folder.starts_with('/'));
    folders.map(move |folder| Path::new(folder).join(name)).filter(|file| file.is_file())
}
