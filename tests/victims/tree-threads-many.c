/* SPDX-License-Identifier: Apache-2.0 */
/* build: -pthread */
/* Two thousand threads. */
#define N_THREADS 2000
#include "tree-threads.c"
