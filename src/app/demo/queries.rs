/// Words that a question may hold, and the query on the sample database that the demo model writes for it.
const QUERIES: [(&[&str], &str); 7] = [
    (
        &["churn", "cancel", "attrition", "retention"],
        "SELECT plan, count(*) AS subscriptions, count(cancelled_on) AS cancelled,
    round(100.0 * count(cancelled_on) / count(*), 1) AS churn_percent
FROM subscriptions GROUP BY plan ORDER BY churn_percent DESC",
    ),
    (
        &["month", "trend"],
        "SELECT strftime('%Y-%m', sold_on) AS month, round(sum(amount), 2) AS revenue
FROM sales GROUP BY month ORDER BY month",
    ),
    (
        &["best", "top", "most"],
        "SELECT c.name, c.city, round(sum(s.amount), 2) AS revenue
FROM sales s JOIN customers c ON c.id = s.customer_id GROUP BY c.id ORDER BY revenue DESC LIMIT 10",
    ),
    (
        &["product", "sales", "revenue"],
        "SELECT product, sum(quantity) AS sold, round(sum(amount), 2) AS revenue
FROM sales GROUP BY product ORDER BY revenue DESC",
    ),
    (&["city", "cities"], "SELECT city, count(*) AS customers FROM customers GROUP BY city ORDER BY customers DESC"),
    (
        &["subscription", "plan"],
        "SELECT plan, count(*) AS subscriptions, sum(monthly_price) AS monthly_revenue
FROM subscriptions WHERE cancelled_on IS NULL GROUP BY plan ORDER BY plan",
    ),
    (&["customer"], "SELECT count(*) AS customers FROM customers"),
];

/// The query for a question; one about customers where nothing fits.
pub(super) fn query_for(question: &str) -> &'static str {
    let question = question.to_lowercase();
    let fits = |(words, _): &&(&[&str], &str)| words.iter().any(|word| question.contains(word));
    QUERIES.iter().find(fits).or(QUERIES.last()).map_or("SELECT 1", |(_, query)| query)
}
