#!/usr/bin/env python3
"""Virtual trials as a user meets them: text, JSON, page; the same bytes on one and two threads; a rule and the same rule in a program
outside; files that are refused with their place; exit codes.

usage: cli_trial.py DOPPEL SOURCE_DIR"""
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from checks import check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
TRIAL = SOURCE / "twins" / "s2008" / "trials" / "pid.yaml"
TWINS = ["--twins", SOURCE / "twins"]


def run(*args):
    return subprocess.run([DOPPEL, "trial", *map(str, [*args, *TWINS])], capture_output=True, text=True, timeout=600, check=False)


def write(folder, name, text):
    path = pathlib.Path(folder) / name
    path.write_text(text, encoding="utf-8")
    return path


def short(folder, old="", new=""):
    """The trial of twins/s2008, one day long, from another folder."""
    text = TRIAL.read_text(encoding="utf-8").replace("14 d", "1 d").replace("../", f"{SOURCE}/twins/s2008/")
    assert old in text
    return write(folder, "trial.yaml", text.replace(old, new) if old else text)


def answers(folder):
    path = short(folder)
    one = run(path, "--members", 7, "--json", "--threads", 1)
    two = run(path, "--members", 7, "--json", "--threads", 2)
    check("trial: exit 0", one.returncode == 0, one.stderr)
    check("trial: the same bytes on 1 and 2 threads", one.stdout == two.stdout)
    found = json.loads(one.stdout)
    check("trial: 7 people in both arms", [a["people"] for a in found["arms"]] == [7, 7])
    tir = found["arms"][0]["endpoints"][0]
    check("trial: an interval around its value", tir["low"] < tir["value"] < tir["high"], str(tir))
    steps = [e for e in found["credibility"]["evidence"] if "discretisation" in e["factor"]]
    check("trial: both rules given again within 0.1 mg/dL", [e["state"] for e in steps] == ["pass", "pass"], str(steps))
    page = pathlib.Path(folder) / "page.html"
    text = run(path, "--members", 7, "--no-checks", "--page", page)
    check("trial: text", "hybrid PID - basal and bolus" in text.stdout, text.stdout)
    check("trial: page", "V&amp;V 40" in page.read_text(encoding="utf-8"))


def outside(folder):
    policy = f"{SOURCE}/twins/s2008/policies"
    path = short(folder, f"{policy}/basal_bolus.yaml", f"{policy}/pid_outside.yaml")
    found = json.loads(run(path, "--members", 2, "--no-checks", "--json").stdout)
    check("trial: the program outside did not fail", found["incidents"] == [], str(found["incidents"]))
    worst = max(abs(d["value"]) for d in found["differences"])
    check("trial: a program outside gives what its rule gives", worst < 1e-6, str(worst))


def no_plan(folder):
    """A twin that finds no plan, here under a limit that nothing holds, says which limit stands in the way, whole."""
    kind = pathlib.Path(folder) / "strict"
    shutil.copytree(SOURCE / "twins" / "vancomycin", kind)
    for name, old, new in (("reward.yaml", '"> 20 mg/L"', '"> 0.5 mg/L"'), ("reward.yaml", "trough > 20", "trough > 0.5"),
                           ("trials/twin.yaml", "kind: vancomycin", "kind: ..")):
        text = (kind / name).read_text(encoding="utf-8")
        check(f"trial: no plan: '{old}' is there", old in text)
        (kind / name).write_text(text.replace(old, new), encoding="utf-8")
    found = json.loads(run(kind / "trials" / "twin.yaml", "--members", 4, "--no-checks", "--json").stdout)
    reasons = [x["reason"] for x in found["incidents"] if "posterior may not be used" not in x["reason"]]
    check("trial: no plan: the limit and its bound are told", reasons and all(
        re.fullmatch(r"no plan holds every limit: P\(trough > 0.5 mg/L\) <= 5 %: estimate .* %, at the 95 % bound .* %", x) for x in reasons), reasons)


