#!/usr/bin/env python3
"""Trajectories of Antimony or SBML models by `doppel simulate` beside those of libRoadRunner (pip install libroadrunner antimony).

    compare_roadrunner.py DOPPEL DIR [--end T] [--steps N] [--limit R] [--only TEXT] [--skip N]
                          [--timeout S] [--markdown]

For each model in DIR one line: agree, differ (largest relative difference, where), only one side runs, neither does. A value
agrees when it is within LIMIT (1e-6) of the other, relative to the larger of both or to 1e-6 of the largest value in its column.
Both run with the tightest tolerances they get through (libRoadRunner's error per step adds up: at 1e-10 it is 1e-5 off).
Says "skipped" and exits 0 where libRoadRunner is not installed.
"""
import argparse
import csv
import json
import math
import pathlib
import subprocess
import sys


def doppel_table(program, path, end, steps):
    for tight in (["--rtol", "1e-12", "--atol", "1e-20"], ["--rtol", "1e-10", "--atol", "1e-16"], []):
        command = [program, "simulate", path, "--end", str(end), "--steps", str(steps)] + tight
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
        except subprocess.TimeoutExpired:
            run = subprocess.CompletedProcess(command, 124, "", "took longer than 40 s")
        if run.returncode == 0:
            break
    if run.returncode != 0:
        text = run.stderr.strip().splitlines()
        return None, None, (text[0].replace("doppel: ", "") if text else "exit %d" % run.returncode)
    rows = list(csv.reader(run.stdout.splitlines()))
    values = [[float(x) if x else math.nan for x in row] for row in rows[1:]]
    return rows[0], values, ""


def reference_table(path, names, end, steps):
    """values of the same names, in this process"""
    import roadrunner
    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_ERROR)
    roadrunner.Logger.disableConsoleLogging()
    sbml = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    if not sbml.lstrip().startswith("<"):
        import antimony
        if antimony.loadAntimonyString(sbml) < 0:
            raise RuntimeError("libAntimony: " + antimony.getLastError().strip().splitlines()[0])
        sbml = antimony.getSBMLString(antimony.getMainModuleName())
    import re
    amounts = {m.group(1) for tag in re.findall(r"<species\b[^>]*>", sbml) if 'hasOnlySubstanceUnits="true"' in tag
               for m in [re.search(r'\bid="([^"]+)"', tag)]}
    rr = roadrunner.RoadRunner(sbml)
    species = set(rr.model.getFloatingSpeciesIds()) | set(rr.model.getBoundarySpeciesIds())
    rr.timeCourseSelections = ["time"] + [n if n not in species or n in amounts else "[%s]" % n for n in names]
    rr.integrator.setValue("maximum_num_steps", 500000)
    for tolerance in (1e-13, 1e-12, 1e-10, 1e-8):
        rr.integrator.setValue("relative_tolerance", tolerance)
        rr.integrator.setValue("absolute_tolerance", tolerance * 1e-6)
        try:
            rr.resetToOrigin()
            return [[float(x) for x in row] for row in rr.simulate(0, end, steps + 1)]
        except RuntimeError as e:
            trouble = e
    raise trouble


def compare(names, ours, theirs, limit):
    worst, where = 0.0, ""
    for k in range(1, len(names)):
        top = max((abs(row[k]) for row in theirs if math.isfinite(row[k])), default=0.0)
        for a, b in zip(ours, theirs):
            x, y = a[k], b[k]
            if (math.isnan(x) and math.isnan(y)) or x == y:
                continue
            size = max(abs(x), abs(y), 1e-6 * top, 1e-14)
            d = abs(x - y) / size if math.isfinite(x) and math.isfinite(y) else math.inf
            if d > worst:
                worst, where = d, "%s at %g: %.9g, libRoadRunner %.9g" % (names[k], a[0], x, y)
    return worst, where


def one(args):
    """one model, in a process of its own; prints one JSON object"""
    out = {"model": pathlib.Path(args.dir).stem}
    names, ours, trouble = doppel_table(args.doppel, args.dir, args.end, args.steps)
    if names is None:
        out["ours"] = trouble
        names = ["time"]
    try:
        theirs = reference_table(args.dir, names[1:], args.end, args.steps)
    except Exception as e:  # noqa: BLE001 - whatever the other program says
        out["theirs"] = " ".join(str(e).split())[:160]
        theirs = None
    if ours is not None and theirs is not None:
        out["worst"], out["where"] = compare(names, ours, theirs, args.limit)
    print("RESULT " + json.dumps(out))
    return 0


def run_one(args, path):
    command = [sys.executable, __file__, args.doppel, str(path), "--one", "--end", str(args.end), "--steps", str(args.steps)]
    try:
        text = subprocess.run(command, capture_output=True, text=True, timeout=args.timeout, check=False).stdout
    except subprocess.TimeoutExpired:
        return {"model": path.stem, "theirs": "took longer than %g s" % args.timeout}
    for line in text.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    return {"model": path.stem, "theirs": "the process ended without an answer"}


def verdict(r, limit):
    if "ours" in r and "theirs" in r:
        return "neither"
    if "ours" in r:
        return "only libRoadRunner"
    if "theirs" in r:
        return "only doppel"
    return "agree" if r["worst"] <= limit else "differ"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("doppel")
    p.add_argument("dir")
    p.add_argument("--end", type=float, default=100.0)
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--limit", type=float, default=1e-6)
    p.add_argument("--only", default="")
    p.add_argument("--skip", type=int, default=0, help="models to leave out at the beginning")
    p.add_argument("--timeout", type=float, default=120.0, help="seconds for one model, both sides")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    try:
        import roadrunner  # noqa: F401
    except ImportError:
        print("skipped: libRoadRunner is not installed (pip install libroadrunner antimony)")
        return 0
    if args.one:
        return one(args)
    count = {}
    paths = [x for x in sorted(pathlib.Path(args.dir).glob("*"))
             if x.suffix in (".txt", ".ant", ".xml", ".sbml") and args.only in x.name]
    for path in paths[args.skip:]:
        r = run_one(args, path)
        v = verdict(r, args.limit)
        count[v] = count.get(v, 0) + 1
        if v != "agree":
            text = "%.2g: %s" % (r["worst"], r["where"]) if "worst" in r else r.get("ours", "") or r.get("theirs", "")
            print(("| %s | %s | %s |" if args.markdown else "%s\t%s\t%s") % (r["model"], v, text), flush=True)
    print(", ".join("%s: %d" % (k, n) for k, n in sorted(count.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
