#include "schema/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

/* So many digits of a checksum tell two apart, for people. */
#define SHOWN_DIGITS 12
/* How many files a refusal names. */
#define NAMED_FILES 20

const char *plan_kind_name(enum plan_kind kind)
{
	switch (kind) {
	case PLAN_UP:
		return "up";
	case PLAN_DOWN:
		return "down";
	case PLAN_REPEAT:
		return "repeat";
	}
	return "?";
}

void plan_free(struct plan *plan)
{
	for (unsigned i = 0; i < plan->count; i++) {
		heads_free(&plan->at[i].before);
		heads_free(&plan->at[i].after);
	}
	mem_free(&plan->at);
	heads_free(&plan->from);
	heads_free(&plan->to);
	*plan = (struct plan){.count = 0};
}

/* ---- what the ledger has, by name ---- */

struct known {
	const struct plan_applied **by_name;
	unsigned count;
};

static int compare_applied(const void *a, const void *b)
{
	const struct plan_applied *const *x = a, *const *y = b;
	return strcmp((*x)->name, (*y)->name);
}

static struct known known_of(const struct plan_applied *at, unsigned count)
{
	struct known known = {.by_name = mem_alloc((count + 1) * sizeof(*known.by_name)), .count = count};
	for (unsigned i = 0; i < count; i++)
		known.by_name[i] = &at[i];
	if (count > 0)
		qsort(known.by_name, count, sizeof(*known.by_name), compare_applied);
	return known;
}

static const struct plan_applied *known_find(const struct known *known, const char *name)
{
	const struct plan_applied key = {.name = name}, *at = &key;
	const struct plan_applied **found = known->count == 0
	    ? NULL
	    : bsearch(&at, known->by_name, known->count, sizeof(*known->by_name), compare_applied);
	return found != NULL ? *found : NULL;
}

/* ---- building ---- */

struct building {
	const struct plan_request *request;
	const struct catalog *catalog;
	const struct graph *graph;
	struct known applied;
	bool applied_known; /* the ledger knows single migrations */
	struct plan *plan;
	/* The trouble, as a first line made of its parts, and the files it is about. */
	FILE *files;
	char *file_lines;
	size_t file_size;
	unsigned named;
};

static bool outside(const struct catalog_section *section)
{
	return section->outside || section->alone != NULL || (section->control != NULL && !section->wrapped);
}

static void add(struct building *b, enum plan_kind kind, const struct catalog_migration *migration,
    const struct catalog_section *section, const struct heads *after, bool late)
{
	struct plan *plan = b->plan;

	if ((plan->count & (plan->count - 1)) == 0) /* grown at each power of two */
		plan->at = mem_realloc(
		    plan->at, (plan->count == 0 ? 1 : (size_t)plan->count * 2) * sizeof(*plan->at));
	const struct heads *before = plan->count > 0 ? &plan->at[plan->count - 1].after : &plan->from;
	struct plan_step step = {
	    .kind = kind,
	    .migration = migration,
	    .section = section,
	    .revision = migration->revision,
	    .before = heads_copy(before),
	    .after = heads_copy(after),
	    .outside = outside(section),
	    .flowing = section->flowing || section->statements == 0,
	    .late = late,
	};
	if (kind == PLAN_REPEAT) {
		const char *slash = strrchr(migration->file, '/');
		step.revision = slash != NULL ? slash + 1 : migration->file;
	}
	catalog_checksum(&migration->up, b->request->digest, step.checksum);
	plan->at[plan->count++] = step;
}

static void trouble_open(struct building *b)
{
	b->named = 0;
	b->files = open_memstream(&b->file_lines, &b->file_size);
	if (b->files == NULL)
		log_fatal("out of memory");
}

static void trouble_name(struct building *b, const struct catalog_migration *migration, const char *text)
{
	if (b->named++ < NAMED_FILES)
		fprintf(b->files, "\n%s:%u: revision %s%s", migration->file, migration->line,
		    migration->revision, text);
}

/* Closes the list; with anything in it the first line is put before it. Returns whether all is well. */
static bool trouble_close(
    struct building *b, const char *one, const char *several, const char *what_to_do, char **why)
{
	if (b->named > NAMED_FILES)
		fprintf(b->files, "\n... and %u more", b->named - NAMED_FILES);
	fclose(b->files);
	if (b->named == 1)
		*why = mem_printf("%s: %s%s", one, what_to_do, b->file_lines);
	else if (b->named > 1)
		*why = mem_printf("%u %s: %s%s", b->named, several, what_to_do, b->file_lines);
	free(b->file_lines);
	return b->named == 0;
}

