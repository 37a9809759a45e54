/* SPDX-License-Identifier: Apache-2.0 */
/* libct/pod/: the file tree of a pod, seen by the commands that run in it. */
#include <linux/capability.h>

#include "tests/unit/netns.h"
#include "tests/unit/podtest.h"

static void test_files(void)
{
	char script[256];

	pod(script);
	snprintf(script, sizeof(script),
		 "echo x >/etc/podckpt-test-file; cat /etc/podckpt-test-file; ls -A %s | wc -l; "
		 "touch %s/x 2>/dev/null || echo hidden", t.root, t.root);
	check_run("what it writes it reads, and it does not see pods", 0, "x\n0\nhidden\n");
	CHECK("nothing reaches the host", access("/etc/podckpt-test-file", F_OK) < 0);
	pod("touch /x /etc/x || echo no; touch /run/x /dev/shm/x /tmp/x || echo nor; cat /etc/hostname");
	t.pod.config.read_only = true;
	check_run("a read-only root", 0, "no\nnor\nhosty\n");
	pod("stat -c '%n %F %a %t:%T' /dev/null /dev/tty /dev/full; readlink /dev/ptmx /dev/fd; "
	    "stat -c %a /dev/shm /run /run/lock; ls -A /run; ls /dev | sort | tr '\\n' ' '");
	check_run("the devices", 0,
		  "/dev/null character special file 666 1:3\n"
		  "/dev/tty character special file 666 5:0\n"
		  "/dev/full character special file 666 1:7\n"
		  "pts/ptmx\n/proc/self/fd\n1777\n755\n1777\nlock\n"
		  "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero ");
	pod("echo h >/proc/sys/kernel/hostname; echo c >/proc/sysrq-trigger; "
	    "mkdir /sys/x; cat /proc/kcore 2>/dev/null | wc -c; ls /sys/firmware | wc -l");
	check_run("what is the kernel's is out of reach", 0, "0\n0\n");
	pod("grep -c hosty /etc/hosts; test -s /etc/resolv.conf || test ! -s /etc/hostname || echo ok; "
	    "getent hosts hosty | wc -l");
	test_pod_run(&t, out, sizeof(out));
	CHECK("its own name resolves", strstr(out, "1\n"));
	test_pod_end(&t);
}

static void test_tree_attributes(void)
{
	pod("stat -c '%a %u' / /tmp /etc; mknod /tmp/n c 1 3 && cat /tmp/n");
	t.pod.config.capabilities |= UINT64_C(1) << CAP_MKNOD;
	int r = test_pod_run(&t, out, sizeof(out));

	CHECK("a device in a tree is of no use", r == 1);
	CHECK("directories have their modes", strstr(out, "755 0\n1777 0\n755 0\n"));
	test_pod_end(&t);
}

static void test_volumes(void)
{
	char volume[] = "/tmp/podckpt-test-vXXXXXX", path[64];
	struct pod_volume volumes[3] = { { volume, (char *)"/srv/a, b:c/x", false },
					 { volume, (char *)"/run/ro", true },
					 { path, (char *)"/opt/file", false } };
	struct ct_error none = { 0 };

	REQUIRE("a directory", mkdtemp(volume));
	snprintf(path, sizeof(path), "%s/file", volume);
	close(open(path, O_CREAT | O_WRONLY, 0644));
	pod("echo hi >'/srv/a, b:c/x/new'; cat /run/ro/new; touch /run/ro/y 2>/dev/null || echo ro; "
	    "echo f >/opt/file");
	t.pod.config.volumes = volumes;
	t.pod.config.n_volumes = 3;
	check_run("volumes", 0, "hi\nro\n");
	snprintf(path, sizeof(path), "%s/new", volume);
	CHECK("what is written to one is on the host", access(path, F_OK) == 0);
	CHECK("a mount point is not made on the host", access("/srv/a, b:c", F_OK) < 0);
	err = none;
	pod("true");
	volumes[0].source = (char *)"/no/such/directory";
	t.pod.config.volumes = volumes;
	t.pod.config.n_volumes = 1;
	CHECK("a volume of nothing", test_pod_spawn(&t, NULL) == -ENOENT);
	CHECK_STR("... is an error in words", err.text,
		  "volume '/no/such/directory': No such file or directory");
	CHECK("... and nothing is left", access("/sys/fs/cgroup/unified/podckpt", F_OK) < 0 ||
						 t.child.pid1 == 0);
	test_pod_end(&t);
	io_remove_tree(AT_FDCWD, volume);
}

