/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdio.h>

struct command;

/* Prints the man page of a command, or of podckpt itself with NULL. */
void man_print(FILE *f, const struct command *command);
