#include "schema/newfile.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "newfile_private.h"

bool newfile_branches(enum catalog_format format)
{
	return format == CATALOG_NATIVE;
}

char *newfile_slug(const char *message)
{
	char slug[NEWFILE_SLUG + 1];
	size_t n = 0, word = 0;

	for (const unsigned char *c = (const unsigned char *)message; *c != '\0'; c++) {
		bool fits = isascii(*c) && isalnum(*c);
		if (!fits && n > 0 && slug[n - 1] != '_')
			word = n;
		if (n == NEWFILE_SLUG) {
			/* Cut between words, unless there is but one. */
			if (fits && slug[n - 1] != '_' && word > 0)
				n = word;
			break;
		}
		if (fits)
			slug[n++] = (char)tolower(*c);
		else if (n > 0 && slug[n - 1] != '_')
			slug[n++] = '_';
	}
	while (n > 0 && slug[n - 1] == '_')
		n--;
	slug[n] = '\0';
	return mem_strdup(n == 0 ? "migration" : slug);
}

/* ---- checks ---- */

static bool check_message(const char *message, char **why)
{
	struct split_error error;

	if (message[strspn(message, " ")] == '\0') {
		*why = mem_strdup("the message is empty: say what the migration does");
		return false;
	}
	if (!split_check_text(message, strlen(message), &error)) {
		*why = mem_printf("the message: %s", error.text);
		return false;
	}
	for (const unsigned char *c = (const unsigned char *)message; *c != '\0'; c++) {
		if (*c >= 0x20 && *c != 0x7f)
			continue;
		*why = mem_strdup("the message must be one line, without control characters");
		return false;
	}
	return true;
}

static bool check_names(const char *what, const struct graph_names *names, char **why)
{
	for (unsigned i = 0; i < names->count; i++) {
		struct heads heads = heads_none();
		const char *fault = NULL;
		if (!heads_parse(names->at[i], strlen(names->at[i]), &heads, &fault)) {
			*why = mem_printf("%s \"%s\": %s", what, names->at[i], fault);
			return false;
		}
		bool one = heads_count(&heads) == 1;
		heads_free(&heads);
		if (!one) {
			*why = mem_printf(
			    "%s \"%s\": + joins several; give them one by one", what, names->at[i]);
			return false;
		}
	}
	return true;
}

/* Files that are taken in order say nothing of what they follow. */
static bool check_place(const struct newfile_request *request, char **why)
{
	unsigned count = request->catalog == NULL ? 0 : catalog_count(request->catalog);
	const char *format = catalog_format_name(request->format);

	if (newfile_branches(request->format))
		return true;
	if (request->depends.count > 0 || request->labels.count > 0 || request->parents.count > 1) {
		*why = mem_printf(
		    "%s has no branches, labels or depends-on: its files are taken in order", format);
		return false;
	}
	const char *last = count == 0 ? NULL : catalog_at(request->catalog, count - 1)->revision;
	const char *parent = request->parents.count == 0 ? NULL : request->parents.at[0];
	if (last == NULL ? parent == NULL : parent != NULL && strcmp(parent, last) == 0)
		return true;
	*why = mem_printf("%s has no branches: its files are taken in order, so a new one comes after %s",
	    format, last == NULL ? "nothing" : last);
	return false;
}

/* ---- texts ---- */

static FILE *text_open(char **text, size_t *size)
{
	FILE *to = open_memstream(text, size);

	if (to == NULL)
		log_fatal("out of memory");
	return to;
}

static void put_sql(FILE *to, const char *sql)
{
	size_t n = sql == NULL ? 0 : strlen(sql);

	while (n > 0 && strchr(" \t\r\n", sql[n - 1]) != NULL)
		n--;
	fprintf(to, "%.*s\n", (int)n, n == 0 ? "" : sql);
}

/* goose and sql-migrate cut at every ';' that ends a line, so a function's body must be marked. */
static void put_marked_sql(FILE *to, const char *mark, const char *sql)
{
	struct split split = {.count = 0};
	struct split_error error;

	if (sql == NULL || !split_append(&split, sql, strlen(sql), 1, &error)) {
		put_sql(to, sql);
		return;
	}
	for (unsigned i = 0; i < split.count; i++) {
		const struct split_statement *s = &split.at[i];
		const char *piece = sql + s->begin;
		size_t n = s->end - s->begin;
		bool inner = memchr(s->text, ';', s->size) != NULL;
		while (n > 0 && strchr(" \t\r\n", *piece) != NULL) {
			piece++;
			n--;
		}
		while (n > 0 && strchr(" \t\r\n", piece[n - 1]) != NULL)
			n--;
		if (inner)
			fprintf(to, "-- %s StatementBegin\n%.*s\n-- %s StatementEnd\n", mark, (int)n, piece,
			    mark);
		else
			fprintf(to, "%.*s\n", (int)n, piece);
	}
	split_free(&split);
}

static void put_list(FILE *to, const char *header, const struct graph_names *names)
{
	if (names->count == 0)
		return;
	fprintf(to, "-- %s:", header);
	for (unsigned i = 0; i < names->count; i++)
		fprintf(to, "%s %s", i == 0 ? "" : ",", names->at[i]);
	fputs("\n", to);
}

static void put_native(FILE *to, const struct newfile_request *request)
{
	fprintf(to, "-- message: %s\n", request->message + strspn(request->message, " "));
	if (request->parents.count == 0)
		fputs("-- revises: base\n", to);
	put_list(to, "revises", &request->parents);
	put_list(to, "depends-on", &request->depends);
	put_list(to, "labels", &request->labels);
	fputs("\n", to);
}

