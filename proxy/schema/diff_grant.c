/* Privileges, default privileges, comments. */
#include <string.h>

#include "base/mem.h"
#include "schema/readers.h"
#include "diff_private.h"

/* ---- privileges ---- */

/* What of `list` is in none of two others: "INSERT, SELECT"; of a column "SELECT (note)". NULL: nothing. To
 * be freed. */
static char *less(const char *list, const char *other, const char *another, const char *column)
{
	struct diff_items all = diff_items(list), a = diff_items(other), b = diff_items(another);
	struct diff_phrase words = {NULL, 0, 0};
	for (unsigned i = 0; i < all.count; i++) {
		if (diff_item_in(&a, &all.at[i]) || diff_item_in(&b, &all.at[i]))
			continue;
		diff_phrase_say(
		    &words, "%s%.*s", words.size > 0 ? ", " : "", (int)all.at[i].size, all.at[i].at);
		if (column != NULL)
			diff_phrase_say(&words, " (%s)", column);
	}
	diff_items_free(&all);
	diff_items_free(&a);
	diff_items_free(&b);
	return words.at;
}

struct privileges {
	const char *given, *passed_on, *revoked; /* lists, or NULL */
};

static struct privileges privileges_of(const struct described *grant)
{
	if (grant == NULL)
		return (struct privileges){NULL, NULL, NULL};
	return (struct privileges){described_value(grant, "privileges"),
	    described_value(grant, "grant option"), described_value(grant, "revoked")};
}

/* prefix: "ALTER DEFAULT PRIVILEGES FOR ROLE x ", or "". */
static void say_one(struct diff_script *script, const char *prefix, const char *what, const char *list,
    const char *on, const char *role, const char *ending)
{
	if (list != NULL)
		diff_say(script, "%s%s %s ON %s %s %s%s", prefix, what, list, on,
		    strncmp(what, "GRANT", 5) == 0 ? "TO" : "FROM", role, ending);
}

/* What is revoked is what PostgreSQL would give by itself; so it is given back by granting it. A privilege
 * that is taken takes its grant option along, and one that is granted with it needs no second word. */
static void change(struct diff_script *script, const char *prefix, const char *on, const char *role,
    const char *column, struct privileges from, struct privileges to)
{
	char *gone = less(from.given, to.given, NULL, NULL);
	char *taken = less(from.given, to.given, NULL, column);
	char *taken_back = less(to.revoked, from.revoked, NULL, column);
	char *less_option = less(from.passed_on, to.passed_on, gone, column);
	char *given = less(to.given, from.given, to.passed_on, column);
	char *given_back = less(from.revoked, to.revoked, to.passed_on, column);
	char *more_option = less(to.passed_on, from.passed_on, NULL, column);
	say_one(script, prefix, "REVOKE", taken, on, role, "");
	say_one(script, prefix, "REVOKE", taken_back, on, role, "");
	say_one(script, prefix, "REVOKE GRANT OPTION FOR", less_option, on, role, "");
	say_one(script, prefix, "GRANT", given, on, role, "");
	say_one(script, prefix, "GRANT", given_back, on, role, "");
	say_one(script, prefix, "GRANT", more_option, on, role, " WITH GRANT OPTION");
	mem_free(&gone);
	mem_free(&taken);
	mem_free(&taken_back);
	mem_free(&less_option);
	mem_free(&given);
	mem_free(&given_back);
	mem_free(&more_option);
}

static void change_grant(struct diff_script *script, const struct described *from, const struct described *to)
{
	const struct described *grant = to != NULL ? to : from;
	const char *column = described_value(grant, ".column");
	size_t n = strlen(grant->on) - (column != NULL ? strlen(column) + strlen(" ()") : 0);
	char *on = mem_strndup(grant->on, n);
	change(script, "", on, grant->name, column, privileges_of(from), privileges_of(to));
	mem_free(&on);
}

static void create_grant(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	change_grant(script, NULL, plan->parts[action->part].to);
}

static void drop_grant(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	change_grant(script, part->from, NULL);
}

static void alter_grant(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	change_grant(script, part->from, part->to);
}

const struct diff_writer diff_grant = {create_grant, drop_grant, alter_grant};

