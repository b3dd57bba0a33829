/* The statements. They are written without qualification: the first of them empties search_path, so that
 * every name here is pg_catalog's. References are "catalog:object:column" by oid; the oids of catalogs never
 * change. */
#include "describe_private.h"

/* The lines are SQL's. */
/* clang-format off */

/* Namespaces of users. */
#define OURS "n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'headgate')"
/* Not of an extension; nor made along with something else, as the constructors of a range type are. */
#define NO_MEMBER(catalog, oid, types) \
	" AND NOT EXISTS (SELECT FROM pg_depend m WHERE m.classid = " catalog " AND m.objid = " oid \
	" AND m.deptype IN (" types "))"
#define FREE(catalog, oid) NO_MEMBER(catalog, oid, "'e'")
#define FREE_ALONE(catalog, oid) NO_MEMBER(catalog, oid, "'e', 'i'")
#define REF(catalog, oid) "'" catalog ":' || " oid " || ':0'"
#define COLUMN_REF(table, column) "'1259:' || " table " || ':' || " column
#define QUALIFIED(name) "format('%I.%I', n.nspname, " name ")"
#define NAMESPACE(of) " JOIN pg_namespace n ON n.oid = " of " AND " OURS
/* Storage parameters, those of the TOAST table too. */
#define OPTIONS(class) \
	"(SELECT string_agg(format('%s=%L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ' " \
	"ORDER BY o) FROM (SELECT unnest(" class ".reloptions) UNION ALL SELECT 'toast.' || " \
	"unnest(x.reloptions) FROM pg_class x WHERE x.oid = " class ".reltoastrelid) AS options(o))"
#define COLLATION(oid, usual) \
	"(SELECT format('%I.%I', cn.nspname, co.collname) FROM pg_collation co JOIN pg_namespace cn ON " \
	"cn.oid = co.collnamespace WHERE co.oid = " oid " AND co.oid <> " usual ")"
/* What catalogs of some versions have only. */
#define MAYBE(row, column) "to_jsonb(" row ") ->> '" column "'"
#define STATE(column) \
	"CASE " column " WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'replica' WHEN 'A' THEN 'always' END"
#define SEQUENCE_VALUES \
	"s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'yes' END"
/* What an index is to its table. */
#define INDEX_ROLES "CASE WHEN i.indisreplident THEN 'yes' END, CASE WHEN i.indisclustered THEN 'yes' END"

static const char settings[] =
    "SELECT set_config('search_path', '', true), set_config('quote_all_identifiers', 'off', true), "
    "set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, MDY', true), "
    "set_config('IntervalStyle', 'postgres', true), set_config('extra_float_digits', '1', true), "
    "set_config('bytea_output', 'hex', true), set_config('lc_monetary', 'C', true)";

/* public is there unless somebody drops it: its absence cannot be told in a file of SQL. */
static const char schemas[] =
    "SELECT " REF("2615", "n.oid") ", NULL, NULL, quote_ident(n.nspname) FROM pg_namespace n WHERE " OURS
    " AND n.nspname <> 'public'" FREE("2615", "n.oid");

static const char extensions[] =
    "SELECT " REF("3079", "e.oid") ", NULL, NULL, quote_ident(e.extname), quote_ident(n.nspname), "
    "e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.oid >= 16384";

static const char collations[] =
    "SELECT " REF("3456", "c.oid") ", NULL, NULL, " QUALIFIED("c.collname") ", '(provider = ' || CASE "
    "c.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END || CASE WHEN "
    "c.collprovider IN ('i', 'b') THEN format(', locale = %L', coalesce(" MAYBE("c", "colllocale") ", "
    MAYBE("c", "colliculocale") ", " MAYBE("c", "collcollate") ")) ELSE format(', lc_collate = %L, "
    "lc_ctype = %L', " MAYBE("c", "collcollate") ", " MAYBE("c", "collctype")
    ") END || CASE WHEN c.collisdeterministic THEN '' ELSE ', deterministic = false' END || "
    "coalesce(', rules = ' || quote_literal(nullif(" MAYBE("c", "collicurules") ", '')), '') || ')' FROM "
    "pg_collation c" NAMESPACE("c.collnamespace") " WHERE c.oid >= 16384" FREE("3456", "c.oid");

static const char enums[] =
    "SELECT " REF("1247", "t.oid") ", NULL, NULL, " QUALIFIED("t.typname")
    ", (SELECT string_agg(quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder) FROM pg_enum l WHERE "
    "l.enumtypid = t.oid) FROM pg_type t" NAMESPACE("t.typnamespace") " WHERE t.typtype = 'e'"
    FREE("1247", "t.oid");

static const char domains[] =
    "SELECT " REF("1247", "t.oid") ", NULL, NULL, " QUALIFIED("t.typname") ", format_type(t.typbasetype, "
    "t.typtypmod), " COLLATION("t.typcollation", "b.typcollation")
    ", coalesce(pg_get_expr(t.typdefaultbin, 0), quote_literal(t.typdefault)), CASE WHEN t.typnotnull "
    "THEN 'yes' END FROM pg_type t JOIN pg_type b ON b.oid = t.typbasetype" NAMESPACE("t.typnamespace")
    " WHERE t.typtype = 'd'" FREE("1247", "t.oid");

