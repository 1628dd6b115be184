#!/usr/bin/env python3
"""Trajectories of Antimony or SBML models by `doppel simulate` beside those of libRoadRunner (pip install libroadrunner antimony).

    compare_roadrunner.py DOPPEL DIR [--end T] [--steps N] [--limit R] [--only TEXT] [--cache DIR] [--reference]
                          [--timeout S] [--default] [--markdown]

For each model in DIR one line: agree, differ (largest relative difference, where), only one side runs, neither does. A value
agrees when it is within LIMIT (1e-6) of the other, relative to the larger of both, to 1e-6 of the largest value in its column
or to 1e-14 of the largest in the model (rounding).
Both run with the tightest tolerances they get through (libRoadRunner's error per step adds up: at 1e-10 it is 1e-5 off);
--default runs Doppel as it comes. With --cache libRoadRunner's answers are kept in DIR and taken from there; --reference only
makes them. The last lines give the counts and the processor time of both sides (Doppel: the whole command; libRoadRunner: the
text read, the model compiled, simulated with its default tolerances). Says "skipped" and exits 0 without libRoadRunner.
"""
import argparse
import csv
import json
import math
import pathlib
import re
import resource
import select
import subprocess
import sys
import time

TIGHT = (["--rtol", "1e-12", "--atol", "1e-20"], ["--rtol", "1e-10", "--atol", "1e-16"], [])


# ---- libRoadRunner, in a process of its own that is ended when it takes too long ----

def to_sbml(path):
    text = pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    if text.lstrip().startswith("<"):
        return text
    import antimony
    antimony.clearPreviousLoads()
    if antimony.loadAntimonyString(text) < 0:
        raise RuntimeError("libAntimony: " + antimony.getLastError().strip().splitlines()[0])
    return antimony.getSBMLString(antimony.getMainModuleName())


def reference(path, end, steps):
    """{"names", "rows", "tolerance", "load_s", "simulate_s"} or {"trouble"}"""
    import roadrunner
    out = {}
    clock = time.process_time()
    try:
        sbml = to_sbml(path)
        amounts = {m.group(1) for tag in re.findall(r"<species\b[^>]*>", sbml) if 'hasOnlySubstanceUnits="true"' in tag
                   for m in [re.search(r'\bid="([^"]+)"', tag)]}
        rr = roadrunner.RoadRunner(sbml)
        out["load_s"] = time.process_time() - clock
        rr.integrator.setValue("maximum_num_steps", 500000)
        clock = time.process_time()
        try:
            rr.simulate(0, end, steps + 1)
            out["simulate_s"] = time.process_time() - clock
        except RuntimeError:
            pass
        species = list(rr.model.getFloatingSpeciesIds()) + list(rr.model.getBoundarySpeciesIds())
        names = species + list(rr.model.getGlobalParameterIds()) + list(rr.model.getCompartmentIds())
        rr.timeCourseSelections = ["time"] + [n if n not in species or n in amounts else "[%s]" % n for n in names]
    except Exception as e:  # noqa: BLE001 - whatever the other program says
        return {"trouble": " ".join(str(e).split())[:200]}
    trouble = ""
    for tolerance in (1e-13, 1e-12, 1e-10, 1e-8):
        rr.integrator.setValue("relative_tolerance", tolerance)
        rr.integrator.setValue("absolute_tolerance", tolerance * 1e-6)
        try:
            rr.resetToOrigin()
            rows = [[float(x) for x in row] for row in rr.simulate(0, end, steps + 1)]
            return dict(out, names=["time"] + names, rows=rows, tolerance=tolerance)
        except RuntimeError as e:
            trouble = " ".join(str(e).split())[:200]
    return dict(out, trouble=trouble)


def serve(args):
    """one path a line in, the answer's file a line out"""
    import roadrunner
    roadrunner.Logger.setLevel(roadrunner.Logger.LOG_ERROR)
    roadrunner.Logger.disableConsoleLogging()
    for line in sys.stdin:
        path, file = line.rstrip("\n").split("\t")
        text = json.dumps(reference(path, args.end, args.steps))
        pathlib.Path(file).write_text(text, encoding="utf-8")
        print("DONE", flush=True)
    return 0


class Server:
    def __init__(self, args):
        self.args, self.process = args, None

    def ask(self, path, file):
        if not self.process or self.process.poll() is not None:
            command = [sys.executable, __file__, self.args.doppel, self.args.dir, "--serve", "--end", str(self.args.end),
                       "--steps", str(self.args.steps)]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdin.write("%s\t%s\n" % (path, file))
        self.process.stdin.flush()
        until = time.monotonic() + self.args.timeout
        trouble = "took longer than %g s" % self.args.timeout
        while time.monotonic() < until:
            if not select.select([self.process.stdout], [], [], max(0.0, until - time.monotonic()))[0]:
                break
            line = self.process.stdout.readline()
            if line.startswith("DONE"):
                return
            if not line:
                trouble = "the process ended without an answer"
                break
        self.process.kill()
        self.process.wait()
        self.process = None
        pathlib.Path(file).write_text(json.dumps({"trouble": trouble}), encoding="utf-8")

    def end(self):
        if self.process:
            self.process.stdin.close()
            self.process.wait()


# ---- Doppel ----