static void change_default(
    struct diff_script *script, const struct described *from, const struct described *to)
{
	const struct described *both = to != NULL ? to : from;
	const char *bar = strrchr(both->on, '|');
	char *prefix = mem_printf("ALTER DEFAULT PRIVILEGES %.*s ", (int)(bar - both->on), both->on);
	change(script, prefix, bar + 1, both->name, NULL, privileges_of(from), privileges_of(to));
	mem_free(&prefix);
}

static void create_default(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	change_default(script, NULL, plan->parts[action->part].to);
}

static void drop_default(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	change_default(script, part->from, NULL);
}

static void alter_default(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	change_default(script, part->from, part->to);
}

const struct diff_writer diff_default_privileges = {create_default, drop_default, alter_default};

/* ---- comments ---- */

static char *target(const struct described *comment)
{
	static const char *const words[DESCRIBE_KINDS] = {
	    [DESCRIBE_SCHEMA] = "SCHEMA",
	    [DESCRIBE_EXTENSION] = "EXTENSION",
	    [DESCRIBE_COLLATION] = "COLLATION",
	    [DESCRIBE_ENUM] = "TYPE",
	    [DESCRIBE_DOMAIN] = "DOMAIN",
	    [DESCRIBE_DOMAIN_CONSTRAINT] = "CONSTRAINT",
	    [DESCRIBE_COMPOSITE] = "TYPE",
	    [DESCRIBE_ATTRIBUTE] = "COLUMN",
	    [DESCRIBE_RANGE] = "TYPE",
	    [DESCRIBE_SEQUENCE] = "SEQUENCE",
	    [DESCRIBE_TABLE] = "TABLE",
	    [DESCRIBE_COLUMN] = "COLUMN",
	    [DESCRIBE_CONSTRAINT] = "CONSTRAINT",
	    [DESCRIBE_INDEX] = "INDEX",
	    [DESCRIBE_STATISTICS] = "STATISTICS",
	    [DESCRIBE_FUNCTION] = "FUNCTION",
	    [DESCRIBE_PROCEDURE] = "PROCEDURE",
	    [DESCRIBE_AGGREGATE] = "AGGREGATE",
	    [DESCRIBE_VIEW] = "VIEW",
	    [DESCRIBE_MATVIEW] = "MATERIALIZED VIEW",
	    [DESCRIBE_RULE] = "RULE",
	    [DESCRIBE_TRIGGER] = "TRIGGER",
	    [DESCRIBE_POLICY] = "POLICY",
	    [DESCRIBE_EVENT_TRIGGER] = "EVENT TRIGGER",
	    [DESCRIBE_OTHER] = "", /* its name says what it is */
	};
	const struct described *of = comment->parent;
	switch (of->kind) {
	case DESCRIBE_COLUMN:
	case DESCRIBE_ATTRIBUTE:
		return mem_printf("COLUMN %s.%s", of->on, of->name);
	case DESCRIBE_DOMAIN_CONSTRAINT:
		return mem_printf("CONSTRAINT %s ON DOMAIN %s", of->name, of->on);
	case DESCRIBE_CONSTRAINT:
	case DESCRIBE_RULE:
	case DESCRIBE_TRIGGER:
	case DESCRIBE_POLICY:
		return mem_printf("%s %s ON %s", words[of->kind], of->name, of->on);
	default:
		break;
	}
	if (comment->name[0] != '\0')
		return mem_printf("COLUMN %s.%s", of->name, comment->name);
	if (of->kind == DESCRIBE_TABLE && described_value(of, "server") != NULL)
		return mem_printf("FOREIGN TABLE %s", of->name);
	return mem_printf("%s %s", words[of->kind] != NULL ? words[of->kind] : "", of->name);
}

static void say_comment(struct diff_script *script, const struct described *comment, const char *text)
{
	char *on = target(comment), *literal = text != NULL ? sql_literal(text) : mem_strdup("NULL");
	diff_say(script, "COMMENT ON %s IS %s", on, literal + strspn(literal, " "));
	mem_free(&on);
	mem_free(&literal);
}

static void create_comment(
    struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *comment = plan->parts[action->part].to;
	say_comment(script, comment, described_value(comment, "text"));
}

static void drop_comment(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	say_comment(script, part->from, NULL);
}

static void alter_comment(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	(void)plan;
	say_comment(script, part->to, described_value(part->to, "text"));
}

const struct diff_writer diff_comment = {create_comment, drop_comment, alter_comment};
