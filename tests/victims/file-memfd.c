/* SPDX-License-Identifier: Apache-2.0 */
/* memfd_create(2): name, contents, seals, mappings, a description opened again; inherited anonymous memory. */
#include "tests/victims/victim.h"

static void child(void *arg)
{
	char *shared = arg;

	victim_wait();
	VICTIM_UNTIL(__atomic_load_n(&shared[0], __ATOMIC_SEQ_CST) == 'p');
	shared[65536] = 'c';
}

int main(void)
{
	int plain = CHECK_SYS(memfd_create("plain name", 0));
	int sealed = CHECK_SYS(memfd_create("sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC));
	int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, reader;
	char *map, *view, *shared, path[64], text[256] = "";
	struct stat st;
	pid_t pid;

	CHECK_SYS(ftruncate(plain, 100000));
	map = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, plain, 0);
	CHECK(map != MAP_FAILED);
	strcpy(map + 50000, "in the middle");
	CHECK_EQ(write(sealed, "for ever", 8), 8);
	CHECK_SYS(fcntl(sealed, F_ADD_SEALS, seals));
	view = mmap(NULL, 4096, PROT_READ, MAP_SHARED, sealed, 0);
	CHECK(view != MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", plain);
	reader = CHECK_SYS(open(path, O_RDONLY));
	CHECK_SYS(fchmod(plain, 0600));
	shared = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED);
	shared[12345] = 'x';
	pid = victim_fork(child, shared);
	victim_ready();

	CHECK_SYS(readlink(path, text, 255));
	CHECK_STR(text, "/memfd:plain name (deleted)");
	CHECK_SYS(fstat(plain, &st));
	CHECK_EQ(st.st_size, 100000);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_STR(map + 50000, "in the middle");
	strcpy(map, "written");
	CHECK_EQ(read(reader, text, 8), 8);
	CHECK_STR(text, "written");
	CHECK_EQ(CHECK_SYS(fcntl(plain, F_GET_SEALS)), F_SEAL_SEAL);
	CHECK_EQ(CHECK_SYS(fcntl(sealed, F_GET_SEALS)), seals);
	CHECK_ERRNO(write(sealed, "x", 1), EPERM);
	CHECK_SYS(fcntl(sealed, F_ADD_SEALS, F_SEAL_SEAL));
	CHECK_MEM(view, "for ever", 8);
	CHECK_EQ(shared[12345], 'x');
	__atomic_store_n(&shared[0], 'p', __ATOMIC_SEQ_CST);
	victim_join(pid);
	CHECK_EQ(shared[65536], 'c');
	victim_pass();
}
