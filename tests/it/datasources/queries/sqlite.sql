SELECT count(*) AS orders, sum(total) AS revenue FROM orders WHERE ordered_at >= '2024-01-01'
SELECT * FROM orders INDEXED BY by_customer WHERE customer_id = 1
SELECT c.name, o.total FROM customers AS c NOT INDEXED JOIN orders AS o INDEXED BY by_customer ON o.customer_id = c.id
SELECT name FROM customers WHERE city IS NOT 'Lima' AND city IS 'Lisbon'
SELECT referred_by IS id, referred_by IS NOT id, referred_by IS NULL, active IS TRUE, id IS NOT DISTINCT FROM 1 FROM customers
SELECT 1 << 4, id >> 1, id | 8, id & 1, ~id FROM orders
SELECT name FROM customers WHERE (id << 1) > 2 AND city IN (SELECT city FROM places)
SELECT name FROM customers WHERE id IN (1, 2) AND city IN places_by_name
SELECT strftime('%Y-%m', ordered_at) AS month, sum(total), count(*) FILTER (WHERE paid) FROM orders GROUP BY month ORDER BY month
SELECT julianday('2024-02-01') - julianday(ordered_at), date(ordered_at, 'start of month', '+1 month'), unixepoch(ordered_at) FROM orders
SELECT c.city, round(avg(o.total), 2) AS average FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.city HAVING count(*) > 1 ORDER BY average DESC NULLS LAST
SELECT c.name, o.total, rank() OVER (PARTITION BY c.city ORDER BY o.total DESC) FROM customers c JOIN orders o ON o.customer_id = c.id
SELECT total, sum(total) OVER (ORDER BY ordered_at ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW) FROM orders
SELECT total, sum(total) OVER (ORDER BY total GROUPS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING EXCLUDE TIES) FROM orders
SELECT lag(total, 1, 0) OVER w, lead(total) OVER w, first_value(total) OVER w, ntile(4) OVER w, cume_dist() OVER w FROM orders WINDOW w AS (PARTITION BY customer_id ORDER BY ordered_at)
WITH RECURSIVE chain(id) AS (SELECT id FROM customers WHERE referred_by IS NULL UNION ALL SELECT c.id FROM customers c JOIN chain ON c.referred_by = chain.id) SELECT * FROM chain
WITH RECURSIVE days(d) AS (VALUES ('2024-01-01') UNION ALL SELECT date(d, '+1 day') FROM days LIMIT 7) SELECT d, coalesce(sum(total), 0) FROM days LEFT JOIN orders ON date(ordered_at) = d GROUP BY d
WITH big AS MATERIALIZED (SELECT * FROM orders WHERE total > 50), small AS NOT MATERIALIZED (SELECT * FROM orders WHERE total <= 50) SELECT (SELECT count(*) FROM big), (SELECT count(*) FROM small)
SELECT group_concat(name, ', '), total(active), json_group_array(city), json_group_object(name, city) FROM customers
SELECT details ->> '$.plan', details -> 'tags', json_extract(details, '$.tags[0]'), json_array_length(details, '$.tags') FROM customers
SELECT c.name, t.value FROM customers c, json_each(c.details, '$.tags') AS t WHERE t.value <> ''
SELECT fullkey, atom FROM customers, json_tree(customers.details) WHERE atom IS NOT NULL
SELECT name FROM customers WHERE name GLOB 'A*' OR name NOT GLOB 'B*' OR name LIKE '10\%' ESCAPE '\' OR name NOT LIKE 'z%'
SELECT upper(name), substr(name, 1, 2), instr(name, 'a'), replace(name, 'a', 'b'), trim(name, 'A'), printf('%05d', id), length(name), hex(name), unicode(name), quote(name) FROM customers
SELECT CASE WHEN total > 100 THEN 'large' ELSE 'small' END AS size, count(*) FROM orders GROUP BY size
SELECT iif(paid, 'yes', 'no'), ifnull(total, 0), nullif(total, 0), coalesce(total, 1), max(total, 2), min(total, 3), abs(total), typeof(total) FROM orders
SELECT CAST(total AS INTEGER), CAST(total AS DECIMAL(10, 2)), total * 1.0 / 3, total % 7, -total, total || '', total == 1, total <> 1 FROM orders
SELECT [name], "city", `active` FROM [customers] ORDER BY name COLLATE NOCASE DESC LIMIT 5, 2
SELECT name FROM customers WHERE (city, active) = ('Lisbon', 1) OR (id, 1) IN (SELECT customer_id, paid FROM orders)
SELECT a.name FROM customers a LEFT JOIN orders b ON b.customer_id = a.id WHERE b.id IS NULL
SELECT * FROM customers NATURAL JOIN places
SELECT * FROM customers FULL OUTER JOIN places USING (city)
SELECT city FROM customers UNION SELECT city FROM places EXCEPT SELECT 'Lima' INTERSECT SELECT 'Lisbon'
SELECT DISTINCT city FROM customers WHERE active AND NOT (referred_by NOTNULL) ORDER BY 1
SELECT max(total), id FROM orders
SELECT rowid, oid, _rowid_ FROM customers WHERE rowid > 0
SELECT count(DISTINCT customer_id), avg(total), sum(total) / count(*) FROM orders WHERE ordered_at BETWEEN '2024-01-01' AND '2024-12-31'
SELECT name, sql FROM sqlite_schema WHERE type = 'table'
SELECT name, type, pk FROM pragma_table_info('orders')
SELECT "from", "table" FROM pragma_foreign_key_list('orders')
SELECT (SELECT max(total) FROM orders o WHERE o.customer_id = c.id) AS top FROM customers c
SELECT EXISTS (SELECT 1 FROM orders WHERE NOT paid), random() IS NOT NULL, sqlite_version(), CURRENT_DATE, x'1f', 0x1F, 1e3, .5
EXPLAIN QUERY PLAN SELECT * FROM orders WHERE id = 1
VALUES (1, 'one'), (2, 'two')
SELECT count(*) FROM customers WHERE city = :city AND id IN (:ids)
SELECT value FROM json_each(:list)
