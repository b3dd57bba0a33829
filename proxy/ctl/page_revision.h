/* Revisions of a catalog as people and programs read them: one line each, or an entry of several, in
 * Alembic's words. */
#ifndef CTL_PAGE_REVISION_H
#define CTL_PAGE_REVISION_H

#include <stdbool.h>

#include "gate/head.h"
#include "schema/catalog.h"
#include "page.h"
#include "page_json.h"

struct page_revisions;

/* recorded: the heads to be marked (current), of a database; NULL: none is asked. Both are borrowed. */
struct page_revisions *page_revisions_new(const struct catalog *catalog, const struct heads *recorded);
void page_revisions_free(struct page_revisions **revisions); /* NULL-safe, leaves NULL */

/* Does no revision depend on it or revise it? ("effective head": one that some depend on.) */
bool page_revision_is_last(const struct page_revisions *revisions, unsigned place);
bool page_revision_is_current(const struct page_revisions *revisions, unsigned place);

/* "c3 (billing) (head) (mergepoint)", and with `message` ", what it does". No line end. */
void page_revision_line(
    const struct page *page, const struct page_revisions *revisions, unsigned place, bool message);
/* "Rev: c3 (head)", "Parent: b2", ... , a blank line, the message, a blank line; with `sql` the statements of
 * both ways. */
void page_revision_entry(
    const struct page *page, const struct page_revisions *revisions, unsigned place, bool sql);
/* An element of a list. */
void page_revision_json(struct page_json *json, const struct page_revisions *revisions, unsigned place);
/* The list, whole. */
void page_revisions_json(
    FILE *to, const struct page_revisions *revisions, const unsigned *places, unsigned count);

/* All these revisions, oldest first in `places`, printed newest first behind their lines (page_lanes.h), by
 * line or by entry. Where there would be very many lines they are left out. */
void page_revisions_print(const struct page *page, const struct page_revisions *revisions,
    const unsigned *places, unsigned count, bool entries);

#endif
