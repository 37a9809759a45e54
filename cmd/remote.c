// SPDX-License-Identifier: Apache-2.0
#include "cmd/remote.h"

#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "cmd/output.h"
#include "libct/base/clock.h"

#define SHOW_EVERY 100000 /* microseconds */

/* "send 120 MB of 512 MB, 98.0 MB/s, 4 s left" */
static void show(void *context, const struct ct_progress *p)
{
	char done[32], total[32], rate[32];
	struct remote *r = context;
	uint64_t now = monotonic_us(), speed;

	if (!r->phase || strcmp(r->phase, p->phase)) {
		r->phase = p->phase;
		r->began = now;
		r->shown = 0;
	}
	if (now - r->shown < SHOW_EVERY)
		return;
	r->shown = now;
	r->line = true;
	fprintf(stderr, "\r\033[K%s", p->phase);
	if (p->done) {
		speed = p->done * 1000000 / (now - r->began + 1);
		fprintf(stderr, " %s", bytes_text(p->done, done));
		if (p->total > p->done)
			fprintf(stderr, " of about %s", bytes_text(p->total, total));
		fprintf(stderr, ", %s/s", bytes_text(speed, rate));
		if (p->total > p->done && speed)
			fprintf(stderr, ", %" PRIu64 " s left", (p->total - p->done) / speed);
	}
	fflush(stderr);
}

static void say(void *context, const char *line)
{
	struct remote *r = context;

	remote_end(r);
	fprintf(stderr, "%s: %s\n", r->host ? r->host : "remote", line);
}

struct ct_remote_options remote_begin(struct remote *r, const struct context *context)
{
	CT_OPTIONS(ct_remote_options, o);

	r->context = context;
	r->terminal = !context->quiet && isatty(STDERR_FILENO);
	o.host = r->host;
	o.rsh = r->rsh;
	o.remote_podckpt = r->program;
	o.dry_run = r->dry_run;
	o.progress = r->terminal ? show : NULL;
	o.words = say;
	o.context = r;
	/* The other end may hang up at any time: an error to be told. */
	signal(SIGPIPE, SIG_IGN);
	return o;
}

void remote_end(struct remote *r)
{
	if (r->line)
		fputs("\r\033[K", stderr);
	r->line = false;
}

void remote_stats_print(FILE *f, const struct ct_remote_stats *stats)
{
	fputs("{\n  \"version\": 1,\n  \"phases\": [", f);
	for (size_t i = 0; i < stats->n_phases; i++)
		fprintf(f, "%s\n    { \"name\": \"%s\", \"time\": %" PRIu64 ", \"bytes\": %" PRIu64 " }",
			i ? "," : "", stats->phases[i].name, stats->phases[i].time, stats->phases[i].bytes);
	fprintf(f,
		"\n  ],\n  \"downtime\": %" PRIu64 ",\n  \"image_bytes\": %" PRIu64
		",\n  \"sent_bytes\": %" PRIu64 ",\n  \"files_left_out\": %" PRIu64
		",\n  \"bytes_left_out\": %" PRIu64 "\n}\n",
		stats->downtime, stats->image_bytes, stats->sent_bytes, stats->n_files_left_out,
		stats->bytes_left_out);
}
