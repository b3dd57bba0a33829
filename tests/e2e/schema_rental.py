"""A schema of some size, and what became of it a year later: for test_autogenerate.py. The roles app and other are there."""

RENTAL = r"""
CREATE SCHEMA audit;
CREATE EXTENSION citext;
CREATE TYPE rating AS ENUM ('G', 'PG', 'R');
CREATE DOMAIN year AS integer CONSTRAINT year_check CHECK (VALUE BETWEEN 1901 AND 2155);
CREATE TYPE money_of AS (amount numeric(8,2), currency char(3));

CREATE TABLE language (language_id serial PRIMARY KEY, name char(20) NOT NULL, last_update timestamptz DEFAULT now() NOT NULL);
CREATE TABLE film (
    film_id serial PRIMARY KEY, title varchar(255) NOT NULL, description text, release_year year,
    language_id integer NOT NULL REFERENCES language ON UPDATE CASCADE ON DELETE RESTRICT,
    original_language_id smallint, rental_duration smallint DEFAULT 3 NOT NULL, rental_rate numeric(4,2) DEFAULT 4.99 NOT NULL,
    length smallint, replacement_cost numeric(5,2) DEFAULT 19.99 NOT NULL, rating rating DEFAULT 'G', special_features text[],
    fulltext tsvector, last_update timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT film_length_check CHECK (length > 0 AND length BETWEEN 1 AND 600));
CREATE INDEX film_fulltext_idx ON film USING gist (fulltext);
CREATE INDEX idx_title ON film (title);
CREATE TABLE actor (actor_id serial PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL);
CREATE INDEX idx_actor_last_name ON actor (last_name);
CREATE TABLE film_actor (actor_id integer REFERENCES actor, film_id integer REFERENCES film, PRIMARY KEY (actor_id, film_id));
CREATE TABLE category (category_id serial PRIMARY KEY, name varchar(25) NOT NULL UNIQUE);
CREATE TABLE film_category (film_id integer REFERENCES film, category_id integer REFERENCES category, PRIMARY KEY (film_id, category_id));
CREATE TABLE store (store_id serial PRIMARY KEY, manager_staff_id integer NOT NULL);
CREATE TABLE staff (staff_id serial PRIMARY KEY, store_id integer NOT NULL REFERENCES store, email citext UNIQUE, active boolean DEFAULT true NOT NULL, picture bytea);
ALTER TABLE store ADD CONSTRAINT store_manager_fkey FOREIGN KEY (manager_staff_id) REFERENCES staff DEFERRABLE INITIALLY DEFERRED;
CREATE TABLE customer (customer_id serial PRIMARY KEY, store_id integer NOT NULL REFERENCES store, email varchar(50),
    status varchar(10) DEFAULT 'new' CHECK (status IN ('new', 'good', 'bad')), create_date date DEFAULT CURRENT_DATE NOT NULL);
CREATE TABLE inventory (inventory_id serial PRIMARY KEY, film_id integer NOT NULL REFERENCES film, store_id integer NOT NULL REFERENCES store);
CREATE TABLE rental (rental_id serial PRIMARY KEY, rental_date timestamptz NOT NULL, inventory_id integer NOT NULL REFERENCES inventory,
    customer_id integer NOT NULL REFERENCES customer, return_date timestamptz, staff_id integer NOT NULL REFERENCES staff);
CREATE UNIQUE INDEX rental_unique ON rental (rental_date, inventory_id, customer_id);
CREATE TABLE payment (payment_id bigint GENERATED ALWAYS AS IDENTITY, customer_id integer NOT NULL REFERENCES customer,
    amount numeric(5,2) NOT NULL, payment_date timestamptz NOT NULL, PRIMARY KEY (payment_date, payment_id)) PARTITION BY RANGE (payment_date);
CREATE TABLE payment_p2022_01 PARTITION OF payment FOR VALUES FROM ('2022-01-01 00:00+00') TO ('2022-02-01 00:00+00');
CREATE TABLE payment_p2022_02 PARTITION OF payment FOR VALUES FROM ('2022-02-01 00:00+00') TO ('2022-03-01 00:00+00');
CREATE INDEX ON payment (customer_id);
CREATE TABLE audit.log (at timestamptz DEFAULT now() NOT NULL, who name DEFAULT current_user NOT NULL, what jsonb) WITH (fillfactor = 100);

CREATE FUNCTION _group_concat(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
SELECT CASE WHEN $2 IS NULL THEN $1 WHEN $1 IS NULL THEN $2 ELSE $1 || ', ' || $2 END $$;
CREATE AGGREGATE group_concat(text) (SFUNC = _group_concat, STYPE = text);
CREATE FUNCTION inventory_in_stock(p_inventory_id integer) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_out integer;
BEGIN
    SELECT count(*) INTO v_out FROM rental WHERE inventory_id = p_inventory_id AND return_date IS NULL;
    RETURN v_out = 0;
END $$;
CREATE FUNCTION film_in_stock(p_film_id integer, OUT p_film_count integer) RETURNS SETOF integer LANGUAGE sql AS $$
SELECT inventory_id FROM inventory WHERE film_id = $1 AND inventory_in_stock(inventory_id) $$;
CREATE FUNCTION last_updated() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.last_update = now(); RETURN NEW; END';
CREATE TRIGGER last_updated BEFORE UPDATE ON film FOR EACH ROW EXECUTE FUNCTION last_updated();
CREATE TRIGGER film_fulltext_trigger BEFORE INSERT OR UPDATE ON film FOR EACH ROW
    EXECUTE FUNCTION tsvector_update_trigger('fulltext', 'pg_catalog.english', 'title', 'description');
CREATE PROCEDURE audit.note(what jsonb) LANGUAGE sql BEGIN ATOMIC INSERT INTO audit.log (what) VALUES (what); END;

CREATE VIEW film_list AS SELECT film.film_id AS fid, film.title, category.name AS category, group_concat(actor.first_name || ' ' || actor.last_name) AS actors
    FROM category LEFT JOIN film_category USING (category_id) LEFT JOIN film USING (film_id) JOIN film_actor USING (film_id) JOIN actor USING (actor_id)
    GROUP BY film.film_id, film.title, category.name;
CREATE VIEW sales AS SELECT c.store_id, sum(p.amount) AS total FROM payment p JOIN customer c USING (customer_id) GROUP BY c.store_id;
CREATE MATERIALIZED VIEW sales_by_store AS SELECT store_id, total FROM sales WITH DATA;
CREATE UNIQUE INDEX sales_by_store_idx ON sales_by_store (store_id);
CREATE RULE no_delete AS ON DELETE TO audit.log DO INSTEAD NOTHING;
ALTER TABLE customer ENABLE ROW LEVEL SECURITY;
CREATE POLICY customer_own ON customer FOR SELECT TO app USING (email = current_user);
COMMENT ON TABLE film IS 'What is rented';
COMMENT ON COLUMN film.rating IS 'Who may see it';
COMMENT ON FUNCTION film_in_stock(integer) IS 'Where it is';
GRANT SELECT ON film, actor, language TO app;
GRANT SELECT, INSERT, UPDATE ON rental TO app WITH GRANT OPTION;
GRANT USAGE ON SCHEMA audit TO other;
GRANT EXECUTE ON PROCEDURE audit.note(jsonb) TO other;
"""


