/* The backup before the first step: an external command, with traffic flowing. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "command_private.h"
#include "coord_private.h"

#define GRACE_NS (5 * CLOCK_S)

static int64_t bytes(const struct coord *c)
{
	return c->backup.bytes != NULL ? c->backup.bytes(c->request.arg) : -1;
}

static char *size_text(int64_t size)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double shown = (double)size;
	unsigned unit = 0;
	while (shown >= 1024 && unit < 4) {
		shown /= 1024;
		unit++;
	}
	return unit == 0 ? mem_printf("%" PRId64 " bytes", size) : mem_printf("%.1f %s", shown, units[unit]);
}

static void say(struct coord *c, const char *verb)
{
	int64_t size = bytes(c);
	char *text = size > 0 ? size_text(size) : mem_strdup("");
	coord_say(c, NULL, "%s%s%s%s%s%s%s, %" PRId64 " s", verb, c->backup.what != NULL ? " of " : "",
	    c->backup.what != NULL ? c->backup.what : "", c->backup.place != NULL ? " into " : "",
	    c->backup.place != NULL ? c->backup.place : "", text[0] != '\0' ? ": " : "", text,
	    (clock_now() - c->backup_ns) / CLOCK_S);
	mem_free(&text);
}

static void on_noted(struct coord *c, const struct pq_result *result)
{
	if (!result->ok) {
		coord_trouble(c, "the backup, in the ledger", result);
		return;
	}
	if (c->cancelled) {
		coord_give_up(
		    c, "cancelled", mem_strdup("cancelled during the backup; nothing was migrated"), false);
	} else if (!c->backed_up) {
		mem_free(&c->hint);
		c->hint =
		    mem_strdup("Nobody was held. See what it says above, or go without it: --no-backup");
		coord_give_up(c, "failed",
		    mem_printf("the backup failed, nothing was migrated: %s",
			c->command_error != NULL ? c->command_error : c->tail),
		    false);
	} else {
		say(c, "backup made");
		/* It may have taken long, with nobody waiting for it. */
		c->announced_ns = clock_now();
		coord_proceed(c);
	}
}

/* The last line of what it has said. */
static char *last_line(const char *tail)
{
	size_t end = strlen(tail), begin;
	while (end > 0 && (tail[end - 1] == '\n' || tail[end - 1] == ' '))
		end--;
	for (begin = end; begin > 0 && tail[begin - 1] != '\n';)
		begin--;
	return mem_strndup(tail + begin, end - begin);
}

void coord_note_backup(struct coord *c)
{
	char size[24], ms[24];
	int64_t all = bytes(c);
	snprintf(size, sizeof(size), "%" PRId64, all);
	snprintf(ms, sizeof(ms), "%" PRId64, (clock_now() - c->backup_ns) / CLOCK_MS);
	char *place =
	    c->backup.place != NULL ? command_clean(c->backup.place, strlen(c->backup.place)) : NULL;
	const char *error = c->backed_up ? NULL : c->command_error != NULL ? c->command_error : c->tail;
	const char *const values[] = {
	    c->run_text, place != NULL ? place : c->backup.argv[0], all >= 0 ? size : NULL, ms, error};
	coord_ask(c,
	    "UPDATE headgate.run SET backup = $2, backup_bytes = $3::bigint, backup_ms = $4::bigint, "
	    "backup_error = $5 WHERE run_id = $1::bigint",
	    values, 5, on_noted);
	mem_free(&place);
}

static void on_backup(struct command *command, const struct command_result *result, void *arg)
{
	struct coord *c = arg;
	(void)command;
	char *line = last_line(result->tail);
	c->backed_up = result->status == 0 && result->error == NULL;
	mem_free(&c->command_error);
	mem_free(&c->tail);
	if (result->error != NULL)
		c->command_error = mem_strdup(result->error);
	else if (!c->backed_up)
		c->command_error = mem_printf("%s ended with %d%s%s", c->backup.argv[0], result->status,
		    line[0] != '\0' ? ": " : "", line);
	mem_free(&line);
	command_free(&c->command);
	coord_enter(c, COORD_NOTING, "the backup has ended");
}

static bool begin(struct coord *c)
{
	char error[256];
	if (!coord_environment(c, c->backup.environment, error, sizeof(error))) {
		coord_give_up(c, "gave_up", mem_printf("the backup's environment: %s", error), false);
		return false;
	}
	const struct command_request request = {
	    .base = c->request.base,
	    .argv = c->backup.argv,
	    .environment = (const char *const *)c->environment,
	    .out_fd = c->request.out_fd,
	    .err_fd = c->request.err_fd,
	    .grace_ns = GRACE_NS,
	    .done = on_backup,
	    .arg = c,
	};
	c->backup_ns = clock_now();
	c->command = command_start(&request);
	return true;
}

static void on_alive(struct coord *c, const struct pq_result *result)
{
	if (!result->ok)
		coord_warn(c, "the ledger: %s", result->message);
	else if (result->rows != 1)
		coord_lost(c, "55000", "somebody has ended the run in the ledger");
}

void coord_back_up(struct coord *c)
{
	const char *const values[] = {c->run_text};
	if (c->command == NULL && !begin(c))
		return;
	say(c, "backing up");
	coord_ask(
	    c, "SELECT run_id FROM headgate.run WHERE run_id = $1 AND state <> 'ended'", values, 1, on_alive);
}
