/* SPDX-License-Identifier: Apache-2.0 */
/* Several refusals at once, one a line: what a user has to know before trying again. */
#pragma once

/*
 * Adds a line (its control characters become question marks) to *list (NULL: none yet; freed by its owner),
 * once: one object may be met by several ways. Without memory the line is lost, so the owner counts.
 */
void finding_add(char **list, const char *finding);

/* Keeps of *list the lines that `other` (NULL: none) has too; NULL where none is left. */
void findings_keep(char **list, const char *other);
