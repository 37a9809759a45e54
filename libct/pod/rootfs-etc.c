/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The three files of /etc that name the machine: written into the pod's upper layer, so that the
 * pod may change them and an image carries them.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/stat.h>

#include "libct/base/error.h"
#include "libct/base/io.h"
#include "libct/pod/inside.h"

#define ETC_FILE_MAX (4u << 20)
#define RESOLVED_UPSTREAM "/run/systemd/resolve/resolv.conf"

bool rootfs_is_etc(const char *path)
{
	return !strcmp(path, "/etc/hosts") || !strcmp(path, "/etc/hostname") ||
	       !strcmp(path, "/etc/resolv.conf");
}

/* Replaces /etc/NAME; a symlink there is replaced itself, since it leads to the host's /run. */
static int write_etc(int rootfd, const char *name, const char *text, size_t len,
		     struct ct_error *err)
{
	cleanup_fd int etc = root_make(rootfd, "/etc", false);
	cleanup_fd int fd = -1;
	int r;

	if (etc < 0)
		return error_errno(err, etc, "make '/etc' in the pod");
	if (unlinkat(etc, name, 0) < 0 && errno != ENOENT)
		return error_errno(err, -errno, "replace '/etc/%s' in the pod", name);
	fd = openat(etc, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	r = fd < 0 ? -errno : io_write_all(fd, text, len);
	if (r == 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	return r < 0 ? error_errno(err, r, "write '/etc/%s' in the pod", name) : 0;
}

/* The tree's own file first, then the pod's line. */
static int write_hosts(int rootfd, const struct pod_config *config, struct ct_error *err)
{
	cleanup_free char *old = NULL, *all = NULL;
	char address[INET_ADDRSTRLEN] = "127.0.1.1";
	cleanup_fd int etc = root_open(rootfd, "/etc", O_PATH | O_DIRECTORY);
	ssize_t n = etc < 0 ? etc : io_read_file(etc, "hosts", ETC_FILE_MAX, &old);
	const char *before = n > 0 ? old : "127.0.0.1\tlocalhost\n::1\tlocalhost\n";
	int len;

	if (config->net == CT_NET_BRIDGE)
		inet_ntop(AF_INET, &config->address.ip, address, sizeof(address));
	len = asprintf(&all, "%s%s%s\t%s\n", before,
		       before[strlen(before) - 1] == '\n' ? "" : "\n", address, config->hostname);
	if (len < 0)
		return error_errno(err, -ENOMEM, "write '/etc/hosts' in the pod");
	return write_etc(rootfd, "hosts", all, (size_t)len, err);
}

static bool is_loopback_server(const char *line)
{
	static const char word[] = "nameserver";
	struct in_addr v4;
	struct in6_addr v6;
	char text[64];

	if (strncmp(line, word, sizeof(word) - 1) || sscanf(line + sizeof(word) - 1, "%63s", text) != 1)
		return false;
	if (inet_pton(AF_INET, text, &v4) == 1)
		return ntohl(v4.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, text, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* Takes out name servers on the loopback, which a pod with a network of its own cannot reach. */
static int filter_servers(char *text, char **ret, bool *ret_any)
{
	cleanup_free char *out = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&out, &size);
	char *line;

	if (!f)
		return -ENOMEM;
	*ret_any = false;
	while ((line = strsep(&text, "\n"))) {
		bool server = !strncmp(line, "nameserver", 10);

		if (server && is_loopback_server(line)) {
			fprintf(f, "# on the host's loopback, not reachable from the pod: %s\n", line);
			continue;
		}
		*ret_any |= server;
		if (*line || text)
			fprintf(f, "%s\n", line);
	}
	if (fclose(f))
		return -ENOMEM;
	*ret = take_ptr(out);
	return 0;
}

/*
 * The host's, as its own programs see it. A local resolver's own file names the servers behind
 * it.
 */
static int write_resolv_conf(int rootfd, const struct pod_config *config, struct ct_error *err)
{
	static const char *const files[] = { "/etc/resolv.conf", RESOLVED_UPSTREAM };
	cleanup_free char *best = NULL;
	bool any = false;

	for (size_t i = 0; i < 2 && !any; i++) {
		cleanup_free char *text = NULL, *usable = NULL;
		ssize_t n = io_read_file(AT_FDCWD, files[i], ETC_FILE_MAX, &text);
		int r;

		if (n < 0)
			continue;
		if (config->net != CT_NET_BRIDGE)
			return write_etc(rootfd, "resolv.conf", text, (size_t)n, err);
		r = filter_servers(text, &usable, &any);
		if (r < 0)
			return error_errno(err, r, "read '%s'", files[i]);
		if (!best || any) {
			free(best);
			best = take_ptr(usable);
		}
	}
	return best ? write_etc(rootfd, "resolv.conf", best, strlen(best), err) : 0;
}

int rootfs_etc(int rootfd, const struct pod_config *config, struct ct_error *err)
{
	char name[256];
	int n = snprintf(name, sizeof(name), "%s\n", config->hostname);
	int r = write_etc(rootfd, "hostname", name, (size_t)n, err);

	if (r == 0)
		r = write_hosts(rootfd, config, err);
	return r < 0 ? r : write_resolv_conf(rootfd, config, err);
}
