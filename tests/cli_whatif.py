#!/usr/bin/env python3
"""doppel forecast and doppel plan: branches beside each other, the search and its explanation, and what is refused of plans.

usage: cli_whatif.py DOPPEL SOURCE_DIR"""
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml

from checks import check, finish, refusal

DOPPEL, SOURCE = sys.argv[1], pathlib.Path(sys.argv[2]).resolve()
KIND = SOURCE / "twins" / "theophylline"
USAGE, INPUT = 2, 3
HEAD = "controlId\ttime\tamount\tduration\tinterval\trepeats\tsteady\n"


def run(*args):
    return subprocess.run([DOPPEL, *map(str, args)], capture_output=True, text=True, errors="replace", timeout=120, check=False, cwd=SOURCE)


def put(folder, name, text):
    path = pathlib.Path(folder, name)
    path.write_text(text, encoding="utf-8")
    return path


def refused(name, code, wanted, *args):
    refusal(name, run(*args), code, wanted)


def forecasts(tmp):
    low = put(tmp, "low.tsv", HEAD + "oral\t0\t200\t\t12\t3\t\n")
    high = put(tmp, "high.tsv", HEAD + "oral\t0\t400\t\t12\t3\t\n")
    args = ("forecast", "theophylline", "--patient", "1", "--until", "8", "--plan", low, "--plan", high, "--plan", "none", "--draws", "200")
    r = run(*args, "--json", "--plot", pathlib.Path(tmp, "f.svg"))
    if not check("forecast: ends well", r.returncode == 0, r.stderr):
        return
    answer = json.loads(r.stdout)
    check("forecast: three branches", [p["name"] for p in answer["plans"]] == ["low", "high", "none"], [p["name"] for p in answer["plans"]])
    median = answer["levels"].index(0.5)
    drug = [next(s for s in p["shown"] if s["id"] == "c" and not s["measured"]) for p in answer["plans"]]
    now = next(i for i, t in enumerate(answer["time"]) if t >= answer["now"])
    for i in range(now):
        same = drug[0]["quantiles"][i] == drug[1]["quantiles"][i] == drug[2]["quantiles"][i]
        if not check("forecast: the past is the same in every branch", same, answer["time"][i]):
            break
    # the model is linear: what 400 mg adds to nothing is twice what 200 mg adds, draw by draw; so for the draws' means, and nearly
    # for medians of what is added when little else varies; here, at the end, as an order
    last = [d["quantiles"][-1][median] for d in drug]
    check("forecast: more drug, higher concentration", last[2] < last[0] < last[1], last)
    for p in answer["compared"]:
        check("forecast: a probability", 0 <= p["probability_better"] <= 1, p)
        check("forecast: an interval about the difference", p["low"] <= p["difference"] <= p["high"], p)
    check("forecast: terms of every plan", all({t["id"] for t in p["terms"]} == {"trough", "peak", "in_range"} for p in answer["plans"]))
    check("forecast: why", answer["why"] is not None and len(answer["why"]["rivals"]) >= 2, answer["why"])
    check("forecast: picture", xml.parse(pathlib.Path(tmp, "f.svg")).getroot().tag.endswith("svg"))
    check("forecast: same bytes on 1 and 2 threads", run(*args, "--json", "--threads", "1").stdout == run(*args, "--json", "--threads", "2").stdout)
    same = run("forecast", "theophylline", "--patient", "1", "--plan", low, "--plan", low, "--draws", "200", "--json")
    pair = json.loads(same.stdout)["compared"][0]
    check("forecast: a plan against itself", pair["difference"] == 0 and pair["probability_better"] == 0.5, pair)
    words = run(*args)
    check("forecast: words", words.returncode == 0 and "A against B" in words.stdout and "lowest" in words.stdout, words.stderr)


