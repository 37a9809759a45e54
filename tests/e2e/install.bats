#!/usr/bin/env bats
# make install and uninstall.

bats_require_minimum_version 1.5.0
load helpers

@test "everything is installed below its prefix, and uninstalled again" {
	local root=$BATS_TEST_TMPDIR/root

	make -s -C "$BUILD" install DESTDIR="$root" >log 2>&1 || { cat log; false; }
	assert_equal "$(ls "$root")" usr
	assert_file_executable "$root/usr/local/bin/podckpt"
	assert_file_exist "$root/usr/local/share/man/man1/podckpt.1"
	assert_file_exist "$root/usr/local/share/man/man1/podckpt-checkpoint.1"
	assert_file_exist "$root/usr/local/share/bash-completion/completions/podckpt"
	make -s -C "$BUILD" uninstall DESTDIR="$root" >log 2>&1 || { cat log; false; }
	run find "$root" ! -type d
	assert_output ""
}
