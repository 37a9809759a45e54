#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""format-keys.py FORMAT.md < manifest.json: fields of the manifest that the format does not list.

A field is listed where it stands in the first column of a table or in a code span of the section it
belongs to. One line "section: field" for each that is not; exit code 1 if there are any.
"""
import json
import re
import sys

# Fields of these stand in the section of another kind, too, and in those that that one shares.
SHARED = {"net": "tcp_connection", "tcp": "tcp_connection", "tcp_connection": "tcp", "udp": "tcp", "netlink": "tcp", "unix": "tcp", "sysv_sem": "sysv_shm", "sysv_msg": "sysv_shm"}


def sections(text):
    found, words = {}, set()
    for line in text.splitlines():
        heading = re.match(r"#+ (.*)", line)
        if heading:
            words = set()
            for name in heading[1].split(", "):
                found[name] = words
        for listed in re.findall(r"^\| *([^|]*)\||`([^`]+)`", line):
            words.update(re.findall(r"\w+", "".join(listed)), "".join(listed).split())
    return found


class Check:
    def __init__(self, listed):
        self.listed, self.missing = listed, set()

    def field(self, key, *names):
        names = list(names)
        for name in names:
            if SHARED.get(name) not in [None, *names]:
                names.append(SHARED[name])
        if not any(key in self.listed.get(name, ()) for name in names):
            self.missing.add(f"{names[0]}: {key}")

    def tree(self, value, *names):
        """Every field at any depth."""
        if isinstance(value, list):
            for element in value:
                self.tree(element, *names)
        elif isinstance(value, dict) and list(value) != ["base64"]:
            for key, inner in value.items():
                self.field(key, *names)
                self.tree(inner, *names)

    def parts(self, value, section, kinds):
        """An object of which some fields are objects of the kinds of that name."""
        for key, inner in value.items():
            self.field(key, section)
            if key in kinds:
                if key not in self.listed:
                    self.missing.add(f"no section: {key}")
                self.tree(inner, key)
            elif key != "threads":
                self.tree(inner, section)

    def manifest(self, root):
        elsewhere = {"host": "host", "pod": "pod", "clocks": "time", "seccomp_filters": "seccomp"}
        for key, value in root.items():
            self.field(key, "The whole")
            if key == "descriptors":
                for one in value:
                    kind = one["kind"]
                    self.tree(one, kind, "descriptors", "locks")
            elif key == "processes":
                for process in value:
                    threads = process.get("threads", [])
                    kinds = {k for k, v in process.items() if isinstance(v, dict)}
                    self.parts(process, "processes", kinds)
                    for thread in threads:
                        kinds = {k for k, v in thread.items() if isinstance(v, dict)}
                        self.parts(thread, "processes", kinds - {"registers", "xstate"})
            elif key == "pod_state":
                self.parts(value, "The whole", set(value))
            else:
                self.tree(value, elsewhere.get(key, "The whole"))


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        check = Check(sections(file.read()))
    check.manifest(json.load(sys.stdin))
    print("\n".join(sorted(check.missing)))
    sys.exit(1 if check.missing else 0)


main()