/* What ours and dbmate's have in common. */
static void put_sections(FILE *to, const struct newfile_request *request)
{
	static const char outside[] = " transaction:false";

	fprintf(to, "-- migrate:up%s\n", request->up_outside ? outside : "");
	put_sql(to, request->up);
	fprintf(to, "\n-- migrate:down%s\n", request->down_outside ? outside : "");
	put_sql(to, request->down);
}

/* goose says it for the whole file, sql-migrate for a section. */
static void put_annotated(FILE *to, const struct newfile_request *request)
{
	bool goose = request->format == CATALOG_GOOSE;
	const char *mark = goose ? "+goose" : "+migrate";

	if (goose && (request->up_outside || request->down_outside))
		fprintf(to, "-- %s NO TRANSACTION\n", mark);
	fprintf(to, "-- %s Up%s\n", mark, !goose && request->up_outside ? " notransaction" : "");
	put_marked_sql(to, mark, request->up);
	fprintf(to, "\n-- %s Down%s\n", mark, !goose && request->down_outside ? " notransaction" : "");
	put_marked_sql(to, mark, request->down);
}

/* Of a file that holds both ways. */
static char *one_text(const struct newfile_request *request)
{
	char *text = NULL;
	size_t size = 0;
	FILE *to = text_open(&text, &size);

	if (request->format == CATALOG_NATIVE)
		put_native(to, request);
	if (request->format == CATALOG_NATIVE || request->format == CATALOG_DBMATE)
		put_sections(to, request);
	else
		put_annotated(to, request);
	fclose(to);
	return text;
}

/* Of a file that holds one way: its SQL, or a comment in its place. */
static char *way_text(const struct newfile_request *request, const char *sql, bool up)
{
	char *text = NULL;
	size_t size = 0;

	if (sql == NULL)
		return mem_printf(
		    "-- %s%s\n", up ? "" : "undoes: ", request->message + strspn(request->message, " "));
	FILE *to = text_open(&text, &size);
	put_sql(to, sql);
	fclose(to);
	return text;
}

static char *down_name(enum catalog_format format, const char *up)
{
	size_t n = strlen(up);

	if (format == CATALOG_FLYWAY) {
		const char *slash = strrchr(up, '/');
		size_t folder = slash == NULL ? 0 : (size_t)(slash - up) + 1;
		return mem_printf("%.*sU%s", (int)folder, up, up + folder + 1);
	}
	/* ".../up.sql" and ".up.sql" */
	return mem_printf("%.*sdown.sql", (int)(n - strlen("up.sql")), up);
}

static void add_flyway_settings(struct newfiles *out, const char *of)
{
	out->at[out->count].name = mem_printf("%s.conf", of);
	out->at[out->count++].text = mem_strdup("executeInTransaction=false\n");
}

/* What the up file cannot say itself. */
static void put_settings(const struct newfile_request *request, struct newfiles *out)
{
	const char *up = out->at[0].name;

	if (request->format == CATALOG_FLYWAY && request->up_outside) {
		add_flyway_settings(out, up);
	} else if (request->format == CATALOG_DIESEL && (request->up_outside || request->down_outside)) {
		size_t n = strlen(up) - strlen("up.sql");
		out->at[out->count].name = mem_printf("%.*smetadata.toml", (int)n, up);
		out->at[out->count++].text = mem_strdup("run_in_transaction = false\n");
	}
}

static void make_texts(const struct newfile_request *request, struct newfiles *out)
{
	enum catalog_format format = request->format;
	unsigned count = request->catalog == NULL ? 0 : catalog_count(request->catalog);

	out->count = 1;
	if (format != CATALOG_GOLANG_MIGRATE && format != CATALOG_DIESEL && format != CATALOG_FLYWAY) {
		out->at[0].text = one_text(request);
		return;
	}
	out->at[0].text = way_text(request, request->up, true);
	put_settings(request, out);
	/* Where a Flyway folder has no undo migrations, they are not wanted in it. */
	if (format == CATALOG_FLYWAY && request->down == NULL && count > 0 &&
	    !newfile_has_undo(request->catalog))
		return;
	out->at[out->count].name = down_name(format, out->at[0].name);
	out->at[out->count++].text = way_text(request, request->down, false);
	if (format == CATALOG_FLYWAY && request->down_outside)
		add_flyway_settings(out, out->at[out->count - 1].name);
}

/* ---- the door ---- */

bool newfile_make(const struct newfile_request *asked, struct newfiles *out, char **why)
{
	struct newfile_request request = *asked;

	*out = (struct newfiles){.count = 0};
	*why = NULL;
	if (request.format == CATALOG_AUTO)
		request.format = request.catalog == NULL ? CATALOG_NATIVE : catalog_format(request.catalog);
	if (request.format == CATALOG_ALEMBIC) {
		*why = mem_strdup("Alembic writes its own files: alembic revision -m ...");
		return false;
	}
	if (!check_message(request.message, why) || !check_names("label", &request.labels, why) ||
	    !check_names("depends-on", &request.depends, why) || !check_place(&request, why))
		return false;
	char *slug = newfile_slug(request.message);
	bool fine = newfile_name(&request, slug, &out->at[0].name, &out->revision, why);
	if (fine)
		make_texts(&request, out);
	mem_free(&slug);
	return fine;
}

void newfiles_free(struct newfiles *files)
{
	for (unsigned i = 0; i < NEWFILE_FILES; i++) {
		mem_free(&files->at[i].name);
		mem_free(&files->at[i].text);
	}
	mem_free(&files->revision);
	files->count = 0;
}
