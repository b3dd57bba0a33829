"""Folders of hundreds of migrations, as projects grow them over years: the SQL is made up by a seeded generator, in the habits and
oddities that such folders have, and written in the layouts of six tools. Each folder also comes as what its own tool would run, for psql."""

import os
import random
import re


class Step:
    """One migration. up, down: SQL. outside: the tool is told that it must not be in a transaction. bare: its SQL has its own transactions, or
    something that may not be in one, and the tool is not told. whole: a single statement with semicolons inside."""

    def __init__(self, slug, up, down, outside=False, bare=False, whole=False):
        self.slug, self.up, self.down, self.outside, self.bare, self.whole = slug, up, down, outside, bare, whole


WORDS = "account order invoice parcel ticket ledger signal harbour meadow lantern anchor copper willow signet basin quarry".split()
TYPES = ("bigint", "text NOT NULL DEFAULT ''", "timestamptz", "numeric(12,2) DEFAULT 0", "jsonb DEFAULT '{\"a;\": [1, 2]}'",
         "boolean NOT NULL DEFAULT false", "text[] DEFAULT ARRAY['a;b', 'c''d']", "uuid", "bytea DEFAULT '\\x00ff'", "interval DEFAULT '1 day'")


class Writer:
    """The schema in the making; every step knows how to undo itself exactly."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.count = 0
        self.tables = {}     # name: columns that may be dropped
        self.enums = {}      # name: labels
        self.steps = []

    def name(self, kind):
        self.count += 1
        return f"{self.random.choice(WORDS)}_{kind}{self.count}"

    def table(self):
        return self.random.choice(list(self.tables))

    def make(self, count):
        """The steps: a beginning as of pg_dump, then whatever comes; the oddities all at least once."""
        self.steps = [self.baseline(), self.helpers()]
        rare = [value for key, value in sorted(vars(Writer).items()) if key.startswith("do_")]
        self.random.shuffle(rare)
        for i in range(count - 2):
            act = rare[i // 3] if i % 3 == 0 and i // 3 < len(rare) else self.random.choice(rare + [Writer.do_table, Writer.do_column] * 5)
            self.steps.append(act(self))
        return self.steps

    # ---- how a folder begins ----

    def baseline(self):
        self.tables["base_things"] = []
        up = """--
-- PostgreSQL database dump
--

