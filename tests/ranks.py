#!/usr/bin/env python3
"""Many processes under mpirun: the same bytes as one process for any number of ranks; a rank that dies, fails to start or runs out of
memory is a clear message naming it and an exit within seconds, never a hang. Real processes.

usage: ranks.py DOPPEL BUILD_DIR"""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from checks import check, finish

DOPPEL, BUILD = sys.argv[1], pathlib.Path(sys.argv[2])
MPIRUN = ["mpirun", "--oversubscribe"] + (["--allow-run-as-root"] if os.getuid() == 0 else [])
MODEL = """model robertson()
  k1 = 0.04; k2 = 3e7; k3 = 1e4;
  A = 1; B = 0; C = 0;
  A' = -k1*A + k3*B*C; B' = k1*A - k3*B*C - k2*B^2; C' = k2*B^2;
end
"""


def run(command, limit=120, cwd=None):
    return subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False, cwd=cwd)


def arguments(members, *more):
    return ["simulate", "stiff.ant", "--end", "40", "--steps", "4", "--rtol", "1e-4", "--atol", "1e-8", "--vary", "all=factor(10)",
            "--members", str(members), *more]


def same_bytes(tmp):
    for members in (1, 5, 3000, 90000):
        for more in ([], ["--json", "--bands", "mean,sd,q25,q50,q75"]):
            alone = run([DOPPEL, *arguments(members, *more)], cwd=tmp)
            check(f"{members} members: exit 0", alone.returncode == 0 and len(alone.stdout) > 100, alone.stderr)
            for n in (1, 2, 3, 4):
                r = run([*MPIRUN, "-n", str(n), DOPPEL, *arguments(members, *more)], cwd=tmp)
                check(f"{members} members on {n} ranks: exit 0", r.returncode == 0, r.stderr)
                check(f"{members} members on {n} ranks: same bytes", r.stdout == alone.stdout, r.stdout[:200])
    alone = run([DOPPEL, *arguments(300, "--all")], cwd=tmp)
    r = run([*MPIRUN, "-n", "2", DOPPEL, *arguments(300, "--all")], cwd=tmp)
    check("trajectories on 2 ranks: same bytes", r.stdout == alone.stdout and r.returncode == 0, r.stderr)
    r = run([*MPIRUN, "-n", "3", DOPPEL, "model", "show", "stiff.ant"], cwd=tmp)
    check("a command that does not share work prints once", r.stdout == run([DOPPEL, "model", "show", "stiff.ant"], cwd=tmp).stdout, r.stdout)


def killed(tmp):
    """kill -9 of one rank in the midst of a long run."""
    script = pathlib.Path(tmp) / "noted.sh"
    script.write_text(f'#!/bin/sh\necho $$ > "{tmp}/pid.$OMPI_COMM_WORLD_RANK"\nexec "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    for victim in (0, 2):
        p = subprocess.Popen([*MPIRUN, "-n", "3", str(script), DOPPEL, *arguments(200000000)], stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True, cwd=tmp)
        time.sleep(4)
        began = time.monotonic()
        os.kill(int((pathlib.Path(tmp) / f"pid.{victim}").read_text(encoding="utf-8")), signal.SIGKILL)
        out, err = p.communicate(timeout=60)
        took = time.monotonic() - began
        check(f"rank {victim} killed: ends in seconds", took < 15, took)
        check(f"rank {victim} killed: exit", p.returncode not in (0, None), p.returncode)
        check(f"rank {victim} killed: named", f"rank {victim}" in err, err)
        # mpirun's SIGTERM to the others is that of Ctrl-C: rank 0, where it lives, may find time for what is done, and says so
        partly = victim > 0 and "bands are over the first" in err and len(out.splitlines()) == 6
        check(f"rank {victim} killed: no answer, or what is done", out == "" or partly, (out[:100], err))


def troubles(tmp):
    other = pathlib.Path(tmp) / "other"
    other.mkdir()

    def pair(first, second, wanted, code):
        began = time.monotonic()
        r = run([*MPIRUN, "-n", "1", "--wdir", tmp, *first, ":", "-n", "1", "--wdir", str(other), *second])
        check(f"{wanted}: said", wanted in r.stderr, r.stderr)
        check(f"{wanted}: exit {code}", r.returncode == code, (r.returncode, r.stderr))
        check(f"{wanted}: in seconds", time.monotonic() - began < 60)
        check(f"{wanted}: no answer", r.stdout == "", r.stdout[:100])

    ask = [DOPPEL, *arguments(90000)]
    pair(ask, ask, "rank 1 of 2: stiff.ant: cannot be opened", 3)
    (other / "stiff.ant").write_text(MODEL.replace("0.04", "0.05"), encoding="utf-8")
    pair(ask, ask, "rank 1 of 2: has another model", 3)
    pair(ask, [DOPPEL, *arguments(80000)], "rank 1 of 2: has another model, program, arithmetic or question", 3)
    (other / "stiff.ant").write_text("model broken(\n", encoding="utf-8")
    pair(ask, ask, "rank 1 of 2: stiff.ant:", 3)
    shutil.copy(f"{tmp}/stiff.ant", other)
    if "asan" not in run(["ldd", DOPPEL]).stdout: # the sanitizer's own memory needs more than any limit
        wide = arguments(300, "--steps", "20000")
        pair([DOPPEL, *wide], ["sh", "-c", 'ulimit -v 250000; exec "$@"', "sh", DOPPEL, *wide], "rank 1 of 2: out of memory", 75)
    r = run([*MPIRUN, "-n", "3", DOPPEL, "simulate", "stiff.ant", "--nonsense"], cwd=tmp)
    check("usage: once, exit 2", r.returncode == 2 and r.stderr.count("--nonsense") == 1, r.stderr)
    env = dict(os.environ, DOPPEL_MPI="/nowhere/lib.so")
    r = subprocess.run([*MPIRUN, "-n", "2", "-x", "DOPPEL_MPI", *ask], capture_output=True, text=True, timeout=60, check=False, cwd=tmp, env=env)
    check("no plug-in: exit 7", r.returncode == 7 and "can't be used" in r.stderr, r.stderr)


def interrupted(tmp):
    p = subprocess.Popen([*MPIRUN, "-n", "3", DOPPEL, *arguments(200000000)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                         cwd=tmp)
    time.sleep(6)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    check("Ctrl-C: bands", "bands are over the first" in err and len(out.splitlines()) == 6 and p.returncode != 0, (p.returncode, out[:200], err))


def main():
    if not shutil.which("mpirun") or not (BUILD / "libdoppel_mpi.so").exists():
        print("skipped: no MPI here (sh tools/setup.sh mpi, then build again)")
        return 0
    linked = run(["ldd", DOPPEL]).stdout
    if "asan" in linked: # Open MPI leaves memory behind, in modules that are closed by then: nothing tells it from a leak of ours
        os.environ["ASAN_OPTIONS"] = f"{os.environ.get('ASAN_OPTIONS', '')}:detect_leaks=0".strip(":")
    check("the program links no MPI", "mpi" not in linked.lower(), linked)
    with tempfile.TemporaryDirectory() as tmp:
        pathlib.Path(tmp, "stiff.ant").write_text(MODEL, encoding="utf-8")
        for part in (same_bytes, killed, troubles, interrupted):
            part(tmp)
    return finish()


if __name__ == "__main__":
    sys.exit(main())
