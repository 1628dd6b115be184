"""Another program asked in a process of its own: on one processor, with one thread, no longer than it may take. It answers by one line on
standard output, "RESULT " and JSON."""

import json
import os
import subprocess
import sys


def ask(command, timeout, core=None, **more):
    """What the command answers, or {"skipped": why}. core: the processor it is held to; more: of its environment."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")
    env = dict(os.environ, PATH=path, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", **more)
    pin = [] if core is None else ["taskset", "-c", str(core)]
    try:
        run = subprocess.run([*pin, *command], capture_output=True, text=True, env=env, check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"skipped": f"took longer than {timeout:g} s"}
    for line in run.stdout.splitlines():
        if line.startswith("RESULT "):
            return json.loads(line[7:])
    trouble = (run.stderr.strip().splitlines() or ["no answer"])[-1]
    return {"skipped": trouble[:200]}
