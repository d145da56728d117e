/// Schemas that a path may name.
const MAX_SCHEMAS: usize = 20;
/// Bytes of a schema's name.
const MAX_NAME_BYTES: usize = 63;

const EXPECTED: &str = "Input should be a URL whose search path is a list of at most 20 names of schemas";

/// The schemas of a path such as `sales, "Odd Name"`; names without quotes are in lower case, as PostgreSQL takes them.
pub(super) fn read_path(text: &str) -> Result<Vec<String>, String> {
    let names = text.split(',').map(|name| {
        let name = name.trim();
        match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
            Some(quoted) => quoted.replace("\"\"", "\""),
            None => name.to_lowercase(),
        }
    });
    checked(names.collect())
}

/// The path of one schema, which is called exactly so.
pub(super) fn one_schema(name: &str) -> Result<Vec<String>, String> {
    checked(vec![name.to_owned()])
}

fn checked(names: Vec<String>) -> Result<Vec<String>, String> {
    let is_name =
        |name: &String| !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
    if names.len() > MAX_SCHEMAS || !names.iter().all(is_name) {
        return Err(EXPECTED.to_owned());
    }
    Ok(names)
}

/// What `options` asks for, in the form of PostgreSQL's command line: `-c search_path=sales`, `--statement_timeout=5s`. The names of
/// settings that change nothing here are added to `unused`.
pub(super) fn read_options(options: &str, unused: &mut Vec<String>) -> Result<Option<Vec<String>>, String> {
    /// What this server sets itself, and what the proxies of hosters find a server by, who are told its name with TLS.
    const UNUSED: [&str; 11] = [
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "timezone",
        "client_encoding",
        "application_name",
        "default_transaction_read_only",
        "geqo",
        "endpoint",
        "project",
        "reference",
    ];
    let mut path = None;
    for word in options.replace("\\ ", "\u{0}").split_whitespace().filter(|word| *word != "-c") {
        let setting = word.trim_start_matches("--").trim_start_matches("-c");
        let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
        let name = name.to_ascii_lowercase().replace('-', "_");
        match UNUSED.iter().find(|known| **known == name) {
            _ if name == "search_path" => path = Some(read_path(&value.replace('\u{0}', " "))?),
            Some(known) => unused.push((*known).to_owned()),
            None => {
                return Err(
                    "Input should be a URL whose parameter 'options' sets no more than search_path and limits of \
                    time, as in options=-c%20search_path%3Dsales"
                        .to_owned(),
                );
            }
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_in_each_of_their_forms() {
        let read = |options: &str| {
            let mut unused = Vec::new();
            read_options(options, &mut unused).map(|path| (path.unwrap_or_default(), unused))
        };
        for (options, path, unused) in [
            ("-c search_path=Sales", vec!["sales"], vec![]),
            ("-csearch_path=sales,public", vec!["sales", "public"], vec![]),
            ("--search_path=\"Odd\\ Name\",$user", vec!["Odd Name", "$user"], vec![]),
            ("-c statement_timeout=5s -c search-path=a", vec!["a"], vec!["statement_timeout"]),
            ("endpoint=ep-cool-123", vec![], vec!["endpoint"]),
            ("", vec![], vec![]),
        ] {
            let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(read(options), Ok((names(path), names(unused))), "{options}");
        }
        for refused in ["-c session_preload_libraries=x", "-c role=owner", "-c search_path=", "-W 5"] {
            assert!(read(refused).is_err(), "{refused}");
        }
        assert!(read_path(&"a,".repeat(30)).is_err());
    }
}
