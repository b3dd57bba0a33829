/* Sequences, and those inside of identity columns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diff_private.h"

static const char *value_of(const struct described *object, const char *prefix, const char *name)
{
	char attribute[40];
	snprintf(attribute, sizeof(attribute), "%s%s", prefix, name);
	return described_value(object, attribute);
}

/* What CREATE SEQUENCE does where nothing is said. */
static const char *usual(const struct described *object, const char *prefix, const char *name)
{
	static const struct {
		const char *type, *minimum, *maximum;
	} bounds[] = {{"smallint", "-32768", "32767"}, {"integer", "-2147483648", "2147483647"},
	    {"bigint", "-9223372036854775808", "9223372036854775807"}};
	const char *increment = value_of(object, prefix, "increment"),
		   *type = described_value(object, "type");
	bool down = increment != NULL && increment[0] == '-';
	size_t kind = 0;
	while (kind < 2 && (type == NULL || strcmp(type, bounds[kind].type) != 0))
		kind++;
	if (strcmp(name, "minimum") == 0)
		return down ? bounds[kind].minimum : "1";
	if (strcmp(name, "maximum") == 0)
		return down ? "-1" : bounds[kind].maximum;
	if (strcmp(name, "start") == 0)
		return value_of(object, prefix, down ? "maximum" : "minimum");
	return "1"; /* increment, cache */
}

void diff_sequence_words(struct diff_phrase *phrase, const struct described *from, const struct described *to,
    const char *prefix, const char *before)
{
	static const struct {
		const char *name, *words;
	} all[] = {{"increment", "INCREMENT BY"}, {"minimum", "MINVALUE"}, {"maximum", "MAXVALUE"},
	    {"start", "START WITH"}, {"cache", "CACHE"}};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		const char *value = value_of(to, prefix, all[i].name);
		const char *old =
		    from != NULL ? value_of(from, prefix, all[i].name) : usual(to, prefix, all[i].name);
		if (value != NULL && (old == NULL || strcmp(old, value) != 0))
			diff_phrase_say(phrase, "%s%s %s", before, all[i].words, value);
	}
	bool cycles = value_of(to, prefix, "cycle") != NULL;
	if (cycles != (from != NULL && value_of(from, prefix, "cycle") != NULL))
		diff_phrase_say(phrase, "%s%s", before, cycles ? "CYCLE" : "NO CYCLE");
}

static void create(struct diff_script *script, const struct diff_plan *plan, const struct action *action)
{
	const struct described *sequence = plan->parts[action->part].to;
	const char *type = described_value(sequence, "type"), *owner = described_value(sequence, "owned by");
	struct diff_phrase words = {NULL, 0, 0};
	diff_phrase_say(&words, "CREATE %sSEQUENCE %s",
	    described_value(sequence, "unlogged") != NULL ? "UNLOGGED " : "", sequence->name);
	if (strcmp(type, "bigint") != 0)
		diff_phrase_say(&words, " AS %s", type);
	diff_sequence_words(&words, NULL, sequence, "", " ");
	if (owner != NULL)
		diff_phrase_say(&words, " OWNED BY %s", owner);
	diff_say(script, "%s", words.at);
	mem_free(&words.at);
}

static void drop(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const struct part *suspect = diff_suspect(plan, part);
	if (suspect != NULL)
		diff_remark(script,
		    "Is this a rename? %s goes and %s comes, which is like it. To keep where it stands, "
		    "write instead of this "
		    "DROP SEQUENCE and of the CREATE SEQUENCE below:\n  ALTER SEQUENCE %s RENAME TO %s;",
		    part->from->name, suspect->to->name, part->from->name, describe_bare(suspect->to->name));
	diff_say(script, "DROP SEQUENCE %s", part->from->name);
}

static long long number(const struct described *sequence, const char *name)
{
	const char *value = described_value(sequence, name);
	return value != NULL ? strtoll(value, NULL, 10) : 0;
}

static void alter(struct diff_script *script, const struct diff_plan *plan, const struct part *part)
{
	const char *owner = diff_to(part, "owned by");
	struct diff_phrase words = {NULL, 0, 0};
	(void)plan;
	if (diff_changed(part, "type"))
		diff_phrase_say(&words, " AS %s", diff_to(part, "type"));
	diff_sequence_words(&words, part->from, part->to, "", " ");
	if (diff_changed(part, "owned by"))
		diff_phrase_say(&words, " OWNED BY %s", owner != NULL ? owner : "NONE");
	if (number(part->to, "minimum") > number(part->from, "minimum") ||
	    number(part->to, "maximum") < number(part->from, "maximum"))
		diff_remark(script, "Fails where %s stands outside of its new bounds.", part->to->name);
	if (words.size > 0)
		diff_say(script, "ALTER SEQUENCE %s%s", part->to->name, words.at);
	if (diff_changed(part, "unlogged"))
		diff_say(script, "ALTER SEQUENCE %s SET %s", part->to->name,
		    diff_to(part, "unlogged") != NULL ? "UNLOGGED" : "LOGGED");
	mem_free(&words.at);
}

const struct diff_writer diff_sequence = {create, drop, alter};
