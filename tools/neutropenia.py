#!/usr/bin/env python3
"""Virtual people for twins/neutropenia, simulated without Doppel, and the experiment that is told in docs/neutropenia.md: does a plan
made for one person, from the weekly counts of the first cycle, give more drug than a dose that is the same for everybody, when both
bring the same share of people below 1e9 leukocytes per litre?

usage: neutropenia.py check                                      the simulator here against published figures
       neutropenia.py people FILE.csv [--people N] [--seed N]     records of virtual people (twins/neutropenia/patients)
       neutropenia.py experiment DOPPEL KIND [--people N] [--seed N] [--draws N] [--json FILE]
       neutropenia.py policies DOPPEL KIND POLICY.yaml ... [--people N] [--seed N] [--json FILE]
                     the same question for policies that decide anew at every cycle, each in doppel trial
"""
import argparse
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

MASS = 853.906  # g/mol
CL, V1, Q, V2 = 285 * 24, 290, 204 * 24, 995  # L/d, L
TYPICAL, OMEGA2 = (7.21, 124.0, 28.9), (0.107, 0.0296, 0.176)  # Circ0 10^9/L, MTT h, slope L/umol
FEEDBACK, ERROR = 0.239, 0.286
INFUSION = 0.125  # d
FIRST, NOW, CYCLES = 315.0, 20.0, 3  # first cycle's dose, when the plan is made, cycles that are planned
GRADE4 = 1.0


def two_exponentials():
    """Unbound concentration (umol/L) after a bolus of 1 mg: sum of a_i exp(-l_i t)."""
    k10, k12, k21 = CL / V1, Q / V1, Q / V2
    s, p = k10 + k12 + k21, k10 * k21
    l1 = (s + math.sqrt(s * s - 4 * p)) / 2
    l2 = p / l1
    unit = 1000 / MASS / V1
    return ((unit * (l1 - k21) / (l1 - l2), l1), (unit * (k21 - l2) / (l1 - l2), l2))


TERMS = two_exponentials()


def concentration(t, doses):
    c = 0.0
    for at, amount in doses:
        s = t - at
        if s <= 0 or s > 12:  # what is left after 12 d is below 1e-9 of the peak
            continue
        for a, rate in TERMS:
            on = min(s, INFUSION)
            c += amount / INFUSION * a / rate * (math.exp(-rate * (s - on)) - math.exp(-rate * s))
    return c


def grid(end, doses):
    """Ascending times: fine while drug is there, every dose and the end among them."""
    out, t = [0.0], 0.0
    starts = sorted({x for x, _ in doses})
    while t < end - 1e-9:
        last = max((x for x in starts if x <= t + 1e-9), default=-99)
        h = 1 / 192 if t - last < 0.5 else 1 / 48 if t - last < 2 else 0.1
        after = [x for x in starts if x > t + 1e-9] + [end]
        t = min(t + h, after[0])
        out.append(t)
    return out


def rates(y, c, person):
    circ0, mtt, slope = person
    k = 96 / mtt
    p, a, b, d, z = y
    return (k * p * ((1 - slope * c) * (circ0 / max(z, 1e-9)) ** FEEDBACK - 1), k * (p - a), k * (a - b), k * (b - d), k * (d - z))


def path(person, doses, end, conc=concentration):
    """Times and leukocytes by the classical Runge-Kutta method."""
    y = (person[0],) * 5
    times, cells = grid(end, doses), [person[0]]
    for t, u in zip(times, times[1:]):
        h = u - t
        c0, c1, c2 = conc(t, doses), conc(t + h / 2, doses), conc(u, doses)
        k1 = rates(y, c0, person)
        k2 = rates([v + h / 2 * r for v, r in zip(y, k1)], c1, person)
        k3 = rates([v + h / 2 * r for v, r in zip(y, k2)], c1, person)
        k4 = rates([v + h * r for v, r in zip(y, k3)], c2, person)
        y = tuple(v + h / 6 * (a + 2 * b + 2 * c + d) for v, a, b, c, d in zip(y, k1, k2, k3, k4))
        cells.append(y[4])
    return times, cells


def at(times, cells, when):
    for i, t in enumerate(times):
        if t >= when - 1e-9:
            if i == 0 or t - when < 1e-9:
                return cells[i]
            w = (when - times[i - 1]) / (t - times[i - 1])
            return cells[i - 1] * (1 - w) + cells[i] * w
    return cells[-1]