def plans(tmp):
    file = pathlib.Path(tmp, "plan.tsv")
    r = run("plan", "theophylline", "--patient", "1", "--until", "8", "--json", "-o", file, "--plot", pathlib.Path(tmp, "p.svg"))
    if not check("plan: ends well", r.returncode == 0, r.stderr):
        return
    answer = json.loads(r.stdout)
    if not check("plan: proposes one", answer["chosen"] is not None, answer["reason"]):
        return
    why = answer["why"]
    picture = pathlib.Path(tmp, "p.svg").read_text(encoding="utf-8")  # a regimen goes on from now to the horizon, in the person's own state
    check("plan: picture", "proposed: " in picture and " times</text>" in picture, picture[:1500])
    check("plan: explains it", why["recommended"] and why["limits"] and why["rivals"], why)
    check("plan: limits hold", all(x["holds"] and x["slack"] >= 0 for x in why["limits"]), why["limits"])
    check("plan: tightest limit first", why["limits"] == sorted(why["limits"], key=lambda x: x["slack"] / (
        1 - x["allowed"] if x["text"].count(">=") == 2 else x["allowed"])), why["limits"])
    check("plan: shares", all(0 <= d["share"] <= 1 for d in why["drivers_of_difference"] + why["drivers_of_tightest_limit"]), why)
    check("plan: something would let a rival win", any(x["would_win_if"] for x in why["rivals"]), why["rivals"])
    check("plan: data", why["data"] is None or 0 <= why["data"]["probability_of_change"] <= 1, why["data"])
    again = run("forecast", "theophylline", "--patient", "1", "--until", "8", "--plan", file, "--json")
    if check("plan: forecast reads it", again.returncode == 0, again.stderr):
        judged = {t["id"]: t["value"] for t in json.loads(again.stdout)["plans"][0]["terms"]}
        for t in answer["chosen"]["terms"]:
            check(f"plan: {t['id']} is the same by forecast", abs(judged[t["id"]] - t["value"]) < 1e-9, (t, judged))
    rows = [x.split("\t") for x in file.read_text(encoding="utf-8").splitlines()[1:]]
    last = max(float(x[1]) + float(x[4]) * (int(x[5]) + 1) for x in rows)
    check("plan: what is written goes on to the horizon (25 h)", 17 <= last < 17 + float(rows[0][4]) + 1e-9, rows)
    words = run("plan", "theophylline", "--patient", "1", "--until", "8")
    for w in ("proposed", "term by term, best and", "to be approved by: prescriber", "why:", "limits, the tightest first", "for another plan to win"):
        check(f"plan: says {w}", w in words.stdout, words.stdout[:2000] + words.stderr)


def changed(tmp, name, base, *edits):
    """A kind of its own: one that is there, with texts of its files changed."""
    folder = pathlib.Path(tmp, name)
    shutil.copytree(SOURCE / "twins" / base, folder)
    for file, old, new in edits:
        text = (folder / file).read_text(encoding="utf-8")
        check(f"{name}: the change took", old in text, old)
        (folder / file).write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


def beliefs(tmp):
    """What is believed is told with every answer; where it is not fit for use there is none, in JSON too."""
    person = ("--patient", "B", "--until", "24")
    never = changed(tmp, "never", "vancomycin", ("model.ant", "c := central/Vc;", "c := central/Vc + 1e-9*ln(-1 - CL);"))
    for command in (("plan",), ("forecast", "--plan", "none"), ("dose", "--target", "c(24 h) = 11")):
        r = run(command[0], never, *person, *command[1:], "--json")
        check(f"unfit: {command[0]}: exit 6", r.returncode == 6, f"{r.returncode} {r.stderr}")
        answer = json.loads(r.stdout)
        check(f"unfit: {command[0]}: says so", not answer["belief"]["usable"] and "not usable" in answer["belief"]["verdict"], answer)
        check(f"unfit: {command[0]}: no answer", not answer.get("chosen") and not answer.get("plans") and answer.get("dose") is None, answer)
        words = run(command[0], never, *person, *command[1:])
        check(f"unfit: {command[0]}: in words", words.returncode == 6 and "not usable" in words.stderr + words.stdout, words.stderr)
    odd = put(tmp, "odd.csv", "ID,TIME,AMT,RATE,DV,EVID,CLCR,WT,DIAL\nZ,0,1500,750,,1,90,70,0\nZ,12,,,5000,0,90,70,0\n"
                              "Z,20,,,0.001,0,90,70,0\nZ,22,,,4000,0,90,70,0\n")
    for command in (("plan",), ("forecast", "--plan", "none"), ("dose", "--target", "c(24 h) = 11")):
        r = run(command[0], "vancomycin", "--patient", odd, *command[1:])
        check(f"data that the model hardly explains: {command[0]} says so", "the model hardly explains these data" in r.stdout, r.stdout[:400])
    some = changed(tmp, "some", "vancomycin", ("model.ant", "c := central/Vc;", "c := central/Vc + 1e-9*ln(3 - CL);"))
    r = run("forecast", some, "--patient", "B", "--until", "1", "--plan", "none", "--json")
    failed = json.loads(r.stdout)["plans"][0]["failed"]
    check("draws that show no number: counted and told", 100 < failed < 900 and f"{failed} of 1000 draws" in r.stderr, f"{failed} {r.stderr}")


