#!/usr/bin/env python3
"""All benchmarks, each several times, as one table and as BUILD/bench.json.

usage: bench_all.py BUILD [--repeats N] [--runs N] [--only WORD ...]

--repeats  how often each bench_* program is run (5)
--runs     how often each kind's `doppel run` is timed (3)
--only     solve, simulate, infer, decide, load, ensemble, run

A ratio stands beside the peer or the plain method that was timed in the same process run (above 1: slower than it); its median
is that of the ratios, not the ratio of the medians. "others" is the processor time that went to other processes while we
measured: near zero on a quiet machine."""
import argparse
import datetime
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent
RUNS = ("theophylline", "warfarin")


class Row:
    """One line of the table: a value a repeat, and its ratio to a peer where there is one."""

    def __init__(self, group, name, unit, peer):
        self.group, self.name, self.unit, self.peer = group, name, unit, peer
        self.values, self.ratios = [], []

    def summary(self):
        out = {"group": self.group, "name": self.name, "unit": self.unit, "repeats": len(self.values),
               "median": statistics.median(self.values), "min": min(self.values), "max": max(self.values)}
        if self.ratios:
            out.update(peer=self.peer, ratio=statistics.median(self.ratios), ratio_min=min(self.ratios),
                       ratio_max=max(self.ratios))
        return out


class Table:
    def __init__(self):
        self.rows = {}

    def add(self, group, name, unit, value, peer=None, ratio=None):
        row = self.rows.setdefault((group, name), Row(group, name, unit, peer))
        row.values.append(value)
        if ratio is not None:
            row.ratios.append(ratio)


def output(command):
    return subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, text=True).stdout


def solve(build, table):
    """Peers: the exact linear solver for the oral model, CVODES with hand-written C for warfarin."""
    for line in json.loads(output([build / "bench_solve", "--json"]))["lines"]:
        name = line["name"]
        peer = "linear" if name.startswith("oral") else "CVODES by hand in C"
        table.add("solve", name, "us", line["us"], peer, None if peer in name else line["ratio"])


def simulate(build, table):
    """A member alone is the plain way; a batch's ratio is its cost a member beside that."""
    alone = {}
    for line in output([build / "bench_simulate"]).splitlines()[1:]:
        m = re.match(r"(.+?) +(\d+) +(\d+) +(\d+) +(\d+) +([\d.]+)$", line)
        if not m:
            raise ValueError(f"bench_simulate: not understood: {line}")
        name, member, direction, value = m[1].strip(), int(m[2]), int(m[3]), float(m[5]) / 1000
        if member == 1:
            alone[name, direction] = value
        table.add("simulate", f"{name}, {member} members, {direction} directions", "us/member", value,
                  "one member alone", value / alone[name, direction] if member > 1 else None)


def infer(build, table):
    for line in output([build / "bench_infer", "twins/theophylline"]).splitlines():
        m = re.match(r"(.+?) {2,}([\d.eE+-]+) (\S.*)$", line)
        if not m:
            raise ValueError(f"bench_infer: not understood: {line}")
        table.add("infer", m[1].strip(), m[3], float(m[2]))


def decide(build, table):
    for line in output([build / "bench_decide", "twins/vancomycin"]).splitlines():
        m = re.match(r"(.+?) {2,}([\d.eE+-]+) (\S.*)$", line)
        if not m:
            raise ValueError(f"bench_decide: not understood: {line}")
        table.add("decide", m[1].strip(), m[3], float(m[2]))


def published(build):
    """The folder of the published PEtab problems, unpacked once into the build folder; None when there is none."""
    archive, place = SOURCE.parent / "shared/suites/petab-benchmark.tar.xz", build / "suites/petab-benchmark"
    if not place.exists():
        if not archive.exists():
            return None
        place.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as part:
            subprocess.run(["tar", "-xJf", archive, "-C", part], check=True)
            os.mkdir(f"{part}/whole")
            for name in os.listdir(part):
                if name != "whole":
                    os.rename(f"{part}/{name}", f"{part}/whole/{name}")
            os.rename(f"{part}/whole", place)
    inner = list(place.iterdir())
    return inner[0] if len(inner) == 1 else place


def load(build, table):
    """Text to first step. Growth is the power of the model's size by which time rises: 1 is in proportion."""
    folder = published(build)
    for line in json.loads(output([build / "bench_load", "--json"] + ([folder] if folder else [])))["lines"]:
        table.add("load", line["name"], line["unit"], line["value"])


