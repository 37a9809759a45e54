/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Capabilities of the pod's command: by name from the user, as bit sets by the kernel's numbers
 * inside.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/prctl.h>

#include "libct/base/cleanup.h"
#include "libct/base/error.h"
#include "libct/pod/inside.h"

#define BIT(cap) (UINT64_C(1) << (cap))

static void cap_name_release(char **name)
{
	cap_free(*name);
}
#define cleanup_cap_name __cleanup(cap_name_release)

/*
 * What container engines give, but for mknod: a device node would have to be carried, and opens the
 * hardware of the host that it was restored on.
 */
#define CAPS_DEFAULT                                                                               \
	(BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |              \
	 BIT(CAP_KILL) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP) |                    \
	 BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_NET_RAW) | BIT(CAP_SYS_CHROOT) | BIT(CAP_SETFCAP) |   \
	 BIT(CAP_AUDIT_WRITE))

uint64_t caps_host(void)
{
	cap_t own = cap_get_proc();
	uint64_t caps = 0;

	for (int cap = 0; own && cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++) {
		cap_flag_value_t permitted = CAP_CLEAR;

		cap_get_flag(own, cap, CAP_PERMITTED, &permitted);
		if (permitted == CAP_SET && prctl(PR_CAPBSET_READ, cap) == 1)
			caps |= BIT(cap);
	}
	cap_free(own);
	return caps;
}

/* "NET_ADMIN", "cap_net_admin", "all". */
static int parse_name(const char *name, uint64_t all, uint64_t *ret, struct ct_error *err)
{
	char full[64];
	cap_value_t cap;

	if (!strcasecmp(name, "all")) {
		*ret = all;
		return 0;
	}
	snprintf(full, sizeof(full), "%s%s", strncasecmp(name, "cap_", 4) ? "cap_" : "", name);
	if (cap_from_name(full, &cap) < 0 || cap < 0 || cap >= 64 || isdigit((unsigned char)*name))
		return error_set(err, -EINVAL, "capability '%s' is not known; see man 7 capabilities",
				 name);
	*ret = BIT(cap);
	return 0;
}

int caps_parse(const char *const *add, const char *const *drop, uint64_t *ret, struct ct_error *err)
{
	uint64_t host = caps_host(), caps = CAPS_DEFAULT & host, bits;
	int r = 0;

	/* "all" first, so that --cap-drop all --cap-add X means X alone. */
	for (const char *const *p = drop; p && *p; p++)
		if (!strcasecmp(*p, "all"))
			caps = 0;
	for (const char *const *p = add; r == 0 && p && *p; p++) {
		r = parse_name(*p, host, &bits, err);
		if (r == 0 && bits & ~host)
			return error_set(err, -EPERM,
					 "capability '%s' cannot be given: podckpt itself does not "
					 "have it here",
					 *p);
		if (r == 0)
			caps |= bits;
	}
	for (const char *const *p = drop; r == 0 && p && *p; p++) {
		r = parse_name(*p, 0, &bits, err);
		if (r == 0)
			caps &= ~bits;
	}
	if (r == 0)
		*ret = caps;
	return r;
}

void caps_flags(uint64_t capabilities, char *ret, size_t size)
{
	size_t n = 0;

	*ret = '\0';
	if (capabilities == caps_host()) {
		snprintf(ret, size, " --cap-add all");
		return;
	}
	for (int cap = 0; cap < 64; cap++) {
		cleanup_cap_name char *name = capabilities & BIT(cap) ? cap_to_name(cap) : NULL;

		if (name && n < size)
			n += (size_t)snprintf(ret + n, size - n, " --cap-add %s",
					      strncmp(name, "cap_", 4) ? name : name + 4);
	}
}

int caps_bound(uint64_t capabilities, struct ct_error *err)
{
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(capabilities & BIT(cap)) && cap_drop_bound(cap) < 0)
			return error_errno(err, -errno, "drop capability %d", cap);
	return 0;
}

int caps_set(uint64_t capabilities, struct ct_error *err)
{
	cap_t caps = cap_init();
	int r = caps ? 0 : -ENOMEM;

	for (cap_value_t cap = 0; r == 0 && cap < 64; cap++) {
		if (!(capabilities & BIT(cap)))
			continue;
		if (cap_set_flag(caps, CAP_PERMITTED, 1, &cap, CAP_SET) < 0 ||
		    cap_set_flag(caps, CAP_EFFECTIVE, 1, &cap, CAP_SET) < 0)
			r = -errno;
	}
	/* Ambient ones go with the inheritable ones. */
	if (r == 0 && cap_set_proc(caps) < 0)
		r = -errno;
	cap_free(caps);
	return r < 0 ? error_errno(err, r, "set the capabilities") : 0;
}
