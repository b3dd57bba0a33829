/* Log lines: one line a fact, the object in front, text or JSON, to stderr or syslog.
 *
 * log_line(LOG_INFO, "shop client=10.0.0.7:5123 session=42", "refused: %s", why)
 *   text: 2026-03-01T12:00:00.123Z info  shop client=10.0.0.7:5123 session=42: refused: ...
 *   json: {"time":"...","level":"info","object":"shop client=...","message":"refused: ..."}
 *
 * Control characters and bytes that are not UTF-8 in the message come out escaped: a client's text can
 * neither forge a line nor break the JSON. Calls keep errno. Thread-safe: one write(2) a line. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };
enum log_target { LOG_TARGET_STDERR, LOG_TARGET_SYSLOG };

/* May be called again (SIGHUP). Before the first call: text, info, stderr. */
void log_setup(enum log_format format, enum log_level level, enum log_target target);

extern atomic_int log_threshold; /* one per process by nature; read it through log_wants() */
static inline bool log_wants(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

/* object: what the line is about, or "" . */
void log_line(enum log_level level, const char *object, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define log_debug(object, ...)                                                                               \
	(log_wants(LOG_LEVEL_DEBUG) ? log_line(LOG_LEVEL_DEBUG, (object), __VA_ARGS__) : (void)0)
#define log_info(object, ...)    log_line(LOG_LEVEL_INFO, (object), __VA_ARGS__)
#define log_warning(object, ...) log_line(LOG_LEVEL_WARNING, (object), __VA_ARGS__)
#define log_error(object, ...)   log_line(LOG_LEVEL_ERROR, (object), __VA_ARGS__)

/* fatal: the environment is wrong (exit 1). panic: we are (abort). */
void log_fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void log_panic(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
