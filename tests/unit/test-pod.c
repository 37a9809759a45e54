/* SPDX-License-Identifier: Apache-2.0 */
/* libct/pod/: what a pod is inside, seen by the commands that run in it. */
#include "tests/unit/netns.h"
#include "tests/unit/podtest.h"

static char out[1 << 16];

#define SH(script) ((const char *const[]){ "sh", "-c", script, NULL })

static void test_plain(void)
{
	struct test_pod t;

	REQUIRE("a pod to be", test_pod_init(&t, SH("echo $$ $PPID; hostname; cat; exit 7")) == 0);
	int r = test_pod_run(&t, out, sizeof(out));
	printf("# %d %s\n", r, err.text);
	CHECK("the command's code is the pod's", r == 7);
	CHECK_STR("it is the second process, of the first, with its own host name", out,
		  "2 1\nhosty\n");
	test_pod_end(&t);
}

int main(void)
{
	own_namespaces();
	test_plain();
	return UNIT_DONE();
}
