#!/usr/bin/env python3
"""The command line as a user meets it: bad input gets exit code 3 and a message with file, place, found and expected, and
leaves nothing half-written; the same command gives the same bytes on any number of threads.

usage: cli.py DOPPEL SOURCE_DIR"""
import json
import math
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from checks import check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
KINDS = SOURCE / "twins"
GOOD = (KINDS / "theophylline" / "patients" / "theophylline.csv").read_text(encoding="utf-8")


def run(*args, cwd=None):
    return subprocess.run([DOPPEL, *args], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def rows():
    """Header and rows of the good file without comment lines."""
    lines = [x for x in GOOD.splitlines() if x and not x.startswith("#")]
    return lines[0], lines[1:]


def bad_record(name, text, *wanted):
    """`doppel run` on a broken event table: exit 3, message with each wanted part, no report."""
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / "patient.csv"
        path.write_text(text, encoding="utf-8")
        r = run("run", str(KINDS / "theophylline"), "--patient", str(path), "-o", f"{tmp}/report.html", "--twins",
                str(KINDS))
        check(f"{name}: exit 3", r.returncode == 3, f"exit {r.returncode}: {r.stderr}")
        for w in wanted:
            check(f"{name}: says {w}", w in r.stderr, r.stderr)
        check(f"{name}: nothing written", sorted(p.name for p in pathlib.Path(tmp).iterdir()) == ["patient.csv"])


def bad_kind(name, file, change, *wanted):
    """A copy of the kind with one file changed."""
    with tempfile.TemporaryDirectory() as tmp:
        kind = pathlib.Path(tmp) / "theophylline"
        shutil.copytree(KINDS / "theophylline", kind)
        path = kind / file
        before = path.read_text(encoding="utf-8")
        after = change(before)
        check(f"{name}: the change took", before != after)
        path.write_text(after, encoding="utf-8")
        r = run("run", str(kind), "-o", f"{tmp}/report.html")
        check(f"{name}: exit 3", r.returncode == 3, f"exit {r.returncode}: {r.stderr}")
        for w in wanted:
            check(f"{name}: says {w}", w in r.stderr, r.stderr)
        check(f"{name}: no report", not (pathlib.Path(tmp) / "report.html").exists())


def records():
    head, body = rows()
    names = head.split(",")
    time, dv, amt = names.index("TIME"), names.index("DV"), names.index("AMT")

    def edit(row, column, value):
        cells = body[row].split(",")
        cells[column] = value
        return "\n".join([head, *body[:row], ",".join(cells), *body[row + 1:]]) + "\n"

    without = "\n".join(",".join(c for i, c in enumerate(x.split(",")) if i != time) for x in [head, *body])
    bad_record("missing column", without, "patient.csv", "TIME")
    bad_record("negative time", edit(3, time, "-1"), "patient.csv:5", "TIME", "-1")
    bad_record("not a number", edit(3, dv, "12,3"[:2] + "x"), "patient.csv:5", "DV", "12x")
    bad_record("dose without amount", edit(0, amt, "0"), "patient.csv:2", "AMT")
    bad_record("exact duplicate", "\n".join([head, *body[:4], body[3], *body[4:]]) + "\n", "patient.csv:6", "duplicate")
    bad_record("empty file", "", "patient.csv", "empty")
    bad_record("header only", head + "\n", "patient.csv")
    bad_record("truncated row", "\n".join([head, *body[:3], body[3][:4]]) + "\n", "patient.csv:5")
    bad_record("binary", "\x00\x01\x02" * 50, "patient.csv")
    with tempfile.TemporaryDirectory() as tmp:
        r = run("run", str(KINDS / "theophylline"), "--patient", "no-such-person", "--no-report", cwd=tmp)
        check("unknown person: exit 3", r.returncode == 3, r.stderr)
        check("unknown person: named", "no-such-person" in r.stderr, r.stderr)


def kinds():
    bad_kind("typo in the model", "model.ant", lambda t: t.replace("depot;", "depo;", 1) if "depot;" in t
             else t.replace("depot", "depo", 1), "model.ant:")
    bad_kind("unit mismatch", "observables.tsv", lambda t: t.replace("mg/L", "mmol/L"), "quantities.tsv:2", "mmol/L", "mg/L")
    bad_kind("unit mismatch in a limit", "reward.yaml", lambda t: t.replace("5 mg/L\"", "5 h\"", 1), "reward.yaml:", "'h'",
             "mg/L")

    def unbounded(text):
        lines = text.splitlines()
        for n, line in enumerate(lines):
            if line.startswith("parameterId"):
                columns = line.split("\t")
                cells = lines[n + 1].split("\t")
                cells[columns.index("upperBound")] = ""
                lines[n + 1] = "\t".join(cells)
                break
        return "\n".join(lines) + "\n"

    bad_kind("unbounded parameter", "parameters.tsv", unbounded, "parameters.tsv:", "upperBound")


def usage():
    for args, wanted in ((["rnu"], "did you mean 'run'"), (["run", "theophyline"], "did you mean 'theophylline'"),
                         (["run", "theophylline", "--untill", "3"], "did you mean '--until'"),
                         (["twin", "lst"], "did you mean 'list'")):
        r = run(*args, "--twins", str(KINDS)) if args[0] == "run" else run(*args, cwd=SOURCE)
        check(f"{args}: exit 2", r.returncode == 2, f"{r.returncode} {r.stderr}")
        check(f"{args}: {wanted}", wanted in r.stderr, r.stderr)
    check("help: exit 0", run("--help").returncode == 0)
    check("run --help names --until", "--until" in run("run", "--help").stdout)


def replay():
    """Same bytes on 1 and 2 threads, and again; another seed gives others."""
    args = ["run", str(KINDS / "theophylline"), "--patient", "1", "--json", "--no-report", "--draws", "300"]
    out = [run(*args, "--threads", n).stdout.replace(f"--threads {n}", "") for n in ("1", "2", "7", "2")]
    check("replay: same bytes on 1, 2, 7 threads", len(set(out)) == 1 and len(out[0]) > 1000, out[0][:200])
    other = run(*args, "--threads", "2", "--seed", "7").stdout
    check("replay: the seed matters", json.loads(other)["hashes"] != json.loads(out[0])["hashes"])
    document = json.loads(out[0])
    for key in ("observed", "belief", "forecast", "score", "proposal", "reason", "hashes"):
        check(f"json has {key}", key in document)


def sealed():
    """Changing sealed values changes the score and nothing else."""
    head, body = rows()
    first = [x for x in body if x.split(",")[0] == "1"]
    with tempfile.TemporaryDirectory() as tmp:
        docs = []
        for factor in (1.0, 3.0):
            text = [head]
            for x in first:
                cells = x.split(",")
                if float(cells[1]) > 2.25:
                    cells[2] = f"{float(cells[2]) * factor:g}"
                text.append(",".join(cells))
            path = pathlib.Path(tmp) / "one.csv"
            path.write_text("\n".join(text) + "\n", encoding="utf-8")
            r = run("run", str(KINDS / "theophylline"), "--patient", str(path), "--json", "--no-report", "--draws",
                    "300", "--priors", f"{tmp}/none.tsv")
            check("sealed: runs", r.returncode == 0, r.stderr)
            docs.append(json.loads(r.stdout))
        for key in ("prior", "belief", "forecast", "proposal", "reason"):
            same = docs[0][key] == docs[1][key]
            check(f"sealed: {key} does not depend on sealed values", same)
        check("sealed: the score does", docs[0]["score"] != docs[1]["score"])


def new_kind():
    with tempfile.TemporaryDirectory() as tmp:
        r = run("twin", "new", "mine", "--into", tmp, "--template", str(KINDS / "_template"))
        check("twin new: exit 0", r.returncode == 0, r.stderr)
        r = run("run", f"{tmp}/mine", "--no-report")
        check("twin new: runs at once", r.returncode == 0, r.stderr)
        r = run("twin", "new", "mine", "--into", tmp, "--template", str(KINDS / "_template"))
        check("twin new: twice is a conflict", r.returncode == 4, r.stderr)


def helps():
    """Every command explains itself, and every option in its help is taken by its parser."""
    commands = [["run"], ["twin", "list"], ["twin", "show"], ["twin", "new"], ["twin", "validate"], ["fit"], ["vpc"], ["simulate"],
                ["model", "show"], ["model", "check"], ["model", "convert"], ["data", "check"], ["petab", "eval"], ["profile"], ["sample"], ["sensitivity"], ["suite"], ["bench"], ["doctor"]]
    overall = run("--help").stdout
    for c in commands:
        r = run(*c, "--help")
        check(f"{c} --help: exit 0", r.returncode == 0 and r.stdout.startswith(f"usage: doppel {' '.join(c)}"), r.stdout)
        check(f"{c}: in the overall help", f"doppel {' '.join(c)} " in overall, overall)
        r = run(*c, "--nonsense")
        check(f"{c} --nonsense: exit 2", r.returncode == 2 and "--nonsense" in r.stderr, r.stderr)
        r = run(*c, "-x")
        check(f"{c} -x: exit 2", r.returncode == 2 and "'-x'" in r.stderr, r.stderr)
    for args, wanted in ((["run"], "one KIND"), (["run", "a", "b"], "one KIND"), (["fit"], "one KIND"), (["simulate"], "one MODEL"),
                         (["suite", "x"], "NAME and DIR"), (["suite", "x", "y"], "unknown suite"), (["doctor", "x"], "'x'"),
                         (["twin", "list", "x"], "'x'"), (["twin"], "needs one of"), ([], "usage"),
                         (["run", "theophylline", "--draws", "5"], "--draws"), (["run", "theophylline", "--seed", "1e3"], "--seed"),
                         (["run", "theophylline", "--seed", "99999999999999999999"], "--seed"),
                         (["run", "theophylline", "--until", "inf"], "--until"), (["run", "theophylline", "--until"], "needs a value"),
                         (["run", "theophylline", "--discrepancy", "maybe"], "--discrepancy"),
                         (["run", "theophylline", "--json=1"], "takes no value"),
                         (["fit", "theophylline", "--method", "magic"], "--method"),
                         (["fit", "theophylline", "-o", "x"], "--leave-one-out")):
        r = run(*args, cwd=SOURCE)
        check(f"{args}: exit 2", r.returncode == 2, f"{r.returncode} {r.stderr}")
        check(f"{args}: says {wanted}", wanted in r.stderr, r.stderr)


def table_of(csv):
    head, *body = [x.split(",") for x in csv.splitlines()]
    return head, [[float(v) for v in x] for x in body]


def simulate():
    """One compartment against its closed forms: bolus, infusion, repeated doses; bands over members."""
    text = "model one()\n  k = 0.3;\n  ka = 1.1;\n  gut = 0; body = 0;\n  gut' = -ka*gut;\n  body' = ka*gut - k*body;\nend\n"
    with tempfile.TemporaryDirectory() as tmp:
        model = f"{tmp}/one.ant"
        pathlib.Path(model).write_text(text, encoding="utf-8")

        def curve(*args):
            r = run("simulate", model, "--at", "0.5,2,7,11", *args)
            check(f"simulate {args}: exit 0", r.returncode == 0, r.stderr)
            return table_of(r.stdout)

        def near(name, rows, column, truth):
            worst = max(abs(x[column] - truth(x[0])) for x in rows)
            check(name, worst < 1e-5, f"worst {worst}")

        def oral(t, dose=100.0, k=0.3, ka=1.1):
            return dose * ka / (ka - k) * (math.exp(-k * t) - math.exp(-ka * t)) if t > 0 else 0.0

        head, rows = curve("--dose", "gut=100@0")
        check("simulate: columns", head == ["time", "gut", "body"], head)
        near("simulate: oral dose", rows, 2, oral)
        _, rows = curve("--dose", "body=60@1/4")
        near("simulate: infusion", rows, 2, lambda t: 0 if t < 1 else
             50 * (1 - math.exp(-0.3 * (min(t, 5) - 1))) * math.exp(-0.3 * max(0, t - 5)))
        _, rows = curve("--dose", "gut=100@1+3*3", "--set", "k=0.2")
        near("simulate: three doses and a parameter", rows, 2, lambda t: sum(oral(t - s, k=0.2) for s in (1, 4, 7)))
        _, one = curve("--dose", "gut=100@1", "--dose", "gut=100@4", "--dose", "gut=100@7", "--set", "k=0.2")
        check("simulate: repeats are doses", all(abs(a[2] - b[2]) < 1e-6 for a, b in zip(rows, one)))
        # without --atol the states' own size decides: a molar model, and what grows out of less than any fixed tolerance
        small = f"{tmp}/small.ant"
        pathlib.Path(small).write_text("model s()\n a = 1e-13; b = 0; r = 1; s = 1e-25;\n a' = -a; b' = a - 2*b + 0*b*b;\n"
                                       " r' = piecewise(-1.5, time < 60, 1)*r;\n s' = s*(1 - s);\nend\n", encoding="utf-8")
        r = run("simulate", small, "--end", "100", "--steps", "100")
        check("simulate: small states: exit 0", r.returncode == 0, r.stderr)
        _, rows = table_of(r.stdout)
        truth = lambda t: (1e-13 * math.exp(-t), 1e-13 * (math.exp(-t) - math.exp(-2 * t)),
                           math.exp(-1.5 * t) if t < 60 else math.exp(-90 + (t - 60)), 1 / (1 + (1e25 - 1) * math.exp(-t)))
        for k, name in enumerate(("decays from 1e-13", "passes through", "falls and rises", "grows from 1e-25")):
            worst = max(abs(x[k + 1] - truth(x[0])[k]) / (truth(x[0])[k] or 1e-300) for x in rows if x[0] < (20 if k < 2 else 101))
            check(f"simulate: small states: {name}", worst < 1e-5, f"worst {worst}")
        head, rows = curve("--dose", "body=10@0", "--output", "max(body,1)")
        check("simulate: a comma in a formula stays in its column", len(rows[0]) == 2)
        # members: ln of a lognormal rate is normal, so the median of exp(-k t) is exp(-median t)
        ensemble = ["--dose", "body=10@0", "--members", "4000", "--vary", "k=lognormal(0.3,0.4)", "--output", "body"]
        head, rows = curve(*ensemble)
        check("simulate: bands", head == ["time", "body_q05", "body_q50", "body_q95"], head)
        for t, low, mid, high in rows:
            for q, z, got in ((0.05, 1.6448536, low), (0.5, 0.0, mid), (0.95, -1.6448536, high)):
                rate = 0.3 * math.exp(0.4 * z)
                # 4.5 standard errors of a quantile: sqrt(q (1 - q) / n) / density, in units of the normal deviate
                slack = 4.5 * math.sqrt(q * (1 - q) / 4000) / (math.exp(-z * z / 2) / math.sqrt(2 * math.pi))
                bounds = sorted(10 * math.exp(-rate * math.exp(0.4 * s) * t) for s in (slack, -slack))
                check(f"simulate: quantile {q} at {t}", bounds[0] <= got <= bounds[1], f"{got} not in {bounds}")
        a, b = (run("simulate", model, *ensemble, "--threads", n).stdout for n in ("1", "2"))
        check("simulate: same bytes on 1 and 2 threads", a == b and len(a) > 100)
        c = run("simulate", model, *ensemble, "--seed", "5").stdout
        check("simulate: the seed matters", a != c)
        document = json.loads(run("simulate", model, "--dose", "gut=100@0", "--at", "0.5,2", "--json").stdout)
        check("simulate: json", document["columns"] == ["time", "gut", "body"] and abs(document["rows"][1][2] - oral(2)) < 1e-4)
        for args, code, wanted in ((["--dose", "gut=@1"], 2, "--dose"), (["--dose", "gut=5@nan"], 2, "time"),
                                   (["--dose", "gut=5@1+0*3"], 2, "INTERVAL"), (["--dose", "gut=5@1+2"], 2, "INTERVAL"),
                                   (["--dose", "gut=5@1/0"], 2, "duration"), (["--dose", "gat=5@1"], 3, "gat"),
                                   (["--set", "kk=1"], 3, "kk"), (["--set", "k=x"], 2, "number"), (["--at", "2,1"], 2, "ascend"),
                                   (["--vary", "k=normal(1,1)"], 2, "--members"), (["--start", "1e300"], 2, "--start"),
                                   (["--vary", "k=odd(1,1)", "--members", "3"], 2, "odd"), (["-o", "xml"], 2, "csv or json"),
                                   (["--method", "magic"], 2, "magic"),
                                   (["--vary", "kk=normal(1,1)", "--members", "3"], 3, "did you mean"),
                                   (["--vary", "k=lognormall(1,1)", "--members", "3"], 2, "did you mean 'lognormal'"),
                                   (["--vary", "k=factor(0.5)", "--members", "3"], 2, "at least 1"),
                                   (["--vary", "k=lognormal(-1,1)", "--members", "3"], 2, "median is positive"),
                                   (["--vary", "k=normal(1,-1)", "--members", "3"], 2, "spread is not negative"),
                                   (["--vary", "k=factor(2,3)", "--members", "3"], 2, "expected"),
                                   (["--vary", "k=loguniform(0,3)", "--members", "3"], 2, "positive"),
                                   (["--vary", "k=loguniform(1,inf)", "--members", "3"], 2, "expected"),
                                   (["--vary", "all=normal(0,3)", "--members", "3"], 2, "factor(f) only"),
                                   (["--vary", "=factor(2)", "--members", "3"], 2, "--vary"),
                                   (["--set", "k=0", "--vary", "k=factor(2)", "--members", "3"], 2, "other than 0"),
                                   (["--bands", "q101", "--members", "3"], 2, "q101"), (["--bands", "qx"], 2, "qx"),
                                   (["--bands", "median"], 2, "median"), (["--bands", ""], 2, "no words"),
                                   (["--rank-error", "0.7"], 2, "--rank-error"), (["--rank-error", "-1"], 2, "--rank-error"),
                                   (["--lanes", "3"], 2, "1, 2, 4 or 8"), (["--members", "0"], 2, "--members"),
                                   (["--members", "3000000000"], 2, "2000000000")):
            r = run("simulate", model, *args)
            check(f"simulate {args}: exit {code}", r.returncode == code, f"{r.returncode} {r.stderr}")
            check(f"simulate {args}: says {wanted}", wanted in r.stderr, r.stderr)


STIFF = """model robertson()
  k1 = 0.04; k2 = 3e7; k3 = 1e4; none = 0;
  A = 1; B = 0; C = 0;
  A' = -k1*A + k3*B*C; B' = k1*A - k3*B*C - k2*B^2; C' = k2*B^2 + none;
end
"""


def ensembles():
    """Many members of a stiff model: the same bytes however they are run; draws; what bands are and how exact."""
    with tempfile.TemporaryDirectory() as tmp:
        model = f"{tmp}/stiff.ant"
        pathlib.Path(model).write_text(STIFF, encoding="utf-8")
        base = ["simulate", model, "--end", "40", "--steps", "4", "--rtol", "1e-5", "--atol", "1e-9", "--vary", "all=factor(10)",
                "--cache", f"{tmp}/cache"]
        for n in ("500", "20000"):
            first = run(*base, "--members", n, "--threads", "1")
            check(f"ensemble of {n}: exit 0", first.returncode == 0 and len(first.stdout) > 200, first.stderr)
            for more in (["--threads", "2"], ["--lanes", "1"], ["--lanes", "2"], ["--lanes", "8"], ["--interpret"], ["--no-cache"]):
                r = run(*base, "--members", n, *more)
                check(f"ensemble of {n} {more}: same bytes", r.stdout == first.stdout, r.stderr)
        # exact up to 8192 members, then within the stated rank error: both against every value, sorted
        for n, error in ((3000, 0), (20000, 5e-4)):
            args = [*base, "--members", str(n), "--output", "A"]
            every = run(*args, "--all").stdout
            _, rows = table_of(every)
            values = sorted(x[2] for x in rows if x[1] == 40)
            document = json.loads(run(*args, "--json", "--bands", "mean,sd,q05,q25,q50,q75,q95").stdout)
            mean, sd, *quantiles = document["rows"][-1][1:]
            check(f"bands of {n}: names", document["columns"] == ["time"] + [f"A_{x}" for x in ("mean", "sd", "q05", "q25", "q50", "q75",
                                                                                                  "q95")], document["columns"])
            check(f"bands of {n}: stated error", document["rank_error"] <= error and (error == 0 or document["rank_error"] > 0), document)
            for q, got in zip((.05, .25, .5, .75, .95), quantiles):
                rank, at = int(q * (n - 1) + 0.5), values.index(got)
                check(f"bands of {n}: q {q}", abs(rank - at) <= error * n, (rank, at))
            truth = math.fsum(values) / n
            spread = math.sqrt(math.fsum((v - truth) ** 2 for v in values) / (n - 1))
            check(f"bands of {n}: mean and sd", abs(mean - truth) < 1e-12 and abs(sd - spread) < 1e-12, (mean, truth, sd, spread))
            exact = json.loads(run(*args, "--json", "--rank-error", "0").stdout)
            check(f"bands of {n}: exact when asked", exact["rank_error"] == 0 and exact["rows"][-1][1:] ==
                  [values[int(q * (n - 1) + 0.5)] for q in (.05, .5, .95)], exact["rows"][-1])
        # draws: factor(f) is log-uniform within the factor; `all` draws what each id by itself would; 0 stays 0
        args = ["simulate", model, "--at", "0", "--members", "2000", "--all"]
        outputs = [x for k in ("k1", "k2", "none") for x in ("--output", k)]
        _, one = table_of(run(*args, *outputs, "--vary", "all=factor(10)").stdout)
        _, two = table_of(run(*args, *outputs, "--vary", "k1=factor(10)", "--vary", "k2=factor(10)").stdout)
        logs = sorted(math.log10(x[2] / 0.04) for x in one)
        check("vary: all is each", [x[2:] for x in one] == [x[2:] for x in two])
        check("vary: 0 stays", all(x[4] == 0 for x in one))
        check("vary: factor", -1 <= logs[0] < -0.99 and 0.99 < logs[-1] <= 1 and
              max(abs(v - (2 * (i + 0.5) / 2000 - 1)) for i, v in enumerate(logs)) < 0.1, logs[::200])
        _, rows = table_of(run(*args, "--output", "k1", "--vary", "k1=loguniform(0.01,100)").stdout)
        logs = sorted(math.log10(x[2]) for x in rows)
        check("vary: loguniform", max(abs(v - (4 * (i + 0.5) / 2000 - 2)) for i, v in enumerate(logs)) < 0.2, logs[::200])
        # members that fail are counted, and told of; the others' bands are as they were
        blow = f"{tmp}/blow.ant"
        pathlib.Path(blow).write_text("x = 1; k = 1; x' = k*x*x\n", encoding="utf-8")
        r = run("simulate", blow, "--at", "0,1", "--members", "20000", "--vary", "k=uniform(0,2)", "--json")
        document = json.loads(r.stdout)
        check("failures: counted", r.returncode == 6 and 9500 < document["failed"] < 10500 and document["reason"] and
              f"({document['failed']} of 20000 failed)" in r.stderr, r.stderr)
        check("failures: the others", abs(document["rows"][1][2] - 2) < 0.1, document["rows"])


def stopped():
    """Ctrl-C gives the bands over the members done, says so, and exits 75."""
    with tempfile.TemporaryDirectory() as tmp:
        model = f"{tmp}/stiff.ant"
        pathlib.Path(model).write_text(STIFF, encoding="utf-8")
        p = subprocess.Popen([DOPPEL, "simulate", model, "--end", "40", "--steps", "4", "--members", "200000000", "--vary",
                              "all=factor(10)", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        time.sleep(3)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=60)
        document = json.loads(out)
        check("Ctrl-C: exit 75", p.returncode == 75, p.returncode)
        check("Ctrl-C: says so", f"bands are over the first {document['done']} of 200000000 members" in err, err)
        check("Ctrl-C: bands", document["members"] == 200000000 and 0 < document["done"] < 200000000 and len(document["rows"]) == 5, out)


def bench():
    """The benchmark's shape; small, as its figures are no test."""
    r = run("bench", "ensemble", "--only", "robertson", "--members", "64", "--sample", "8", "--repeats", "1", "--json", "--no-cache")
    check("bench: exit 0", r.returncode == 0, r.stderr)
    document = json.loads(r.stdout)
    row = document["rows"][0]
    check("bench: shape", document["machine"] and row["name"] == "robertson" and row["peer"] == "cvode" and
          all(isinstance(row[k], float | int) for k in ("seconds", "ratio_to_cvode", "error", "peer_error")), document)
    for args, wanted in ((["bench", "ensmble"], "did you mean 'ensemble'"), (["bench", "--only", "hirs"], "did you mean 'hires'"),
                         (["bench", "--members", "0"], "--members"), (["bench", "ensemble", "x"], "'x'")):
        r = run(*args)
        check(f"{args}: exit 2", r.returncode == 2 and wanted in r.stderr, r.stderr)


SBML = """<?xml version="1.0" encoding="UTF-8"?>
<sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"{package}>
<model id="m"{strict}>
<listOfCompartments><compartment id="c" size="2" constant="true"/></listOfCompartments>
<listOfSpecies>{species}</listOfSpecies>
<listOfParameters>{parameters}</listOfParameters>
<listOfReactions>{reactions}</listOfReactions>
{more}</model></sbml>
"""


def sbml_text(species, parameters, reactions, more="", flux=False):
    """species: id -> initial amount; parameters: id -> value; reactions: (id, from, to, rest of the element, attributes)."""
    head = "http://www.sbml.org/sbml/level3/version1/fbc/version2"
    return SBML.format(
        package=f' xmlns:fbc="{head}" fbc:required="false"' if flux else "", strict=' fbc:strict="true"' if flux else "",
        species="".join(f'<species id="{k}" compartment="c" initialAmount="{v}" hasOnlySubstanceUnits="false" '
                        'boundaryCondition="false" constant="false"/>' for k, v in species.items()),
        parameters="".join(f'<parameter id="{k}" value="{v}" constant="true"/>' for k, v in parameters.items()),
        reactions="".join(
            f'<reaction id="{name}" reversible="false" fast="false"{attributes}>' + "".join(
                f'<listOf{side}s><speciesReference species="{x}" stoichiometry="1" constant="true"/></listOf{side}s>'
                for side, x in (("Reactant", a), ("Product", b)) if x) + rest + "</reaction>"
            for name, a, b, rest, attributes in reactions), more=more)


def law(words):
    times = "".join(f"<ci> {w} </ci>" for w in words.split())
    return f'<kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/>{times}</apply></math></kineticLaw>'


def simulate_sbml():
    """A decay in SBML: amounts and concentrations; jumps, whose mean is the decay; every trajectory."""
    with tempfile.TemporaryDirectory() as tmp:
        model = f"{tmp}/decay.xml"
        pathlib.Path(model).write_text(sbml_text({"S": 400, "P": 0}, {"k": 0.5}, [("J", "S", "P", law("k S c"), "")]),
                                       encoding="utf-8")
        r = run("simulate", model, "--at", "0,1,2")
        check("simulate sbml: exit 0", r.returncode == 0, r.stderr)
        head, rows = table_of(r.stdout)
        check("simulate sbml: all species", head == ["time", "S", "P"], head)
        check("simulate sbml: concentrations", all(abs(x[1] - 200 * math.exp(-0.5 * x[0])) < 1e-4 for x in rows), rows)
        head, rows = table_of(run("simulate", model, "--at", "0,2", "--output", "amount(S)", "--output", "S", "--output", "k*2",
                                  "--output", "J").stdout)
        check("simulate sbml: amounts, formulas, rates", head == ["time", "amount(S)", "S", "k*2", "J"] and
              abs(rows[1][1] - 400 * math.exp(-1)) < 1e-4 and rows[1][1] == 2 * rows[1][2] and rows[1][3] == 1, rows)
        r = run("simulate", model, "--start", "1")
        check("simulate sbml: an end of our own is said", "no --end: from 1 to 11" in r.stderr, r.stderr)
        jumps = ["simulate", model, "--at", "0,1,2", "--output", "amount(S)", "--method", "direct", "--members", "400"]
        head, rows = table_of(run(*jumps).stdout)
        check("simulate jumps: columns", head == ["time"] + [f"amount(S)_{x}" for x in ("mean", "sd", "q05", "q50", "q95")], head)
        for t, mean, sd, low, mid, high in rows:
            p = math.exp(-0.5 * t)
            error = math.sqrt(400 * p * (1 - p) / 400)
            check(f"simulate jumps: mean and sd at {t}", abs(mean - 400 * p) <= 4.5 * error and
                  abs(sd - 20 * error) <= 4.5 * 20 * error / math.sqrt(800) and low <= mid <= high, (mean, sd))
        a, b = (run(*jumps, "--threads", n).stdout for n in ("1", "2"))
        check("simulate jumps: same bytes on 1 and 2 threads", a == b and len(a) > 100)
        head, rows = table_of(run("simulate", model, "--at", "0,1", "--method", "next-reaction", "--members", "3", "--all").stdout)
        check("simulate jumps: trajectories", head == ["member", "time", "S", "P"] and [x[:2] for x in rows] ==
              [[m, t] for m in range(3) for t in range(2)] and len({x[2] for x in rows if x[1] == 1}) > 1, rows)


def simulate_trouble():
    """A model that blows up keeps the rows before, says when, in which state and why, and exits 6."""
    with tempfile.TemporaryDirectory() as tmp:
        model = f"{tmp}/blow.ant"
        pathlib.Path(model).write_text("x = 1; x' = x*x; y = 1; y' = -y\n", encoding="utf-8")
        r = run("simulate", model, "--at", "0,0.5,2,3")
        _, rows = table_of(r.stdout)
        check("simulate blow-up: exit 6", r.returncode == 6, r.returncode)
        check("simulate blow-up: rows before", [x[0] for x in rows] == [0, 0.5] and abs(rows[1][1] - 2) < 1e-6, rows)
        for word in ("failed at time 1", "state at time 0.99999", "likely cause: x grows without bound"):
            check(f"simulate blow-up: says {word}", word in r.stderr, r.stderr)
        document = json.loads(run("simulate", model, "--at", "0,0.5,2", "--json").stdout)
        check("simulate blow-up: json", document["failed"] == 1 and abs(document["failed_at"] - 1) < 1e-6 and
              len(document["rows"]) == 2, document)


def flux_model(upper):
    bounds = ' fbc:lowerFluxBound="zero" fbc:upperFluxBound="{}"'.format
    more = ('<fbc:listOfObjectives fbc:activeObjective="OBJ"><fbc:objective fbc:id="OBJ" fbc:type="maximize"><fbc:listOfFluxObjectives>'
            '<fbc:fluxObjective fbc:reaction="out" fbc:coefficient="2"/></fbc:listOfFluxObjectives></fbc:objective></fbc:listOfObjectives>')
    return sbml_text({"S": 0}, {"zero": 0, "four": 4, "ten": 10},
                     [("in", "", "S", "", bounds(upper)), ("out", "S", "", "", bounds("ten"))], more, flux=True)


def fluxes():
    """A flux balance model prints its fluxes; one without solution says which."""
    with tempfile.TemporaryDirectory() as tmp:
        model = pathlib.Path(tmp) / "flux.xml"
        model.write_text(flux_model("four"), encoding="utf-8")
        r = run("simulate", str(model))
        check("fluxes", r.returncode == 0 and r.stdout == "reaction,flux\n[objective],8\nin,4\nout,4\n", r.stdout + r.stderr)
        document = json.loads(run("simulate", str(model), "--json").stdout)
        check("fluxes: json", document == {"objective": 8, "fluxes": {"in": 4, "out": 4}}, document)
        model.write_text(flux_model("four").replace('"out" reversible="false" fast="false" fbc:lowerFluxBound="zero"',
                                                    '"out" reversible="false" fast="false" fbc:lowerFluxBound="ten"'), encoding="utf-8")
        r = run("simulate", str(model))
        check("fluxes: no solution", r.returncode == 6 and r.stdout == "" and "'OBJ': infeasible" in r.stderr, r.stderr)


def put_case(folder, name, model, end, values, off=0.0):
    place = pathlib.Path(folder) / name
    place.mkdir()
    (place / f"{name}-sbml-l3v1.xml").write_text(model, encoding="utf-8")
    (place / f"{name}-settings.txt").write_text(
        f"start: 0\nduration: {end}\nsteps: {len(values) - 1}\nvariables: S\nabsolute: 1e-6\nrelative: 1e-4\n"
        "amount: S\nconcentration:\n", encoding="utf-8")
    rows = "".join(f"{end * i / (len(values) - 1)},{v + off}\n" for i, v in enumerate(values))
    (place / f"{name}-results.csv").write_text("time,S\n" + rows, encoding="utf-8")
    (place / f"{name}-model.m").write_text("generatedBy: Analytic\n", encoding="utf-8")


def suite_stochastic():
    """400 independent decays: binomial mean and standard deviation; another mean is found out."""
    decay = sbml_text({"X": 400}, {"k": 0.5}, [("J", "X", "", law("k X c"), "")]).replace('size="2"', 'size="1"')
    with tempfile.TemporaryDirectory() as tmp:
        for name, off in (("00001", 0), ("00002", 5)):
            put_case(tmp, name, decay, 4, [0] * 5)
            place = pathlib.Path(tmp) / name
            (place / f"{name}-settings.txt").write_text(
                "start: 0\nduration: 4\nsteps: 4\nvariables: X\nabsolute:\nrelative:\namount: X\nconcentration:\n"
                "output: X-mean, X-sd\nmeanRange: (-5, 5)\nsdRange: (-6, 6)\n", encoding="utf-8")
            rows = "".join(f"{t},{400 * math.exp(-0.5 * t) + (off if t else 0)},"
                           f"{20 * math.sqrt(math.exp(-0.5 * t) * (1 - math.exp(-0.5 * t)))}\n" for t in range(5))
            (place / f"{name}-results.csv").write_text("time,X-mean,X-sd\n" + rows, encoding="utf-8")
        for method in ("direct", "next-reaction"):
            r = run("suite", "sbml-stochastic", tmp, "--runs", "2000", "--method", method, "--ndjson")
            rows = [json.loads(x) for x in r.stdout.splitlines()[:-1]]
            check(f"suite sbml-stochastic {method}", r.returncode == 1 and [x["status"] for x in rows] == ["pass", "fail"] and
                  "X-mean" in rows[1]["why"] and r.stdout.endswith("1 passed, 1 failed, 0 refused\n"), r.stdout + r.stderr)


def suite_sbml():
    """Cases made by hand: the shape of the answer, what passes, fails, is an error; order and exit code."""
    decay = sbml_text({"S": 4}, {"k": 0.5}, [("J", "S", "", law("k S c"), "")])
    truth = [4 * math.exp(-0.5 * t) for t in range(5)]
    with tempfile.TemporaryDirectory() as tmp:
        put_case(tmp, "00003", decay, 4, truth)
        put_case(tmp, "00001", decay, 4, truth, 0.01)
        put_case(tmp, "00002", decay.replace("<ci> k </ci>", "<ci> q </ci>"), 4, truth)
        r = run("suite", "sbml", tmp)
        lines = r.stdout.splitlines()
        check("suite sbml: exit 1 when one fails", r.returncode == 1, r.stderr)
        check("suite sbml: last line", lines[-1] == "1 passed, 2 failed, 0 refused", lines[-1])
        check("suite sbml: counts by status", "pass 1, fail 1, error 1, refused 0" in lines, lines)
        check("suite sbml: analytic cases", any("analytic reference: 3, passed 1, at a tenth of the tolerance 1" in x for x in lines), lines)
        r = run("suite", "sbml", tmp, "--ndjson", "--threads", "2")
        rows = [json.loads(x) for x in r.stdout.splitlines()[:-1]]
        check("suite sbml: ndjson in order", [(x["case"], x["status"]) for x in rows] ==
              [("00001", "fail"), ("00002", "error"), ("00003", "pass")], rows)
        check("suite sbml: ndjson keys", all(list(x) == ["case", "status", "seconds", "worst", "why"] for x in rows), rows)
        check("suite sbml: worst and why", rows[0]["worst"] > 1 and "S at time" in rows[0]["why"] and rows[1]["worst"] is None and
              "'q'" in rows[1]["why"] and rows[2]["worst"] <= 1 and rows[2]["why"] == "", rows)
        check("suite sbml: ndjson last line", r.stdout.splitlines()[-1] == "1 passed, 2 failed, 0 refused")
        r = run("suite", "sbml", tmp, "--only", "00003", "--all-levels")
        check("suite sbml: only", r.returncode == 0 and r.stdout.endswith("1 passed, 0 failed, 0 refused\n"), r.stdout)
        r = run("suite", "sbml", tmp, "--only", "00004")
        check("suite sbml: no such case", r.returncode == 3 and "00004" in r.stderr, r.stderr)
        r = run("suite", "sbml", f"{tmp}/00003")
        check("suite sbml: a folder without cases", r.returncode == 3 and "settings" in r.stderr, r.stderr)


def output():
    """Output that cannot be written is exit 75 and leaves nothing; a reader who hangs up harms nobody."""
    kind = str(KINDS / "theophylline")
    quick = ["run", kind, "--patient", "1", "--draws", "200"]
    with tempfile.TemporaryDirectory() as tmp:
        for target in (f"{tmp}/none/x.html", tmp, "/dev/full"):
            r = run(*quick, "-o", target)
            check(f"-o {target}: exit 75", r.returncode == 75, f"{r.returncode} {r.stderr}")
            check(f"-o {target}: named, and at once", target in r.stderr and "nothing was run" in r.stderr, r.stderr)
        check("unwritable: nothing left", not list(pathlib.Path(tmp).iterdir()))
        check("unwritable: the device is still one", not pathlib.Path("/dev/full").is_file())
        for args in ([*quick, "--no-report"], ["--help"], ["twin", "show", kind], [*quick, "--json", "--no-report"]):
            with open("/dev/full", "w", encoding="utf-8") as full:
                r = subprocess.run([DOPPEL, *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
            check(f"{args} to a full disk: exit 75", r.returncode == 75, f"{r.returncode} {r.stderr}")
        with subprocess.Popen([DOPPEL, *quick, "-o", f"{tmp}/r.html"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as p:
            p.stdout.close()
            p.wait(timeout=120)
        page = pathlib.Path(tmp) / "r.html"
        check("broken pipe: the page is whole", page.exists() and page.read_text(encoding="utf-8").rstrip().endswith("</html>"))
        check("broken pipe: nothing else is left", [x.name for x in pathlib.Path(tmp).iterdir()] == ["r.html"])
        first = page.read_bytes()
        run(*quick, "-o", f"{tmp}/r.html")
        check("the same command gives the same page", page.read_bytes() == first)


def private_paths():
    """Neither document nor page says where files lie, unless the user typed it."""
    with tempfile.TemporaryDirectory() as tmp:
        (pathlib.Path(tmp) / "twins").symlink_to(KINDS)
        out = []
        for place in ("a", "b"):
            folder = pathlib.Path(tmp) / place
            folder.mkdir()
            (folder / "twins").symlink_to(KINDS)
            r = run("run", "theophylline", "--patient", "2", "--draws", "200", "--json", "-o", "r.html", cwd=folder)
            check("paths: runs", r.returncode == 0, r.stderr)
            out.append((r.stdout, (folder / "r.html").read_bytes()))
        check("paths: the same bytes in another folder", out[0] == out[1])
        check("paths: none in the document", tmp not in out[0][0] and str(SOURCE) not in out[0][0] and "seconds" not in out[0][0])
        check("paths: none in the page", str(SOURCE).encode() not in out[0][1] and tmp.encode() not in out[0][1])


def discrepancy():
    """--discrepancy on: said in document and table, and bands are wider over the sealed samples."""
    def width(document):
        return sum(x["quantiles"][7] - x["quantiles"][1] for p in document["patients"] for x in p["score"]["samples"])

    got = {}
    for word in ("on", "off"):
        r = run("run", str(KINDS / "theophylline"), "--no-decide", "--draws", "400", "--json", "--no-report", "--discrepancy", word)
        check(f"discrepancy {word}: runs", r.returncode == 0, r.stderr)
        got[word] = json.loads(r.stdout)
        check(f"discrepancy {word}: said", got[word]["discrepancy"] is (word == "on"))
    medians = [p["belief"]["discrepancy_sd"] for p in got["on"]["patients"]]
    check("discrepancy: medians", all(0 < x < 1 for x in medians) and got["off"]["patients"][0]["belief"]["discrepancy_sd"] is None)
    check("discrepancy: wider bands", width(got["on"]) > 1.05 * width(got["off"]), (width(got["on"]), width(got["off"])))
    r = run("run", str(KINDS / "_template"), "--no-report", "--discrepancy", "on")
    check("discrepancy: refused where the kind gives none", r.returncode == 7 and "discrepancy" in r.stderr, r.stderr)


ENZYME = """model enzyme()
  compartment C = 2;
  species S in C, E in C, ES in C, P in C;
  S = 5; E = 1; ES = 0; P = 0; k1 = 1; k2 = 0.1; k3 = 0.30000000000000004; never = 3;
  J1: S + E -> ES; C*k1*S*E;
  J2: ES -> S + E; C*k2*ES;
  J3: ES -> E + P; C*k3*ES;
  at time > 4: S = 5;
end
"""


def model_commands():
    """model check says what a reader finds; model convert writes SBML and back, and the equations stay the same."""
    def equations(path):
        return run("model", "show", str(path)).stdout.splitlines()[1:]

    with tempfile.TemporaryDirectory() as tmp:
        ant, xml, back = (pathlib.Path(tmp) / x for x in ("enzyme.ant", "enzyme.xml", "back.ant"))
        ant.write_text(ENZYME, encoding="utf-8")
        r = run("model", "check", str(ant))
        check("model check: exit 0", r.returncode == 0, r.stderr)
        for wanted in ("4 species", "to run: 4 differential equations, 1 event", "E + ES = 2", "never is not used", "no units"):
            check(f"model check: says {wanted}", wanted in r.stdout, r.stdout)
        r = run("model", "check", str(ant), "--json")
        document = json.loads(r.stdout)
        check("model check --json: sound", document["status"] == "sound" and document["states"] == 4, r.stdout)
        check("model check --json: findings", {"conserved", "structure", "units", "summary"} == {x["kind"] for x in document["findings"]})
        ring = pathlib.Path(tmp) / "ring.ant"
        ring.write_text("i = 0*i\n", encoding="utf-8")
        r = run("model", "convert", str(ring))
        check("model convert: what would not be valid is not written", r.returncode == 7 and not r.stdout and "'i'" in r.stderr,
              r.stderr)
        r = run("model", "convert", str(ant), "-o", str(xml), "--dry-run")
        check("model convert --dry-run: writes nothing", r.returncode == 0 and not xml.exists(), r.stderr)
        r = run("model", "convert", str(ant), "-o", str(xml))
        check("model convert: SBML", r.returncode == 0 and "level3/version2" in xml.read_text(encoding="utf-8"), r.stderr)
        check("model convert: the same equations", equations(ant) == equations(xml), (equations(ant), equations(xml)))
        r = run("model", "convert", str(xml), "-o", str(back))
        check("model convert: and back", r.returncode == 0 and equations(back) == equations(ant), r.stderr)
        check("model convert: to standard output", run("model", "convert", str(xml), "--to", "sbml").stdout.startswith("<?xml"))
        check("model convert: no such language", run("model", "convert", str(xml), "--to", "modelica").returncode == 2)
        check("model convert: nowhere to write", run("model", "convert", str(xml), "-o", f"{tmp}/no/x.ant").returncode == 75)
        xml.write_text(xml.read_text(encoding="utf-8").replace("species=\"ES\"", "species=\"Q\""), encoding="utf-8")
        r = run("model", "check", str(xml), "--json")
        check("model check: invalid", r.returncode == 3 and json.loads(r.stdout)["status"] == "invalid", r.stdout)
        check("model check: invalid is named", "Q" in r.stderr and "enzyme.xml:" in r.stderr, r.stderr)
        ant.write_text(ENZYME.replace("k1 = 1; k2 = 0.1;", "k1 := k2; k2 := k1;"), encoding="utf-8")
        r = run("model", "check", str(ant))
        check("model check: a loop is named", r.returncode == 3 and "k1" in r.stderr and "k2" in r.stderr, r.stderr)


UNFINISHED = """
model unfinished()
  A -> B; k*A; A = 1; B = 0;
  C -> D; kk*C; C = 1; D = 0;
  J: E -> ; ; E = 1;
  x' = 2;
  k = 0.5;
end
"""


def incomplete():
    """What is known of an unfinished model runs as ever; what is not is missing in the table and named with its cause."""
    with tempfile.TemporaryDirectory() as tmp:
        ant, xml, done = (pathlib.Path(tmp) / x for x in ("unfinished.ant", "unfinished.xml", "done.ant"))
        ant.write_text(UNFINISHED, encoding="utf-8")
        done.write_text("A -> B; k*A; A = 1; B = 0; k = 0.5", encoding="utf-8")
        times = ("--end", "4", "--steps", "4")
        r = run("simulate", str(ant), *times)
        check("incomplete: exit 0", r.returncode == 0, r.stderr)
        for wanted in ("parameter 'x' has no initial value", "reaction 'J' has no rate", "'kk' is used but not defined; did you mean 'k'?",
                       "so 'C', 'D', 'E', '_J1' are not known"):
            check(f"incomplete: says {wanted}", f"doppel: incomplete: {wanted}\n" in r.stderr, r.stderr)
        rows = [x.split(",") for x in r.stdout.splitlines()]
        whole = [x.split(",") for x in run("simulate", str(done), *times).stdout.splitlines()]
        check("incomplete: columns", rows[0] == ["time", "A", "B", "C", "D", "E", "x"], rows[0])
        check("incomplete: what is known is exact", [x[:3] for x in rows] == whole, (rows, whole))
        check("incomplete: what is not is empty", all(x[3:] == [""] * 4 for x in rows[1:]), rows)
        document = json.loads(run("simulate", str(ant), *times, "--json", "--set", "kk=1", "--set", "J=0.25").stdout)
        last = dict(zip(document["columns"], document["rows"][-1]))
        check("incomplete: --set completes", abs(last["C"] - math.exp(-4)) < 1e-7 and abs(last["E"]) < 1e-7 and last["x"] is None, last)
        check("incomplete: json says why", document["unknown"] == ["parameter 'x' has no initial value"], document)
        r = run("simulate", str(ant), "--set", "C=1")
        check("incomplete: what follows is no parameter", r.returncode == 3 and "no parameter 'C'" in r.stderr, r.stderr)
        r = run("simulate", str(ant), "--set", "x=1")
        check("incomplete: a state needs its value in the text", r.returncode == 3 and "state 'x' has no initial value" in r.stderr, r.stderr)
        r = run("simulate", str(ant), *times, "--members", "3", "--vary", "kk=uniform(1,2)", "--output", "C", "--output", "x")
        check("incomplete: --vary completes", r.returncode == 0 and float(r.stdout.splitlines()[-1].split(",")[2]) > 0 and
              r.stdout.splitlines()[-1].endswith(",,,"), r.stdout + r.stderr)
        r = run("simulate", str(ant), *times, "--method", "direct", "--output", "A + B", "--output", "D")
        check("incomplete: jumps", r.returncode == 0 and r.stdout.splitlines()[-1] == "4,1,", r.stdout + r.stderr)
        r = run("model", "check", str(ant))
        check("incomplete: check", r.returncode == 0 and ": incomplete; 2 states" in r.stdout and "'kk' is used but" in r.stdout, r.stdout)
        document = json.loads(run("model", "check", str(ant), "--json").stdout)
        check("incomplete: check --json", document["status"] == "incomplete" and
              any(x["element"] == "J" and x["line"] == 5 and x["kind"] == "structure" for x in document["findings"]), document)
        check("incomplete: show", "# incomplete: reaction 'J' has no rate" in run("model", "show", str(ant)).stdout)
        r = run("model", "convert", str(ant), "-o", str(xml), "--to", "sbml")
        check("incomplete: SBML has no names that are only used", r.returncode == 3 and "'kk' is used but not defined" in r.stderr, r.stderr)
        ant.write_text(UNFINISHED.replace("kk*C", "k*C"), encoding="utf-8")
        r = run("model", "convert", str(ant), "-o", str(xml), "--to", "sbml")
        check("incomplete: convert", r.returncode == 0, r.stderr)
        both = [run("simulate", str(x), *times) for x in (ant, xml)]
        check("incomplete: the same from SBML", both[0].stdout == both[1].stdout and both[0].stderr == both[1].stderr, both)
        ant.write_text("x' = -x; t' = 1; t = 0; at t > 1: x = 1", encoding="utf-8")
        r = run("simulate", str(ant))
        check("incomplete: an event that starts a state", r.returncode == 3 and "'x' has no initial value" in r.stderr, r.stderr)


def data_check():
    path = str(KINDS / "theophylline" / "patients" / "theophylline.csv")
    r = run("data", "check", path, "--kind", str(KINDS / "theophylline"))
    check("data check: exit 0", r.returncode == 0, r.stderr)
    check("data check: people", "12 people, 132 observations, 12 doses" in r.stdout, r.stdout)
    check("data check: doses", "oral" in r.stdout and "12 rows" in r.stdout, r.stdout)
    check("data check: samples", "132 rows of 12 people" in r.stdout, r.stdout)
    r = run("twin", "show", str(KINDS / "theophylline"), "--json")
    check("twin show --json", json.loads(r.stdout)["kind"]["id"] == "theophylline")
    r = run("twin", "list", "--twins", str(KINDS), "--json")
    check("twin list --json", "theophylline" in [x["id"] for x in json.loads(r.stdout)])


def copied_person():
    """A copy of one person's rows, later ones cut off and the id changed, is still that person: not in the own prior."""
    head, body = rows()
    first = ["somebody," + x.split(",", 1)[1] for x in body if x.split(",")[0] == "3"][:5]
    with tempfile.TemporaryDirectory() as tmp:
        path = pathlib.Path(tmp) / "mine.csv"
        path.write_text("\n".join([head, *first]) + "\n", encoding="utf-8")
        mine = run("run", str(KINDS / "theophylline"), "--patient", str(path), "--json", "--no-report", "--draws", "200")
        theirs = run("run", str(KINDS / "theophylline"), "--patient", "3", "--json", "--no-report", "--draws", "200")
        check("copied person: left out", json.loads(mine.stdout)["hashes"]["prior"] == json.loads(theirs.stdout)["hashes"]["prior"])


for test in (records, kinds, usage, helps, replay, sealed, new_kind, simulate, simulate_sbml, simulate_trouble, ensembles, stopped, bench,
             fluxes, suite_sbml, suite_stochastic, output, private_paths, discrepancy, model_commands, incomplete, data_check,
             copied_person):
    test()
sys.exit(finish())