def compared(folder):
    """Several comparisons, corrected; a cross-over says what its periods did; the page holds what the text does."""
    path = short(folder, "paired: true", "crossover: {washout: 6 h}\nmultiplicity: holm")
    page = pathlib.Path(folder) / "crossover.html"
    r = run(path, "--members", 8, "--json", "--page", page)
    check("trial: cross-over: exit 0", r.returncode == 0, r.stderr)
    found = json.loads(r.stdout)
    have = [d for d in found["differences"] if d["p"] is not None]
    check("trial: cross-over: every difference has a test", have and all(d["test"] != "none" for d in have), str(have))
    check("trial: means of a cross-over are compared within its sequences", have[0]["test"] == "cross-over t", str(have[0]))
    check("trial: Holm's p is not below p", all(d["p"] <= d["p_holm"] <= 1 for d in have), str(have))
    least = min(have, key=lambda d: d["p"])
    check("trial: the least p counts as often as there are comparisons", abs(least["p_holm"] - min(1, least["p"] * len(have))) < 1e-12, str(least))
    rows = [e["what"] for e in found["credibility"]["evidence"] if e["factor"] == "design: periods"]
    check("trial: cross-over: what the second period added is told", len(rows) == 1 and "in the second period" in rows[0], str(rows))
    text = page.read_text(encoding="utf-8")
    check("trial: page: Holm", "p, Holm" in text)
    check("trial: page: every endpoint", all(e["name"].replace("<", "&lt;") in text for e in found["arms"][0]["endpoints"]))
    r = run(short(folder, "kind: s2008", "kind: s2009"))
    check("trial: a kind that there is not: exit 3, with its line", r.returncode == 3 and "trial.yaml:4: kind:" in r.stderr and
          "'s2009'; did you mean 's2008'?" in r.stderr, r.stderr)
    r = run(short(folder, "paired: true", "paired: true\nmultiplicity: bonferroni"))
    check("trial: another correction: exit 3, named", r.returncode == 3 and "holm or none" in r.stderr, r.stderr)


def in_strata(folder):
    """Randomisation within strata and looks at the data: the same bytes on any number of threads, what is reported hangs together."""
    path = short(folder, "paired: true", "randomisation: {blocks: 4, strata: {CR: [12], CF: [30]}}\nlooks: {at: 3, boundary: pocock}")
    page = pathlib.Path(folder) / "strata.html"
    one = run(path, "--members", 30, "--json", "--no-checks", "--threads", 1, "--page", page)
    two = run(path, "--members", 30, "--json", "--no-checks", "--threads", 2)
    check("trial: strata, looks: exit 0", one.returncode == 0, one.stderr)
    check("trial: strata, looks: the same bytes on 1 and 2 threads", one.stdout == two.stdout)
    found = json.loads(one.stdout)
    strata = [s["people"] for s in found["strata"]]
    check("trial: strata: four of them, everybody in one", len(strata) == 4 and sum(map(sum, strata)) == 30, str(strata))
    check("trial: strata: no arm has more than two people more", all(abs(a - b) <= 2 for a, b in strata), str(strata))
    check("trial: strata: arms are what strata are", [a["people"] for a in found["arms"]] == [sum(x) for x in zip(*strata)], str(strata))
    check("trial: looks: 10, 20 and 30 people", [k["people"] for k in found["looks"]["at"]] == [10, 20, 30], str(found["looks"]))
    check("trial: looks: Pocock's boundary of three", all(abs(k["z"] - 2.289) < 5e-4 for k in found["looks"]["at"]), str(found["looks"]))
    for d in found["differences"]:
        beyond = [i for i, x in enumerate(d["looks"]) if x["p"] is not None and x["p"] <= found["looks"]["at"][i]["p"]]
        check("trial: looks: the first beyond its boundary", d["crossed_at_look"] == (beyond[0] + 1 if beyond else None), str(d))
    text = page.read_text(encoding="utf-8")
    check("trial: page: strata and looks", "CR &lt; 12, CF &gt;= 30" in text.replace("CF >=", "CF &gt;=") and "Looks at the data" in text)
    text = run(path, "--members", 30, "--no-checks").stdout
    check("trial: text: strata and looks", "CR < 12, CF < 30" in text and "look 2 with 20 people" in text, text)


