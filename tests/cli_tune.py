#!/usr/bin/env python3
"""doppel tune as a user meets it: text and JSON, every key of which stands in docs/tune.md and the other way round; the same bytes on one
and two threads; a setting's endpoints by a trial of its own; what is refused, with its place; a belief that is not fit for use.

usage: cli_tune.py DOPPEL SOURCE_DIR"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from checks import check, finish, keys, refusal

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
KIND = SOURCE / "twins" / "insulin"
WEEK = KIND / "patients" / "week.csv"
FEW = ("--patient", WEEK, "--until", "1440", "--draws", "200")
USAGE, INPUT, UNFIT = 2, 3, 6


def run(*args):
    return subprocess.run([DOPPEL, "tune", *map(str, args)], capture_output=True, text=True, errors="replace", timeout=300, check=False, cwd=SOURCE)


def tuning(folder, *edits, name="tuning.yaml", kind=KIND):
    """The tuning of twins/insulin over two days and few candidates, with a limit, from another folder; pairs of texts are replaced."""
    text = (KIND / "tunings" / "pump.yaml").read_text(encoding="utf-8")
    few = (("../policies", str(KIND / "policies")), ("kind: insulin", f"kind: {kind}"), ("horizon: 7 d", "horizon: 2 d"), ("draws: 60", "draws: 30"),
           ("fresh: 200", "fresh: 40"), ("[0.7, 0.8, 0.9, 1, 1.15, 1.3, 1.5]", "[0.8, 1, 1.3]"), ("[0.7, 1, 1.4, 2]", "[1, 1.4]"), ("[0.9, 1, 1.1]", "[0.9, 1]"),
           ("confidence: 0.95\n", 'confidence: 0.95\nlimits:\n  - {id: capped, endpoint: tbr2, event: "> 4 %", probability: "<= 0.5"}\n'))
    for old, new in (*few, *edits):
        check(f"{name}: '{old}' is there", old in text)
        text = text.replace(old, new)
    path = pathlib.Path(folder, name)
    path.write_text(text, encoding="utf-8")
    return path


def refused(name, code, wanted, *args):
    refusal(name, run(*args), code, wanted)


# ---- keys ----

def said():
    text = (SOURCE / "docs" / "tune.md").read_text(encoding="utf-8").split("## `--json`")[1].split("\n## ")[0]
    first = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return {key for cell in first for key in re.findall(r"`([^`]+)`", cell)}


def compare(answers):
    """Also where there is none of it (`proposed` null)."""
    have, found = said(), {k for a in answers for k in keys(a) if not k.startswith("belief.")}
    for key in sorted(found):
        alike = re.sub(r"^(present|runner_up|candidates\[\])\.", "proposed.", key)
        check(f"keys: '{key}' stands in docs/tune.md", alike in have or any(x.startswith(alike + ".") or x == alike + "[]" for x in have))
    for key in sorted(have):
        alike = {key} | {re.sub(r"^proposed\.", head, key) for head in ("present.", "runner_up.")}
        check(f"keys: '{key}' is printed", any(f == k or f.startswith((k + ".", k.removesuffix("[]") + "[]")) for f in found for k in alike), key)


# ---- answers ----

def answers(tmp):
    path = tuning(tmp)
    one, two = (run(path, *FEW, "--json", "--threads", n) for n in (1, 2))
    check("tune: exit 0", one.returncode == 0, one.stderr)
    check("tune: the same bytes on 1 and 2 threads", one.stdout == two.stdout)
    found = json.loads(one.stdout)
    check("tune: twelve candidates, the present settings first", len(found["candidates"]) == 12 and all(
        s["times"] == 1 for s in found["candidates"][0]["settings"]), found["candidates"][0])
    value = {s["id"]: s["value"] for s in found["present"]["settings"]}
    check("tune: present settings are the record's", value == {"basal": 1.13381, "CR": 5, "CF": 7.64318}, value)
    check("tune: fresh draws are other ones", found["fresh_are_new"] is True and found["fresh_draws"] == 40)
    check("tune: an outcome", found["outcome"] in ("proposed", "keep", "no safe setting") and found["reason"], found["outcome"])
    for c in found["candidates"]:
        limits = [t for t in c["terms"] if t["goal"] == "limit"]
        check(f"tune: {c['text']}: limits at their bounds", all(t["holds"] == (t["high"] <= 0.5) and t["low"] <= t["value"] <= t["high"] for t in limits), limits)
        check(f"tune: {c['text']}: verdict", c["better"] == all(t["holds"] for t in c["terms"] if t["goal"] != "limit"), c)
        more, safe, gain = (next(t["value"] for t in c["terms"] if t["id"] == i) for i in ("more", "safe", "gain"))
        check(f"tune: {c['text']}: the reward is its formula", abs(c["reward"] - (more * safe + gain / 100)) < 1e-8, c)
        tir = {x["id"]: x["mean"] for x in c["endpoints"]}["tir"] - found["candidates"][0]["endpoints"][0]["mean"]
        check(f"tune: {c['text']}: the mean change is that of the means", abs(gain - tir) < 1e-7, (gain, tir))
    words = run(path, *FEW)
    for w in ("present ", "error of the model: a drift of sd 4", "time in range 70 to 180", "Research use only"):
        check(f"tune: text: {w}", w in words.stdout, words.stdout)
    easy = run(tuning(tmp, ('"<= 0.5"', '"<= 0.95"'), ('">= 0.5"', '">= 0.01"'), ('">= 0.7"', '">= 0.01"'), ('mean_change: "> 0"', 'mean_change: "> -100"'),
                      ('mean_change: "<= 0"', 'mean_change: "<= 100"')), *FEW, "--json")
    easy = json.loads(easy.stdout)
    check("tune: where anything will do something is proposed", easy["outcome"] == "proposed" and 0 < easy["probability_best"] <= 1, easy["outcome"])
    best = max(c["reward"] for c in easy["candidates"][1:] if c["safe"] and c["better"])
    check("tune: the search's best, or one that held again", easy["proposed"]["search_reward"] <= best)
    never = run(tuning(tmp, ('mean_change: "> 0"', 'mean_change: "> 90"')), *FEW, "--json")
    never = json.loads(never.stdout)
    check("tune: where nothing will do the present settings are kept", never["proposed"] is None and never["outcome"] != "proposed" and never["probability_best"] is None,
          never["outcome"])
    compare([found, easy, never])
    return found


def bad(tmp):
    path = tuning(tmp)
    refused("no file", USAGE, ["tune needs one TUNING.yaml"])
    refused("not there", INPUT, ["nowhere.yaml", "no such file"], "nowhere.yaml", *FEW)
    refused("nobody", USAGE, ["--patient"], path)
    refused("set without a value", USAGE, ["--set", "NAME=VALUE"], path, *FEW, "--set", "CR")
    refused("set no number", USAGE, ["--set", "expected a number"], path, *FEW, "--set", "CR=ten")
    refused("set for nobody", INPUT, ["nobody asks for 'CRR'"], path, *FEW, "--set", "CRR=10")
    refused("set of what the belief is made from", INPUT, ["'BW' is of the record, from which the belief is made; change it there"], path, *FEW, "--set", "BW=80")
    refused("a sensor's slip", INPUT, ["bad.yaml:15: sensor: ", "zz"], tuning(tmp, ("0.7*(e + z)", "0.7*(e + zz)"), name="bad.yaml"), *FEW)
    refused("present value missing", INPUT, ["tuning.yaml:", "the present value of 'CR' is missing", "--set CR=VALUE"], path, "--patient",
            KIND / "patients" / "virtual.csv")
    refused("beyond the kind's range", INPUT, ["tuning.yaml:", "basal 36 U/h is beyond"], path, *FEW, "--set", "basal=36")
    refused("nobody reads it", INPUT, ["bad.yaml:", "nobody reads 'CX'"], tuning(tmp, ("  CR: {times", "  CX: {times"), name="bad.yaml"), *FEW)
    refused("no list", INPUT, ["bad.yaml:", "not empty"], tuning(tmp, ("times: [1, 1.4]", "times: []"), name="bad.yaml"), *FEW)
    refused("unknown endpoint", INPUT, ["bad.yaml:", "endpoint: found 'tir9'"], tuning(tmp, ("endpoint: tir,", "endpoint: tir9,"), name="bad.yaml"), *FEW)
    refused("contradiction", INPUT, ["bad.yaml:", "'fall' contradicts 'gain'"], tuning(
        tmp, ('{id: fall, endpoint: low, mean_change: "<= 0"}', '{id: fall, endpoint: tir, mean_change: "<= 0"}'), name="bad.yaml"), *FEW)
    refused("too few draws for a limit", INPUT, ["bad.yaml:", "at least 299 draws"], tuning(tmp, ('"<= 0.5"', '"<= 1 %"'), name="bad.yaml"), *FEW)
    many = ", ".join(str(x) for x in range(1, 201))
    refused("too many", INPUT, ["bad.yaml:", "found 2400 combinations, expected at most 2000"], tuning(tmp, ("[0.8, 1, 1.3]", f"[{many}]"), ("[1, 1.4]", "[1, 2, 3, 4, 5, 6]"),
                                                                                                    name="bad.yaml"), *FEW)


def unfit(tmp):
    kind = pathlib.Path(tmp, "never")
    shutil.copytree(KIND, kind)
    model = (kind / "model.ant").read_text(encoding="utf-8")
    check("never: the change took", "IG' = (G - IG)/alpha;" in model)
    (kind / "model.ant").write_text(model.replace("IG' = (G - IG)/alpha;", "IG' = (G - IG)/alpha + 1e-9*ln(-1 - SI);"), encoding="utf-8")
    r = run(tuning(tmp, kind=kind), *FEW, "--json")
    check("unfit: exit 6", r.returncode == UNFIT and "not fit for use" in r.stderr, f"{r.returncode} {r.stderr}")
    answer = json.loads(r.stdout)
    check("unfit: nothing was rehearsed", answer["outcome"] == "unfit" and answer["simulations"] == 0 and answer["proposed"] is None, answer["outcome"])


def main():
    with tempfile.TemporaryDirectory() as tmp:
        answers(tmp)
        bad(tmp)
        unfit(tmp)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
