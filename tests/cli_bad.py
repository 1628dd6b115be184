#!/usr/bin/env python3
"""Bad input to every command: a file cut off, a wrong unit, a missing column or the nearest thing to it, ids that nobody knows, data
before the start, points that can't be evaluated. Each is refused with the documented exit code and says what is wrong, where, and what
would be right; nothing crashes or hangs, no answer is printed, no file is left.

usage: cli_bad.py DOPPEL SOURCE_DIR [PART...]"""
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from checks import check, finish

import petab_bad

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
KIND = SOURCE / "twins" / "theophylline"
TUNING = SOURCE / "twins" / "insulin" / "tunings" / "pump.yaml"
EXAMPLE = SOURCE / "examples" / "theophylline-one" / "theophylline-one.yaml"
TWINS = SOURCE / "twins"
SELECT = SOURCE / "examples" / "theophylline-select" / "select.yaml"
USAGE, INPUT, CONFLICT, CONVERGE, UNSUPPORTED, AGAIN = 2, 3, 4, 6, 7, 75


def run(*args, cwd=None):
    return subprocess.run([DOPPEL, *map(str, args)], cwd=cwd, capture_output=True, text=True, errors="replace", timeout=60, check=False)


def refused(name, code, wanted, *args, cwd=None, answer=False):
    """Exit `code` and each of `wanted` on standard error; nothing on standard output unless there is an answer to be had."""
    try:
        r = run(*args, cwd=cwd)
    except subprocess.TimeoutExpired:
        check(f"{name}: ends", False, args)
        return
    check(f"{name}: exit {code}", r.returncode == code, f"exit {r.returncode}: {r.stderr}")
    for w in [wanted] if isinstance(wanted, str) else wanted:
        check(f"{name}: says {w}", w in (r.stdout + r.stderr if answer else r.stderr), r.stderr + r.stdout[:300])
    check(f"{name}: one short message", r.stderr.count("\n") <= 3 or answer, r.stderr)
    if not answer:
        check(f"{name}: no data on stdout", not r.stdout, r.stdout[:200])


def put(folder, name, text):
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text, encoding="utf-8")
    return path


# ---- files: every argument and option that names one ----

BIRTHS = "model births()\n compartment c = 1; species x in c = 20;\n b = 8; d = 0.4;\n up: -> x; b;\n down: x -> ; d*x;\nend\n"
COUNTS = "ID,TIME,DV\n1,0.5,19.1\n1,1,22.8\n1,1.5,17.2\n"
PHI = "TABLE NO.     1: x: Problem=1\n SUBJECT_NO ID ETA(1) ETC(1,1) OBJ\n 1 1 0.1 0.01 3\n"
WRITTEN = {"-o", "--plot", "--table", "--page", "--individuals"}
MAY_BE_ABSENT = {"--resume", "--priors"} # where work is kept; what is looked up


def files(tmp):
    """What is to be read and is not there, is a folder, lies below a file or can't be followed: the same exit code everywhere, and its path."""
    model, data = put(tmp, "births.ant", BIRTHS), put(tmp, "counts.csv", COUNTS)
    sensor, person, vary = ("--sensor", "x,scale=2"), ("--patient", "1"), ("--vary", "b=uniform(1,2)", "--times", "1")
    gain, dose = ("--forecast", "c@24", "--candidate", "c@12"), ("--target", "c(24 h) = 5")
    sur = pathlib.Path(tmp, "o.sur")
    reads = {  # command and what names the file (as --help has it), the ending of such files, the command line with @ for it
        ("run", "KIND"): (".ctl", "run", "@"), ("run", "--patient"): (".csv", "run", KIND, "--no-report", "--patient", "@"),
        ("assimilate", "KIND|PROBLEM.yaml"): (".yaml", "assimilate", "@"), ("assimilate", "--patient"): (".csv", "assimilate", KIND, "--patient", "@"),
        ("forecast", "--patient"): (".csv", "forecast", KIND, "--plan", "none", "--patient", "@"),
        ("forecast", "--plan"): (".tsv", "forecast", KIND, *person, "--plan", "@"), ("plan", "--patient"): (".csv", "plan", KIND, "--patient", "@"),
        ("twin new", "--from"): (".ctl", "twin", "new", "mine", "--into", tmp, "--from", "@"),
        ("fit", "KIND|PROBLEM.yaml"): (".yaml", "fit", "@", "--starts", "2"), ("fit", "--patients"): (".csv", "fit", KIND, "--patients", "@"),
        ("vpc", "--patients"): (".csv", "vpc", KIND, "--patients", "@"),
        ("profile", "PROBLEM.yaml"): (".yaml", "profile", "@", "--starts", "2"), ("profile", "--from"): (".tsv", "profile", EXAMPLE, "--from", "@"),
        ("sample", "PROBLEM.yaml"): (".yaml", "sample", "@", "--starts", "2"), ("sample", "--from"): (".tsv", "sample", EXAMPLE, "--from", "@"),
        ("select", "SELECT.yaml"): (".yaml", "select", "@"), ("compare", "PROBLEM.yaml"): (".yaml", "compare", EXAMPLE, "@"),
        ("simulate", "MODEL"): (".xml", "simulate", "@"), ("sensitivity", "MODEL"): (".ant", "sensitivity", "@", *vary),
        ("track", "MODEL"): (".ant", "track", "@", "--data", data, *sensor), ("track", "--data"): (".csv", "track", model, "--data", "@", *sensor),
        ("gain", "KIND|PROBLEM.yaml"): (".yaml", "gain", "@", *gain), ("gain", "--patient"): (".csv", "gain", KIND, *gain, "--patient", "@"),
        ("dose", "--patient"): (".csv", "dose", KIND, *dose, "--patient", "@"), ("trial", "TRIAL.yaml"): (".yaml", "trial", "@"),
        ("tune", "TUNING.yaml"): (".yaml", "tune", "@", *person), ("tune", "--patient"): (".csv", "tune", TUNING, "--patient", "@"),
        ("surrogate fit", "MODEL|KIND"): (".ant", "surrogate", "fit", "@", *vary, "-o", sur),
        ("surrogate fit", "--patient"): (".csv", "surrogate", "fit", KIND, "--times", "1,2", "-o", sur, "--patient", "@"),
        ("surrogate forecast", "FILE"): (".sur", "surrogate", "forecast", KIND, "@", *person),
        ("surrogate forecast", "--patient"): (".csv", "surrogate", "forecast", KIND, sur, "--patient", "@"),
        ("surrogate show", "FILE"): (".sur", "surrogate", "show", "@"),
        ("model show", "FILE"): (".ant", "model", "show", "@"), ("model check", "FILE"): (".xml", "model", "check", "@"),
        ("model convert", "FILE"): (".ant", "model", "convert", "@", "--to", "sbml"), ("data check", "FILE"): (".csv", "data", "check", "@"),
        ("petab eval", "PROBLEM.yaml"): (".yaml", "petab", "eval", "@"), ("glucose", "FILE"): (".csv", "glucose", "@"),
        ("suite", "petab-math"): (".yaml", "suite", "petab-math", "@"),
        ("suite", "--reference"): (".tsv", "suite", "petab-benchmark", EXAMPLE.parent.parent, "--reference", "@"),
        ("suite", "--model"): (".ctl", "suite", "nonmem", put(tmp, "run001.phi", PHI).parent, "--only", "001", "--model", "@"),
        ("bench", "--problem"): (".yaml", "bench", "calibration", "--problem", "@"),
        ("bench", "--tuning"): (".yaml", "bench", "insulin", "--tuning", "@", "--twins", TWINS)}
    few = ("--points", "20", "--held-out", "20", "--kind", "pce", "--accept")
    check("surrogate for a forecast", run("surrogate", "fit", KIND, *person, "--times", "1,2", *few, "-o", sur).returncode == 0)
    put(tmp, "plain", "a file\n")
    for (command, what), (end, *line) in reads.items():
        where = {"not there": f"{tmp}/no{end}", "a folder": f"{tmp}/folder{end}", "below a file": f"{tmp}/plain/no{end}", "a loop": f"{tmp}/loop{end}"}
        pathlib.Path(where["a folder"]).mkdir(exist_ok=True)
        if not os.path.lexists(where["a loop"]):
            os.symlink(where["a loop"], where["a loop"])
        for name, path in where.items():
            if name == "a folder" and what in ("KIND", "--model"): # a kind is one
                continue
            refused(f"{command} {what}, {name}", INPUT, [path], *(path if x == "@" else x for x in line), answer=command == "bench")
    for words in re.findall(r"^  doppel (.+?)  ", run("--help").stdout, re.MULTILINE):
        verbs = [x for x in words.split() if x.islower()]
        command = " ".join(verbs)
        named = [x for x in words.split()[len(verbs):] if re.search(r"FILE|MODEL|\.yaml$", x)]
        named += [m[0] for m in re.findall(r"^  (-\S+) (\S*(?:FILE|\.yaml)\S*)", run(*verbs, "--help").stdout, re.MULTILINE)]
        for what in set(named) - WRITTEN - MAY_BE_ABSENT:
            check(f"files: {command} {what} is tried", (command, what.rstrip(".") if what.endswith("...") else what) in reads, sorted(reads))


