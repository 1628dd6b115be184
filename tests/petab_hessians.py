"""Second derivatives of published calibration problems: `doppel petab eval --hessian-vector` against Richardson differences of the
exact gradient along the same direction, and `--hessian` symmetric and in agreement with the products.

At the nominal point moved a little (an optimum has a gradient of zero, and inputs that switch at a measurement's time have no
second derivative there). The direction moves every parameter by about its own size, up or down.

    python3 tests/petab_hessians.py DOPPEL BUILD ARCHIVE [NAME...]
"""

import json
import os
import subprocess
import sys

from petab_references import unpack

OPTIONS = ["--rtol", "1e-10", "--atol", "1e-14", "--json"]
# name, step of the differences, whether the whole matrix is asked for. Inputs switch by time in Beer, Fujita and Oliveira (there at
# times that are estimated); Zheng begins at a steady state; the others switch nothing
PROBLEMS = [("Boehm_JProteomeRes2014", 2e-3, True), ("Fujita_SciSignal2010", 1e-3, True),
            ("Elowitz_Nature2000", 1e-3, True), ("Zhao_QuantBiol2020", 1e-3, True), ("Raia_CancerResearch2011", 1e-3, False),
            ("Zheng_PNAS2012", 1e-3, False), ("Beer_MolBioSystems2014", 1e-4, False),
            ("Oliveira_NatCommun2021", 1e-3, True)]
AGAINST_DIFFERENCES = 1e-6
SYMMETRY = 1e-8


def ask(doppel, problem, *options):
    out = subprocess.run([doppel, "petab", "eval", problem, *OPTIONS, *options], capture_output=True, text=True)
    if out.returncode != 0:
        sys.exit(f"{problem}: exit {out.returncode}: {out.stderr}{out.stdout[:300]}")
    return json.loads(out.stdout)


def scales(problem):
    """The scale of each parameter, from the table beside the problem."""
    folder = os.path.dirname(problem)
    name = next(f for f in sorted(os.listdir(folder)) if f.startswith("parameters") and f.endswith(".tsv"))
    with open(os.path.join(folder, name)) as f:
        rows = [line.rstrip("\n").split("\t") for line in f]
    at = {column: i for i, column in enumerate(rows[0])}
    return {row[at["parameterId"]]: row[at["parameterScale"]] for row in rows[1:] if row[0]}


def moved(value, scale, by):
    return value * 10**by if scale == "log10" else value + by


def setting(values):
    return [word for name, value in values.items() for word in ("--set", f"{name}={value!r}")]


def check(doppel, problem, step, whole):
    scale = scales(problem)
    nominal = ask(doppel, problem)["parameters"]
    direction, point = {}, {}
    for i, (name, value) in enumerate(nominal.items()):
        size = 1.0 if scale[name] == "log10" else abs(value) or 1.0
        direction[name] = (1 if i % 2 else -1) * (0.6 + 0.8 * (0.618033988749895 * (i + 1) % 1)) * size
        point[name] = moved(value, scale[name], 0.02 * (0.754877666246693 * (i + 1) % 1 - 0.5) * size)
    along = [word for name, value in direction.items() for word in ("--hessian-vector", f"{name}={value!r}")]
    product = ask(doppel, problem, *setting(point), *along)["hessian_vector"]
    largest = max(abs(v) for v in product.values())

    def gradient(h):
        return ask(doppel, problem, "--gradient",
                   *setting({n: moved(v, scale[n], h * direction[n]) for n, v in point.items()}))["gradient"]

    slope = []
    for half in range(3):
        h = step / 2**half
        up, down = gradient(h), gradient(-h)
        slope.append({name: (up[name] - down[name]) / (2 * h) for name in up})
    off = 0.0
    for name in product:
        a, b, c = (s[name] for s in slope)
        once, twice = (4 * b - a) / 3, (4 * c - b) / 3
        off = max(off, abs((16 * twice - once) / 15 - product[name]) / largest)
    good = off <= AGAINST_DIFFERENCES
    said = f"differences {off:.1e}"
    if whole:
        rows = ask(doppel, problem, *setting(point), "--hessian")["hessian"]
        names = list(rows)
        size = max(abs(v) for row in rows.values() for v in row)
        skew = max(abs(rows[a][j] - rows[b][i]) for i, a in enumerate(names) for j, b in enumerate(names)) / size
        summed = max(abs(sum(v * direction[n] for v, n in zip(rows[a], names)) - product[a]) for a in names) / largest
        good = good and skew <= SYMMETRY and summed <= AGAINST_DIFFERENCES
        said += f", symmetric to {skew:.1e}, products of the matrix {summed:.1e}"
    print(f"{'ok  ' if good else 'FAIL'} {os.path.basename(os.path.dirname(problem))}: {said}", flush=True)
    return good


def main():
    doppel, build, archive = sys.argv[1:4]
    if not os.path.exists(archive):
        print("skipped: ../shared not there")
        return 0
    folder = unpack(build, archive)
    wanted = sys.argv[4:]
    failed = 0
    for name, step, whole in PROBLEMS:
        if wanted and name not in wanted:
            continue
        failed += not check(doppel, os.path.join(folder, name, f"{name}.yaml"), step, whole)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
