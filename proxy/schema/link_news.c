/* The link's news: one picture, compared field by field, told when it changed. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "link_private.h"

static bool text_equal(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

void link_set_flag(struct link *link, bool *flag, bool value)
{
	link->picture.changed |= *flag != value;
	*flag = value;
}

void link_set_trouble(struct link *link, const char *sqlstate, const char *trouble)
{
	struct link_picture *picture = &link->picture;
	if (trouble == NULL)
		sqlstate = "";
	if (text_equal(picture->trouble, trouble) && strcmp(picture->sqlstate, sqlstate) == 0)
		return;
	char *copy = trouble != NULL ? mem_strdup(trouble) : NULL;
	mem_free(&picture->trouble);
	picture->trouble = copy;
	strncpy(picture->sqlstate, sqlstate, sizeof(picture->sqlstate) - 1);
	picture->changed = true;
	if (copy != NULL && sqlstate[0] != '\0')
		log_warning(link->object, "%s (SQLSTATE %s)", copy, picture->sqlstate);
	else if (copy != NULL)
		log_warning(link->object, "%s", copy);
	else
		log_info(link->object, "in order");
}

void link_set_recorded(struct link *link, struct recorded *recorded)
{
	struct recorded *old = &link->picture.news.recorded;
	if (!recorded_equal(old, recorded)) {
		link->picture.changed = true;
		log_info(link->object, "recorded version: %s, %s%s%s%s", heads_text(&recorded->heads),
		    recorded_state_name(recorded->state), recorded->detail != NULL ? ": " : "",
		    recorded->detail != NULL ? recorded->detail : "",
		    recorded->by_run ? "; say what was done about it with `headgate resolve`" : "");
	}
	recorded_free(old);
	*old = *recorded;
	*recorded = (struct recorded){.heads = heads_none()};
}

static void run_free(struct gate_run *run)
{
	heads_free(&run->from);
	heads_free(&run->target);
	mem_free(&run->who);
	mem_free(&run->reason);
	*run = (struct gate_run){.id = 0};
}

void link_set_run(struct link *link, struct gate_run *run)
{
	struct gate_run *old = &link->picture.news.run;
	link->picture.changed |= old->id != run->id || old->holding != run->holding ||
	    old->target_known != run->target_known || !heads_equal(&old->from, &run->from) ||
	    !heads_equal(&old->target, &run->target) || !text_equal(old->who, run->who) ||
	    !text_equal(old->reason, run->reason);
	run_free(old);
	*old = *run;
	*run = (struct gate_run){.id = 0};
}

static void pins_free(struct gate_pin **pins, unsigned *count)
{
	for (unsigned i = 0; i < *count; i++)
		heads_free(&(*pins)[i].heads);
	mem_free(pins);
	*count = 0;
}

/* An end that is recomputed from "so long left" wanders by a round trip's time; what it was stays until it
 * moved by more. */
static bool pin_moved(const struct gate_pin *old, const struct gate_pin *new)
{
	if (old->until_ns == INT64_MAX || new->until_ns == INT64_MAX)
		return old->until_ns != new->until_ns;
	return llabs(old->until_ns - new->until_ns) > CLOCK_S;
}

void link_set_pins(struct link *link, struct gate_pin **pins, unsigned *count)
{
	struct link_picture *picture = &link->picture;
	bool changed = *count != picture->news.pin_count;
	for (unsigned i = 0; i < *count && !changed; i++)
		changed = !heads_equal(&(*pins)[i].heads, &picture->pins[i].heads) ||
		    pin_moved(&picture->pins[i], &(*pins)[i]);
	if (!changed) {
		pins_free(pins, count);
		return;
	}
	pins_free(&picture->pins, &picture->news.pin_count);
	picture->pins = *pins;
	picture->news.pin_count = *count;
	picture->changed = true;
	*pins = NULL;
	*count = 0;
}

void link_set_graph(struct link *link, struct gate_graph **graph, char **trouble)
{
	struct link_picture *picture = &link->picture;
	struct gate_graph *is = *graph, *was = picture->news.graph;

	if (is != was || !text_equal(*trouble, picture->graph_trouble)) {
		picture->changed = true;
		if (*trouble != NULL)
			log_warning(
			    link->object, "the published graph of migrations is not used: %s", *trouble);
		else if (is != NULL)
			log_info(link->object, "graph of migrations: serial %" PRId64 ", %u revisions",
			    is->serial, is->revisions);
		else
			log_info(link->object, "graph of migrations: none");
	}
	gate_graph_unref(&picture->news.graph);
	mem_free(&picture->graph_trouble);
	picture->news.graph = is;
	picture->graph_trouble = *trouble;
	*graph = NULL;
	*trouble = NULL;
}

bool link_tell(struct link *link, bool in_any_case)
{
	struct link_picture *picture = &link->picture;
	if (!picture->changed && !in_any_case)
		return true;
	picture->changed = false;
	picture->told = true;
	picture->news.pins = picture->pins;
	picture->news.trouble = picture->trouble;
	picture->news.graph_trouble = picture->graph_trouble;
	picture->news.trouble_sqlstate = picture->sqlstate;
	link->telling = true;
	link->news(&picture->news, link->arg);
	link->telling = false;
	if (!link->dead)
		return true;
	link_picture_free(picture);
	mem_free(&link);
	return false;
}

void link_picture_free(struct link_picture *picture)
{
	recorded_free(&picture->news.recorded);
	run_free(&picture->news.run);
	pins_free(&picture->pins, &picture->news.pin_count);
	gate_graph_unref(&picture->news.graph);
	mem_free(&picture->graph_trouble);
	mem_free(&picture->trouble);
}
