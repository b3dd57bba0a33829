#include "autogenerate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "net/pq.h"
#include "schema/diff.h"
#include "schema/readers.h"
#include "ctl/cli.h"
#include "describing.h"
#include "page_json.h"
#include "position.h"
#include "scratch.h"

#define FILE_BYTES ((size_t)64 << 20) /* longest schema file */

/* ---- descriptions ---- */

static char *read_whole(const char *path, size_t *size, char **why)
{
	FILE *file = fopen(path, "rbe");
	size_t room = 1 << 16;
	char *text = mem_alloc(room);
	*size = 0;
	while (file != NULL && *size <= FILE_BYTES) {
		size_t n = fread(text + *size, 1, room - *size, file);
		*size += n;
		if (n == 0)
			break;
		if (*size == room) {
			room *= 2;
			text = mem_realloc(text, room);
		}
	}
	if (file == NULL || ferror(file))
		*why = mem_printf("%s: %s", path, strerror(errno));
	else if (*size > FILE_BYTES)
		*why = mem_printf("%s: it is longer than %zu MiB", path, FILE_BYTES >> 20);
	if (file != NULL)
		fclose(file);
	if (*why != NULL)
		mem_free(&text);
	return text;
}

static struct description *describe(struct migrate *m, struct pq_now *pq, const char *what)
{
	struct pq_now_error error;
	char *skip = m->section != NULL ? reader_table(&m->section->recorded) : NULL;
	struct description *description = describing(pq, skip, &error);
	if (description == NULL) {
		migrate_fails_by(m, what, &error);
		pq_now_error_free(&error);
	}
	mem_free(&skip);
	return description;
}

static struct description *from_scratch(struct migrate *m, const char *path)
{
	struct pq_now_error error;
	struct description *description = NULL;
	char *why = NULL, application[80];
	size_t size = 0;
	char *text = read_whole(path, &size, &why);
	if (text == NULL) {
		migrate_fails(m, CLI_FAILED, "%s", why);
		mem_free(&why);
		return NULL;
	}
	snprintf(application, sizeof(application), "headgate %s", m->command);
	const struct scratch_request request = {.owner = m->pq, .dsn = m->dsn, .application = application};
	struct scratch *scratch = scratch_make(&request, &error);
	if (scratch == NULL) {
		migrate_fails_by(m, "no scratch database could be made", &error);
		pq_now_error_free(&error);
	} else if (!scratch_apply(scratch, path, text, size, &why)) {
		migrate_fails(m, CLI_FAILED, "%s", why);
		mem_free(&why);
	} else {
		description = describe(m, scratch_pq(scratch), path);
	}
	char *name = scratch != NULL ? mem_strdup(scratch_name(scratch)) : NULL;
	if (!scratch_drop(&scratch, &error)) {
		fprintf(stderr,
		    "headgate %s: the scratch database %s is still there: %s. The next one that is made "
		    "takes it along\n",
		    m->command, name, error.message);
		pq_now_error_free(&error);
	}
	mem_free(&name);
	mem_free(&text);
	return description;
}

static struct description *from_database(struct migrate *m, const char *url)
{
	struct pq_now_error error;
	char application[80];
	const char *wrong = pq_dsn_error(url);
	if (wrong != NULL) {
		migrate_fails(m, CLI_USAGE, "the other database: %s", wrong);
		return NULL;
	}
	snprintf(application, sizeof(application), "headgate %s", m->command);
	const struct pq_now_request request = {.dsn = url, .application = application};
	struct pq_now *pq = pq_now_open(&request, &error);
	if (pq == NULL) {
		migrate_fails_by(m, "the other database", &error);
		pq_now_error_free(&error);
		return NULL;
	}
	struct description *description = describe(m, pq, "the other database");
	pq_now_close(&pq);
	return description;
}