# ---- people: event tables, read by every command about a KIND ----

def event_table():
    lines = [x for x in (KIND / "patients" / "theophylline.csv").read_text(encoding="utf-8").splitlines() if not x.startswith("#")]
    return [x.split(",") for x in lines]


def csv(rows):
    return "\n".join(",".join(x) for x in rows) + "\n"


def people(tmp):
    rows = event_table()
    head = rows[0]
    column = {name: i for i, name in enumerate(head)}

    def without(name):
        return csv([[c for i, c in enumerate(x) if i != column[name]] for x in rows])

    def changed(row, name, value):
        return csv([[value if (r, i) == (row, column[name]) else c for i, c in enumerate(x)] for r, x in enumerate(rows)])

    bad = [("cut off", csv(rows[:8]) + rows[8][0] + ",3", INPUT, ["t.csv:9", "found 2 fields, expected 7"]),
           ("of another unit", "#units: DV=mg\n" + csv(rows), INPUT, ["t.csv:1: #units: c", "'mg'", "'mg/L'"]),
           ("no column DV", without("DV"), INPUT, ["t.csv:3", "DV"]),
           ("no column TIME", without("TIME"), INPUT, ["t.csv", "TIME"]),
           ("a time that is none", changed(4, "TIME", "noon"), INPUT, ["t.csv:5", "TIME", "noon"]),
           ("before the start", changed(4, "TIME", "-2"), INPUT, ["t.csv:5", "TIME", "-2"]),
           ("measured where nothing is", changed(4, "CMT", "9"), INPUT, ["t.csv:5", "CMT 9", "c (CMT 2)"]),
           ("not text", bytes(range(256)), INPUT, ["t.csv"]), ("empty", "", INPUT, ["t.csv", "empty file"])]
    one = [("run", "--no-report"), ("assimilate",), ("gain", "--forecast", "c@24", "--candidate", "c@12")]
    for what, text, code, wanted in bad:
        path = put(tmp, "t.csv", text)
        for command, *more in one:
            refused(f"{command}, a person's file {what}", code, wanted, command, KIND, "--patient", path, *more)
        for command, *more in (("fit",), ("vpc",)):
            refused(f"{command}, a file of people {what}", code, wanted, command, KIND, "--patients", path, *more)
        if what != "measured where nothing is":
            refused(f"data check, {what}", code, wanted, "data", "check", path, "--kind", KIND)
    path = put(tmp, "grams.csv", "#units: DV=g/L\n" + csv([head] + [x for x in rows[1:] if x[column["ID"]] == "1"]))
    for command, *more in (*((*c, "--patient", path) for c in one), ("fit", "--patients", path), ("vpc", "--patients", path)):
        check(f"{command}, what was converted is told", "converted from g/L to mg/L" in run(command, KIND, *more).stderr, command)
    path = put(tmp, "doses.csv", csv([head] + [x for x in rows[1:] if x[column["EVID"]] == "101"]))
    refused("fit, nothing measured", INPUT, ["doses.csv", "no measured value"], "fit", KIND, "--patients", path)
    refused("vpc, nothing measured", INPUT, ["doses.csv", "no measured value"], "vpc", KIND, "--patients", path)
    path = put(tmp, "samples.csv", csv([head] + [x for x in rows[1:] if x[column["EVID"]] == "0"]))
    for more in ((), ("--json",)):
        refused(f"fit, people without doses {more}", CONVERGE, ["undetermined", "tv_ka", "tv_CL", "tv_V"], "fit", KIND, "--patients", path, *more,
                answer=True)
        check("fit, people without doses: their error is determined", "sd_add" not in run("fit", KIND, "--patients", path, *more).stdout.split(
            "undetermined", 1)[-1])
    check("fit, people with doses: nothing is undetermined", "undetermined" not in run("fit", KIND, "--method", "focei").stdout)
    path = put(tmp, "huge.csv", changed(14, "DV", "1e300"))
    for method in ("laplace", "focei", "agq"):
        refused(f"fit {method}, a likelihood of 0 at the start", CONVERGE, ["huge.csv:15", "person '2'", "starting values", "nominal values"],
                "fit", KIND, "--patients", path, "--method", method)
    for command, *more in one:
        refused(f"{command}, unknown person", INPUT, ["'77'", "the record has 12"], command, KIND, "--patient", "77", *more)
    refused("a dose of another unit", INPUT, ["quantities.tsv:2", "mg/L", "mmol/L"], "twin", "show",
            kind(tmp, "unit", "observables.tsv", lambda t: t.replace("mg/L", "mmol/L")))


# ---- kinds: folders and control streams ----

def kind(tmp, name, file, change):
    folder = pathlib.Path(tmp, name)
    shutil.copytree(KIND, folder)
    before = (folder / file).read_text(encoding="utf-8")
    after = change(before)
    check(f"{name}: the change took", before != after)
    (folder / file).write_text(after, encoding="utf-8")
    return folder


def drop_column(text, name):
    rows = [x.split("\t") for x in text.splitlines() if not x.startswith("#")]
    at = rows[0].index(name)
    return "\n".join("\t".join(c for i, c in enumerate(x) if i != at) for x in rows) + "\n"


