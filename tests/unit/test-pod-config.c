/* SPDX-License-Identifier: Apache-2.0 */
/* libct/pod/: from options to a configuration, to JSON and back; what is refused on the way. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images/node.h"
#include "libct/base/cleanup.h"
#include "libct/pod/inside.h"
#include "tests/unit/unit.h"

static struct ct_error err;
static struct ct ct = { .root = (char *)"/var/lib/podckpt-test", .run_fd = -1 };
static const char *const command[] = {"true", "a b", NULL};

#define BIT(cap) (UINT64_C(1) << (cap))

/* Options with one thing set; 0 or the errno. The text stays in `err`. */
#define TRY(...)                                                               \
	({                                                                                         \
		struct ct_run_options o = { .size = sizeof(o), __VA_ARGS__ };                        \
		struct pod_config c = { 0 };                                                         \
		err = (struct ct_error){ 0 };                                                        \
		int r = pod_config_from_options(&ct, &o, &c, &err);                                \
		pod_config_release(&c);                                                            \
		r;                                                                                 \
	})

static void check_refused(const char *name, int r, int code, const char *text)
{
	CHECK(name, r == code);
	CHECK_STR("... with the words", err.text, text);
}

static void test_refusals(void)
{
	const struct ct_volume relative = {"/tmp", "x", false}, root = {"/tmp", "/", false};
	const struct ct_volume up = {"/tmp", "/a/../b", false}, proc = {"/tmp", "/proc/x", false};
	const struct ct_volume none = {"/no/such", "/x", false};
	const struct ct_volume twice[] = {{"/tmp", "/x", false}, {"/usr", "//x/.", false}};
	const char *const env[] = {"noequals", NULL}, *const cap[] = {"fly", NULL};

	check_refused("no command", TRY(.command = NULL), -EINVAL, "no command is given");
	check_refused("a bad environment", TRY(.command = command, .env = env), -EINVAL,
		      "environment 'noequals' is not NAME=value");
	check_refused("a bad host name", TRY(.command = command, .hostname = "a b"), -EINVAL,
		      "'a b' is not a host name");
	check_refused("a bad signal", TRY(.command = command, .stop_signal = 99), -EINVAL,
		      "signal 99 does not exist");
	check_refused("a relative destination",
		      TRY(.command = command, .volumes = &relative, .n_volumes = 1), -EINVAL,
		      "volume destination 'x' is not an absolute path");
	check_refused("a destination that goes up",
		      TRY(.command = command, .volumes = &up, .n_volumes = 1), -EINVAL,
		      "volume destination '/a/../b' contains '..'");
	check_refused("a volume over the root",
		      TRY(.command = command, .volumes = &root, .n_volumes = 1), -EINVAL,
		      "a volume cannot be at '/' in the pod");
	check_refused("a volume in proc", TRY(.command = command, .volumes = &proc, .n_volumes = 1),
		      -EINVAL, "a volume cannot be at '/proc/x' in the pod");
	check_refused("a volume of nothing",
		      TRY(.command = command, .volumes = &none, .n_volumes = 1), -ENOENT,
		      "volume '/no/such': No such file or directory");
	check_refused("two volumes at one place",
		      TRY(.command = command, .volumes = twice, .n_volumes = 2), -EINVAL,
		      "two volumes at '/x' in the pod");
	check_refused("a bad address", TRY(.command = command, .ip = "1.2.3"), -EINVAL,
		      "'1.2.3' is not an IPv4 address");
	check_refused(
		"a group's MAC", TRY(.command = command, .mac = "01:00:5e:00:00:01"), -EINVAL,
		"'01:00:5e:00:00:01' is not a MAC address of one station (aa:bb:cc:dd:ee:ff)");
	check_refused("a subnet with host bits", TRY(.command = command, .subnet = "10.1.2.3/16"),
		      -EINVAL,
		      "'10.1.2.3/16' is not a subnet (a.b.c.d/n, n from 8 to 30, no host bits)");
	check_refused("an address without the bridge",
		      TRY(.command = command, .net = CT_NET_NONE, .ip = "1.2.3.4"), -EINVAL,
		      "an address is for pods on the bridge only (--net bridge)");
	check_refused("an unknown capability", TRY(.command = command, .cap_add = cap), -EINVAL,
		      "capability 'fly' is not known; see man 7 capabilities");
	check_refused("a profile that is not there", TRY(.command = command, .seccomp = "/no/such"),
		      -ENOENT, "seccomp profile '/no/such': No such file or directory");
	check_refused("a root that is not there", TRY(.command = command, .rootfs = "/no/such"),
		      -ENOENT, "root file system '/no/such': No such file or directory");
	check_refused("a root that is a file", TRY(.command = command, .rootfs = "/etc/passwd"),
		      -ENOTDIR, "root file system '/etc/passwd' is not a directory");
	check_refused("a CPU limit too small", TRY(.command = command, .cpu_micros = 999), -EINVAL,
		      "a CPU limit below 1000 us per second cannot be enforced");
}

