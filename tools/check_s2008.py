#!/usr/bin/env python3
"""Reference values of twins/s2008: the model written once more from the publication, integrated by SciPy at 1e-10.

    tools/check_s2008.py FOLDER     FOLDER: vpatient_params.csv and Quest.csv; needs numpy and scipy

Prints the table of golden values in src/kind/tests/test_s2008.c: for each of the 30 virtual people blood glucose and
sensor glucose (mg/dL) after a day's meals: 45 g at 7:00, 70 g at 12:15, 20 g at 13:00, 80 g at 18:30 (children half of it),
eaten at 5 g/min, boluses by the person's ratio at the same times, basal insulin at steady state. It also says how far the
published initial state moves in a day without meals. D, the size that the stomach goes by, is its content when the
meal began plus the food eaten since, all in mg (versions of the open re-implementation up to 0.2.1 added grams to mg there).
"""
import csv
import os
import sys
from math import tanh

import numpy as np
from scipy.integrate import solve_ivp

MEALS = [(420.0, 45000.0), (735.0, 70000.0), (780.0, 20000.0), (1110.0, 80000.0)]
TIMES = [480.0, 840.0, 1200.0, 1440.0]
EATING = 5000.0


def people(folder):
    with open(os.path.join(folder, "Quest.csv"), newline="") as f:
        ratio = {row["Name"]: float(row["CR"]) for row in csv.DictReader(f)}
    with open(os.path.join(folder, "vpatient_params.csv"), newline="") as f:
        for row in csv.DictReader(f):
            p = {k.replace(" ", ""): float(v) for k, v in row.items() if k != "Name"}
            yield row["Name"], p, ratio[row["Name"]]


def emptying(p, q, d_size):
    if not d_size > 0:
        return p["kmax"]
    up, down = 5 / (2 * d_size * (1 - p["b"])), 5 / (2 * d_size * p["d"])
    return p["kmin"] + (p["kmax"] - p["kmin"]) / 2 * (
        tanh(up * (q - p["b"] * d_size)) - tanh(down * (q - p["d"] * d_size)) + 2)


def rates(x, p, food, insulin, d_size):
    sto1, sto2, gut, gp, gt, ip, act, i1, i2, il, s1, s2, gs = x
    kgut, conc = emptying(p, sto1 + sto2, d_size), ip / p["Vi"]
    ra = p["f"] * p["kabs"] * gut / p["BW"]
    egp = max(p["kp1"] - p["kp2"] * gp - p["kp3"] * i2, 0)
    kidney = p["ke1"] * max(gp - p["ke2"], 0)
    return [
        food - p["kmax"] * sto1, p["kmax"] * sto1 - kgut * sto2, kgut * sto2 - p["kabs"] * gut,
        egp + ra - p["Fsnc"] - kidney - p["k1"] * gp + p["k2"] * gt,
        -(p["Vm0"] + p["Vmx"] * act) * gt / (p["Km0"] + gt) + p["k1"] * gp - p["k2"] * gt,
        -(p["m2"] + p["m4"]) * ip + p["m1"] * il + p["ka1"] * s1 + p["ka2"] * s2,
        p["p2u"] * (conc - p["Ib"] - act), p["ki"] * (conc - i1), p["ki"] * (i1 - i2),
        -(p["m1"] + p["m30"]) * il + p["m2"] * ip,
        insulin - (p["ka1"] + p["kd"]) * s1, p["kd"] * s1 - p["ka2"] * s2, p["ksc"] * (gp - gs)]


def day(p, ratio, meals):
    """State at TIMES."""
    x = np.array([p[f"x0_{k}"] for k in range(1, 14)])
    cuts = sorted({0.0, *TIMES, *[t for t, _ in meals], *[t + m / EATING for t, m in meals]})
    began, content, size, out = None, 0.0, 0.0, []
    for a, b in zip(cuts, cuts[1:] + [None]):
        for t, m in meals:
            if t == a:
                began, content, size = t, x[0] + x[1], m
                x[10] += m / 1000 / ratio * 6000 / p["BW"]
        if a in TIMES:
            out.append(x.copy())
        if b is None:
            return np.array(out)
        eating = began is not None and a < began + size / EATING - 1e-9

        def law(t, y):
            eaten = content + min(EATING * (t - began), size) if began is not None else 0.0
            return rates(y, p, EATING if eating else 0.0, p["u2ss"], eaten)

        x = solve_ivp(law, (a, b), x, method="LSODA", rtol=1e-10, atol=1e-11, max_step=5).y[:, -1].copy()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    drift = 0
    for name, p, ratio in people(sys.argv[1]):
        share = 0.5 if name.startswith("child") else 1.0
        x = day(p, ratio, [(t, m * share) for t, m in MEALS])
        numbers = [f"{v:.6f}" for v in list(x[:, 3] / p["Vg"]) + list(x[:, 12] / p["Vg"])]
        print(f'    {{"{name}", {{{", ".join(numbers)}}}}},')
        rest = day(p, ratio, [])
        drift = max(drift, np.abs(rest[-1] - rest[0]).max(), np.abs(rest[-1] - [p[f"x0_{k}"] for k in range(1, 14)]).max())
    print(f"a day without meals moves no state by more than {drift:.1e}", file=sys.stderr)


if __name__ == "__main__":
    main()
