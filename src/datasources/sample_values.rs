//! Values of text columns that have few of them, such as `paid` and `open`, so that a prompt which names one finds its table. What may
//! be secret or tells of a person is not read.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::identifier::quoted;
use super::query::{Query, QueryResult};
use super::schema::{ColumnSchema, TableSchema};
use super::source::Source;
use super::sql::SqlClient;
use super::{DataError, Outage};
use crate::kernel::{Caller, Deadline, is_credential_name};
use crate::settings::Protocol;

/// Tables that are looked into.
const MAX_TABLES: usize = 500;
/// Columns of a table that are.
const MAX_COLUMNS: usize = 20;
/// Rows that are read of a table: any, since sorting them would cost much.
const MAX_ROWS: usize = 500;
/// Values that a column may have.
const MAX_VALUES: usize = 10;
/// Characters that each may have. Longer ones are texts rather than values.
const MAX_CHARS: usize = 60;
/// How often a value occurs, on average: what is different in nearly every row names one thing, such as a person.
const MIN_REPEATS: usize = 2;
/// Time for one table.
const TABLE_TIMEOUT: Duration = Duration::from_secs(2);

/// Words in names of columns whose values tell of a person.
const PERSONAL: &[&str] = &[
    "account",
    "address",
    "adresse",
    "agent",
    "anschrift",
    "apellido",
    "approver",
    "assignee",
    "author",
    "bic",
    "birth",
    "birthday",
    "buyer",
    "by",
    "calle",
    "card",
    "client",
    "cliente",
    "comment",
    "contact",
    "correo",
    "courriel",
    "customer",
    "cvv",
    "diagnose",
    "diagnosis",
    "direccion",
    "disease",
    "dob",
    "doctor",
    "driver",
    "email",
    "employee",
    "enfermedad",
    "ethnicity",
    "fax",
    "firstname",
    "fullname",
    "geburt",
    "geburtsdatum",
    "gehalt",
    "gender",
    "genero",
    "geschlecht",
    "guest",
    "handy",
    "hash",
    "holder",
    "iban",
    "illness",
    "ip",
    "kontakt",
    "krankheit",
    "kunde",
    "lastname",
    "login",
    "mail",
    "maladie",
    "manager",
    "medication",
    "member",
    "message",
    "mitarbeiter",
    "mobile",
    "nachname",
    "naissance",
    "nationality",
    "nickname",
    "note",
    "notes",
    "notiz",
    "otp",
    "owner",
    "passport",
    "patient",
    "payer",
    "person",
    "phone",
    "pin",
    "prenom",
    "recipient",
    "religion",
    "rep",
    "reviewer",
    "salaire",
    "salario",
    "salary",
    "salt",
    "sender",
    "session",
    "sex",
    "sexo",
    "ssn",
    "strasse",
    "street",
    "student",
    "surname",
    "swift",
    "symptom",
    "teacher",
    "tel",
    "telefon",
    "telefono",
    "telephone",
    "uid",
    "url",
    "user",
    "username",
    "uuid",
    "vorname",
    "wage",
];
/// The same of columns called `first_name` and the like: the word before `name`.
const PERSONAL_NAMES: &[&str] =
    &["first", "last", "full", "middle", "family", "given", "maiden", "birth", "contact", "legal"];

/// Whether the values of a column of this name are left alone.
fn is_private(name: &str) -> bool {
    let words = words(name);
    let is_personal = |word: &String| {
        let singular = word.strip_suffix('s').unwrap_or(word);
        let shorter = word.strip_suffix("es").unwrap_or(word);
        [word, singular, shorter].iter().any(|word| PERSONAL.contains(word))
    };
    let names_a_person = words.windows(2).any(|pair| match pair {
        [before, name] => name == "name" && PERSONAL_NAMES.contains(&before.as_str()),
        _ => false,
    });
    is_credential_name(name)
        || words.iter().any(is_personal)
        || names_a_person
        || PERSONAL.contains(&words.concat().as_str())
}

/// The words of a name, split where letters become capital too, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut after_small = false;
    for letter in name.chars() {
        if letter.is_uppercase() && after_small {
            spaced.push(' ');
        }
        after_small = letter.is_lowercase();
        spaced.push(if letter.is_alphabetic() { letter } else { ' ' });
    }
    spaced.to_lowercase().split_whitespace().map(str::to_owned).collect()
}

fn is_text(column: &ColumnSchema) -> bool {
    let kind = column.kind.to_lowercase();
    ["char", "text", "string", "clob"].iter().any(|sign| kind.contains(sign)) && !kind.ends_with("[]")
}

/// Whether a column holds short texts that may be looked at.
fn is_sampled(column: &ColumnSchema) -> bool {
    is_text(column) && !column.primary_key && column.values.is_empty() && !is_private(&column.name)
}