-- Dumped from database version 12.3 (Debian 12.3-1.pgdg100+1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: base_things; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.base_things (
    id integer NOT NULL,
    name text DEFAULT 'it''s; a thing'::text
);

CREATE SEQUENCE public.base_things_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.base_things_id_seq OWNED BY public.base_things.id;
ALTER TABLE ONLY public.base_things ALTER COLUMN id SET DEFAULT nextval('public.base_things_id_seq'::regclass);

--
-- Data for Name: base_things; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.base_things (id, name) FROM stdin;
1\tone; two
2\t\\N
3\t'quoted -- /* and $$
\\.


ALTER TABLE ONLY public.base_things
    ADD CONSTRAINT base_things_pkey PRIMARY KEY (id);

SELECT pg_catalog.setval('public.base_things_id_seq', 3, true);

--
-- PostgreSQL database dump complete
--
"""
        return Step("Base", up, "DROP TABLE base_things;")

    def helpers(self):
        up = """-- Sets up a trigger for the given table to automatically set a column called
-- `updated_at` whenever the row is modified (unless `updated_at` was included in the modified columns);
--
-- # Example
--
-- ```sql
-- CREATE TABLE users (id SERIAL PRIMARY KEY, updated_at TIMESTAMP NOT NULL DEFAULT NOW());
-- ```
CREATE FUNCTION manage_touched(_tbl regclass) RETURNS VOID AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER set_touched BEFORE UPDATE ON %s
                    FOR EACH ROW EXECUTE PROCEDURE set_touched()', _tbl);
END;
$$ LANGUAGE plpgsql;

CREATE FUNCTION set_touched() RETURNS trigger AS $$
BEGIN
    IF (
        NEW IS DISTINCT FROM OLD AND
        NEW.touched_at IS NOT DISTINCT FROM OLD.touched_at
    ) THEN
        NEW.touched_at := current_timestamp;
    END IF;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
"""
        return Step("helper_functions", up, "DROP FUNCTION IF EXISTS manage_touched(_tbl regclass);\nDROP FUNCTION IF EXISTS set_touched();\n",
                    whole=False)

    # ---- what comes then ----

    def do_table(self):
        name = self.name("t")
        columns = [f"c{i} {self.random.choice(TYPES)}" for i in range(self.random.randint(1, 6))]
        self.tables[name] = [column.split()[0] for column in columns]
        body = ",\n\t".join(["id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY"] + columns)
        style = self.random.choice(("CREATE TABLE IF NOT EXISTS {} (\n\t{}\n);\n", "create table {}(\n\t{});\n",
                                    "BEGIN;\n\nCREATE TABLE {} (\n\t{}\n);\n\nCOMMIT;\n",
                                    "/* {0} /* nested; */ ' */ CREATE TABLE {0} ({1}) -- no more"))
        up = style.format(name, body)
        down = self.random.choice(("DROP TABLE {};", "DROP TABLE IF EXISTS {} CASCADE;\n", "BEGIN;\nDROP TABLE {};\nCOMMIT;\n",
                                   "drop table {}")).format(name)
        return Step(f"create_{name}", up, down, bare=up.startswith("BEGIN") or down.startswith("BEGIN"))

    def do_column(self):
        table, column = self.table(), self.name("c")
        self.tables[table].append(column)
        kind = self.random.choice(TYPES)
        return Step(f"Add_{column}", f'ALTER TABLE {table}\n    ADD COLUMN "{column}" {kind};\n'
                    f'COMMENT ON COLUMN {table}.{column} IS \'of {table}; 100% -- "q"\';\n',
                    f'ALTER TABLE {table} DROP COLUMN IF EXISTS "{column}";')

    def do_index(self):
        table, name = self.table(), self.name("i")
        unique = self.random.choice(("", "", "UNIQUE "))
        return Step(f"index_{name}", f"CREATE {unique}INDEX IF NOT EXISTS {name} ON {table} USING btree (id) WHERE id > 0;", f"DROP INDEX {name};")

    def do_concurrently(self):
        """One statement, which the tools send by itself; or told to the tool."""
        table, name = self.table(), self.name("i")
        told = self.random.random() < 0.5
        more = f"\nSET lock_timeout = '9s';\nCREATE INDEX CONCURRENTLY {name}_b ON {table} (id DESC);\n" if told else ""
        gone = f"\nDROP INDEX CONCURRENTLY IF EXISTS {name}_b;" if told else ""
        return Step(f"concurrently_{name}", f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON {table} (id);{more}",
                    f"DROP INDEX CONCURRENTLY IF EXISTS {name};{gone}", outside=told, bare=True)

    def do_vacuum(self):
        return Step("Vacuum", f"VACUUM (ANALYZE) {self.table()};", "-- nothing to undo\n", bare=True)

    def do_enum(self):
        name = self.name("e")
        self.enums[name] = ["a", "b;c"]
        return Step(f"enum_{name}", f"DO $$ BEGIN\n    CREATE TYPE {name} AS ENUM ('a', 'b;c');\nEXCEPTION\n"
                    f"    WHEN duplicate_object THEN NULL;\nEND $$;\n",
                    f"DROP TYPE {name};", whole=True)

    def do_enum_value(self):
        if not self.enums:
            return self.do_enum()
        name = self.random.choice(list(self.enums))
        label = self.name("v")
        self.enums[name].append(label)
        return Step(f"value_{label}", f"ALTER TYPE {name} ADD VALUE IF NOT EXISTS '{label}' AFTER 'a';",
                    f"-- a value of an enum cannot be taken back; {name} goes as a whole\n", outside=self.random.random() < 0.5)

    def do_enum_used(self):
        """The value that the step before has added, in a default: allowed once that is committed."""
        if not self.enums:
            return self.do_enum()
        name = self.random.choice(list(self.enums))
        table, column = self.table(), self.name("c")
        return Step(f"use_{column}", f"ALTER TABLE {table} ADD {column} {name} DEFAULT '{self.enums[name][-1]}';", f"ALTER TABLE {table} DROP {column};")

    def do_function(self):
        name = self.name("f")
        body = self.random.choice((
            "$_$\nDECLARE\n  q text := $q$it's; \"odd\"$q$;\nBEGIN\n  -- a comment; with 'a quote\n  EXECUTE 'SELECT $1' USING q;\n"
            "  RETURN q || ';';\nEND;\n$_$ LANGUAGE plpgsql",
            "'BEGIN RETURN ''it''''s; fine''; END;' LANGUAGE 'plpgsql'",
            "E'BEGIN\\n  RETURN \\'tab\\\\t;\\';\\nEND;' LANGUAGE plpgsql VOLATILE",
            "$function$ SELECT CASE WHEN true THEN 'x;' ELSE $$y;$$ END $function$ LANGUAGE sql IMMUTABLE"))
        return Step(f"function_{name}", f"CREATE OR REPLACE FUNCTION {name}()\nRETURNS text AS {body};\n", f"DROP FUNCTION {name}();", whole=True)

    def do_atomic(self):
        name, table = self.name("p"), self.table()
        return Step(f"atomic_{name}", f"CREATE PROCEDURE {name}(n int) LANGUAGE SQL\nBEGIN ATOMIC\n  DELETE FROM {table} WHERE id = n;\n"
                    f"  SELECT CASE n WHEN 1 THEN 'one;' ELSE 'end' END;\nEND;\n", f"DROP PROCEDURE {name};", whole=True)

    def do_trigger(self):
        table, name = self.table(), self.name("g")
        return Step(f"trigger_{name}", f"""ALTER TABLE {table} ADD COLUMN {name}_at timestamptz;
CREATE FUNCTION {name}() RETURNS trigger AS
$BODY$
BEGIN
    NEW.{name}_at = '2020-01-01 00:00:00+00'; -- not now(): it's compared
    RETURN NEW;
END
$BODY$
LANGUAGE plpgsql;
CREATE TRIGGER {name} BEFORE INSERT OR UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION {name}();
""", f"DROP TRIGGER {name} ON {table};\nDROP FUNCTION {name}();\nALTER TABLE {table} DROP COLUMN {name}_at;\n")

    def do_view(self):
        name, table = self.name("v"), self.table()
        kind = self.random.choice(("VIEW", "MATERIALIZED VIEW"))
        return Step(f"view_{name}", f"CREATE {kind} \"{name} ; of {table}\" AS\n"
                    f"  SELECT id, CASE WHEN id > 10 THEN 'big;' ELSE E'\\'small' END AS size FROM {table};\n",
                    f"DROP {kind} \"{name} ; of {table}\";")

    def do_rule(self):
        name, table = self.name("r"), self.table()
        return Step(f"rule_{name}", f"CREATE TABLE {name} (id bigint, note text);\nCREATE RULE {name}_rule AS ON DELETE TO {table} DO ALSO (\n"
                    f"  INSERT INTO {name} VALUES (OLD.id, 'gone; for good');\n  SELECT 1;\n);\n", f"DROP RULE {name}_rule ON {table};\n"
                    f"DROP TABLE {name};",
                    whole=True)

    def do_data(self):
        table, note = self.table(), self.name("d")
        return Step(f"data_{note}", f"CREATE TABLE {note} AS SELECT id FROM {table} WHERE false;\n"
                    f"INSERT INTO {note} SELECT g * 2 FROM generate_series(1, 5) g;\n"
                    f"UPDATE {note} SET id = id + 1\nWHERE id IN (\n    SELECT id FROM {note} ORDER BY id LIMIT 2\n)\nRETURNING 'a;', id;\n"
                    f"", f"DROP TABLE {note};")

    def do_copy(self):
        name = self.name("k")
        return Step(f"copy_{name}", f"CREATE TABLE {name} (a int, b text);\nCOPY {name} FROM stdin WITH (FORMAT csv);\n1,\"x;y\"\n2,'\n"
                    f"3,-- no comment\n\\.\n"
                    f"ALTER TABLE {name} ADD PRIMARY KEY (a);\n", f"DROP TABLE {name};")

    def do_several_transactions(self):
        a, b = self.name("m"), self.name("m")
        return Step(f"pairs_{a}", f"BEGIN;\nCREATE TABLE {a} (x int);\nCOMMIT;\n\nBEGIN;\nCREATE TABLE {b} (x int);\nEND;\nBEGIN;\n"
                    f"DROP TABLE {a};\nROLLBACK;\n",
                    f"START TRANSACTION;\nDROP TABLE {b};\nCOMMIT;\nDROP TABLE {a};", bare=True)

    def do_savepoint(self):
        name = self.name("s")
        return Step(f"savepoint_{name}", f"CREATE TABLE {name} (x int DEFAULT (1));\nSAVEPOINT one;\nALTER TABLE {name} ADD y int;\n"
                    f"ROLLBACK TO SAVEPOINT one;\n"
                    f"RELEASE SAVEPOINT one;\n", f"DROP TABLE {name};")

    def do_settings(self):
        name = self.name("w")
        return Step(f"settings_{name}", f"SET LOCAL lock_timeout = '30s';\nSET search_path = pg_temp, public;\nCREATE TEMP TABLE {name} (x int);\n"
                    f"INSERT INTO {name} VALUES (1);\nCREATE TABLE public.{name}_kept AS SELECT * FROM {name};\n", f"DROP TABLE {name}_kept;")

    def do_schema(self):
        name = self.name("n")
        return Step(f"schema_{name}", f'CREATE SCHEMA "{name}.Odd";\nSET search_path TO "{name}.Odd";\nCREATE TABLE inner_table (id int);\n'
                    f"CREATE DOMAIN short AS varchar(3) CHECK (VALUE <> ';');\n", f'DROP SCHEMA "{name}.Odd" CASCADE;')

    def do_committing(self):
        """A backfill in batches, which PostgreSQL refuses inside a transaction."""
        name = self.name("b")
        return Step(f"batches_{name}", f"DO $$\nBEGIN\n  CREATE TABLE {name} (id int);\n  FOR i IN 1..3 LOOP\n    INSERT INTO {name} VALUES (i);\n"
                    f"    COMMIT;\n  END LOOP;\nEND $$;\n", f"DROP TABLE {name};", outside=self.random.random() < 0.3, bare=True, whole=True)

    def do_partitions(self):
        name = self.name("q")
        return Step(f"partitions_{name}", f"CREATE TABLE {name} (id int, at date NOT NULL) PARTITION BY RANGE (at);\nDO\n$do$\n"
                    f"DECLARE y int;\nBEGIN\n"
                    f"  FOR y IN 2020..2022 LOOP\n"
                    f"    EXECUTE format('CREATE TABLE {name}_%s PARTITION OF {name} FOR VALUES FROM (%L) TO (%L)', y, y || '-01-01', "
                    f"(y + 1) || '-01-01');\n  END LOOP;\nEND\n$do$;\n", f"DROP TABLE {name};")

    def do_foreign_key(self):
        table, other, name = self.table(), self.table(), self.name("fk")
        return Step(f"fk_{name}", f"ALTER TABLE ONLY {table} ADD COLUMN {name} integer;\nALTER TABLE {other} ADD COLUMN {name}_key integer UNIQUE;\n"
                    f"ALTER TABLE {table} ADD CONSTRAINT {name}_c FOREIGN KEY ({name}) REFERENCES {other}({name}_key) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED NOT VALID;\n"
                    f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}_c;\n",
                    f"ALTER TABLE {table} DROP CONSTRAINT {name}_c;\nALTER TABLE {other} DROP COLUMN {name}_key;\n"
                    f"ALTER TABLE {table} DROP COLUMN {name};\n")

    def do_policy(self):
        table, name = self.table(), self.name("y")
        return Step(f"policy_{name}", f"CREATE POLICY {name} ON {table} USING (current_setting('app.user', true) IS DISTINCT FROM 'x;');\n"
                    f"GRANT SELECT ON {table} TO PUBLIC;\n", f"DROP POLICY {name} ON {table};\n")

    def do_unicode(self):
        name = self.name("ü")
        return Step(f"unicode_{name}", f"CREATE TABLE \"{name}\" (\"größe;\" int, U&\"d\\0061t\\+000061\" text DEFAULT U&'\\0441\\043B\\043E\\043D');\n"
                    f"COMMENT ON TABLE \"{name}\" IS 'слон; 象 \\';\n", f"DROP TABLE \"{name}\";")

    def do_nothing(self):
        return Step("Nothing", "-- This migration was merged into an earlier one; see there\n\n/* ; */\n", "")

    def do_extension(self):
        name = self.name("x")
        return Step(f"extension_{name}", f"CREATE EXTENSION IF NOT EXISTS \"citext\";\nCREATE TABLE {name} (a citext);", f"DROP TABLE {name};\n")

    def do_ignored_result(self):
        return Step("selects", "SELECT 'up SQL query; ''one''';\nSELECT 1 \n\n;;\n;", "SELECT 'down SQL query';\n")


# ---- the layouts ----

def dress(text, source):
    """Line ends, byte order marks, missing last line ends: what editors leave behind."""
    style = source.random()
    if style < 0.1 and "stdin" not in text:
        text = text.replace("\n", "\r\n")
    elif style < 0.15:
        text = "\ufeff" + text
    elif style < 0.25 and "stdin" not in text:
        text = text.rstrip("\n")
    return text


class Layout:
    """One tool's folder. sql[i]: (up, down) as psql is to have them, bare: those that it must not wrap into a transaction."""

    def __init__(self, folder, steps, seed):
        self.folder, self.steps = folder, steps
        self.random = random.Random(seed)
        self.revisions = []
        self.last = []
        for i, step in enumerate(steps):
            self.put(i, step)
        self.litter()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", newline="", encoding="utf-8") as f:
            f.write(text)

    def stamp(self, i):
        """2019-01-02-030405, growing."""
        return f"{2015 + i // 60}-{i % 60 // 5 + 1:02d}-{i % 5 * 5 + 1:02d}-{i * 7 % 24:02d}{i % 60:02d}00"

    def odd(self, slug, i):
        return (slug, slug.upper(), slug.replace("_", " "), slug.replace("_", "-"), slug + ".v6.0", slug + "__x")[i % 6]

    def litter(self):
        self.write("README.md", "# Migrations\n\n-- migrate:up\n")
        self.write("atlas.sum", "h1:x=\n")
        self.write(".hidden.sql", "'")
        self.write("create_migration.sh", "#!/bin/sh\n")
        self.write("embed.go", "package migrations\n")
        self.write("testdata/fixtures/broken.sql", "SELECT '")

    @staticmethod
    def mark(text, begin, end):
        return f"{begin}\n{text.rstrip()}\n{end}\n"


class GolangMigrate(Layout):
    format = "golang-migrate"

    def put(self, i, step):
        number = i * 2 + 1 if i < 150 else 1600000000 + i * 1000 if i < 200 else 20230101000000 + i
        width = 6 if i < 150 else 1
        slug = self.odd(step.slug, i)
        self.write(f"{number:0{width}d}_{slug}.up.sql", dress(step.up, self.random))
        self.write(f"{number:0{4 if i % 9 == 0 else width}d}_{slug}.down.{'pgsql' if i % 11 == 0 else 'sql'}", dress(step.down, self.random))
        self.revisions.append(str(number))

    def litter(self):
        super().litter()
        self.write("schema.sql", "\\restrict x\nSELECT '")
        self.write("testdata/000001_x.up.sql", "SELECT '")


class Diesel(Layout):
    format = "diesel"

    def put(self, i, step):
        version = self.stamp(i) if i else "00000000000000"
        folder = f"{version}_diesel_initial_setup" if i == 0 else version if i % 17 == 0 else f"{version}_{self.odd(step.slug, i)}"
        self.write(f"{folder}/up.sql", dress(step.up or " ", self.random))
        self.write(f"{folder}/down.sql", dress(step.down or "-- This file should undo anything in `up.sql`\n", self.random))
        if step.outside or step.bare:
            self.write(f"{folder}/metadata.toml", "# see the guide\nrun_in_transaction = false\n")
        self.revisions.append(version.replace("-", ""))

    def litter(self):
        super().litter()
        self.write(".gitkeep", "")
        self.write("lint.sql", "SELECT '")


class Goose(Layout):
    format = "goose"

    def put(self, i, step):
        number = i + 1 if i < 100 else 20210101000000 + i
        body = []
        for title, text in (("Up", step.up), ("Down", step.down)):
            if step.whole and ";" in text[:-1]:
                text = self.mark(text, "-- +goose StatementBegin", "-- +goose StatementEnd")
            body.append(f"-- +goose {title}\n{text.rstrip()}\n")
        head = "-- +goose NO TRANSACTION\n" if step.outside or step.bare else ("", "-- about this; it's one\n\n", "")[i % 3]
        self.write(f"{number:05d}_{self.odd(step.slug, i)}.sql", dress(head + "\n".join(body), random.Random(i) if i % 2 else self.random))
        self.revisions.append(str(number))

    def litter(self):
        super().litter()
        self.write("seed.sql", "SELECT '")


class SqlMigrate(Layout):
    format = "sql-migrate"

    def put(self, i, step):
        number = f"{2017 + i // 90}{i % 90 // 10 + 1:02d}{i % 10 + 10}120000" if i > 20 else str(i + 1)
        option = " notransaction" if step.outside or step.bare else ""
        body = []
        for title, text in (("Up", step.up), ("Down", step.down)):
            if step.whole and ";" in text[:-1]:
                text = self.mark(text, "-- +migrate StatementBegin", "-- +migrate StatementEnd")
            body.append(f"-- +migrate {title}{option}\n{text.rstrip()}\n")
        name = f"{number}-{self.odd(step.slug.replace('_', '-'), i)}"
        self.write(f"{name}.sql", dress(("", "\n", "-- head; comment\n")[i % 3] + "\n".join(body), self.random))
        self.revisions.append(re.sub(r"[^!-~]|[+,@;'\"\\]", "_", name.encode()[:64].decode("latin-1")))


class Dbmate(Layout):
    format = "native"  # by itself; what dbmate writes is ours

    def put(self, i, step):
        number = f"{2018 + i // 90}0{i % 90 // 10 + 1}{i % 10 + 10}{i:06d}"
        option = " transaction:false" if step.outside or step.bare else ""
        text = f"-- migrate:up{option}\n{step.up.rstrip()}\n\n-- migrate:down{option}\n{step.down.rstrip()}\n"
        self.write(f"{number}_{self.odd(step.slug, i)}.sql", dress(text, self.random))
        self.revisions.append(number)

    def litter(self):
        super().litter()
        self.write("schema.sql", "\\restrict x\nSELECT '")


class Flyway(Layout):
    format = "flyway"

    def put(self, i, step):
        version = ((f"{i + 1}", f"0{i + 1}")[i % 2] if i < 60 else f"{61 + (i - 60) // 20}.{(i - 60) % 20}" if i < 200 else f"2020.{i // 50}.{i % 50}.1")
        written = version.replace(".", "_") if i % 3 == 0 else version
        folder = "" if i < 100 else f"year {i // 100}/v{i // 10}/"
        slug = self.odd(step.slug, i)
        self.write(f"{folder}V{written}__{slug}.sql", dress(step.up, self.random))
        self.write(f"undo/U{version}__{slug}.sql", dress(step.down, self.random))
        if step.outside:
            self.write(f"{folder}V{written}__{slug}.sql.conf", "executeInTransaction=false\n")
            self.write(f"undo/U{version}__{slug}.sql.conf", "executeInTransaction=false\n")
        self.revisions.append(version)

    def litter(self):
        super().litter()
        self.last = ["CREATE OR REPLACE FUNCTION repeated_a() RETURNS int LANGUAGE sql AS 'SELECT 1;';\n",
                     "CREATE OR REPLACE FUNCTION repeated_b() RETURNS int LANGUAGE sql AS 'SELECT repeated_a();';\n"]
        self.write("views/R__a first.sql", self.last[0])
        self.write("R__b_second.sql", self.last[1])
        self.write("B30__baseline.sql", "SELECT '")
        self.write("beforeMigrate.sql", "SELECT '")
        self.write("afterEachMigrate__analyze.sql", "SELECT '")
        self.write("v2__lower.sql", "SELECT '")
        self.write("notes.sql", "SELECT '")


LAYOUTS = (GolangMigrate, Diesel, Goose, SqlMigrate, Dbmate, Flyway)
