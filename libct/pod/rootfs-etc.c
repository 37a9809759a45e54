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

#define ETC_FILE_MAX (4 << 20)
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

/* The lines of the pod: a host name for each of its addresses. */
#define OWN_LINES 512
static void own_lines(const struct pod_config *config, char lines[OWN_LINES])
{
	char ip[INET_ADDRSTRLEN] = "127.0.1.1", ip6[INET6_ADDRSTRLEN];
	int n;

	if (config->net == CT_NET_BRIDGE)
		inet_ntop(AF_INET, &config->address.ip, ip, sizeof(ip));
	n = snprintf(lines, OWN_LINES, "%s\t%s\n", ip, config->hostname);
	if (config->net == CT_NET_BRIDGE && !IN6_IS_ADDR_UNSPECIFIED(&config->address.ip6))
		snprintf(lines + n, OWN_LINES - (size_t)n, "%s\t%s\n",
			 inet_ntop(AF_INET6, &config->address.ip6, ip6, sizeof(ip6)), config->hostname);
}

/* The tree's own file first, then the pod's lines. */
static int write_hosts(int rootfd, const struct pod_config *config, struct ct_error *err)
{
	cleanup_free char *old = NULL, *all = NULL;
	char lines[OWN_LINES];
	cleanup_fd int etc = root_open(rootfd, "/etc", O_PATH | O_DIRECTORY);
	ssize_t n = etc < 0 ? etc : io_read_file(etc, "hosts", ETC_FILE_MAX, &old);
	const char *before = n > 0 ? old : "127.0.0.1\tlocalhost\n::1\tlocalhost\n";
	int len;

	own_lines(config, lines);
	len = asprintf(&all, "%s%s%s", before, before[strlen(before) - 1] == '\n' ? "" : "\n", lines);
	if (len < 0)
		return error_errno(err, -ENOMEM, "write '/etc/hosts' in the pod");
	return write_etc(rootfd, "hosts", all, (size_t)len, err);
}

/* Is this one of own_lines(), with the addresses of before? */
static bool is_own_line(const char *line, const char *hostname, const struct net_config *before)
{
	char address[INET6_ADDRSTRLEN], name[256], more[2];
	struct in6_addr ip6;
	struct in_addr ip;

	if (sscanf(line, "%45s %255s %1s", address, name, more) != 2 || strcmp(name, hostname))
		return false;
	if (inet_pton(AF_INET, address, &ip) == 1)
		return ip.s_addr == before->ip.s_addr;
	return inet_pton(AF_INET6, address, &ip6) == 1 && IN6_ARE_ADDR_EQUAL(&ip6, &before->ip6);
}

/* The text with the lines of now in place of those of before; NULL: there were none. -ENOMEM. */
static int replace_lines(char *text, const struct pod_config *config, const struct net_config *before,
			 char **ret)
{
	char lines[OWN_LINES], *line;
	cleanup_free char *out = NULL;
	bool found = false;
	size_t size = 0;
	FILE *f = open_memstream(&out, &size);

	if (!f)
		return -ENOMEM;
	own_lines(config, lines);
	while ((line = strsep(&text, "\n"))) {
		if (!is_own_line(line, config->hostname, before))
			fprintf(f, "%s%s", line, text ? "\n" : "");
		else if (!found)
			fputs(lines, f);
		found |= is_own_line(line, config->hostname, before);
	}
	if (fclose(f))
		return -ENOMEM;
	*ret = found ? take_ptr(out) : NULL;
	return 0;
}

int rootfs_etc_moved(int rootfd, const struct pod_config *config, const struct net_config *before,
		     struct ct_error *err)
{
	const struct net_config *now = &config->address;
	cleanup_free char *old = NULL, *new = NULL;
	cleanup_fd int fd = -1;
	struct stat st;
	int r;

	if (config->net != CT_NET_BRIDGE ||
	    (before->ip.s_addr == now->ip.s_addr && IN6_ARE_ADDR_EQUAL(&before->ip6, &now->ip6)))
		return 0;
	fd = root_open(rootfd, "/etc/hosts", O_RDONLY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    st.st_size > ETC_FILE_MAX)
		return 0;
	old = calloc(1, (size_t)st.st_size + 1);
	r = old ? io_read_exact(fd, old, (size_t)st.st_size) : -ENOMEM;
	if (r == 0)
		r = replace_lines(old, config, before, &new);
	if (r == 0 && new) {
		/* The same file: somebody may have it open. */
		fd_close(fd);
		fd = root_open(rootfd, "/etc/hosts", O_WRONLY | O_TRUNC | O_NONBLOCK);
		r = fd < 0 ? fd : io_write_all(fd, new, strlen(new));
	}
	return r < 0 ? error_errno(err, r, "write '/etc/hosts' in the pod") : 0;
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
