#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE_BYTES 4096
#define LINE_BYTES    8192 /* an escaped message that does not fit is cut; a line is never split */

atomic_int log_threshold = LOG_LEVEL_INFO;
static atomic_int log_format = LOG_FORMAT_TEXT;
static atomic_int log_target = LOG_TARGET_STDERR;

static const char *const level_names[] = {"debug", "info", "warning", "error"};

void log_setup(enum log_format format, enum log_level level, enum log_target target)
{
	if (target == LOG_TARGET_SYSLOG)
		openlog("headgate", LOG_PID | LOG_NDELAY, LOG_DAEMON);
	atomic_store(&log_format, (int)format);
	atomic_store(&log_threshold, (int)level);
	atomic_store(&log_target, (int)target);
}

struct line {
	char text[LINE_BYTES];
	size_t size;
	size_t limit; /* bytes that escaped text may fill: the rest is kept for what closes the line */
};

static void line_raw(struct line *line, const char *s)
{
	size_t n = strlen(s);
	if (n > sizeof(line->text) - line->size)
		n = sizeof(line->text) - line->size;
	memcpy(line->text + line->size, s, n);
	line->size += n;
}

/* Bytes of the well-formed UTF-8 character at s (Unicode, table 3-7), or 0. s ends with a zero byte, which is
 * no continuation: so nothing is read past it. */
static size_t utf8_length(const unsigned char *s)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n;
	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		n = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		n = 3;
		if (s[0] == 0xe0)
			low = 0xa0;
		else if (s[0] == 0xed)
			high = 0x9f;
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		n = 4;
		if (s[0] == 0xf0)
			low = 0x90;
		else if (s[0] == 0xf4)
			high = 0x8f;
	} else {
		return 0;
	}
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return n;
}

/* C0, DEL and C1: a terminal obeys all three. */
static bool is_control(const unsigned char *s, size_t n)
{
	return s[0] < 0x20 || s[0] == 0x7f || (n == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

static void line_escaped(struct line *line, const char *text, bool json)
{
	const unsigned char *s = (const unsigned char *)text;
	while (*s != '\0') {
		char piece[16];
		size_t n = utf8_length(s);
		size_t used = n > 0 ? n : 1;
		if (n == 0)
			snprintf(piece, sizeof(piece), json ? "\\\\x%02x" : "\\x%02x", s[0]);
		else if (*s == '\n')
			snprintf(piece, sizeof(piece), "\\n");
		else if (*s == '\t')
			snprintf(piece, sizeof(piece), "\\t");
		else if (is_control(s, n))
			snprintf(piece, sizeof(piece), json ? "\\u%04x" : "\\x%02x", n == 2 ? s[1] : s[0]);
		else if (json && (*s == '"' || *s == '\\'))
			snprintf(piece, sizeof(piece), "\\%c", *s);
		else
			snprintf(piece, sizeof(piece), "%.*s", (int)n, (const char *)s);
		size_t size = strlen(piece);
		if (line->size + size > line->limit) {
			line_raw(line, "...");
			return;
		}
		memcpy(line->text + line->size, piece, size);
		line->size += size;
		s += used;
	}
}

static void stamp(char *out, size_t size)
{
	struct timespec now;
	struct tm tm;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	size_t n = strftime(out, size, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out + n, size - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
}

static void line_build(
    struct line *line, enum log_level level, const char *object, const char *message, bool json, bool stamped)
{
	char when[40];
	stamp(when, sizeof(when));
	line->limit = sizeof(line->text) - 64;
	if (json) {
		line_raw(line, "{\"time\":\"");
		line_raw(line, when);
		line_raw(line, "\",\"level\":\"");
		line_raw(line, level_names[level]);
		line_raw(line, "\"");
		if (object[0] != '\0') {
			line_raw(line, ",\"object\":\"");
			line_escaped(line, object, true);
			line_raw(line, "\"");
		}
		line_raw(line, ",\"message\":\"");
		line_escaped(line, message, true);
		line_raw(line, "\"}");
		return;
	}
	if (stamped) {
		char front[64];
		snprintf(front, sizeof(front), "%s %-7s ", when, level_names[level]);
		line_raw(line, front);
	}
	if (object[0] != '\0') {
		line_escaped(line, object, false);
		line_raw(line, ": ");
	}
	line_escaped(line, message, false);
}

static void line_send(struct line *line, enum log_level level)
{
	static const int priorities[] = {LOG_DEBUG, LOG_INFO, LOG_WARNING, LOG_ERR};
	if (atomic_load_explicit(&log_target, memory_order_relaxed) == LOG_TARGET_SYSLOG) {
		syslog(priorities[level], "%.*s", (int)line->size, line->text);
		return;
	}
	line_raw(line, "\n");
	ssize_t n;
	do
		n = write(STDERR_FILENO, line->text, line->size);
	while (n < 0 && errno == EINTR);
	/* A full or closed stderr loses the line: there is nobody to tell, and waiting would stop traffic. */
}

static void log_write(enum log_level level, const char *object, const char *front, const char *format,
    va_list ap) __attribute__((format(printf, 4, 0)));
static void log_write(
    enum log_level level, const char *object, const char *front, const char *format, va_list ap)
{
	char message[MESSAGE_BYTES];
	struct line line = {.size = 0};
	int n = snprintf(message, sizeof(message), "%s", front);
	vsnprintf(message + n, sizeof(message) - (size_t)n, format, ap);
	bool json = atomic_load_explicit(&log_format, memory_order_relaxed) == LOG_FORMAT_JSON;
	bool stamped = atomic_load_explicit(&log_target, memory_order_relaxed) == LOG_TARGET_STDERR;
	line_build(&line, level, object, message, json, stamped);
	line_send(&line, level);
}

void log_line(enum log_level level, const char *object, const char *format, ...)
{
	if (!log_wants(level))
		return;
	int saved = errno;
	va_list ap;
	va_start(ap, format);
	log_write(level, object, "", format, ap);
	va_end(ap);
	errno = saved;
}

void log_fatal(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	log_write(LOG_LEVEL_ERROR, "", "fatal: ", format, ap);
	va_end(ap);
	exit(1);
}

void log_panic(const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	log_write(LOG_LEVEL_ERROR, "", "panic: ", format, ap);
	va_end(ap);
	abort();
}
