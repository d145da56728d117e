-- A company's database: 30 tables with comments, as somebody would connect it. The tests fill a few rows into each.

CREATE TYPE invoice_status AS ENUM ('draft', 'sent', 'paid', 'cancelled');
CREATE TYPE order_status AS ENUM ('new', 'confirmed', 'shipped', 'delivered', 'cancelled');
CREATE TYPE ticket_priority AS ENUM ('low', 'normal', 'high', 'urgent');

CREATE TABLE departments (
    id integer PRIMARY KEY, name text NOT NULL, cost_center text NOT NULL);
COMMENT ON TABLE departments IS 'Departments of the company';

CREATE TABLE employees (
    id integer PRIMARY KEY, department_id integer NOT NULL REFERENCES departments (id), first_name text NOT NULL,
    last_name text NOT NULL, email text NOT NULL, job_title text NOT NULL, hired_on date NOT NULL, left_on date,
    manager_id integer REFERENCES employees (id));
COMMENT ON TABLE employees IS 'People who work or worked here';
COMMENT ON COLUMN employees.left_on IS 'Last day; null while employed';

CREATE TABLE salaries (
    id integer PRIMARY KEY, employee_id integer NOT NULL REFERENCES employees (id), monthly_gross numeric(10, 2) NOT NULL,
    valid_from date NOT NULL);
COMMENT ON TABLE salaries IS 'Monthly gross pay of employees';

CREATE TABLE absences (
    id integer PRIMARY KEY, employee_id integer NOT NULL REFERENCES employees (id), kind text NOT NULL, starts_on date NOT NULL,
    ends_on date NOT NULL);
COMMENT ON TABLE absences IS 'Vacation and sick leave of employees';

CREATE TABLE customers (
    id integer PRIMARY KEY, name text NOT NULL, country text NOT NULL, city text NOT NULL, segment text NOT NULL,
    credit_limit numeric(12, 2), created_on date NOT NULL);
COMMENT ON TABLE customers IS 'Companies and people who buy from us';
COMMENT ON COLUMN customers.segment IS 'enterprise, mid-market or small';

CREATE TABLE contacts (
    id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), full_name text NOT NULL, phone text, email text);
COMMENT ON TABLE contacts IS 'People to talk to at a customer';

CREATE TABLE addresses (
    id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), street text NOT NULL, postal_code text NOT NULL,
    city text NOT NULL, country text NOT NULL, is_billing boolean NOT NULL);
COMMENT ON TABLE addresses IS 'Delivery and billing addresses';

CREATE TABLE product_categories (
    id integer PRIMARY KEY, name text NOT NULL, parent_id integer REFERENCES product_categories (id));
COMMENT ON TABLE product_categories IS 'Groups of articles';

CREATE TABLE products (
    id integer PRIMARY KEY, category_id integer REFERENCES product_categories (id), sku text NOT NULL, name text NOT NULL,
    list_price numeric(10, 2) NOT NULL, is_discontinued boolean NOT NULL DEFAULT false);
COMMENT ON TABLE products IS 'Articles that we sell';
COMMENT ON COLUMN products.sku IS 'Stock keeping unit';

CREATE TABLE warehouses (
    id integer PRIMARY KEY, name text NOT NULL, city text NOT NULL, capacity_pallets integer NOT NULL);
COMMENT ON TABLE warehouses IS 'Where goods are stored';

CREATE TABLE stock_levels (
    warehouse_id integer NOT NULL REFERENCES warehouses (id), product_id integer NOT NULL REFERENCES products (id),
    quantity integer NOT NULL, reorder_point integer NOT NULL, PRIMARY KEY (warehouse_id, product_id));
COMMENT ON TABLE stock_levels IS 'Quantity of each product on hand in each warehouse';

CREATE TABLE suppliers (
    id integer PRIMARY KEY, name text NOT NULL, country text NOT NULL, rating integer, lead_time_days integer);
COMMENT ON TABLE suppliers IS 'Vendors that we buy from';

CREATE TABLE purchase_orders (
    id integer PRIMARY KEY, supplier_id integer NOT NULL REFERENCES suppliers (id), ordered_on date NOT NULL, expected_on date,
    received_on date, total numeric(12, 2) NOT NULL);
COMMENT ON TABLE purchase_orders IS 'What we have ordered from suppliers';

CREATE TABLE purchase_order_lines (
    id integer PRIMARY KEY, purchase_order_id integer NOT NULL REFERENCES purchase_orders (id),
    product_id integer NOT NULL REFERENCES products (id), quantity integer NOT NULL, unit_cost numeric(10, 2) NOT NULL);

CREATE TABLE orders (
    id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), ordered_on date NOT NULL,
    status order_status NOT NULL, sales_rep_id integer REFERENCES employees (id), total numeric(12, 2) NOT NULL);
