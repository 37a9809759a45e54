/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that a configuration from a user (options.c) and one from an image (config.c) share. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

void strings_free(char **strings);
bool hostname_valid(const char *name);
/* Not the root, nor what the kernel shows itself in. */
bool volume_destination_valid(const char *path);
/* "aa:bb:cc:dd:ee:ff" of one station (not a group). -EINVAL. */
int mac_parse(const char *text, uint8_t ret[6]);