def ensemble(build, table):
    """Ensembles of small models beside CVODE with compiled derivatives; 10^6 members with bands by the command line."""
    folder = published(build)
    command = [build / "bench_ensemble", "--json", "--million", "--cache", build / "bench_cache"]
    module = build / "bench_cvode.so"
    for line in json.loads(output(command + (["--petab", folder] if folder else []) +
                                  (["--peer-module", module] if module.exists() else [])))["rows"]:
        name, n = line["name"], line.get("members", 0)
        if "skipped" in line:
            continue
        if "peer" not in line:
            table.add("ensemble", name, "s", line["seconds"])
            continue
        cvode = line["peer"] == "cvode"
        table.add("ensemble", name, "us/member", line["us_per_member"],
                  f"SUNDIALS {line['peer_version']} CVODE" if cvode else "one thread", line["seconds"] / line["peer_seconds"])
        if not cvode:
            continue
        table.add("ensemble", f"{name}, largest error, rtol {line['rtol']:.2g}", "weighted", line["error"],
                  "CVODE at 1e-6", line["error"] / line["peer_error"])
        table.add("ensemble", f"{name}, CVODE", "us/member", line["peer_us_per_member"])
        if "other_seconds" in line:
            table.add("ensemble", f"{name}, CVODE {line['other_cvode']}", "us/member", line["other_seconds"] / n * 1e6)
        table.add("ensemble", f"{name}, text to {n} members, cold", "ms", line["cold_seconds"] * 1e3)
        table.add("ensemble", f"{name}, text to {n} members, code in cache", "ms", line["cached_seconds"] * 1e3)


def seconds(command):
    begin = time.monotonic()
    output(command)
    return time.monotonic() - begin


def run_kind(build, table, kind):
    """The whole loop for everybody of a kind, report included, on all processors; the plain way is one thread."""
    command = [build / "doppel", "run", kind, "-o", build / f"bench_{kind}.html"]
    cpus = os.cpu_count()
    many = seconds(command + ["--threads", str(cpus)])
    one = seconds(command + ["--threads", "1"])
    table.add("run", f"doppel run {kind}, 1 thread", "s", one)
    table.add("run", f"doppel run {kind}, {cpus} threads", "s", many, "one thread", many / one)


def processor_seconds():
    """(all busy processor time of the machine, ours and our finished children's) in seconds"""
    with open("/proc/stat", encoding="ascii") as f:
        user, nice, system, _idle, _wait, irq, softirq, steal = map(int, f.readline().split()[1:9])
    busy = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    ours = sum(u.ru_utime + u.ru_stime for u in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))
    return busy, ours


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = next((x.split(":", 1)[1].strip() for x in f if x.startswith("model name")), "unknown processor")
    return {"processor": model, "processors": os.cpu_count(), "system": os.uname().sysname + " " + os.uname().release}


def print_table(result):
    m = result["machine"]
    print(f"{m['processors']} x {m['processor']}, {m['system']}; {result['date']}; doppel {result['version']}")
    print(f"others: {100 * result['others']:.0f} % of the machine's processor time while measuring\n")
    print(f"{'':53}{'median':>10} {'min':>10} {'max':>10}  {'unit':<11} {'n':>2}  ratio (min to max), peer")
    group = None
    for row in result["rows"]:
        if row["group"] != group:
            group = row["group"]
            print(group)
        ratio = f"{row['ratio']:.3g} ({row['ratio_min']:.3g} to {row['ratio_max']:.3g}), {row['peer']}" if "peer" in row else ""
        print(f"  {row['name']:<51}{row['median']:>10.4g} {row['min']:>10.4g} {row['max']:>10.4g}  {row['unit']:<11} "
              f"{row['repeats']:>2}  {ratio}".rstrip())
    for line in result["skipped"]:
        print(f"skipped: {line}")


def main():
    parser = argparse.ArgumentParser(prog="bench_all.py")
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=("solve", "simulate", "infer", "decide", "load", "ensemble", "run"))
    args = parser.parse_args()
    build = args.build.resolve()
    wanted = args.only or ["solve", "simulate", "infer", "decide", "load", "ensemble", "run"]
    table, skipped = Table(), []
    busy, ours = processor_seconds()
    begin = time.monotonic()
    for word, measure in (("solve", solve), ("simulate", simulate), ("infer", infer), ("decide", decide), ("load", load),
                          ("ensemble", ensemble)):
        if word not in wanted:
            continue
        if not (build / f"bench_{word}").exists():
            skipped.append(f"bench_{word} is not built")
            continue
        if word in ("load", "ensemble") and published(build) is None:
            skipped.append(f"published models in bench_{word}: ../shared not there")
        for n in range(args.repeats if word != "ensemble" else 1):  # repeats by itself
            print(f"bench_{word} {n + 1}/{args.repeats}", file=sys.stderr)
            measure(build, table)
    for kind in RUNS if "run" in wanted else ():
        if not (SOURCE / "twins" / kind / "priors.tsv").exists():
            skipped.append(f"doppel run {kind}: no stored priors (make priors), most of the time would be fitting them")
            continue
        for n in range(args.runs):
            print(f"doppel run {kind} {n + 1}/{args.runs}", file=sys.stderr)
            run_kind(build, table, kind)
    busy_after, ours_after = processor_seconds()
    span = (time.monotonic() - begin) * os.cpu_count()
    others = max(0.0, (busy_after - busy - (ours_after - ours)) / span)
    version = output([build / "doppel", "--version"]).strip().removeprefix("doppel ")
    result = {"machine": machine(), "date": datetime.date.today().isoformat(), "version": version,
              "others": round(others, 3), "rows": [r.summary() for r in table.rows.values()], "skipped": skipped}
    (build / "bench.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print_table(result)
    print(f"\nthe same as data: {args.build}/bench.json")


if __name__ == "__main__":
    main()
