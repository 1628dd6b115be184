#!/usr/bin/env python3
"""A population's estimate with what it is worth (fit --check), and models that jump, tracked observation by observation (track), as a
user meets them. The probabilities are those of the exact filtering equations (binomial survivors, Poisson arrivals), by another program.

usage: cli_track.py DOPPEL SOURCE_DIR"""
import math
import pathlib
import subprocess
import sys
import tempfile

from checks import answered, check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
BIRTHS = "model births()\n compartment c = 1; species x in c = 20;\n b = 8; d = 0.4;\n up: -> x; b;\n down: x -> ; d*x;\nend\n"
TIMES, COUNTS = (0.5, 1, 1.5, 2, 3, 4, 6, 8), (19.1, 22.8, 17.2, 25.3, 30.1, 24.4, 21.0, 13.2)
EVIDENCE, EVIDENCE_B, MEAN_B, SD_B = -24.26510096942969, -25.298907246628886, 8.11729756387791, 1.4303352618741352


def run(*args, cwd=None):
    return subprocess.run([DOPPEL, *map(str, args)], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def answer(name, *args, code=0):
    return answered(name, run(*args, "--json"), code)


def checked_fit(tmp):
    table = pathlib.Path(tmp, "own.tsv")
    kind = SOURCE / "twins" / "theophylline"
    d = answer("fit --check", "fit", kind, "--method", "focei", "--check", "--individuals", table)["check"]
    check("fit --check: an estimate each", len(d["estimates"]) == 7 and all(e["se"] > 0 and e["sandwich"] > 0 for e in d["estimates"]), d["estimates"])
    # standard errors of a mean of 12 people: at least the spread between them over root 12
    check("fit --check: of the size of the spread", 0.9 < d["estimates"][1]["se"] / (2.7516 * math.sqrt(0.0691 / 12)) < 1.5, d["estimates"][1])
    check("fit --check: shrinkage", set(d["shrinkage"]) == {"eta_ka", "eta_CL", "eta_V"} and 0 < d["residual_shrinkage"] < 0.5, d["shrinkage"])
    check("fit --check: everybody", [p["person"] for p in d["people"]] == [str(i) for i in range(1, 13)], d["people"][:1])
    for p in d["people"]:
        for name, typical in (("ka", 1.590202536), ("CL", 2.751587462), ("V", 31.80864035)):
            check(f"fit --check: {name} of {p['person']} is typical times its effect",
                  abs(p["individual"][name] / (typical * math.exp(p["effects"][f"eta_{name}"])) - 1) < 1e-6, p)
        check("fit --check: a probability, and no alarm", 0.01 < p["p"] <= 1 and p["directions"] == 3 and not p["alarm"], p)
    rows = [x.split("\t") for x in table.read_text(encoding="utf-8").splitlines()]
    check("fit --individuals: columns", rows[0] == ["person", "ka", "CL", "V", "eta_ka", "eta_CL", "eta_V", "distance", "directions", "p"], rows[0])
    check("fit --individuals: the same numbers", all(abs(float(r[2]) - p["individual"]["CL"]) < 1e-8 for r, p in zip(rows[1:], d["people"])))
    text = run("fit", kind, "--method", "focei", "--check").stdout
    check("fit --check: in words", all(w in text for w in ("standard error", "shrinkage", "nobody is in conflict")), text)
    # one person's values times five: the law of the others does not expect that
    lines = (kind / "patients" / "theophylline.csv").read_text(encoding="utf-8").splitlines()
    head = next(x for x in lines if x.startswith("ID")).split(",")
    dv = head.index("DV")
    spoilt = []
    for x in lines:
        cells = x.split(",")
        if cells[0] == "7" and cells[dv] not in ("", ".", "0"):
            cells[dv] = str(5 * float(cells[dv]))
        spoilt.append(",".join(cells))
    path = pathlib.Path(tmp, "spoilt.csv")
    path.write_text("\n".join(spoilt) + "\n", encoding="utf-8")
    d = answer("fit --check, one person spoilt", "fit", kind, "--method", "focei", "--check", "--patients", path)["check"]
    low = min(d["people"], key=lambda p: p["p"])
    check("fit --check, one person spoilt: it is the one", low["person"] == "7" and low["alarm"], [(p["person"], p["p"]) for p in d["people"]])
    for args, word in ((["--individuals", table], "--check"), (["--check", "--leave-one-out"], "--leave-one-out")):
        r = run("fit", kind, *args)
        check(f"fit {args}: refused", r.returncode == 2 and word in r.stderr, r.stderr)
    r = run("fit", SOURCE / "examples" / "theophylline-one" / "theophylline-one.yaml", "--check")
    check("fit PROBLEM --check: refused", r.returncode == 2 and "KIND" in r.stderr, r.stderr)


def track(tmp):
    model, data = pathlib.Path(tmp, "births.ant"), pathlib.Path(tmp, "counts.csv")
    model.write_text(BIRTHS, encoding="utf-8")
    data.write_text("ID,TIME,DV\n" + "".join(f"1,{t},{y}\n" for t, y in zip(TIMES, COUNTS)), encoding="utf-8")
    args = ["track", model, "--data", data, "--sensor", "x,scale=2"]
    for name in ("bootstrap", "auxiliary", "enkf", "esrf"):
        d = answer(f"track {name}", *args, "--filter", name)
        check(f"track {name}: the method is said", d.get("method") == name)
        # one run of 1000 particles; its logarithm has a deviation of about 0.2 (30 runs)
        check(f"track {name}: probability of the readings", abs(d["ln_evidence"] - EVIDENCE) < 1, d["ln_evidence"])
        check(f"track {name}: a row each", [r["value"] for r in d["rows"]] == list(COUNTS))
        check(f"track {name}: forecasts and states", all(r["forecast"]["q5"] < r["forecast"]["q95"] and r["states"]["x"]["sd"] > 0 for r in d["rows"]))
    same = [run(*args, "--json", "--threads", n).stdout for n in ("1", "2")]
    check("track: same bytes on 1 and 2 threads", same[0] == same[1] and len(same[0]) > 1000)
    check("track: the seed matters", run(*args, "--json", "--seed", "2").stdout != same[0])
    d = answer("track --vary", *args, "--vary", "b=lognormal(8,0.5)", "--members", "150", "--inner", "60")
    b = d["rows"][-1]["parameters"]["b"]
    check("track --vary: by smc2", d["method"] == "smc2" and abs(d["ln_evidence"] - EVIDENCE_B) < 1, d["ln_evidence"])
    check("track --vary: the rate of births", abs(b["mean"] - MEAN_B) < 0.7 and 0.6 < b["sd"] / SD_B < 1.5, b)
    d = answer("track --until", *args, "--until", "3")
    check("track --until: later ones are only forecast", [r["read"] for r in d["rows"]] == [t <= 3 for t in TIMES] and d["read"] == 5)
    text = run(*args).stdout
    check("track: text", "may be used" in text and "8 observations by bootstrap, 1000 particles" in text, text)
    for more in (["--method", "langevin", "--begin", "x=normal(20,3)"], ["--method", "auto", "--noise", "x=4"]):
        d = answer(f"track {more}", *args, "--members", "300", *more)
        check(f"track {more}: a state", 10 < d["rows"][-1]["states"]["x"]["mean"] < 20, d["rows"][-1]["states"])
    two = pathlib.Path(tmp, "two.csv")
    two.write_text("ID,TIME,DV,DVID,CENS\n1,1,20,count,0\n1,1,44,twice,0\n1,2,15,count,1\n", encoding="utf-8")
    d = answer("track, two sensors", "track", model, "--data", two, "--sensor", "x,scale=2,as=count", "--sensor", "2*x,scale=3,law=student,as=twice")
    check("track, two sensors: each its own, one censored", [r["sensor"] for r in d["rows"]] == ["count", "twice", "count"]
          and d["rows"][2]["censored"] == 1 and d["rows"][2]["pit"] is None and d["rows"][2]["log_density"] < 0, d["rows"])


def late_and_drifting():
    kind = SOURCE / "twins" / "theophylline"
    d = answer("assimilate, a sensor that drifts and a late reading", "assimilate", kind, "--patient", "1", "--method", "esrf", "--sensor",
               "c,drift=0.1", "--late", "3", "--particles", "200")
    last = d.get("observations", d.get("rows", [{}]))[-1]
    check("assimilate: the late one is read, not forecast", last.get("observation") == 3 and last.get("read") is True
          and last.get("forecast", {}).get("q50", 0) is None and last.get("pit", 0) is None, last)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        checked_fit(tmp)
        track(tmp)
        late_and_drifting()
    return finish()


if __name__ == "__main__":
    sys.exit(main())
