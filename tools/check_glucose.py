#!/usr/bin/env python3
"""Reference values of src/num/tests/test_glucose.c, from the published formulas, in Python alone (statistics, math, a Philox).

    tools/check_glucose.py     prints the metrics of the test's series, slots of its profile, and a sensor's errors

The series: readings every 5 min over 15 days, value 40 + (a number of 0..299 by the linear congruence
x <- (1103515245 x + 12345) mod 2^31 from x = 1, its bits from 16 up), every 10th reading missing, and 12 in a row after the 1000th.
"""
import math
import statistics

N, SEED, STREAM, PURPOSE = 15 * 288, 7, 11, 0x53454E53


def series():
    x, out = 1, []
    for k in range(N):
        x = (1103515245 * x + 12345) % 2**31
        if k % 10 == 3 or 1000 <= k < 1012:
            continue
        out.append((5.0 * k, 40.0 + (x >> 16) % 300))
    return out


def metrics(s):
    g, n = [v for _, v in s], len(s)
    mean, sd = statistics.fmean(g), statistics.stdev(g)
    share = lambda test: 100 * sum(map(test, g)) / n
    low, vlow, high, vhigh = (share(t) for t in (lambda v: v < 70, lambda v: v < 54, lambda v: v > 180, lambda v: v > 250))
    f = [1.509 * (math.log(v) ** 1.084 - 5.381) for v in g]
    return {"n": n, "mean": mean, "sd": sd, "cv": 100 * sd / mean, "gmi": 3.31 + 0.02392 * mean,
            "tir": share(lambda v: 70 <= v <= 180), "tbr70": low, "tbr54": vlow, "tar180": high, "tar250": vhigh,
            "lbgi": sum(10 * a * a for a in f if a < 0) / n, "hbgi": sum(10 * a * a for a in f if a > 0) / n,
            "gri": 3.0 * vlow + 2.4 * (low - vlow) + 1.6 * vhigh + 0.8 * (high - vhigh)}


def profile(s, slot):
    filled = list(s)
    for (a, ga), (b, gb) in zip(s, s[1:]):
        if 7.5 < b - a <= 45:
            filled += [(t, ga + (gb - ga) * (t - a) / (b - a)) for t in (a + 5 * k for k in range(1, 100)) if t < b - 2.5]
    bins = {}
    for t, v in filled:
        bins.setdefault(int(t % 1440 // slot), []).append(v)
    return len(filled) - len(s), {k: (len(v), [quantile(sorted(v), p) for p in (.05, .25, .5, .75, .95)]) for k, v in bins.items()}


def quantile(x, p):
    at = (len(x) - 1) * p
    k = int(at)
    return x[k] + (x[k + 1] - x[k]) * (at - k) if k + 1 < len(x) else x[-1]


def mix(z):
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def normal(counter):
    """Philox4x32-10 of (seed, stream, purpose, counter) through the inverse of the normal law."""
    k = mix((SEED + mix((PURPOSE + 0x9E3779B97F4A7C15) % 2**64)) % 2**64)
    k0, k1 = k % 2**32, k >> 32
    c = [counter, 0, STREAM, 0]
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(p1 >> 32) ^ c[1] ^ k0, p1 % 2**32, (p0 >> 32) ^ c[3] ^ k1, p0 % 2**32]
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    u = (((c[1] << 32 | c[0]) >> 12) + 0.5) / 2**52
    return statistics.NormalDist().inv_cdf(u)


def errors(times):
    e, grid = 0.0, []
    for k in range(40):
        e = normal(k) if k == 0 else 0.7 * (e + normal(k))
        grid.append(-5.47 + 15.9574 * math.sinh((e + 0.5444) / 1.6898))
    out = []
    for t in times:
        k, u = int(t // 15), t / 15 - t // 15
        a, b = grid[k], grid[k + 1]
        # Hermite's cubic with central slopes; at the first point the slope of the parabola through three
        left = (grid[k + 1] - grid[k - 1]) / 2 if k else (-3 * grid[0] + 4 * grid[1] - grid[2]) / 2
        right = (grid[k + 2] - grid[k]) / 2
        h = u * u * (3 - 2 * u)
        out.append(a * (1 - h) + b * h + left * u * (1 - u) ** 2 - right * u * u * (1 - u))
    return out


if __name__ == "__main__":
    data = series()
    for key, value in metrics(data).items():
        print(f"{key} {value:.15g}")
    nfilled, slots = profile(data, 15)
    print("filled", nfilled)
    for slot in (0, 1, 50, 95):
        print("slot", slot, slots[slot][0], ", ".join(f"{q:.15g}" for q in slots[slot][1]))
    print("errors", ", ".join(f"{x:.12g}" for x in errors([0, 3, 5, 15, 22.5, 100, 333])))
