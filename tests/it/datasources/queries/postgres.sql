SELECT count(*) AS orders, sum(total) AS revenue FROM orders WHERE ordered_at >= '2024-01-01'
SELECT date_trunc('month', ordered_at)::date AS month, count(*) FILTER (WHERE paid) AS paid, sum(total) FROM orders GROUP BY 1 ORDER BY 1
SELECT c.city, avg(o.total)::numeric(10, 2) AS average FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.city HAVING count(*) > 1 ORDER BY average DESC NULLS LAST
SELECT c.name, o.total, rank() OVER (PARTITION BY c.city ORDER BY o.total DESC) FROM customers c JOIN orders o ON o.customer_id = c.id
SELECT ordered_at, total, sum(total) OVER (ORDER BY ordered_at ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM orders
SELECT total, avg(total) OVER (ORDER BY total RANGE BETWEEN 10 PRECEDING AND 10 FOLLOWING EXCLUDE GROUP) FROM orders
SELECT total, count(*) OVER (ORDER BY total GROUPS 1 PRECEDING EXCLUDE TIES), count(*) OVER (ROWS 1 PRECEDING EXCLUDE NO OTHERS) FROM orders
WITH RECURSIVE chain(id, referred_by) AS (SELECT id, referred_by FROM customers WHERE referred_by IS NULL UNION ALL SELECT c.id, c.referred_by FROM customers c JOIN chain ON c.referred_by = chain.id) SEARCH DEPTH FIRST BY id SET ordering SELECT * FROM chain ORDER BY ordering
WITH RECURSIVE chain(id) AS (SELECT 1 UNION ALL SELECT c.id FROM customers c JOIN chain ON c.referred_by = chain.id) SEARCH BREADTH FIRST BY id SET ordering SELECT id FROM chain ORDER BY ordering
WITH RECURSIVE chain(id) AS (SELECT 1 UNION ALL SELECT c.referred_by FROM customers c JOIN chain ON c.id = chain.id) CYCLE id SET looped USING path SELECT * FROM chain
WITH RECURSIVE chain(id) AS (SELECT 1 UNION ALL SELECT c.referred_by FROM customers c JOIN chain ON c.id = chain.id) CYCLE id SET looped TO 'Y' DEFAULT 'N' USING path SELECT * FROM chain
TABLE customers
TABLE ONLY customers ORDER BY name LIMIT 2
WITH big AS (TABLE orders) TABLE big
SELECT * FROM (TABLE customers) everybody
SELECT * FROM ONLY customers
SELECT * FROM ONLY (orders) o JOIN ONLY public.customers c ON c.id = o.customer_id
SELECT xmlelement(name customer, xmlattributes(id AS key, city), name) FROM customers
SELECT xmlagg(xmlelement(NAME order, total) ORDER BY total) FROM orders
SELECT xmlforest(name AS who, city), xmlconcat('<a/>'::xml, '<b/>'::xml), xmlpi(name php, 'echo') FROM customers
SELECT xmlserialize(content xmlelement(name a, 1) AS text), xmlparse(document '<a/>'), xmlparse(content 'x<b/>')
SELECT (address).* FROM customers
SELECT (json_populate_record(null::place, details)).* FROM customers
SELECT (customers.address).city, (address).street FROM customers
SELECT (c).name, c.* FROM customers c
SELECT name FROM customers WHERE id BETWEEN SYMMETRIC 3 AND 1
SELECT name FROM customers WHERE id NOT BETWEEN ASYMMETRIC 5 AND 9
SHOW server_version
SHOW TIME ZONE
SHOW search_path
SHOW DateStyle
SHOW TRANSACTION ISOLATION LEVEL
SHOW server_encoding
SELECT city, count(*) FROM customers GROUP BY GROUPING SETS ((city), ()) ORDER BY grouping(city)
SELECT city, name, count(*) FROM customers GROUP BY ROLLUP (city, name)
SELECT city, count(*) FROM customers GROUP BY DISTINCT ROLLUP (city), CUBE (city)
SELECT DISTINCT ON (customer_id) customer_id, ordered_at FROM orders ORDER BY customer_id, ordered_at DESC
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY total), mode() WITHIN GROUP (ORDER BY paid) FROM orders
SELECT percentile_disc(ARRAY[0.25, 0.75]) WITHIN GROUP (ORDER BY total) FROM orders
SELECT string_agg(name, ', ' ORDER BY name), array_agg(DISTINCT city), bool_or(active), every(active) FROM customers
SELECT jsonb_object_agg(name, city), json_agg(row_to_json(customers)) FROM customers
SELECT details->>'plan', details->'tags'->0, details #>> '{tags,0}' FROM customers WHERE details::jsonb @> '{"plan": "pro"}'
SELECT e.key, e.value FROM customers, json_each_text(details) AS e(key, value)
SELECT t.tag FROM customers c, jsonb_array_elements_text(c.details::jsonb->'tags') AS t(tag)
SELECT jsonb_path_query(details::jsonb, '$.tags[*] ? (@ starts with "a")') FROM customers
SELECT c.name, latest.total FROM customers c LEFT JOIN LATERAL (SELECT total FROM orders o WHERE o.customer_id = c.id ORDER BY ordered_at DESC LIMIT 1) latest ON true
SELECT d::date, coalesce(sum(o.total), 0) FROM generate_series('2024-01-01'::date, '2024-01-07', interval '1 day') AS d LEFT JOIN orders o ON o.ordered_at::date = d::date GROUP BY d
SELECT date_bin('15 minutes', ordered_at, TIMESTAMP '2024-01-01') AS slot, count(*) FROM orders GROUP BY slot
SELECT extract(dow FROM ordered_at), date_part('week', ordered_at), to_char(ordered_at, 'YYYY-MM'), age(now(), ordered_at) FROM orders
SELECT ordered_at AT TIME ZONE 'Europe/Prague', ordered_at + interval '1 month' * 2, make_interval(days => 3) FROM orders
SELECT width_bucket(total, 0, 100, 10) AS bucket, count(*), min(total), max(total) FROM orders GROUP BY bucket ORDER BY bucket
SELECT corr(total, id), regr_slope(total, id), stddev_samp(total), var_pop(total) FROM orders
SELECT lag(total, 1, 0) OVER w, lead(total) OVER w, first_value(total) OVER w, nth_value(total, 2) OVER w, ntile(4) OVER w FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY ordered_at)
SELECT total - lag(total) OVER (ORDER BY ordered_at) AS change, round(100.0 * total / sum(total) OVER (), 1) AS share FROM orders
SELECT name FROM customers WHERE name ILIKE 'a%' OR name ~* '^b' OR name SIMILAR TO '(c|d)%' OR name NOT LIKE '%z'
SELECT left(name, 2), right(name, 2), split_part(name, ' ', 1), initcap(name), regexp_replace(name, '\s+', '-', 'g'), md5(name) FROM customers
SELECT substring(name FROM 1 FOR 2), position('a' IN name), overlay(name PLACING 'x' FROM 1 FOR 1), trim(BOTH ' ' FROM name) FROM customers
SELECT id FROM customers EXCEPT SELECT customer_id FROM orders
SELECT city FROM customers UNION ALL (SELECT city FROM customers ORDER BY city LIMIT 1) ORDER BY city
SELECT name FROM customers WHERE EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id AND total > ALL (SELECT total FROM orders WHERE NOT paid))
SELECT name FROM customers WHERE (city, active) IN (VALUES ('Lisbon', true), ('Lima', false))
SELECT v.label, count(*) FROM orders JOIN (VALUES (0, 50, 'small'), (50, 1000, 'large')) AS v(low, high, label) ON total >= low AND total < high GROUP BY v.label
SELECT CASE WHEN total > 100 THEN 'large' WHEN total IS NULL THEN 'unknown' ELSE 'small' END, greatest(total, 10), nullif(total, 0) FROM orders
SELECT * FROM orders TABLESAMPLE BERNOULLI (50) REPEATABLE (1)
SELECT * FROM customers ORDER BY name COLLATE "C" FETCH FIRST 2 ROWS WITH TIES
SELECT * FROM customers JOIN orders ON orders.customer_id = customers.id JOIN places USING (city) AS p
SELECT to_tsvector('english', name) @@ to_tsquery('ann | bob'), ts_rank(to_tsvector(name), plainto_tsquery('ann')) FROM customers
SELECT ARRAY(SELECT id FROM customers ORDER BY id), ARRAY[1, 2] || 3, '{1,2,3}'::int[], (ARRAY[1,2,3])[2:3], cardinality(ARRAY[1])
SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'public' ORDER BY ordinal_position
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), col_description(c.oid, a.attnum) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public'
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'orders'::regclass
SELECT pg_size_pretty(pg_total_relation_size('orders')), pg_typeof(1), pg_get_viewdef('big_orders'::regclass)
SELECT relname, n_live_tup FROM pg_stat_user_tables
SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'orders'
SELECT e.enumlabel FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
SELECT gen_random_uuid(), random() < 2, clock_timestamp() > now() - interval '1 hour', current_user, current_date, version()
SELECT "Total €" FROM big_orders
SELECT E'it\'s', $$it's$$, $q$a $$ b$q$, U&'\0061', B'101', X'1f', N'x'
EXPLAIN (FORMAT json, COSTS off) SELECT * FROM orders WHERE id = 1
EXPLAIN SELECT count(*) FROM orders
VALUES (1, 'one'), (2, 'two')
SELECT count(*) FROM customers WHERE city = :city
SELECT id FROM customers WHERE id = ANY(:ids) AND created_at::date >= :since::date
WITH cohort AS MATERIALIZED (SELECT customer_id, min(date_trunc('month', ordered_at)) AS first FROM orders GROUP BY customer_id), months AS NOT MATERIALIZED (SELECT customer_id, date_trunc('month', ordered_at) AS month FROM orders) SELECT first, month, count(DISTINCT months.customer_id) FROM cohort JOIN months USING (customer_id) GROUP BY first, month ORDER BY 1, 2
