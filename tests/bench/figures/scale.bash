# shellcheck shell=bash disable=SC2154
# Many of one thing, against a tenth as many. The time of a pod that has none of it is taken off both, so that
# what is compared is the cost of one more.

# per_item SERIES N: microseconds for one of them
per_item() {
	calc "($(median "$1") - $(median "$what-none-${1##*-}")) / $2"
}

# scale_steps WHAT N POD...: POD with N of them, POD with a tenth, POD with none. Also leaves podckpt's peak of
# memory in the series POD-kb.
scale_steps() {
	local what=$1 n=$2 many=$3 few=$4 none=$5 i name step

	for ((i = 0; i < (REPEAT + 1) / 2; i++)); do
		for name in "$none" "$few" "$many"; do
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
		manifest=$(tar -xOf "$scratch/$many.tar" manifest.json | wc -c)
		row "peak memory, $step of $n $what" MB "$(calc "$(median "$many-$step-kb") / 1024")" \
			"$(calc "64 + $manifest / 1048576")" 1 "64 MB and the manifest"
	done
}

# Without a network: making and removing one takes longer than a tenth of some of these.
scale() {
	local what=$1 n=$2

	hold "$what-none" memory 0 --net none
	hold "$what$((n / 10))" "$what" "$((n / 10))" --net none
	hold "$what$n" "$what" "$n" --net none
	scale_steps "$what" "$n" "$what$n" "$what$((n / 10))" "$what-none"
	podckpt rm -f -a >/dev/null
	rm -f "$scratch"/*.tar
}

address_of() {
	podckpt ps --format json | jq -er --arg n "$1" '.pods[]|select(.name==$n).ip'
}

# Established connections with a client outside; each has to answer at the end.
connections() {
	local n=$1 talkers=() name

	for name in none $((n / 10)) "$n"; do
		hold "connections-$name" served 0
		[ "$name" != none ] || continue
		talker_begin "$programs/talk" many "$(address_of "connections-$name")" "$name"
		talkers+=("$talker")
	done
	scale_steps connections "$n" "connections-$n" "connections-$((n / 10))" connections-none
	for talker in "${talkers[@]}"; do
		talker_end
	done
	podckpt rm -f -a >/dev/null
	rm -f "$scratch"/*.tar
}

scale processes 500
scale threads 2000
scale descriptors 10000
scale areas 30000
connections 10000