static const char domain_constraints[] =
    "SELECT " REF("2606", "c.oid") ", " REF("1247", "t.oid") ", " QUALIFIED("t.typname")
    ", quote_ident(c.conname), pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_type t ON t.oid = "
    "c.contypid" NAMESPACE("t.typnamespace") " WHERE c.contype = 'c'";

static const char composites[] =
    "SELECT " REF("1247", "t.oid") ", NULL, NULL, " QUALIFIED("t.typname") " FROM pg_type t JOIN pg_class "
    "c ON c.oid = t.typrelid AND c.relkind = 'c'" NAMESPACE("t.typnamespace") " WHERE true"
    FREE("1247", "t.oid");

static const char attributes[] =
    "SELECT " COLUMN_REF("a.attrelid", "a.attnum") ", " REF("1247", "c.reltype") ", " QUALIFIED("c.relname")
    ", quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), "
    COLLATION("a.attcollation", "t.typcollation") ", a.attnum FROM pg_attribute a JOIN pg_class c ON "
    "c.oid = a.attrelid AND c.relkind = 'c' JOIN pg_type t ON t.oid = a.atttypid"
    NAMESPACE("c.relnamespace") " WHERE a.attnum > 0 AND NOT a.attisdropped";

static const char ranges[] =
    "SELECT " REF("1247", "t.oid") ", NULL, NULL, " QUALIFIED("t.typname") ", '(subtype = ' || "
    "format_type(r.rngsubtype, NULL) || coalesce((SELECT format(', subtype_opclass = %I.%I', cn.nspname, "
    "o.opcname) FROM pg_opclass o JOIN pg_namespace cn ON cn.oid = o.opcnamespace WHERE o.oid = "
    "r.rngsubopc AND NOT o.opcdefault), '') || coalesce(', collation = ' || "
    COLLATION("r.rngcollation", "b.typcollation") ", '') || CASE WHEN r.rngcanonical::oid <> 0 THEN ', "
    "canonical = ' || r.rngcanonical ELSE '' END || CASE WHEN r.rngsubdiff::oid <> 0 THEN ', subtype_diff "
    "= ' || r.rngsubdiff ELSE '' END || coalesce(', multirange_type_name = ' || format_type(("
    MAYBE("r", "rngmultitypid") ")::oid, NULL), '') || ')' FROM pg_range r JOIN pg_type t ON t.oid = "
    "r.rngtypid JOIN pg_type b ON b.oid = r.rngsubtype" NAMESPACE("t.typnamespace") " WHERE true"
    FREE("1247", "t.oid");

static const char sequences[] =
    "SELECT " REF("1259", "c.oid") ", " COLUMN_REF("d.refobjid", "d.refobjsubid") ", NULL, "
    QUALIFIED("c.relname") ", format_type(s.seqtypid, NULL), " SEQUENCE_VALUES
    ", CASE c.relpersistence WHEN 'u' THEN 'yes' END, (SELECT format('%I.%I.%I', tn.nspname, o.relname, "
    "a.attname) FROM pg_class o JOIN pg_namespace tn ON tn.oid = o.relnamespace JOIN pg_attribute a ON "
    "a.attrelid = o.oid WHERE o.oid = d.refobjid AND a.attnum = d.refobjsubid) FROM pg_class c JOIN "
    "pg_sequence s ON s.seqrelid = c.oid" NAMESPACE("c.relnamespace") " LEFT JOIN pg_depend d ON "
    "d.classid = 1259 AND d.objid = c.oid AND d.refclassid = 1259 AND d.refobjsubid > 0 AND d.deptype IN "
    "('a', 'i') WHERE c.relkind = 'S' AND d.deptype IS DISTINCT FROM 'i'" FREE("1259", "c.oid");

