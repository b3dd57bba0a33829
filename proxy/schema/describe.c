#include "schema/describe.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "describe_private.h"

#define DESCRIBE_OBJECTS   1000000u
#define ALIASES_OF_ALIASES 8 /* an array of a partition's row type, and then some */

/* A row of PostgreSQL's catalogs. */
struct reference {
	uint32_t catalog, object, column;
};

struct object {
	struct described told; /* what is told of it: first, so that one is the other */
	struct reference reference, parent;
	char *identity, *on, *name;
	char **values;
	unsigned value_count;
	bool has_reference, has_parent;
};

struct pair {
	struct reference from, to;
};

struct edge {
	unsigned from, to; /* places */
};

struct place {
	struct reference reference;
	unsigned at;
};

struct description {
	struct object *objects;
	unsigned count, room;
	struct pair *aliases, *needs;
	unsigned alias_count, alias_room, need_count, need_room;
	struct place *places; /* by reference */
	unsigned place_count;
	const struct described **needed; /* the needs of all, one after the other */
	char *skip;
	bool finished;
};

static const char *const kind_names[] = {
#define KIND(name, text) [DESCRIBE_##name] = text,
#include "schema/describe.def"
#undef KIND
};

const char *describe_kind_name(enum describe_kind kind)
{
	return kind_names[kind];
}

const char *describe_sql(unsigned statement)
{
	return statement < describe_statement_count ? describe_statements[statement].sql : NULL;
}

const char *const *describe_attributes(enum describe_kind kind)
{
	static const char *const none[] = {NULL};
	for (unsigned i = 0; i < describe_statement_count; i++)
		if (describe_statements[i].rows == ROWS_OBJECTS && describe_statements[i].kind == kind)
			return describe_statements[i].attributes;
	return none;
}

const char *described_value(const struct described *object, const char *attribute)
{
	const char *const *names = describe_attributes(object->kind);
	for (unsigned i = 0; names[i] != NULL; i++)
		if (strcmp(names[i], attribute) == 0)
			return object->values[i];
	return NULL;
}

struct description *description_new(const char *skip)
{
	struct description *d = mem_zalloc(sizeof(*d));
	d->skip = skip != NULL ? mem_strdup(skip) : NULL;
	return d;
}

static void object_free(struct object *object)
{
	for (unsigned i = 0; i < object->value_count; i++)
		mem_free(&object->values[i]);
	mem_free(&object->values);
	mem_free(&object->identity);
	mem_free(&object->on);
	mem_free(&object->name);
}

void description_free(struct description **description)
{
	struct description *d = *description;
	if (d == NULL)
		return;
	for (unsigned i = 0; i < d->count; i++)
		object_free(&d->objects[i]);
	mem_free(&d->objects);
	mem_free(&d->aliases);
	mem_free(&d->needs);
	mem_free(&d->places);
	mem_free(&d->needed);
	mem_free(&d->skip);
	mem_free(description);
}

/* ---- rows ---- */

static bool read_reference(const char *text, struct reference *out)
{
	return text != NULL &&
	    sscanf(text, "%" SCNu32 ":%" SCNu32 ":%" SCNu32, &out->catalog, &out->object, &out->column) == 3;
}

/* Texts that PostgreSQL has made from what it had parsed are settled; the others are as somebody wrote them.
 */
static char *settled(enum describe_kind kind, const char *attribute, const char *value, bool parsed_body)
{
	bool definition = strcmp(attribute, "definition") == 0;
	switch (kind) {
	case DESCRIBE_FUNCTION:
	case DESCRIBE_PROCEDURE:
		return definition && parsed_body ? describe_settled(value) : mem_strdup(value);
	case DESCRIBE_STATISTICS:
		return definition ? describe_settled_statistics(value) : mem_strdup(value);
	case DESCRIBE_COMMENT:
	case DESCRIBE_ENUM:
		return mem_strdup(value);
	default:
		break;
	}
	return definition || strcmp(attribute, "value") == 0 || strcmp(attribute, "generated") == 0 ||
		strcmp(attribute, "default") == 0 || strcmp(attribute, "partition key") == 0
	    ? describe_settled(value)
	    : mem_strdup(value);
}