def objectives(tmp):
    """Several objectives: the front is in the words and in the JSON, and nothing on it beats another in all of `pareto`."""
    terms = ("weight: 1", "weight: 1\n    objective: benefit\n  - {id: most, quantity: c, functional: maximum, weight: -0.01, unit: mg/L, "
             "risk: cvar 0.10, objective: harm}")
    kind = changed(tmp, "two", "vancomycin", ("reward.yaml", "control: iv", "control: iv\npareto: [benefit, harm]"), ("reward.yaml", *terms),
                   ("reward.yaml", '"<= 0.05"', '"<= 0.25"'))
    r = run("plan", kind, "--patient", "B", "--json")
    answer = json.loads(r.stdout)
    front = answer["front"]
    check("objectives: named", answer["objectives"] == ["benefit", "harm"], answer["objectives"])
    check("objectives: several on the front", len(front) > 2, front)
    check("objectives: none beats another", not any(all(a >= b for a, b in zip(x["objectives"], y["objectives"])) and
                                                    x["objectives"] != y["objectives"] for x in front for y in front), front)
    words = run("plan", kind, "--patient", "B").stdout
    check("objectives: the same in words", all(x["text"] in words for x in front) and f"{len(front)} stand on the Pareto front" in words, words)
    check("plan: rows name control and unit", front[0]["rows"][0]["control"] == "iv" and front[0]["rows"][0]["unit"] == "mg", front[0])


def nearest(tmp):
    """Where no plan holds its limits the answer and its explanation are about the same nearest plan, with the same numbers."""
    kind = changed(tmp, "none", "vancomycin", ("reward.yaml", "limits:", 'limits:\n  - {id: area, quantity: c, functional: integral, '
                                               'event: "> 400 mg.h/L", probability: ">= 0.8"}'), ("reward.yaml", '"> 20 mg/L"', '"> 10 mg/L"'))
    answer = json.loads(run("plan", kind, "--patient", "B", "--json").stdout)
    check("nearest: both limits named", sorted(answer["conflict"]) == ["area", "trough"], answer["conflict"])
    check("nearest: the same plan", answer["why"]["plan"] == answer["runner_up"]["text"], (answer["why"]["plan"], answer["runner_up"]["text"]))
    check("nearest: judged on all draws", answer["runner_up"]["draws"] == answer["draws"], answer["runner_up"]["draws"])
    stated = {t["id"]: t["value"] for t in answer["runner_up"]["terms"]}
    check("nearest: the same numbers", all(abs(x["estimate"] - stated[x["id"]]) < 1e-9 for x in answer["why"]["limits"]), answer["why"]["limits"])


def few_draws(tmp):
    """A strict limit takes many draws: with too few the answer says how many, with enough there is a plan."""
    kind = changed(tmp, "strict", "vancomycin", ("reward.yaml", '"<= 0.05"', '"<= 0.1 %"'))
    few = json.loads(run("plan", kind, "--patient", "B", "--json").stdout)
    wanted = "1000 effective draws are too few to show that limit 'trough' holds, whatever the plan: it takes 2995"
    check("few draws: none, and how many it takes", few["chosen"] is None and wanted in few["reason"], few["reason"])
    many = json.loads(run("plan", kind, "--patient", "B", "--draws", "4000", "--json").stdout)
    check("few draws: enough of them", "too few" not in many["reason"] and many["chosen"]["terms"][0]["high"] <= 0.001, many["reason"])


