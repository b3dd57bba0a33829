/* Memory. Small allocations never return NULL: out of memory prints and exits (a proxy that cannot
 * allocate 200 bytes cannot serve anybody). Big ones are bounded by their callers' design. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

void *mem_alloc(size_t size) __attribute__((malloc, returns_nonnull));  /* not zeroed */
void *mem_zalloc(size_t size) __attribute__((malloc, returns_nonnull)); /* zeroed */
void *mem_realloc(void *old, size_t size) __attribute__((returns_nonnull));
char *mem_strdup(const char *s) __attribute__((malloc, returns_nonnull));
char *mem_strndup(const char *s, size_t n) __attribute__((malloc, returns_nonnull));
void *mem_dup(const void *p, size_t n) __attribute__((malloc, returns_nonnull));
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/* Frees what *p points to and leaves NULL: mem_free(&s->name). NULL-safe. */
#define mem_free(p) mem_free_at((void *)(p))
void mem_free_at(void *p);

/* Overwrites (secrets) before freeing; size is that of the allocation. */
void mem_wipe(void *p, size_t size);

#endif
