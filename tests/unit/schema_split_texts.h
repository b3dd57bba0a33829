/* Texts that are hard to split, each sound as a whole. */
#ifndef TESTS_SCHEMA_SPLIT_TEXTS_H
#define TESTS_SCHEMA_SPLIT_TEXTS_H

static const char *const split_texts[] = {
    "SELECT 1;\nSELECT 2",
    "-- first\nCREATE TABLE t (a int, /* ; */ b text DEFAULT 'x;''y');\n\n"
    "INSERT INTO t VALUES (1, E'it\\'s; \\\\'), (2, U&'\\0041;'), (3, $$;$$);\n"
    "COMMENT ON TABLE t IS 'a;\nb' ;;\n",
    "CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $body$\n"
    "BEGIN\n\tIF a > 1 THEN RETURN $$1;$$; END IF;\n\t-- it's; $notbody$\n\tRETURN 2;\nEND;\n$body$;\n"
    "SELECT f(1);\n",
    "CREATE OR REPLACE FUNCTION g() RETURNS int\nBEGIN ATOMIC\n  SELECT 1;\n"
    "  SELECT CASE WHEN true THEN 1 ELSE 2 END;\n  SELECT (SELECT 1);\nEND;\nSELECT g();\n",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (\n  INSERT INTO a VALUES (1);\n  INSERT INTO b VALUES "
    "(2);\n);\n"
    "SELECT (1), ((2));\n",
    "COPY t (a, b) FROM stdin;\n1\tit's;\n2\t$$ -- (\n\\.\n\nSELECT 1;\nCOPY t FROM stdin;\n\\.\n",
    "SELECT E'a' -- comment ; '\n  'b;c'\n  , 'd'\n 'e;';\r\nSELECT \"a;\"\"b\", 1.5e10, .5, 1..2, "
    "$1;\r\n",
    "SELECT a <-- ;\n b; SELECT 2 */* ; */ 3; SELECT 1 /* a /* b */ ; */;\nSELECT a$b, $tag$x$tag$, "
    "$a$$b$$a$;",
    "DO $do$BEGIN PERFORM 1; END$do$;\nBEGIN;\nSAVEPOINT s;\nROLLBACK TO s;\nCOMMIT;\n",
    /* as pg_dump writes it */
    "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n"
    "SELECT pg_catalog.set_config('search_path', '', false);\n\n"
    "CREATE PROCEDURE public.p(IN a integer)\n    LANGUAGE sql\n    BEGIN ATOMIC\n"
    " INSERT INTO public.t (a)\n   VALUES (p.a);\nEND;\n\nALTER PROCEDURE public.p(IN a integer) OWNER TO "
    "o;\n\n"
    "COPY public.t (a, b) FROM stdin;\n1\ta\\\\b\n2\t\\N\n\\.\n\n\n"
    "SELECT pg_catalog.setval('public.s', 2, true);\n\n--\n-- PostgreSQL database dump complete\n--\n\n",
};
static const unsigned split_text_count = sizeof(split_texts) / sizeof(split_texts[0]);

#endif
