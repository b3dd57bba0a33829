/* Inside of ctl/steps_show: a run's progress (steps_show.c), what failed in it (steps_show_failure.c), what
 * it would do (steps_show_plan.c). */
#ifndef CTL_STEPS_SHOW_PRIVATE_H
#define CTL_STEPS_SHOW_PRIVATE_H

#include "page_json.h"
#include "steps_show.h"

void show_failure(const struct page *page, const struct coord_failure *failure);
void json_failure(
    struct page_json *json, const char *key, const struct coord_failure *failure); /* NULL: null */

static inline void json_number_or_null(struct page_json *json, const char *key, int64_t number, bool known)
{
	if (known)
		page_json_number(json, key, number);
	else
		page_json_as_is(json, key, NULL);
}

/* Objects of a stream are one a line: begun with depth 1, so that they do not break their own. */
static inline void json_line_end(struct page_json *json)
{
	page_json_end(json, '}');
	fputc('\n', json->to);
	fflush(json->to);
}

#endif