static const char tables[] =
    "SELECT " REF("1259", "c.oid") ", NULL, NULL, " QUALIFIED("c.relname") ", CASE c.relpersistence WHEN "
    "'u' THEN 'yes' END, CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END, CASE WHEN "
    "c.relispartition THEN p.names END, pg_get_expr(c.relpartbound, c.oid), CASE WHEN NOT "
    "c.relispartition THEN p.names END, " OPTIONS("c") ", (SELECT quote_ident(am.amname) FROM pg_am am "
    "WHERE am.oid = c.relam AND am.amname <> 'heap'), CASE WHEN c.relrowsecurity AND "
    "c.relforcerowsecurity THEN 'enabled, forced' WHEN c.relrowsecurity THEN 'enabled' WHEN "
    "c.relforcerowsecurity THEN 'forced' END, CASE WHEN c.relkind = 'f' THEN NULL WHEN c.relreplident = 'f' "
    "THEN 'FULL' WHEN c.relreplident = 'n' THEN 'NOTHING' END, CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END, (SELECT "
    "quote_ident(s.srvname) FROM pg_foreign_server s WHERE s.oid = f.ftserver), (SELECT "
    "string_agg(format('%I %L', split_part(o, '=', 1), substr(o, strpos(o, '=') + 1)), ', ' ORDER BY o) "
    "FROM unnest(f.ftoptions) o) FROM pg_class c" NAMESPACE("c.relnamespace")
    " LEFT JOIN pg_foreign_table f ON f.ftrelid = c.oid LEFT JOIN LATERAL (SELECT "
    "string_agg(format('%I.%I', pn.nspname, pc.relname), ', ' ORDER BY i.inhseqno) AS names FROM "
    "pg_inherits i JOIN pg_class pc ON pc.oid = i.inhparent JOIN pg_namespace pn ON pn.oid = "
    "pc.relnamespace WHERE i.inhrelid = c.oid) p ON true WHERE c.relkind IN ('r', 'p', 'f')"
    FREE("1259", "c.oid");

/* A column that comes from a parent table is described where it is stricter than the parent's. */
static const char columns[] =
    "SELECT " COLUMN_REF("a.attrelid", "a.attnum") ", " REF("1259", "c.oid") ", " QUALIFIED("c.relname")
    ", quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), "
    COLLATION("a.attcollation", "t.typcollation") ", CASE WHEN a.attnotnull THEN 'yes' END, CASE WHEN "
    "a.attgenerated <> '' THEN '(' || pg_get_expr(d.adbin, d.adrelid) || ')' || CASE a.attgenerated WHEN "
    "'s' THEN ' STORED' ELSE '' END END, CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY "
    "DEFAULT' END, " SEQUENCE_VALUES ", CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage "
    "WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END, CASE "
    MAYBE("a", "attcompression") " WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END, CASE WHEN "
    "a.attstattarget >= 0 THEN a.attstattarget END, (SELECT string_agg(o, ', ' ORDER BY o) FROM "
    "unnest(a.attoptions) o WHERE o LIKE 'n_distinct%'), (SELECT string_agg(format('%I %L', split_part(o, '=', 1), substr(o, "
    "strpos(o, '=') + 1)), ', ' ORDER BY o) FROM unnest(a.attfdwoptions) o), a.attnum, CASE WHEN "
    "a.attinhcount > 0 THEN 'yes' END, CASE t.typstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' "
    "WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "AND c.relkind IN ('r', 'p', 'f') JOIN pg_type t ON t.oid = a.atttypid" NAMESPACE("c.relnamespace")
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum LEFT JOIN pg_depend sd ON "
    "sd.classid = 1259 AND sd.refclassid = 1259 AND sd.refobjid = a.attrelid AND sd.refobjsubid = "
    "a.attnum AND sd.deptype = 'i' AND a.attidentity <> '' LEFT JOIN pg_sequence s ON s.seqrelid = "
    "sd.objid WHERE a.attnum > 0 AND NOT a.attisdropped AND (a.attinhcount = 0 OR (a.attnotnull AND NOT "
    "EXISTS (SELECT FROM pg_inherits i JOIN pg_attribute pa ON pa.attrelid = i.inhparent WHERE i.inhrelid "
    "= a.attrelid AND pa.attname = a.attname AND pa.attnotnull)))";

static const char defaults[] =
    "SELECT " REF("2604", "d.oid") ", " COLUMN_REF("d.adrelid", "d.adnum") ", " QUALIFIED("c.relname")
    ", quote_ident(a.attname), pg_get_expr(d.adbin, d.adrelid), CASE WHEN a.attinhcount > 0 THEN 'yes' "
    "END FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid AND c.relkind IN ('r', 'p', 'f', 'v') "
    "JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum" NAMESPACE("c.relnamespace")
    " WHERE a.attgenerated = '' AND (a.attinhcount = 0 OR NOT EXISTS (SELECT FROM pg_inherits i JOIN "
    "pg_attribute pa ON pa.attrelid = i.inhparent AND pa.attname = a.attname JOIN pg_attrdef pd ON "
    "pd.adrelid = pa.attrelid AND pd.adnum = pa.attnum WHERE i.inhrelid = a.attrelid AND "
    "pg_get_expr(pd.adbin, pd.adrelid) = pg_get_expr(d.adbin, d.adrelid)))";

/* Those of partitions and children that follow their parent's are the parent's. */
static const char constraints[] =
    "SELECT " REF("2606", "k.oid") ", " REF("1259", "c.oid") ", " QUALIFIED("c.relname")
    ", quote_ident(k.conname), pg_get_constraintdef(k.oid), " OPTIONS("ic") ", " INDEX_ROLES
    ", k.contype, quote_ident(n.nspname) || '.' || quote_ident(ic.relname) FROM pg_constraint k JOIN pg_class "
    "c ON c.oid = k.conrelid" NAMESPACE("c.relnamespace") " LEFT JOIN pg_class ic ON ic.oid = k.conindid AND k.contype "
    "IN ('p', 'u', 'x') LEFT JOIN pg_index i ON i.indexrelid = ic.oid WHERE k.contype IN ('p', 'u', 'c', "
    "'f', 'x') AND k.conparentid = 0 AND (k.contype <> 'c' OR k.coninhcount = 0)";

