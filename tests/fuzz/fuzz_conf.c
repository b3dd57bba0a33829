/* The configuration's parser: any bytes end in a configuration or in errors, and a configuration that was
 * read prints to one that reads the same. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *printed(const struct conf *conf, size_t *size)
{
	char *text = NULL;
	FILE *to = open_memstream(&text, size);
	if (to == NULL)
		abort();
	conf_print(conf, to);
	fclose(to);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* A longer file could hold a connection string that *** makes longer than one may be. */
	if (size > 4000)
		return 0;
	struct conf_errors errors = {.count = 0};
	struct conf *conf = conf_parse("/f/h.yaml", (const char *)data, size, &errors);
	if ((conf == NULL) != (errors.count > 0))
		abort();
	for (unsigned i = 0; i < errors.count; i++)
		for (const char *c = errors.lines[i]; *c != '\0'; c++)
			if (*c == '\n')
				abort(); /* one line an error, whatever the file holds */
	conf_errors_free(&errors);
	if (conf == NULL)
		return 0;
	size_t first_size, second_size;
	char *first = printed(conf, &first_size);
	conf_unref(&conf);
	conf = conf_parse("/f/h.yaml", first, first_size, &errors);
	if (conf == NULL)
		abort();
	char *second = printed(conf, &second_size);
	conf_unref(&conf);
	if (strcmp(first, second) != 0)
		abort();
	free(first);
	free(second);
	return 0;
}