static uint64_t caps(const char *const *add, const char *const *drop)
{
	uint64_t ret = 0;

	CHECK("capabilities parse", caps_parse(add, drop, &ret, &err) == 0);
	return ret;
}

static void test_caps(void)
{
	const char *const all[] = {"ALL", NULL}, *const admin[] = {"CAP_NET_ADMIN", NULL};
	const char *const chown[] = {"chown", NULL};
	uint64_t host = caps_host(), usual = caps(NULL, NULL);

	if (!(host & BIT(CAP_NET_ADMIN)))
		return;
	CHECK("mknod is not given", !(usual & BIT(CAP_MKNOD)));
	CHECK("chown is", usual & BIT(CAP_CHOWN));
	CHECK("all is all that there is", caps(all, NULL) == host);
	CHECK("dropping all leaves none", caps(NULL, all) == 0);
	CHECK("dropping all but one leaves that", caps(admin, all) == BIT(CAP_NET_ADMIN));
	CHECK("adding all but one", caps(all, chown) == (host & ~BIT(CAP_CHOWN)));
	CHECK("names go without cap_",
	      caps(admin, chown) == ((usual | BIT(CAP_NET_ADMIN)) & ~BIT(CAP_CHOWN)));
}

/* ---- to JSON and back ---- */

DEFINE_CLEANUP(struct doc *, doc_free)

static char *format(const struct pod_config *c)
{
	__cleanup(doc_free_cleanup) struct doc *doc = doc_new();
	char *text = NULL;
	size_t len;

	pod_config_put(c, doc_root(doc));
	return doc_format(doc, &text, &len, &err) < 0 ? NULL : text;
}

/* Reads it; the errno of the document, 0 and the configuration where it is good. */
static int parse(const char *text, struct pod_config *ret)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	int r = doc_parse(text, strlen(text), &doc, &err);

	if (r == 0)
		r = pod_config_get(doc_root(doc), ret, &err);
	return r < 0 ? r : doc_check_all_read(doc, &err);
}

static void test_round_trip(void)
{
	const struct ct_volume volumes[] = {{"/tmp", "//srv//x/", true}};
	const char *const env[] = {"A=1", "B=\xff", NULL};
	struct ct_run_options o = {
		.size = sizeof(o),
		.command = command,
		.env = env,
		.name = "n1",
		.hostname = "h",
		.user = "nobody:nogroup",
		.volumes = volumes,
		.n_volumes = 1,
		.tty = true,
		.memory = 123 << 20,
		.ip = "10.9.8.7",
		.mac = "02:42:0a:09:08:07",
		.rootfs = "/usr",
	};
	struct pod_config c = { 0 }, d = { 0 };
	char *a, *b;

	REQUIRE("options are taken", pod_config_from_options(&ct, &o, &c, &err) == 0);
	CHECK_STR("a destination is tidied", c.volumes[0].destination, "/srv/x");
	CHECK("the stop signal has a default", c.stop_signal == SIGTERM);
	CHECK("so has the terminal", c.rows == 24 && c.columns == 80);
	c.address.prefix = 16;
	inet_pton(AF_INET, "10.9.0.1", &c.address.gateway);
	a = format(&c);
	REQUIRE("it is written", a);
	REQUIRE("it is read", parse(a, &d) == 0);
	b = format(&d);
	CHECK_STR("and is the same", b, a);
	free(a);
	free(b);
	pod_config_release(&c);
	pod_config_release(&d);
}

/* One line of a good document replaced. */
static void check_bad(const char *good, const char *from, const char *to, const char *text)
{
	const char *at = strstr(good, from);
	struct pod_config c = { 0 };
	char *bad;

	if (!at)
		printf("# %s\n", good);
	REQUIRE("the document has what is replaced", at);
	if (asprintf(&bad, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from)) < 0)
		exit(1);
	err = (struct ct_error){ 0 };
	CHECK(text, parse(bad, &c) == -EBADMSG && strstr(err.text, text));
	if (!strstr(err.text, text))
		printf("# %s\n", err.text);
	pod_config_release(&c);
	free(bad);
}

