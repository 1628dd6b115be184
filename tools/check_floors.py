#!/usr/bin/env python3
"""Headers are included downward only, peers do not know each other, nobody above includes a spoke's header.

The floors stand in ARCHITECTURE.md; this list is the same one, checked at every test run."""
import pathlib
import re
import sys

FLOOR = {"base": 0, "num": 1, "record": 2, "lang": 3, "jit": 3, "solve": 3, "format": 3, "image": 3, "store": 3,
         "spoke": 4, "flux": 4, "sim": 5, "kind": 5, "infer": 6, "decide": 6, "twin": 7, "policy": 7, "trial": 8, "explain": 8, "cohort": 8, "suite": 8, "bench": 8, "cli": 9,
         "serve": 9}
# inside a floor: who may use whom
ALLOWED_PEERS = {("solve", "lang"), ("jit", "lang"), ("kind", "sim")}


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent / "src"
    bad = []
    names = {}
    for path in sorted([*root.rglob("*.[ch]"), *root.rglob("*.cc")]):
        room = path.relative_to(root).parts[0]
        tests = "tests" in path.parts
        if path.name in names:
            bad.append(f"{path}: file name also used by {names[path.name]}")
        names[path.name] = path
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            m = re.match(r'\s*#include "([^"]+)"', line)
            if not m:
                continue
            parts = m.group(1).split("/")
            if parts[0] == "doppel" or len(parts) < 2:
                continue
            other = parts[0]
            if other == room or tests:
                continue
            where = f"{path.relative_to(root.parent)}:{number}"
            if room in ("cli", "serve"):
                bad.append(f"{where}: a face uses only public headers, found {m.group(1)}")
            elif other not in FLOOR:
                bad.append(f"{where}: unknown room in {m.group(1)}")
            elif len(parts) > 2:
                bad.append(f"{where}: reaches into a folder of another room: {m.group(1)}")
            elif FLOOR[other] > FLOOR[room]:
                bad.append(f"{where}: floor {FLOOR[room]} ({room}) includes floor {FLOOR[other]} ({other})")
            elif FLOOR[other] == FLOOR[room] and (room, other) not in ALLOWED_PEERS:
                bad.append(f"{where}: peers do not know each other: {m.group(1)}")
    for line in bad:
        print(line, file=sys.stderr)
    print(f"floors: {len(names)} files, {len(bad)} against the plan")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
