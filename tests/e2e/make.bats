#!/usr/bin/env bats
# A build of a small C project, frozen in the middle.

bats_require_minimum_version 1.5.0
load helpers

project() {
	local i

	mkdir project
	for i in $(seq 400); do
		printf '#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f%d(void)\n{\n\treturn %d;\n}\n' \
			"$i" "$i" >"project/f$i.c"
	done
	{
		for i in $(seq 400); do echo "int f$i(void);"; done
		echo '#include <stdio.h>'
		echo 'int main(void) { int s = 0;'
		for i in $(seq 400); do echo "s += f$i();"; done
		echo 'printf("sum %d", s); puts(""); return 0; }'
	} >project/main.c
	printf '%s\n' 'objects = $(patsubst %.c,%.o,$(wildcard *.c))' \
		'sum: $(objects)' '	$(CC) -o $@ $^' \
		'%.o: %.c' '	$(CC) -O2 -c -o $@ $<' >project/Makefile
}

compiled() {
	podckpt logs build | grep -c -- ' -c -o '
}

compiled_more_than() {
	[ "$(compiled)" -gt "$1" ]
}

@test "a make that was frozen in the middle finishes correctly" {
	local mode n=0

	project
	podckpt run -d --name build --net none -w "$PWD/project" -- sh -c 'make -j2 && ./sum'
	for mode in plain verify pipe; do
		n=$((n + 8))
		until_ok 120 compiled_more_than "$n"
		cycle build "$mode"
	done
	assert [ "$(compiled)" -lt 401 ]
	run podckpt wait build
	assert_output 0
	run podckpt logs build
	assert_line "sum 80200"
	assert_equal "$(grep -c -- ' -c -o ' <<<"$output")" 401
	assert_not_exist project/sum
}
