#!/usr/bin/env python3
"""docs/decision-json.md against what is printed: every key of `doppel plan`, `forecast` and `dose --json` stands in its table, and every
key that stands there is printed by one of the runs below. The report's `why` is the same object.

usage: json_said.py DOPPEL SOURCE_DIR"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from checks import check, finish, keys

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()


def said():
    """Keys of each section's table, in full: {"plan": {"chosen.text", ...}, ...}."""
    text = (SOURCE / "docs" / "decision-json.md").read_text(encoding="utf-8")
    tables = {}
    for head, body in re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", text, re.M):
        name = re.findall(r"`(?:doppel )?(\w+)`", head)[0]
        first = [line.split("|")[1] for line in body.splitlines() if line.startswith("| `")]
        tables[name] = {key for cell in first for key in re.findall(r"`([^`]+)`", cell)}
    return tables


def printed(*args):
    r = subprocess.run([DOPPEL, *map(str, args), "--json"], capture_output=True, text=True, timeout=120, check=False, cwd=SOURCE)
    check(f"{args[:2]}: an answer", r.returncode in (0, 6) and r.stdout, r.stderr)
    return set(keys(json.loads(r.stdout)))


def two_objectives(tmp):
    kind = pathlib.Path(tmp, "two")
    shutil.copytree(SOURCE / "twins" / "vancomycin", kind)
    reward = (kind / "reward.yaml").read_text(encoding="utf-8").replace("control: iv", "control: iv\npareto: [benefit, burden]", 1)
    (kind / "reward.yaml").write_text(reward.replace("weight: 1", "weight: 1\n    objective: benefit\n  - {id: burden, of: count, weight: "
                                                     "-0.01, objective: burden}", 1), encoding="utf-8")
    return kind


def known(key, have):
    """Itself, "with the keys of `chosen`", or null or an empty list in place of what has keys of its own."""
    alike = re.sub(r"^runner_up\.", "chosen.", key)
    return alike in have or any(x.startswith((alike + ".", alike + "[].")) for x in have)


def compare(name, tables, found, must, may=()):
    """must: sections of which every key has to be printed; may: those whose keys may be."""
    have = set().union(*(tables[m] for m in (*must, *may)))
    for key in sorted(found):
        check(f"{name}: '{key}' stands in docs/decision-json.md", known(key, have))
    for key in sorted(set().union(*(tables[m] for m in must))):
        check(f"{name}: '{key}' is printed", known(key, found))


def main():
    tables = said()
    check("tables: all of them", {"belief", "plan", "forecast", "why", "dose"} <= set(tables), sorted(tables))
    with tempfile.TemporaryDirectory() as tmp:
        plan = printed("plan", "theophylline", "--patient", "1", "--until", "8") | printed("plan", two_objectives(tmp), "--patient", "B")
        low = pathlib.Path(tmp, "low.tsv")
        low.write_text("controlId\ttime\tamount\tinterval\trepeats\noral\t0\t200\t12\t3\n", encoding="utf-8")
        branches = printed("forecast", "theophylline", "--patient", "1", "--until", "8", "--plan", "none", "--plan", low)
    compare("plan", tables, plan, ("plan", "belief", "why"))
    compare("forecast", tables, branches, ("forecast", "belief"), ("why",))
    compare("dose", tables, printed("dose", "vancomycin", "--patient", "B", "--target", "c(24 h) = 11", "--duration", "2"), ("dose", "belief"))
    report = printed("run", "vancomycin", "--patient", "B", "--no-report")
    for key in sorted(k for k in report if k.startswith("why.")):
        check(f"run: '{key}' stands in docs/decision-json.md", known(key, tables["why"]))
    return finish()


if __name__ == "__main__":
    sys.exit(main())
