#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "resolve_private.h"

/* Names may bring several addresses each; a hostile or mistaken answer may bring very many. */
#define PER_NAME_MOST 16U

/* evdns asks each server three times for five seconds, once more for each search domain: too long to wait
 * for. */
#define RESOLVE_NS  (10 * CLOCK_S)

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS       "/etc/hosts"

struct resolver {
	struct event_base *base;
	struct evdns_base *dns;
	struct resolver_files files;
	struct timespec resolv_conf, hosts; /* when they had changed last as they were read */
	unsigned lookups;                   /* under way inside evdns */
};

struct found {
	unsigned count;
	struct endpoint at[PER_NAME_MOST];
};

/* One name under way. Outlives its resolve when that is cancelled: evdns calls back later all the same. */
struct lookup {
	struct resolve *resolve; /* NULL: nobody waits for it any more */
	struct resolver *resolver;
	struct evdns_getaddrinfo_request *request;
	unsigned index; /* of the address */
};

struct resolve {
	struct resolver *resolver;
	resolve_done *done;
	void *arg;
	struct event *timer;
	unsigned count, waiting;
	bool starting; /* inside resolve_start() */
	bool ended;    /* inside done */
	char error[160];
	struct conf_address *addresses; /* copies: the configuration may be replaced meanwhile */
	struct lookup **lookups;
	struct found *found;
};

struct endpoints *endpoints_ref(struct endpoints *endpoints)
{
	atomic_fetch_add_explicit(&endpoints->references, 1, memory_order_relaxed);
	return endpoints;
}

void endpoints_unref(struct endpoints **at)
{
	struct endpoints *endpoints = *at;
	*at = NULL;
	if (endpoints != NULL &&
	    atomic_fetch_sub_explicit(&endpoints->references, 1, memory_order_acq_rel) == 1)
		mem_free(&endpoints);
}

