#!/usr/bin/env python3
"""The calibration commands as a user meets them: petab eval, fit, profile, sample, sensitivity on the example and on made-up
problems whose answers are known in closed form; bad input, help, resuming, interruption, equal bytes.

usage: cli_calibration.py DOPPEL SOURCE_DIR"""
import json
import math
import pathlib
import signal
import statistics
import subprocess
import sys
import tempfile
import time

from checks import answered, check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
EXAMPLE = str(SOURCE / "examples" / "theophylline-one" / "theophylline-one.yaml")


def run(*args, cwd=None, stdout=subprocess.PIPE):
    return subprocess.run([DOPPEL, *args], cwd=cwd, stdout=stdout, stderr=subprocess.PIPE, text=True, timeout=300, check=False)


def near(name, got, wanted, tolerance):
    check(name, got is not None and abs(got - wanted) <= tolerance, f"{got}, expected {wanted} +- {tolerance}")


def answer(name, *args, code=0):
    return answered(name, run(*args, "--json"), code)


def refused(name, code, wanted, *args, **more):
    r = run(*args, **more)
    check(f"{name}: exit {code}", r.returncode == code, f"exit {r.returncode}: {r.stderr}")
    for w in wanted:
        check(f"{name}: says {w}", w in r.stderr, r.stderr)
    check(f"{name}: no data on stdout", not r.stdout, (r.stdout or "")[:200])


# ---- made-up problems ----

def table(path, columns, rows):
    path.write_text("\n".join("\t".join(map(str, r)) for r in [columns, *rows]) + "\n", encoding="utf-8")


def decay(folder, name="decay", times=(1, 2, 3, 4), values=(0.62, 0.35, 0.24, 0.13), parameters=None, formula="x", noise="0.05",
          header="format_version: 1"):
    """x' = -k x, x(0) = a: measurements of x with normal noise"""
    folder = pathlib.Path(folder)
    math_ml = 'xmlns="http://www.w3.org/1998/Math/MathML"'
    (folder / "model.xml").write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n<sbml xmlns="http://www.sbml.org/sbml/level3/version2/core" level="3" version="2">'
        '<model id="decay"><listOfParameters><parameter id="x" value="1" constant="false"/><parameter id="a" value="1" constant="true"/>'
        '<parameter id="b" value="1" constant="true"/><parameter id="k" value="0.5" constant="true"/></listOfParameters>'
        f'<listOfInitialAssignments><initialAssignment symbol="x"><math {math_ml}><apply><times/><ci> a </ci><ci> b </ci></apply>'
        '</math></initialAssignment></listOfInitialAssignments><listOfRules><rateRule variable="x">'
        f'<math {math_ml}><apply><times/><apply><minus/><ci> k </ci></apply><ci> x </ci></apply></math></rateRule></listOfRules>'
        '</model></sbml>\n', encoding="utf-8")
    table(folder / "conditions.tsv", ["conditionId"], [["c"]])
    table(folder / "observables.tsv", ["observableId", "observableFormula", "noiseFormula"], [["y", formula, noise]])
    table(folder / "measurements.tsv", ["observableId", "simulationConditionId", "time", "measurement"],
          [["y", "c", t, v] for t, v in zip(times, values)])
    table(folder / "parameters.tsv", ["parameterId", "parameterScale", "lowerBound", "upperBound", "nominalValue", "estimate"],
          parameters or [["k", "lin", 0.01, 3, 0.5, 1], ["a", "lin", 0.1, 10, 1, 1]])
    path = folder / f"{name}.yaml"
    path.write_text(f"{header}\nparameter_file: parameters.tsv\nproblems:\n- sbml_files: [model.xml]\n"
                    "  condition_files: [conditions.tsv]\n  observable_files: [observables.tsv]\n"
                    "  measurement_files: [measurements.tsv]\n", encoding="utf-8")
    return str(path)


def decay_llh(k, a, times=(1, 2, 3, 4), values=(0.62, 0.35, 0.24, 0.13), sd=0.05):
    return sum(-0.5 * ((v - a * math.exp(-k * t)) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)
               for t, v in zip(times, values))