def keys_said(folder):
    """Every key that the program writes stands in docs/trial.md, and every one that stands there is written."""
    section = (SOURCE / "docs" / "trial.md").read_text(encoding="utf-8").split("### `--json`")[1].split("\n### ")[0]
    said = {"": {}, "arms": {}, "differences": {}}
    for head, body in re.findall(r"\| key(?: of (\w+))? \| meaning \|\n\|[-|]+\|\n((?:\|.*\n)+)", section):
        for row in body.splitlines():
            _, names, meaning, _ = row.split("|")
            for name in names.split(","):
                said[head][name.strip()] = set(re.findall(r"`(\w+)`", meaning))
    written = {where: {} for where in said}
    stuck = write(folder, "stuck.yaml", "policy: stuck\nkind: process\nevery: 5 min\nreads: {g: cgm}\nperson: [basal_rate]\n"
                  "gives: {basal_rate: ''}\nfallback: still.yaml\ncommand: ['false']\n")
    write(folder, "still.yaml", "policy: still\nevery: 5 min\nperson: [basal_rate]\ngives: {basal_rate: basal_rate}\n")
    pid = f"{SOURCE}/twins/s2008/policies/pid.yaml"
    for old, new, n in [("paired: true", "randomisation: {strata: {CR: [12]}}\nlooks: {at: 2}\nrun_in: 1 h", 8),
                        ("paired: true", "paired: true\nmultiplicity: holm", 3), (pid, str(stuck), 2)]:
        path = short(folder, old, new)
        r = run(path, "--members", n, "--json", "--no-checks")
        check("trial: keys: exit 0", r.returncode == 0, r.stderr)
        found = json.loads(r.stdout)
        for where, things in (("", [found]), ("arms", found["arms"]), ("differences", found["differences"])):
            for thing in things:
                for key, value in thing.items():
                    inner = written[where].setdefault(key, set())
                    if key not in said or not key:
                        walk(value, inner)
    for where in said:
        for key in sorted(set(said[where]) | set(written[where])):
            name = f"trial: key '{key}'" + (f" of {where}" if where else "")
            check(f"{name} stands in docs/trial.md", key in said[where])
            check(f"{name} is written", key in written[where])
            inner = written[where].get(key, set()) - said[where].get(key, set())
            check(f"{name}: what is in it stands in docs/trial.md", not inner, str(inner))


def walk(value, keys):
    """All keys of objects within a value."""
    if isinstance(value, dict):
        keys.update(value)
        for v in value.values():
            walk(v, keys)
    elif isinstance(value, list):
        for v in value:
            walk(v, keys)


def readings(folder):
    """doppel glucose: a file as a device writes it."""
    path = write(folder, "export.csv", "Index,Timestamp (YYYY-MM-DDThh:mm:ss),Glucose Value (mg/dL)\n1,,\n4,2024-10-27T02:00:00+01:00,High\n"
                 "3,2024-10-27T02:55:00+02:00,80\n3,2024-10-27T02:55:00+02:00,80\n2,2024-10-27T02:50:00+02:00,60\n")
    glucose = lambda *args: subprocess.run([DOPPEL, "glucose", str(path), *args], capture_output=True, text=True, timeout=60, check=False)
    for args, word in [(["--high", "400"], "sorted"), (["--sort"], "High stands for")]:
        r = glucose(*args)
        check(f"glucose: {args}: exit 3, named", r.returncode == 3 and word in r.stderr, r.stderr)
    r = glucose("--sort", "--high", "3")
    check("glucose: a High that no sensor shows: exit 2", r.returncode == 2, r.stderr)
    found = json.loads(glucose("--sort", "--high", "400", "--json").stdout)["series"][0]
    expected = {"readings": 3, "repeated": 1, "high": 1, "low": 0, "interval_min": 5, "mean": 180, "gaps": 0}
    check("glucose: a device's export", all(found[k] == v for k, v in expected.items()), str(found))


def refusals(folder):
    for old, new, word in [("metric: time_between", "metric: time_betwixt", "trial.yaml"),
                           ("level: 70,", "level: 70 h,", "trial.yaml"),
                           ("pid.yaml}", "nowhere.yaml}", "nowhere.yaml"),
                           ("kind: s2008", "kind: s2009", "s2009"),
                           ("step: 2.5 min", "step: 2.5 mg", "step")]:
        r = run(short(folder, old, new))
        check(f"trial: {new}: exit 3", r.returncode == 3, f"exit {r.returncode}: {r.stderr}")
        check(f"trial: {new}: named", word in r.stderr, r.stderr)
    r = run(short(folder), "--members", 0)
    check("trial: no people: exit 2", r.returncode == 2, f"exit {r.returncode}: {r.stderr}")
    r = run(pathlib.Path(folder) / "not_there.yaml")
    check("trial: no file: exit 3", r.returncode == 3 and "not_there.yaml" in r.stderr, r.stderr)


def main():
    with tempfile.TemporaryDirectory() as folder:
        answers(folder)
        outside(folder)
        no_plan(folder)
        compared(folder)
        in_strata(folder)
        keys_said(folder)
        readings(folder)
        refusals(folder)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