static bool check_path(struct building *b, const struct graph_path *path, char **why)
{
	struct catalog_defects defects = {.count = 0};
	bool fine = catalog_check_path(b->catalog, path, &defects);

	if (!fine) {
		char *lines;
		size_t size;
		FILE *to = open_memstream(&lines, &size);
		if (to == NULL)
			log_fatal("out of memory");
		fprintf(to, "the way %s cannot be gone", path->down ? "down" : "up");
		if (path->down && catalog_format(b->catalog) != CATALOG_ALEMBIC)
			fprintf(to, ": write the sections that are missing, or restore a backup");
		unsigned named = defects.count < CATALOG_DEFECTS ? defects.count : CATALOG_DEFECTS;
		for (unsigned i = 0; i < named; i++)
			fprintf(to, "\n%s", defects.lines[i]);
		if (defects.count > named)
			fprintf(to, "\n... and %u more", defects.count - named);
		fclose(to);
		*why = mem_strdup(lines);
		free(lines);
	}
	catalog_defects_free(&defects);
	return fine;
}

static void check_changed(struct building *b, unsigned place)
{
	const struct catalog_migration *m = catalog_at(b->catalog, place);
	const struct plan_applied *row = known_find(&b->applied, m->revision);
	char now[65], text[160];

	if (row == NULL || row->checksum == NULL || m->up.file == NULL)
		return;
	catalog_checksum(&m->up, b->request->digest, now);
	if (strcmp(now, row->checksum) == 0)
		return;
	snprintf(text, sizeof(text), ": its checksum was %.*s when it was applied and is %.*s now",
	    SHOWN_DIGITS, row->checksum, SHOWN_DIGITS, now);
	trouble_name(b, m, text);
}

static bool changed_close(struct building *b, char **why)
{
	return trouble_close(b, "a file has changed since it was applied",
	    "files have changed since they were applied",
	    "put back what was applied and write the change as a new migration, or accept it as it is with "
	    "--accept-changed",
	    why);
}

static bool is_late(const struct building *b, unsigned place)
{
	return b->applied_known && known_find(&b->applied, catalog_at(b->catalog, place)->revision) == NULL;
}

static bool late_close(struct building *b, char **why)
{
	return trouble_close(b, "a migration stands before what is recorded and was never applied",
	    "migrations stand before what is recorded and were never applied",
	    "give them a place behind it, or run them now with --late run, or leave them out with --late "
	    "leave",
	    why);
}

/* What is there already: has any of it changed, and is all of it there? The late ones are left in *late. */
static bool check_recorded(struct building *b, struct graph_places *late, char **why)
{
	struct graph_places there;
	if (!graph_applied(b->graph, &b->request->ledger->heads, &there, why))
		return false;
	trouble_open(b);
	for (unsigned i = 0; i < there.count && !b->request->accept_changed; i++)
		check_changed(b, there.at[i]);
	bool fine = changed_close(b, why);
	unsigned count = 0;
	for (unsigned i = 0; i < there.count; i++) {
		if (is_late(b, there.at[i]))
			there.at[count++] = there.at[i];
	}
	there.count = count;
	if (fine && b->request->late == PLAN_LATE_REFUSE) {
		trouble_open(b);
		for (unsigned i = 0; i < count; i++)
			trouble_name(b, catalog_at(b->catalog, there.at[i]), "");
		fine = late_close(b, why);
	}
	if (!fine || b->request->late != PLAN_LATE_RUN)
		there.count = 0;
	*late = there;
	return fine;
}

/* The same of what is to be undone: a file that has changed, or was never applied, may not fit its way down.
 */
static bool check_down(struct building *b, const struct graph_path *path, char **why)
{
	trouble_open(b);
	for (unsigned i = 0; i < path->count && !b->request->accept_changed; i++)
		check_changed(b, path->at[i].place);
	if (!changed_close(b, why))
		return false;
	trouble_open(b);
	for (unsigned i = 0; i < path->count && b->request->late == PLAN_LATE_REFUSE; i++) {
		if (is_late(b, path->at[i].place))
			trouble_name(b, catalog_at(b->catalog, path->at[i].place), "");
	}
	return late_close(b, why);
}