static const char indexes[] =
    "SELECT " REF("1259", "ic.oid") ", " REF("1259", "c.oid") ", " QUALIFIED("c.relname") ", "
    QUALIFIED("ic.relname") ", CASE WHEN i.indisunique THEN 'yes' END, substr(pg_get_indexdef(ic.oid), 1 "
    "+ length(format('CREATE %sINDEX %I ON %s%I.%I ', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, "
    "ic.relname, CASE WHEN ic.relkind = 'I' THEN 'ONLY ' ELSE '' END, n.nspname, c.relname))), CASE WHEN "
    "NOT i.indisvalid THEN 'yes' END, " INDEX_ROLES " FROM pg_index i JOIN pg_class ic ON ic.oid = "
    "i.indexrelid JOIN pg_class c ON c.oid = i.indrelid AND c.relkind IN ('r', 'p', 'm')"
    NAMESPACE("c.relnamespace") " WHERE NOT ic.relispartition AND NOT EXISTS (SELECT FROM pg_constraint k "
    "WHERE k.conindid = ic.oid AND k.contype IN ('p', 'u', 'x'))" FREE("1259", "ic.oid");

static const char statistics[] =
    "SELECT " REF("3381", "s.oid") ", " REF("1259", "s.stxrelid") ", format('%I.%I', cn.nspname, c.relname), "
    QUALIFIED("s.stxname") ", pg_get_statisticsobjdef(s.oid), CASE WHEN (" MAYBE("s", "stxstattarget")
    ")::int >= 0 THEN " MAYBE("s", "stxstattarget") " END FROM pg_statistic_ext s JOIN pg_class c ON c.oid = "
    "s.stxrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace" NAMESPACE("s.stxnamespace") " WHERE true"
    FREE("3381", "s.oid");

#define ROUTINES(kinds) \
	"SELECT " REF("1255", "p.oid") ", NULL, NULL, format('%I.%I(%s)', n.nspname, p.proname, " \
	"oidvectortypes(p.proargtypes)), rtrim(pg_get_functiondef(p.oid), E'\\n'), " \
	"pg_get_function_identity_arguments(p.oid), p.prokind::text || ' ' || " \
	"coalesce(pg_get_function_result(p.oid), ''), p.pronargdefaults, l.lanname, CASE WHEN (" \
	MAYBE("p", "prosqlbody") ") IS NOT NULL THEN 'yes' END FROM pg_proc p JOIN pg_language l ON l.oid " \
	"= p.prolang" NAMESPACE("p.pronamespace") " WHERE p.prokind IN (" kinds ")" FREE_ALONE("1255", "p.oid")
static const char functions[] =
    ROUTINES("'f', 'w'");
static const char procedures[] =
    ROUTINES("'p'");

#define AGGREGATE_FUNCTION(word, column) \
	"CASE WHEN a." column "::oid <> 0 THEN '" word " = ' || a." column " END, "
#define AGGREGATE_WORD(word, condition) "CASE WHEN " condition " THEN '" word "' END, "
static const char aggregates[] =
    "SELECT " REF("1255", "p.oid") ", NULL, NULL, format('%I.%I(%s)', n.nspname, p.proname, "
    "coalesce(nullif(pg_get_function_identity_arguments(p.oid), ''), '*')), '(' || concat_ws(', ', "
    AGGREGATE_FUNCTION("sfunc", "aggtransfn") "'stype = ' || format_type(a.aggtranstype, NULL), CASE WHEN "
    "a.aggtransspace > 0 THEN 'sspace = ' || a.aggtransspace END, "
    AGGREGATE_FUNCTION("finalfunc", "aggfinalfn") AGGREGATE_WORD("finalfunc_extra", "a.aggfinalextra")
    "CASE WHEN a.aggfinalmodify <> CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END THEN 'finalfunc_modify = "
    "' || CASE a.aggfinalmodify WHEN 'r' THEN 'read_only' WHEN 's' THEN 'shareable' ELSE 'read_write' END "
    "END, " AGGREGATE_FUNCTION("combinefunc", "aggcombinefn")
    AGGREGATE_FUNCTION("serialfunc", "aggserialfn") AGGREGATE_FUNCTION("deserialfunc", "aggdeserialfn")
    "'initcond = ' || quote_literal(a.agginitval), " AGGREGATE_FUNCTION("msfunc", "aggmtransfn")
    AGGREGATE_FUNCTION("minvfunc", "aggminvtransfn") "CASE WHEN a.aggmtranstype <> 0 THEN 'mstype = ' || "
    "format_type(a.aggmtranstype, NULL) END, CASE WHEN a.aggmtransspace > 0 THEN 'msspace = ' || "
    "a.aggmtransspace END, " AGGREGATE_FUNCTION("mfinalfunc", "aggmfinalfn")
    AGGREGATE_WORD("mfinalfunc_extra", "a.aggmfinalextra") "CASE WHEN a.aggmfinalfn::oid <> 0 AND "
    "a.aggmfinalmodify <> CASE a.aggkind WHEN 'n' THEN 'r' ELSE 'w' END THEN 'mfinalfunc_modify = ' || "
    "CASE a.aggmfinalmodify WHEN 'r' THEN 'read_only' WHEN 's' THEN 'shareable' ELSE 'read_write' END "
    "END, 'minitcond = ' || quote_literal(a.aggminitval), (SELECT format('sortop = OPERATOR(%I.%s)', "
    "opn.nspname, o.oprname) FROM pg_operator o JOIN pg_namespace opn ON opn.oid = o.oprnamespace WHERE "
    "o.oid = a.aggsortop), CASE p.proparallel WHEN 's' THEN 'parallel = safe' WHEN 'r' THEN 'parallel = "
    "restricted' END, CASE WHEN a.aggkind = 'h' THEN 'hypothetical' END) || ')' FROM pg_aggregate a JOIN "
    "pg_proc p ON p.oid = a.aggfnoid" NAMESPACE("p.pronamespace") " WHERE true" FREE("1255", "p.oid");

