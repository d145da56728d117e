use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Reads a text of at most `max_bytes`, without a byte order mark; `None` if there is no file. The error says why it can't be used, and
/// nothing of what it holds, which may be a secret.
pub(super) fn read_text(path: &Path, max_bytes: u32) -> Result<Option<String>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(&error)),
    };
    let mut bytes = Vec::new();
    file.take(u64::from(max_bytes) + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > u64::from(max_bytes) {
        return Err(format!("has more than {max_bytes} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|byte| **byte == b'\n').count();
        format!("line {line} is not UTF-8, which the file should be saved as")
    })?;
    Ok(Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text)))
}

fn unreadable(error: &std::io::Error) -> String {
    format!("can't be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_whole_or_refused_in_words() {
        let folder = tempfile::tempdir().unwrap();
        let read = |bytes: &[u8]| {
            let path = folder.path().join("text");
            std::fs::write(&path, bytes).unwrap();
            read_text(&path, 10)
        };
        assert_eq!(read(b"").unwrap().as_deref(), Some(""));
        assert_eq!(read(b"\xef\xbb\xbfa\n").unwrap().as_deref(), Some("a\n"));
        assert_eq!(read(b"0123456789").unwrap().as_deref(), Some("0123456789"));
        assert_eq!(read(b"0123456789a").unwrap_err(), "has more than 10 bytes");
        assert_eq!(read(b"a\nb\xe4").unwrap_err(), "line 2 is not UTF-8, which the file should be saved as");
        assert_eq!(read(b"\xff\xfea\0").unwrap_err(), "line 1 is not UTF-8, which the file should be saved as");
        assert_eq!(read_text(&folder.path().join("none"), 10).unwrap(), None);
        assert!(read_text(folder.path(), 10).unwrap_err().starts_with("can't be read: "));
    }
}
