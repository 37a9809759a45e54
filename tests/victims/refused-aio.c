/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of io_setup(2) is refused. */
/* refused: pid 2 (refused-aio): memory (/[aio] (deleted)): asynchronous I/O (io_setup) is not carried; start the program without it (MariaDB and MySQL: --innodb-use-native-aio=0) */
#include "tests/victims/mem.h"

int main(void)
{
	unsigned long context = 0;

	CHECK_SYS(syscall(SYS_io_setup, 8, &context));
	victim_ready();
	CHECK_SYS(syscall(SYS_io_destroy, context));
	victim_pass();
}
