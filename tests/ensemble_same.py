#!/usr/bin/env python3
"""One ensemble, the same bytes however it is run: members side by side (1, 2, 4, 8), machine code or interpreter, threads.

    ensemble_same.py DOPPEL BUILD SHARED_SUITES [--whole] [--seconds N]

Models: BioModels as Antimony, spread evenly, and the cases of the SBML test suite that have events. All parameters vary. A model
that takes longer than the limit in its first way is left out, and counted.
"""
import concurrent.futures
import os
import re
import subprocess
import sys
import tarfile
import tempfile

WAYS = [["--lanes", "8", "--threads", "1"], ["--lanes", "1", "--threads", "1"], ["--lanes", "2", "--threads", "2"],
        ["--lanes", "4", "--threads", "1", "--interpret"], ["--lanes", "8", "--threads", "2", "--interpret"]]
END = {"biomodels": "20", "sbml": "5"}


def unpack(archive, build):
    """Once, as tools/run_suite.sh does."""
    place = os.path.join(build, "suites", os.path.basename(archive).replace(".tar.xz", ""))
    if not os.path.isdir(place):
        os.makedirs(os.path.dirname(place), exist_ok=True)
        part = tempfile.mkdtemp(prefix="part.", dir=os.path.dirname(place))
        with tarfile.open(archive) as tar:
            tar.extractall(part)
        try:
            os.rename(part, place)
        except OSError:  # somebody else was quicker
            subprocess.run(["rm", "-rf", part], check=True)
    return place


def biomodels(place, every):
    found = sorted(os.path.join(d, f) for d, _, files in os.walk(place) for f in files if f.startswith("BIOMD"))
    return found[::every]


def with_events(place, every):
    found = []
    for folder, _, files in sorted(os.walk(place)):
        levels = sorted(f for f in files if re.fullmatch(r"\d+-sbml-l\dv\d\.xml", f))
        if levels:
            path = os.path.join(folder, levels[-1])
            with open(path, encoding="utf-8", errors="replace") as f:
                if "<listOfEvents" in f.read():
                    found.append(path)
    return found[::every]


def run(doppel, path, kind, way, cache, limit, vary=("--vary", "all=factor(1.2)")):
    command = [doppel, "simulate", path, "--end", END[kind], "--steps", "5", "--members", "20", "--all", "--cache", cache,
               *vary, *way]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit, check=False)
    trouble = done.stderr.decode(errors="replace")
    if "has no parameter with a value other than 0" in trouble and vary:
        return run(doppel, path, kind, way, cache, limit, ())
    return done.returncode, done.stdout, trouble


def compare(job):
    doppel, path, kind, cache, limit = job
    first = None
    for way in WAYS:
        try:
            got = run(doppel, path, kind, way, cache, limit if first is None else 20 * limit)
        except subprocess.TimeoutExpired:
            return ("slow" if first is None else "differs"), f"{path}: {' '.join(way)}: more than {limit} s"
        if got[0] < 0 or got[0] > 9:
            return "differs", f"{path}: {' '.join(way)}: ended with {got[0]}: {got[2][:300]}"
        if first is None:
            first = got
        elif got != first:
            return "differs", f"{path}: {' '.join(WAYS[0])} against {' '.join(way)}: codes {first[0]}, {got[0]}; " \
                f"{sum(a != b for a, b in zip(first[1].splitlines(), got[1].splitlines()))} lines differ"
    return ("same" if first[0] == 0 else "failed alike"), f"{path}: {first[2].strip().splitlines()[0] if first[2] else ''}"


def main():
    doppel, build, shared = os.path.abspath(sys.argv[1]), sys.argv[2], sys.argv[3]
    whole = "--whole" in sys.argv
    limit = float(sys.argv[sys.argv.index("--seconds") + 1]) if "--seconds" in sys.argv else 20
    if not os.path.isfile(os.path.join(shared, "antimony-biomodels.tar.xz")):
        print("skipped: ../shared not there")
        return 0
    jobs = []
    with tempfile.TemporaryDirectory() as cache:
        for p in biomodels(unpack(os.path.join(shared, "antimony-biomodels.tar.xz"), build), 13 if whole else 79):
            jobs.append((doppel, p, "biomodels", cache, limit))
        for p in with_events(unpack(os.path.join(shared, "sbml-semantic.tar.xz"), build), 1 if whole else 20):
            jobs.append((doppel, p, "sbml", cache, limit))
        count = {}
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for verdict, text in pool.map(compare, jobs):
                count[verdict] = count.get(verdict, 0) + 1
                if verdict != "same":
                    print(f"{verdict}: {text}")
                sys.stdout.flush()
    print(f"{len(jobs)} models, {len(WAYS)} ways each: " + ", ".join(f"{n} {v}" for v, n in sorted(count.items())))
    return 1 if count.get("differs") or not count.get("same") else 0


if __name__ == "__main__":
    sys.exit(main())
