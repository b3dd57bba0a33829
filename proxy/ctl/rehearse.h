/* Inside of `headgate rehearse`: what one rehearsal knows (cmd_rehearse.c conducts it), the copy on which it
 * is done (rehearse_copy.c), one section carried out and looked at (rehearse_section.c), one migration up,
 * down and up again (rehearse_migration.c), and how that is told (rehearse_show.c, rehearse_json.c). */
#ifndef CTL_REHEARSE_H
#define CTL_REHEARSE_H

#include <stdbool.h>
#include <stdint.h>

#include "schema/describe.h"
#include "schema/locks.h"
#include "schema/plan.h"
#include "schema/surface.h"
#include "schema/warn.h"
#include "migrate.h"
#include "scratch.h"

/* A section that was carried out. */
struct rehearse_section {
	bool run, ok;
	bool interrupted, lost; /* why it is not ok, where the migration is not to blame */
	bool outside;
	int64_t ns; /* what its statements took, and its COMMIT */
	struct locks_relations before;
	struct locks_found found; /* points into before */
	struct warnings warnings;
	/* not ok: */
	unsigned line, column; /* of the error; column 0: not known */
	char *statement;       /* shortened; NULL: the COMMIT */
	struct pq_now_error error;
};
void rehearse_section_free(struct rehearse_section *section); /* leaves none */

enum rehearse_verdict { REHEARSE_PASSED, REHEARSE_WARNED, REHEARSE_FAILED, REHEARSE_SKIPPED };

struct rehearse_migration {
	const struct plan_step *step;
	enum rehearse_verdict verdict;
	bool has_down;
	struct rehearse_section up, down, again;
	struct describe_texts left;      /* down did not undo up: what differs from before it */
	struct describe_texts different; /* up again did not make what it made the first time */
	struct surface_losses losses;    /* for clients of the head before it */
	bool contradicted;               /* it says compatible, and something is certainly lost */
	bool needs_no_hold;              /* it is not hold:none, and locks nothing that clients wait for */
	bool suggested;                  /* it does not say so, and nothing was found against it */
};
void rehearse_migration_free(struct rehearse_migration *migration); /* leaves none */

/* The schema at one moment, in both ways of looking at it. */
struct rehearse_moment {
	struct description *description;
	struct surface *surface;
};
void rehearse_moment_free(struct rehearse_moment *moment); /* leaves none */

struct rehearse {
	struct migrate m;
	/* options */
	const char *target, *on;
	bool data, strict, yes, up_only, accept_changed;
	int late; /* enum plan_late */

	struct locks_relations sizes; /* of the real database: rows and bytes, by name */
	struct scratch *scratch;      /* NULL with --on */
	struct pq_now *pq;            /* into where it is done: the scratch's, or m.pq */
	const char *dsn, *dbname;     /* of that */
	struct plan plan;
	char *copy_warning; /* the copy is not whole: pg_restore's words; or NULL */

	struct rehearse_moment at; /* before the next step, where it is known */
	struct warn_run *warn;
	struct warn_facts facts;
	struct rehearse_facts *known; /* answers of the last questions */

	unsigned passed, warned, failed, skipped, warnings;
	bool interrupted;
	bool broken; /* it cannot go on, which was said */
	int64_t began_ns;
};

/* Was Ctrl-C pressed? */
bool rehearse_interrupted(struct rehearse *r);
bool rehearse_asked_to_stop(void *rehearse); /* the same, as sessions ask it */

/* ---- rehearse_copy.c ---- */
/* Makes the scratch database and copies into it. False: said, m.status is set. Called again after a failure
 * that left it in a state nobody knows. */
bool rehearse_copy(struct rehearse *r);

/* ---- rehearse_facts.c ---- */
/* What warn.h asks for, from where it is done. */
void rehearse_facts_begin(struct rehearse *r);
void rehearse_facts_end(struct rehearse *r);

/* ---- rehearse_section.c ---- */
/* outside: not in a transaction. warn: the run of sections that its warnings belong to; NULL: none wanted. */
void rehearse_section_run(struct rehearse *r, const struct catalog_section *section, bool outside,
    struct warn_run *warn, struct rehearse_section *out);
/* Must this section, one that no plan has looked at, stand outside of a transaction? */
bool rehearse_is_outside(const struct catalog_section *section);

/* ---- rehearse_migration.c ---- */
/* False: the rest cannot be rehearsed, since nobody knows what this one left; *again: a new copy would help.
 */
bool rehearse_migration_run(
    struct rehearse *r, const struct plan_step *step, struct rehearse_migration *out, bool *again);

/* ---- rehearse_show.c, rehearse_json.c ---- */
/* What it is at, for somebody who waits at a terminal; NULL: nothing more. */
void rehearse_show_at(const struct rehearse *r, const char *what, const char *revision);
void rehearse_show_begin(const struct rehearse *r);
void rehearse_show_migration(const struct rehearse *r, const struct rehearse_migration *migration);
void rehearse_show_end(const struct rehearse *r);
void rehearse_json_begin(const struct rehearse *r);
void rehearse_json_migration(const struct rehearse *r, const struct rehearse_migration *migration);
void rehearse_json_end(const struct rehearse *r);

#endif