def bolus():
    """A bolus at lunch, under a limit on lows: near what a bolus calculator would give (CR 10 g/U, 38 g), a multiple of 0.25 U."""
    r = run("plan", "insulin", "--patient", "twins/insulin/patients/lunch.csv", "--until", "763", "--json")
    if not check("a bolus: planned", r.returncode == 0, r.stderr):
        return
    answer = json.loads(r.stdout)
    amount = answer["chosen"]["rows"][0]["amount"]
    check("a bolus: what a calculator would give, or so", 2 <= amount <= 6 and amount % 0.25 == 0, amount)
    low = answer["chosen"]["terms"][0]
    check("a bolus: its limit holds at the bound", low["goal"] == "limit" and low["holds"] and low["high"] <= 0.01, low)


def bad(tmp):
    person = ("--patient", "1")

    def plan(name, row, head=HEAD):
        return put(tmp, name + ".tsv", head + row + "\n")

    refused("no plan", USAGE, ["--plan"], "forecast", "theophylline", *person)
    refused("nobody", USAGE, ["--patient"], "plan", "theophylline")
    refused("more than the upper bound", INPUT, ["1000 mg", "upper bound", "900"], "forecast", "theophylline", *person, "--plan",
            plan("much", "oral\t0\t1000\t\t12\t3\t"))
    refused("tablets that do not exist", INPUT, ["250 mg", "tablets"], "forecast", "theophylline", *person, "--plan",
            plan("odd", "oral\t0\t250\t\t12\t3\t"))
    refused("an interval that is not allowed", INPUT, ["interval of 5 h"], "forecast", "theophylline", *person, "--plan",
            plan("often", "oral\t0\t200\t\t5\t3\t"))
    refused("two doses at one time", INPUT, ["at the same time", "1000 mg", "upper bound"], "forecast", "theophylline", *person, "--plan",
            plan("both", "oral\t0\t500\t\t\t\t\noral\t0\t500\t\t\t\t"))
    refused("an infusion longer than its interval", INPUT, ["over 14 h", "after 12 h"], "forecast", "theophylline", *person, "--plan",
            plan("long", "oral\t0\t300\t14\t12\t3\t"))
    refused("a now before the record", USAGE, ["--until", "-1"], "plan", "theophylline", *person, "--until", "-1")
    for name in ("nowhere.csv", "folder/nowhere.csv"):
        for command in (("plan",), ("forecast", "--plan", "none"), ("dose", "--target", "c(24 h) = 5")):
            refused(f"{command[0]}: {name}", INPUT, [name, "No such file"], command[0], "theophylline", *command[1:], "--patient", name)
    refused("an unknown control", INPUT, ["unknown.tsv:2", "orall", "oral"], "forecast", "theophylline", *person, "--plan",
            plan("unknown", "orall\t0\t200\t\t12\t3\t"))
    refused("an unknown column", INPUT, ["amont"], "forecast", "theophylline", *person, "--plan",
            plan("column", "oral\t0\t200", "controlId\ttime\tamont\n"))
    refused("a time before now", INPUT, ["before.tsv:2"], "forecast", "theophylline", *person, "--plan", plan("before", "oral\t-1\t200\t\t\t\t"))
    refused("an amount that is no number", INPUT, ["text.tsv:2", "much"], "forecast", "theophylline", *person, "--plan",
            plan("text", "oral\t0\tmuch\t\t\t\t"))
    refused("a horizon in the past", USAGE, ["ends after now"], "forecast", "theophylline", *person, "--until", "8", "--horizon", "3", "--plan", "none")
    refused("an unknown search", USAGE, ["annealing"], "plan", "theophylline", *person, "--search", "annealing")
    kind = pathlib.Path(tmp, "bare")
    shutil.copytree(KIND, kind)
    text = (kind / "twin.yaml").read_text(encoding="utf-8")
    (kind / "twin.yaml").write_text("\n".join(x for x in text.splitlines() if not x.startswith("reward:")) + "\n", encoding="utf-8")
    refused("a kind without rewards", USAGE, ["no reward"], "plan", kind, *person)
    ok = run("forecast", kind, *person, "--plan", "none", "--draws", "200")
    check("a kind without rewards: still forecast", ok.returncode == 0 and "not judged" in ok.stdout, ok.stderr)


def main():
    with tempfile.TemporaryDirectory() as tmp:
        forecasts(tmp)
        plans(tmp)
        beliefs(tmp)
        objectives(tmp)
        nearest(tmp)
        few_draws(tmp)
        bolus()
        bad(tmp)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