def _later(text, *changes):
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


RENTAL_LATER = _later(
    RENTAL,
    ("('G', 'PG', 'R')", "('G', 'PG', 'PG-13', 'R', 'X')"),
    ("name char(20) NOT NULL", "name text NOT NULL"),
    ("film_id serial PRIMARY KEY, title varchar(255) NOT NULL", "film_id serial PRIMARY KEY, title text NOT NULL"),
    ("original_language_id smallint,", "original_language_id integer REFERENCES language,"),
    ("length BETWEEN 1 AND 600", "length BETWEEN 1 AND 900"),
    ("numeric(4,2) DEFAULT 4.99", "numeric(6,2) DEFAULT 5.99"),
    ("replacement_cost numeric(5,2) DEFAULT 19.99 NOT NULL", "replacement_cost numeric(5,2)"),
    ("CREATE INDEX film_fulltext_idx ON film USING gist (fulltext)", "CREATE INDEX film_fulltext_idx ON film USING gin (fulltext)"),
    ("CREATE INDEX idx_title ON film (title)", "CREATE INDEX film_title_idx ON film (title)"),
    ("actor_id serial PRIMARY KEY, first_name text NOT NULL, last_name text NOT NULL", "actor_id bigserial PRIMARY KEY, first_name text NOT NULL, "
     "last_name text NOT NULL, full_name text GENERATED ALWAYS AS (first_name || ' ' || last_name) STORED, born date"),
    ("film_actor (actor_id integer REFERENCES actor,", "film_actor (actor_id bigint REFERENCES actor ON DELETE CASCADE,"),
    ("status IN ('new', 'good', 'bad')", "status IN ('new', 'good', 'bad', 'gone')"),
    ("email varchar(50),", "email citext,"),
    ("DEFERRABLE INITIALLY DEFERRED;", "DEFERRABLE;"),
    ("amount numeric(5,2) NOT NULL,", "amount numeric(8,2) NOT NULL, currency char(3) DEFAULT 'EUR' NOT NULL,"),
    ("CREATE INDEX ON payment (customer_id);", "CREATE TABLE payment_p2022_03 PARTITION OF payment FOR VALUES FROM ('2022-03-01 00:00+00') TO "
     "('2022-04-01 00:00+00'); CREATE INDEX ON payment (customer_id); CREATE INDEX ON payment (currency, amount);"),
    ("WITH (fillfactor = 100)", "WITH (autovacuum_enabled = false, fillfactor = 90)"),
    ("SELECT inventory_id FROM inventory WHERE film_id = $1 AND", "SELECT inventory_id FROM inventory WHERE inventory.film_id = $1 AND"),
    ("RETURNS boolean LANGUAGE plpgsql AS", "RETURNS boolean LANGUAGE plpgsql STABLE AS"),
    ("CREATE VIEW sales AS SELECT c.store_id, sum(p.amount) AS total", "CREATE VIEW sales AS SELECT c.store_id, p.currency, sum(p.amount) AS total"),
    ("GROUP BY c.store_id;", "GROUP BY c.store_id, p.currency;"),
    ("AS SELECT store_id, total FROM sales WITH DATA;", "AS SELECT store_id, currency, total FROM sales WITH DATA;"),
    ("ON sales_by_store (store_id);", "ON sales_by_store (store_id, currency);"),
    ("USING (email = current_user)", "USING (email = current_user AND status <> 'gone')"),
    ("'Who may see it'", "'Who may see it, and who''d better not'"),
    ("GRANT SELECT ON film, actor, language TO app;", "GRANT SELECT ON film, language TO app; GRANT SELECT (first_name, last_name) ON actor TO app;"),
) + """
CREATE TABLE review (review_id uuid DEFAULT gen_random_uuid() PRIMARY KEY, film_id integer NOT NULL REFERENCES film ON DELETE CASCADE,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5), at timestamptz DEFAULT now() NOT NULL, words text, UNIQUE (film_id, at));
CREATE INDEX ON review (film_id, stars DESC) INCLUDE (at) WHERE stars > 3;
COMMENT ON CONSTRAINT review_film_id_at_key ON review IS 'One at a time';
CREATE VIEW best AS SELECT f.film_id, f.title, avg(r.stars) AS stars FROM film f JOIN review r USING (film_id) GROUP BY f.film_id HAVING count(*) > 3;
ALTER DEFAULT PRIVILEGES IN SCHEMA audit GRANT SELECT ON TABLES TO other;
"""