COMMENT ON TABLE orders IS 'Sales orders of customers';

CREATE TABLE order_lines (
    id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id), product_id integer NOT NULL REFERENCES products (id),
    quantity integer NOT NULL, unit_price numeric(10, 2) NOT NULL, discount_percent numeric(4, 1) NOT NULL DEFAULT 0);

CREATE TABLE carriers (
    id integer PRIMARY KEY, name text NOT NULL, tracking_url text);
COMMENT ON TABLE carriers IS 'Companies that deliver parcels';

CREATE TABLE shipments (
    id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id), carrier_id integer NOT NULL REFERENCES carriers (id),
    shipped_on date NOT NULL, delivered_on date, tracking_number text);
COMMENT ON TABLE shipments IS 'Deliveries to customers';

CREATE TABLE returns (
    id integer PRIMARY KEY, order_id integer NOT NULL REFERENCES orders (id), product_id integer NOT NULL REFERENCES products (id),
    quantity integer NOT NULL, reason text NOT NULL, returned_on date NOT NULL);
COMMENT ON TABLE returns IS 'Goods that customers have sent back';

CREATE TABLE invoices (
    id integer PRIMARY KEY, order_id integer REFERENCES orders (id), customer_id integer NOT NULL REFERENCES customers (id),
    number text NOT NULL, issued_on date NOT NULL, due_on date NOT NULL, status invoice_status NOT NULL,
    total numeric(12, 2) NOT NULL, currency char(3) NOT NULL DEFAULT 'EUR');
COMMENT ON TABLE invoices IS 'Bills to customers; overdue when due_on has passed and status is sent';

CREATE TABLE invoice_lines (
    id integer PRIMARY KEY, invoice_id integer NOT NULL REFERENCES invoices (id), description text NOT NULL,
    quantity integer NOT NULL, amount numeric(12, 2) NOT NULL);

CREATE TABLE payments (
    id integer PRIMARY KEY, invoice_id integer NOT NULL REFERENCES invoices (id), paid_on date NOT NULL,
    amount numeric(12, 2) NOT NULL, method text NOT NULL);
COMMENT ON TABLE payments IS 'Money received for invoices';

CREATE TABLE refunds (
    id integer PRIMARY KEY, payment_id integer NOT NULL REFERENCES payments (id), refunded_on date NOT NULL,
    amount numeric(12, 2) NOT NULL, reason text);
COMMENT ON TABLE refunds IS 'Money given back to customers';

CREATE TABLE discounts (
    code text PRIMARY KEY, percent numeric(4, 1) NOT NULL, valid_until date, used integer NOT NULL DEFAULT 0);
COMMENT ON TABLE discounts IS 'Voucher codes';

CREATE TABLE contracts (
    id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), starts_on date NOT NULL, ends_on date,
    notice_days integer NOT NULL, annual_value numeric(12, 2) NOT NULL);
COMMENT ON TABLE contracts IS 'Framework agreements with customers';

CREATE TABLE subscriptions (
    id integer PRIMARY KEY, customer_id integer NOT NULL REFERENCES customers (id), plan text NOT NULL,
    monthly_price numeric(8, 2) NOT NULL, started_on date NOT NULL, cancelled_on date);
COMMENT ON TABLE subscriptions IS 'Recurring plans of customers';

CREATE TABLE tickets (
    id integer PRIMARY KEY, customer_id integer REFERENCES customers (id), subject text NOT NULL, priority ticket_priority NOT NULL,
    opened_on date NOT NULL, closed_on date, assignee_id integer REFERENCES employees (id));
COMMENT ON TABLE tickets IS 'Support requests';

CREATE TABLE ticket_messages (
    id integer PRIMARY KEY, ticket_id integer NOT NULL REFERENCES tickets (id), author text NOT NULL, body text NOT NULL,
    written_at timestamptz NOT NULL);

CREATE TABLE projects (
    id integer PRIMARY KEY, name text NOT NULL, customer_id integer REFERENCES customers (id), budget numeric(12, 2), deadline date);
COMMENT ON TABLE projects IS 'Work for customers with a budget';

CREATE TABLE time_entries (
    id integer PRIMARY KEY, project_id integer NOT NULL REFERENCES projects (id), employee_id integer NOT NULL REFERENCES employees (id),
    worked_on date NOT NULL, hours numeric(4, 2) NOT NULL, is_billable boolean NOT NULL);
COMMENT ON TABLE time_entries IS 'Hours that employees have booked on projects';

