use proptest::prelude::*;

use super::*;

const QUERY: &str = "SELECT count(*) AS n FROM events WHERE kind = 'click'";

/// Ways in which models wrap a query; `{}` stands for it.
const WRAPPINGS: &[&str] = &[
    "{}",
    "{};",
    "  \n({}",
    "```sql\n{}\n```",
    "```sql\n{};\n```",
    "```SQL\n{}\n```",
    "```postgresql\n{}\n```",
    "```\n{}\n```",
    "```sql\r\n{}\r\n```",
    "```sql {}```",
    "```{}```",
    "```sql\n{}",
    "```\nsql\n{}\n```",
    "~~~sql\n{}\n~~~",
    "````sql\n{}\n````",
    "sql\n{}",
    "SQLQuery: {}",
    "SQLQuery:\n{}",
    "SQL Query: {}",
    "SQL: {}",
    "sql: {}",
    "Query: {}",
    "**SQL:** {}",
    "**Query:**\n\n{}",
    "### SQL\n\n{}",
    "Final Answer: {}",
    "SQLQuery: {}\nSQLResult: [(50,)]\nAnswer: There are 50.",
    "```sql\n{}\nSQLResult: 50\n```",
    "Question: How many?\nSQLQuery: \"{}\"\nSQLResult:",
    "`{}`",
    "**{}**",
    "The query is `{}`.",
    "\"{}\"",
    "> {}",
    "- {}",
    "1. SQL: {}",
    "Here is the query: {}",
    "Here is the query:\n\n{}\n\nIt counts the clicks.",
    "Hier ist die Abfrage:\n```sql\n{}\n```\nSie zählt die Klicks.",
    "Hier ist die Abfrage: {}",
    "Aquí está la consulta: {}",
    "Aquí tienes:\n\n{};\n\nCuenta los clics.",
    "The SQL query is {}",
    "Sure! {};\nThis gives one.",
    "{}; This gives one.",
    "{}\n\n**Explanation:** It counts.",
    "{}\nExplanation: it counts",
    "-- counts the clicks\n{}",
    "/* counts */ {}",
    "```sql\n-- counts the clicks\n{}\n```",
    "```sql\n/* counts\nthem */\n{};\n```",
    "{\"query\": \"{}\"}",
    "{\"sql\": \"{}\"}",
    "{\"thought\": \"count\", \"sql_query\": \"{};\"}",
    "{'query': \"{}\",}",
    "```json\n{\"query\": \"{}\"}\n```",
    "```json\n{\"sql\": \"```sql\\n{}\\n```\"}\n```",
    "Sure: {\"query\": \"{}\"} bye",
    "<sql>{}</sql>",
    "<sql>\n{};\n</sql>\nIt counts.",
    "<SQL>{}",
    "<query>{}</query>",
    "<sql_query>\n```sql\n{}\n```\n</sql_query>",
    "[SQL]{}[/SQL]",
    "<pre><code class=\"sql\">{}</code></pre>",
    "<answer>\n{}\n</answer>",
    "First draft:\n```sql\nSELECT count(*) FROM events\n```\nbut only clicks:\n```sql\n{}\n```",
    "SELECT count(*) FROM events\n\nWait, only the clicks:\n{}",
    "```sql\n{}\n```\nAlternatively, without a filter:\n```sql\nSELECT count(*) FROM events\n```",
    "```sql\n{}\n```\nThis index makes it faster:\n```sql\nCREATE INDEX by_kind ON events (kind)\n```",
    "```sql\n{}\n```\nSome rows:\n```sql\nINSERT INTO events (kind) VALUES ('click')\n```",
    "```sql\n{}\n```\nTo verify it, look at the rows:\n```sql\nSELECT * FROM events LIMIT 5\n```",
    "```sql\n{}\n```\nFor example, if you also want the days:\n```sql\nSELECT day, count(*) FROM events GROUP BY day\n```",
    "```sql\n{}\n```\nFor better performance:\n```sql\nSELECT n FROM clicks_by_day\n```",
    "```sql\n{}\n```\nZur Kontrolle:\n```sql\nSELECT * FROM events LIMIT 5\n```",
    "<sql>{}</sql>\n<sql>DROP TABLE events</sql>",
    "```sql\nCREATE TABLE events (kind text)\n```\nOn that table:\n```sql\n{}\n```",
    "```sql\nSELECT count(*) FROM events\n```\nLet me check: only clicks count.\n```sql\n{}\n```",
    "The table:\n```json\n{\"events\": 3}\n```\n```sql\n{}\n```",
    "```sql\nEXPLAIN SELECT 1 FROM events\n```\nNow the query:\n```sql\n{}\n```",
    "We select the clicks with a filter: {}",
    "To check the plan:\n```\nEXPLAIN ANALYZE SELECT 1\n```\n\n{}",
];

#[test]
fn a_query_is_the_same_whatever_it_is_wrapped_in() {
    assert!(WRAPPINGS.len() >= 40);
    for wrapping in WRAPPINGS {
        let answer = wrapping.replace("{}", QUERY);
        let found = query_in_answer(WrittenIn::Sql, &answer);
        let found = found.as_deref().map(|query| query.trim_start_matches('('));
        assert_eq!(found, Some(QUERY), "{answer}");
    }
}

#[test]
fn other_queries_are_found_whole() {
    for query in [
        "WITH clicks AS (SELECT * FROM events),\n\nlast AS (SELECT max(day) FROM clicks)\nSELECT * FROM last",
        "WITH RECURSIVE t(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM t) SELECT n FROM t",
        "SELECT a\nFROM b\n\nWHERE c\n\n  AND d",
        "SELECT `a` FROM `b` WHERE c = ';\n\nNo'",
        "SELECT 1;\nDROP TABLE a",
        "SELECT data->>'kind' AS \"Kind: all\", '{\"query\": 1}'::jsonb FROM events",
        "DELETE FROM orders",
    ] {
        assert_eq!(query_in_answer(WrittenIn::Sql, query).as_deref(), Some(query), "{query}");
        let fenced = format!("So:\n```sql\n{query}\n```\nDone.");
        assert_eq!(query_in_answer(WrittenIn::Sql, &fenced).as_deref(), Some(query), "{fenced}");
    }
}

#[test]
fn prose_and_plans_are_no_queries() {
    for answer in [
        "",
        "I can't tell from this schema.",
        "With this schema I can't.",
        "EXPLAIN SELECT * FROM events",
        "```sql\nEXPLAIN ANALYZE SELECT * FROM events\n```",
        "```sql\n```",
        "{\"query\": null}",
    ] {
        assert_eq!(query_in_answer(WrittenIn::Sql, answer), None, "{answer}");
    }
}

#[test]
fn a_query_of_cube_is_found() {
    let query = r#"{"measures":["a.b"]}"#;
    for answer in [
        query,
        "```json\n{\"measures\": [\"a.b\"]}\n```",
        "Sure: {\"measures\": [\"a.b\"]} bye",
        "{\"query\": {\"measures\": [\"a.b\"]}}",
        "{'measures': ['a.b'],}",
    ] {
        assert_eq!(query_in_answer(WrittenIn::Cube, answer).as_deref(), Some(query), "{answer}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read(text in "(?s).{0,80}") {
        for language in [WrittenIn::Sql, WrittenIn::Cube] {
            drop(query_in_answer(language, &text));
        }
    }
}
