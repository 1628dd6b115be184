#!/usr/bin/env python3
"""Is "a further sample would change the plan with probability P" true? For people of twins/vancomycin: readings that may come are
simulated here, by formulas and a posterior sampler of their own (Metropolis on the two-compartment solution for infusions); with each
of them added to the record the person is assimilated anew and a plan is searched anew (doppel plan); counted is how often it is
another one. The table of docs/whatif.md.

usage: check_next_sample.py DOPPEL KIND [ID:SAMPLE ...] [--results N] [--seed N] [--draws N]
       ID:SAMPLE   a person of the kind's record and which of the samples that doppel plan imagines, from 0 (default: A:1 A:4 B:0 B:2)
"""
import argparse
import csv
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

TYPICAL, Q = {"CL": 4.5, "Vc": 58.4, "Vp": 38.4}, 6.5  # Goti et al. 2018
VARIANCE = {"CL": 0.147, "Vc": 0.510, "Vp": 0.282}
ERROR = (3.4, 0.227)  # mg/L, share
NOW = 48.0


def concentration(person, infusions, time):
    """Two compartments, infusions (start, amount, rate) into the central one: sum of two exponentials."""
    k10, k12, k21 = person["CL"] / person["Vc"], Q / person["Vc"], Q / person["Vp"]
    s, root = k10 + k12 + k21, math.sqrt((k10 + k12 + k21) ** 2 - 4 * k10 * k21)
    total = 0.0
    for rate_of, other in (((s + root) / 2, (s - root) / 2), ((s - root) / 2, (s + root) / 2)):
        share = (k21 - rate_of) / (other - rate_of) / person["Vc"]
        for start, amount, rate in infusions:
            if time > start:
                length = amount / rate
                after = max(time - start - length, 0.0)
                total += share * rate / rate_of * (1 - math.exp(-rate_of * min(time - start, length))) * math.exp(-rate_of * after)
    return total


class Person:
    def __init__(self, rows):
        first = rows[0]
        self.rows = rows
        self.scale = {"CL": (float(first["CLCR"]) / 120) ** 0.8 * 0.7 ** float(first["DIAL"]),
                      "Vc": float(first["WT"]) / 70 * 0.5 ** float(first["DIAL"]), "Vp": 1.0}
        self.infusions = [(float(r["TIME"]), float(r["AMT"]), float(r["RATE"])) for r in rows if r["EVID"] == "1"]
        self.seen = [(float(r["TIME"]), float(r["DV"])) for r in rows if r["EVID"] == "0" and float(r["TIME"]) <= NOW]

    def parameters(self, eta):
        return {p: TYPICAL[p] * self.scale[p] * math.exp(e) for p, e in zip(TYPICAL, eta)}

    def log_posterior(self, eta):
        person = self.parameters(eta)
        value = -0.5 * sum(e * e / v for e, v in zip(eta, VARIANCE.values()))
        for time, measured in self.seen:
            f = concentration(person, self.infusions, time)
            sd = ERROR[0] + ERROR[1] * f
            value -= math.log(sd) + 0.5 * ((measured - f) / sd) ** 2
        return value

    def readings(self, time, n, rng, thin=60, burn=4000):
        """n readings that may come at a time, each from a draw of the posterior; what a measurement can't show (<= 0) included."""
        eta, out = [0.0, 0.0, 0.0], []
        now = self.log_posterior(eta)
        for i in range(burn + n * thin):
            step = [e + rng.gauss(0, 0.6 * math.sqrt(v)) for e, v in zip(eta, VARIANCE.values())]
            then = self.log_posterior(step)
            if math.log(rng.random() + 1e-300) < then - now:
                eta, now = step, then
            if i >= burn and (i - burn) % thin == thin - 1:
                f = concentration(self.parameters(eta), self.infusions, time)
                out.append(f + (ERROR[0] + ERROR[1] * f) * rng.gauss(0, 1))
        return out


def interval(k, n):
    """Wilson's 95 % interval of a share."""
    z, p = 1.959964, k / n
    mid, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (mid - half) / (1 + z * z / n), (mid + half) / (1 + z * z / n)


def plan(doppel, kind, patient, until, args):
    call = [doppel, "plan", pathlib.Path(kind).name, "--twins", str(pathlib.Path(kind).parent), "--patient", str(patient),
            "--until", repr(until), "--draws", str(args.draws), "--json"]
    done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(call)}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def chosen(answer):
    return answer["chosen"]["text"] if answer["chosen"] else "none"


def one(name, args, folder):
    who, which = name.split(":")
    with open(pathlib.Path(args.kind) / "patients" / "examples.csv", newline="") as f:
        rows = [r for r in csv.DictReader(f) if r["ID"] == who]
    person = Person(rows)
    answer = plan(args.doppel, args.kind, who, NOW, args)
    told = answer["next_sample"][int(which)]
    rng = random.Random(f"{args.seed} {name}")
    changed = 0
    for y in person.readings(told["time"], args.results, rng):
        file = folder / "person.csv"
        with open(file, "w", newline="") as f:
            out = csv.DictWriter(f, rows[0].keys())
            out.writeheader()
            out.writerows(rows)
            out.writerow({**rows[-1], "TIME": repr(told["time"]), "AMT": "", "RATE": "", "EVID": "0", "DV": f"{y:.6g}"})
        changed += chosen(plan(args.doppel, args.kind, file, told["time"], args)) != chosen(answer)
    low, high = interval(changed, args.results)
    stated = "not stated" if told["changes_advice"] is None else "{:.0f} % ({:.0f} .. {:.0f})".format(
        *(100 * x for x in [told["changes_advice"], *told["changes_advice_interval"]]))
    print(f"| {who} | {told['time']:g} h | {stated}, {told['results']} results, {told['effective_draws']:.0f} draws count | "
          f"{100 * changed / args.results:.0f} % ({100 * low:.0f} .. {100 * high:.0f}) of {args.results} |", flush=True)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("doppel")
    p.add_argument("kind")
    p.add_argument("case", nargs="*")
    p.add_argument("--results", type=int, default=120)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--draws", type=int, default=1000)
    args = p.parse_args()
    print("| person | sample at | stated | by refitting |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name in args.case or ["A:1", "A:4", "B:0", "B:2"]:
            one(name, args, pathlib.Path(folder))


if __name__ == "__main__":
    main()