static void add_repeatables(struct building *b)
{
	const struct plan_ledger *ledger = b->request->ledger;
	struct known known = known_of(ledger->repeatable, ledger->repeatable_count);

	for (unsigned i = 0; i < catalog_repeatable_count(b->catalog); i++) {
		const struct catalog_migration *m = catalog_repeatable_at(b->catalog, i);
		struct heads now =
		    heads_copy(b->plan->count > 0 ? &b->plan->at[b->plan->count - 1].after : &b->plan->from);
		add(b, PLAN_REPEAT, m, &m->up, &now, false);
		heads_free(&now);
		struct plan_step *step = &b->plan->at[b->plan->count - 1];
		const struct plan_applied *row = known_find(&known, step->revision);
		if (row == NULL || row->checksum == NULL || strcmp(row->checksum, step->checksum) != 0)
			continue;
		heads_free(&step->before);
		heads_free(&step->after);
		b->plan->count--;
	}
	mem_free(&known.by_name);
}

static void settle(struct plan *plan)
{
	plan->to = heads_copy(plan->count > 0 ? &plan->at[plan->count - 1].after : &plan->from);
	for (unsigned i = 0; i < plan->count; i++) {
		if (plan->at[i].flowing)
			continue;
		if (plan->hold_end == 0)
			plan->hold_begin = i;
		plan->hold_end = i + 1;
	}
}

static void build_begin(struct building *b, const struct plan_request *request, struct plan *out)
{
	const struct plan_ledger *ledger = request->ledger;
	*out = (struct plan){.count = 0};
	*b = (struct building){
	    .request = request,
	    .catalog = request->catalog,
	    .graph = catalog_graph(request->catalog),
	    .applied = known_of(ledger->applied, ledger->applied_count),
	    .applied_known = ledger->applied_count > 0 || heads_is_none(&ledger->heads),
	    .plan = out,
	};
}

/* "a:b", whatever is recorded: nothing is known of what is there. */
static bool offline(const struct plan_request *request)
{
	return strchr(request->target, ':') != NULL;
}

bool plan_up(const struct plan_request *request, struct plan *out, char **why)
{
	struct building b;
	struct graph_path path = {.count = 0};
	struct graph_places late = {.count = 0};

	*why = NULL;
	build_begin(&b, request, out);
	bool fine = graph_upgrade(b.graph, &request->ledger->heads, request->target, &path, why) &&
	    check_path(&b, &path, why) && (offline(request) || check_recorded(&b, &late, why));
	if (fine) {
		out->from = heads_copy(offline(request) ? &path.from : &request->ledger->heads);
		for (unsigned i = 0; i < late.count; i++) {
			const struct catalog_migration *m = catalog_at(b.catalog, late.at[i]);
			add(&b, PLAN_UP, m, &m->up, &out->from, true);
		}
		for (unsigned i = 0; i < path.count; i++) {
			const struct catalog_migration *m = catalog_at(b.catalog, path.at[i].place);
			add(&b, PLAN_UP, m, &m->up, &path.at[i].after, false);
		}
		if (!request->no_repeatables)
			add_repeatables(&b);
		settle(out);
	}
	mem_free(&b.applied.by_name);
	graph_places_free(&late);
	graph_path_free(&path);
	return fine;
}

bool plan_down(const struct plan_request *request, struct plan *out, char **why)
{
	static const struct catalog_section nothing = {.file = NULL};
	struct building b;
	struct graph_path path = {.count = 0};

	*why = NULL;
	build_begin(&b, request, out);
	bool fine = graph_downgrade(b.graph, &request->ledger->heads, request->target, &path, why) &&
	    check_path(&b, &path, why) && (offline(request) || check_down(&b, &path, why));
	if (fine) {
		out->from = heads_copy(offline(request) ? &path.from : &request->ledger->heads);
		for (unsigned i = 0; i < path.count; i++) {
			const struct catalog_migration *m = catalog_at(b.catalog, path.at[i].place);
			bool never = !offline(request) && is_late(&b, path.at[i].place);
			add(&b, PLAN_DOWN, m, never ? &nothing : &m->down, &path.at[i].after, false);
		}
		settle(out);
	}
	mem_free(&b.applied.by_name);
	graph_path_free(&path);
	return fine;
}