static void write_text(const char *dir, const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	cleanup_fd int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0644);

	REQUIRE("a file", fd >= 0 && io_write_all(fd, text, strlen(text)) == 0);
}

/* Every kind of mount below the root, in this test's own mount namespace. */
static void test_trees(void)
{
	static const char *const dirs[] = { "a", "a/sub", "b", "c", "hidden", "l", "u", "w", "o" };
	char base[] = "/tmp/podckpt-test-mXXXXXX", path[128], other[128], options[256], script[512];

	REQUIRE("a directory", mkdtemp(base) && chmod(base, 0755) == 0);
	for (size_t i = 0; i < sizeof(dirs) / sizeof(*dirs); i++) {
		snprintf(path, sizeof(path), "%s/%s", base, dirs[i]);
		REQUIRE("... in it", mkdir(path, 0755) == 0);
	}
	write_text(base, "file", "under");
	write_text(base, "other", "over");
	write_text(base, "l/x", "lower");
	snprintf(path, sizeof(path), "%s/a", base);
	REQUIRE("a tmpfs", mount("t1", path, "tmpfs", 0, "mode=0755") == 0);
	write_text(base, "a/first", "hidden below the second");
	REQUIRE("... and one over it", mount("t2", path, "tmpfs", MS_NOEXEC, "mode=0751") == 0);
	write_text(base, "a/second", "2");
	snprintf(path, sizeof(path), "%s/b", base);
	snprintf(other, sizeof(other), "%s/l", base);
	REQUIRE("a bind of a directory", mount(other, path, NULL, MS_BIND, NULL) == 0);
	snprintf(path, sizeof(path), "%s/file", base);
	snprintf(other, sizeof(other), "%s/other", base);
	REQUIRE("a bind of a file", mount(other, path, NULL, MS_BIND, NULL) == 0);
	snprintf(path, sizeof(path), "%s/o", base);
	snprintf(options, sizeof(options), "lowerdir=%1$s/l,upperdir=%1$s/u,workdir=%1$s/w", base);
	REQUIRE("an overlay", mount("o", path, "overlay", 0, options) == 0);
	write_text(base, "o/y", "upper");
	snprintf(script, sizeof(script),
		 "cd %s; ls a; stat -c %%a a; cat b/x file o/x o/y; echo n >a/n; echo n >b/x; echo n >o/x; "
		 "echo n >file; cat a/n b/x o/x; ls -A /no/such/tree; cp /bin/true a/; a/true", base);
	pod(script);
	CHECK("a tree for each, but one plain bind", t.pod.config.n_trees >= 5);
	struct pod_tree *grown = reallocarray(t.pod.config.trees, t.pod.config.n_trees + 1, sizeof(*grown));
	REQUIRE("memory", grown);
	t.pod.config.trees = grown;
	grown[t.pod.config.n_trees++] =
		(struct pod_tree){ strdup("/no/such/lower"), strdup("/no/such/tree"), false };
	check_run("trees as the host has them, noexec too", 126,
		  "second\n751\nlowerover" "lowerupper" "n\nn\nn\n");
	snprintf(path, sizeof(path), "%s/b/x", base);
	cleanup_free char *text = NULL;
	io_read_file(AT_FDCWD, path, 100, &text);
	CHECK_STR("nothing reached the host", text, "lower");
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/a", base);
		umount2(path, MNT_DETACH);
	}
	snprintf(path, sizeof(path), "%s/b", base);
	umount2(path, MNT_DETACH);
	snprintf(path, sizeof(path), "%s/file", base);
	umount2(path, MNT_DETACH);

	/* The state directory on an overlay, where no upper layer can be. */
	pod("true");
	snprintf(path, sizeof(path), "%s/o/pod", base);
	REQUIRE("a pod on an overlay", mkdir(path, 0700) == 0);
	snprintf(options, sizeof(options), "%s/o", base);
	t.ct.root = options;
	t.pod.dir = path;
	close(t.pod.dirfd);
	t.pod.dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK("is refused", test_pod_spawn(&t, NULL) < 0);
	CHECK("... with the remedy", strstr(err.text, "lies on an overlay") && strstr(err.text, "--root"));
	test_pod_end(&t);
	snprintf(path, sizeof(path), "%s/o", base);
	umount2(path, MNT_DETACH);
	io_remove_tree(AT_FDCWD, base);
}

