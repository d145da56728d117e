use super::written_query::{WrittenIn, blocks, is_query, is_spelled_out, query_in_answer};
use crate::datasources::Source;
use crate::settings::Protocol;

/// What a source is asked in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum QueryLanguage {
    /// SQL in this dialect.
    Sql(&'static str),
    /// A JSON query of Cube, or SQL if that is what is given.
    Cube,
    /// Whatever its service understands: the prompt goes there as it is.
    Text,
}

impl QueryLanguage {
    /// `None` if nobody here speaks its protocol. A service over HTTP takes SQL unless `config.query_language` is `text`.
    pub(super) fn of(source: &Source) -> Option<Self> {
        let settings = &source.effective;
        Some(match settings.protocol()? {
            Protocol::Postgres => Self::Sql("PostgreSQL"),
            Protocol::MySql => Self::Sql("MySQL"),
            Protocol::Sqlite => Self::Sql("SQLite"),
            Protocol::Cube => Self::Cube,
            Protocol::Rest if settings.config.text("query_language") == Some("text") => Self::Text,
            Protocol::Rest => Self::Sql("SQL"),
        })
    }

    /// The query that a prompt spells out: in a fenced block, or from its first word on.
    pub(super) fn query_in(self, prompt: &str) -> Option<String> {
        let prompt = prompt.trim();
        if self == Self::Text {
            return Some(prompt.to_owned());
        }
        let is_query = |text: &str| is_query(self.written_in(), text);
        let fenced = blocks(prompt).into_iter().map(|block| block.text).find(|text| is_query(text));
        let whole = || Some(prompt).filter(|prompt| is_query(prompt) && is_spelled_out(prompt));
        let after_colon = || {
            let rest = prompt.split_once(':').map(|(_, rest)| rest.trim());
            rest.filter(|rest| is_query(rest) && is_spelled_out(rest))
        };
        fenced.or_else(whole).or_else(after_colon).map(str::to_owned)
    }

    /// The query in a model's answer, whatever it is wrapped in.
    pub(super) fn query_from_model(self, answer: &str) -> Option<String> {
        query_in_answer(self.written_in(), answer)
    }

    fn written_in(self) -> WrittenIn {
        if self == Self::Cube { WrittenIn::Cube } else { WrittenIn::Sql }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SQL: QueryLanguage = QueryLanguage::Sql("SQLite");

    #[test]
    fn a_query_in_the_prompt_is_found_and_prose_is_not_taken_for_one() {
        let found = [
            ("SELECT * FROM sales", "SELECT * FROM sales"),
            ("select 1", "select 1"),
            ("Please run this query: SELECT name FROM customers LIMIT 5", "SELECT name FROM customers LIMIT 5"),
            ("Run\n```sql\nWITH a AS (SELECT 1) SELECT * FROM a\n```\nplease", "WITH a AS (SELECT 1) SELECT * FROM a"),
            ("DROP TABLE customers", "DROP TABLE customers"),
            ("delete from sales", "delete from sales"),
            ("VALUES (1), (2)", "VALUES (1), (2)"),
        ];
        for (prompt, query) in found {
            assert_eq!(SQL.query_in(prompt).as_deref(), Some(query), "{prompt}");
        }
        for prose in [
            "Select the best customers for me",
            "With whom do we earn most?",
            "Update me on sales",
            "Query the database: how many customers are there?",
            "Delete nothing, just count customers",
            "Create a report about sales",
        ] {
            assert_eq!(SQL.query_in(prose), None, "{prose}");
        }
        let cube = r#"{"measures": ["Orders.count"]}"#;
        assert_eq!(QueryLanguage::Cube.query_in(cube).as_deref(), Some(cube));
        assert_eq!(SQL.query_in(cube), None);
    }

    #[test]
    fn a_models_query_is_found_in_its_prose() {
        let answers = [
            "```sql\nSELECT 1\n```",
            "Here you are:\n```\nSELECT 1\n```\nIt counts.",
            "SELECT 1",
            "Sure!\nSELECT 1\n\nThis gives one.",
            "SELECT 1;\nThis gives one.",
            "First `a`:\n```json\n{}\n```\nthen\n```sql\nSELECT 1\n```",
            "```sql SELECT 1```",
        ];
        for answer in answers {
            let found = SQL.query_from_model(answer).unwrap();
            assert_eq!(found.trim_end_matches(';'), "SELECT 1", "{answer}");
        }
        let cube = QueryLanguage::Cube.query_from_model("Sure: {\"measures\": [\"a.b\"]} bye").unwrap();
        assert_eq!(cube, r#"{"measures":["a.b"]}"#);
        for nothing in ["  ", "I can't tell from this schema."] {
            assert_eq!(SQL.query_from_model(nothing), None);
        }
        for whole in
            ["SELECT a\nFROM b\n\nWHERE c\n\n  AND d", "SELECT 1;\nDROP TABLE a", "with x as (select 1)\n\nselect 2"]
        {
            assert_eq!(SQL.query_from_model(whole).as_deref(), Some(whole), "nothing is cut out of a query");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "(?s:.{0,80})") {
            for language in [SQL, QueryLanguage::Cube, QueryLanguage::Text] {
                drop((language.query_in(&text), language.query_from_model(&text)));
            }
        }
    }
}