def lowest(times, cells, start):
    return min(c for t, c in zip(times, cells) if t >= start)


def check():
    """C(t) = 0.2 exp(-t/1 d) umol/L: the published nadir and counts."""
    times, cells = path(TYPICAL, [(0.0, 0.0)], 30.0, conc=lambda t, _: 0.2 * math.exp(-t))
    wanted = {7: 1.80637, 14: 0.88183, 21: 16.38907, 28: 12.91687}
    worst = max(abs(at(times, cells, d) / x - 1) for d, x in wanted.items())
    nadir = abs(lowest(times, cells, 0) / 0.387093 - 1)
    print(f"largest relative deviation from the published counts {worst:.1e}, of the nadir {nadir:.1e}")
    return worst < 1e-3 and nadir < 1e-3


def draw_person(rng):
    return tuple(m * math.exp(math.sqrt(w) * rng.gauss(0, 1)) for m, w in zip(TYPICAL, OMEGA2))


def measure(rng, value):
    while True:
        y = value * (1 + ERROR * rng.gauss(0, 1))
        if y > 0:
            return round(y, 2)


def record(number, person, rng, doses, days):
    """Rows of an event table."""
    times, cells = path(person, doses, max(days) + 0.5)
    rows = [(d, 1, f"{number},{d:g},,,{measure(rng, at(times, cells, d))},0") for d in days]
    rows += [(t, 2, f"{number},{t:g},{a:g},-2,,1") for t, a in doses]
    return [x for *_, x in sorted(rows)]


HEAD = ["ID,TIME,AMT,RATE,DV,EVID"]


def people(options):
    rng = random.Random(options.seed)
    lines = ["# In silico: people drawn from the published population by tools/neutropenia.py; nobody's own data. 315 mg over 3 h on days 0, 21"]
    lines += HEAD
    for i in range(options.people):
        person = draw_person(rng)
        lines += record(i + 1, person, rng, [(0.0, FIRST), (21.0, FIRST)], [0, 7, 14, 20, 28, 35, 41])
    pathlib.Path(options.file).write_text("\n".join(lines) + "\n", encoding="utf-8")


# ---- the experiment ----

def fixed(person, dose, gap):
    """Lowest count in cycles 2 to 4, from day 21 on, at the same dose every `gap` days."""
    doses = [(0.0, FIRST)] + [(21.0 + gap * k, dose) for k in range(CYCLES)]
    times, cells = path(person, doses, 21.0 + gap * CYCLES)
    return lowest(times, cells, 21.0)


def threshold(person, gap=21.0):
    """The dose every `gap` days at which the person just reaches grade 4."""
    low, high = 0.0, 1000.0  # beyond what anybody would be given
    if fixed(person, high, gap) > GRADE4:
        return high
    for _ in range(14):
        middle = (low + high) / 2
        if fixed(person, middle, gap) < GRADE4:
            high = middle
        else:
            low = middle
    return (low + high) / 2


def advise(doppel, kind, rows, draws):
    """The plan that Doppel proposes on day 20: (time, amount) from now on, or None; its stated P(grade 4)."""
    with tempfile.TemporaryDirectory() as tmp:
        file = pathlib.Path(tmp, "person.csv")
        file.write_text("\n".join(HEAD + rows) + "\n", encoding="utf-8")
        r = subprocess.run([doppel, "plan", kind, "--patient", str(file), "--until", f"{NOW:g}", "--json", "--threads",
                            "1", "--draws", str(draws)], capture_output=True, text=True, check=False)
    if r.returncode:
        sys.exit(f"doppel plan: exit {r.returncode}: {r.stderr}")
    answer = json.loads(r.stdout)
    if answer["chosen"] is None:
        return None, math.nan
    doses = []
    for row in answer["chosen"]["rows"]:
        for k in range(row["repeats"] + 1):
            doses.append((row["time"] + k * row["interval"], row["amount"]))
    stated = next(t["value"] for t in answer["chosen"]["terms"] if t["id"] == "grade4")
    return doses, stated