static void read_object(struct description *d, const struct describe_statement *statement,
    const struct reader_rows *rows, unsigned row)
{
	if (d->count == d->room) {
		d->room = d->room > 0 ? 2 * d->room : 256;
		d->objects = mem_realloc(d->objects, d->room * sizeof(*d->objects));
	}
	struct object *object = &d->objects[d->count++];
	*object = (struct object){.told.kind = statement->kind};
	const char *on = rows->cell(rows->handle, row, 2), *name = rows->cell(rows->handle, row, 3);
	object->has_reference = read_reference(rows->cell(rows->handle, row, 0), &object->reference);
	object->has_parent = read_reference(rows->cell(rows->handle, row, 1), &object->parent);
	object->on = on != NULL ? mem_strdup(on) : NULL;
	object->name = mem_strdup(name != NULL ? name : "");
	while (statement->attributes[object->value_count] != NULL)
		object->value_count++;
	object->values = mem_zalloc((object->value_count + 1) * sizeof(char *));
	unsigned parsed = 0;
	while (parsed < object->value_count && strcmp(statement->attributes[parsed], ".parsed") != 0)
		parsed++;
	bool parsed_body = parsed < object->value_count && rows->cell(rows->handle, row, 4 + parsed) != NULL;
	for (unsigned i = 0; i < object->value_count; i++) {
		const char *value = rows->cell(rows->handle, row, 4 + i);
		if (value != NULL)
			object->values[i] =
			    settled(statement->kind, statement->attributes[i], value, parsed_body);
	}
}

static void read_pair(
    struct pair **pairs, unsigned *count, unsigned *room, const struct reader_rows *rows, unsigned row)
{
	struct pair pair;
	if (!read_reference(rows->cell(rows->handle, row, 0), &pair.from) ||
	    !read_reference(rows->cell(rows->handle, row, 1), &pair.to))
		return;
	if (*count == *room) {
		*room = *room > 0 ? 2 * *room : 256;
		*pairs = mem_realloc(*pairs, *room * sizeof(**pairs));
	}
	(*pairs)[(*count)++] = pair;
}

void describe_read(struct description *d, unsigned statement, const struct reader_rows *rows)
{
	const struct describe_statement *what = &describe_statements[statement];
	for (unsigned i = 0; i < rows->rows && d->count <= DESCRIBE_OBJECTS; i++) {
		switch (what->rows) {
		case ROWS_NONE:
			break;
		case ROWS_OBJECTS:
			read_object(d, what, rows, i);
			break;
		case ROWS_ALIASES:
			read_pair(&d->aliases, &d->alias_count, &d->alias_room, rows, i);
			break;
		case ROWS_NEEDS:
			read_pair(&d->needs, &d->need_count, &d->need_room, rows, i);
			break;
		}
	}
}

/* ---- finishing ---- */

static int compare_references(const struct reference *a, const struct reference *b)
{
	if (a->catalog != b->catalog)
		return a->catalog < b->catalog ? -1 : 1;
	if (a->object != b->object)
		return a->object < b->object ? -1 : 1;
	return a->column == b->column ? 0 : a->column < b->column ? -1 : 1;
}

static int compare_places(const void *a, const void *b)
{
	return compare_references(
	    &((const struct place *)a)->reference, &((const struct place *)b)->reference);
}

static int compare_pairs(const void *a, const void *b)
{
	return compare_references(&((const struct pair *)a)->from, &((const struct pair *)b)->from);
}

static int compare_edges(const void *a, const void *b)
{
	const struct edge *x = a, *y = b;
	if (x->from != y->from)
		return x->from < y->from ? -1 : 1;
	return x->to == y->to ? 0 : x->to < y->to ? -1 : 1;
}

