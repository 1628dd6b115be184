#!/usr/bin/env python3
"""One objective and one gradient of published calibration problems, by AMICI through pyPESTO and by Doppel, in the same run: one table.

    compare_calibration.py DOPPEL PETAB [--problems NAME ...] [--cache DIR] [--rtol 1e-8] [--atol 1e-8] [--budget S] [--core K]
                           [--table FILE.tsv] [--markdown FILE.md] [--json FILE] [--prepare]

DOPPEL: doppel of a build; PETAB: folder of the PEtab benchmark collection. The peers are Python packages (tools/peers.txt) of the
Python that runs this; without them the comparison is skipped and says so. AMICI writes and compiles C++ for each model (under a
minute for a small one, many for a large one); what it compiled is kept under --cache (default out/peers) and taken from there the
next time. --prepare does only that.

Both sides: the PEtab file as it is, likelihood of all data at the nominal point and its gradient by all estimated parameters on
their scale of estimation, the same rtol and atol, one thread on one processor, each problem and program in a process of its own.
Everything that happens once is left out: import, compilation, first calls. Each repeat is at a point of its own (nominal plus
some 1e-7), so that nothing can be remembered. Times are processor seconds of the whole process, best of the repeats (median in the
JSON and the table). AMICI's are those of pyPESTO's objective, as its users' optimisers call it; `inside` is what of them AMICI's
own solver reports, without Python. Gradients: AMICI's forward and adjoint, ours by `auto` (the cheaper one by its own plan) and
both ways; the ratio is AMICI's faster one over our `auto`.

Are the numbers the same? difference: of the two objectives, relative, and of the gradients, largest component over the largest
component; error: of each against AMICI itself at rtol 1e-12, atol 1e-14 (where that integrates).
"""
import argparse
import importlib.metadata
import json
import logging
import math
import pathlib
import subprocess
import sys
import time

import peer_child

# the eight with published time budgets (seconds: simulation, forward gradient), and four more small ones
BUDGET = {"Boehm_JProteomeRes2014": (.005, .05), "Bachmann_MSB2011": (.05, 3.5), "Beer_MolBioSystems2014": (.05, .5),
          "Isensee_JCB2018": (.1, 15), "Fujita_SciSignal2010": (.01, .5), "Schwen_PONE2014": (.01, .5),
          "Smith_BMCSystBiol2013": (1.0, 50), "Zheng_PNAS2012": (.005, .05)}
PROBLEMS = [*BUDGET, "Crauste_CellSystems2017", "Elowitz_Nature2000", "Raia_CancerResearch2011", "Borghans_BiophysChem1997"]
PACKAGES = ("amici", "pypesto", "petab", "fides")
REPEATS = (5, 200)


# ---- AMICI, in a process of its own ----

def yaml_of(petab, name):
    found = [f for f in sorted(pathlib.Path(petab, name).glob("*.yaml")) if "_v2" not in f.stem]
    same = [f for f in found if f.stem == name]
    return (same or found)[0]


def compiled(args, name):
    """the file that says how long AMICI took to write and compile its model, there when that is finished"""
    return pathlib.Path(args.cache, "amici-" + importlib.metadata.version("amici"), name, "compiled.json")


def pypesto_problem(args, name):
    """pyPESTO's problem of a PEtab file; its AMICI model compiled, or from the cache"""
    import warnings
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    import petab.v1
    import pypesto
    import pypesto.petab
    ready = compiled(args, name)
    folder = ready.parent
    problem = petab.v1.Problem.from_yaml(str(yaml_of(args.petab, name)))
    importer = pypesto.petab.PetabImporter(problem, output_folder=str(folder), model_name="peer_" + name, validate_petab=False)
    begin = time.perf_counter()
    creator = importer.create_objective_creator()
    # half a model that an interruption left behind is made again
    model = creator.create_model(force_compile=not ready.exists(), verbose=False)
    compile_s = time.perf_counter() - begin
    if ready.exists():
        compile_s = json.loads(ready.read_text(encoding="utf-8"))["seconds"]
    else:
        ready.write_text(json.dumps({"seconds": compile_s}) + "\n", encoding="utf-8")
    objective = creator.create_objective(model=model, verbose=False)
    full = importer.create_problem(objective=creator.create_objective(model=model, verbose=False))
    # without the priors, which pyPESTO adds as an objective of their own: the likelihood alone is compared
    problem = pypesto.Problem(objective, lb=full.lb_full, ub=full.ub_full, x_fixed_indices=full.x_fixed_indices,
                              x_fixed_vals=full.x_fixed_vals, x_names=full.x_names)
    return problem, problem.objective, compile_s


