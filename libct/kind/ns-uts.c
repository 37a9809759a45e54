/* SPDX-License-Identifier: Apache-2.0 */
/* The UTS namespace: host name and NIS domain name. man 7 uts_namespaces. */
#include <string.h>
#include <sys/utsname.h>

#include "libct/base/cleanup.h"
#include "libct/kind.h"

static int uts_dump(struct dump *d, struct node *n, struct ct_error *err)
{
	struct utsname u;

	if (uname(&u) < 0)
		return error_errno(err, -errno, "uname");
	node_put_str(n, "host_name", u.nodename);
	node_put_str(n, "domain_name", u.domainname);
	return 0;
}

static int uts_restore(struct restore *r, const struct node *n, struct ct_error *err)
{
	const char *host = node_str(n, "host_name"), *domain = node_str(n, "domain_name");
	int e = doc_check(r->doc, err);

	if (e < 0)
		return e;
	if (sethostname(host, strlen(host)) < 0 || setdomainname(domain, strlen(domain)) < 0)
		return error_errno(err, -errno, "set the host name '%s'", host);
	return 0;
}

const struct kind kind_uts = {
	.name = "uts",
	.carries = "host name and domain name",
	.victims = "uts",
	.pod_dump = uts_dump,
	.pod_restore = uts_restore,
};
