// SPDX-License-Identifier: Apache-2.0
/* The list of commands. */
#include "cmd/command.h"

#include <string.h>

extern const struct command command_run, command_ps, command_inspect, command_logs, command_exec,
	command_attach, command_kill, command_stop, command_wait, command_rm, command_checkpoint,
	command_restore, command_migrate, command_receive, command_network, command_check, command_help,
	command_version, command_completion,
	command_complete, command_man, command_commands;

const struct command *const commands[] = {
	&command_run,
	&command_ps,
	&command_inspect,
	&command_logs,
	&command_exec,
	&command_attach,
	&command_kill,
	&command_stop,
	&command_wait,
	&command_rm,
	&command_checkpoint,
	&command_restore,
	&command_migrate,
	&command_receive,
	&command_network,
	&command_check,
	&command_help,
	&command_version,
	&command_completion,
	&command_complete,
	&command_man,
	&command_commands,
	NULL,
};

const struct command *command_find(const char *name)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!strcmp((*c)->name, name))
			return *c;
	return NULL;
}