# ---- petab eval ----

def evaluate():
    with tempfile.TemporaryDirectory() as tmp:
        problem = decay(tmp)
        d = answer("eval", "petab", "eval", problem, "--gradient")
        for key in ("problem", "llh", "chi2", "log_prior", "parameters", "gradient", "observables", "measurements"):
            check(f"eval: JSON has {key}", key in d, str(d)[:300])
        near("eval: llh in closed form", d.get("llh"), decay_llh(0.5, 1), 1e-6)
        near("eval: chi2 in closed form", d.get("chi2"),
             sum(((v - math.exp(-0.5 * t)) / 0.05) ** 2 for t, v in zip((1, 2, 3, 4), (0.62, 0.35, 0.24, 0.13))), 1e-5)
        step = 1e-5
        for name, low, high in (("k", (0.5 - step, 1), (0.5 + step, 1)), ("a", (0.5, 1 - step), (0.5, 1 + step))):
            near(f"eval: gradient by {name}", d.get("gradient", {}).get(name), (decay_llh(*high) - decay_llh(*low)) / (2 * step), 1e-4)
        # y = a exp(-k t), noise 0.05: the information is that of the slopes
        jac = [(-t * math.exp(-0.5 * t) / 0.05, math.exp(-0.5 * t) / 0.05) for t in (1, 2, 3, 4)]
        fisher = answer("eval --fisher", "petab", "eval", problem, "--fisher").get("fisher", {})
        for i, p in enumerate("ka"):
            for j in (0, 1):
                near(f"eval --fisher: {p}, {'ka'[j]}", fisher.get(p, [None, None])[j], sum(r[i] * r[j] for r in jac), 1e-3)
        check("eval: no gradient unasked", "gradient" not in answer("eval, value", "petab", "eval", problem))
        moved = answer("eval --set", "petab", "eval", problem, "--set", "k=0.6", "--set", "a=1.1")
        near("eval --set: llh", moved.get("llh"), decay_llh(0.6, 1.1), 1e-6)
        check("eval --set: said", moved.get("parameters", {}).get("k") == 0.6, moved.get("parameters"))
        rows = answer("eval --simulations", "petab", "eval", problem, "--simulations").get("simulations", [])
        check("eval --simulations: one a measurement", len(rows) == 4, rows)
        for r, t in zip(rows, (1, 2, 3, 4)):
            near(f"eval --simulations: x({t})", r["simulation"], math.exp(-0.5 * t), 1e-7)
        plain = run("petab", "eval", problem).stdout
        check("eval: text says llh and observable", "llh" in plain and "\ny " in plain, plain)
        refused("eval: wrong id", 2, ["'kk'", "did you mean k"], "petab", "eval", problem, "--set", "kk=1")
        refused("eval: no value", 2, ["ID=VALUE"], "petab", "eval", problem, "--set", "k")
        refused("eval: no number", 2, ["1..5"], "petab", "eval", problem, "--set", "k=1..5")
        refused("eval: derivative", 2, ["--derivative", "forward"], "petab", "eval", problem, "--derivative", "sideways")
        refused("eval: two files", 2, ["one PROBLEM.yaml"], "petab", "eval", problem, problem)