def time_calls(call, budget):
    """[processor seconds], [seconds] of call(k), k = 1, 2, ..."""
    cpu, wall, spent = [], [], 0.0
    while len(cpu) < REPEATS[1] and (len(cpu) < REPEATS[0] or spent < budget):
        c, w = time.process_time(), time.perf_counter()
        call(len(cpu) + 1)
        cpu.append(time.process_time() - c)
        wall.append(time.perf_counter() - w)
        spent += cpu[-1]
        if spent > 3 * budget:
            break
    return cpu, wall


def median(values):
    return sorted(values)[len(values) // 2]


class Amici:
    def __init__(self, args, name):
        import numpy
        import amici.sim.sundials as sundials
        self.numpy, self.sundials, self.args = numpy, sundials, args
        self.problem, self.objective, self.compile_s = pypesto_problem(args, name)
        self.ids = [self.problem.x_names[i] for i in self.problem.x_free_indices]
        self.x = numpy.asarray(self.petab_nominal(name))
        self.solver = self.objective.amici_solver
        self.tolerate(args.rtol, args.atol)

    def petab_nominal(self, name):
        import petab.v1
        problem = petab.v1.Problem.from_yaml(str(yaml_of(self.args.petab, name)))
        value = dict(zip(problem.x_ids, problem.x_nominal_scaled))
        return [float(value[i]) for i in self.ids]

    def tolerate(self, rtol, atol):
        self.solver.set_relative_tolerance(rtol)
        self.solver.set_absolute_tolerance(atol)

    def use(self, method):
        self.solver.set_sensitivity_method(getattr(self.sundials.SensitivityMethod, method))

    def point(self, k):
        return self.x + 1e-7 * k * (self.numpy.arange(len(self.x)) % 2 * 2 - 1)

    def ask(self, k, order):
        return self.objective(self.point(k), sensi_orders=(0, 1) if order else (0,), return_dict=True)

    def inside(self, answer):
        """seconds that AMICI's solvers say they took"""
        total = 0.0
        for r in answer.get("rdatas", []):
            total += float(getattr(r, "cpu_time_total", math.nan))
        return total / 1e3

    def time(self, order):
        begin = time.process_time()
        answer = self.ask(0, order)
        first = time.process_time() - begin
        value = float(answer["fval"])
        if not math.isfinite(value):
            return {"ok": False, "reason": "not evaluable at the nominal point"}
        self.ask(0, order)
        inside = []

        def call(k):
            inside.append(self.inside(self.ask(k, order)))
        cpu, wall = time_calls(call, self.args.budget)
        out = {"ok": True, "llh": -value, "first_s": first, "best_s": min(cpu), "median_s": median(cpu), "wall_s": median(wall),
               "inside_s": min(inside), "repeats": len(cpu)}
        if order:
            out["gradient"] = dict(zip(self.ids, (-float(g) for g in answer["grad"])))
        return out

    def reference(self):
        self.tolerate(1e-12, 1e-14)
        # not before: the adjoint method's memory, and so its time, grows with it
        self.solver.set_max_steps(200000)
        self.use("forward")
        answer = self.ask(0, 1)
        value = float(answer["fval"])
        if not math.isfinite(value):
            return None
        return {"llh": -value, "gradient": dict(zip(self.ids, (-float(g) for g in answer["grad"])))}


def serve(args):
    if args.prepare:
        _, _, seconds = pypesto_problem(args, args.serve)
        print("RESULT " + json.dumps({"compile_s": seconds}))
        return 0
    peer = Amici(args, args.serve)
    out = {"compile_s": peer.compile_s, "value": peer.time(0), "states": peer.objective.amici_model.nx_rdata,
           "conditions": len(peer.objective.edatas)}
    for way in ("forward", "adjoint"):
        peer.use(way)
        out[way] = attempt(lambda: peer.time(1))
    out["reference"] = attempt(peer.reference)
    print("RESULT " + json.dumps(out))
    return 0


def attempt(what):
    try:
        return what()
    except Exception as e:  # noqa: BLE001 - what a peer can't do is said in the table
        return {"ok": False, "reason": (str(e).strip().splitlines() or [type(e).__name__])[0][:160]}


# ---- both, from outside ----

def child(args, name, *more, core=True):
    command = [sys.executable, __file__, args.doppel, args.petab, "--serve", name, "--cache", args.cache, "--rtol", repr(args.rtol),
               "--atol", repr(args.atol), "--budget", repr(args.budget), *more]
    return peer_child.ask(command, args.timeout, args.core if core else None, CMAKE_BUILD_PARALLEL_LEVEL="1")


def ours(args, name):
    command = ["taskset", "-c", str(args.core), args.doppel, "bench", "calibration", "--problem", str(yaml_of(args.petab, name)),
               "--rtol", repr(args.rtol), "--atol", repr(args.atol), "--budget", repr(args.budget), "--threads", "1", "--json"]
    for what in ("value", "gradient", "forward", "adjoint"):
        command += ["--only", what]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=args.timeout)
    try:
        return json.loads(run.stdout)["rows"][0]
    except (ValueError, LookupError):
        return {"skipped": (run.stderr.strip().splitlines() or ["no answer"])[0][:200]}


