#!/usr/bin/env python3
"""Single runs and ensembles of the same models by other programs beside Doppel: one table.

    compare_peers.py BENCH DOPPEL PETAB [--members 10000] [--sample 100] [--only TOOL ...] [--models NAME ...]
                     [--budget S] [--doppel-json FILE] [--json FILE] [--markdown] [--keep DIR]

BENCH, DOPPEL: bench_ensemble and doppel of a build; PETAB: folder of the PEtab benchmark collection. The peers are Python packages
(tools/peers.txt); those that are not installed are skipped and named. Each peer and model is a process of its own, one thread.

All run the members of `bench_ensemble --write` (same parameters, same output times) at rtol 1e-6 and the problem's atol, and give
all states at all output times. Columns:
  load     SBML text to a model that can run, the package's import left out (Doppel: in `first`)
  first    SBML text to the first trajectory
  single   one trajectory of the first member, model ready, best of several
  ensemble all members, model ready; with "of N": measured on the first N, scaled up (what a --budget of seconds let through)
  cold     SBML text to the finished ensemble
  error    largest |x - ref| / (atol + 1e-6 |ref|) over the first --sample members; failed: members without an answer there
"""
import argparse
import importlib.metadata
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import peer_child

NAME = r"[A-Za-z_]\w*"
TOOLS = ("doppel", "libroadrunner", "amici", "copasi-basico", "scipy", "diffrax")


# ---- what every peer is asked: load(problem, sbml, doppel) -> run(k) -> [nout][nstate] ----

class Libroadrunner:
    package, what = "libroadrunner", "CVODE; model compiled by LLVM"

    def __init__(self, problem, sbml, _doppel):
        import roadrunner
        self.rr, self.problem = roadrunner.RoadRunner(sbml), problem
        self.rr.integrator.setValue("relative_tolerance", 1e-6)
        self.rr.integrator.setValue("absolute_tolerance", problem["atol"])
        self.rr.integrator.setValue("maximum_num_steps", 100000)
        self.rr.timeCourseSelections = ["[%s]" % s for s in problem["state"]]
        ids = list(self.rr.model.getGlobalParameterIds())
        self.index = [ids.index(s) for s in problem["set"]]
        self.times = [0.0, *problem["out"]]

    def run(self, k):
        rr = self.rr
        rr.model.setGlobalParameterValues(self.index, self.problem["member"][k])
        rr.reset()
        rr.model.setGlobalParameterValues(self.index, self.problem["member"][k])
        return rr.simulate(times=self.times)[1:]


class Amici:
    package, what = "amici", "CVODES with KLU; C++ generated and compiled"

    def __init__(self, problem, sbml, _doppel):
        import amici
        from amici.importers.sbml import SbmlImporter
        self.folder = tempfile.mkdtemp(prefix="amici-")
        name = "peer_" + problem["name"]
        SbmlImporter(sbml, from_file=False).sbml2amici(name, self.folder, generate_sensitivity_code=False, verbose=50,
                                                        observation_model=[], compute_conservation_laws=False)
        self.model = amici.import_model_module(name, self.folder).get_model()
        self.problem = problem
        self.solver = self.model.create_solver()
        self.solver.set_relative_tolerance(1e-6)
        self.solver.set_absolute_tolerance(problem["atol"])
        self.solver.set_max_steps(100000)
        self.model.set_timepoints(problem["out"])
        ids = list(self.model.get_free_parameter_ids())
        self.parameters = list(self.model.get_free_parameters())
        self.index = [ids.index(s) for s in problem["set"]]
        states = list(self.model.get_state_ids())
        self.column = [states.index(s) for s in problem["state"]]

    def run(self, k):
        p = self.parameters
        for i, v in zip(self.index, self.problem["member"][k]):
            p[i] = v
        self.model.set_free_parameters(p)
        r = self.solver.run_simulation(self.model) if hasattr(self.solver, "run_simulation") else self.call()
        return r.x[:, self.column] if r.status == 0 else None

    def call(self):
        from amici.sim.sundials import run_simulation
        return run_simulation(self.model, self.solver)


