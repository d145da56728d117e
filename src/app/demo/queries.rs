/// Words that a question may hold, and the query on the sample database that the demo model writes for it.
const QUERIES: [(&[&str], &str); 8] = [
    (
        &["gekündigt", "kündigung", "have cancelled", "customers cancelled", "han cancelado", "ont résilié"],
        "SELECT count(DISTINCT customer_id) AS cancelled_customers
FROM subscriptions WHERE cancelled_on IS NOT NULL",
    ),
    (
        &["churn", "cancel", "attrition", "customer retention"],
        "SELECT plan, count(*) AS subscriptions, count(cancelled_on) AS cancelled,
    round(100.0 * count(cancelled_on) / count(*), 1) AS churn_percent
FROM subscriptions GROUP BY plan ORDER BY churn_percent DESC",
    ),
    (
        &["month", "trend", "monat"],
        "SELECT strftime('%Y-%m', sold_on) AS month, round(sum(amount), 2) AS revenue
FROM sales GROUP BY month ORDER BY month",
    ),
    (
        &["best", "top", "most"],
        "SELECT c.name, c.city, round(sum(s.amount), 2) AS revenue
FROM sales s JOIN customers c ON c.id = s.customer_id GROUP BY c.id ORDER BY revenue DESC LIMIT 10",
    ),
    (
        &["product", "sales", "revenue", "umsatz"],
        "SELECT product, sum(quantity) AS sold, round(sum(amount), 2) AS revenue
FROM sales GROUP BY product ORDER BY revenue DESC",
    ),
    (
        &["city", "cities", "stadt", "städte"],
        "SELECT city, count(*) AS customers FROM customers GROUP BY city ORDER BY customers DESC",
    ),
    (
        &["subscription", "subscriber", "plan", "abonnent"],
        "SELECT plan, count(*) AS subscribers, sum(monthly_price) AS monthly_revenue
FROM subscriptions WHERE cancelled_on IS NULL GROUP BY plan ORDER BY plan",
    ),
    (&["customer", "kunde"], "SELECT count(*) AS customers FROM customers"),
];

/// Whether a question is about what the sample database holds: it has a word that begins like one of those, and not only a superlative.
pub(super) fn is_about_shop(question: &str) -> bool {
    let question = question.to_lowercase();
    let has = |word: &&&str| {
        let mut places = question.match_indices(**word).filter_map(|(at, _)| question.get(..at));
        places.any(|before| !before.ends_with(char::is_alphanumeric))
    };
    let words = QUERIES.iter().flat_map(|(words, _)| words.iter());
    words.filter(|word| !["best", "top", "most"].contains(word)).any(|word| has(&word))
}

/// The query for a question; one about customers where nothing fits.
pub(super) fn query_for(question: &str) -> &'static str {
    let question = question.to_lowercase();
    let fits = |(words, _): &&(&[&str], &str)| words.iter().any(|word| question.contains(word));
    QUERIES.iter().find(fits).or(QUERIES.last()).map_or("SELECT 1", |(_, query)| query)
}