INSERT INTO departments VALUES (1, 'Marketing', 'M10'), (2, 'Sales', 'S20'), (3, 'Support', 'U30');
INSERT INTO employees VALUES
    (1, 1, 'Ada', 'Brandt', 'ada@example.com', 'Head of marketing', '2019-03-01', NULL, NULL),
    (2, 2, 'Ben', 'Cruz', 'ben@example.com', 'Account manager', '2020-06-15', NULL, 1),
    (3, 3, 'Cleo', 'Diaz', 'cleo@example.com', 'Agent', '2021-01-10', '2026-03-31', 1);
INSERT INTO salaries VALUES (1, 1, 6000, '2026-01-01'), (2, 2, 4500, '2026-01-01'), (3, 3, 3200, '2025-01-01');
INSERT INTO absences VALUES (1, 1, 'vacation', '2026-07-01', '2026-07-14'), (2, 2, 'sick', '2026-02-03', '2026-02-05');
INSERT INTO customers VALUES
    (1, 'Alpha GmbH', 'Germany', 'Berlin', 'enterprise', 50000, '2021-05-01'),
    (2, 'Beta SL', 'Spain', 'Madrid', 'small', 5000, '2022-02-01'),
    (3, 'Gamma Ltd', 'Ireland', 'Dublin', 'mid-market', 20000, '2023-08-01');
INSERT INTO contacts VALUES (1, 1, 'Eva Falk', '+49 30 1', 'eva@example.com');
INSERT INTO addresses VALUES (1, 1, 'Ring 1', '10115', 'Berlin', 'Germany', true);
INSERT INTO product_categories VALUES (1, 'Furniture', NULL), (2, 'Chairs', 1);
INSERT INTO products VALUES (17, 2, 'CH-17', 'Office chair', 149, false), (18, 1, 'DE-18', 'Desk', 399, false);
INSERT INTO warehouses VALUES (1, 'North', 'Hamburg', 400), (2, 'South', 'Munich', 250);
INSERT INTO stock_levels VALUES (1, 17, 12, 5), (2, 17, 0, 5), (1, 18, 3, 4);
INSERT INTO suppliers VALUES (1, 'Wood & Co', 'Poland', 4, 21), (2, 'Steel Inc', 'Italy', 3, 30);
INSERT INTO purchase_orders VALUES (1, 1, '2026-09-01', '2026-09-22', NULL, 8000);
INSERT INTO purchase_order_lines VALUES (1, 1, 17, 100, 80);
INSERT INTO orders VALUES (1, 1, '2026-10-02', 'delivered', 2, 1490), (2, 2, '2026-11-05', 'shipped', 2, 399), (3, 3, '2026-11-20', 'new', 2, 798);
INSERT INTO order_lines VALUES (1, 1, 17, 10, 149, 0), (2, 2, 18, 1, 399, 0), (3, 3, 18, 2, 399, 5);
INSERT INTO carriers VALUES (1, 'Parcel AG', NULL);
INSERT INTO shipments VALUES (1, 1, 1, '2026-10-04', '2026-10-06', 'P1'), (2, 2, 1, '2026-11-07', NULL, 'P2');
INSERT INTO returns VALUES (1, 1, 17, 1, 'damaged', '2026-10-20');
INSERT INTO invoices VALUES
    (1, 1, 1, 'R-1', '2026-10-06', '2026-11-05', 'sent', 1490, 'EUR'), (2, 2, 2, 'R-2', '2026-11-07', '2026-11-21', 'sent', 399, 'EUR'),
    (3, NULL, 3, 'R-3', '2026-08-01', '2026-08-31', 'paid', 250, 'EUR');
INSERT INTO invoice_lines VALUES (1, 1, 'Office chair', 10, 1490);
INSERT INTO payments VALUES (1, 3, '2026-08-20', 250, 'bank transfer');
INSERT INTO refunds VALUES (1, 1, '2026-09-01', 50, 'late delivery');
INSERT INTO discounts VALUES ('SPRING', 10, '2026-05-31', 41);
INSERT INTO contracts VALUES (1, 1, '2025-01-01', '2026-12-31', 90, 24000);
INSERT INTO subscriptions VALUES (1, 1, 'pro', 49, '2025-01-01', NULL), (2, 2, 'basic', 9, '2025-06-01', '2026-04-01');
INSERT INTO tickets VALUES (1, 1, 'Chair squeaks', 'high', '2026-11-01', NULL, 3), (2, 2, 'Wrong colour', 'low', '2026-10-01', '2026-10-03', 3);
INSERT INTO ticket_messages VALUES (1, 1, 'Eva Falk', 'It squeaks.', '2026-11-01 09:00+00');
INSERT INTO projects VALUES (1, 'Showroom', 1, 20000, '2026-12-20');
INSERT INTO time_entries VALUES (1, 1, 2, '2026-11-10', 6.5, true);
ANALYZE;