class Copasi:
    package, what = "copasi-basico", "LSODA, as the package calls it"

    def __init__(self, problem, sbml, _doppel):
        import basico
        self.basico, self.problem = basico, problem
        self.dm = basico.load_model_from_string(sbml)
        known = basico.get_parameters(model=self.dm)
        assert all(s in known.index for s in problem["set"])
        self.times = [0.0, *problem["out"]]
        self.settings = dict(model=self.dm, values=self.times, r_tol=1e-6, a_tol=problem["atol"], max_steps=100000,
                             use_sbml_id=True, update_model=False)
        self.parameter = [self.dm.getModel().getModelValue(s) for s in problem["set"]]
        self.changed = None

    def run(self, k):
        import COPASI
        model = self.dm.getModel()
        references = COPASI.ObjectStdVector()
        for q, v in zip(self.parameter, self.problem["member"][k]):
            q.setInitialValue(v)
            references.append(q.getInitialValueReference())
        model.updateInitialValues(references)
        table = self.basico.run_time_course(**self.settings)
        return table[self.problem["state"]].to_numpy()[1:]


def equations(doppel, path):
    """id -> text of rates and of initial values, from our own printer"""
    out = subprocess.run([doppel, "model", "show", path], check=True, capture_output=True, text=True).stdout
    rate, init, value = {}, {}, {}
    for line in out.splitlines():
        if m := re.match(rf"d\[({NAME})\]/dt = (.*)$", line):
            rate[m[1]] = m[2].replace("^", "**")
        elif m := re.match(rf"({NAME})\(0\) = (.*)$", line):
            init[m[1]] = m[2].replace("^", "**")
        elif m := re.match(rf"({NAME}) = ([-+.\deE]+)$", line):
            value[m[1]] = float(m[2])
    return rate, init, value


def python_model(problem, doppel, library, vector):
    """Python functions rhs(t, x, p) and start(p), p in the order of problem["set"]"""
    rate, init, value = equations(doppel, problem["path"])
    fixed = "".join(f"    {k} = {v!r}\n" for k, v in value.items() if k not in problem["set"])
    given = "".join(f"    {s} = p[{k}]\n" for k, s in enumerate(problem["set"]))
    states = "".join(f"    {s} = x[{k}]\n" for k, s in enumerate(problem["state"]))
    rows = ", ".join(rate[s] for s in problem["state"])
    first = ", ".join(init[s] for s in problem["state"])
    text = (f"def rhs(time, x, p):\n{fixed}{given}{states}    return {vector}([{rows}])\n"
            f"def start(p):\n{fixed}{given}    return {vector}([{first}])\n")
    names = dict(library)
    exec(text, names)  # noqa: S102 - our own printer's text
    return names["rhs"], names["start"]


class Scipy:
    package, what = "scipy", "solve_ivp, LSODA; right-hand side in Python, as users write it"

    def __init__(self, problem, _sbml, doppel):
        import numpy
        from scipy.integrate import solve_ivp
        self.solve, self.problem = solve_ivp, problem
        self.rhs, self.start = python_model(problem, doppel, {"exp": math.exp}, "")
        self.rhs = self.rhs
        self.numpy = numpy

    def run(self, k):
        p = self.problem["member"][k]
        r = self.solve(self.rhs, (0.0, self.problem["end"]), self.start(p), method="LSODA", t_eval=self.problem["out"],
                       rtol=1e-6, atol=self.problem["atol"], args=(p,))
        return r.y.T if r.success else None


class Diffrax:
    package, what = "diffrax", "Kvaerno5, jit and vmap by JAX on the processor"
    batch = 1000

    def __init__(self, problem, _sbml, doppel):
        import jax
        jax.config.update("jax_enable_x64", True)
        import diffrax
        import jax.numpy as jnp
        rhs, start = python_model(problem, doppel, {"exp": jnp.exp, "array": lambda v: jnp.stack([jnp.asarray(x, float) for x in v])},
                                  "array")
        self.problem, self.jnp = problem, jnp
        out = jnp.asarray(problem["out"])

        def one(p):
            s = diffrax.diffeqsolve(diffrax.ODETerm(rhs), diffrax.Kvaerno5(), 0.0, problem["end"], None, start(p), p,
                                    saveat=diffrax.SaveAt(ts=out), max_steps=100000, throw=False,
                                    stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=problem["atol"]))
            return s.ys
        self.one, self.many = jax.jit(one), jax.jit(jax.vmap(one))

    def run(self, k):
        return self.one(self.jnp.asarray(self.problem["member"][k])).block_until_ready()

    def run_batch(self, first, n):
        return self.many(self.jnp.asarray(self.problem["member"][first:first + n])).block_until_ready()