static struct timespec changed_at(const char *path)
{
	struct stat st;
	struct timespec never = {0, 0};
	return stat(path, &st) == 0 ? st.st_mtim : never;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* evdns reads the system's files once; a proxy lives longer than a container's resolv.conf. So a new one is
 * made when they have changed and nothing is under way. */
static void read_system_files(struct resolver *resolver)
{
	struct timespec resolv_conf = changed_at(resolver->files.resolv_conf),
			hosts = changed_at(resolver->files.hosts);
	if (resolver->dns != NULL &&
	    (resolver->lookups > 0 ||
		(same_time(resolv_conf, resolver->resolv_conf) && same_time(hosts, resolver->hosts))))
		return;
	if (resolver->dns != NULL)
		evdns_base_free(resolver->dns, 0);
	resolver->resolv_conf = resolv_conf;
	resolver->hosts = hosts;
	resolver->dns = evdns_base_new(resolver->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (resolver->dns == NULL)
		log_fatal("cannot prepare the resolver");
	/* Failure leaves the hosts file alone to answer, which is said for each name that is not in it.
	 * Options and search domains are the file's. */
	evdns_base_load_hosts(resolver->dns, resolver->files.hosts);
	evdns_base_resolv_conf_parse(resolver->dns,
	    DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS | DNS_OPTION_MISC | DNS_OPTION_NAMESERVERS_NO_DEFAULT,
	    resolver->files.resolv_conf);
}

/* evdns would write to stderr itself. */
static void heard(int is_warning, const char *text)
{
	log_line(is_warning ? LOG_LEVEL_WARNING : LOG_LEVEL_DEBUG, "resolve", "%s", text);
}

struct resolver *resolver_new_from(struct event_base *base, struct resolver_files files)
{
	struct resolver *resolver = mem_zalloc(sizeof(*resolver));
	resolver->base = base;
	resolver->files = files;
	evdns_set_log_fn(heard);
	read_system_files(resolver);
	return resolver;
}

struct resolver *resolver_new(struct event_base *base)
{
	return resolver_new_from(base, (struct resolver_files){"/etc/resolv.conf", "/etc/hosts", RESOLVE_NS});
}

/* The struct stays until evdns has called back for each lookup, which it does later than its own end. */
static void resolver_leave(struct resolver *resolver)
{
	if (resolver->dns == NULL && resolver->lookups == 0)
		mem_free(&resolver);
}

void resolver_free(struct resolver **at)
{
	struct resolver *resolver = *at;
	*at = NULL;
	if (resolver == NULL)
		return;
	evdns_base_free(resolver->dns, 0);
	resolver->dns = NULL;
	resolver_leave(resolver);
}

static void add_endpoint(
    struct resolve *resolve, unsigned index, const struct sockaddr *address, socklen_t size)
{
	const struct conf_address *from = &resolve->addresses[index];
	struct found *found = &resolve->found[index];
	if (found->count >= PER_NAME_MOST || size > sizeof(found->at[0].address))
		return;
	struct endpoint *endpoint = &found->at[found->count];
	memset(endpoint, 0, sizeof(*endpoint));
	memcpy(&endpoint->address, address, size);
	endpoint->size = size;
	endpoint->index = index;
	/* Files and servers alike name an address twice at times. */
	for (unsigned i = 0; i < found->count; i++)
		if (found->at[i].size == size && memcmp(&found->at[i].address, &endpoint->address, size) == 0)
			return;
	if (from->path != NULL) {
		snprintf(endpoint->text, sizeof(endpoint->text), "%s", from->path);
	} else {
		char number[NI_MAXHOST] = "";
		getnameinfo(address, size, number, sizeof(number), NULL, 0, NI_NUMERICHOST);
		bool is_six = strchr(from->host, ':') != NULL;
		snprintf(endpoint->name, sizeof(endpoint->name), "%s", from->host);
		if (strcmp(number, from->host) == 0)
			snprintf(endpoint->text, sizeof(endpoint->text), is_six ? "[%.100s]:%u" : "%.100s:%u",
			    from->host, (unsigned)from->port);
		else
			snprintf(endpoint->text, sizeof(endpoint->text),
			    is_six ? "[%.90s]:%u (%.50s)" : "%.90s:%u (%.50s)", from->host,
			    (unsigned)from->port, number);
	}
	found->count++;
}

static void resolve_free(struct resolve **at)
{
	struct resolve *resolve = *at;
	*at = NULL;
	if (resolve->timer != NULL)
		event_free(resolve->timer);
	for (unsigned i = 0; i < resolve->count; i++) {
		struct lookup *lookup = resolve->lookups[i];
		if (lookup != NULL) {
			lookup->resolve = NULL;
			evdns_getaddrinfo_cancel(lookup->request);
		}
		mem_free(&resolve->addresses[i].host);
		mem_free(&resolve->addresses[i].path);
	}
	mem_free(&resolve->addresses);
	mem_free(&resolve->lookups);
	mem_free(&resolve->found);
	mem_free(&resolve);
}

/* True when it was the last thing waited for: the list has been given away and the resolve is gone. */
static bool finish_if_ready(struct resolve *resolve)
{
	if (resolve->waiting > 0 || resolve->starting)
		return false;
	unsigned total = 0;
	for (unsigned i = 0; i < resolve->count; i++)
		total += resolve->found[i].count;
	struct endpoints *endpoints = mem_zalloc(sizeof(*endpoints) + total * sizeof(endpoints->at[0]));
	atomic_init(&endpoints->references, 1);
	for (unsigned i = 0; i < resolve->count; i++) {
		const struct found *found = &resolve->found[i];
		memcpy(&endpoints->at[endpoints->count], found->at, found->count * sizeof(found->at[0]));
		endpoints->count += found->count;
	}
	if (total == 0)
		snprintf(endpoints->error, sizeof(endpoints->error), "%s",
		    resolve->error[0] != '\0' ? resolve->error : "no address to connect to");
	resolve->ended = true;
	resolve->done(endpoints, resolve->arg); /* in which resolve_cancel() only forgets us */
	resolve_free(&resolve);
	return true;
}

static void note_failure(struct resolve *resolve, const char *what, const char *why)
{
	snprintf(resolve->error, sizeof(resolve->error), "cannot resolve %.90s: %s", what, why);
	log_debug("resolve", "%s", resolve->error);
}

static void resolved(int error, struct evutil_addrinfo *list, void *arg)
{
	struct lookup *lookup = arg;
	struct resolve *resolve = lookup->resolve;
	lookup->resolver->lookups--;
	resolver_leave(lookup->resolver);
	if (resolve != NULL) {
		const char *host = resolve->addresses[lookup->index].host;
		if (error != 0)
			note_failure(resolve, host,
			    error == EVUTIL_EAI_NONAME || error == EVUTIL_EAI_NODATA
				? "the name is not known"
				: evutil_gai_strerror(error));
		for (const struct evutil_addrinfo *at = list; at != NULL; at = at->ai_next)
			add_endpoint(resolve, lookup->index, at->ai_addr, (socklen_t)at->ai_addrlen);
		if (error == 0 && resolve->found[lookup->index].count == 0)
			note_failure(resolve, host, "the name has no address");
		resolve->lookups[lookup->index] = NULL;
		resolve->waiting--;
	}
	if (list != NULL)
		evutil_freeaddrinfo(list);
	mem_free(&lookup);
	if (resolve != NULL)
		finish_if_ready(resolve);
}

/* The libc's own reading of a number (IPv6 zones included); asks nobody. */
static bool add_number(struct resolve *resolve, unsigned index, const char *service)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV},
			*list = NULL;
	if (getaddrinfo(resolve->addresses[index].host, service, &hints, &list) != 0)
		return false;
	add_endpoint(resolve, index, list->ai_addr, list->ai_addrlen);
	freeaddrinfo(list);
	return true;
}

