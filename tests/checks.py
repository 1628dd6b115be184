"""What tests of the program share: each check is counted, one that fails is printed at once, and the end says how many did.

    from checks import answered, check, finish        then the checks; at last sys.exit(finish())"""
import json

_count = {True: 0, False: 0}


def check(name, condition, detail=""):
    """Whether the condition holds."""
    _count[bool(condition)] += 1
    if not condition:
        print(f"FAILED {name}: {detail}", flush=True)
    return bool(condition)


def answered(name, r, code=0):
    """What a command that was to end with `code` has printed as JSON; {} after a failed check."""
    check(f"{name}: exit {code}", r.returncode == code, f"exit {r.returncode}: {r.stderr}")
    try:
        return json.loads(r.stdout)
    except ValueError:
        check(f"{name}: is JSON", False, r.stdout[:200] + r.stderr)
        return {}


def refusal(name, r, code, wanted):
    """A command was refused with `code`, in one short message with these words in it, and answered nothing."""
    check(f"{name}: exit {code}", r.returncode == code, f"exit {r.returncode}: {r.stderr}")
    for w in wanted:
        check(f"{name}: says {w}", w in r.stderr, r.stderr)
    check(f"{name}: one short message, no answer", r.stderr.count("\n") <= 3 and not r.stdout, r.stderr + r.stdout[:200])


def keys(value, at=""):
    """Where something that is no object stands in an answer: "chosen.rows[].amount"."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from keys(v, f"{at}.{k}" if at else k)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for v in value:
            yield from keys(v, at + "[]")
    else:
        yield at


def finish():
    """Says how it went and gives the exit status."""
    print(f"{_count[True]} passed, {_count[False]} failed")
    return 1 if _count[False] else 0
