/* SPDX-License-Identifier: Apache-2.0 */
/* Completion: the scripts are a few lines for each shell, the knowledge is asked from podckpt. */
#pragma once
#include <stdio.h>

/* The script for a shell; -EINVAL: no such shell. */
int complete_script(FILE *f, const char *shell);

/*
 * What can stand for the last of `words` (those after "podckpt"): lines "candidate<TAB>meaning", or
 * one line ":file", ":directory", ":command" for what the shell completes better by itself.
 */
void complete_words(FILE *f, int n, char **words);
