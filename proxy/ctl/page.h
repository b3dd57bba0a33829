/* What a command prints for people: colour only on a terminal (and not with NO_COLOR set, nor TERM=dumb), and
 * texts from files and from the database in which no byte can play tricks on the terminal. */
#ifndef CTL_PAGE_H
#define CTL_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum page_ink {
	PAGE_PLAIN,
	PAGE_ID,      /* a revision, a run's number */
	PAGE_HEAD,    /* (head) */
	PAGE_CURRENT, /* (current) */
	PAGE_LABEL,
	PAGE_GOOD,
	PAGE_BAD,
	PAGE_FAINT,
};

struct page {
	FILE *to;
	bool colour;
};
/* Of a stream; for texts that are gathered first, set `to` to another one. */
struct page page_open(FILE *to);

/* Prints in a colour. What is printed is safe: control characters and bytes that are not UTF-8 come out as
 * \x1b. */
void page_ink(const struct page *page, enum page_ink ink, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* An untrusted text, safe as above, as it is otherwise. NULL: "-". */
void page_text(const struct page *page, const char *text);
/* The same, so many columns wide: cut with "...", or filled up with blanks. */
void page_column(const struct page *page, const char *text, unsigned width);
/* A text of several lines, each behind `margin` blanks; line ends are kept, all else is made safe. */
void page_lines(const struct page *page, const char *text, size_t size, unsigned margin);

/* Columns that a text takes: characters (wide ones count as one). */
unsigned page_width(const char *text);

/* "1.2 s", "250 ms", "3 min 20 s", "2 h 5 min", "4 d 3 h"; "12.3 MiB". Owned by the caller. */
char *page_duration(int64_t ms);
char *page_bytes(int64_t bytes);

#endif
