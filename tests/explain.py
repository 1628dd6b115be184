#!/usr/bin/env python3
"""Explanations on the command line: doppel sensitivity, surrogate, gain. Usage: explain.py DOPPEL SOURCE"""
import csv, io, json, pathlib, resource, subprocess, sys, tempfile

from checks import check, finish

doppel, source = sys.argv[1], pathlib.Path(sys.argv[2])


def run(*args):
    return subprocess.run([doppel, *map(str, args)], capture_output=True, text=True, encoding="utf-8", cwd=source)


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def seconds(*args):
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    r = run(*args)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before, r


def at_rest():
    model = "examples/glucose-day.ant"
    ask = ["sensitivity", model, "--times", "1440", "--members", "64", "--vary", "k1=factor(1.2)", "--vary", "CL=factor(1.2)",
           "--output", "glucose", "--no-cache", "--interpret"]
    # a body at rest is rounding: not resolved by steps without end (it took a hundred times as long)
    own, r = seconds(*ask)
    loose, _ = seconds(*ask, "--atol", "1e-10")
    check("at rest: cheap", own < 10 * loose + 0.5, f"{own} s, with a loose tolerance {loose} s")
    for method in ("sobol", "morris", "shapley"):
        r = run(*ask, "--method", method)
        found = [x["measure"] for x in rows(r.stdout)]
        check(f"at rest: {method}: constant", r.returncode == 0 and found == ["mean", "sd", "constant: no indices"], r.stdout + r.stderr)


def surrogate(tmp):
    model, file, plot = f"{tmp}/pk.ant", f"{tmp}/pk.surrogate", f"{tmp}/s.svg"
    pathlib.Path(model).write_text("model pk()\n gut' = -ka*gut; body' = ka*gut - k*body;\n gut = 0; body = 0; ka = 1.1; k = 0.3;\nend\n",
                                   encoding="utf-8")
    vary = ["--vary", "ka=uniform(0.8,1.6)", "--vary", "k=uniform(0.1,0.6)"]
    fit = ["surrogate", "fit", model, *vary, "--output", "body", "--times", "1,4", "--dose", "gut=100@0", "-o", file]
    r = run(*fit, "--points", "40", "--accuracy", "1e-12")
    check("surrogate: not as accurate as asked: exit 6, nothing written", r.returncode == 6 and not pathlib.Path(file).exists(), r.stderr)
    r = run(*fit)
    check("surrogate: written", r.returncode == 0 and pathlib.Path(file).exists(), r.stderr)
    curve = rows(run("simulate", file, "--set", "k=0.25").stdout)
    truth = rows(run("simulate", model, "--set", "k=0.25", "--set", "ka=1.2", "--at", "1,4", "--dose", "gut=100@0", "--output", "body").stdout)
    check("surrogate: the model's answer within its error", len(curve) == 2 and all(
        abs(float(a["body"]) - float(b["body"])) <= 6 * float(a["error(body)"]) + 1e-6 for a, b in zip(curve, truth)), f"{curve} {truth}")
    many = run("simulate", file, "--members", "500", *vary).stdout
    check("surrogate: bands, the same on three threads", "body_q50" in many
          and many == run("simulate", file, "--members", "500", *vary, "--threads", "3").stdout)
    r = run("simulate", file, "--set", "k=2")
    check("surrogate: outside its domain", r.returncode != 0 and "k = 2 is outside the surrogate's domain" in r.stderr, r.stderr)
    r = run("simulate", file, "--at", "2")
    check("surrogate: a time it does not know", r.returncode != 0 and "time 2 was not trained" in r.stderr, r.stderr)
    r = run("simulate", file, "--dose", "gut=1@0")
    check("surrogate: no doses", r.returncode != 0 and "takes no doses" in r.stderr, r.stderr)
    ask = [*vary, "--times", "4", "--output", "body", "--members", "256"]
    a = {(x["input"], x["measure"]): float(x["value"]) for x in rows(run("sensitivity", file, *ask, "--plot", plot).stdout)}
    b = {(x["input"], x["measure"]): float(x["value"]) for x in rows(run("sensitivity", model, *ask, "--dose", "gut=100@0").stdout)}
    check("surrogate: the model's indices", len(a) == 6 and all(abs(a[k] - b[k]) <= 1e-3 * max(1, abs(b[k])) for k in b), f"{a} {b}")
    check("sensitivity: a plot", pathlib.Path(plot).read_text(encoding="utf-8").count("<rect") >= 5)
    text = pathlib.Path(file).read_text(encoding="utf-8")
    pathlib.Path(file).write_text(text.replace("size 2", "size 3", 1), encoding="utf-8")
    r = run("simulate", file)
    check("surrogate: a changed file", r.returncode == 3 and "pk.surrogate:" in r.stderr, r.stderr)
    check("surrogate show", run("surrogate", "show", model).returncode == 3)
    # three meals at times of their own leave nothing to chance: it can be learnt
    r = run("surrogate", "fit", "examples/glucose-day.ant", "--vary", "k1=factor(1.1)", "--dose", "stomach1=50000@420/10", "--output", "glucose",
            "--times", "480", "--points", "20", "--held-out", "20", "-o", f"{tmp}/day.surrogate")
    check("surrogate: events at times of their own", r.returncode == 0, r.stderr)


def gain():
    ask = ["gain", "theophylline", "--patient", "3", "--until", "4", "--forecast", "c@24", "--candidate", "c@5,12,24", "--draws", "500"]
    r = run(*ask, "--json")
    check("gain: exit 0", r.returncode == 0, r.stderr)
    got = {c["time"]: c for c in json.loads(r.stdout)["candidates"]}
    check("gain: later is better than at once", got[12]["narrowing"] > got[5]["narrowing"] + 4 * got[5]["narrowing_se"], r.stdout)
    check("gain: errors are given", all(0 < c["narrowing_se"] < 0.1 and c["usable"] for c in got.values()), r.stdout)
    check("gain: the same on three threads", run(*ask, "--json", "--threads", "3").stdout == r.stdout)
    check("gain: in words", "it would narrow the forecast most." in run(*ask).stdout)
    r = run(*ask, "--candidate", "c@2")
    check("gain: what has passed", r.returncode == 2 and "has passed" in r.stderr, r.stderr)
    r = run(*ask[:-4], "--candidate", "x@9")
    check("gain: no such observable", r.returncode == 3 and "no observable 'x'" in r.stderr, r.stderr)


at_rest()
with tempfile.TemporaryDirectory() as folder:
    surrogate(folder)
gain()
sys.exit(finish())