def relative(a, b):
    return abs(a - b) / max(1.0, abs(b))


def apart(a, b):
    """of two gradients: the largest difference over the largest component"""
    if not a or not b or set(a) != set(b) or any(v is None for v in [*a.values(), *b.values()]):
        return math.nan
    size = max(abs(v) for v in b.values()) or 1.0
    return max(abs(a[k] - b[k]) for k in b) / size


def good(r, key):
    return r.get(key) if isinstance(r.get(key), dict) and r[key].get("ok") else None


def row_of(name, peer, own):
    """one line of the table; None: nothing to compare"""
    row = {"problem": name}
    for side, r in (("AMICI", peer), ("doppel", own)):
        if "skipped" in r:
            row["note"] = f"{side}: {r['skipped']}"
            return row
    value, auto = good(own, "value"), good(own, "gradient")
    row.update(parameters=own["parameters"], states=own["states"], conditions=own["experiments"], simulations=own["simulations"])
    if good(peer, "value") and value:
        row.update(value_peer=peer["value"]["best_s"], value_inside=peer["value"]["inside_s"], value_ours=value["best_s"],
                   value_peer_median=peer["value"]["median_s"], value_ours_median=value["median_s"],
                   value_ratio=peer["value"]["best_s"] / value["best_s"],
                   value_ratio_inside=peer["value"]["inside_s"] / value["best_s"],
                   value_difference=relative(value["llh"], peer["value"]["llh"]))
    ways = {w: good(peer, w) for w in ("forward", "adjoint")}
    for way, r in ways.items():
        if r:
            row[f"{way}_peer"] = r["best_s"]
            row[f"{way}_inside"] = r["inside_s"]
        if good(own, way):
            row[f"{way}_ours"] = own[way]["best_s"]
    fastest = min((r for r in ways.values() if r), key=lambda r: r["best_s"], default=None)
    if fastest and auto:
        row.update(gradient_ours=auto["best_s"], gradient_ours_median=auto["median_s"], gradient_peer_median=fastest["median_s"],
                   gradient_ratio=fastest["best_s"] / auto["best_s"],
                   gradient_ratio_inside=min(r["inside_s"] for r in ways.values() if r) / auto["best_s"],
                   gradient_difference=apart(auto["gradient"], (ways["forward"] or fastest)["gradient"]))
    reference = peer.get("reference")
    if reference and "llh" in reference:
        row["value_error_peer"] = relative(peer["value"]["llh"], reference["llh"])
        row["value_error_ours"] = relative(value["llh"], reference["llh"]) if value else math.nan
        row["gradient_error_peer"] = apart(ways["forward"]["gradient"], reference["gradient"]) if ways["forward"] else math.nan
        row["gradient_error_ours"] = apart(auto["gradient"], reference["gradient"]) if auto else math.nan
    if name in BUDGET and value and auto:
        row["value_below_published"] = BUDGET[name][0] / value["best_s"]
        row["gradient_below_published"] = BUDGET[name][1] / auto["best_s"]
    return row


# ---- tables ----

COLUMNS = ["problem", "parameters", "states", "conditions", "simulations", "value_peer", "value_inside", "value_ours", "value_peer_median",
           "value_ours_median", "value_ratio", "value_ratio_inside", "forward_peer", "forward_inside", "forward_ours", "adjoint_peer",
           "adjoint_inside", "adjoint_ours", "gradient_ours", "gradient_peer_median", "gradient_ours_median", "gradient_ratio",
           "gradient_ratio_inside", "value_difference", "gradient_difference", "value_error_peer", "value_error_ours",
           "gradient_error_peer", "gradient_error_ours", "value_below_published", "gradient_below_published", "note"]


def cell(v):
    if v is None or (isinstance(v, float) and math.isnan(v)):
        return ""
    return f"{v:.4g}" if isinstance(v, float) else str(v)


def write_table(path, rows, head):
    lines = ["# " + head, "# seconds of processor time, best of the repeats; what each column is: tools/compare_calibration.py --help",
             "\t".join(COLUMNS)]
    lines += ["\t".join(cell(r.get(c)) for c in COLUMNS) for r in rows]
    pathlib.Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")


def show(seconds):
    if seconds is None or not math.isfinite(seconds):
        return ""
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


def times(ratio):
    return "" if ratio is None else f"{ratio:.3g}"


