#include <string.h>

#include "base/mem.h"
#include "net/digest.h"
#include "ctl/cli.h"
#include "migrate_private.h"

bool migrate_fails_plan(struct migrate *m, char *why)
{
	migrate_fails(m, CLI_FAILED, "%s", why);
	mem_free(&why);
	return false;
}

static bool may_plan(struct migrate *m)
{
	const struct recorded *recorded = &m->ledger.recorded;
	if (m->ledger.unresolved != NULL)
		return migrate_fails(m, CLI_FAILED,
		    "%s; see what was done, then say so: headgate resolve --as done|undone -m \"...\"",
		    m->ledger.unresolved);
	switch (recorded->state) {
	case RECORDED_CLEAN:
	case RECORDED_EMPTY:
	case RECORDED_ABSENT:
		return true;
	case RECORDED_RUNNING:
	case RECORDED_FAILED:
	case RECORDED_UNREADABLE:
		break;
	}
	return migrate_fails(m, CLI_FAILED, "the recorded version of %s is %s%s%s", migrate_database(m),
	    recorded_state_name(recorded->state), recorded->detail != NULL ? ": " : "",
	    recorded->detail != NULL ? recorded->detail : "");
}

static struct plan_applied *applied_of(const struct migrate_applied *from, unsigned count)
{
	struct plan_applied *out = mem_zalloc((count + 1) * sizeof(*out));
	for (unsigned i = 0; i < count; i++)
		out[i] = (struct plan_applied){.name = from[i].revision, .checksum = from[i].checksum};
	return out;
}

bool migrate_plan(struct migrate *m, bool down, struct plan_request request, struct plan *out)
{
	char *why = NULL;
	if (!may_plan(m))
		return false;
	struct plan_applied *applied = applied_of(m->ledger.applied, m->ledger.applied_count);
	struct plan_applied *repeatable = applied_of(m->ledger.repeatables, m->ledger.repeatable_count);
	const struct plan_ledger ledger = {
	    .heads = m->ledger.recorded.heads,
	    .applied = applied,
	    .applied_count = m->ledger.applied_count,
	    .repeatable = repeatable,
	    .repeatable_count = m->ledger.repeatable_count,
	};
	request.catalog = m->catalog;
	request.ledger = &ledger;
	request.digest = digest_sha256;
	bool planned = down ? plan_down(&request, out, &why) : plan_up(&request, out, &why);
	mem_free(&applied);
	mem_free(&repeatable);
	return planned || migrate_fails_plan(m, why);
}
