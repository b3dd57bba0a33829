#include "keepers.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "section.h"

/* A name that the server does not know is not asked for again for so long: clients that insist cost nothing
 * then. */
#define MISSING_FOR   (5 * CLOCK_S)
#define MISSING_NAMES 64

struct missing {
	char name[64];
	int64_t until_ns;
};

struct doomed {
	unsigned id;
	bool missing;
};

struct keepers {
	struct keeper_house house;
	void (*hold_news)(const struct hold_news *news, void *arg);
	void *arg;
	struct conf *conf;
	struct tls_context *any_tls; /* of the "*" section */
	struct keeper **at;
	unsigned count, room;
	struct missing missing[MISSING_NAMES];
	unsigned missing_next;
	bool bound_told; /* the bound on "*" was hit, and said */
	/* keepers that are to go: not inside their own callbacks */
	struct event *reaper;
	struct doomed *doomed;
	unsigned doomed_count;
};

struct keepers_plan {
	struct conf *conf;
	struct tls_context **tls; /* one for each section */
};

struct keepers_plan *keepers_plan_new(struct conf *conf, struct conf_errors *errors)
{
	struct keepers_plan *plan = mem_zalloc(sizeof *plan);
	plan->conf = conf_ref(conf);
	plan->tls = mem_zalloc((conf->database_count + 1) * sizeof *plan->tls);
	bool good = true;
	for (unsigned i = 0; i < conf->database_count; i++) {
		const struct conf_database *section = &conf->databases[i];
		char error[600] = "";
		bool well = section_check(section, error, sizeof error);
		if (well && section->upstream.tls.mode != TLS_DISABLE) {
			plan->tls[i] =
			    tls_context_new(&section->upstream.tls, TLS_CLIENT, error, sizeof error);
			well = plan->tls[i] != NULL;
		}
		if (!well && errors->count < sizeof errors->lines / sizeof *errors->lines)
			errors->lines[errors->count++] =
			    mem_printf("%s: %s", conf->path ? conf->path : "configuration", error);
		good = good && well;
	}
	if (!good)
		keepers_plan_free(&plan);
	return plan;
}

void keepers_plan_free(struct keepers_plan **at)
{
	struct keepers_plan *plan = *at;
	if (!plan)
		return;
	for (unsigned i = 0; i < plan->conf->database_count; i++)
		tls_context_unref(&plan->tls[i]);
	mem_free(&plan->tls);
	conf_unref(&plan->conf);
	mem_free(at);
}

static void on_hold_news(const struct hold_news *news, void *arg)
{
	struct keepers *keepers = arg;
	keepers->hold_news(news, keepers->arg);
}

static void on_needless(struct keeper *keeper, bool missing, void *arg)
{
	struct keepers *keepers = arg;
	keepers->doomed = mem_realloc(keepers->doomed, (keepers->doomed_count + 1) * sizeof *keepers->doomed);
	keepers->doomed[keepers->doomed_count++] =
	    (struct doomed){.id = keeper_id(keeper), .missing = missing};
	event_active(keepers->reaper, EV_TIMEOUT, 0);
}

static void remove_at(struct keepers *keepers, unsigned i, bool refuse)
{
	struct keeper *keeper = keepers->at[i];
	keepers->count--;
	memmove(&keepers->at[i], &keepers->at[i + 1], (keepers->count - i) * sizeof *keepers->at);
	keeper_free(&keeper, refuse);
}

static void note_missing(struct keepers *keepers, const char *name)
{
	struct missing *missing = &keepers->missing[keepers->missing_next++ % MISSING_NAMES];
	snprintf(missing->name, sizeof missing->name, "%s", name);
	missing->until_ns = clock_now() + MISSING_FOR;
}

static bool is_missing(const struct keepers *keepers, const char *name)
{
	int64_t now = clock_now();
	for (unsigned i = 0; i < MISSING_NAMES; i++) {
		if (keepers->missing[i].until_ns > now && strcmp(keepers->missing[i].name, name) == 0)
			return true;
	}
	return false;
}

static void reap(evutil_socket_t fd, short what, void *arg)
{
	struct keepers *keepers = arg;
	(void)fd;
	(void)what;
	while (keepers->doomed_count > 0) {
		struct doomed doomed = keepers->doomed[--keepers->doomed_count];
		for (unsigned i = 0; i < keepers->count; i++) {
			struct keeper *keeper = keepers->at[i];
			if (keeper_id(keeper) != doomed.id)
				continue;
			if (doomed.missing) {
				log_info(keeper_name(keeper),
				    "the server has no such database: its clients are refused");
				note_missing(keepers, keeper_name(keeper));
			} else if (keeper_clients(keeper) > 0) {
				break; /* somebody came meanwhile */
			}
			remove_at(keepers, i, true);
			break;
		}
	}
}

struct keepers *keepers_new(const struct keepers_request *request)
{
	struct keepers *keepers = mem_zalloc(sizeof *keepers);
	keepers->house = (struct keeper_house){.base = request->base,
	    .resolver = request->resolver,
	    .workers = request->workers,
	    .worker_count = request->worker_count,
	    .proxy_id = request->proxy_id,
	    .proxy_name = request->proxy_name,
	    .hold_news = on_hold_news,
	    .needless = on_needless,
	    .arg = keepers};
	keepers->hold_news = request->hold_news;
	keepers->arg = request->arg;
	keepers->reaper = event_new(request->base, -1, 0, reap, keepers);
	return keepers;
}

