#!/usr/bin/env python3
"""Virtual trials as a user meets them: text, JSON, page; the same bytes on one and two threads; a rule and the same rule in a program
outside; files that are refused with their place; exit codes.

usage: cli_trial.py DOPPEL SOURCE_DIR"""
import json
import pathlib
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
        refusals(folder)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
