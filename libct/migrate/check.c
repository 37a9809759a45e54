/* SPDX-License-Identifier: Apache-2.0 */
#include "libct/migrate/check.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/dump-steps.h"
#include "libct/findings.h"
#include "libct/host.h"
#include "libct/migrate/ids.h"
#include "libct/pod/grants.h"
#include "libct/restore-steps.h"

/* Sums of it do not overflow. */
#define NEED_MAX (INT64_MAX >> 8)

void verdict_add(struct verdict *v, const struct ct_error *finding)
{
	cleanup_free char *all = strdup(finding->text);
	char *rest = all;

	if (!v->code)
		v->code = finding->code;
	/* One may be several lines itself. */
	for (char *line; rest && (line = strsep(&rest, "\n"));)
		finding_add(&v->lines, line);
}

void verdict_release(struct verdict *v)
{
	free(v->lines);
	*v = (struct verdict){ 0 };
}

static void __attribute__((format(printf, 3, 4))) add(struct verdict *v, int code,
						      const char *format, ...)
{
	struct ct_error finding = { .code = code };
	va_list ap;

	va_start(ap, format);
	vsnprintf(finding.text, sizeof(finding.text), format, ap);
	va_end(ap);
	verdict_add(v, &finding);
}

/* "MemAvailable:    1234 kB" of /proc/meminfo, in bytes; UINT64_MAX: not told. */
static uint64_t memory_available(void)
{
	cleanup_free char *text = NULL;
	const char *at;
	uint64_t kb;

	if (io_read_file(AT_FDCWD, "/proc/meminfo", 1 << 20, &text) < 0)
		return UINT64_MAX;
	at = strstr(text, "MemAvailable:");
	return at && sscanf(at, "MemAvailable: %" SCNu64, &kb) == 1 ? kb << 10 : UINT64_MAX;
}

/* What is begun counts. */
static uint64_t megabytes(uint64_t bytes)
{
	return (bytes >> 20) + (bytes & ((1 << 20) - 1) ? 1 : 0);
}

void check_features(struct verdict *v)
{
	struct ct_error finding = { 0 };

	if (features_check_core(&finding) < 0)
		verdict_add(v, &finding);
}

void check_room(struct ct *ct, const struct needs *needs, struct verdict *v)
{
	uint64_t have = memory_available();
	struct ct_error finding = { 0 };
	struct statvfs fs;

	if (needs->memory > have)
		add(v, -ENOMEM, "the pod needs %" PRIu64 " MB of memory, %" PRIu64 " MB are available",
		    megabytes(needs->memory), have >> 20);
	if (aio_check_host(&needs->aio, &finding) < 0)
		verdict_add(v, &finding);
	if (statvfs(ct->root, &fs) < 0)
		return;
	have = (uint64_t)fs.f_bavail * fs.f_frsize;
	if (needs->disk > have)
		add(v, -ENOSPC, "the pod's files need %" PRIu64 " MB in '%s', %" PRIu64 " MB are free",
		    megabytes(needs->disk), ct->root, have >> 20);
}

static void check_volumes(const struct pod_config *config, struct verdict *v)
{
	for (size_t i = 0; i < config->n_volumes; i++) {
		const struct pod_volume *volume = &config->volumes[i];
		struct stat st;

		if (stat(volume->source, &st) < 0)
			add(v, -ENOENT, "'%s', the volume for '%s', is not there: %s; map it to another path "
					"with --volume-map",
			    volume->source, volume->destination, strerror(errno));
	}
}

/* A bridge that is not there yet gets the subnet that the pod's address is of. */
static void check_network(struct pod_config *config, bool runs, struct verdict *v)
{
	struct ct_error finding = { 0 };
	int r;

	if (config->net != CT_NET_BRIDGE || !config->address.ip.s_addr)
		return;
	r = net_check(&config->address, runs, &finding);
	if (r == -ENODEV && !config->address.bridge[0]) {
		uint32_t mask = config->address.prefix ? ~0u << (32 - config->address.prefix) : 0;

		config->subnet.prefix = config->address.prefix;
		config->subnet.address.s_addr = config->address.ip.s_addr & htonl(mask);
	} else if (r == -ENODEV) {
		add(v, r, "there is no bridge '%s' on this host; make it first, with podckpt network create",
		    config->address.bridge);
	} else if (r < 0) {
		verdict_add(v, &finding);
	}
}

static void check_ports(const struct pod_config *config, struct verdict *v)
{
	for (size_t i = 0; i < config->n_publish; i++) {
		struct ct_error finding = { 0 };

		if (net_publish_check(&config->address, &config->publish[i], &finding) < 0)
			verdict_add(v, &finding);
	}
}

static void check_grants(struct ct *ct, struct pod_config *config, const struct offer *offer, struct verdict *v)
{
	struct ct_error finding = { 0 };
	struct grants grants = { .several = offer->several };
	int r = grants_begin(ct, config, offer->options, &grants, &finding);

	if (r == 0)
		r = grants_verdict(&grants, &finding);
	if (r < 0)
		verdict_add(v, &finding);
	grants_release(&grants);
}

static void check_pod(struct ct *ct, const struct offer *offer, struct pod_config *config, struct verdict *v,
		      struct pod **ret)
{
	struct ct_error finding = { 0 };

	check_grants(ct, config, offer, v);
	check_volumes(config, v);
	check_network(config, offer->runs, v);
	check_ports(config, v);
	if (pod_reserve(ct, config, !offer->runs && !offer->several, ret, &finding) < 0)
		verdict_add(v, &finding);
	if (*ret && v->code) {
		pod_destroy(*ret, NULL);
		pod_free(take_ptr(*ret));
	}
}

/* Of several pods it is to be said which. */
static void merge(struct verdict *to, const struct verdict *from, const char *name)
{
	cleanup_free char *all = from->lines ? strdup(from->lines) : NULL;
	char *rest = all;

	if (!to->code)
		to->code = from->code;
	for (char *line; rest && (line = strsep(&rest, "\n"));) {
		char with[1024];

		snprintf(with, sizeof(with), "%s%s%s", name ? name : "", name ? ": " : "", line);
		finding_add(&to->lines, with);
	}
}

int check_offer(struct ct *ct, const struct offer *offer, struct needs *needs, struct verdict *verdict,
		struct pod **ret, struct ct_error *err)
{
	const struct node *pod = node_object(offer->node, "pod");
	uint64_t format = node_u64(offer->node, "format", UINT32_MAX);
	__cleanup(pod_config_release) struct pod_config config = { 0 };
	__cleanup(verdict_release) struct verdict own = { 0 };
	struct ct_error finding = { 0 };

	needs->memory += node_u64(offer->node, "memory", NEED_MAX);
	needs->disk += node_u64(offer->node, "disk", NEED_MAX);
	aio_needs_get(&needs->aio, offer->node);
	if (format != IMAGE_FORMAT)
		add(&own, -EPROTONOSUPPORT, "the image is of format %u, this version reads format %d",
		    (unsigned int)format, IMAGE_FORMAT);
	if (host_check(offer->doc, offer->node, &finding) < 0)
		verdict_add(&own, &finding);
	ids_check(node_object(offer->node, "ids"), &own);
	finding = (struct ct_error){ 0 };
	if (restore_config(pod, offer->options, offer->several, &config, &finding) < 0)
		verdict_add(&own, &finding);
	else
		check_pod(ct, offer, &config, &own, ret);
	merge(verdict, &own, offer->several ? node_str(pod, "name") : NULL);
	return doc_check(offer->doc, err);
}
