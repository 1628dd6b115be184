#!/usr/bin/env python3
"""doppel dose as a user meets it: published answers, units, what is refused, the same bytes for any number of threads.

usage: cli_dose.py DOPPEL SOURCE_DIR"""
import pathlib
import subprocess
import sys

from checks import answered, check, finish

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2])


def run(*args):
    return subprocess.run([DOPPEL, "dose", *map(str, args), "--twins", SOURCE / "twins"], capture_output=True,
                          text=True, timeout=900, check=False)


def answer(name, *args, code=0):
    return answered(name, run("vancomycin", "--patient", "B", *args, "--draws", 300, "--json"), code)


def near(name, found, wanted, tolerance=1e-4):
    check(name, found is not None and abs(found / wanted - 1) < tolerance, f"{found}, expected {wanted}")


def published():
    a = answer("one dose", "--target", "integral(c, 0, 24) = 400", "--duration", "2")
    near("single dose for an area", a.get("dose"), 2377.87)
    near("its area", a.get("value"), 400, 1e-8)
    a = answer("units", "--target", "c(1 d) = 0.01104931 g/L", "--duration", "120 min")
    near("single dose for a concentration, in other units", a.get("dose"), 2530.76)
    a = answer("ten days", "--target", "integral(c, 9 d, 10 d) = 400", "--interval", "1 d", "--count", 11, "--duration",
               2)
    near("daily dose for an area on the tenth day", a.get("dose"), 1229.364)
    check("quantiles ascend", a["dose_quantiles"] == sorted(a["dose_quantiles"]), a["dose_quantiles"])
    check("20 % about the number", a["within"] == [320, 480], a["within"])
    check("a probability with its interval", a["probability_low"] < a["probability"] < a["probability_high"], a)
    day = ("--target", "integral(c, 0, 24) = 400", "--interval", 12, "--steady", "--duration", 2)
    once, twice = answer("at steady state", *day), answer("two of them", *day, "--count", 2)
    check("doses at steady state go on", once["dose"] == twice["dose"], f"{once['dose']} {twice['dose']}")
    a = answer("a time", "--target", "first_below(c, 10, 2, 100)", "--dose", 1500, "--duration", 2)
    near("time until 10 mg/L", a.get("value"), 11.129)
    check("nothing was to be reached", a["wanted"] is None and a["probability"] is None, a)


def threads():
    args = ("vancomycin", "--patient", "A", "--target", "maximum(c, 0, 24 h) = 40", "--from", 48, "--duration", 1,
            "--json")
    one, two = run(*args, "--threads", 1), run(*args, "--threads", 2)
    check("the same bytes on 1 and 2 threads", one.returncode == 0 and one.stdout == two.stdout,
          one.stderr + one.stdout + two.stdout)


def refused():
    a = answer("out of reach", "--target", "integral(c, 0, 24) = 4000", code=6)
    check("the bound is named", a.get("dose") is None and "3000 mg still gives" in a.get("reason", ""), a)
    for name, words, said in (
        ("no person", ("vancomycin", "--target", "c(24) = 11"), "--patient"),
        ("no target", ("vancomycin", "--patient", "B"), "--target"),
        ("no number", ("vancomycin", "--patient", "B", "--target", "c(24)"), "FIGURE = NUMBER"),
        ("no such quantity", ("vancomycin", "--patient", "B", "--target", "conc(24) = 11"), "'conc'"),
        ("a wrong unit", ("vancomycin", "--patient", "B", "--target", "c(24) = 11 mg"), "does not convert"),
        ("a wrong time", ("vancomycin", "--patient", "B", "--target", "c(24) = 11", "--duration", "2 kg"), "kg"),
        ("a wrong range", ("vancomycin", "--patient", "B", "--target", "c(24) = 11", "--within", "5"), "LOW,HIGH"),
        ("a wrong control", ("vancomycin", "--patient", "B", "--target", "c(24) = 11", "--control", "oral"), "'oral'"),
        ("nobody", ("vancomycin", "--patient", "C", "--target", "c(24) = 11"), "C"),
    ):
        r = run(*words)
        check(f"{name} is refused", r.returncode not in (0, 6) and said in r.stderr, f"exit {r.returncode}: {r.stderr}")


published()
threads()
refused()
sys.exit(finish())