/// Reads the values of these tables' columns into them, as long as there is time. A table that can't be read is left out; views are, since
/// a few rows of one may cost as much as all. Nobody asks: everybody may be told what is found.
pub(super) async fn read(
    sql: &SqlClient,
    source: &Source,
    protocol: Protocol,
    tables: &mut [TableSchema],
    deadline: Deadline,
) {
    for table in tables.iter_mut().filter(|table| table.kind == "table").take(MAX_TABLES) {
        let of_people = table.columns.iter().any(|column| is_text(column) && is_private(&column.name));
        // Beside what tells of a person, a name is that person's.
        let is_kept =
            |column: &&ColumnSchema| is_sampled(column) && !(of_people && column.name.eq_ignore_ascii_case("name"));
        let columns: Vec<_> = table.columns.iter().filter(is_kept).take(MAX_COLUMNS).collect();
        if columns.is_empty() {
            continue;
        }
        // What is known by then must not be lost.
        if deadline.remaining() < TABLE_TIMEOUT {
            return;
        }
        let text = &statement(protocol, table, &columns);
        let (caller, parameters, deadline) = (&Caller::unrestricted(), &Map::new(), deadline.at_most(TABLE_TIMEOUT));
        let query = Query { text, caller, parameters, max_rows: MAX_ROWS, deadline };
        match sql.query(source, &query).await {
            Ok(result) => fill(table, &result),
            Err(DataError::Failed { outage: Outage::No, .. } | DataError::Refused { .. }) => {}
            // There is nobody to ask any more.
            Err(_) => return,
        }
    }
}

fn statement(protocol: Protocol, table: &TableSchema, columns: &[&ColumnSchema]) -> String {
    let quote = |name: &str| quoted(protocol, name);
    let place = table.schema.iter().chain([&table.name]).map(|name| quote(name)).collect::<Vec<_>>().join(".");
    let part = |column: &&ColumnSchema| format!("substring({0}, 1, {1}) AS {0}", quote(&column.name), MAX_CHARS + 1);
    let columns = columns.iter().map(part).collect::<Vec<_>>().join(", ");
    format!("SELECT {columns} FROM {place} LIMIT {MAX_ROWS}")
}

fn fill(table: &mut TableSchema, result: &QueryResult) {
    for column in table.columns.iter_mut().filter(|column| column.values.is_empty()) {
        let texts = result.rows.iter().filter_map(|row| row.get(&column.name)).filter_map(Value::as_str);
        column.values = few_values(texts).unwrap_or_default();
    }
}

/// The values of a column, the most frequent first; none if they are many or look like something that is private.
fn few_values<'a>(texts: impl Iterator<Item = &'a str>) -> Option<Vec<String>> {
    let (mut counts, mut total) = (BTreeMap::<&str, usize>::new(), 0);
    for text in texts.map(str::trim).filter(|text| !text.is_empty()) {
        *counts.entry(text).or_default() += 1;
        total += 1;
        if counts.len() > MAX_VALUES || looks_private(text) {
            return None;
        }
    }
    let mut values: Vec<_> = counts.into_iter().collect();
    values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    (total >= MIN_REPEATS * values.len()).then(|| values.into_iter().map(|(text, _)| text.to_owned()).collect())
}

/// Whether a value is an address, a number of an account or a telephone, or prose.
fn looks_private(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_digit).count();
    text.chars().count() > MAX_CHARS || text.contains(['@', '\n']) || text.contains("://") || digits >= 7
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, kind: &str) -> ColumnSchema {
        let (name, kind) = (name.to_owned(), kind.to_owned());
        ColumnSchema {
            name,
            kind,
            nullable: true,
            default: None,
            primary_key: false,
            references: None,
            comment: None,
            values: Vec::new(),
        }
    }

    #[test]
    fn what_is_secret_or_tells_of_a_person_is_not_read() {
        for name in [
            "password",
            "api_token",
            "email",
            "contactEmail",
            "phone_number",
            "IBAN",
            "first_name",
            "lastName",
            "full_name",
            "street",
            "ip_address",
            "userName",
            "user_id",
            "Telefon",
            "session",
            "secret_answer",
            "birth_place",
            "customer_name",
            "created_by",
            "emailAddress",
        ] {
            assert!(is_private(name), "{name}");
        }
        for name in ["status", "country", "name", "plan_name", "segment", "kind", "city", "currency", "shipping_method"]
        {
            assert!(!is_private(name), "{name}");
        }
    }

    #[test]
    fn only_texts_that_repeat_are_values() {
        let few = |texts: &[&str]| few_values(texts.iter().copied());
        assert_eq!(few(&["open", "paid", " paid ", "", "open", "paid"]).unwrap(), ["paid", "open"]);
        assert_eq!(few(&["Ada", "Alan", "Grace"]), None, "each occurs once");
        assert_eq!(few(&["a@b.example", "a@b.example"]), None);
        assert_eq!(few(&["+49 170 1234567", "+49 170 1234567"]), None);
        let long = "x".repeat(MAX_CHARS + 1);
        assert_eq!(few(&[&long, &long]), None);
        let many: Vec<_> = (0..100).map(|n| format!("v{}", n % 11)).collect();
        assert_eq!(few(&many.iter().map(String::as_str).collect::<Vec<_>>()), None);
    }

    #[test]
    fn a_statement_quotes_what_it_names() {
        let status = column("sta\"tus`", "text");
        let table = TableSchema {
            schema: Some("public".to_owned()),
            name: "order".to_owned(),
            kind: "table".to_owned(),
            comment: None,
            part_of: None,
            columns: Vec::new(),
        };
        let sql = statement(Protocol::Postgres, &table, &[&status]);
        assert!(
            sql.contains(r#"substring("sta""tus`", 1, 61) AS "sta""tus`""#) && sql.contains(r#"FROM "public"."order""#),
            "{sql}"
        );
        let sql = statement(Protocol::MySql, &table, &[&status]);
        assert!(sql.contains("`sta\"tus```") && sql.contains("FROM `public`.`order`"), "{sql}");
        assert!(is_sampled(&column("status", "character varying(20)")) && !is_sampled(&column("n", "integer")));
        assert!(!is_sampled(&column("tags", "text[]")) && !is_sampled(&column("token", "text")));
    }
}
