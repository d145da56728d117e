use super::Environment;
use super::secret_file::find_secret;
use crate::kernel::{FieldIssue, Segment};

/// The variable that a value of the form `${NAME}` refers to.
pub(super) fn variable(value: &str) -> Option<&str> {
    let name = value.strip_prefix("${")?.strip_suffix('}')?;
    let valid = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    valid.then_some(name)
}

/// The value to use for one that was written: what `${NAME}` stands for, in the variable or in the file that `NAME_FILE` names; anything
/// else as it is. The error names the variable that is not set.
pub(super) fn resolve(written: &str, environment: &Environment) -> Result<String, String> {
    let Some(name) = variable(written) else { return Ok(written.to_owned()) };
    let value = find_secret(&name.to_uppercase(), environment)
        .map_err(|wrong| format!("Environment variable {name}_FILE, which this value refers to: {wrong}"))?;
    value.ok_or_else(|| format!("Environment variable {name}, which this value refers to, is not set"))
}

/// The issue of a value that stands at `loc` and refers to a variable that callers of the API may not read.
pub(super) fn refused(loc: Vec<Segment>, variable: &str) -> FieldIssue {
    let msg = format!("Input should not refer to {variable}, which API_REFERENCES does not name");
    FieldIssue::new("value_error", loc, msg, format!("${{{variable}}}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_value_is_a_reference() {
        let environment = Environment::from_pairs([("LLM_KEY", "k1")]);
        assert_eq!(resolve("${LLM_KEY}", &environment), Ok("k1".to_owned()));
        assert_eq!(resolve("a ${LLM_KEY}", &environment), Ok("a ${LLM_KEY}".to_owned()));
        assert_eq!(resolve("${}", &environment), Ok("${}".to_owned()));
        assert!(resolve("${OTHER}", &environment).unwrap_err().contains("OTHER"));
        let unreadable = environment.with("OTHER_FILE", "/no/such/file");
        assert!(
            resolve("${OTHER}", &unreadable)
                .unwrap_err()
                .contains("OTHER_FILE, which this value refers to: Input should be the path")
        );
    }
}
