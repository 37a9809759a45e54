# shellcheck shell=bash disable=SC2154
# Many of one thing, against a tenth as many. The time of a pod that has none of it is taken off both, so that
# what is compared is the cost of one more.

# per_item SERIES N: microseconds for one of them
per_item() {
	calc "($(median "$1") - $(median "none-${1##*-}")) / $2"
}

# scale WHAT N: also leaves podckpt's peak of memory in the series NAME-kb.
scale() {
	local what=$1 n=$2 i name step
	local many=$what$2 few=$what$(($2 / 10))

	hold "$many" "$what" "$n"
	hold "$few" "$what" $((n / 10))
	for ((i = 0; i < (REPEAT + 1) / 2; i++)); do
		for name in "$few" "$many"; do
			for step in checkpoint restore; do
				"$step" "$name"
				sample "$name-$step" "$us"
				sample "$name-$step-kb" "$kb"
			done
		done
	done
	for step in checkpoint restore; do
		row "$step of $n $what, for each" us "$(per_item "$many-$step" "$n")" \
			"$(per_item "$few-$step" $((n / 10)))" 1.25 "with $((n / 10))"
	done
	manifest=$(tar -xOf "$scratch/$many.tar" manifest.json | wc -c)
	podckpt rm -f "$many" "$few" >/dev/null
	rm -f "$scratch/$many.tar" "$scratch/$few.tar"
}

hold none memory 0
for ((i = 0; i < REPEAT; i++)); do
	for step in checkpoint restore; do
		"$step" none
		sample "none-$step" "$us"
	done
done
podckpt rm -f none >/dev/null
scale processes 500
scale threads 2000
scale descriptors 10000
scale areas 30000
for step in checkpoint restore; do
	row "peak memory, $step of 30000 areas" MB "$(calc "$(median "areas30000-$step-kb") / 1024")" \
		"$(calc "64 + $manifest / 1048576")" 1 "64 MB and the manifest"
done
