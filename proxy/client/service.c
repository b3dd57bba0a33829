#include "base/mem.h"
#include "client/service.h"

struct service *service_new(unsigned id, const char *name)
{
	struct service *service = mem_zalloc(sizeof *service);
	atomic_init(&service->references, 1);
	service->id = id;
	service->name = mem_strdup(name);
	return service;
}

struct service *service_ref(struct service *service)
{
	atomic_fetch_add_explicit(&service->references, 1, memory_order_relaxed);
	return service;
}

void service_unref(struct service **place)
{
	struct service *service = *place;
	*place = NULL;
	if (service == NULL || atomic_fetch_sub_explicit(&service->references, 1, memory_order_acq_rel) != 1)
		return;
	gate_view_unref(&service->view);
	lease_unref(&service->lease);
	tls_context_unref(&service->upstream_tls);
	endpoints_unref(&service->endpoints);
	conf_unref(&service->conf);
	mem_free(&service->name);
	mem_free(&service);
}