def markdown(rows):
    head = ["problem", "parameters", "states", "simulations", "objective: AMICI (inside)", "ours", "times faster (inside)",
            "gradient: AMICI forward, adjoint", "ours", "times faster (inside)", "difference: objective, gradient",
            "gradient's error: AMICI, ours", "below published budget: objective, gradient"]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for r in rows:
        if r.get("note"):
            lines.append(f"| {r['problem']} | skipped: {r['note']} |" + " |" * (len(head) - 2))
            continue
        pair = lambda a, b: f"{cell(r.get(a))}, {cell(r.get(b))}" if a in r or b in r else ""
        lines.append("| " + " | ".join([
            r["problem"], cell(r["parameters"]), cell(r["states"]), cell(r["simulations"]),
            f"{show(r.get('value_peer'))} ({show(r.get('value_inside'))})", show(r.get("value_ours")),
            f"**{times(r.get('value_ratio'))}** ({times(r.get('value_ratio_inside'))})",
            f"{show(r.get('forward_peer'))}, {show(r.get('adjoint_peer')) or '-'}", show(r.get("gradient_ours")),
            f"**{times(r.get('gradient_ratio'))}** ({times(r.get('gradient_ratio_inside'))})",
            pair("value_difference", "gradient_difference"), pair("gradient_error_peer", "gradient_error_ours"),
            pair("value_below_published", "gradient_below_published")]) + " |")
    return "\n".join(lines) + "\n"


def verdict(rows, goal=5.0):
    """how many problems reach the goal on both, and who does not"""
    both = [r for r in rows if r.get("value_ratio") is not None and r.get("gradient_ratio") is not None]
    reached = [r for r in both if min(r["value_ratio"], r["gradient_ratio"]) >= goal]
    short = [r["problem"] for r in both if r not in reached]
    return (f"objective and gradient at least {goal:g} times faster on {len(reached)} of {len(both)} problems"
            + (f"; not on {', '.join(short)}" if short else "") + f"; not compared: {len(rows) - len(both)}")


def versions():
    return ", ".join(f"{p} {importlib.metadata.version(p)}" for p in PACKAGES)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("doppel")
    p.add_argument("petab")
    p.add_argument("--problems", nargs="+", default=PROBLEMS)
    p.add_argument("--cache", default="out/peers", help="folder of AMICI's compiled models (out/peers)")
    p.add_argument("--rtol", type=float, default=1e-8)
    p.add_argument("--atol", type=float, default=1e-8)
    p.add_argument("--budget", type=float, default=2.0, help="processor seconds of repeats, for each measurement (2)")
    p.add_argument("--timeout", type=float, default=3600.0, help="seconds for one program and problem (3600)")
    p.add_argument("--core", type=int, default=0, help="processor that both run on (0)")
    p.add_argument("--table", default="", help="docs/calibration-peers.tsv")
    p.add_argument("--markdown", default="")
    p.add_argument("--json", default="")
    p.add_argument("--prepare", action="store_true", help="only compile what AMICI needs")
    p.add_argument("--serve", default="", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.serve:
        return serve(args)
    if not pathlib.Path(args.petab).is_dir():
        print("skipped: ../shared not there")
        return 0
    try:
        versions()
    except importlib.metadata.PackageNotFoundError as e:
        print(f"skipped: the package {e.name} is not installed (tools/peers.txt)")
        return 0
    pathlib.Path(args.cache).mkdir(parents=True, exist_ok=True)
    args.cache = str(pathlib.Path(args.cache).resolve())
    failed = {}
    for name in args.problems:
        if compiled(args, name).exists():
            continue
        print(f"{name}: AMICI's model", file=sys.stderr, flush=True)
        r = child(args, name, "--prepare", core=False)
        if "skipped" in r:
            failed[name] = r
            print(f"{name}: {r['skipped']}", file=sys.stderr, flush=True)
    if args.prepare:
        return 1 if failed else 0
    rows, raw = [], []
    for name in args.problems:
        print(f"{name}: doppel", file=sys.stderr, flush=True)
        own = ours(args, name)
        print(f"{name}: AMICI", file=sys.stderr, flush=True)
        peer = failed.get(name) or child(args, name)
        raw.append({"problem": name, "amici": peer, "doppel": own})
        rows.append(row_of(name, peer, own))
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    version = subprocess.run([args.doppel, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    head = f"{version} beside {versions()}; rtol {args.rtol:g}, atol {args.atol:g}, one thread; {verdict(rows)}"
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps({"head": head, "rows": rows, "raw": raw}, indent=1) + "\n", encoding="utf-8")
    if args.table:
        write_table(args.table, rows, head)
    text = markdown(rows)
    if args.markdown:
        pathlib.Path(args.markdown).write_text(text, encoding="utf-8")
    print(text + "\n" + head)
    return 0


if __name__ == "__main__":
    sys.exit(main())