static int compare_objects(const void *a, const void *b)
{
	const struct object *x = a, *y = b;
	if (x->told.kind != y->told.kind)
		return x->told.kind < y->told.kind ? -1 : 1;
	return strcmp(x->identity, y->identity);
}

static void make_places(struct description *d)
{
	mem_free(&d->places);
	d->place_count = 0;
	d->places = mem_alloc((d->count + 1) * sizeof(*d->places));
	for (unsigned i = 0; i < d->count; i++)
		if (d->objects[i].has_reference)
			d->places[d->place_count++] = (struct place){d->objects[i].reference, i};
	qsort(d->places, d->place_count, sizeof(*d->places), compare_places);
}

static struct object *object_of(const struct description *d, const struct reference *reference)
{
	struct place key = {*reference, 0};
	const struct place *found = bsearch(&key, d->places, d->place_count, sizeof(key), compare_places);
	return found != NULL ? &d->objects[found->at] : NULL;
}

/* The object that a row of the catalogs is, or is a part of. A column that is not described by itself (a
 * view's, one that comes from a parent table) is its relation. */
static struct object *object_behind(const struct description *d, struct reference reference)
{
	for (unsigned i = 0; i < ALIASES_OF_ALIASES; i++) {
		struct object *object = object_of(d, &reference);
		if (object != NULL)
			return object;
		struct pair key = {.from = reference};
		const struct pair *alias = d->alias_count > 0
		    ? bsearch(&key, d->aliases, d->alias_count, sizeof(key), compare_pairs)
		    : NULL;
		if (alias != NULL)
			reference = alias->to;
		else if (reference.column != 0)
			reference.column = 0;
		else
			return NULL;
	}
	return NULL;
}

static char *identity_of(const struct object *object, const struct object *parent)
{
	switch (object->told.kind) {
	case DESCRIBE_COLUMN:
	case DESCRIBE_ATTRIBUTE:
	case DESCRIBE_DEFAULT:
		return mem_printf("%s.%s", object->on, object->name);
	case DESCRIBE_DOMAIN_CONSTRAINT:
	case DESCRIBE_CONSTRAINT:
	case DESCRIBE_RULE:
	case DESCRIBE_TRIGGER:
	case DESCRIBE_POLICY:
		return mem_printf("%s on %s", object->name, object->on);
	case DESCRIBE_GRANT:
		return mem_printf("ON %s TO %s", object->on, object->name);
	case DESCRIBE_DEFAULT_PRIVILEGES: {
		const char *bar = strrchr(object->on, '|');
		return mem_printf(
		    "%.*s ON %s TO %s", (int)(bar - object->on), object->on, bar + 1, object->name);
	}
	case DESCRIBE_COMMENT:
		if (object->parent.column != 0 && parent->reference.column == 0)
			return mem_printf("on column %s.%s", parent->identity, object->name);
		return mem_printf("on %s %s", kind_names[parent->told.kind], parent->identity);
	default:
		return mem_strdup(object->name);
	}
}

/* Throws out what belongs to what is not described, and gives the others their identity. Parents come before
 * their parts in the order of the statements, but for sequences and their columns. */
static void identify(struct description *d)
{
	bool *out = mem_zalloc(d->count + 1);
	bool again = true;
	make_places(d);
	for (unsigned i = 0; i < d->count; i++)
		out[i] = d->objects[i].told.kind == DESCRIBE_TABLE &&
		    describe_is_version_table(d->objects[i].name, d->skip);
	while (again) {
		again = false;
		for (unsigned i = 0; i < d->count; i++) {
			const struct object *object = &d->objects[i];
			if (out[i] || !object->has_parent)
				continue;
			/* A comment on something that only stands for another (the index of a constraint) has
			 * no place in a description. */
			const struct object *parent = object->told.kind == DESCRIBE_COMMENT
			    ? object_of(d, &object->parent)
			    : object_behind(d, object->parent);
			if (parent == NULL && object->told.kind == DESCRIBE_COMMENT &&
			    object->name[0] != '\0')
				parent = object_behind(d, object->parent);
			out[i] = parent == NULL || out[parent - d->objects];
			again |= out[i];
		}
	}
	for (unsigned i = 0; i < d->count; i++) {
		struct object *object = &d->objects[i];
		if (!out[i])
			object->identity =
			    identity_of(object, object->has_parent ? object_behind(d, object->parent) : NULL);
	}
	unsigned kept = 0;
	for (unsigned i = 0; i < d->count; i++) {
		if (out[i])
			object_free(&d->objects[i]);
		else
			d->objects[kept++] = d->objects[i];
	}
	d->count = kept;
	mem_free(&out);
}