def bad_problems():
    with tempfile.TemporaryDirectory() as tmp:
        refused("no such file", 3, ["nothing.yaml"], "petab", "eval", f"{tmp}/nothing.yaml")
        problem = decay(tmp)
        table(pathlib.Path(tmp, "measurements.tsv"), ["observableId", "simulationConditionId", "time", "measurement"],
              [["y", "c", 1, 0.6], ["z", "c", 2, 0.3]])
        refused("unknown observable", 3, ["measurements.tsv:3", "'z'"], "fit", problem, "--starts", "1")
        decay(tmp, parameters=[["k", "lin", 3, 0.01, 0.5, 1]])
        refused("bounds the wrong way round", 3, ["parameters.tsv:2", "k"], "profile", problem)
        decay(tmp, parameters=[["k", "log10", -1, 3, 0.5, 1]])
        refused("a logarithm of less than nothing", 3, ["parameters.tsv:2", "k"], "sample", problem)
        decay(tmp, parameters=[["k", "lin", 0.01, 3, 0.5, 0]])
        refused("nothing to estimate", 2, ["no parameter is estimated"], "fit", problem)
        decay(tmp, header="format_version: 1\nextensions: {magic: {version: 1.0, required: true}}")
        r = run("petab", "eval", problem)
        check("extensions, which version 1 has not: not computed", r.returncode == 3 and "decay.yaml:2" in r.stderr and "extensions" in r.stderr,
              f"{r.returncode} {r.stderr}")
        decay(tmp, header="format_version: 9.0.0")
        r = run("petab", "eval", problem)
        check("a version that is not known: not computed", r.returncode in (3, 7) and "9" in r.stderr, f"{r.returncode} {r.stderr}")
        decay(tmp)
        refused("an integrator that is not known", 2, ["magic"], "petab", "eval", problem, "--method", "magic")
        refused("a problem where a KIND is wanted", 2, ["is a calibration problem", "petab eval", "assimilate"], "run", problem)
        refused("a report that can't be written", 75, ["/nowhere/at/all"], "fit", problem, "--table", "/nowhere/at/all/fit.tsv")
        full = pathlib.Path("/dev/full")
        if full.exists():
            with full.open("w") as out:
                r = run("petab", "eval", problem, stdout=out)
                check("full disk: exit 75", r.returncode == 75 and "standard output" in r.stderr, f"{r.returncode} {r.stderr}")
            r = run("fit", problem, "--starts", "2", "--table", "/dev/full")
            check("full disk, a table: no success", r.returncode not in (0, 1) and "/dev/full" in r.stderr, f"{r.returncode} {r.stderr}")


# ---- fit ----

