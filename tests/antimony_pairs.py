#!/usr/bin/env python3
"""108 Antimony texts beside the SBML that libAntimony made of them: the same trajectories from both, to 1e-9; what is not known
(the empty field) is not known on both sides.

usage: antimony_pairs.py DOPPEL ARCHIVE"""
import csv
import io
import pathlib
import subprocess
import sys
import tarfile
import tempfile

DOPPEL, ARCHIVE = sys.argv[1], pathlib.Path(sys.argv[2])
PAIRS, TOLERANCE = 108, 1e-9


def table(path):
    """Columns by name, or the message of a refusal."""
    r = subprocess.run([DOPPEL, "simulate", str(path), "--end", "10", "--steps", "20"], capture_output=True, text=True,
                       timeout=300, check=False)
    if r.returncode:
        return None, r.stderr
    rows = list(csv.reader(io.StringIO(r.stdout)))
    return dict(zip(rows[0], zip(*rows[1:]))), r.stderr


def differs(a, b):
    if (a == "") != (b == ""):
        return True
    return a != b and abs(float(a) - float(b)) > TOLERANCE * max(abs(float(a)), abs(float(b)), 1e-3)


def compare(text, xml):
    """What is wrong with a pair, "" when nothing is."""
    (a, said), (b, said_too) = table(text), table(xml)
    if a is None or b is None:
        return f"no trajectory: {said} / {said_too}"
    if set(a) != set(b):
        return f"columns {sorted(set(a) ^ set(b))}"
    wrong = [name for name in a if len(a[name]) != len(b[name]) or any(map(differs, a[name], b[name]))]
    return f"differ: {wrong}" if wrong else ""


def main():
    if not ARCHIVE.exists():
        print("skipped: ../shared not there")
        return 0
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
        texts = sorted(pathlib.Path(folder).rglob("*.txt"))
        bad = [(t.name, why) for t in texts if (why := compare(t, t.with_suffix(".xml")))]
    for name, why in bad:
        print(f"{name}: {why}")
    print(f"{len(texts) - len(bad)} of {len(texts)} pairs have the same trajectories")
    return 0 if not bad and len(texts) == PAIRS else 1


if __name__ == "__main__":
    sys.exit(main())
