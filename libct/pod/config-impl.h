/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that a configuration from a user (options.c) and one from an image (config.c) share. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct ct_error;
struct grants;
struct net_config;
struct node;
struct pod_config;

void strings_free(char **strings);
bool hostname_valid(const char *name);
/* Not the root, nor what the kernel shows itself in. */
bool volume_destination_valid(const char *path);
/* "aa:bb:cc:dd:ee:ff" of one station (not a group). -EINVAL. */
int mac_parse(const char *text, uint8_t ret[6]);

/* The addresses in a document (libct/pod/address.c); errors stay in it. */
void address_put(struct node *to, const struct net_config *address);
void address_get(const struct node *from, struct pod_config *config);

/* The published ports in a document (libct/pod/publish.c). publish_get(): -ENOMEM only, the rest stays in the document. */
void publish_put(const struct pod_config *config, struct node *to);
int publish_get(const struct node *from, struct pod_config *config);
/* Those of an image against what a restore was given, which takes their place. */
int publish_grant(struct pod_config *config, const char *const *texts, struct grants *g, struct ct_error *err);