def fit():
    with tempfile.TemporaryDirectory() as tmp:
        problem = decay(tmp)
        d = answer("fit", "fit", problem, "--starts", "12", "--table", f"{tmp}/fit.tsv")
        for key in ("problem", "j", "llh", "log_prior", "aic", "bic", "starts", "found", "optima", "hit_rate", "parameters", "waterfall"):
            check(f"fit: JSON has {key}", key in d, str(d)[:300])
        k, a = (d["parameters"][p]["value"] for p in ("k", "a"))
        near("fit: j is -llh there, in closed form", d["j"], -decay_llh(k, a), 1e-6)
        for dk, da in ((1e-3, 0), (-1e-3, 0), (0, 1e-3), (0, -1e-3)):
            check(f"fit: a minimum by {dk}, {da}", decay_llh(k + dk, a + da) < -d["j"], decay_llh(k + dk, a + da) + d["j"])
        near("fit: AIC", d["aic"], 2 * 2 + 2 * d["j"], 1e-9)
        near("fit: BIC", d["bic"], 2 * math.log(4) + 2 * d["j"], 1e-9)
        # linear theory: sd from the Fisher information at the optimum
        jac = [(-t * a * math.exp(-k * t) / 0.05, math.exp(-k * t) / 0.05) for t in (1, 2, 3, 4)]
        f = [[sum(r[i] * r[j] for r in jac) for j in (0, 1)] for i in (0, 1)]
        near("fit: sd of k", d["parameters"]["k"]["sd_on_scale"], math.sqrt(f[1][1] / (f[0][0] * f[1][1] - f[0][1] ** 2)), 1e-4)
        check("fit: waterfall ascends", len(d["waterfall"]) == 12 and all(
            p["j"] <= q["j"] for p, q in zip(d["waterfall"], d["waterfall"][1:]) if p["j"] is not None and q["j"] is not None))
        rows = [x.split("\t") for x in pathlib.Path(tmp, "fit.tsv").read_text(encoding="utf-8").splitlines()]
        check("fit --table: columns", rows[0][:4] == ["optimum", "j", "starts", "parameter"], rows[0])
        check("fit --table: the values", {r[3]: float(r[5]) for r in rows[1:3]} == {"k": k, "a": a}, rows[1:3])
        same = [run("fit", problem, "--starts", "12", "--json", "--threads", n).stdout for n in ("1", "2")]
        check("fit: same bytes on 1 and 2 threads", same[0] == same[1] and json.loads(same[0]) == d)
        other = answer("fit, another seed", "fit", problem, "--starts", "12", "--seed", "2")
        check("fit: the seed matters", [s["points"] for s in other["waterfall"]] != [s["points"] for s in d["waterfall"]]
              or [s["j"] for s in other["waterfall"]] != [s["j"] for s in d["waterfall"]])
        near("fit: not to the optimum", other["j"], d["j"], 1e-7)
        dry = run("fit", problem, "--dry-run", "--table", f"{tmp}/dry.tsv")
        check("fit --dry-run: says, and writes nothing", dry.returncode == 0 and "would fit 2 parameters" in dry.stdout
              and not pathlib.Path(tmp, "dry.tsv").exists(), dry.stdout)
        refused("fit: an option of a kind", 2, ["--leave-one-out", "KIND"], "fit", problem, "--leave-one-out")
        refused("fit: an option of a problem", 2, ["--starts", "calibration problem"], "fit", "theophylline", "--starts", "3", cwd=SOURCE)
        refused("fit: no starts", 2, ["0 starts"], "fit", problem, "--starts", "0")
        refused("fit: sampling", 2, ["magic", "sobol"], "fit", problem, "--sampling", "magic")
        refused("fit: hessian", 2, ["magic", "fisher"], "fit", problem, "--hessian", "magic")
        for extra in (["--sampling", "sobol"], ["--hessian", "bfgs"], ["--batch", "1"]):
            near(f"fit {extra}: the same optimum", answer(f"fit {extra}", "fit", problem, "--starts", "4", *extra).get("j"), d["j"], 1e-6)
    with tempfile.TemporaryDirectory() as tmp:
        # a and b only as their product: named, not a number
        problem = decay(tmp, parameters=[["k", "lin", 0.01, 3, 0.5, 1], ["a", "log10", 0.1, 10, 1, 1], ["b", "log10", 0.1, 10, 1, 1]])
        d = answer("fit, open", "fit", problem, "--starts", "4")
        check("fit, open: two of three directions", d.get("determined_directions") == 2, d.get("determined_directions"))
        check("fit, open: no deviation of a and b", all(d["parameters"][p]["sd_on_scale"] is None for p in "ab")
              and d["parameters"]["k"]["sd_on_scale"] is not None, d.get("parameters"))
        p = answer("profile, open", "profile", problem, "a", "k", "--starts", "4")
        check("profile, open: a is not identifiable", p["profiles"]["a"]["lower"] is None and p["profiles"]["a"]["upper"] is None
              and p["profiles"]["a"]["verdict"] != p["profiles"]["k"]["verdict"], p["profiles"]["a"]["verdict"])
        check("profile, open: k is", p["profiles"]["k"]["lower"] is not None and p["profiles"]["k"]["upper"] is not None)
    with tempfile.TemporaryDirectory() as tmp:
        # a noise that is negative wherever k may be: no point can be evaluated
        problem = decay(tmp, noise="-k")
        r = run("fit", problem, "--starts", "3")
        check("fit: no start can be evaluated: exit 6 and why", r.returncode == 6 and "noise" in r.stderr, f"{r.returncode} {r.stderr}")