#define VIEWS(kind) \
	"SELECT " REF("1259", "c.oid") ", NULL, NULL, " QUALIFIED("c.relname") \
	", rtrim(ltrim(pg_get_viewdef(c.oid)), ';'), " OPTIONS("c") \
	", (SELECT string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod) || " \
	"coalesce(' ' || " COLLATION("a.attcollation", "t.typcollation") ", ''), E'\\n' ORDER BY " \
	"a.attnum) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND " \
	"a.attnum > 0 AND NOT a.attisdropped), (SELECT quote_ident(am.amname) FROM pg_am am WHERE am.oid " \
	"= c.relam AND am.amname <> 'heap') FROM pg_class c" NAMESPACE("c.relnamespace") \
	" WHERE c.relkind = '" kind "'" FREE("1259", "c.oid")
static const char views[] =
    VIEWS("v");
static const char matviews[] =
    VIEWS("m");

static const char rules[] =
    "SELECT " REF("2618", "r.oid") ", " REF("1259", "c.oid") ", " QUALIFIED("c.relname")
    ", quote_ident(r.rulename), rtrim(pg_get_ruledef(r.oid), ';'), " STATE("r.ev_enabled")
    " FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class" NAMESPACE("c.relnamespace")
    " WHERE r.rulename <> '_RETURN'" FREE("2618", "r.oid");

static const char triggers[] =
    "SELECT " REF("2620", "g.oid") ", " REF("1259", "c.oid") ", " QUALIFIED("c.relname")
    ", quote_ident(g.tgname), pg_get_triggerdef(g.oid), " STATE("g.tgenabled")
    " FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid" NAMESPACE("c.relnamespace")
    " WHERE NOT g.tgisinternal AND g.tgparentid = 0" FREE("2620", "g.oid");

static const char policies[] =
    "SELECT " REF("3256", "p.oid") ", " REF("1259", "c.oid") ", " QUALIFIED("c.relname")
    ", quote_ident(p.polname), CASE WHEN p.polpermissive THEN '' ELSE 'AS RESTRICTIVE ' END || 'FOR ' || "
    "CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN "
    "'DELETE' ELSE 'ALL' END || ' TO ' || (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE "
    "quote_ident(pg_get_userbyid(r)) END, ', ' ORDER BY pg_get_userbyid(r)) FROM unnest(p.polroles) r) || "
    "coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '') || coalesce(' WITH CHECK (' || "
    "pg_get_expr(p.polwithcheck, p.polrelid) || ')', '') FROM pg_policy p JOIN pg_class c ON c.oid = "
    "p.polrelid" NAMESPACE("c.relnamespace");

static const char event_triggers[] =
    "SELECT " REF("3466", "e.oid") ", NULL, NULL, quote_ident(e.evtname), 'ON ' || e.evtevent || "
    "coalesce((SELECT ' WHEN TAG IN (' || string_agg(quote_literal(g), ', ' ORDER BY g) || ')' FROM "
    "unnest(e.evttags) g), '') || format(' EXECUTE FUNCTION %I.%I()', n.nspname, p.proname), "
    STATE("e.evtenabled") " FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid JOIN pg_namespace "
    "n ON n.oid = p.pronamespace WHERE n.nspname <> 'headgate'" FREE("3466", "e.oid");