static void test_bad_documents(void)
{
	struct ct_run_options o = {.size = sizeof(o),
				   .command = command,
				   .name = "n",
				   .hostname = "h",
				   .rootfs = "/usr"};
	struct pod_config c = { 0 };
	char *good;

	REQUIRE("options are taken", pod_config_from_options(&ct, &o, &c, &err) == 0);
	good = format(&c);
	check_bad(good, "\"at\": \"/\"", "\"at\": \"/x\"",
		  "the first tree is not an overlay at '/'");
	check_bad(good, "\"lower\": \"/usr\"", "\"lower\": \"/usr/../etc\"", "trees[0].lower");
	check_bad(good, "\"hostname\": \"h\"", "\"hostname\": \"a\\nb\"", "is not one");
	check_bad(good, "\"net\": \"bridge\"", "\"net\": \"moon\"", "network 'moon' is not known");
	check_bad(good, "\"stop_signal\": 15", "\"stop_signal\": 65", "stop_signal");
	check_bad(good, "\"volumes\": [",
		  "\"volumes\": [{\"source\": \"/tmp\", \"destination\": \"/proc\", \"read_only\": "
		  "false}",
		  "a volume cannot be at '/proc'");
	check_bad(good, "\"capabilities\": \"",
		  "\"capabilities\": \"0x8000000000000000\", \"x\": \"", "cannot be given");
	free(good);
	pod_config_release(&c);
}

/* ---- trees and paths ---- */

static void test_paths(void)
{
	struct pod_tree trees[] = {
		{"/", "/", false}, {"/home", "/home", false}, {"/vfat", "/vfat", true}};
	struct pod_volume volumes[] = {{"/v", "/data", false}};
	struct pod_config c = { .trees = trees, .n_trees = 3, .volumes = volumes, .n_volumes = 1 };
	const char *below = NULL;
	size_t tree = 9;

	CHECK_STR("below the root", path_below("/a/b", "/"), "a/b");
	CHECK_STR("below a directory", path_below("/a/b", "/a"), "b");
	CHECK_STR("the directory itself", path_below("/a", "/a"), "");
	CHECK("a longer name is another", !path_below("/ab", "/a"));
	CHECK("a file of the root", pod_path_tree(&c, "/etc/x", &tree, &below) && tree == 0);
	CHECK_STR("... below it", below, "etc/x");
	CHECK("a file of a tree", pod_path_tree(&c, "/home/u", &tree, &below) && tree == 1);
	CHECK_STR("... below that", below, "u");
	CHECK("the root itself", pod_path_tree(&c, "/", &tree, &below) && tree == 0 && !*below);
	CHECK("not a plain tree's", !pod_path_tree(&c, "/vfat/x", &tree, &below));
	CHECK("not a volume's", !pod_path_tree(&c, "/data/x", &tree, &below));
	CHECK("not in proc", !pod_path_tree(&c, "/proc/1", &tree, &below));
}

static void test_workdir(void)
{
	char dir[] = "/tmp/podckpt-test-XXXXXX", old[PATH_MAX], own[PATH_MAX];
	const struct ct_run_options o = { .size = sizeof(o), .command = command };
	struct pod_config c = { 0 };

	REQUIRE("a directory", getcwd(old, sizeof(old)) && mkdtemp(dir) && chdir(dir) == 0);
	REQUIRE("options are taken", pod_config_from_options(&ct, &o, &c, &err) == 0);
	CHECK_STR("the working directory is the caller's", c.workdir, dir);
	CHECK("trees begin with the root", c.n_trees > 0 && !strcmp(c.trees[0].at, "/"));
	pod_config_release(&c);
	REQUIRE("proc", chdir("/proc/self") == 0);
	REQUIRE("options are taken", pod_config_from_options(&ct, &o, &c, &err) == 0);
	CHECK_STR("... or / where the pod lacks it", c.workdir, "/");
	pod_config_release(&c);
	snprintf(own, sizeof(own), "%s/in", dir);
	REQUIRE("a state directory", mkdir(own, 0700) == 0 && chdir(own) == 0);
	REQUIRE("options are taken",
		pod_config_from_options(&(struct ct){.root = dir}, &o, &c, &err) == 0);
	CHECK_STR("... which the pod does not see", c.workdir, "/");
	pod_config_release(&c);
	CHECK("done", chdir(old) == 0 && rmdir(own) == 0 && rmdir(dir) == 0);
}

int main(void)
{
	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 77;
	}
	test_refusals();
	test_caps();
	test_round_trip();
	test_bad_documents();
	test_paths();
	test_workdir();
	return UNIT_DONE();
}