PEER = {c.package: c for c in (Libroadrunner, Amici, Copasi, Scipy, Diffrax)}


# ---- one peer and model, in a process of its own ----

def weighted(problem, rows, reference):
    worst, atol = 0.0, problem["atol"]
    flat = [float(v) for row in rows for v in row]
    if len(flat) != len(reference) or not all(map(math.isfinite, flat)):
        return math.nan
    for v, r in zip(flat, reference):
        worst = max(worst, abs(v - r) / (atol + 1e-6 * abs(r)))
    return worst


def attempt(peer, k):
    try:
        return peer.run(k)
    except Exception:  # noqa: BLE001 - a member that fails is counted
        return None


def ensemble_alone(peer, members, budget):
    begin = time.perf_counter()
    done = failed = 0
    while done < members:
        failed += attempt(peer, done) is None
        done += 1
        if time.perf_counter() - begin > budget:
            break
    return done, time.perf_counter() - begin, failed


def ensemble_batched(peer, members, budget):
    """in batches; the first is run once beforehand, as its compilation belongs to `cold`"""
    begin = time.perf_counter()
    peer.run_batch(0, peer.batch)
    compile_s = time.perf_counter() - begin
    begin, done = time.perf_counter(), 0
    while done < members:
        peer.run_batch(done, peer.batch)
        done += peer.batch
        if time.perf_counter() - begin > budget:
            break
    spent = time.perf_counter() - begin
    return done, spent, compile_s - spent * peer.batch / done