static const char others[] =
    "SELECT o.class || ':' || o.oid || ':0', NULL, NULL, i.type || ' ' || i.identity FROM (SELECT "
    "2617::oid AS class, oid FROM pg_operator UNION ALL SELECT 2616, oid FROM pg_opclass UNION ALL SELECT "
    "2753, oid FROM pg_opfamily UNION ALL SELECT 2605, oid FROM pg_cast UNION ALL SELECT 2607, oid FROM "
    "pg_conversion UNION ALL SELECT 3602, oid FROM pg_ts_config UNION ALL SELECT 3600, oid FROM "
    "pg_ts_dict UNION ALL SELECT 3601, oid FROM pg_ts_parser UNION ALL SELECT 3764, oid FROM "
    "pg_ts_template UNION ALL SELECT 2328, oid FROM pg_foreign_data_wrapper UNION ALL SELECT 1417, oid "
    "FROM pg_foreign_server UNION ALL SELECT 6104, oid FROM pg_publication UNION ALL SELECT 2612, oid "
    "FROM pg_language UNION ALL SELECT 3576, oid FROM pg_transform UNION ALL SELECT 2601, oid FROM pg_am "
    "UNION ALL SELECT 1247, oid FROM pg_type t WHERE t.typtype IN ('b', 'p') AND NOT EXISTS (SELECT FROM "
    "pg_type x WHERE x.typarray = t.oid)) o, LATERAL pg_identify_object(o.class, o.oid, 0) i WHERE o.oid "
    ">= 16384 AND coalesce(i.schema, '') <> 'headgate'" FREE_ALONE("o.class", "o.oid");

/* What differs from the privileges that PostgreSQL gives by itself, and never the owner's own. */
#define DEVIATIONS \
	"has AS (SELECT t.ref, t.target, t.col, x.grantee, x.privilege_type, bool_or(x.is_grantable) AS " \
	"more FROM things t, aclexplode(t.acl) x WHERE x.grantee <> t.owner GROUP BY 1, 2, 3, 4, 5), " \
	"usual AS (SELECT t.ref, t.target, t.col, x.grantee, x.privilege_type FROM things t, " \
	"aclexplode(t.usual) x WHERE x.grantee <> t.owner) SELECT NULL, g.ref, g.target, CASE g.grantee " \
	"WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(g.grantee)) END, " \
	"string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type) FILTER (WHERE g.how = 1), " \
	"string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type) FILTER (WHERE g.how = 1 AND " \
	"g.more), string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type) FILTER (WHERE g.how = 2), " \
	"g.col FROM (SELECT h.*, 1 AS how FROM has h WHERE NOT EXISTS (SELECT FROM usual u WHERE u.target " \
	"= h.target AND u.grantee = h.grantee AND u.privilege_type = h.privilege_type) UNION ALL SELECT " \
	"u.*, false, 2 FROM usual u WHERE NOT EXISTS (SELECT FROM has h WHERE u.target = h.target AND " \
	"u.grantee = h.grantee AND u.privilege_type = h.privilege_type)) g GROUP BY g.ref, g.target, " \
	"g.col, g.grantee"

static const char grants[] =
    "WITH things(ref, target, col, owner, acl, usual) AS (SELECT " REF("1259", "c.oid")
    ", CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END || " QUALIFIED("c.relname")
    ", NULL, c.relowner, c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::\"char\", "
    "c.relowner) FROM pg_class c" NAMESPACE("c.relnamespace") " WHERE c.relkind IN ('r', 'p', 'f', 'v', "
    "'m', 'S') AND c.relacl IS NOT NULL" FREE("1259", "c.oid") " UNION ALL SELECT "
    COLUMN_REF("c.oid", "a.attnum") ", 'TABLE ' || format('%I.%I (%I)', n.nspname, c.relname, a.attname), "
    "quote_ident(a.attname), c.relowner, a.attacl, NULL FROM pg_attribute a JOIN pg_class c ON c.oid = "
    "a.attrelid" NAMESPACE("c.relnamespace") " WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND NOT "
    "a.attisdropped AND a.attacl IS NOT NULL" FREE("1259", "c.oid") " UNION ALL SELECT "
    REF("1255", "p.oid") ", CASE p.prokind WHEN 'p' THEN 'PROCEDURE ' ELSE 'FUNCTION ' END || "
    "format('%I.%I(%s)', n.nspname, p.proname, oidvectortypes(p.proargtypes)), NULL, p.proowner, "
    "p.proacl, acldefault('f', p.proowner) FROM pg_proc p" NAMESPACE("p.pronamespace")
    " WHERE p.proacl IS NOT NULL" FREE("1255", "p.oid") " UNION ALL SELECT CASE n.nspname WHEN 'public' "
    "THEN NULL ELSE " REF("2615", "n.oid") " END, 'SCHEMA ' || quote_ident(n.nspname), NULL, n.nspowner, "
    "n.nspacl, acldefault('n', n.nspowner) FROM pg_namespace n WHERE " OURS " AND n.nspacl IS NOT NULL"
    FREE("2615", "n.oid") " UNION ALL SELECT " REF("1247", "t.oid") ", 'TYPE ' || " QUALIFIED("t.typname")
    ", NULL, t.typowner, t.typacl, acldefault('T', t.typowner) FROM pg_type t" NAMESPACE("t.typnamespace")
    " WHERE t.typacl IS NOT NULL" FREE("1247", "t.oid") "), " DEVIATIONS;

