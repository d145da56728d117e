SELECT COUNT(*) AS orders, SUM(total) AS revenue FROM orders WHERE ordered_at >= '2024-01-01'
SELECT EXTRACT(YEAR_MONTH FROM ordered_at) AS month, SUM(total) FROM orders GROUP BY month ORDER BY month
SELECT EXTRACT(DAY_HOUR FROM ordered_at), EXTRACT(HOUR_MINUTE FROM ordered_at), EXTRACT(QUARTER FROM ordered_at) FROM orders
SELECT id MOD 2, (id + 1) MOD 3, MOD(id, 2), id % 2, id DIV 2 FROM orders
SELECT * FROM customers WHERE id MOD 2 = 1 AND id MOD (1 + 1) = 1
SELECT 'it\'s', 'a\\', 'x\n\ty', 'it''s', "double quoted"
SELECT name FROM customers WHERE name = 'O\'Brien' OR name LIKE '10\%' OR name LIKE 'x!%' ESCAPE '!'
SELECT DATE_ADD(ordered_at, INTERVAL '1:30' HOUR_MINUTE), DATE_SUB(ordered_at, INTERVAL '1-2' YEAR_MONTH), ordered_at + INTERVAL 1 QUARTER FROM orders
SHOW TABLES
SHOW FULL TABLES LIKE 'cust%'
SHOW COLUMNS FROM customers
SHOW FULL COLUMNS FROM orders WHERE Field = 'total'
SHOW DATABASES
SELECT DATE_FORMAT(ordered_at, '%Y-%m') AS month, GROUP_CONCAT(DISTINCT id ORDER BY id DESC SEPARATOR ', ') FROM orders GROUP BY month
SELECT c.city, AVG(o.total) AS average FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.city HAVING COUNT(*) > 1 ORDER BY average DESC
SELECT c.city, COUNT(*) FROM customers c GROUP BY c.city WITH ROLLUP
SELECT c.name, o.total, RANK() OVER (PARTITION BY c.city ORDER BY o.total DESC) FROM customers c JOIN orders o ON o.customer_id = c.id
SELECT total, LAG(total) OVER w, LEAD(total, 1) OVER w, NTILE(4) OVER w FROM orders WINDOW w AS (ORDER BY ordered_at)
SELECT SUM(total) OVER (PARTITION BY customer_id ORDER BY ordered_at ROWS BETWEEN 1 PRECEDING AND CURRENT ROW), AVG(total) OVER (ORDER BY ordered_at ROWS UNBOUNDED PRECEDING) FROM orders
SELECT PERCENTILE_CONT(0.5) WITHIN GROUP (ORDER BY total) OVER (PARTITION BY customer_id) FROM orders
WITH RECURSIVE chain AS (SELECT id, referred_by FROM customers WHERE referred_by IS NULL UNION ALL SELECT c.id, c.referred_by FROM customers c JOIN chain ON c.referred_by = chain.id) SELECT * FROM chain
WITH monthly AS (SELECT YEAR(ordered_at) AS y, MONTH(ordered_at) AS m, SUM(total) AS s FROM orders GROUP BY y, m) SELECT * FROM monthly
SELECT IF(total > 100, 'large', 'small'), IFNULL(total, 0), NULLIF(total, 0), COALESCE(total, 1), GREATEST(total, 2), LEAST(total, 3) FROM orders
SELECT CASE WHEN total > 100 THEN 'large' ELSE 'small' END AS size, COUNT(*) FROM orders GROUP BY size
SELECT JSON_EXTRACT(details, '$.tags[0]'), JSON_LENGTH(details, '$.tags'), JSON_KEYS(details) FROM customers
SELECT JSON_VALUE(details, '$.plan'), JSON_UNQUOTE(JSON_EXTRACT(details, '$.plan')), JSON_CONTAINS(details, '"pro"', '$.plan') FROM customers
SELECT j.tag FROM customers, JSON_TABLE(details, '$.tags[*]' COLUMNS (tag VARCHAR(20) PATH '$')) AS j
SELECT JSON_ARRAYAGG(name), JSON_OBJECTAGG(name, city) FROM customers
SELECT SUBSTRING_INDEX(name, ' ', 1), LEFT(name, 2), RIGHT(name, 2), LPAD(id, 5, '0'), CONCAT_WS('-', id, name), REPLACE(name, 'a', 'b'), REVERSE(name) FROM customers
SELECT TRIM(LEADING 'A' FROM name), UPPER(name), CHAR_LENGTH(name), LOCATE('a', name), INSTR(name, 'b'), FIELD(city, 'Lima', 'Lisbon'), FIND_IN_SET('a', 'a,b') FROM customers
SELECT name FROM customers WHERE name REGEXP '^a' OR name RLIKE 'b$' OR name NOT REGEXP 'c' OR name SOUNDS LIKE 'ann'
SELECT DATEDIFF(NOW(), ordered_at), TIMESTAMPDIFF(MONTH, ordered_at, NOW()), LAST_DAY(ordered_at), WEEKDAY(ordered_at), DAYNAME(ordered_at), YEARWEEK(ordered_at, 1), QUARTER(ordered_at) FROM orders
SELECT STR_TO_DATE('1.2.2024', '%d.%m.%Y'), UNIX_TIMESTAMP('2024-01-01'), FROM_UNIXTIME(0), MAKEDATE(2024, 32), SEC_TO_TIME(3700), CURDATE(), UTC_TIMESTAMP()
SELECT CAST(total AS SIGNED), CAST(total AS DECIMAL(10, 1)), CONVERT(total, CHAR), CONVERT(name USING utf8mb4), CAST('2024-01-01' AS DATE) FROM orders, customers LIMIT 3
SELECT a.name FROM customers a LEFT JOIN orders b ON b.customer_id = a.id WHERE b.id IS NULL
SELECT a.name FROM customers a STRAIGHT_JOIN orders b ON b.customer_id = a.id
SELECT o.id FROM orders o FORCE INDEX (PRIMARY) WHERE o.id > 0
SELECT `c`.`name` AS `the name` FROM `customers` AS `c` LIMIT 1, 2
SELECT * FROM orders WHERE id << 1 > 2 AND (id | 4) & 6 AND id ^ 1 AND NOT (id <=> NULL) AND (paid XOR 0)
SELECT name FROM customers WHERE (city, active) IN (('Lisbon', 1), ('Lima', 0)) OR EXISTS (SELECT 1 FROM orders WHERE customer_id = customers.id)
SELECT city FROM customers UNION SELECT city FROM customers EXCEPT SELECT 'Lima' ORDER BY 1
(SELECT name FROM customers LIMIT 1) UNION ALL (SELECT name FROM customers ORDER BY name DESC LIMIT 1)
SELECT STDDEV(total), VARIANCE(total), BIT_OR(id), COUNT(DISTINCT customer_id, paid) FROM orders
SELECT id, name, MATCH (name) AGAINST ('ann' IN NATURAL LANGUAGE MODE) AS score FROM customers ORDER BY score DESC
SELECT table_name, column_name, column_type FROM information_schema.columns WHERE table_schema = DATABASE() ORDER BY ordinal_position
SELECT table_name, table_rows FROM information_schema.tables WHERE table_schema = DATABASE()
SELECT HEX('a'), UNHEX('41'), CRC32('a'), SHA2('a', 256), CONV(10, 10, 2), BIN(5), INET_ATON('10.0.0.1'), ROUND(1.5), TRUNCATE(1.57, 1), RAND() < 2, UUID() IS NOT NULL
EXPLAIN FORMAT=JSON SELECT * FROM orders WHERE id = 1
EXPLAIN SELECT * FROM orders
SELECT COUNT(*) FROM customers WHERE city = :city AND id IN (:ids)
VALUES (1, 'one'), (2, 'two')