static void add_socket(struct resolve *resolve, unsigned index)
{
	const struct conf_address *from = &resolve->addresses[index];
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t size = strlen(from->path);
	if (size >= sizeof(address.sun_path)) {
		note_failure(resolve, from->path, "the path of a unix socket may have 107 bytes");
		return;
	}
	memcpy(address.sun_path, from->path, size);
	add_endpoint(resolve, index, (const struct sockaddr *)&address, sizeof(address));
}

static void look_up(struct resolve *resolve, unsigned index, const char *service)
{
	struct resolver *resolver = resolve->resolver;
	const char *host = resolve->addresses[index].host;
	if (strlen(host) >= sizeof(((struct endpoint *)0)->name)) {
		note_failure(resolve, host, "the name is too long");
		return;
	}
	struct evutil_addrinfo hints = {
	    .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_protocol = IPPROTO_TCP};
	struct lookup *lookup = mem_zalloc(sizeof(*lookup));
	lookup->resolve = resolve;
	lookup->resolver = resolver;
	lookup->index = index;
	resolve->waiting++;
	resolve->lookups[index] = lookup;
	resolver->lookups++;
	struct evdns_getaddrinfo_request *request =
	    evdns_getaddrinfo(resolver->dns, host, service, &hints, resolved, lookup);
	if (request == NULL)
		return; /* answered already, from the hosts file, and the lookup is gone */
	lookup->request = request;
	/* Without a server evdns would wait for one for ever. */
	if (evdns_base_count_nameservers(resolver->dns) == 0) {
		note_failure(resolve, host, "not in the hosts file, and there is no name server");
		lookup->resolve = NULL;
		resolve->lookups[index] = NULL;
		resolve->waiting--;
		evdns_getaddrinfo_cancel(request);
	}
}

static void too_late(evutil_socket_t fd, short what, void *arg)
{
	struct resolve *resolve = arg;
	(void)fd;
	(void)what;
	for (unsigned i = 0; i < resolve->count; i++) {
		struct lookup *lookup = resolve->lookups[i];
		if (lookup == NULL)
			continue;
		note_failure(resolve, resolve->addresses[i].host, "no name server answered in time");
		lookup->resolve = NULL;
		resolve->lookups[i] = NULL;
		evdns_getaddrinfo_cancel(lookup->request);
	}
	resolve->waiting = 0;
	finish_if_ready(resolve);
}

struct resolve *resolve_start(struct resolver *resolver, const struct conf_address *addresses, unsigned count,
    resolve_done *done, void *arg)
{
	struct resolve *resolve = mem_zalloc(sizeof(*resolve));
	resolve->resolver = resolver;
	resolve->done = done;
	resolve->arg = arg;
	resolve->count = count;
	resolve->addresses = mem_zalloc((count + 1) * sizeof(*resolve->addresses));
	resolve->lookups = mem_zalloc((count + 1) * sizeof(*resolve->lookups));
	resolve->found = mem_zalloc((count + 1) * sizeof(*resolve->found));
	resolve->starting = true;
	read_system_files(resolver);
	for (unsigned i = 0; i < count; i++) {
		struct conf_address *address = &resolve->addresses[i];
		char service[8];
		*address = (struct conf_address){.port = addresses[i].port};
		address->path = addresses[i].path == NULL ? NULL : mem_strdup(addresses[i].path);
		address->host = addresses[i].host == NULL ? NULL : mem_strdup(addresses[i].host);
		snprintf(service, sizeof(service), "%u", (unsigned)address->port);
		if (address->path != NULL)
			add_socket(resolve, i);
		else if (!add_number(resolve, i, service))
			look_up(resolve, i, service);
	}
	resolve->starting = false;
	if (finish_if_ready(resolve))
		return NULL;
	struct timeval limit = clock_timeval(resolver->files.limit_ns);
	resolve->timer = event_new(resolver->base, -1, 0, too_late, resolve);
	if (resolve->timer == NULL)
		log_fatal("cannot prepare the resolver's timer");
	event_add(resolve->timer, &limit);
	return resolve;
}

void resolve_cancel(struct resolve **at)
{
	struct resolve *resolve = *at;
	*at = NULL;
	if (resolve != NULL && !resolve->ended)
		resolve_free(&resolve);
}
