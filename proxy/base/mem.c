#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

static void *checked(void *p, size_t size)
{
	if (p == NULL && size != 0)
		log_fatal("out of memory (%zu bytes)", size);
	return p;
}

void *mem_alloc(size_t size)
{
	return checked(malloc(size ? size : 1), size + 1);
}

void *mem_zalloc(size_t size)
{
	return checked(calloc(1, size ? size : 1), size + 1);
}

void *mem_realloc(void *old, size_t size)
{
	return checked(realloc(old, size ? size : 1), size + 1);
}

void *mem_dup(const void *p, size_t n)
{
	return memcpy(mem_alloc(n), p, n);
}

char *mem_strndup(const char *s, size_t n)
{
	size_t length = strnlen(s, n);
	char *copy = mem_alloc(length + 1);
	memcpy(copy, s, length);
	copy[length] = '\0';
	return copy;
}

char *mem_strdup(const char *s)
{
	return mem_dup(s, strlen(s) + 1);
}

char *mem_printf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	va_start(args, format);
	int n = vasprintf(&text, format, args);
	va_end(args);
	return checked(n < 0 ? NULL : text, 1);
}

void mem_free_at(void *p)
{
	void **place = p;
	free(*place);
	*place = NULL;
}

void mem_wipe(void *p, size_t size)
{
	if (p != NULL)
		explicit_bzero(p, size);
}
