#!/usr/bin/env python3
"""Every public header compiles alone as C11 and as C++, and doppel.h includes each."""
import pathlib
import subprocess
import sys


def main() -> int:
    root = pathlib.Path(__file__).resolve().parent.parent / "include"
    headers = sorted((root / "doppel").glob("*.h"))
    umbrella = (root / "doppel" / "doppel.h").read_text(encoding="utf-8")
    bad = 0
    for h in headers:
        for compiler in (["gcc", "-std=c11", "-x", "c"], ["g++", "-std=c++17", "-x", "c++"]):
            cmd = compiler[:1] + ["-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", str(root)] + compiler[1:] + [str(h)]
            if subprocess.run(cmd, check=False).returncode:
                bad += 1
        if h.name != "doppel.h" and f'doppel/{h.name}"' not in umbrella:
            print(f"{h.name} is not in doppel.h", file=sys.stderr)
            bad += 1
    print(f"public headers: {len(headers)} compile alone as C11 and C++, {bad} do not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