void keepers_free(struct keepers **at, bool refuse)
{
	struct keepers *keepers = *at;
	if (!keepers)
		return;
	while (keepers->count > 0)
		remove_at(keepers, keepers->count - 1, refuse);
	event_free(keepers->reaper);
	mem_free(&keepers->doomed);
	mem_free(&keepers->at);
	tls_context_unref(&keepers->any_tls);
	conf_unref(&keepers->conf);
	mem_free(at);
}

static void add(
    struct keepers *keepers, const char *name, const struct conf_database *section, struct tls_context *tls)
{
	if (keepers->count == keepers->room) {
		keepers->room = keepers->room ? keepers->room * 2 : 8;
		keepers->at = mem_realloc(keepers->at, keepers->room * sizeof *keepers->at);
	}
	struct keeper *keeper = keeper_new(&keepers->house, name, keepers->conf, section, tls);
	/* HOLD * means every database, also one that is named first while it lasts */
	for (unsigned i = 0; i < keepers->count; i++) {
		struct keeper_status status;
		keeper_status(keepers->at[i], &status);
		if (status.hold_id && status.hold_all) {
			keeper_hold_as(keeper, keepers->at[i]);
			break;
		}
	}
	keepers->at[keepers->count++] = keeper;
}

static struct tls_context *tls_of(const struct keepers_plan *plan, const struct conf_database *section)
{
	return plan->tls[section - plan->conf->databases];
}

void keepers_apply(struct keepers *keepers, const struct keepers_plan *plan)
{
	struct conf *conf = plan->conf, *old = keepers->conf;
	keepers->conf = conf_ref(conf);
	const struct conf_database *any = conf_database(conf, "*");
	tls_context_unref(&keepers->any_tls);
	keepers->any_tls = any && tls_of(plan, any) ? tls_context_ref(tls_of(plan, any)) : NULL;
	for (unsigned i = keepers->count; i > 0; i--) {
		struct keeper *keeper = keepers->at[i - 1];
		const struct conf_database *section = conf_database(conf, keeper_name(keeper));
		if (section) {
			keeper_configure(keeper, conf, section, tls_of(plan, section));
		} else {
			log_info(
			    keeper_name(keeper), "no longer in the configuration: its clients are refused");
			remove_at(keepers, i - 1, true);
		}
	}
	for (unsigned i = 0; i < conf->database_count; i++) {
		const struct conf_database *section = &conf->databases[i];
		if (strcmp(section->name, "*") != 0 && !keepers_find(keepers, section->name))
			add(keepers, section->name, section, plan->tls[i]);
	}
	conf_unref(&old);
}

static void refuse(struct worker *worker, const char *name, const char *why)
{
	log_debug(name, "refused: %s", why);
	worker_refuse(worker, name);
}

/* Makes room for one more name under "*": the one without clients that has been there longest goes. */
static bool make_room(struct keepers *keepers, unsigned most)
{
	unsigned on_demand = 0, oldest = keepers->count;
	for (unsigned i = 0; i < keepers->count; i++) {
		if (!keeper_on_demand(keepers->at[i]))
			continue;
		struct keeper_status status;
		keeper_status(keepers->at[i], &status);
		on_demand++;
		if (oldest == keepers->count && status.clients == 0 && strcmp(status.gate, "open") == 0)
			oldest = i;
	}
	if (on_demand < most)
		return true;
	if (oldest == keepers->count)
		return false;
	remove_at(keepers, oldest, true);
	return true;
}

void keepers_wanted(struct keepers *keepers, struct worker *worker, const char *database)
{
	struct keeper *known = keepers_find(keepers, database);
	if (known) {
		keeper_present(known, worker);
		return;
	}
	const struct conf_database *section = keepers->conf ? conf_database(keepers->conf, database) : NULL;
	size_t size = strlen(database);
	if (!section) {
		refuse(worker, database, "no section names it");
	} else if (size == 0 || size > 63) {
		refuse(worker, "", "a name of 0 or more than 63 bytes");
		worker_refuse(worker, database);
	} else if (is_missing(keepers, database)) {
		refuse(worker, database, "the server has no such database");
	} else if (!make_room(keepers, section->control.max_databases)) {
		if (!keepers->bound_told)
			log_warning(database,
			    "refused: %u databases have a control link under \"*\", as many as "
			    "control.max_databases allows",
			    section->control.max_databases);
		keepers->bound_told = true;
		worker_refuse(worker, database);
	} else {
		keepers->bound_told = false;
		add(keepers, database, section, keepers->any_tls);
	}
}

void keepers_drained(struct keepers *keepers, unsigned worker_index, unsigned service_id, uint64_t serial,
    const int32_t *pids, unsigned pid_count, unsigned logins)
{
	for (unsigned i = 0; i < keepers->count; i++) {
		if (keeper_id(keepers->at[i]) == service_id) {
			keeper_drained(keepers->at[i], worker_index, serial, pids, pid_count, logins);
			return;
		}
	}
}

unsigned keepers_count(const struct keepers *keepers)
{
	return keepers->count;
}

struct keeper *keepers_at(const struct keepers *keepers, unsigned i)
{
	return keepers->at[i];
}

struct keeper *keepers_find(const struct keepers *keepers, const char *name)
{
	for (unsigned i = 0; i < keepers->count; i++) {
		if (strcmp(keeper_name(keepers->at[i]), name) == 0)
			return keepers->at[i];
	}
	return NULL;
}

unsigned keepers_release(struct keepers *keepers, uint64_t hold_id, const char *why)
{
	unsigned released = 0;
	for (unsigned i = 0; i < keepers->count; i++) {
		struct keeper_status status;
		keeper_status(keepers->at[i], &status);
		if (status.hold_id == hold_id && keeper_release(keepers->at[i], why))
			released++;
	}
	return released;
}