/* With a name server on the host's own loopback, as systemd-resolved has it. */
static void test_resolver(void)
{
	char dir[] = "/tmp/podckpt-test-eXXXXXX", path[64];

	REQUIRE("a directory", mkdtemp(dir));
	write_text(dir, "resolv.conf", "search x\nnameserver 127.0.0.53\nnameserver ::1\n");
	snprintf(path, sizeof(path), "%s/resolv.conf", dir);
	REQUIRE("a resolver", mount(path, "/etc/resolv.conf", NULL, MS_BIND, NULL) == 0);
	pod("cat /etc/resolv.conf");
	t.pod.config.net = CT_NET_BRIDGE;
	check_run("servers that the pod cannot reach are not named", 0,
		  "search x\n# on the host's loopback, not reachable from the pod: nameserver 127.0.0.53\n"
		  "# on the host's loopback, not reachable from the pod: nameserver ::1\n");
	REQUIRE("systemd's directory", io_mkdir_p("/run/systemd/resolve", 0755) == 0);
	write_text("/run/systemd/resolve", "resolv.conf", "nameserver 192.0.2.1\n");
	pod("cat /etc/resolv.conf; echo mine >/etc/resolv.conf");
	t.pod.config.net = CT_NET_BRIDGE;
	check_run("... but those behind it", 0, "nameserver 192.0.2.1\n");
	pod("cat /etc/resolv.conf");
	t.pod.config.net = CT_NET_HOST;
	check_run("on the host's network they are good", 0,
		  "search x\nnameserver 127.0.0.53\nnameserver ::1\n");
	umount2("/etc/resolv.conf", MNT_DETACH);
	io_remove_tree(AT_FDCWD, dir);
}

static void test_rootfs(void)
{
	char root[] = "/tmp/podckpt-test-rXXXXXX", path[64];

	REQUIRE("a directory", mkdtemp(root));
	snprintf(path, sizeof(path), "%s/bin", root);
	REQUIRE("... with nothing in it but", mkdir(path, 0755) == 0);
	pod("ls / | tr '\\n' ' '; touch /bin/new");
	trees_free(t.pod.config.trees, t.pod.config.n_trees);
	REQUIRE("a tree", trees_of_rootfs(root, &t.pod.config.trees, &t.pod.config.n_trees, &err) == 0);
	struct pod_volume volumes[] = { { (char *)"/bin/", (char *)"/bin", true },
					{ (char *)"/usr", (char *)"/usr", true },
					{ (char *)"/lib", (char *)"/lib", true },
					{ (char *)"/lib64", (char *)"/lib64", true } };
	t.pod.config.volumes = volumes;
	t.pod.config.n_volumes = 4;
	check_run("another root", 1, "bin dev etc lib lib64 proc run sys usr ");
	io_remove_tree(AT_FDCWD, root);
}

int main(void)
{
	own_namespaces();
	test_files();
	test_tree_attributes();
	test_volumes();
	test_trees();
	test_resolver();
	test_rootfs();
	return UNIT_DONE();
}
