#!/usr/bin/env bats
# bash on a terminal, with a job in the background and an editor in the foreground.

bats_require_minimum_version 1.5.0
load helpers

# Types into the pod's terminal; the script comes on standard input.
type_into() {
	{
		echo "spawnraw $PODCKPT attach $1"
		cat
		printf '%s\n' 'send \x10\x11'
		echo "end 0"
	} | python3 "$BATS_TEST_DIRNAME/pty-driver.py" 300
}

@test "an editor is frozen in the middle of a word, its shell and the shell's job with it" {
	local mode n=0

	podckpt run -d -it --name ed --net none -e PS1='ready> ' -- bash --norc -i
	type_into ed <<-'END'
		send echo $((40+2))\n
		expect 42
		send sleep 98765 &\n
		expect ready>
		send cd /var/tmp && vim -u NONE -i NONE story.txt\n
		expect [New File]
		send ihel
		expect hel
	END
	for mode in plain verify pipe; do
		n=$((n + 1))
		cycle ed "$mode"
		type_into ed <<-END
			send lo$n hel
			expect lo$n
		END
	done
	type_into ed <<-'END'
		send p\x1b
		send :wq\n
		expect written
		expect ready>
		send cat story.txt\n
		expect hello1 hello2 hello3 help
		expect ready>
		send jobs\n
		expect sleep 98765
		expect ready>
		send kill %1; wait; jobs; echo go''ne\n
		expect gone
		expect ready>
	END
	assert_equal "$(podckpt exec ed -- cat /var/tmp/story.txt)" "hello1 hello2 hello3 help"
	podckpt stop -t 2 ed
}

@test "sizes, jobs and the log go on through detaching, attaching and restores in the foreground" {
	sed "s|PODCKPT|$PODCKPT|" >script <<-'END'
		spawn PODCKPT run -it --name sh --net none -e PS1=ready> -- bash --norc -i
		expect ready>
		size 44 111
		send sleep 98765 &\n
		expect ready>
		send stty size; echo first-$((40+2))\n
		expect 44 111
		expect first-42
		send \x10\x11
		end 0
		shell [ "$(PODCKPT ps -q)" = sh ]
		spawnraw PODCKPT exec -it sh -- bash --norc -i
		expect ready>
		send stty size; tty\n
		expect 24 80
		expect /dev/pts/1
		size 20 60
		send stty size\n
		expect 20 60
		send exit 5\n
		end 5
		shell PODCKPT checkpoint sh
		spawnraw PODCKPT restore --verify sh.tar
		send \nstty size; jobs\n
		expect 24 80
		expect sleep 98765
		size 25 66
		send stty size; echo second-$((40+3))\n
		expect 25 66
		expect second-43
		shell PODCKPT logs sh | grep -q first-42
		shell PODCKPT logs sh | grep -q second-43
		send \x10\x11
		end 0
		spawnraw PODCKPT attach sh
		send kill %1; exit 9\n
		end 9
	END
	python3 "$BATS_TEST_DIRNAME/pty-driver.py" 300 <script
}
