use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use crate::kernel::Error;

const CUSTOMERS: i64 = 400;
const SALES: i64 = 3_000;

const CREATE_TABLES: &str = "
    CREATE TABLE customers (
        id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL, segment TEXT NOT NULL, signed_up_on DATE NOT NULL);
    CREATE TABLE subscriptions (
        id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), plan TEXT NOT NULL,
        monthly_price REAL NOT NULL, started_on DATE NOT NULL, cancelled_on DATE, cancel_reason TEXT);
    CREATE TABLE sales (
        id INTEGER PRIMARY KEY, customer_id INTEGER NOT NULL REFERENCES customers (id), product TEXT NOT NULL,
        quantity INTEGER NOT NULL, amount REAL NOT NULL, sold_on DATE NOT NULL);
    CREATE INDEX subscription_of ON subscriptions (customer_id);
    CREATE INDEX sale_of ON sales (customer_id);";

/// Writes a SQLite file with customers, subscriptions and sales, the same rows every time. A file that is there is replaced.
pub async fn write_sample_database(path: &Path) -> Result<(), Error> {
    let unusable = |error: sqlx::Error| Error::internal("the sample database could not be written", error);
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::internal_public("the demo's folder could not be made", error))?;
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Error::internal("the old sample database could not be removed", error));
    }
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.map_err(unusable)?;
    fill(&mut connection).await.map_err(unusable)?;
    connection.close().await.map_err(unusable)
}

async fn fill(connection: &mut SqliteConnection) -> Result<(), sqlx::Error> {
    let mut rows = connection.begin().await?;
    rows.execute(sqlx::raw_sql(CREATE_TABLES)).await?;
    rows.execute(sqlx::raw_sql(AssertSqlSafe(inserts()))).await?;
    rows.commit().await
}

/// The statements that add the rows, whose values are all from here and have no quotes in them.
fn inserts() -> String {
    let mut random = fastrand::Rng::with_seed(7);
    let pick = |random: &mut fastrand::Rng, list: &[&'static str]| random.choice(list).copied().unwrap_or_default();
    let quoted = |text: String| format!("'{text}'");
    let mut sql = String::new();
    for id in 1..=CUSTOMERS {
        let first = ["Ada", "Alan", "Grace", "Edsger", "Barbara", "Donald", "Radia", "Ken", "Margaret", "Linus"];
        let last = ["Moreau", "Silva", "Novak", "Okafor", "Larsen", "Rossi", "Haddad", "Tanaka", "Weber", "Doyle"];
        let name = format!("{} {} {id:03}", pick(&mut random, &first), pick(&mut random, &last));
        let signed_up = day(&mut random, 0, 700);
        let city = pick(&mut random, &["Lisbon", "Porto", "Madrid", "Paris", "Berlin", "Oslo"]);
        let segment = pick(&mut random, &["consumer", "small business", "enterprise"]);
        let (plan, price) = *random.choice(&[("basic", 9.0), ("plus", 19.0), ("pro", 49.0)]).unwrap_or(&("basic", 9.0));
        // Cheap plans are cancelled more often, so that there is something to find.
        let leaves = random.u8(..100) < if plan == "basic" { 34 } else { 12 };
        let cancelled = leaves.then(|| day(&mut random, 700, 900)).map_or("NULL".to_owned(), quoted);
        let reasons = ["price", "missing feature", "moved to a competitor", "no longer needed"];
        let reason = leaves.then(|| pick(&mut random, &reasons).to_owned()).map_or("NULL".to_owned(), quoted);
        sql += &format!(
            "INSERT INTO customers VALUES ({id}, '{name}', '{city}', '{segment}', '{signed_up}');
             INSERT INTO subscriptions VALUES ({id}, {id}, '{plan}', {price:?}, '{signed_up}', {cancelled}, {reason});"
        );
    }
    for id in 1..=SALES {
        let quantity = random.i64(1..=5);
        let (product, price) =
            *random.choice(&[("router", 79.0), ("cable", 12.5), ("camera", 149.0)]).unwrap_or(&("cable", 12.5));
        let (amount, customer) = (quantity as f64 * price, random.i64(1..=CUSTOMERS));
        let sold = day(&mut random, 365, 900);
        sql += &format!("INSERT INTO sales VALUES ({id}, {customer}, '{product}', {quantity}, {amount:?}, '{sold}');");
    }
    sql
}

/// A day from 2024-01-01 on, between two numbers of days after it.
fn day(random: &mut fastrand::Rng, from: i64, to: i64) -> String {
    let after = jiff::Span::new().try_days(random.i64(from..to)).unwrap_or_default();
    jiff::civil::date(2024, 1, 1).saturating_add(after).to_string()
}