def run_doppel(args, path, options):
    command = [args.doppel, "simulate", str(path), "--end", str(args.end), "--steps", str(args.steps)] + options
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=args.timeout, check=False)
    except subprocess.TimeoutExpired:
        return None, "took longer than %g s" % args.timeout, args.timeout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if run.returncode == 0:
        return run.stdout, "", spent
    text = [line for line in run.stderr.strip().splitlines() if line.startswith("doppel: ") and "no --end" not in line]
    return None, text[0].replace("doppel: ", "") if text else "exit %d" % run.returncode, spent


def doppel_table(args, path):
    """names, rows, trouble of the tightest run; seconds and trouble of the default one"""
    text, default_trouble, spent = run_doppel(args, path, [])
    trouble = default_trouble
    for options in () if args.default else TIGHT[:2]:
        tight, trouble, _ = run_doppel(args, path, options)
        if tight is not None:
            text = tight
            break
    if text is None:
        return None, None, trouble, spent, default_trouble
    rows = list(csv.reader(text.splitlines()))
    return rows[0], [[float(x) if x else math.nan for x in row] for row in rows[1:]], "", spent, default_trouble


# ---- side by side ----

def compare(names, ours, their_names, theirs):
    worst, where = 0.0, ""
    place = {n: k for k, n in enumerate(their_names)}
    model = max((abs(v) for row in theirs for v in row[1:] if math.isfinite(v)), default=0.0)
    for k, name in enumerate(names):
        if k == 0 or name not in place:
            continue
        column = [row[place[name]] for row in theirs]
        top = max((abs(v) for v in column if math.isfinite(v)), default=0.0)
        for row, y in zip(ours, column):
            x = row[k]
            if (math.isnan(x) and math.isnan(y)) or x == y:
                continue
            size = max(abs(x), abs(y), 1e-6 * top, 1e-14 * model, 1e-300)
            d = abs(x - y) / size if math.isfinite(x) and math.isfinite(y) else math.inf
            if d > worst:
                worst = d
                where = "%s at %g: %.9g, libRoadRunner %.9g (column's largest %.3g)" % (name, row[0], x, y, top)
    return worst, where


def verdict(worst, ours, theirs, limit):
    if not ours and not theirs:
        return "neither"
    if not ours:
        return "only libRoadRunner"
    if not theirs:
        return "only doppel"
    return "agree" if worst <= limit else "differ"


def one(args, server, path, file):
    if not file.exists():
        server.ask(path, file)
    theirs = json.loads(file.read_text(encoding="utf-8"))
    if args.reference:
        return None
    names, ours, trouble, spent, default_trouble = doppel_table(args, path)
    worst, where = 0.0, ""
    if names and "rows" in theirs:
        worst, where = compare(names, ours, theirs["names"], theirs["rows"])
    v = verdict(worst, bool(names), "rows" in theirs, args.limit)
    text = "%.2g: %s" % (worst, where) if v == "differ" else trouble or theirs.get("trouble", "")
    return {"model": path.stem, "verdict": v, "text": text, "ours_s": spent, "default": default_trouble,
            "theirs_s": theirs.get("load_s", 0) + theirs.get("simulate_s", 0) if "simulate_s" in theirs else None}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("doppel")
    p.add_argument("dir")
    p.add_argument("--end", type=float, default=100.0)
    p.add_argument("--steps", type=int, default=50)
    p.add_argument("--limit", type=float, default=1e-6)
    p.add_argument("--only", default="", help="models whose name has one of these texts in it (separated by commas)")
    p.add_argument("--cache", default="", help="folder for libRoadRunner's answers")
    p.add_argument("--reference", action="store_true", help="only fill the cache")
    p.add_argument("--default", action="store_true", help="Doppel with its default tolerances")
    p.add_argument("--timeout", type=float, default=60.0, help="seconds for one model on one side")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = p.parse_args()
    try:
        import roadrunner  # noqa: F401
    except ImportError:
        print("skipped: libRoadRunner is not installed (pip install libroadrunner antimony)")
        return 0
    if args.serve:
        return serve(args)
    import tempfile
    with tempfile.TemporaryDirectory() as scratch:
        return run_all(args, pathlib.Path(args.cache or scratch))


def run_all(args, cache):
    cache.mkdir(parents=True, exist_ok=True)
    server, count, default_fails = Server(args), {}, []
    ours_s = theirs_s = 0.0
    both = 0
    for path in sorted(pathlib.Path(args.dir).glob("*")):
        if path.suffix not in (".txt", ".ant", ".xml", ".sbml") or not any(t in path.name for t in args.only.split(",")):
            continue
        r = one(args, server, path, cache / (path.stem + ".json"))
        if not r:
            continue
        count[r["verdict"]] = count.get(r["verdict"], 0) + 1
        if r["default"]:
            default_fails.append(r["model"])
        elif r["theirs_s"] is not None:
            ours_s, theirs_s, both = ours_s + r["ours_s"], theirs_s + r["theirs_s"], both + 1
        if r["verdict"] != "agree":
            print(("| %s | %s | %s |" if args.markdown else "%s\t%s\t%s") % (r["model"], r["verdict"], r["text"]), flush=True)
        if r["default"] and r["verdict"] != "neither":
            print("%s\tdefault tolerances\t%s" % (r["model"], r["default"]), flush=True)
    server.end()
    if count:
        print(", ".join("%s: %d" % (k, n) for k, n in sorted(count.items())))
        print("not simulated with default tolerances: %d: %s" % (len(default_fails), " ".join(default_fails)))
        print("processor time of %d models: Doppel %.1f s, libRoadRunner %.1f s" % (both, ours_s, theirs_s))
    return 0


if __name__ == "__main__":
    sys.exit(main())
