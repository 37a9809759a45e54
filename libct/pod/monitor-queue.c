// SPDX-License-Identifier: Apache-2.0
/* Queues of packets that several clients may share. */
#include <stdlib.h>

#include "libct/base/cleanup.h"
#include "libct/pod/monitor-impl.h"

struct packet_link {
	struct packet_link *next;
	struct packet *packet;
};

struct packet *packet_new(enum monitor_type type, int value, uint64_t number, size_t room)
{
	struct packet *p = malloc(sizeof(*p) + room);

	if (!p)
		return NULL;
	p->refs = 1;
	p->fd = -1;
	p->len = room;
	p->msg = (struct monitor_msg){ .type = type, .value = value, .number = number };
	return p;
}

void packet_put(struct packet *p)
{
	if (!p || --p->refs)
		return;
	fd_close(p->fd);
	free(p);
}

int queue_push(struct packet_queue *q, struct packet *p)
{
	struct packet_link *link = malloc(sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->next = NULL;
	link->packet = p;
	p->refs++;
	*(q->first ? q->last : &q->first) = link;
	q->last = &link->next;
	q->bytes += sizeof(*p) + p->len;
	return 0;
}

struct packet *queue_first(const struct packet_queue *q)
{
	return q->first ? q->first->packet : NULL;
}

void queue_pop(struct packet_queue *q)
{
	struct packet_link *link = q->first;

	q->first = link->next;
	q->bytes -= sizeof(*link->packet) + link->packet->len;
	packet_put(link->packet);
	free(link);
}

void queue_clear(struct packet_queue *q)
{
	while (q->first)
		queue_pop(q);
}
