/* SPDX-License-Identifier: Apache-2.0 */
/* The exit codes of podckpt: one table, from which podckpt(1) is made too. */
#pragma once

#define EXIT_CODES(X)                                                                              \
	X(OK, 0, "success")                                                                        \
	X(FAILURE, 1, "any other failure")                                                         \
	X(USAGE, 2, "the command line makes no sense")                                             \
	X(NO_POD, 3, "no such pod")                                                                \
	X(NOT_CARRIED, 4, "the pod holds an object that cannot be carried; it runs on")            \
	X(HOST, 5, "this host lacks what is needed")                                               \
	X(IMAGE, 6, "the image is damaged, incomplete or of a foreign format")                     \
	X(VERIFY, 7, "the restored pod differed from its image and was removed (--verify)")        \
	X(TAKEN, 8, "the name or the address is taken")                                            \
	X(MIGRATION, 9, "a migration failed and the source runs on")                               \
	X(BUSY, 10, "another operation on the pod is under way")                                   \
	X(NOT_ROOT, 11, "root is needed")                                                          \
	X(GRANT, 12, "the image asks for rights or paths of the host that were not given")                      \
	X(UNDECIDED, 13, "a pod was handed over to another host, which does not answer: see migrate")        \
	X(SELF, 125, "run, exec, attach: podckpt itself failed")                                   \
	X(NOT_EXECUTABLE, 126, "run, exec: the command cannot be executed")                        \
	X(NOT_FOUND, 127, "run, exec: the command was not found")

enum exit_code {
#define EXIT_CODE_ENUM(name, code, text) PODCKPT_##name = code,
	EXIT_CODES(EXIT_CODE_ENUM)
#undef EXIT_CODE_ENUM
};
