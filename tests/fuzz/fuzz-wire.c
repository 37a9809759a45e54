// SPDX-License-Identifier: Apache-2.0
/* with: libct/migrate/wire.c libct/migrate/message.c */
/* A migration's other side that sends anything: the first byte says to whom and in which phase, the rest is what it hears. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libct/base/cleanup.h"
#include "libct/migrate/message.h"
#include "tests/fuzz/fuzz.h"

DEFINE_CLEANUP(struct doc *, doc_free)

static void read_message(const void *payload, size_t len)
{
	__cleanup(doc_free_cleanup) struct doc *doc = NULL;
	struct message_options options;
	struct ct_error err = { 0 };

	if (doc_parse(payload, len, &doc, &err) < 0)
		return;
	message_get_error(doc_root(doc), "b", &err);
	for (const char *c = err.text; *c; c++)
		if ((unsigned char)*c < 0x20 && *c != '\n')
			abort();
	message_get_options(doc_root(doc), &options, &err);
	message_options_release(&options);
	doc_check(doc, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ct_error err = { 0 };
	const void *payload;
	struct wire w;
	size_t len;
	/* A file ends where the input does; waiting for it is never needed. */
	int fd;

	if (size < 1)
		return 0;
	fd = memfd_create("wire", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data + 1, size - 1) != (ssize_t)(size - 1) || lseek(fd, 0, SEEK_SET) < 0)
		abort();
	if (wire_init(&w, fd, fd, data[0] & 1, &err) < 0)
		abort();
	w.phase = (enum wire_phase)((data[0] >> 1) % (WIRE_OVER + 1));
	for (;;) {
		enum wire_phase before = w.phase;
		int type = wire_recv(&w, 1000, &payload, &len, &err);

		if (type < 0)
			break;
		if (before == WIRE_OVER || len > WIRE_PAYLOAD_MAX)
			abort();
		read_message(payload, len);
	}
	wire_release(&w);
	close(fd);
	return 0;
}

int fuzz_seed(const char *directory)
{
	static const char seed[] = "\x02" /* to the server, greeting */
		"\x17\0\0\0\x0f\0\0\0{\"reason\":\"x\",\"text\":2}"
		"\x02\0\0\0\x02\0\0\0{}";
	static const char offer[] = "\x04" /* to the server, greeted */
		"\x62\0\0\0\x03\0\0\0"
		"{\"name\":\"x\",\"cap_add\":[\"chown\"],\"volumes\":[{\"source\":\"/a\",\"destination\":\"/b\","
		"\"read_only\":true}]   }";
	int fd = fuzz_seed_open(directory, "offer"), r = -1;

	if (fd >= 0 && write(fd, offer, sizeof(offer) - 1) == (ssize_t)sizeof(offer) - 1)
		r = 0;
	if (fd >= 0)
		close(fd);
	return r < 0 ? r : fuzz_write_seed(directory, seed, sizeof(seed) - 1);
}
