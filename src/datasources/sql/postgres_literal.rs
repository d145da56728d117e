/// A text as PostgreSQL reads it, whatever its settings say of quotes and backslashes.
pub(super) fn text_literal(text: &str) -> String {
    format!("E'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}