def one(options, number):
    """One virtual person in both arms: what they got in mg a week, grade 4 or not, and the dose at which grade 4 begins."""
    rng = random.Random(options.seed * 100003 + number)
    person = draw_person(rng)
    rows = record(1, person, rng, [(0.0, FIRST)], [0, 7, 14, 20])
    doses, stated = advise(options.doppel, options.kind, rows, options.draws)
    if doses is None:  # no plan is safe enough: the treatment pauses
        return {"seed": options.seed, "intensity": 0.0, "grade4": 0, "stated": 0.0, "none": 1,
                "threshold": threshold(person)}
    gap = doses[1][0] - doses[0][0]
    given = [(0.0, FIRST)] + [(NOW + t, a) for t, a in doses]
    end = given[-1][0] + gap
    times, cells = path(person, given, end)
    return {"seed": options.seed, "intensity": 7 * sum(a for _, a in doses) / (gap * len(doses)), "dose": doses[0][1],
            "interval": gap, "stated": stated, "grade4": int(lowest(times, cells, given[1][0]) < GRADE4), "none": 0,
            "threshold": threshold(person)}


def compare(rows, gap=21.0):
    """Mean intensity of the individual plans; and of the largest dose that, given to all, brings no more people into
    grade 4. mg a week"""
    events = sum(r["grade4"] for r in rows)
    limits = sorted(r[f"threshold{gap:g}"] for r in rows)
    # where the next person would follow: of all doses with as many events the most favourable to the one dose
    dose = limits[min(events, len(limits) - 1)]
    mine = sum(r["intensity"] for r in rows) / len(rows)
    return mine, 7 * dose / gap, events / len(rows), dose


def percentile(x, p):
    x = sorted(x)
    return x[min(len(x) - 1, int(p * len(x)))]


def wilson(k, n, z=1.959964):
    p, d = k / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / d
    return (p + z * z / (2 * n)) / d - half, (p + z * z / (2 * n)) / d + half


def kept(options):
    """What an earlier call with the same file has done."""
    if not options.json or not pathlib.Path(options.json).exists():
        return []
    rows = json.loads(pathlib.Path(options.json).read_text(encoding="utf-8"))[:options.people]
    for r in rows:
        if r["seed"] != options.seed or [a["policy"] for a in r.get("arms", [])] != getattr(options, "policies", []):
            sys.exit(f"{options.json}: made with another seed or other policies")
    return rows


def keep(options, rows):
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(rows), encoding="utf-8")


def beside_one_dose(rows, gap, seed):
    """Prints the gain over the one dose of equal risk; is it above zero for certain?"""
    mine, theirs, _, dose = compare(rows, gap)
    rng = random.Random(seed + 7)
    boot = [compare([rng.choice(rows) for _ in rows], gap) for _ in range(2000)]
    gain, ratio = [a - b for a, b, *_ in boot], [a / b for a, b, *_ in boot]
    print(f"  the largest same dose for everybody every {gap:g} d that brings no more into grade 4: {dose:.0f} mg; "
          f"dose intensity: own {mine:.1f} mg a week, the same for everybody {theirs:.1f}: difference "
          f"{mine - theirs:+.1f} (95 % interval {percentile(gain, 0.025):+.1f} to {percentile(gain, 0.975):+.1f}), "
          f"ratio {mine / theirs:.3f} ({percentile(ratio, 0.025):.3f} to {percentile(ratio, 0.975):.3f})")
    return percentile(gain, 0.025) > 0


def experiment(options):
    rows = kept(options)
    for i in range(len(rows), options.people):
        rows.append(one(options, i))
        keep(options, rows)
    for i, r in enumerate(rows):
        person = draw_person(random.Random(options.seed * 100003 + i))
        r["threshold21"], r["threshold14"] = r["threshold"], threshold(person, 14.0)
    events, n = sum(r["grade4"] for r in rows), len(rows)
    low, high = wilson(events, n)
    print(f"{n} virtual people, seed {options.seed}")
    print(f"grade 4 in cycles 2 to 4: {events} of {n} under their own plan ({100 * events / n:.1f} %, 95 % interval {100 * low:.1f} to "
          f"{100 * high:.1f}); stated beforehand on average {100 * sum(r['stated'] for r in rows) / n:.1f} %")
    good = True
    for gap in (21.0, 14.0):
        good = beside_one_dose(rows, gap, options.seed) and good
    print(f"without a safe plan: {sum(r['none'] for r in rows)}; intervals: " +
          ", ".join(f"{g:g} d {sum(r.get('interval') == g for r in rows)}" for g in sorted({r['interval'] for r in rows if not r['none']})))
    return good


