#!/usr/bin/env python3
"""Simulated people for twins/warfarin_genotype, by a model and an integrator of its own (Runge-Kutta, no engine).

    tools/genotype.py people    writes twins/warfarin_genotype/patients/simulated.csv (8 people, seed 8)

People differ from the equation's dose by what the equation leaves unexplained (population.tsv).
"""
import math
import pathlib
import random
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
KIND = ROOT / "twins" / "warfarin_genotype"
VKORC1 = {"G/G": 0.0, "A/G": -0.8677, "A/A": -1.6974, "unknown": -0.4854}
CYP2C9 = {"*1/*1": 0.0, "*1/*2": -0.5211, "*1/*3": -0.9357, "*2/*2": -1.0616, "*2/*3": -1.9206, "*3/*3": -2.3312,
          "unknown": -0.2188}
RACE = {"white": 0.0, "asian": -0.1092, "black": -0.2760, "unknown": -0.1032}
KTR, KA, V, EC50, KOUT, E0 = (math.exp(x) for x in (0.106, -0.087, 2.07, 0.00724, -2.9, 4.57))
EMAX, LEVEL = 1 / (1 + math.exp(-3.4)), 0.3
EFFORT = (1 - LEVEL) / (EMAX - (1 - LEVEL))
OMEGA = {"CL": 0.0304, "V": 0.047, "EC50": 0.0770, "kout": 0.0082, "E0": 0.0028}
ERROR = {"cp_prop": 0.15, "cp_add": 0.144, "pca_add": 3.91}


def roots(p):
    """Root of the weekly dose with VKORC1 G/G, and with the person's own."""
    body = (5.6044 - 0.2614 * min(p["age"] // 10, 9) + 0.0087 * p["height"] + 0.0128 * p["weight"] + CYP2C9[p["CYP2C9"]]
            + RACE[p["race"]] + 1.1816 * (p["inducer"] == "yes") - 0.5503 * (p["amiodarone"] == "yes"))
    return body, body + VKORC1[p["VKORC1"]]


def choose(rng, table):
    return rng.choices(list(table), weights=list(table.values()))[0]


def covariates(rng):
    """Genotype frequencies: round numbers of a mixed population, no source."""
    while True:
        p = {"age": rng.randint(25, 89), "height": round(rng.gauss(170, 9)), "weight": round(rng.gauss(77, 15)),
             "race": choose(rng, {"white": 0.55, "asian": 0.25, "black": 0.12, "unknown": 0.08}),
             "VKORC1": choose(rng, {"G/G": 0.32, "A/G": 0.38, "A/A": 0.24, "unknown": 0.06}),
             "CYP2C9": choose(rng, {"*1/*1": 0.66, "*1/*2": 0.14, "*1/*3": 0.10, "*2/*2": 0.02, "*2/*3": 0.015,
                                    "*3/*3": 0.005, "unknown": 0.06}),
             "inducer": choose(rng, {"no": 0.96, "yes": 0.04}), "amiodarone": choose(rng, {"no": 0.95, "yes": 0.05})}
        if p["weight"] >= 40 and roots(p)[1] > 1:
            return p


def truth(rng, p):
    body, whole = roots(p)
    draw = {k: math.exp(rng.gauss(0, math.sqrt(v))) for k, v in OMEGA.items()}
    t = {"CL": body ** 2 / (168 * EC50 * EFFORT) * draw["CL"], "V": V * draw["V"],
         "EC50": EC50 * (whole / body) ** 2 * draw["EC50"], "kout": KOUT * draw["kout"], "E0": E0 * draw["E0"]}
    t["week"] = 168 * t["CL"] * t["EC50"] * EFFORT
    return t


class Body:
    """One person's drug and clotting, from time 0 on."""

    def __init__(self, t):
        self.t, self.x, self.now = t, [0.0, 0.0, 0.0, t["E0"]], 0.0

    def rates(self, x):
        t, c = self.t, x[2] / self.t["V"]
        return [-KTR * x[0], KTR * x[0] - KA * x[1], KA * x[1] - t["CL"] / t["V"] * x[2],
                t["E0"] * t["kout"] * (1 - EMAX * c / (t["EC50"] + c)) - t["kout"] * x[3]]

    def to(self, time, h=0.1):
        n = max(1, math.ceil((time - self.now) / h - 1e-9))
        h = (time - self.now) / n
        for _ in range(n if time > self.now else 0):
            x = self.x
            a = self.rates(x)
            b = self.rates([u + h / 2 * v for u, v in zip(x, a)])
            c = self.rates([u + h / 2 * v for u, v in zip(x, b)])
            d = self.rates([u + h * v for u, v in zip(x, c)])
            self.x = [u + h / 6 * (p + 2 * q + 2 * r + s) for u, p, q, r, s in zip(x, a, b, c, d)]
        self.now = time

    def dose(self, mg):
        self.x[0] += mg

    def measure(self, rng, what):
        c = self.x[2] / self.t["V"]
        if what == "pca":
            return round(self.x[3] + rng.gauss(0, ERROR["pca_add"]), 1)
        return round(max(0.0, c + rng.gauss(0, math.sqrt(ERROR["cp_add"] ** 2 + (ERROR["cp_prop"] * c) ** 2))), 2)


HEAD = ["ID", "TIME", "AMT", "DV", "DVID", "EVID", "age", "height", "weight", "race", "CYP2C9", "VKORC1", "inducer",
        "amiodarone"]


def row(who, p, time, amount=None, what="", value=""):
    """A dose (amount given) or a measurement."""
    cells = [who, time, amount if amount is not None else "", value, what, 1 if amount is not None else 0]
    return ",".join(str(c) for c in cells + [p[k] for k in HEAD[6:]])


def half(mg):
    """To the next half milligram, and something."""
    return min(40.0, max(0.5, round(2 * mg) / 2))


VISITS = {0: ["pca"], 2: ["pca"], 3: ["pca"], 5: ["pca", "cp"], 7: ["pca"], 10: ["pca"], 14: ["pca", "cp"], 21: ["pca"]}


def people():
    """Everybody has the genetic equation's dose each day."""
    rng = random.Random(8)
    lines = [",".join(HEAD)]
    for i in range(8):
        p = covariates(rng)
        if i == 0:
            p.update(age=60, height=170, weight=75, race="white", CYP2C9="*1/*1", VKORC1="A/G", inducer="no",
                     amiodarone="no")
        if i == 1:
            p.update(CYP2C9="unknown", VKORC1="unknown")
        t = truth(rng, p)
        body, mg = Body(t), half(roots(p)[1] ** 2 / 7)
        for day in range(22):
            body.to(24 * day)
            for what in VISITS.get(day, []):
                lines.append(row(f"s{i + 1}", p, 24 * day, what=what, value=body.measure(rng, what)))
            if day < 21:
                lines.append(row(f"s{i + 1}", p, 24 * day, amount=mg))
                body.dose(mg)
        print(f"s{i + 1}: truth {t['week']:.1f} mg a week, equation {roots(p)[1] ** 2:.1f}")
    (KIND / "patients" / "simulated.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")


def main():
    if sys.argv[1:] != ["people"]:
        sys.exit(__doc__)
    people()


if __name__ == "__main__":
    main()
