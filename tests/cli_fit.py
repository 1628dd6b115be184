#!/usr/bin/env python3
"""Fits, their limits and model selection as a user meets them: processor time, step budget, two tolerances, a nominal point
that can't be evaluated, parameters that nothing depends on, resuming after a limit; PEtab Select problems.

usage: cli_fit.py DOPPEL SOURCE_DIR"""
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

from checks import answered, check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
EXAMPLE = SOURCE / "examples" / "theophylline-one"
SELECT = SOURCE / "examples" / "theophylline-select"


def run(*args):
    return subprocess.run([DOPPEL, *map(str, args)], capture_output=True, text=True, timeout=300, check=False)


def answer(name, *args, code=0):
    return answered(name, run(*args, "--json"), code)


def example(tmp, **change):
    """A copy of the example; change: file (without .tsv) = (old, new)."""
    folder = pathlib.Path(tmp) / "problem"
    shutil.copytree(EXAMPLE, folder)
    for file, (old, new) in change.items():
        path = folder / f"{file}.tsv"
        text = path.read_text(encoding="utf-8")
        check(f"the change of {file} took", old in text, text)
        path.write_text(text.replace(old, new), encoding="utf-8")
    return folder / "theophylline-one.yaml"


def two_tolerances():
    problem = EXAMPLE / "theophylline-one.yaml"
    one = answer("one tolerance", "fit", problem, "--starts", 20, "--search-rtol", 0)
    two = answer("two tolerances", "fit", problem, "--starts", 20)
    check("the same optimum", abs(one["j"] - two["j"]) < 1e-6, f"{one['j']} {two['j']}")
    check("as good as the nominal point", two["j"] <= two["nominal_j"], f"{two['j']} {two['nominal_j']}")
    check("all searches ended", two["ended"] == two["starts"] == 20, two["ended"])
    js = [w["j"] for w in two["waterfall"]]
    check("the waterfall ascends", js == sorted(js), js)
    again = answer("side by side", "fit", problem, "--starts", 20, "--batch", 3, "--threads", 2)
    check("the answer does not depend on the batch", again == two)


def limits():
    problem = EXAMPLE / "theophylline-one.yaml"
    with tempfile.TemporaryDirectory() as tmp:
        state = pathlib.Path(tmp) / "state.tsv"
        cut = answer("processor time", "fit", problem, "--starts", 300, "--batch", 8, "--seconds", 0.001, "--resume", state)
        check("not all have ended", cut["ended"] < 300, cut["ended"])
        check("some were not begun", any("not begun" in w["end"] for w in cut["waterfall"]))
        check("a state is left", state.exists() and state.read_text(encoding="utf-8").startswith("doppel multistart"))
        on = answer("gone on", "fit", problem, "--starts", 300, "--batch", 8, "--resume", state)
        whole = answer("in one go", "fit", problem, "--starts", 300, "--batch", 8)
        check("going on gives the same", on == whole)
    r = run("fit", problem, "--starts", 5, "--max-steps", 1, "--method", "cvode")
    check("no simulation gets to its end: exit", r.returncode == 6, f"{r.returncode} {r.stderr}")
    check("no simulation gets to its end: named", "none of 5 starts" in r.stderr and "steps" in r.stderr, r.stderr)


def bad_points():
    with tempfile.TemporaryDirectory() as tmp:
        problem = example(tmp, parameters=("0.01\t10\t0.7", "1e-320\t10\t1e-310"))
        r = run("fit", problem, "--starts", 30)
        check("nominal point not evaluable: named", "nominal point: the likelihood can't be evaluated" in r.stdout, r.stdout + r.stderr)
    with tempfile.TemporaryDirectory() as tmp:
        problem = example(tmp, parameters=("sd\t", "idle\tunused\tlog10\t0.1\t10\t1\t1\nsd\t"))
        r = run("fit", problem, "--starts", 10)
        said = r.stdout + r.stderr
        check("a parameter that nothing depends on is named", "idle" in said, said)


def criteria(m, n):
    """From the published formulas."""
    k, llh = m["estimated"], m["llh"]
    return {"AIC": 2 * k - 2 * llh, "AICc": 2 * k - 2 * llh + 2 * k * (k + 1) / (n - k - 1), "BIC": k * math.log(n) - 2 * llh}


