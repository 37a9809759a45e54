// SPDX-License-Identifier: Apache-2.0
#include "cmd/complete.h"

#include <signal.h>
#include <string.h>

#include "cmd/command.h"

static const char bash_script[] =
	"# bash completion for podckpt\n"
	"_podckpt()\n"
	"{\n"
	"	local IFS=$'\\n' cur=${COMP_WORDS[COMP_CWORD]} line=${COMP_LINE:0:COMP_POINT} words out\n"
	"	# By blanks alone: COMP_WORDS is cut at '=' and ':' too.\n"
	"	IFS=' ' read -ra words <<<\"$line\"\n"
	"	[[ $line == *' ' ]] && words+=('')\n"
	"	mapfile -t out < <(podckpt __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
	"	COMPREPLY=()\n"
	"	case ${out[0]-} in\n"
	"	:file*) compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n"
	"	:directory*) compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\")) ;;\n"
	"	:command*) COMPREPLY=($(compgen -c -f -- \"$cur\")) ;;\n"
	"	*)\n"
	"		[[ $cur != = ]] || cur=\n"
	"		out=(\"${out[@]%%$'\\t'*}\")\n"
	"		# What bash cut off at '=' is not to be typed again.\n"
	"		[[ ${words[-1]} == -*=* ]] && out=(\"${out[@]#*=}\")\n"
	"		COMPREPLY=($(compgen -W \"${out[*]}\" -- \"$cur\")) ;;\n"
	"	esac\n"
	"}\n"
	"complete -F _podckpt podckpt\n";

static const char zsh_script[] =
	"#compdef podckpt\n"
	"# zsh completion for podckpt\n"
	"_podckpt()\n"
	"{\n"
	"	local -a out pairs\n"
	"	local line\n"
	"	out=(\"${(@f)$(podckpt __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"	case ${out[1]} in\n"
	"	:file*) _files; return ;;\n"
	"	:directory*) _files -/; return ;;\n"
	"	:command*) _command_names -e || _files; return ;;\n"
	"	esac\n"
	"	for line in $out; do\n"
	"		pairs+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\")\n"
	"	done\n"
	"	(( $#pairs )) && _describe podckpt pairs\n"
	"}\n"
	"if [[ $zsh_eval_context[-1] == loadautofunc ]]; then\n"
	"	_podckpt \"$@\"\n"
	"else\n"
	"	compdef _podckpt podckpt\n"
	"fi\n";

static const char fish_script[] =
	"# fish completion for podckpt\n"
	"function __podckpt_complete\n"
	"	set -l words (commandline -opc) (commandline -ct)\n"
	"	set -l out (podckpt __complete -- $words[2..-1] 2>/dev/null)\n"
	"	switch \"$out[1]\"\n"
	"		case ':file*'\n"
	"			__fish_complete_path (commandline -ct)\n"
	"		case ':directory*'\n"
	"			__fish_complete_directories (commandline -ct) ''\n"
	"		case ':command*'\n"
	"			__fish_complete_command\n"
	"		case '*'\n"
	"			printf '%s\\n' $out\n"
	"	end\n"
	"end\n"
	"complete -c podckpt -f -a '(__podckpt_complete)'\n";

int complete_script(FILE *f, const char *shell)
{
	const struct {
		const char *shell, *text;
	} scripts[] = { { "bash", bash_script }, { "zsh", zsh_script }, { "fish", fish_script } };

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (!strcmp(scripts[i].shell, shell))
			return fputs(scripts[i].text, f) < 0 ? -EIO : 0;
	return -EINVAL;
}

static void offer(FILE *f, const char *before, const char *prefix, const char *word, size_t len,
		  const char *meaning)
{
	if (!strncmp(word, prefix, strlen(prefix)))
		fprintf(f, "%s%.*s\t%s\n", before, (int)len, word, meaning);
}

static void offer_words(FILE *f, const char *before, const char *prefix, const char *words)
{
	size_t n;

	for (; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (n >= strlen(prefix))
			offer(f, before, prefix, words, n, "");
	}
}

static void offer_commands(FILE *f, const char *prefix)
{
	for (const struct command *const *c = commands; *c; c++)
		if (!(*c)->hidden)
			offer(f, "", prefix, (*c)->name, strlen((*c)->name), (*c)->help);
}

static void offer_signals(FILE *f, const char *before, const char *prefix)
{
	for (int i = 1; i < SIGRTMIN; i++)
		if (sigabbrev_np(i))
			offer(f, before, prefix, sigabbrev_np(i), strlen(sigabbrev_np(i)),
			      sigdescr_np(i));
}

static void offer_options(FILE *f, const char *prefix, const struct option_spec *specs)
{
	char word[64];

	for (const struct option_spec *s = specs; s && s->name; s++) {
		snprintf(word, sizeof(word), "--%s", s->name);
		offer(f, "", prefix, word, strlen(word), s->help);
	}
	if (specs != global_options)
		offer(f, "", prefix, "--help", 6, "print a help text");
}