/* What is, and what should be. */
static bool both(struct migrate *m, const char *file, const char *url, struct description **is,
    struct description **should_be)
{
	*is = *should_be = NULL;
	if (m->pq == NULL && !migrate_connect(m))
		return false;
	*is = describe(m, m->pq, migrate_database(m));
	if (*is != NULL)
		*should_be = file != NULL ? from_scratch(m, file) : from_database(m, url);
	if (*should_be == NULL)
		description_free(is);
	return *should_be != NULL;
}

/* ---- a migration ---- */

/* What is pending would be taken for a difference, and written a second time. */
static bool is_at_head(struct migrate *m)
{
	struct position position = {.whole = true};
	if (m->catalog == NULL || catalog_count(m->catalog) == 0)
		return true;
	if (!migrate_ledger(m))
		return false;
	position_find(m, &position);
	bool fine = position.pending_count == 0 && position.unknown_count == 0 && position.whole;
	if (position.pending_count > 0)
		migrate_fails(m, CLI_FAILED,
		    "%u migration%s in %s %s not applied to %s, and what %s would be written a second time. "
		    "First: "
		    "headgate upgrade",
		    position.pending_count, position.pending_count == 1 ? "" : "s", m->dir,
		    position.pending_count == 1 ? "is" : "are", migrate_database(m),
		    position.pending_count == 1 ? "it does" : "they do");
	else if (!fine)
		migrate_fails(m, CLI_FAILED,
		    "%s is not at the head of %s, so what a new migration has to do cannot be told. See: "
		    "headgate check "
		    "--pending",
		    migrate_database(m), m->dir);
	position_free(&position);
	return fine;
}

/* A section of comments alone would go up as if something had been done. */
static char *guarded(struct diff *diff)
{
	static const char guard[] =
	    "-- Nothing above runs by itself. Decide, and take this statement out.\n"
	    "DO $$ BEGIN RAISE EXCEPTION 'this migration waits for a decision: read its comments'; END $$;\n";
	char *sql = diff->sql;
	if (diff->statements == 0 && diff->left > 0) {
		sql = mem_printf("%s%s", diff->sql, guard);
		mem_free(&diff->sql);
	}
	return sql;
}

int autogenerate(struct migrate *m, const char *from_file, const char *from_url, struct autogenerated *out)
{
	struct description *is, *should_be;
	*out = (struct autogenerated){.up = NULL};
	if (!is_at_head(m) || !both(m, from_file, from_url, &is, &should_be))
		return m->status;
	struct diff up = diff_make(is, should_be), down = diff_make(should_be, is);
	*out = (struct autogenerated){
	    .up = guarded(&up),
	    .down = down.sql,
	    .up_alone = up.alone,
	    .down_alone = down.alone,
	    .statements = up.statements + down.statements,
	    .remarks = up.remarks + down.remarks,
	    .left = up.left + down.left,
	};
	description_free(&is);
	description_free(&should_be);
	return CLI_OK;
}

void autogenerated_free(struct autogenerated *generated)
{
	mem_free(&generated->up);
	mem_free(&generated->down);
	*generated = (struct autogenerated){.up = NULL};
}

/* ---- drift ---- */

int drift(struct migrate *m, const char *against_file, const char *against_url)
{
	struct description *is, *should_be;
	if (!both(m, against_file, against_url, &is, &should_be))
		return m->status;
	struct describe_texts texts = describe_differences(is, should_be);
	if (m->json) {
		struct page_json json = {.to = stdout};
		page_json_begin(&json, NULL, '{');
		page_json_flag(&json, "same", texts.count == 0);
		page_json_begin(&json, "differences", '[');
		for (unsigned i = 0; i < texts.count; i++)
			page_json_text(&json, NULL, texts.at[i]);
		page_json_end(&json, ']');
		page_json_end(&json, '}');
	}
	for (unsigned i = 0; !m->json && i < texts.count; i++)
		printf("%s\n", texts.at[i]);
	int status = texts.count == 0 ? CLI_OK : CLI_FAILED;
	describe_texts_free(&texts);
	description_free(&is);
	description_free(&should_be);
	return status;
}