def select():
    problem = SELECT / "select.yaml"
    got = answer("select", "select", problem, "--starts", 10)
    models = got["models"]
    check("all models", len(models) == got["space"] == 8, len(models))
    for m in models:
        for name, wanted in criteria(m, 11).items():
            check(f"{m['model_id']} {name}", abs(m[name] - wanted) < 1e-9 * abs(wanted), f"{m[name]} {wanted}")
    best = models[0]["AICc"]
    share = [math.exp(-0.5 * (m["AICc"] - best)) for m in models]
    check("Akaike weights", all(abs(m["weight"] - s / sum(share)) < 1e-12 for m, s in zip(models, share)))
    one = next(m for m in models if all(v == "estimate" for v in m["parameters"].values()))
    fit = answer("the full model by itself", "fit", EXAMPLE / "theophylline-one.yaml", "--starts", 10)
    check("the full model is the problem itself", abs(one["llh"] - fit["llh"]) < 1e-6, f"{one['llh']} {fit['llh']}")
    forward = answer("forward", "select", problem, "--starts", 10, "--search", "forward")["models"]
    check("forward fits fewer", 0 < len(forward) < 8, len(forward))
    check("forward begins with none", any(m["turn"] == 0 and "estimate" not in m["parameters"].values() for m in forward))
    check("forward finds the same", forward[0]["model_id"] == models[0]["model_id"], forward[0]["model_id"])
    backward = answer("backward", "select", problem, "--starts", 10, "--search", "backward", "--criterion", "BIC")["models"]
    check("backward begins with all", any(m["turn"] == 0 and set(m["parameters"].values()) == {"estimate"} for m in backward))
    check("predecessors are named", any(m["predecessor"] for m in backward))
    famos = answer("famos", "select", problem, "--starts", 10, "--search", "famos")["models"]
    check("famos finds the same", famos[0]["model_id"] == models[0]["model_id"], famos[0]["model_id"])


def bad_select():
    def refused(name, code, yaml, table, *wanted):
        with tempfile.TemporaryDirectory() as tmp:
            folder = pathlib.Path(tmp)
            shutil.copytree(EXAMPLE, folder / "p")
            (folder / "select.yaml").write_text(yaml, encoding="utf-8")
            (folder / "space.tsv").write_text(table, encoding="utf-8")
            r = run("select", folder / "select.yaml", "--starts", 2)
            check(f"{name}: exit {code}", r.returncode == code, f"exit {r.returncode}: {r.stderr}")
            for w in wanted:
                check(f"{name}: says {w}", w in r.stderr, r.stderr)

    yaml = "format_version: 1.0.0\ncriterion: AIC\nmethod: brute_force\nmodel_space_files: [space.tsv]\n"
    table = "model_subspace_id\tpetab_yaml\tka\nm\tp/theophylline-one.yaml\t1;estimate\n"
    refused("a method that is none", 7, yaml.replace("brute_force", "sideways"), table, "sideways", "famos")
    famos = yaml.replace("brute_force", "famos")
    refused("famos, several values", 7, famos, table.replace("1;estimate", "1;2;estimate"), "space.tsv:2", "famos", "ka")
    refused("famos, two rows", 7, famos, table + "n\tp/theophylline-one.yaml\t1\n", "space.tsv:3", "famos")
    sets = famos + "candidate_space_arguments:\n  swap_parameter_sets: [[ka, kz]]\n"
    refused("famos, unknown parameter in a set", 3, sets, table, "select.yaml:6", "kz")
    refused("famos, unknown argument", 7, sets.replace("swap_parameter_sets", "luck"), table, "luck")
    refused("criterion", 7, yaml.replace("AIC", "DIC"), table, "DIC", "AICc")
    refused("constraints", 7, yaml + "constraint_files: [c.tsv]\n", table, "select.yaml:5", "constraint_files")
    refused("no space", 3, "criterion: AIC\nmethod: forward\n", table, "model_space_files")
    refused("not a value", 3, yaml, table.replace("1;estimate", "1;guess"), "space.tsv:2", "ka", "guess")
    refused("unknown parameter", 3, yaml, table.replace("\tka", "\tkx"), "kx")
    refused("no such problem", 3, yaml, table.replace("p/", "q/"), "q/theophylline-one.yaml")