/* Pods are asked from the library; without root, or without pods, nothing is offered. */
static void offer_pods(FILE *f, const char *before, const char *prefix, const char *root)
{
	struct ct_pod_info *pods = NULL;
	struct ct *ct = NULL;
	size_t n = 0;

	if (ct_open(root, &ct, NULL) < 0)
		return;
	if (ct_list(ct, &pods, &n, NULL) == 0) {
		for (size_t i = 0; i < n; i++)
			offer(f, before, prefix, pods[i].name, strlen(pods[i].name),
			      pods[i].command ? pods[i].command : "");
		ct_pods_free(pods, n);
	}
	ct_close(ct);
}

static void offer_kind(FILE *f, const char *before, const char *prefix, enum complete kind,
		       const char *words, const char *root)
{
	switch (kind) {
	case COMPLETE_NOTHING:
		break;
	case COMPLETE_WORDS:
		offer_words(f, before, prefix, words);
		break;
	case COMPLETE_FILE:
		fputs(":file\n", f);
		break;
	case COMPLETE_DIRECTORY:
		fputs(":directory\n", f);
		break;
	case COMPLETE_COMMAND:
	case COMPLETE_POD_THEN_COMMAND:
		fputs(":command\n", f);
		break;
	case COMPLETE_POD_OR_FILE:
		if (strchr(prefix, '/')) {
			fputs(":file\n", f);
			break;
		}
		/* fall through */
	case COMPLETE_POD:
		offer_pods(f, before, prefix, root);
		break;
	case COMPLETE_SIGNAL:
		offer_signals(f, before, prefix);
		break;
	case COMPLETE_SUBCOMMAND:
		offer_commands(f, prefix);
		break;
	}
}

/* Where the words lead: what the last one has to be. */
struct place {
	const struct option_spec *specs;
	const struct option_spec *value_of; /* the last word is this option's value */
	const struct command *command;
	unsigned int arguments;	 /* arguments before the last word */
	bool only_arguments;	 /* behind "--" or within the user's program */
	const char *root;
};

static const struct option_spec *spec_of(const struct option_spec *specs, const char *word)
{
	size_t len = strlen(word);

	for (const struct option_spec *s = specs; s && s->name; s++) {
		if (word[1] == '-' && !strcmp(s->name, word + 2))
			return s;
		/* The last letter of a cluster may take the next word. */
		if (word[1] != '-' && s->letter == word[len - 1])
			return s;
	}
	return NULL;
}

static void place_word(struct place *at, const char *word)
{
	const struct option_spec *spec;

	if (at->value_of) {
		if (at->specs == global_options && !strcmp(at->value_of->name, "root"))
			at->root = word;
		at->value_of = NULL;
		return;
	}
	if (!at->only_arguments && word[0] == '-' && word[1]) {
		if (!strcmp(word, "--")) {
			at->only_arguments = true;
			return;
		}
		spec = spec_of(at->specs, word);
		if (spec && spec->argument)
			at->value_of = spec;
		else if (at->specs == global_options && !strncmp(word, "--root=", 7))
			at->root = word + 7;
		return;
	}
	if (!at->command) {
		at->command = command_find(word);
		at->specs = at->command ? at->command->options : NULL;
		at->only_arguments = !at->command;
		return;
	}
	if (++at->arguments == at->command->program_at)
		at->only_arguments = true;
}

void complete_words(FILE *f, int n, char **words)
{
	struct place at = { .specs = global_options };
	const struct option_spec *spec;
	const char *last, *equals;
	enum complete kind;
	char before[64];

	if (n < 1)
		return;
	for (int i = 0; i < n - 1; i++)
		place_word(&at, words[i]);
	last = words[n - 1];
	if (at.value_of) {
		offer_kind(f, "", last, at.value_of->complete, at.value_of->words, at.root);
		return;
	}
	equals = strchr(last, '=');
	if (!at.only_arguments && !strncmp(last, "--", 2) && equals &&
	    equals - last < (ptrdiff_t)sizeof(before) - 1) {
		snprintf(before, sizeof(before), "%.*s", (int)(equals - last), last);
		spec = spec_of(at.specs, before);
		snprintf(before, sizeof(before), "%.*s", (int)(equals + 1 - last), last);
		if (spec && spec->argument)
			offer_kind(f, before, equals + 1, spec->complete, spec->words, at.root);
		return;
	}
	if (!at.only_arguments && last[0] == '-') {
		offer_options(f, last, at.specs);
		return;
	}
	if (!at.command) {
		offer_commands(f, last);
		return;
	}
	kind = at.command->complete;
	if (kind == COMPLETE_POD_THEN_COMMAND && at.arguments == 0)
		kind = COMPLETE_POD;
	if (at.arguments < at.command->max_arguments)
		offer_kind(f, "", last, kind, NULL, at.root);
}
