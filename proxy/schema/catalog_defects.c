#include "schema/catalog_defects.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/mem.h"

void catalog_defect(struct catalog_defects *defects, const char *file, unsigned line, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (defects->count++ >= CATALOG_DEFECTS)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);

	char *whole = file == NULL ? mem_strdup(text)
	    : line == 0            ? mem_printf("%s: %s", file, text)
				   : mem_printf("%s:%u: %s", file, line, text);
	/* Names of files are anybody's: they must not break the line, or colour the terminal. */
	for (char *c = whole; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
	defects->lines[defects->count - 1] = whole;
}

void catalog_defects_free(struct catalog_defects *defects)
{
	for (unsigned i = 0; i < CATALOG_DEFECTS; i++)
		mem_free(&defects->lines[i]);
	defects->count = 0;
}