def predictions():
    problem = EXAMPLE / "theophylline-one.yaml"
    with tempfile.TemporaryDirectory() as tmp:
        table = pathlib.Path(tmp) / "fit.tsv"
        answer("a fit", "fit", problem, "--starts", 10, "--table", table)
        d = answer("predictions", "profile", problem, "--from", table, "--prediction", "concentration@24,48", "--prediction",
                   "log(concentration)@dose:24", "--plot", pathlib.Path(tmp) / "p.svg")
        check("predictions alone", not d["profiles"] and len(d["predictions"]) == 3, d)
        p = d["predictions"]
        day = p["concentration@24"]
        check("bounded", all(q["verdict"] == "bounded" and q["lower"] < q["optimum"] < q["upper"] for q in p.values()), p)
        for end in ("lower", "optimum", "upper"):  # a profile does not depend on how the quantity is written
            other = math.exp(p["log(concentration)@dose:24"][end])
            check(f"{end} of the logarithm", abs(other - day[end]) < 1e-3 * day[end], f"{other} {day[end]}")
        narrow = answer("at 50 %", "profile", problem, "--from", table, "--prediction", "concentration@24", "--level", 0.5)
        half = narrow["predictions"]["concentration@24"]
        check("a lower level is narrower", day["lower"] < half["lower"] < half["upper"] < day["upper"], half)
        both = answer("with a parameter", "profile", problem, "ka", "--from", table, "--prediction", "concentration@24")
        check("parameter and prediction", list(both["profiles"]) == ["ka"] and list(both["predictions"]) == ["concentration@24"])
        check("beside a parameter it is the same", both["predictions"]["concentration@24"] == day)
        for what, code, wanted in (("concentration", 2, "OBSERVABLE@TIME"), ("concentration@x", 2, "OBSERVABLE@TIME"),
                                   ("@3", 2, "OBSERVABLE@TIME"), ("nobody@3", 3, "nobody"), ("concentration@w:3", 3, "dose"),
                                   ("concentration@-1", 3, "before the start"), ("(centre@3", 3, "expected")):
            r = run("profile", problem, "--from", table, "--prediction", what)
            check(f"prediction {what}: exit {code}", r.returncode == code and wanted in r.stderr, f"{r.returncode} {r.stderr}")


def compare():
    problem = EXAMPLE / "theophylline-one.yaml"
    with tempfile.TemporaryDirectory() as tmp:
        other = pathlib.Path(tmp) / "other"
        shutil.copytree(EXAMPLE, other)
        parameters = (other / "parameters.tsv").read_text(encoding="utf-8").splitlines()
        fixed = [line[:-1] + "0" if line.startswith("ka\t") else line for line in parameters]
        (other / "parameters.tsv").write_text("\n".join(fixed) + "\n", encoding="utf-8")
        (other / "theophylline-one.yaml").rename(other / "fixed.yaml")
        d = answer("compare", "compare", problem, other / "fixed.yaml", "--sampler", "laplace", "--starts", 5, "--prediction",
                   "concentration@24")
        m = d["models"]
        check("two models", [x["model"] for x in m] == ["theophylline-one", "fixed"] and d["measurements"] == 11, d)
        for kind in ("stacking", "evidence"):
            w = [x[f"weight_{kind}"] for x in m]
            check(f"weights by {kind} sum to 1", abs(sum(w) - 1) < 1e-9 and min(w) >= 0, w)
            of = d["predictions"][0]["of_models"]
            mean = sum(a * b[0] for a, b in zip(w, of))
            sd = math.sqrt(sum(a * (b[1] ** 2 + (b[0] - mean) ** 2) for a, b in zip(w, of)))
            p = d["predictions"][0]
            check(f"average by {kind}", abs(p[f"{kind}_mean"] - mean) < 1e-9 and abs(p[f"{kind}_sd"] - sd) < 1e-9, p)
        check("WAIC and leave-one-out tell the same", all(abs(x["waic"]["elpd"] - x["loo"]["elpd"]) < 2 for x in m), m)
        r = run("compare", problem)
        check("one model is none to compare", r.returncode == 2, r.stderr)
        rows = (other / "measurements.tsv").read_text(encoding="utf-8").splitlines()
        (other / "measurements.tsv").write_text("\n".join(rows[:-1]) + "\n", encoding="utf-8")
        r = run("compare", problem, other / "fixed.yaml", "--sampler", "laplace", "--starts", 2)
        check("other data are refused", r.returncode == 3 and "different data" in r.stderr, f"{r.returncode} {r.stderr}")


def person_surrogate():
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / "three.surrogate"
        kind = SOURCE / "twins" / "theophylline"
        r = run("surrogate", "fit", kind, "--patient", 3, "--times", "12,24", "--points", 60, "-o", path)
        check("surrogate of a person", r.returncode == 0 and path.exists() and "eta_CL" in r.stdout, r.stderr)
        ask = ("surrogate", "forecast", kind, path, "--until", 4)
        d = answer("its forecast", *ask, "--patient", 3, "--compare")
        for f in d["forecast"]:
            check(f"at {f['time']}: as the model's", abs(f["q50"] - f["model"]["q50"]) < 0.05 * f["sd"], f)
            check(f"at {f['time']}: its error is part", 0 < f["surrogate_error"] < 0.1 * f["sd"], f)
        for name, code, args in (("somebody else's", 4, ["--patient", 4]), ("nobody's", 2, [])):
            r = run(*ask, *args)
            check(f"{name}: exit {code}", r.returncode == code, f"{r.returncode} {r.stderr}")
        r = run("surrogate", "fit", kind, "--patient", 3, "--times", "12", "--vary", "ka=factor(2)", "-o", path)
        check("laws belong to models", r.returncode == 2 and "--vary" in r.stderr, r.stderr)


for part in (predictions, compare, person_surrogate, two_tolerances, limits, bad_points, select, bad_select):
    part()
sys.exit(finish())
