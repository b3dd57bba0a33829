/* The configuration as its users see it: counted, looked up, printed. */
#include "base/conf.h"

#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "conf_table.h"

/* The configuration keeps log's choices as plain numbers: the words of conf.def stand in log.h's order. */
_Static_assert(LOG_FORMAT_TEXT == 0 && LOG_FORMAT_JSON == 1, "text|json");
_Static_assert(LOG_LEVEL_DEBUG == 0 && LOG_LEVEL_ERROR == 3, "debug|info|warning|error");
_Static_assert(LOG_TARGET_STDERR == 0 && LOG_TARGET_SYSLOG == 1, "stderr|syslog");
_Static_assert(
    TLS_DISABLE == 0 && TLS_VERIFY_FULL == 5, "disable|allow|prefer|require|verify-ca|verify-full");

void conf_errors_free(struct conf_errors *errors)
{
	while (errors->count > 0)
		mem_free(&errors->lines[--errors->count]);
}

struct conf *conf_ref(struct conf *conf)
{
	atomic_fetch_add_explicit(&conf->references, 1, memory_order_relaxed);
	return conf;
}

void conf_unref(struct conf **place)
{
	struct conf *conf = *place;
	*place = NULL;
	if (conf == NULL || atomic_fetch_sub_explicit(&conf->references, 1, memory_order_acq_rel) != 1)
		return;
	conf_section_release(&conf_section_root, conf);
	mem_free(&conf->path);
	mem_free(&conf);
}

const struct conf_database *conf_database(const struct conf *conf, const char *name)
{
	const struct conf_database *any = NULL;
	for (unsigned i = 0; i < conf->database_count; i++) {
		if (strcmp(conf->databases[i].name, name) == 0)
			return &conf->databases[i];
		if (strcmp(conf->databases[i].name, "*") == 0)
			any = &conf->databases[i];
	}
	return any;
}

void conf_print(const struct conf *conf, FILE *to)
{
	conf_section_print(to, &conf_section_root, conf, 0, false);
}

void conf_each(const struct conf *conf, conf_each_setting *each, void *arg)
{
	conf_section_each(&conf_section_root, conf, "", each, arg);
	for (unsigned i = 0; i < conf->listen_count; i++) {
		char *path = mem_printf("listen[%u]", i);
		conf_section_each(&conf_section_listen, &conf->listen[i], path, each, arg);
		mem_free(&path);
	}
	for (unsigned i = 0; i < conf->database_count; i++) {
		char *path = mem_printf("databases.%s", conf->databases[i].name);
		conf_section_each(&conf_section_database, &conf->databases[i], path, each, arg);
		mem_free(&path);
	}
}
