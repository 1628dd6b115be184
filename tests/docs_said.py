#!/usr/bin/env python3
"""Command lines in README.md, docs and the rooms' READMEs: each names a command that there is, with options that its --help has, and
files of the tree that are there.

usage: docs_said.py DOPPEL SOURCE_DIR"""
import pathlib
import re
import subprocess
import sys

from checks import check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])


def run(*args):
    return subprocess.run([DOPPEL, *args], capture_output=True, text=True, timeout=60, check=False)


def command_lines(text):
    """Indented lines (with what a backslash continues) and `code` that begin with the program's name."""
    text = text.replace("\\\n", " ")
    for n, line in enumerate(text.splitlines(), 1):
        found = re.match(r" {2,}(?:mpirun -n \d+ )?(?:build/)?doppel (.*)", line)
        if found:
            yield n, re.split(r" {2,}#| {3,}", found.group(1))[0]
        for code in re.findall(r"`(?:build/)?doppel ([^`]*)`", line):
            yield n, code


def main():
    overall = re.findall(r"^  doppel ([a-z]+(?: [a-z]+)?)", run("--help").stdout, re.M)
    commands = {c for c in overall if c.split()[0] not in ("suite", "bench")} | {"suite", "bench", "doctor"}
    helps = {c: run(*c.split(), "--help").stdout for c in commands}
    check("the overall help was read", len(commands) > 20, commands)
    seen = 0
    places = [SOURCE / "README.md", SOURCE / "CONTRIBUTING.md", *sorted((SOURCE / "docs").glob("*.md")),
              *sorted(SOURCE.glob("src/**/README.md")), *sorted(SOURCE.glob("examples/*.md"))]
    for path in places:
        for n, words in command_lines(path.read_text(encoding="utf-8")):
            where = f"{path.relative_to(SOURCE)}:{n}: doppel {words}"
            parts = words.split()
            if not parts or not re.fullmatch("[a-z-]+", parts[0]):
                continue
            if len(parts) > 2 and parts[2] == "|": # `twin list | show | new`: the first stands for all
                parts = parts[:2]
            name = " ".join(parts[:2]) if " ".join(parts[:2]) in commands else parts[0]
            if name not in commands:
                check(f"{where}: there is such a command", any(c.startswith(name + " ") for c in commands) or name.startswith("-"))
                continue
            seen += 1
            for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", words):
                check(f"{where}: {option} is in its help", re.search(option + r"(?![\w-])", helps[name]) or option == "--help", helps[name][:200])
            for file in re.findall(r"(?:examples|twins|tests)/[\w./-]+", words):
                check(f"{where}: {file} is there", (SOURCE / file).exists())
    check("command lines were found", seen > 60, seen)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
