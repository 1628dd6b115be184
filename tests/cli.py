#!/usr/bin/env python3
"""The command line as a user meets it: bad input gets exit code 3 and a message with file, place, found and expected, and
leaves nothing half-written; the same command gives the same bytes on any number of threads.

usage: cli.py DOPPEL SOURCE_DIR"""
import json
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


for test in (records, kinds, usage, replay, sealed, new_kind):
    test()
print(f"{passed} passed, {len(failures)} failed")
sys.exit(1 if failures else 0)
