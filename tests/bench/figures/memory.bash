# shellcheck shell=bash disable=SC2154
# One big process: a checkpoint and a restore against bare loops that move the same bytes.
# podckpt's own memory meanwhile, and what zeros cost.

big_process() {
	local mb=$1 n=$2 i name=mem$1

	hold "$name" memory "$mb"
	for ((i = 0; i < n; i++)); do
		timed "$programs/bare" dump "$(held "$name")" "$scratch/bare"
		sample "$name-bare-dump" "$us"
		checkpoint "$name" -R
		sample "$name-frozen" "$(stat_of frozen_time)"
		checkpoint "$name"
		sample "$name-dump" "$us"
		sample "$name-dump-kb" "$kb"
		timed "$programs/bare" fill "$scratch/$name.tar"
		sample "$name-bare-fill" "$us"
		restore "$name"
		sample "$name-restore" "$us"
		sample "$name-restore-kb" "$kb"
	done
	row "checkpoint of $mb MB" ms "$(calc "$(median "$name-dump") / 1000")" \
		"$(calc "$(median "$name-bare-dump") / 1000")" 1.25 "read, write, fsync"
	row "restore of $mb MB" ms "$(calc "$(median "$name-restore") / 1000")" \
		"$(calc "$(median "$name-bare-fill") / 1000")" 1.25 "read, UFFDIO_COPY"
	row "frozen for checkpoint -R of $mb MB" ms "$(calc "$(median "$name-frozen") / 1000")" \
		"$(calc "$(median "$name-bare-dump") / 1000")" - "read, write, fsync"
	row "peak memory, checkpoint of $mb MB" MB "$(calc "$(median "$name-dump-kb") / 1024")" 64 1 "64 MB"
	row "peak memory, restore of $mb MB" MB "$(calc "$(median "$name-restore-kb") / 1024")" 64 1 "64 MB"
	podckpt rm -f "$name" >/dev/null
	rm -f "$scratch/bare" "$scratch/$name.tar"
}

zeros() {
	hold none zeros 0
	checkpoint none
	hold zeros zeros 1024
	checkpoint zeros
	row "image of 1 GB of zeros" KB "$(calc "$(stat -c %s "$scratch/zeros.tar") / 1024")" \
		"$(calc "$(stat -c %s "$scratch/none.tar") / 1024")" 1.05 "image of 0 GB"
	podckpt rm -f -a >/dev/null
	rm -f "$scratch"/*.tar
}

big_process 256 "$REPEAT"
big_process 1024 "$(((REPEAT + 1) / 2))"
zeros