static void tie(struct description *d)
{
	for (unsigned i = 0; i < d->count; i++) {
		struct object *object = &d->objects[i];
		const struct object *parent = object->has_parent ? object_behind(d, object->parent) : NULL;
		object->told.identity = object->identity;
		object->told.on = object->on;
		object->told.name = object->name;
		object->told.values = (const char *const *)object->values;
		object->told.parent = parent != NULL ? &parent->told : NULL;
	}
	struct edge *edges = mem_alloc((d->need_count + 1) * sizeof(*edges));
	unsigned count = 0;
	for (unsigned i = 0; i < d->need_count; i++) {
		const struct object *from = object_behind(d, d->needs[i].from);
		const struct object *to = object_behind(d, d->needs[i].to);
		if (from != NULL && to != NULL && from != to)
			edges[count++] =
			    (struct edge){(unsigned)(from - d->objects), (unsigned)(to - d->objects)};
	}
	qsort(edges, count, sizeof(*edges), compare_edges);
	d->needed = mem_alloc((count + 1) * sizeof(struct described *));
	unsigned needed = 0;
	for (unsigned i = 0; i < count; i++) {
		struct described *from = &d->objects[edges[i].from].told;
		if (i > 0 && compare_edges(&edges[i - 1], &edges[i]) == 0)
			continue;
		if (from->need_count++ == 0)
			from->needs = d->needed + needed;
		d->needed[needed++] = &d->objects[edges[i].to].told;
	}
	mem_free(&edges);
}

bool description_finish(struct description *d, char *error, size_t error_size)
{
	if (d->count > DESCRIBE_OBJECTS) {
		snprintf(error, error_size, "the database has more than %u objects", DESCRIBE_OBJECTS);
		return false;
	}
	if (d->alias_count > 0)
		qsort(d->aliases, d->alias_count, sizeof(*d->aliases), compare_pairs);
	identify(d);
	if (d->count > 0)
		qsort(d->objects, d->count, sizeof(*d->objects), compare_objects);
	for (unsigned i = 1; i < d->count; i++) {
		if (compare_objects(&d->objects[i - 1], &d->objects[i]) == 0) {
			snprintf(error, error_size, "the %s %s is there twice",
			    kind_names[d->objects[i].told.kind], d->objects[i].identity);
			return false;
		}
	}
	make_places(d);
	tie(d);
	d->finished = true;
	return true;
}

unsigned description_count(const struct description *d)
{
	return d->count;
}

unsigned describe_place(const struct description *d, const struct described *object)
{
	return (unsigned)((const struct object *)(const void *)object - d->objects);
}

unsigned describe_first(const struct description *d, enum describe_kind kind, const char *beginning)
{
	unsigned low = 0, high = d->count;
	while (low < high) {
		unsigned middle = low + (high - low) / 2;
		const struct described *object = &d->objects[middle].told;
		if (object->kind < kind || (object->kind == kind && strcmp(object->identity, beginning) < 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct described *description_at(const struct description *d, unsigned place)
{
	return &d->objects[place].told;
}

const struct described *description_find(
    const struct description *d, enum describe_kind kind, const char *identity)
{
	struct object key = {.told.kind = kind, .identity = (char *)(uintptr_t)identity};
	const struct object *found =
	    d->count > 0 ? bsearch(&key, d->objects, d->count, sizeof(key), compare_objects) : NULL;
	return found != NULL ? &found->told : NULL;
}
