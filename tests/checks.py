"""What tests of the program share: each check is counted, one that fails is printed at once, and the end says how many did.

    from checks import check, finish        then the checks; at last sys.exit(finish())"""

_count = {True: 0, False: 0}


def check(name, condition, detail=""):
    """Whether the condition holds."""
    _count[bool(condition)] += 1
    if not condition:
        print(f"FAILED {name}: {detail}", flush=True)
    return bool(condition)


def finish():
    """Says how it went and gives the exit status."""
    print(f"{_count[True]} passed, {_count[False]} failed")
    return 1 if _count[False] else 0