def resume():
    with tempfile.TemporaryDirectory() as tmp:
        problem, file = decay(tmp), f"{tmp}/found.txt"
        whole = run("fit", problem, "--starts", "10", "--json")
        first = run("fit", problem, "--starts", "10", "--resume", file, "--json")
        check("resume: a file is written", first.returncode == 0 and pathlib.Path(file).stat().st_size > 0, first.stderr)
        again = run("fit", problem, "--starts", "10", "--resume", file, "--json")
        check("resume: same answer", whole.stdout == first.stdout == again.stdout and len(whole.stdout) > 100, again.stderr)
        before = pathlib.Path(file).read_text(encoding="utf-8")
        # half a file, as after an interruption: the rest is done again and the answer is the same
        pathlib.Path(file).write_text(before[:len(before) * 2 // 3], encoding="utf-8")
        r = run("fit", problem, "--starts", "10", "--resume", file, "--json")
        check("resume: a cut file goes on or is refused by name", r.stdout == whole.stdout or (r.returncode == 3 and "found.txt" in r.stderr),
              f"{r.returncode} {r.stderr}")
        for name, text in (("not such a file", "something else\n"), ("binary", "\x01\x02" * 100)):
            pathlib.Path(file).write_text(text, encoding="utf-8")
            refused(f"resume: {name}", 4, ["found.txt"], "fit", problem, "--starts", "10", "--resume", file)
        # what was found for other data must not pass for an answer about these
        pathlib.Path(file).write_text(before, encoding="utf-8")
        decay(tmp, values=(0.8, 0.6, 0.5, 0.4))
        fresh = answer("resume: other data, without", "fit", problem, "--starts", "10")
        r = run("fit", problem, "--starts", "10", "--resume", file, "--json")
        check("resume: other data: refused, or found anew", r.returncode in (3, 4) or abs(json.loads(r.stdout)["j"] - fresh["j"]) < 1e-6,
              f"exit {r.returncode}, j {json.loads(r.stdout)['j'] if r.stdout else ''}, without the file {fresh['j']}")


def interrupt():
    """Ctrl-C in a long fit: exit 75 soon, a file to go on from, and going on gives what was not interrupted"""
    with tempfile.TemporaryDirectory() as tmp:
        file = pathlib.Path(tmp, "found.txt")
        args = ["fit", EXAMPLE, "--starts", "12000", "--threads", "1", "--resume", str(file), "--json"]
        p = subprocess.Popen([DOPPEL, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(0.5)
        check("interrupt: still at work", p.poll() is None, p.returncode)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        check("interrupt: exit 75", p.returncode == 75, f"{p.returncode} {err}")
        check("interrupt: a file is left", file.exists() and file.stat().st_size > 0)
        r = run(*args)
        check("interrupt: goes on to the end", r.returncode == 0, r.stderr)
        # searches that were under way go on from numbers that may differ in the last digits
        resumed, whole = json.loads(r.stdout), json.loads(run(*args[:6], "--json").stdout)
        near("interrupt: the best as if nothing had been", resumed["j"], whole["j"], 1e-9)
        check("interrupt: each start as if nothing had been", len(resumed["waterfall"]) == 12000 and all(
            abs(a["j"] - b["j"]) < 1e-7 for a, b in zip(*(sorted(d["waterfall"], key=lambda s: s["start"]) for d in (resumed, whole)))))
        # nothing but the signal's own end while nothing is open yet
        p = subprocess.Popen([DOPPEL, "sample", EXAMPLE, "--starts", "10", "--draws", "1000000"], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, cwd=tmp)
        time.sleep(1)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        check("interrupt: sample ends with 75", p.returncode == 75, f"{p.returncode} {err}")


# ---- profile ----

def profile():
    with tempfile.TemporaryDirectory() as tmp:
        # linear in its only parameter: the profile is the parabola, the interval the textbook's
        problem = decay(tmp, parameters=[["a", "lin", 0.1, 10, 1, 1]])
        e = [math.exp(-0.5 * t) for t in (1, 2, 3, 4)]
        best = sum(v * x for v, x in zip((0.62, 0.35, 0.24, 0.13), e)) / sum(x * x for x in e)
        sd = 0.05 / math.sqrt(sum(x * x for x in e))
        for level, z in ((0.95, 1.959964), (0.9, 1.644854)):
            d = answer(f"profile {level}", "profile", problem, "--starts", "3", "--level", str(level))
            near(f"profile {level}: threshold", d["threshold"], z * z / 2, 1e-5)
            near(f"profile {level}: optimum", d["profiles"]["a"]["optimum"], best, 1e-5)
            near(f"profile {level}: lower", d["profiles"]["a"]["lower"], best - z * sd, 2e-3 * sd)
            near(f"profile {level}: upper", d["profiles"]["a"]["upper"], best + z * sd, 2e-3 * sd)
            points = d["profiles"]["a"]["profile"]
            check(f"profile {level}: ascends through the optimum", [p[0] for p in points] == sorted(p[0] for p in points)
                  and min(p[1] for p in points) >= d["j"] - 1e-9)
        problem = decay(tmp)
        whole = run("profile", problem, "--starts", "5", "--json", "--table", f"{tmp}/p.tsv", "--plot", f"{tmp}/p.svg")
        d = json.loads(whole.stdout)
        check("profile: all parameters", set(d["profiles"]) == {"k", "a"})
        check("profile --table", pathlib.Path(tmp, "p.tsv").read_text(encoding="utf-8").startswith("parameter\tvalue\ton_scale\tj\n"))
        check("profile --plot", "<svg" in pathlib.Path(tmp, "p.svg").read_text(encoding="utf-8")[:200])
        check("profile: same bytes on 1 and 2 threads", run("profile", problem, "--starts", "5", "--json", "--threads", "1").stdout
              == run("profile", problem, "--starts", "5", "--json", "--threads", "2").stdout == whole.stdout)
        one = answer("profile of one", "profile", problem, "k", "--starts", "5")
        check("profile of one: the same interval", list(one["profiles"]) == ["k"]
              and abs(one["profiles"]["k"]["lower"] - d["profiles"]["k"]["lower"]) < 1e-6)
        run("fit", problem, "--starts", "5", "--table", f"{tmp}/fit.tsv")
        near("profile --from: the same", answer("profile --from", "profile", problem, "k", "--from", f"{tmp}/fit.tsv")["profiles"]["k"]["upper"],
             d["profiles"]["k"]["upper"], 1e-5)
        refused("profile: wrong id", 2, ["'kk'", "did you mean k"], "profile", problem, "kk", "--starts", "2")
        refused("profile: level", 2, ["1.5"], "profile", problem, "--level", "1.5", "--starts", "2")
        refused("profile --from: nothing", 3, ["nothing.tsv"], "profile", problem, "--from", f"{tmp}/nothing.tsv")
        refused("profile --from: something else", 2, ["fit --table"], "profile", problem, "--from", f"{tmp}/p.tsv")
        pathlib.Path(tmp, "bad.tsv").write_text("optimum\tj\tstarts\tparameter\tscale\tvalue\n1\t0\t1\tq\tlin\t3\n", encoding="utf-8")
        refused("profile --from: another's parameter", 2, ["bad.tsv:2", "'q'"], "profile", problem, "--from", f"{tmp}/bad.tsv")


# ---- sample ----

def sample():
    with tempfile.TemporaryDirectory() as tmp:
        problem = decay(tmp, parameters=[["a", "lin", 0.1, 10, 1, 1]])
        e = [math.exp(-0.5 * t) for t in (1, 2, 3, 4)]
        mean = sum(v * x for v, x in zip((0.62, 0.35, 0.24, 0.13), e)) / sum(x * x for x in e)
        sd = 0.05 / math.sqrt(sum(x * x for x in e))
        for sampler, draws in (("nuts", "1000"), ("tempering", "2000"), ("smc", "1000"), ("laplace", "1000")):
            d = answer(f"sample {sampler}", "sample", problem, "--sampler", sampler, "--draws", draws, "--starts", "3")
            if not d:
                continue
            check(f"sample {sampler}: said", d["sampler"] == sampler and d["usable"] is True and d["verdict"], d.get("verdict"))
            p = d["parameters"]["a"]
            # the bounds are 5 standard errors of 400 independent draws
            near(f"sample {sampler}: mean", p["mean"], mean, 5 * sd / 20)
            near(f"sample {sampler}: sd", p["sd"], sd, 5 * sd / math.sqrt(800))
            near(f"sample {sampler}: median", p["q50"], mean, 5 * 1.2533 * sd / 20)
            for key in ("rhat", "ess_bulk", "ess_tail", "khat", "ln_evidence"):
                check(f"sample {sampler}: JSON has {key}", key in d)
            if d["ln_evidence"] is not None:
                # uniform prior on [0.1, 10]: the integral of the likelihood is Gaussian
                truth = decay_llh(0.5, mean) + math.log(math.sqrt(2 * math.pi) * sd / 9.9)
                near(f"sample {sampler}: evidence", d["ln_evidence"], truth, 5 * d["ln_evidence_error"] + 1e-3)
        args = ["sample", problem, "--draws", "100", "--warmup", "100", "--chains", "2", "--starts", "2", "--json"]
        one = run(*args, "--threads", "1", "--table", f"{tmp}/d.tsv")
        check("sample: too few draws are not fit for use: exit 6", one.returncode == 6 and json.loads(one.stdout)["usable"] is False,
              f"{one.returncode} {one.stderr}")
        check("sample: same bytes on 1 and 2 threads", one.stdout == run(*args, "--threads", "2").stdout)
        check("sample: the seed matters", one.stdout != run(*args, "--seed", "2").stdout)
        rows = [x.split("\t") for x in pathlib.Path(tmp, "d.tsv").read_text(encoding="utf-8").splitlines()]
        check("sample --table", rows[0] == ["chain", "draw", "llh", "log_prior", "a"] and len(rows) == 201, rows[0])
        near("sample --table: the mean of the draws", statistics.fmean(float(r[4]) for r in rows[1:]),
             json.loads(one.stdout)["parameters"]["a"]["mean"], 1e-9)
        for r in rows[1:20]:
            near("sample --table: llh of a draw", float(r[2]), decay_llh(0.5, float(r[4])), 1e-5)
        kept = run(*args, "--resume", f"{tmp}/chains")
        again = run(*args, "--resume", f"{tmp}/chains")
        numbers = [{**json.loads(r.stdout), "points": 0} for r in (one, kept, again)]
        check("sample --resume: the same draws", numbers[0] == numbers[1] == numbers[2])
        decay(tmp, values=(0.8, 0.6, 0.5, 0.4), parameters=[["a", "lin", 0.1, 10, 1, 1]])
        r = run(*args, "--resume", f"{tmp}/chains")
        check("sample --resume: other data: refused, or drawn anew", r.returncode in (3, 4) or abs(
            json.loads(r.stdout)["parameters"]["a"]["mean"] - json.loads(one.stdout)["parameters"]["a"]["mean"]) > 5 * sd, r.stdout[:300])
        refused("sample: sampler", 2, ["magic", "tempering"], "sample", problem, "--sampler", "magic", "--starts", "2")
        refused("sample: laplace has nothing to resume", 2, ["--resume"], "sample", problem, "--sampler", "laplace", "--resume", f"{tmp}/l")
        refused("sample: two problems", 2, ["one PROBLEM.yaml"], "sample", problem, problem)


# ---- sensitivity ----

def sensitivity():
    with tempfile.TemporaryDirectory() as tmp:
        model = f"{tmp}/sum.ant"
        pathlib.Path(model).write_text("model s()\n a = 1; b = 1; c = 1;\n x = 0;\n x' = a + 2*b + 0*c;\nend\n", encoding="utf-8")
        vary = [w for i in "abc" for w in ("--vary", f"{i}=uniform(0,1)")]
        args = ["sensitivity", model, *vary, "--output", "x", "--times", "1", "--members", "1024", "--json"]
        d = answer("sensitivity", *args[:-1])
        text = json.dumps(d)
        check("sensitivity: JSON names inputs and measures", all(w in text for w in ("first", "total", '"a"', '"b"', '"c"')), text[:400])
        same = [run(*args, "--threads", n).stdout for n in ("1", "2")]
        check("sensitivity: same bytes on 1 and 2 threads", same[0] == same[1] and len(same[0]) > 100)
        check("sensitivity: the seed matters", run(*args, "--seed", "3").stdout != same[0])
        csv = run(*args[:-1]).stdout.splitlines()
        head = csv[0].split(",")
        rows = [dict(zip(head, r.split(","))) for r in csv[1:]]
        # x(1) = a + 2b: variances 1 : 4, and c takes no part
        for name, truth in (("a", 0.2), ("b", 0.8), ("c", 0.0)):
            for measure in ("first", "total"):
                got = [r for r in rows if name in r.values() and measure in r.values()]
                check(f"sensitivity: a row for {name}, {measure}", len(got) == 1, csv[:4])
                if got:
                    near(f"sensitivity: {measure} of {name}", float(got[0].get("value") or got[0].get("estimate") or "nan"), truth, 0.02)
        refused("sensitivity: nothing varies", 2, ["--vary"], "sensitivity", model)
        refused("sensitivity: method", 2, ["magic", "morris"], "sensitivity", model, *vary, "--method", "magic")
        r = run("sensitivity", model, "--vary", "aa=uniform(0,1)")
        check("sensitivity: wrong id", r.returncode in (2, 3) and "'aa'" in r.stderr, f"{r.returncode} {r.stderr}")


# ---- help ----

def helps():
    """What --help says of defaults is what happens: naming them changes no byte."""
    with tempfile.TemporaryDirectory() as tmp:
        problem = decay(tmp)
        for name, args, defaults in (
                ("petab eval", ["petab", "eval", problem, "--gradient"], {"--derivative": "auto", "--rtol": "1e-8", "--atol": "1e-12",
                                                                           "--method": "ensemble"}),
                ("fit", ["fit", problem], {"--starts": "100", "--sampling": "latin", "--hessian": "hybrid", "--seed": "1", "--rtol": "1e-8",
                                           "--atol": "1e-12"}),
                ("profile", ["profile", problem], {"--starts": "100", "--level": "0.95", "--seed": "1", "--rtol": "1e-8", "--atol": "1e-12",
                                                   "--method": "ensemble"}),
                ("sample", ["sample", problem], {"--sampler": "nuts", "--starts": "100", "--seed": "1", "--rtol": "1e-8", "--atol": "1e-12",
                                                 "--method": "ensemble"})):
            text = run(*name.split(), "--help").stdout
            for option in defaults:
                check(f"{name} --help: {option}", option in text, text)
            given = [w for pair in defaults.items() for w in pair]
            a, b = (run(*args, *more, "--json").stdout for more in ([], given))
            check(f"{name}: the defaults are what help says", a == b and len(a) > 50, f"{a[:300]}\n{b[:300]}")
        for args, wanted in ((["fit", problem, "--start", "3"], "did you mean '--starts'"),
                             (["profile", problem, "--levl", "0.9"], "did you mean '--level'"),
                             (["sample", problem, "--chain", "3"], "did you mean '--chains'"),
                             (["petab", "evl", problem], "did you mean 'eval'"),
                             (["fit", problem, "--seed", "-1"], "--seed"), (["fit", problem, "--starts", "3.5"], "--starts"),
                             (["fit", problem, "--rtol", "small"], "--rtol"), (["sample", problem, "--draws"], "needs a value")):
            refused(" ".join(args[:1] + args[2:]), 2, [wanted], *args)
        for args in (["profile"], ["sample"], ["petab", "eval"]):
            refused(f"{args} alone", 2, ["PROBLEM.yaml"], *args)
    d = answer("bench calibration", "bench", "calibration", "--problem", EXAMPLE, "--budget", "0.01")
    row = (d.get("rows") or [{}])[0]
    here = answer("eval of the example", "petab", "eval", EXAMPLE, "--gradient")
    for way in ("gradient", "forward", "adjoint"):
        if row.get(way, {}).get("ok"):
            size = max(abs(v) for v in here["gradient"].values())
            for q, v in row[way]["gradient"].items():
                near(f"bench calibration: {way} by {q}", v, here["gradient"][q], 1e-5 * size)
    near("bench calibration: llh", row.get("value", {}).get("llh"), here["llh"], 1e-6)
    refused("bench calibration: which problem", 2, ["--problem"], "bench", "calibration")


def main():
    only = sys.argv[3:]
    for part in (evaluate, bad_problems, fit, resume, interrupt, profile, sample, sensitivity, helps):
        if only and part.__name__ not in only:
            continue
        try:
            part()
        except Exception as e:  # noqa: BLE001 - one part that stumbles must not hide the others
            check(part.__name__, False, f"{type(e).__name__}: {e}")
    return finish()


if __name__ == "__main__":
    sys.exit(main())
