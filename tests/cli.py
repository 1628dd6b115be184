#!/usr/bin/env python3
"""The command line as a user meets it: bad input gets exit code 3 and a message with file, place, found and expected, and
leaves nothing half-written; the same command gives the same bytes on any number of threads.

usage: cli.py DOPPEL SOURCE_DIR"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import tempfile

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])
KINDS = SOURCE / "twins"
GOOD = (KINDS / "theophylline" / "patients" / "theophylline.csv").read_text(encoding="utf-8")
failures = []
passed = 0


def run(*args, cwd=None):
    return subprocess.run([DOPPEL, *args], cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def check(name, condition, detail=""):
    global passed
    if condition:
        passed += 1
    else:
        failures.append(name)
        print(f"FAILED {name}: {detail}")


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
    commands = [["run"], ["twin", "list"], ["twin", "show"], ["twin", "new"], ["twin", "validate"], ["fit"], ["simulate"],
                ["model", "show"], ["model", "check"], ["data", "check"], ["suite"], ["doctor"]]
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
                                   (["--method", "magic"], 2, "magic")):
            r = run("simulate", model, *args)
            check(f"simulate {args}: exit {code}", r.returncode == code, f"{r.returncode} {r.stderr}")
            check(f"simulate {args}: says {wanted}", wanted in r.stderr, r.stderr)


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


for test in (records, kinds, usage, helps, replay, sealed, new_kind, simulate, output, private_paths, discrepancy, data_check,
             copied_person):
    test()
print(f"{passed} passed, {len(failures)} failed")
sys.exit(1 if failures else 0)