static const char default_privileges[] =
    "WITH things(ref, target, col, owner, acl, usual) AS (SELECT NULL, 'FOR ROLE ' || "
    "quote_ident(pg_get_userbyid(d.defaclrole)) || coalesce(' IN SCHEMA ' || quote_ident(n.nspname), '') "
    "|| '|' || CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN "
    "'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END, NULL, "
    "d.defaclrole, d.defaclacl, CASE WHEN d.defaclnamespace = 0 THEN acldefault(CASE d.defaclobjtype WHEN "
    "'S' THEN 's' ELSE d.defaclobjtype END::\"char\", d.defaclrole) END FROM pg_default_acl d LEFT JOIN "
    "pg_namespace n ON n.oid = d.defaclnamespace WHERE d.defaclnamespace = 0 OR (" OURS ")), " DEVIATIONS;

static const char comments[] =
    "SELECT NULL, d.classoid || ':' || d.objoid || ':' || d.objsubid, NULL, "
    "coalesce(quote_ident(a.attname), ''), d.description FROM pg_description d LEFT JOIN pg_attribute a "
    "ON d.classoid = 1259 AND d.objsubid > 0 AND a.attrelid = d.objoid AND a.attnum = d.objsubid WHERE "
    /* Extensions bring theirs. */
    "d.objoid >= 16384 AND d.classoid <> 3079";

/* Catalog rows that are a part of something above. */
static const char aliases[] =
    "SELECT " REF("1247", "t.oid") ", " REF("1259", "t.typrelid") " FROM pg_type t JOIN pg_class c ON "
    "c.oid = t.typrelid WHERE c.relkind <> 'c' AND t.oid >= 16384 UNION ALL SELECT "
    REF("1259", "t.typrelid") ", " REF("1247", "t.oid") " FROM pg_type t JOIN pg_class c ON c.oid = "
    "t.typrelid WHERE c.relkind = 'c' AND t.oid >= 16384 UNION ALL SELECT " REF("1247", "t.typarray") ", "
    REF("1247", "t.oid") " FROM pg_type t WHERE t.typarray <> 0 AND t.oid >= 16384 UNION ALL SELECT "
    REF("1247", "m.objid") ", " REF("1247", "m.refobjid") " FROM pg_depend m JOIN pg_type t ON t.oid = "
    "m.objid AND t.typtype = 'm' WHERE m.classid = 1247 AND m.refclassid = 1247 AND m.deptype = 'i' AND "
    "m.objid >= 16384 UNION ALL SELECT " REF("1255", "m.objid") ", " REF("1247", "m.refobjid")
    " FROM pg_depend m WHERE m.classid = 1255 AND m.refclassid = 1247 AND m.deptype = 'i' AND m.objid >= 16384 "
    "UNION ALL SELECT " REF("2618", "r.oid") ", " REF("1259", "r.ev_class")
    " FROM pg_rewrite r WHERE r.rulename = '_RETURN' AND r.oid >= 16384 UNION ALL SELECT "
    REF("2604", "d.oid") ", " COLUMN_REF("d.adrelid", "d.adnum") " FROM pg_attrdef d JOIN pg_attribute a "
    "ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated <> '' UNION ALL SELECT "
    REF("1259", "k.conindid") ", " REF("2606", "k.oid") " FROM pg_constraint k WHERE k.contype IN ('p', "
    "'u', 'x') AND k.conindid <> 0 AND k.oid >= 16384 UNION ALL SELECT " REF("2606", "k.oid") ", "
    REF("2606", "k.conparentid") " FROM pg_constraint k WHERE k.conparentid <> 0 UNION ALL SELECT "
    REF("1259", "i.inhrelid") ", " REF("1259", "i.inhparent") " FROM pg_inherits i JOIN pg_class c ON "
    "c.oid = i.inhrelid AND c.relkind IN ('i', 'I') AND NOT EXISTS (SELECT FROM pg_constraint k WHERE "
    "k.conindid = c.oid AND k.contype IN ('p', 'u', 'x')) UNION ALL SELECT " REF("1259", "d.objid") ", "
    COLUMN_REF("d.refobjid", "d.refobjsubid") " FROM pg_depend d JOIN pg_sequence s ON s.seqrelid = "
    "d.objid WHERE d.classid = 1259 AND d.refclassid = 1259 AND d.deptype = 'i' UNION ALL SELECT "
    "d.classid || ':' || d.objid || ':0', " REF("3079", "d.refobjid") " FROM pg_depend d WHERE "
    "d.refclassid = 3079 AND d.deptype = 'e' AND d.refobjid >= 16384";

