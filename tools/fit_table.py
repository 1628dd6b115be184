#!/usr/bin/env python3
"""Multi-start fits of a collection of calibration problems, as a table: problem, parameters, best objective, nominal
objective, how often the best value known was found, time.

    tools/fit_table.py DIR [-o docs/fits.tsv] [--doppel build/doppel] [--seconds 1200] [--only NAME,...]

The nominal point is not among the starts. Time is processor time of all threads: 1200 s are 10 minutes of 2 cores. Each
problem's row is written when its fit has ended and replaces the one before, so the table can be made in pieces. What
each fit found is kept beside the table's --work folder as JSON. The best value known of a problem is the least of its
nominal objective and of all that was found here; a start hits when it comes within 0.1 of that. best_j is the fit's answer,
j_starts what the starts alone have found, scatter_searches how many searches of the scatter search came after them (empty:
the row is older than it). seconds is the processor time allowed, stage the state of the program that made the row (--stage):
rows of one stage are comparable.
"""
import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time

COLUMNS = ["problem", "parameters", "starts", "begun", "ended", "nominal_j", "best_j", "difference", "goal", "best_known_j",
           "hit_rate", "near_nominal", "j_starts", "scatter_searches", "optima", "points", "not_evaluable", "seconds", "cpu_s",
           "wall_s", "options", "stage"]


def problem_file(folder):
    name = os.path.basename(folder)
    for path in (os.path.join(folder, name + ".yaml"), os.path.join(folder, "problem.yaml")):
        if os.path.exists(path):
            return path
    return None


def number(x):
    return "" if x is None or not math.isfinite(x) else f"{x:.10g}"


def row_of(args, name, got, cpu, wall, old):
    """One row; old: the row before, whose best value known still counts."""
    js = [w["j"] for w in got["waterfall"] if w["j"] is not None]
    nominal, best = got["nominal_j"], got["j"]
    known = min(x for x in (nominal, best, old) if x is not None and math.isfinite(x))
    begun = sum(1 for w in got["waterfall"] if w["points"] > 0)
    hits = sum(1 for j in js if j <= known + 0.1)
    near = sum(1 for j in js if nominal is not None and j <= nominal + 0.1)
    goal = "" if nominal is None else "yes" if best <= nominal + 0.1 else "no"
    return {"problem": name, "parameters": str(len(got["parameters"])), "starts": str(got["starts"]), "begun": str(begun),
            "ended": str(got["ended"]), "nominal_j": number(nominal), "best_j": number(best),
            "difference": "" if nominal is None else f"{best - nominal:.4g}", "goal": goal, "best_known_j": number(known),
            "hit_rate": f"{hits / begun:.2f}", "near_nominal": f"{near / begun:.2f}", "j_starts": number(got["j_starts"]),
            "scatter_searches": str(got["scatter_searches"]), "optima": str(got["optima"]), "points": str(got["points"]),
            "not_evaluable": str(got["not_evaluable"]), "seconds": f"{args.seconds:g}", "cpu_s": f"{cpu:.1f}",
            "wall_s": f"{wall:.1f}", "options": args.options, "stage": args.stage}


def failed_row(args, name, why, cpu, wall):
    row = dict.fromkeys(COLUMNS, "")
    row.update(problem=name, goal="no", seconds=f"{args.seconds:g}", cpu_s=f"{cpu:.1f}", wall_s=f"{wall:.1f}",
               options=f"{args.options} FAILED: {why}", stage=args.stage)
    return row


def fit(args, name, path):
    """The fit as JSON (or why there is none), processor and wall time."""
    command = [args.doppel, "fit", path, "--json", "--threads", str(args.threads), "--starts", str(args.starts), "--seconds",
               str(args.seconds)] + args.options.split()
    if args.resume:
        command += ["--resume", os.path.join(args.work, name + ".state")]
    begin, used = time.time(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try: # the limit above is looked at between batches; this one is for a batch that does not end
        done = subprocess.run(command, capture_output=True, text=True, timeout=args.wall)
        out, why = done.stdout, done.stderr.strip().split("\n")[-1]
        code = done.returncode
    except subprocess.TimeoutExpired:
        out, why, code = "", f"no answer within {args.wall} s of wall time", 1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime
    if code == 0:
        with open(os.path.join(args.work, name + ".json"), "w") as f:
            f.write(out)
    return (json.loads(out) if code == 0 else None), why, cpu, time.time() - begin


def read_table(path):
    rows = {}
    if os.path.exists(path):
        with open(path) as f:
            head = f.readline().rstrip("\n").split("\t")
            for line in f:
                row = dict(zip(head, line.rstrip("\n").split("\t")))
                rows[row["problem"]] = row
    return rows


def write_table(path, rows):
    with open(path + ".new", "w") as f:
        f.write("\t".join(COLUMNS) + "\n")
        for name in sorted(rows):
            f.write("\t".join(rows[name].get(c, "") for c in COLUMNS) + "\n")
    os.replace(path + ".new", path)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("dir")
    p.add_argument("-o", "--out", default="docs/fits.tsv")
    p.add_argument("--work", default="/tmp/doppel-fits")
    p.add_argument("--doppel", default="build/doppel")
    p.add_argument("--seconds", type=float, default=1200)
    p.add_argument("--wall", type=float, default=3600)
    p.add_argument("--starts", type=int, default=100)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--only", default="")
    p.add_argument("--missing", action="store_true", help="only problems without a row")
    p.add_argument("--resume", action="store_true", help="go on from what was found before")
    p.add_argument("--options", default="--search scatter", help="further options of doppel fit")
    p.add_argument("--stage", default="", help="a word for the state of the program, into the last column")
    args = p.parse_args()
    os.makedirs(args.work, exist_ok=True)
    wanted = [w for w in args.only.split(",") if w]
    folders = sorted(os.path.join(args.dir, d) for d in os.listdir(args.dir))
    for folder in folders:
        name = os.path.basename(folder)
        path = problem_file(folder) if os.path.isdir(folder) else None
        if not path or (wanted and not any(name.startswith(w) for w in wanted)):
            continue
        rows = read_table(args.out)
        if args.missing and name in rows:
            continue
        got, why, cpu, wall = fit(args, name, path)
        old = float(rows[name]["best_known_j"]) if rows.get(name, {}).get("best_known_j") else None
        row = row_of(args, name, got, cpu, wall, old) if got else failed_row(args, name, why, cpu, wall)
        rows = read_table(args.out)
        rows[name] = row
        write_table(args.out, rows)
        print("\t".join(row[c] for c in COLUMNS), flush=True)
    rows = read_table(args.out)
    reached = sum(1 for r in rows.values() if r["goal"] == "yes")
    print(f"{reached} of {len(rows)} reach their nominal objective + 0.1 or better")
    return 0


if __name__ == "__main__":
    sys.exit(main())
