#include "conduct.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "net/pq.h"
#include "section.h"

struct conductor conductor_self(void)
{
	char host[256] = "";
	const struct passwd *entry = getpwuid(getuid());
	const char *sudo = getenv("SUDO_USER");
	char *user = entry != NULL ? mem_strdup(entry->pw_name) : mem_printf("uid %u", (unsigned)getuid());
	if (gethostname(host, sizeof(host) - 1) != 0)
		snprintf(host, sizeof(host), "?");
	const char *said = getenv("HEADGATE_WHO");
	bool called = getuid() == 0 && sudo != NULL && sudo[0] != '\0';
	if (said == NULL || said[0] == '\0')
		said = called ? sudo : user;
	return (struct conductor){
	    .who = mem_printf("%.200s@%s", said, host),
	    .os_user = user,
	    .host = mem_strdup(host),
	};
}

void conductor_free(struct conductor *conductor)
{
	mem_free(&conductor->who);
	mem_free(&conductor->os_user);
	mem_free(&conductor->host);
}

/* As `headgate init` has it: where the dsn names no database, the one that the control link goes to. */
char *conduct_dbname(const struct conf_database *section, const char *name)
{
	char *dbname = section_link_dbname(section, name);
	if (strcmp(section->name, "*") == 0)
		return dbname;
	char *own = pq_dsn_dbname(section->control.run_dsn);
	if (own != NULL) {
		mem_free(&dbname);
		return own;
	}
	return dbname != NULL ? dbname : pq_dsn_dbname(section->control.dsn);
}