static const char needs[] =
    "SELECT DISTINCT d.classid || ':' || d.objid || ':' || d.objsubid, d.refclassid || ':' || d.refobjid "
    "|| ':' || d.refobjsubid FROM pg_depend d WHERE d.objid >= 16384 AND d.refobjid >= 16384 AND "
    "d.deptype <> 'e' "
    /* What follows a parent's index or constraint in a partition: the parent's does not need the partition. */
    "AND NOT EXISTS (SELECT FROM pg_class c WHERE d.classid = 1259 AND c.oid = d.objid AND c.relispartition AND "
    "c.relkind IN ('i', 'I')) AND NOT EXISTS (SELECT FROM pg_constraint k WHERE d.classid = 2606 AND k.oid = "
    "d.objid AND k.conparentid <> 0)";

/* clang-format on */

#define SEQUENCE_NAMES(prefix)                                                                               \
	prefix "start", prefix "increment", prefix "minimum", prefix "maximum", prefix "cache", prefix "cycle"

const struct describe_statement describe_statements[] = {
    {ROWS_NONE, DESCRIBE_KINDS, settings, {NULL}},
    {ROWS_OBJECTS, DESCRIBE_SCHEMA, schemas, {NULL}},
    {ROWS_OBJECTS, DESCRIBE_EXTENSION, extensions, {"schema", ".version"}},
    {ROWS_OBJECTS, DESCRIBE_COLLATION, collations, {"definition"}},
    {ROWS_OBJECTS, DESCRIBE_ENUM, enums, {"values"}},
    {ROWS_OBJECTS, DESCRIBE_DOMAIN, domains, {"type", "collation", "default", "not null"}},
    {ROWS_OBJECTS, DESCRIBE_DOMAIN_CONSTRAINT, domain_constraints, {"definition"}},
    {ROWS_OBJECTS, DESCRIBE_COMPOSITE, composites, {NULL}},
    {ROWS_OBJECTS, DESCRIBE_ATTRIBUTE, attributes, {"type", "collation", ".position"}},
    {ROWS_OBJECTS, DESCRIBE_RANGE, ranges, {"definition"}},
    {ROWS_OBJECTS, DESCRIBE_SEQUENCE, sequences, {"type", SEQUENCE_NAMES(""), "unlogged", "owned by"}},
    {ROWS_OBJECTS, DESCRIBE_TABLE, tables,
	{"unlogged", "partition key", "partition of", "partition bound", "inherits", "options",
	    "access method", "row security", "replica identity", "of type", "server", "server options"}},
    {ROWS_OBJECTS, DESCRIBE_COLUMN, columns,
	{"type", "collation", "not null", "generated", "identity", SEQUENCE_NAMES("identity "), "storage",
	    "compression", "statistics", "options", "server options", ".position", ".inherited",
	    ".usual storage"}},
    {ROWS_OBJECTS, DESCRIBE_DEFAULT, defaults, {"value", ".inherited"}},
    {ROWS_OBJECTS, DESCRIBE_CONSTRAINT, constraints,
	{"definition", "options", "replica identity", "clustered", ".type", ".index"}},
    {ROWS_OBJECTS, DESCRIBE_INDEX, indexes,
	{"unique", "definition", "invalid", "replica identity", "clustered"}},
    {ROWS_OBJECTS, DESCRIBE_STATISTICS, statistics, {"definition", "target"}},
    {ROWS_OBJECTS, DESCRIBE_FUNCTION, functions,
	{"definition", ".parameters", ".result", ".defaults", ".language", ".parsed"}},
    {ROWS_OBJECTS, DESCRIBE_PROCEDURE, procedures,
	{"definition", ".parameters", ".result", ".defaults", ".language", ".parsed"}},
    {ROWS_OBJECTS, DESCRIBE_AGGREGATE, aggregates, {"definition"}},
    {ROWS_OBJECTS, DESCRIBE_VIEW, views, {"definition", "options", ".columns", ".access method"}},
    {ROWS_OBJECTS, DESCRIBE_MATVIEW, matviews, {"definition", "options", ".columns", "access method"}},
    {ROWS_OBJECTS, DESCRIBE_RULE, rules, {"definition", "state"}},
    {ROWS_OBJECTS, DESCRIBE_TRIGGER, triggers, {"definition", "state"}},
    {ROWS_OBJECTS, DESCRIBE_POLICY, policies, {"definition"}},
    {ROWS_OBJECTS, DESCRIBE_EVENT_TRIGGER, event_triggers, {"definition", "state"}},
    {ROWS_OBJECTS, DESCRIBE_OTHER, others, {NULL}},
    {ROWS_OBJECTS, DESCRIBE_GRANT, grants, {"privileges", "grant option", "revoked", ".column"}},
    {ROWS_OBJECTS, DESCRIBE_DEFAULT_PRIVILEGES, default_privileges,
	{"privileges", "grant option", "revoked", ".column"}},
    {ROWS_OBJECTS, DESCRIBE_COMMENT, comments, {"text"}},
    {ROWS_ALIASES, DESCRIBE_KINDS, aliases, {NULL}},
    {ROWS_NEEDS, DESCRIBE_KINDS, needs, {NULL}},
};
const unsigned describe_statement_count = sizeof(describe_statements) / sizeof(describe_statements[0]);