def measure(tool, problem, sbml, doppel, budget):
    out = {"tool": tool, "model": problem["name"], "what": PEER[tool].what, "version": importlib.metadata.version(tool)}
    begin = time.perf_counter()
    peer = PEER[tool](problem, sbml, doppel)
    out["load_s"] = time.perf_counter() - begin
    attempt(peer, 0)
    out["first_s"] = time.perf_counter() - begin
    errors, failed = [], 0
    for k, reference in enumerate(problem["reference"]):
        rows = attempt(peer, k)
        e = math.nan if rows is None else weighted(problem, rows, reference)
        failed += math.isnan(e)
        if not math.isnan(e):
            errors.append(e)
    out["failed"], out["sample"] = failed, len(problem["reference"])
    out["error"] = max(errors, default=math.nan)
    out["error_median"] = sorted(errors)[len(errors) // 2] if errors else math.nan
    times = []
    for _ in range(20):
        begin = time.perf_counter()
        attempt(peer, 0)
        times.append(time.perf_counter() - begin)
    out["single_s"] = min(times)
    members = len(problem["member"])
    compile_s = 0.0
    if hasattr(peer, "run_batch"):
        done, spent, compile_s = ensemble_batched(peer, members, budget)
        out["batch"] = peer.batch
    else:
        done, spent, out["ensemble_failed"] = ensemble_alone(peer, members, budget)
    out["members"], out["measured"] = members, done
    out["ensemble_s"] = spent * members / done
    out["cold_s"] = out["load_s"] + max(compile_s, 0.0) + out["ensemble_s"]
    return out


def serve(args):
    problem = json.loads(pathlib.Path(args.problem).read_text(encoding="utf-8"))
    sbml = pathlib.Path(problem["path"]).read_text(encoding="utf-8")
    PREPARE[args.serve]()
    print("RESULT " + json.dumps(measure(args.serve, problem, sbml, args.doppel, args.budget)))
    return 0


def prepare(*modules):
    def run():
        for m in modules:
            __import__(m)
    return run


PREPARE = {"libroadrunner": prepare("roadrunner"), "amici": prepare("amici", "amici.importers.sbml"),
           "copasi-basico": prepare("basico"), "scipy": prepare("scipy.integrate"), "diffrax": prepare("jax", "diffrax")}


# ---- all ----

def ask(args, tool, problem_file):
    try:
        importlib.metadata.version(tool)
    except importlib.metadata.PackageNotFoundError:
        return {"tool": tool, "skipped": "not installed"}
    command = [sys.executable, __file__, args.bench, args.doppel, args.petab, "--serve", tool, "--problem", str(problem_file),
               "--budget", str(args.budget)]
    r = peer_child.ask(command, args.timeout, args.core, XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    return dict(r, tool=tool) if "skipped" in r else r


def ours(args, name):
    """Doppel's row, from bench_ensemble on one thread, at the tolerance whose error is CVODE's at 1e-6"""
    command = [args.bench, "--json", "--only", name, "--members", str(args.members), "--threads", "1", "--petab", args.petab]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    r = json.loads(text)["rows"][0]
    text = subprocess.run([*command, "--members", "1", "--rtol", str(r["rtol"])], check=True, capture_output=True, text=True).stdout
    single = json.loads(text)["rows"][0]
    version = subprocess.run([args.doppel, "--version"], check=True, capture_output=True, text=True).stdout.split()[-1]
    return {"tool": "doppel", "model": name, "what": f"Rosenbrock in lanes, rtol {r['rtol']:.2g}", "version": version,
            "load_s": math.nan, "first_s": r["cold_first_seconds"], "single_s": single["seconds"], "ensemble_s": r["seconds"],
            "members": r["members"], "measured": r["members"], "cold_s": r["cold_seconds"], "error": r["error"],
            "error_median": r["error_median"], "failed": r["failed"], "sample": r["sample"]}


def show(seconds):
    if seconds is None or not math.isfinite(seconds):
        return ""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} us"


def table(results):
    head = ["model", "program", "load", "first", "single", "ensemble", "cold", "error", "failed", "how"]
    rows = []
    for r in results:
        if "skipped" in r:
            rows.append([r.get("model", ""), r["tool"], *[""] * 7, "skipped: " + r["skipped"]])
            continue
        part = "" if r["measured"] >= r["members"] else f" (of {r['measured']})"
        rows.append([r["model"], f"{r['tool']} {r['version']}", show(r["load_s"]), show(r["first_s"]), show(r["single_s"]),
                     show(r["ensemble_s"]) + part, show(r["cold_s"]), f"{r['error']:.3g}", f"{r['failed']} of {r['sample']}",
                     r["what"]])
    return head, rows


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bench")
    p.add_argument("doppel")
    p.add_argument("petab")
    p.add_argument("--members", type=int, default=10000)
    p.add_argument("--sample", type=int, default=100)
    p.add_argument("--only", nargs="+", choices=TOOLS, default=list(TOOLS))
    p.add_argument("--models", nargs="+", default=["boehm", "bachmann"])
    p.add_argument("--budget", type=float, default=60.0, help="seconds for one ensemble")
    p.add_argument("--timeout", type=float, default=1200.0, help="seconds for one program and model")
    p.add_argument("--core", type=int, default=0, help="processor that the peers run on")
    p.add_argument("--json", default="")
    p.add_argument("--markdown", action="store_true")
    p.add_argument("--serve", default="", help=argparse.SUPPRESS)
    p.add_argument("--problem", default="", help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.serve:
        return serve(args)
    if not pathlib.Path(args.petab).is_dir():
        print("skipped: ../shared not there")
        return 0
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in args.models:
            text = subprocess.run([args.bench, "--write", name, "--members", str(args.members), "--sample", str(args.sample),
                                   "--petab", args.petab], check=True, capture_output=True, text=True).stdout
            problem = json.loads(text)
            problem["path"] = str(pathlib.Path(args.petab, problem["file"]).resolve())
            file = pathlib.Path(scratch, name + ".json")
            file.write_text(json.dumps(problem), encoding="utf-8")
            for tool in args.only:
                print(f"{name}: {tool}", file=sys.stderr, flush=True)
                r = ours(args, name) if tool == "doppel" else ask(args, tool, file)
                results.append(dict(r, model=name))
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    head, rows = table(results)
    width = [max(len(str(r[k])) for r in [head, *rows]) for k in range(len(head))]
    for k, row in enumerate([head, *rows]):
        if args.markdown:
            print("| " + " | ".join(map(str, row)) + " |")
            if k == 0:
                print("|" + "---|" * len(head))
        else:
            print("  ".join(str(c).ljust(w) for c, w in zip(row, width)).rstrip())
    return 0


if __name__ == "__main__":
    sys.exit(main())
