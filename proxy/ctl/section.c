#include "section.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/tls.h"
#include "schema/link.h"
#include "schema/readers.h"

static bool parse_heads(const struct conf_database *section, const char *key, const char *text,
    struct heads *out, char *error, size_t error_size)
{
	const char *why = "";
	if (heads_parse(text, strlen(text), out, &why))
		return true;
	snprintf(
	    error, error_size, "databases.%s.%s: '%s' cannot be a head: %s", section->name, key, text, why);
	return false;
}

static enum gate_order order(enum conf_order from)
{
	switch (from) {
	case CONF_ORDER_TOOL: /* reader_order() says which */
	case CONF_ORDER_NONE:
		return ORDER_NONE;
	case CONF_ORDER_NUMERIC:
		return ORDER_NUMERIC;
	case CONF_ORDER_TEXT:
		return ORDER_TEXT;
	case CONF_ORDER_LIST:
		return ORDER_LIST;
	}
	return ORDER_NONE;
}

static bool fill_list(
    const struct conf_database *section, struct gate_policy *policy, char *error, size_t error_size)
{
	const struct conf_recorded *recorded = &section->recorded;
	if (recorded->list_count == 0)
		return true;
	policy->list = mem_zalloc(recorded->list_count * sizeof *policy->list);
	policy->list_count = recorded->list_count;
	for (unsigned i = 0; i < recorded->list_count; i++) {
		if (!parse_heads(
			section, "recorded.order", recorded->list[i], &policy->list[i], error, error_size))
			return false;
	}
	return true;
}

static int window(const struct conf_database *section)
{
	switch (section->accept) {
	case ACCEPT_EXACT:
		return 0;
	case ACCEPT_COMPATIBLE:
		return GATE_WINDOW_COMPATIBLE;
	case ACCEPT_WINDOW:
		return (int)section->window;
	}
	return 0;
}

static bool fill_policy(
    const struct conf_database *section, struct gate_policy *policy, char *error, size_t error_size)
{
	policy->mode = section->observe ? GATE_OBSERVE : GATE_ENFORCE;
	policy->ahead = section->ahead_hold ? ANSWER_HOLD : ANSWER_REJECT;
	policy->ahead_hold_ns = section->ahead_hold_ns;
	policy->on_failed = section->on_failed_hold ? ANSWER_HOLD : ANSWER_REJECT;
	policy->disclose = section->disclose;
	policy->window = window(section);
	policy->order = order(reader_order(&section->recorded));
	switch (section->undeclared) {
	case CONF_UNDECLARED_REJECT:
		policy->undeclared = UNDECLARED_REJECT;
		break;
	case CONF_UNDECLARED_ADMIT:
		policy->undeclared = UNDECLARED_ADMIT;
		break;
	case CONF_UNDECLARED_HEAD:
		policy->undeclared = UNDECLARED_HEAD;
		if (!parse_heads(section, "undeclared.head", section->undeclared_head,
			&policy->undeclared_head, error, error_size))
			return false;
		break;
	}
	return fill_list(section, policy, error, error_size);
}

bool section_view(const struct conf_database *section, struct gate_view *view, char *error, size_t error_size)
{
	view->hold_max_ns = section->hold.max_ns;
	if (!fill_policy(section, &view->policy, error, error_size))
		return false;
	if (section->pin_count == 0)
		return true;
	view->pins = mem_zalloc(section->pin_count * sizeof *view->pins);
	for (unsigned i = 0; i < section->pin_count; i++) {
		if (!parse_heads(
			section, "pins", section->pins[i].head, &view->pins[i].heads, error, error_size))
			return false;
		view->pins[i].until_ns = INT64_MAX;
		view->pin_count++;
	}
	return true;
}

bool section_check(const struct conf_database *section, char *error, size_t error_size)
{
	struct gate_view *view = gate_view_new(section->name);
	bool good = section_view(section, view, error, error_size);
	gate_view_unref(&view);
	char why[400] = "";
	if (good && !link_check(section, why, sizeof why)) {
		snprintf(error, error_size, "databases.%s: %s", section->name, why);
		good = false;
	}
	if (good && section->upstream.tls.mode != TLS_DISABLE) {
		struct tls_context *tls =
		    tls_context_new(&section->upstream.tls, TLS_CLIENT, why, sizeof why);
		if (!tls)
			snprintf(error, error_size, "databases.%s.upstream.tls: %s", section->name, why);
		good = tls != NULL;
		tls_context_unref(&tls);
	}
	return good;
}

static void warn(struct conf_errors *warnings, const struct conf_database *section, const char *what)
{
	if (warnings->count < sizeof warnings->lines / sizeof *warnings->lines)
		warnings->lines[warnings->count++] = mem_printf("databases.%s.%s", section->name, what);
}

/* The default of migrations.lock_timeout (conf.def); what is as without being written needs no word. */
#define LOCK_TIMEOUT (2 * CLOCK_S)

void section_warnings(const struct conf_database *section, struct conf_errors *warnings)
{
	if (section->migrations.dir != NULL)
		warn(warnings, section, "migrations.dir: has no effect yet");
	if (section->migrations.lock_timeout_ns != LOCK_TIMEOUT)
		warn(warnings, section, "migrations.lock_timeout: has no effect yet");
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool section_same_link(const struct conf_database *a, const struct conf_database *b)
{
	return same_text(a->control.dsn, b->control.dsn) &&
	    same_text(a->upstream.dbname, b->upstream.dbname) &&
	    same_text(a->recorded.reader, b->recorded.reader) &&
	    same_text(a->recorded.schema, b->recorded.schema) &&
	    same_text(a->recorded.table, b->recorded.table) &&
	    same_text(a->recorded.statement, b->recorded.statement) && a->lease_ns == b->lease_ns;
}

char *section_link_dbname(const struct conf_database *section, const char *name)
{
	return mem_strdup(section->upstream.dbname ? section->upstream.dbname : name);
}