# ---- policies ----

TRIAL = """trial: one virtual person
question: what does this person get, and how low do the counts fall?
kind: {kind}
run_in: 21 d
horizon: {horizon} d
seed: {seed}
cohort: {{table: person.tsv}}
arms:
{arms}
paired: true
endpoints:
  - {{id: dose, of: given paclitaxel}}
  - {{id: lowest, of: circ, metric: minimum}}
"""


def follow(options, number):
    """What one virtual person, the same as in the experiment, gets in cycles 2 to 4 under each policy, and grade 4."""
    seed = options.seed * 100003 + number
    person = draw_person(random.Random(seed))
    etas = [math.log(x / m) for x, m in zip(person, TYPICAL)]
    arms = [f"  - {{name: arm {i}, policy: {json.dumps(str(pathlib.Path(p).resolve()))}}}"
            for i, p in enumerate(options.policies)]
    with tempfile.TemporaryDirectory() as tmp:
        table = "eta_Circ0\teta_MTT\teta_slope\n" + "\t".join(map(repr, etas)) + "\n"
        pathlib.Path(tmp, "person.tsv").write_text(table, encoding="utf-8")
        file = pathlib.Path(tmp, "trial.yaml")
        kind = json.dumps(str(pathlib.Path(options.kind).resolve()))
        file.write_text(TRIAL.format(kind=kind, horizon=21 * CYCLES, seed=seed, arms="\n".join(arms)), encoding="utf-8")
        r = subprocess.run([options.doppel, "trial", str(file), "--no-checks", "--json", "--threads", "1"],
                           capture_output=True, text=True, check=False)
    if r.returncode:
        sys.exit(f"doppel trial: exit {r.returncode}: {r.stderr}")
    row = {"seed": options.seed, "threshold21": threshold(person), "arms": []}
    for policy, arm in zip(options.policies, json.loads(r.stdout)["arms"]):
        value = {e["id"]: e["value"] for e in arm["endpoints"]}
        row["arms"].append({"policy": policy, "intensity": value["dose"] / (3 * CYCLES),
                            "grade4": int(value["lowest"] < GRADE4), "incidents": arm["incidents"]})
    return row


def policies(options):
    """Each policy beside the one dose every three weeks that brings as many of these people into grade 4."""
    rows = kept(options)
    for i in range(len(rows), options.people):
        rows.append(follow(options, i))
        keep(options, rows)
    print(f"{len(rows)} virtual people, seed {options.seed}, cycles 2 to 4")
    good = True
    for i, policy in enumerate(options.policies):
        arm = [r["arms"][i] | {"threshold21": r["threshold21"]} for r in rows]
        low, high = wilson(sum(r["grade4"] for r in arm), len(arm))
        print(f"{policy}: grade 4 in {sum(r['grade4'] for r in arm)} of {len(arm)} (95 % interval {100 * low:.1f} to "
              f"{100 * high:.1f} %), incidents {sum(r['incidents'] for r in arm)}")
        good = beside_one_dose(arm, 21.0, options.seed) and good
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = parser.add_subparsers(dest="what", required=True)
    sub.add_parser("check")
    p = sub.add_parser("people")
    p.add_argument("file")
    p.add_argument("--people", type=int, default=10)
    p.add_argument("--seed", type=int, default=20)
    e = sub.add_parser("experiment")
    e.add_argument("doppel")
    e.add_argument("kind")
    e.add_argument("--people", type=int, default=200)
    e.add_argument("--seed", type=int, default=1)
    e.add_argument("--draws", type=int, default=1000, help="of what is believed of a person (doppel plan's)")
    e.add_argument("--json", help="keeps what was done, person by person; a later call goes on from there")
    q = sub.add_parser("policies")
    q.add_argument("doppel")
    q.add_argument("kind")
    q.add_argument("policies", nargs="+")
    q.add_argument("--people", type=int, default=100)
    q.add_argument("--seed", type=int, default=1)
    q.add_argument("--json", help="keeps what was done, person by person; a later call goes on from there")
    options = parser.parse_args()
    if options.what == "people":
        people(options)
        return 0
    what = {"check": lambda _: check(), "experiment": experiment, "policies": policies}
    return 0 if what[options.what](options) else 1


if __name__ == "__main__":
    sys.exit(main())