def kinds(tmp):
    bad = [(kind(tmp, "cut", "model.ant", lambda t: t[:len(t) // 2]), ["model.ant:", "not closed"]),
           (kind(tmp, "unit", "observables.tsv", lambda t: t.replace("mg/L", "mmol/L")), ["quantities.tsv:2", "'mg/L'", "'mmol/L'"]),
           (kind(tmp, "column", "parameters.tsv", lambda t: drop_column(t, "nominalValue")), ["parameters.tsv:", "nominalValue"]),
           (kind(tmp, "yaml", "twin.yaml", lambda t: t[:len(t) // 3]), ["twin.yaml"])]
    commands = (("run", "--no-report"), ("assimilate", "--patient", "1"), ("fit",), ("vpc",), ("twin", "show"), ("twin", "validate"),
                ("gain", "--patient", "1", "--forecast", "c@24", "--candidate", "c@12"))
    for folder, wanted in bad:
        for first, *more in commands:
            verb = [first, more.pop(0)] if first == "twin" else [first]
            refused(f"{' '.join(verb)}, a kind with a bad {folder.name}", INPUT, wanted, *verb, folder, *more)
    for first, *more in commands:
        verb = [first, more.pop(0)] if first == "twin" else [first]
        refused(f"{' '.join(verb)}, no such kind", USAGE, ["theophilline", "did you mean 'theophylline'"], *verb, "theophilline", *more, cwd=SOURCE)
    stored = put(tmp, "priors.tsv", (KIND / "priors.tsv").read_text(encoding="utf-8")[:700])
    refused("run, stored priors cut off", INPUT, ["priors.tsv:", "columns"], "run", KIND, "--patient", "1", "--no-report", "--priors", stored)
    refused("assimilate, stored priors cut off", INPUT, ["priors.tsv:", "columns"], "assimilate", KIND, "--patient", "1", "--priors", stored)


STREAM = """$PROBLEM one compartment
$INPUT ID TIME EVID AMT CMT DV
$DATA data.csv IGNORE=@
$SUBROUTINES ADVAN1 TRANS2
$PK
  CL = THETA(1)*EXP(ETA(1))
  V  = THETA(2)
  S1 = V
$ERROR
  Y = F*(1 + EPS(1))
$THETA (0,4) (0,70)
$OMEGA 0.1
$SIGMA 0.05
"""
PEOPLE = "ID,TIME,EVID,AMT,CMT,DV\n" + "".join(f"{i},0,1,1000,1,0\n{i},1,0,0,1,{13 + i}\n{i},6,0,0,1,{9 + i}\n" for i in (1, 2, 3))


def streams(tmp):
    put(tmp, "data.csv", PEOPLE)
    good = put(tmp, "good.ctl", STREAM)
    check("a control stream in order", run("fit", good).returncode == 0, run("fit", good).stderr)
    cases = [("cut off in $PK", STREAM[:STREAM.index("V  =")], INPUT, ["s.ctl:", "$ERROR"]),
             ("cut off after $DATA", STREAM[:STREAM.index("$SUB")], INPUT, ["s.ctl:", "$SUBROUTINES"]),
             ("without $INPUT", STREAM.replace("$INPUT", ";"), INPUT, ["s.ctl:", "$INPUT"]),
             ("a column less than the data", STREAM.replace(" DV\n", " XX\n"), INPUT, ["data.csv:3", "DV"]),
             ("a name that is none", STREAM.replace("V  = THETA(2)", "V  = THETA(2)*WT"), UNSUPPORTED, ["s.ctl:7", "WT has no value"]),
             ("a THETA too many", STREAM.replace("V  = THETA(2)", "V  = THETA(3)"), INPUT, ["s.ctl:7", "THETA(3)"]),
             ("a mixture", STREAM + "$MIX\n NSPOP = 2\n", UNSUPPORTED, ["s.ctl:14", "$MIX"]),
             ("empty", "", INPUT, ["s.ctl:1", "no control stream"])]
    for what, text, code, wanted in cases:
        path = put(tmp, "s.ctl", text)
        for command, *more in (("fit",), ("vpc", "--members", "20"), ("assimilate", "--patient", "1", "--particles", "20")):
            refused(f"{command}, a control stream {what}", code, wanted, command, path, *more)
        if what != "a column less than the data":
            refused(f"twin show, a control stream {what}", code, wanted, "twin", "show", path)
            refused(f"twin new, a control stream {what}", code, wanted, "twin", "new", "mine", "--from", path, "--into", tmp)
            check(f"twin new, a control stream {what}: nothing made", not pathlib.Path(tmp, "mine").exists())
    path = put(tmp, "s.ctl", STREAM.replace("data.csv", "other.csv"))
    for command, *more in (("fit",), ("vpc",), ("assimilate", "--patient", "1"), ("run", "--no-report")):
        refused(f"{command}, $DATA is not there", USAGE, ["s.ctl", "$DATA", "--patient"], command, path, *more)


# ---- calibration problems ----

PROBLEM_COMMANDS = (("petab", "eval"), ("fit", "--starts", "2"), ("profile", "--starts", "2"), ("sample", "--starts", "2", "--draws", "20"))


def ask(command, problem):
    return [*command[:2], problem, *command[2:]] if command[0] == "petab" else [command[0], problem, *command[1:]]


def problems(tmp):
    p1, o1, m1 = petab_bad.P1, petab_bad.O1, petab_bad.M1
    scale = petab_bad.V1["o.tsv"].splitlines()[-1] + "\n"
    model = petab_bad.SBML
    for i, (version, file, text, code, wanted) in enumerate((
            (1, "m.xml", model[:1200], INPUT, ["m.xml:", "XML"]), (1, "m.xml", model[:60], INPUT, ["m.xml:1", "cut off"]),
            (1, "m.xml", "<sbml", INPUT, ["m.xml:1", "cut off"]), (2, "m.xml", '<?xml version="1.0"?>\n\n', INPUT, ["m.xml:3", "cut off"]),
            (1, "p.tsv", petab_bad.V1["p.tsv"][:-20], INPUT, ["p.tsv:3", "field"]),
            (1, "d.tsv", m1 + "oa|c0|0.7", INPUT, ["d.tsv:2", "time", "found ''"]),
            (2, "e.tsv", "experimentId|time|conditionId\ne0", INPUT, ["e.tsv:2", "found 1 field, expected 3"]),
            (1, "problem.yaml", petab_bad.V1["problem.yaml"][:120], INPUT, ["problem.yaml:4", "measurement_files"]),
            (1, "p.tsv", "parameterId|parameterScale|lowerBound|nominalValue|estimate\nk1|lin|0|1|1\n", INPUT, ["p.tsv:2", "'k1'", "no upperBound"]),
            (2, "d.tsv", "observableId|experimentId|time\noa|e0|1\n", INPUT, ["d.tsv:1", "measurement"]),
            (1, "c.tsv", "conditionId|a0\nc0|2\nc0|3\n", INPUT, ["c.tsv:3", "'c0' occurs twice", "c.tsv:2"]),
            (1, "d.tsv", m1 + "oa|c0|0.7|-1|2|\n", INPUT, ["d.tsv:2", "time -1 lies before the start"]),
            (1, "d.tsv", m1 + "oa|c0|-0.7|1|2|\nob|c0|1|1||1\n", INPUT, ["d.tsv:2", "-0.7", "logarithmic"]))):
        files = {file: text}
        if "logarithmic" in wanted:
            files["o.tsv"] = o1 + "oa|observableParameter1_oa*A|sd|log|normal\n" + scale
        problem = petab_bad.spoil(pathlib.Path(tmp, f"p{i}"), version, files)
        for command in PROBLEM_COMMANDS:
            refused(f"{command[0]}, problem {i} with a bad {file}", code, wanted, *ask(command, problem))
    for command in PROBLEM_COMMANDS:
        refused(f"{command[0]}, another YAML file", INPUT, ["select.yaml:2", "no key 'criterion'"], *ask(command, SELECT))


def points(tmp):
    """Points that can't be evaluated: the nominal one, all starts; the row, the value and the remedy are named."""
    o1 = petab_bad.O1
    b = "ob|B|noiseParameter1_ob|lin|normal\n"
    nominal = petab_bad.spoil(pathlib.Path(tmp, "nominal"), 1, {"o.tsv": o1 + "oa|observableParameter1_oa*A|sd-1|lin|normal\n" + b})
    never = petab_bad.spoil(pathlib.Path(tmp, "never"), 1, {"o.tsv": o1 + "oa|observableParameter1_oa*A|-sd|lin|normal\n" + b})
    bursts = petab_bad.spoil(pathlib.Path(tmp, "bursts"), 1, {"m.xml": petab_bad.SBML.replace(
        "<ci>C</ci><ci>k1</ci><ci>A</ci>", "<cn>-1e4</cn><ci>k1</ci><apply><power/><ci>A</ci><cn>3</cn></apply>")})
    row = ["d.tsv:2", "'oa'", "noise -0.8", "outside the domain"]
    refused("petab eval, infinite at the nominal point", CONVERGE, ["could not be evaluated", *row], "petab", "eval", nominal, answer=True)
    refused("petab eval, infinite, JSON", CONVERGE, ['"llh": null', '"reason":', *row], "petab", "eval", nominal, "--json", answer=True)
    refused("fit, infinite at the nominal point", 0, ["nominal point: the likelihood can't be evaluated there", *row], "fit", nominal,
            "--starts", "3", answer=True)
    for command in PROBLEM_COMMANDS[1:]:
        refused(f"{command[0]}, no start can be evaluated", CONVERGE,
                ["none of 2 starts could be evaluated", "d.tsv:2", "'oa'", "narrow the bounds or give a start"], *ask(command, never))
        refused(f"{command[0]}, no simulation ends", CONVERGE, ["none of 2 starts could be evaluated", "experiment 'c0'", "A changes fastest"],
                *ask(command, bursts))
    refused("petab eval, the simulation does not end", CONVERGE, ["experiment 'c0', time", "A changes fastest"], "petab", "eval", bursts,
            answer=True)
    # two that only their product decides: named, and no number instead of what is not known
    open_ = petab_bad.spoil(pathlib.Path(tmp, "open"), 1, {
        "p.tsv": petab_bad.P1 + "k1|log10|1e-3|1e3|0.7|1\nf|log10|0.1|10|1|1\ng|log10|0.1|10|1|1\n",
        "o.tsv": o1 + "oa|f*g*observableParameter1_oa*A|0.2|lin|normal\n" + b, "d.tsv": petab_bad.M1 + "oa|c0|0.7|1|2|\nob|c0|0.4|1||0.1\n"})
    refused("fit, not identifiable", 0, ["2 of 3 directions", "'f' by -1, 'g' by 1 leaves the data as they are"], "fit", open_, "--starts", "3", answer=True)
    refused("profile, not identifiable", 0, ["structurally not identifiable"], "profile", open_, "f", "--starts", "3", answer=True)


def exits_of_fit(tmp):
    """Each exit code that `fit` has, for a problem and for a kind."""
    problem = petab_bad.spoil(pathlib.Path(tmp, "good"), 1, {})
    for name, code, wanted, args in (
            ("problem: done", 0, ["2 starts"], [problem, "--starts", "2"]), ("problem: usage", USAGE, ["unknown hessian 'x'", "sr1"], [problem, "--hessian", "x"]),
            ("problem: another's file", CONFLICT, ["other.txt"], [problem, "--resume", put(tmp, "other.txt", "something else\n")]),
            ("problem: no step is allowed", CONVERGE, ["none of 2 starts"], [problem, "--starts", "2", "--max-steps", "1", "--method", "cvode"]),
            ("problem: an unknown version", UNSUPPORTED, ["format_version", "1 and 2"],
             [petab_bad.spoil(pathlib.Path(tmp, "nine"), 1, {"problem.yaml": "format_version: 9\n"})]),
            ("problem: nowhere to write", AGAIN, ["/nowhere/t.tsv"], [problem, "--table", "/nowhere/t.tsv"]),
            ("kind: done", 0, ["converged"], [KIND]), ("kind: usage", USAGE, ["--method"], [KIND, "--method", "magic"]),
            ("kind: one person", CONVERGE, ["NOT converged"], [KIND, "--patients", put(tmp, "one.csv", csv([event_table()[0]] + [
                x for x in event_table()[1:] if x[0] == "1"]))]),
            ("kind: nowhere to write", AGAIN, ["/nowhere/p.tsv"], [KIND, "--leave-one-out", "-o", "/nowhere/p.tsv"]),
            ("stream: refused", UNSUPPORTED, ["$MIX"], [put(tmp, "mix.ctl", STREAM + "$MIX\n NSPOP = 2\n")])):
        refused(f"fit {name}", code, wanted, "fit", *args, answer=code in (0, CONVERGE))


def stops(tmp):
    """Ctrl-C: where what was found lies (also where nobody asked for it: in this folder), or that nothing was kept."""
    for command, *more in (("fit", "--starts", "60000"), ("sample", "--starts", "3", "--draws", "1000000")):
        for file in (None, pathlib.Path(tmp, f"{command}.kept")):
            p = subprocess.Popen([DOPPEL, command, str(EXAMPLE), *more, *(["--resume", str(file)] if file else [])], stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE, text=True, cwd=tmp)
            spare = pathlib.Path(tmp, f"theophylline-one.{command}")
            began = time.monotonic()
            while time.monotonic() < began + 1 and not (file or spare).exists():
                time.sleep(0.05)
            p.send_signal(signal.SIGINT)
            out, err = p.communicate(timeout=60)
            check(f"{command} stopped: exit 75", p.returncode == AGAIN and not out, f"{p.returncode} {out[:200]}")
            words = (f"kept in {file}: the same command goes on from there" if file and file.exists() else
                     f"kept in {spare.name}: the same command with --resume {spare.name} goes on" if not file and spare.exists() else
                     "nothing was kept")
            check(f"{command} stopped: says {words}", words in err, err)
            if not file and spare.exists():
                spare.unlink()
    run("fit", EXAMPLE, "--starts", "3", cwd=tmp)
    check("fit, not stopped: no file is left", not pathlib.Path(tmp, "theophylline-one.fit").exists())


def selections(tmp):
    folder = pathlib.Path(tmp, "select")
    shutil.copytree(SELECT.parent, folder / "s")
    shutil.copytree(EXAMPLE.parent, folder / EXAMPLE.parent.name)
    yaml, space = folder / "s" / "select.yaml", folder / "s" / "model_space.tsv"
    good = {p: p.read_text(encoding="utf-8") for p in (yaml, space)}

    def case(name, code, wanted, path, text):
        path.write_text(text, encoding="utf-8")
        refused(f"select, {name}", code, wanted, "select", yaml, "--starts", "1")
        path.write_text(good[path], encoding="utf-8")

    rows = good[space].splitlines()
    case("YAML cut off", INPUT, ["select.yaml:", "YAML"], yaml, good[yaml][:40])
    case("no table", INPUT, ["select.yaml", "model_space_files"], yaml, good[yaml][:good[yaml].index("model_space_files")])
    case("a table cut off", INPUT, ["model_space.tsv:2", "field"], space, rows[0] + "\n" + rows[1].split("\t")[0] + "\n")
    case("no column", INPUT, ["model_space.tsv:1", "column"], space, good[space].replace(rows[0].split("\t")[1], "elsewhere", 1))
    case("a table without rows", INPUT, ["model space is empty"], space, rows[0] + "\n")
    refused("select, a calibration problem", INPUT, ["not a PEtab Select problem"], "select", EXAMPLE)
    refused("select, more models than allowed", UNSUPPORTED, ["2 models", "forward"], "select", SELECT, "--most", "2", "--starts", "1")
    refused("select --criterion", UNSUPPORTED, ["DIC", "AICc"], "select", SELECT, "--criterion", "DIC")
    few = folder / EXAMPLE.parent.name / "measurements.tsv"
    few.write_text("".join(few.read_text(encoding="utf-8").splitlines(keepends=True)[:4]), encoding="utf-8")
    table = folder / "models.tsv"
    refused("select, three observations", 0, ["AICc is not defined: 3 observations, 3 parameters"], "select", yaml, "--starts", "2", "--table", table,
            answer=True)
    check("select, three observations: no inf", "inf" not in table.read_text(encoding="utf-8"))


# ---- models ----

def models(tmp):
    ok = put(tmp, "pk.ant", "model pk()\n gut' = -ka*gut; body' = ka*gut - k*body;\n gut = 0; body = 0; ka = 1.1; k = 0.3;\nend\n")
    stem = ["--vary", "k=uniform(0.1,1)"]
    commands = (("simulate",), ("simulate", "--members", "10", *stem), ("model", "show"), ("model", "check"), ("model", "convert", "--to", "sbml"),
                ("sensitivity", *stem, "--times", "1", "--members", "16"), ("surrogate", "fit", *stem, "--times", "1", "-o", f"{tmp}/o.sur"))
    for what, file, text, code, wanted in (
            ("cut off", "x.ant", "model pk()\n gut' = -ka*gut; body' = ka*gu", INPUT, ["x.ant:1", "not closed"]),
            ("SBML cut off in its first tag", "x.xml", '<?xml version="1.0"?>\n<sbml xmlns="http://www.sbml.org/sb', INPUT, ["x.xml:2", "cut off"]),
            ("SBML cut off", "x.xml", petab_bad.SBML[:1200], INPUT, ["x.xml:", "XML"]),
            ("not text", "x.ant", bytes(range(1, 256)), INPUT, ["x.ant:1"]), ("another language", "x.xml", "<html><p/></html>", UNSUPPORTED, ["x.xml", "SBML"])):
        path = put(tmp, file, text)
        for first, *more in commands:
            verb = [first, more.pop(0)] if first in ("model", "surrogate") else [first]
            refused(f"{' '.join(verb)} {more[:1]}, {what}", code, wanted, *verb, path, *more)
    path = put(tmp, "units.ant", "model m()\n unit rate = 1/flurb;\n k = 1;\n k has flarb;\n x' = -k*x; x = 1; x has rate;\nend\n")
    said = run("model", "check", path).stdout
    check("model check, words that are no units", all(w in said for w in ("'flurb'", "definition of rate  (line 2)", "'flarb'", "said of k  (line 3)")),
          said)
    check("surrogate fit: nothing written", not pathlib.Path(tmp, "o.sur").exists())
    for name, code, wanted, *args in (
            ("--vary: nobody", INPUT, ["no parameter 'kk'", "did you mean"], "simulate", ok, "--members", "9", "--vary", "kk=uniform(0,1)"),
            ("--vary: ends", USAGE, ["uniform(2,1)", "lower end 2 is above the upper end 1"], "simulate", ok, "--members", "9", "--vary", "k=uniform(2,1)"),
            ("--vary: ends of a domain", USAGE, ["lower end"], "surrogate", "fit", ok, "--vary", "k=loguniform(2,1)", "-o", f"{tmp}/o.sur"),
            ("--vary: cut off", USAGE, ["expected ID="], "simulate", ok, "--members", "9", "--vary", "k=uniform(2,"),
            ("--bands: a word", USAGE, ["median", "q97.5"], "simulate", ok, "--members", "9", "--bands", "median"),
            ("--bands: of one", USAGE, ["--bands needs --members"], "simulate", ok, "--bands", "mean"),
            ("--vary: of one", USAGE, ["--vary needs --members"], "simulate", ok, *stem),
            ("--dose: nowhere", INPUT, ["'gutt'", "no state"], "simulate", ok, "--dose", "gutt=1@0"),
            ("--dose: a unit", USAGE, ["1 mg", "AMOUNT@TIME"], "simulate", ok, "--dose", "gut=1 mg@0"),
            ("--dose: before the start", USAGE, ["gut=1@-5", "before the start"], "simulate", ok, "--dose", "gut=1@-5"),
            ("--at: before the start", USAGE, ["-1", "not before the start"], "simulate", ok, "--at", "-1,2"),
            ("--output: cut off", INPUT, ["column 7", "found the end"], "simulate", ok, "--output", "body*("),
            ("--output: nobody", INPUT, ["'bodyy'", "did you mean 'body'"], "sensitivity", ok, *stem, "--output", "bodyy"),
            ("--correlate: nobody", USAGE, ["'q' is no input"], "sensitivity", ok, *stem, "--correlate", "k,q=0.2", "--method", "shapley"),
            ("--plot: nowhere", AGAIN, ["/nowhere/x.svg", "nothing was run"], "sensitivity", ok, *stem, "--plot", "/nowhere/x.svg"),
            ("-o: nowhere", AGAIN, ["/nowhere/o.sur", "nothing was run"], "surrogate", "fit", ok, *stem, "-o", "/nowhere/o.sur"),
            ("surrogate show: a model", INPUT, ["pk.ant", "no surrogate"], "surrogate", "show", ok)):
        refused(name, code, wanted, *args)
    made = run("surrogate", "fit", ok, *stem, "--dose", "gut=10@0", "--output", "body", "--times", "1", "-o", f"{tmp}/made.sur")
    check("surrogate fit", made.returncode == 0, made.stderr)
    text = pathlib.Path(tmp, "made.sur").read_text(encoding="utf-8")
    for share in (0.2, 0.5, 0.99):
        path = put(tmp, "cut.sur", text[:int(len(text) * share)])
        for args in (["surrogate", "show", path], ["simulate", path], ["sensitivity", path, *stem, "--times", "1"]):
            refused(f"{args[0]}, {share:g} of a surrogate", INPUT, ["cut.sur:"], *args)
    path = put(tmp, "cut.sur", text.replace("0", "1", 3))
    refused("a surrogate that was changed", INPUT, ["cut.sur:"], "simulate", path)


# ---- what is asked of a problem besides its fit ----

def quantities(tmp):
    good = petab_bad.spoil(pathlib.Path(tmp, "good"), 1, {})
    cut = petab_bad.spoil(pathlib.Path(tmp, "cut"), 1, {"m.xml": petab_bad.SBML[:1200]})
    never = petab_bad.spoil(pathlib.Path(tmp, "never"), 1, {"o.tsv": petab_bad.O1 + "oa|observableParameter1_oa*A|-sd|lin|normal\n"
                                                                     "ob|B|noiseParameter1_ob|lin|normal\n"})
    gain, to, of = ["gain", good, "--draws", "100"], ["--candidate", "ob@2"], ["--forecast", "oa@3"]
    profile, assimilate = ["profile", good, "--starts", "2"], ["assimilate", good, "--particles", "50"]
    for name, code, wanted, *args in (
            ("assimilate: a bad model", INPUT, ["m.xml:", "XML"], "assimilate", cut), ("gain: a bad model", INPUT, ["m.xml:", "XML"], "gain", cut, *to, *of),
            ("assimilate: a person", USAGE, ["--patient belongs to a KIND"], *assimilate, "--patient", "1"),
            ("assimilate: a sensor", USAGE, ["--sensor belongs to a KIND"], *assimilate, "--sensor", "oa,law=student"),
            ("assimilate: a kind's tolerance", USAGE, ["--rtol", "calibration problem"], "assimilate", KIND, "--patient", "1", "--rtol", "1e-4"),
            ("assimilate: nowhere to write", AGAIN, ["/nowhere/x"], *assimilate, "--table", "/nowhere/x"),
            ("assimilate: late", USAGE, ["'9'", "1 to 2"], *assimilate, "--late", "9"),
            ("gain: nobody to forecast", INPUT, ["'zz@3'", "unknown name 'zz'"], *gain, *to, "--forecast", "zz@3"),
            ("gain: nobody to measure", INPUT, ["'zz' is no observable"], *gain, *of, "--candidate", "zz@2"),
            ("gain: no such condition", INPUT, ["'cc'", "it measures in 'c0'"], *gain, *to, "--forecast", "oa@cc:3"),
            ("gain: before the start", INPUT, ["-3 lies before the start of 'c0' at 0"], *gain, *to, "--forecast", "oa@-3"),
            ("gain: cut off", USAGE, ["'oa@c0:'", "EXPERIMENT:TIME"], *gain, *to, "--forecast", "oa@c0:"),
            ("profile: nobody", INPUT, ["'zz@2'", "unknown name 'zz'"], *profile, "--prediction", "zz@2"),
            ("profile: before the start", INPUT, ["-2 lies before the start"], *profile, "--prediction", "oa@-2"),
            ("profile: cut off", USAGE, ["'oa@'"], *profile, "--prediction", "oa@"),
            ("petab eval: a direction of nobody", USAGE, ["'kz'", "did you mean k1"], "petab", "eval", good, "--hessian-vector", "kz=1"),
            ("petab eval: a direction that is none", USAGE, ["found 'x'"], "petab", "eval", good, "--hessian-vector", "k1=x"),
            ("fit: a search", USAGE, ["magic", "scatter"], "fit", good, "--search", "magic"),
            ("surrogate fit: a model and a person", USAGE, ["--vary", "--patient"], "surrogate", "fit", KIND, "--patient", "1", "--vary", "ka=factor(2)",
             "-o", f"{tmp}/o.sur")):
        refused(name, code, wanted, *args)
    few = run("fit", good, "--starts", "2")
    check("fit, two observations: AICc", "AICc is not defined: 2 observations, 2 parameters" in few.stdout and "inf" not in few.stdout,
          few.stdout + few.stderr)
    refused("petab eval, second derivatives where there is no value", CONVERGE, ["could not be evaluated", "d.tsv:2"], "petab", "eval", never,
            "--hessian", answer=True)
    refused("assimilate, no particle explains anything", CONVERGE,
            ["NOT fit for use", "no particle could explain the measurement at", "d.tsv:2 (oa, time 1)"], "assimilate", never, "--particles", "50", answer=True)
    refused("gain, no particle explains anything", CONVERGE, ["NOT fit for use"], "gain", never, "--draws", "100", *to, *of, answer=True)


# ---- one person's options; suites and benches ----

def options(tmp):
    person = [KIND, "--patient", "1"]
    gain, to, of = ["gain", *person, "--draws", "200"], ["--candidate", "c@12"], ["--forecast", "c@24"]
    for name, code, wanted, *args in (
            ("assimilate: whose", USAGE, ["--patient"], "assimilate", KIND),
            ("assimilate: an observable", INPUT, ["'x' is no observable"], "assimilate", *person, "--sensor", "x,law=student"),
            ("assimilate: a law", USAGE, ["cauchy", "student"], "assimilate", *person, "--sensor", "c,law=cauchy"),
            ("assimilate: a sensor cut off", USAGE, ["dof="], "assimilate", *person, "--sensor", "c,law=student,dof="),
            ("assimilate: no degrees of freedom", INPUT, ["-1 degrees"], "assimilate", *person, "--sensor", "c,law=student,dof=-1"),
            ("assimilate: ibis and drift", UNSUPPORTED, ["drifts", "smc2"], "assimilate", *person, "--sensor", "c,drift=0.1"),
            ("assimilate: method", USAGE, ["'pf'", "enkf"], "assimilate", *person, "--method", "pf"),
            ("assimilate: late", USAGE, ["'99'", "1 to 11"], "assimilate", *person, "--late", "99"),
            ("assimilate: missing", USAGE, ["'3x'", "1 to 11"], "assimilate", *person, "--missing", "3x"),
            ("assimilate: nothing after", USAGE, ["--from-batch", "all 11 observations of subject 1", "24.37"], "assimilate", *person, "--from-batch", "999"),
            ("surrogate fit: whose", USAGE, ["nothing varies", "--vary", "--patient ID"], "surrogate", "fit", KIND, "-o", f"{tmp}/o.sur"),
            ("twin list: no such folder", INPUT, [f"{tmp}/none", "folder"], "twin", "list", "--twins", f"{tmp}/none"),
            ("assimilate: inner", USAGE, ["--inner", "smc2"], "assimilate", *person, "--inner", "9"),
            ("assimilate: two forms", USAGE, ["--json", "--ndjson"], "assimilate", *person, "--json", "--ndjson"),
            ("assimilate: plot", AGAIN, ["/nowhere/x.svg"], "assimilate", *person, "--plot", "/nowhere/x.svg"),
            ("gain: nothing to forecast", USAGE, ["--forecast"], *gain, *to), ("gain: nothing to measure", USAGE, ["--candidate"], *gain, *of),
            ("gain: an observable", INPUT, ["no observable 'q'"], *gain, *to, "--forecast", "q@24"),
            ("gain: cut off", USAGE, ["'c@'"], *gain, *to, "--forecast", "c@"), ("gain: has passed", USAGE, ["has passed"], *gain, *of, "--candidate", "c@1"),
            ("vpc: edges", USAGE, ["found 2"], "vpc", KIND, "--edges", "5,2"), ("vpc: edges that are none", USAGE, ["'a'"], "vpc", KIND, "--edges", "a"),
            ("vpc: edges beyond", INPUT, ["no measured value within"], "vpc", KIND, "--edges", "100,200"),
            ("vpc: bins and edges", USAGE, ["--bins", "--edges"], "vpc", KIND, "--bins", "3", "--edges", "0,5"),
            ("vpc: law", USAGE, ["magic", "nominal"], "vpc", KIND, "--prior", "magic"),
            ("vpc: correction", USAGE, ["--prediction-corrected"], "vpc", KIND, "--correction", "ratio"),
            ("vpc: plot", AGAIN, ["/nowhere/x.svg"], "vpc", KIND, "-o", "/nowhere/x.svg")):
        refused(name, code, wanted, *args)


# ---- decisions: plans of treatment, doses, rewards and limits, sensors, virtual trials ----

def treatments(tmp):
    person, head = ("--patient", "B", "--draws", "100"), "controlId\ttime\tamount\tduration\tinterval\trepeats\tsteady\n"
    kind_dir = TWINS / "vancomycin"
    for name, row, wanted in (("a time that is none", "iv\tnan\t1000\t2\t12\t3\t", ["p.tsv:2", "time", "'nan'"]),
                              ("an amount that is none", "iv\t0\tnan\t2\t12\t3\t", ["p.tsv:2", "amount"]),
                              ("of another unit", "iv\t0\t1000 h\t2\t12\t3\t", ["p.tsv:2", "'h'", "'mg'"]),
                              ("half a repeat", "iv\t0\t1000\t2\t12\t1.5\t", ["p.tsv:2", "repeats", "1.5"]),
                              ("repeats without interval", "iv\t0\t1000\t2\t\t3\t", ["p.tsv:2", "interval"]),
                              ("cut off", "iv\t0", ["p.tsv:2", "found 2 fields, expected 7"]),
                              ("beyond the bound", "iv\t0\t5000\t2\t12\t3\t", ["5000 mg", "3000"])):
        refused(f"a plan: {name}", INPUT, wanted, "forecast", kind_dir, *person, "--plan", put(tmp, "p.tsv", head + row + "\n"))
    refused("a plan: where nothing can be written", AGAIN, ["/nowhere/x.tsv"], "plan", kind_dir, *person, "-o", "/nowhere/x.tsv")
    refused("a search without gradient", UNSUPPORTED, ["gradient", "'iv'", "cma"], "plan", kind_dir, *person, "--search", "gradient")
    area = "integral(c, 0 h, 24 h) = 400 mg.h/L"
    for name, code, wanted, *args in (
            ("beyond the bound", INPUT, ["5000 mg", "3000 mg", "'iv'"], "--target", area, "--dose", "5000"),
            ("how often", USAGE, ["--interval", "--count", "--steady"], "--target", area, "--interval", "12"),
            ("a unit", INPUT, ["'400 mg'", "'mg.h/L'"], "--target", "integral(c, 0 h, 24 h) = 400 mg"),
            ("a figure", INPUT, ["'integ'"], "--target", "integ(c, 0, 24) = 400"),
            ("a window", INPUT, ["ends after it began"], "--target", "integral(c, 24, 0) = 400"),
            ("a number that is none", INPUT, ["'nan'"], "--target", "c(24) = nan"),
            ("a control", INPUT, ["'zz'"], "--target", area, "--control", "zz")):
        refused(f"a dose: {name}", code, wanted, "dose", kind_dir, *person, *args)
    refused("a dose: none", CONVERGE, ["-400", "no dose"], "dose", kind_dir, *person, "--target", "integral(c, 0, 24) = -400", answer=True)
    sensor = "time,glucose (mg/dL)\n"
    for name, text, wanted in (("no unit", "time,glucose\n0,100\n", ["s.csv:1", "mg/dL"]), ("of the other unit", sensor + "0,5.5\n", ["s.csv:2", "unit"]),
                               ("a word", sensor + "0,HIGH\n", ["s.csv:2", "'HIGH'"]), ("back in time", sensor + "5,100\n0,99\n", ["s.csv:3", "time"]),
                               ("a day that is none", sensor + "2024-02-31 07:15,100\n", ["s.csv:2", "2024-02-31"]), ("empty", "", ["s.csv"])):
        refused(f"a sensor: {name}", INPUT, wanted, "glucose", put(tmp, "s.csv", text))


def rewards(tmp):
    for i, (old, new, code, wanted) in enumerate((
            ('"> 20 mg/L"', '"> 20 h"', INPUT, ["reward.yaml:22", "'h'", "'mg/L'"]), ('"> 20 mg/L"', '"> 20"', INPUT, ["reward.yaml:22", "unit"]),
            ('"<= 0.05"', '"<= 2"', INPUT, ["reward.yaml:23", "between 0 and 1"]), ("[10, 20]", "[20, 10]", INPUT, ["reward.yaml:30", "low < high"]),
            ("weight: 1", "weight: .nan", INPUT, ["reward.yaml:33", ".nan"]), ("fraction: true", 'utility: "1/(x-x)"', INPUT, ["in_range", "utility"]),
            ("window: interval", "window: 1 h", UNSUPPORTED, ["window of 1 h", "interval of 24 h"]),
            ("control: oral", "control: oral\nplan: {form: course, every: 6 h, count: 9, search: exhaustive}", UNSUPPORTED, ["too many plans", "cma"]))):
        folder = kind(tmp, f"reward{i}", "reward.yaml", lambda t: t.replace(old, new, 1))
        refused(f"rewards: {new}", code, wanted, "plan", folder, "--patient", "1", "--draws", "100")
    folder, file = kind(tmp, "contradiction", "reward.yaml", lambda t: t.replace('"> 20 mg/L"', '"> 4 mg/L"', 1)), pathlib.Path(tmp, "none.tsv")
    r = run("plan", folder, "--patient", "1", "--draws", "100", "-o", file)
    few = run("plan", folder, "--patient", "1", "--draws", "100", "--search", "cma", "--evaluations", "5")
    check("limits that contradict each other, a search that did not see every plan: says so", "no safe plan among those rehearsed" in few.stdout
          and "no plan rehearsed holds" in few.stdout, few.stdout + few.stderr)
    check("limits that contradict each other: both named", r.returncode == 0 and "limits 'trough' and 'peak' conflict" in r.stdout, r.stdout + r.stderr)
    check("limits that contradict each other: no plan", "no recommendation" in r.stdout and not file.exists() and str(file) in r.stderr, r.stderr)


def trials(tmp):
    folder = TWINS / "s2008"
    text = (folder / "trials" / "pid.yaml").read_text(encoding="utf-8").replace("14 d", "1 d").replace("../", f"{folder}/")
    rows = [x for x in (folder / "people.tsv").read_text(encoding="utf-8").splitlines() if not x.startswith("#")]
    cells = rows[1].split("\t")
    gap = put(tmp, "gap.tsv", rows[0] + "\n" + "\t".join(["nan" if i == 2 else c for i, c in enumerate(cells)]) + "\n")
    few = ("--twins", TWINS, "--members", "1", "--no-checks")

    def trial(old, new, of=text):
        check(f"trial: {new}: the change took", old in of)
        return put(tmp, "t.yaml", of.replace(old, new, 1))

    refused("trial: which", USAGE, ["TRIAL.yaml"], "trial")
    for name, old, new, code, wanted in (
            ("a person's number that is none", f"{folder}/people.tsv", str(gap), INPUT, ["gap.tsv:2", rows[0].split("\t")[2], "'nan'"]),
            ("a sensor's range", "[39, 600]", "[600, 39]", INPUT, ["t.yaml:23", "low < high"]),
            ("the path in fixed steps", "by: readings, metric: mean", "by: path, metric: mean", UNSUPPORTED, ["t.yaml:36", "'mean'", "by: readings"]),
            ("a meal's unit", "45 g", "45 h", INPUT, ["t.yaml:10", "'h'", "'mg'"]), ("a share", "skip: 0.05", "skip: 2", INPUT, ["t.yaml:14", "skip"]),
            ("a time that is none", "horizon: 1 d", "horizon: .nan", INPUT, ["t.yaml:5", "horizon"])):
        refused(f"trial: {name}", code, wanted, "trial", trial(old, new), *few)
    levels = (TWINS / "vancomycin" / "trials" / "twin.yaml").read_text(encoding="utf-8").replace("../", f"{TWINS}/vancomycin/")
    for name, old, new, wanted in (("a covariate of nobody", "DIAL: 0", "DIALL: 0", ["t.yaml:7", "'DIALL'"]),
                                   ("a covariate out of its range", "normal(75, 8)", "normal(7500, 8)", ["t.yaml:7", "WT", "20 to 300 kg"]),
                                   ("nobody near", "n: 24,", "n: 2, match: {WT: {mean: 5000, sd: 1}},", ["t.yaml", "match"])):
        refused(f"trial: {name}", INPUT, wanted, "trial", trial(old, new, levels), *few)
    liar = put(tmp, "liar.py", "import sys\nprint('{\"ready\":1}', flush=True)\nfor x in sys.stdin:\n  print('{\"gives\":{\"bolus\":NaN}}', flush=True)\n")
    for name, command in (("hangs", "[sleep, '100']"), ("ends", "['true']"), ("lies", f"[python3, {liar}]"), ("never stops", "['yes']")):
        policy = put(tmp, "policy.yaml", "policy: x\nkind: process\nevery: 5 min\nreads: {g: cgm}\nannounces: {meal: carbs g}\nperson: [CR, CF, basal_rate]\n"
                     f"gives: {{basal_rate: '', bolus: ''}}\ncommand: {command}\ntimeout: 0.5 s\nstart: 1 s\nfallback: {folder}/policies/pid.yaml\n")
        r = run("trial", trial(f"{folder}/policies/basal_bolus.yaml", str(policy)), *few)
        check(f"a policy that {name}: stopped, told, its fallback decided", r.returncode == 0 and "1 failures of its policy" in r.stdout
              and "at 0 min:" in r.stdout, f"exit {r.returncode}: {r.stderr}{r.stdout[:900]}")


def suites(tmp):
    empty = pathlib.Path(tmp, "empty")
    empty.mkdir()
    for name, wanted in (("petab", "no case"), ("petab-benchmark", "no folder with a problem"), ("nonmem", "runNNN.phi"),
                         ("sbml", "settings.txt"), ("sbml-stochastic", "settings.txt")):
        refused(f"suite {name}, an empty folder", INPUT, [str(empty), wanted], "suite", name, empty)
    for name in ("petab", "petab-benchmark", "sbml"):
        refused(f"suite {name}, a file", INPUT, ["folder"], "suite", name, EXAMPLE)
    refused("suite petab-math, another file", INPUT, ["cases"], "suite", "petab-math", EXAMPLE)
    refused("suite, a name", USAGE, ["petabb"], "suite", "petabb", empty)
    folder = pathlib.Path(tmp, "collection", "mine")
    pathlib.Path(petab_bad.spoil(folder, 1, {})).rename(folder / "mine.yaml")
    for what, text, wanted in (("without their column", "problem\tllh\nmine\t1\n", ["ref.tsv:1", "reference_llh"]),
                               ("one is no number", "problem\treference_llh\nother\t1\nmine\tx\n", ["ref.tsv:3", "reference_llh", "'x'"])):
        refused(f"suite petab-benchmark, references: {what}", INPUT, wanted, "suite", "petab-benchmark", folder.parent, "--reference",
                put(tmp, "ref.tsv", text))
    put(tmp, "collection/mine/mine_solution.yaml", "llh: 1\nchi2: 1\nsimulation_files: []\n")
    for name in ("petab", "petab-benchmark"):
        for option in ("--only", "--skip"):
            refused(f"suite {name} {option} nobody", INPUT, [option, "'none'", "1 there", "mine"], "suite", name, folder.parent, option, "none")
    refused("suite nonmem, no such run", INPUT, ["'999'", "001"], "suite", "nonmem", empty, "--only", "999")
    refused("suite nonmem, a run that is not there", INPUT, ["run006.phi"], "suite", "nonmem", empty, "--only", "006")
    refused("bench, a name", USAGE, ["magic", "calibration"], "bench", "magic")
    refused("bench insulin, nobody", INPUT, ["people.tsv", "nobody"], "bench", "insulin", "--only", "nobody", "--work", tmp, "--twins", TWINS)
    refused("bench insulin, where nothing can be written", AGAIN, ["/nowhere/"], "bench", "insulin", "--work", "/nowhere/deeper", "--twins", TWINS)
    refused("bench, a problem", USAGE, ["magic", "robertson"], "bench", "ensemble", "--only", "magic")
    refused("bench calibration, what", USAGE, ["magic", "gradient"], "bench", "calibration", "--problem", EXAMPLE, "--only", "magic")



def tracks(tmp):
    model, data = put(tmp, "births.ant", BIRTHS), put(tmp, "counts.csv", COUNTS)
    sensor = ["--sensor", "x,scale=2"]

    def bad(name, code, wanted, text=None, more=(), how=sensor):
        table = put(tmp, "bad.csv", text) if text is not None else data
        refused(f"track, {name}", code, wanted, "track", model, "--data", table, *how, *more)

    refused("track, no data", USAGE, ["--data"], "track", model, *sensor)
    refused("track, an empty model", INPUT, ["empty.ant", "the model is empty"], "track", put(tmp, "empty.ant", "// nothing\n"), "--data", data, *sensor)
    bad("no sensor", USAGE, ["--sensor"], how=())
    bad("a sensor without noise", USAGE, ["scale="], how=("--sensor", "x"))
    bad("a sensor without size", INPUT, ["scale of noise -1"], how=("--sensor", "x,scale=-1"))
    bad("a sensor of nothing", INPUT, ["'zz'"], how=("--sensor", "zz,scale=1"))
    bad("a sensor's law", USAGE, ["law=magic"], how=("--sensor", "x,scale=1,law=magic"))
    bad("two sensors of one name", USAGE, ["as=NAME"], how=(*sensor, *sensor))
    bad("cut off", INPUT, ["bad.csv:4", "found 2 fields"], COUNTS[:-6])
    bad("no column", INPUT, ["bad.csv:1", "DV"], COUNTS.replace("DV", "VALUE"))
    bad("a value that is none", INPUT, ["bad.csv:3", "many"], COUNTS.replace("22.8", "many"))
    bad("before the start", INPUT, ["bad.csv:2", "0.5", "--start"], COUNTS, ["--start", "0.75"])
    bad("two series", USAGE, ["2 series"], COUNTS + "2,3,20\n")
    bad("a dose in it", INPUT, ["bad.csv:2", "--dose"], "ID,TIME,DV,AMT,EVID\n1,0.5,.,10,1\n1,1,20,.,0\n")
    bad("nobody's DVID", INPUT, ["bad.csv:2", "DVID", "'q'"], "ID,TIME,DV,DVID\n1,0.5,20,q\n")
    bad("empty", INPUT, ["bad.csv"], "")
    bad("a filter", USAGE, ["'magic'", "auxiliary"], more=["--filter", "magic"])
    bad("nothing to learn", USAGE, ["none is unknown"], more=["--filter", "smc2"])
    bad("a filter that does not learn", USAGE, ["ibis and smc2"], more=["--filter", "enkf", "--vary", "b=lognormal(8,0.5)"])
    bad("ibis where it is random", UNSUPPORTED, ["smc2"], more=["--filter", "ibis", "--vary", "b=lognormal(8,0.5)"])
    bad("an unknown that is none", INPUT, ["'bb'"], more=["--vary", "bb=lognormal(8,0.5)"])
    bad("an unknown without spread", INPUT, ["'b'", "b > 0"], more=["--vary", "b=normal(8,0)"])
    bad("a start that is none", INPUT, ["state 'q'"], more=["--begin", "q=normal(1,1)"])
    bad("noise of nothing", INPUT, ["state 'q'"], more=["--noise", "q=1"])
    bad("noise that is none", USAGE, ["STATE=SD"], more=["--noise", "x"])
    bad("an option of smc2", USAGE, ["--inner"], more=["--inner", "20"])
    bad("too few members", USAGE, ["--members"], more=["--members", "2"])


def main():
    only = sys.argv[3:]
    for part in (files, people, kinds, streams, problems, points, exits_of_fit, stops, selections, models, tracks, quantities, options, treatments, rewards,
                 trials, suites):
        if only and part.__name__ not in only:
            continue
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as tmp:
            part(tmp)
        print(f"{part.__name__}: {time.monotonic() - began:.1f} s", flush=True)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
