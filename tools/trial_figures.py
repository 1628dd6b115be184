#!/usr/bin/env python3
"""Figures that the statistics of virtual trials are held against, computed by SciPy and statsmodels: small samples, and what other
programs make of them. Written as tables in C for src/trial/tests/test_trial_stats.c.

usage: trial_figures.py > src/trial/tests/trial_figures.inc        (needs numpy, scipy, statsmodels)

Newcombe's interval is statsmodels' "newcomb"; differences of a cross-over are least squares with a term for every person, period and
arm (two arms), or of the differences with a term for every sequence (more); Bonett and Price's interval is their formula, as no package
here has it. Strata: means are least squares with a term for every stratum; the score interval of shares is found by maximising the
likelihood under each difference, the exact test by convolving hypergeometric laws. Boundaries are found on a fine grid by the
trapezoidal rule (the program uses Gauss and Legendre's)."""
import math

import numpy as np
import statsmodels.api as sm
from scipy import optimize, stats
from statsmodels.stats.contingency_tables import StratifiedTable, mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestIndPower, TTestPower
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint, proportions_ztest


def row(*numbers):
    return "{" + ", ".join("NAN" if x is None else repr(float(x)).removesuffix(".0") for x in numbers) + "}"


def table(name, width, rows):
    print(f"static const double {name}[][{width}] = {{" + ",\n    ".join(row(*r) for r in rows) + "};")


def numbers(name, x):
    print(f"static const double {name}[] = " + row(*x) + ";")


def means():
    a = [4.1, 5.3, 2.2, 7.9, 6.4, 5.5, 3.8]
    b = [1.4, 3.3, 2.9, 2.1, 0.7]
    numbers("sample_a", a)
    numbers("sample_b", b)
    rows = []
    for confidence in (0.95, 0.8, 0.999):
        one = stats.t.interval(confidence, len(a) - 1, np.mean(a), stats.sem(a))
        two = stats.ttest_ind(a, b, equal_var=False)
        between = two.confidence_interval(confidence)
        same = stats.ttest_rel(a[:5], b)
        within = same.confidence_interval(confidence)
        rows.append((confidence, np.mean(a), *one, np.mean(a) - np.mean(b), *between, two.pvalue, np.mean(a[:5]) - np.mean(b), *within,
                     same.pvalue))
    print("/* confidence; mean, low, high; Welch: difference, low, high, p; paired (the first five): the same */")
    table("of_means", 12, rows)


def pair_p(k, n, l, m):
    share = (k + l) / (n + m)
    if min(share, 1 - share) * min(n, m) < 5:
        return stats.fisher_exact([[k, n - k], [l, m - l]]).pvalue
    return proportions_ztest([k, l], [n, m])[1]


def shares():
    rows = []
    for k, n, l, m in [(0, 5, 3, 9), (7, 7, 2, 6), (12, 40, 25, 38), (1, 200, 9, 180), (0, 12, 0, 30), (30, 30, 30, 31), (60, 100, 45, 90)]:
        newcombe = confint_proportions_2indep(k, n, l, m, method="newcomb", compare="diff")
        rows.append((k, n, l, m, *proportion_confint(k, n, method="wilson"), *proportion_confint(k, n, method="beta"), *newcombe,
                     pair_p(k, n, l, m)))
    print("/* k of n, l of m; Wilson and Clopper-Pearson of the first; Newcombe; p: Fisher's, or pooled z where five are expected */")
    table("of_shares", 11, rows)


def bonett_price(up, down, n):
    a, b, z = (up + 1) / (n + 2), (down + 1) / (n + 2), stats.norm.ppf(0.975)
    return a - b, (a + b - (a - b) ** 2) / (n + 2), z


def changed():
    rows = []
    for up, down, n in [(0, 0, 9), (5, 0, 5), (1, 7, 30), (14, 6, 60), (3, 3, 8)]:
        centre, variance, z = bonett_price(up, down, n)
        p = mcnemar([[0, up], [down, n - up - down]], exact=True).pvalue
        rows.append((up, down, n, (up - down) / n, max(centre - z * variance**0.5, -1), min(centre + z * variance**0.5, 1), p))
    print("/* changed to yes, to no, people; difference, Bonett and Price's interval, McNemar's p */")
    table("of_changes", 7, rows)


def tables():
    rows = [(a, b, c, d, stats.fisher_exact([[a, b], [c, d]]).pvalue)
            for a, b, c, d in [(3, 1, 1, 3), (0, 10, 7, 2), (8, 2, 1, 5), (0, 0, 4, 5), (1, 0, 0, 1), (2, 150, 14, 120), (40, 60, 55, 45)]]
    print("/* Fisher's exact test of a b / c d */")
    table("of_tables", 5, rows)


def crossover_two():
    """Values of people by sequence: the second period adds 3 to everybody; seven people in one order, four in the other."""
    rng = np.random.default_rng(5)
    people = [(s, rng.normal(10, 4)) for s in [0] * 7 + [1] * 4]
    y = np.array([[round(own + 1.5 * arm + 3 * ((arm - s) % 2) + rng.normal(0, 1), 3) for arm in (0, 1)] for s, own in people])
    design, answer = [], []
    for i, (s, _) in enumerate(people):
        for arm in (0, 1):
            design.append([arm, (arm - s) % 2] + [float(i == k) for k in range(len(people))])
            answer.append(y[i, arm])
    fit = sm.OLS(answer, np.array(design, float)).fit()
    print("/* sequence; both arms of each person. Least squares with people, periods and arms: arm 1 - arm 0, low, high, p; period 2 - 1 */")
    table("people_two", 3, [(s, *y[i]) for i, (s, _) in enumerate(people)])
    numbers("of_two", (fit.params[0], *fit.conf_int()[0], fit.pvalues[0], fit.params[1], *fit.conf_int()[1]))


def crossover_three():
    rng = np.random.default_rng(6)
    people = [s for s in [0] * 5 + [1] * 3 + [2] * 4]
    y = np.array([[round(rng.normal(0, 1) + 2 * arm + (0, 4, 9)[(arm - s) % 3], 3) for arm in range(3)] for s in people])
    rows = []
    for b in range(3):
        for a in range(b + 1, 3):
            coded = np.array([[1, float(s == 0) - float(s == 2), float(s == 1) - float(s == 2)] for s in people])
            fit = sm.OLS(y[:, a] - y[:, b], coded).fit()
            rows.append((a, b, fit.params[0], *fit.conf_int()[0], fit.pvalues[0]))
    print("/* sequence; three arms. Differences with a term for every sequence: arm, against, value, low, high, p */")
    table("people_three", 4, [(s, *y[i]) for i, s in enumerate(people)])
    table("of_three", 6, rows)


def crossover_shares():
    """Those who changed, by sequence: to yes, to no, people. Who does better with arm 1 in one sequence does so in the second period, in
    the other in the first: a period that does good is not an arm that does."""
    rows = []
    for first, second in [((5, 1, 9), (2, 3, 8)), ((0, 0, 4), (0, 0, 5)), ((9, 0, 12), (0, 7, 12))]:
        centre = variance = 0
        for up, down, n in (first, second):
            c, v, z = bonett_price(up, down, n)
            centre, variance = centre + c / 2, variance + v / 4
        value = ((first[0] - first[1]) / first[2] + (second[0] - second[1]) / second[2]) / 2
        p = stats.fisher_exact([first[:2], second[1::-1]]).pvalue
        rows.append((*first, *second, value, max(centre - z * variance**0.5, -1), min(centre + z * variance**0.5, 1), p))
    print("/* to yes, to no, people of one sequence, of the other; difference, interval, Mainland and Gart's p */")
    table("of_sequences", 10, rows)


def holm():
    p = [0.01, 0.04, 0.03, 0.005, 0.2, 0.04, 0.9]
    print("/* p as it is, by Holm */")
    table("of_holm", 2, list(zip(p, multipletests(p, method="holm")[1])))


def powers():
    """Of normal people: people an arm, effect in sd, share missing; power of Welch's (equal variances), the paired and the cross-over t."""
    rows = []
    for n, d in [(20, 0.7), (36, 2 / 3), (9, 1.2)]:
        one, two = TTestPower().power(d, n, 0.05), TTestIndPower().power(d, n, 0.05)
        limit = stats.t.ppf(0.975, n - 2)
        halves = math.sqrt(1 / (n // 2) + 1 / (n - n // 2)) / 2
        cross = stats.nct.sf(limit, n - 2, d / halves) + stats.nct.cdf(-limit, n - 2, d / halves)
        lost = sum(stats.binom.pmf(m, n, 0.7) * (TTestPower().power(d, m, 0.05) if m > 1 else 0) for m in range(n + 1))
        rows.append((n, d, two, one, cross, lost))
    print("/* people, effect in sd; power: two arms, the same people, cross-over, the same people when 30 % of them are missing */")
    table("of_power", 6, rows)


def binomial(n, p):
    return [(k, stats.binom.pmf(k, n, p)) for k in range(n + 1)]


def changes_of(n, up, down):
    """Everything n people can do, of whom each changes to yes, to no, or not."""
    law = stats.multinomial(n, [up, down, 1 - up - down])
    return [(u, d, law.pmf([u, d, n - u - d])) for u in range(n + 1) for d in range(n + 1 - u)]


def misses(low, high, truth):
    return not low <= truth <= high


def bonett_price_misses(parts, truth):
    each = [bonett_price(*x) for x in parts]
    centre, half = sum(c for c, _, _ in each) / len(each), each[0][2] * sum(v for _, v, _ in each) ** 0.5 / len(each)
    return misses(max(centre - half, -1), min(centre + half, 1), truth)


def sizes():
    """How often, exactly, intervals of shares miss the truth and tests find what is not there, on few people."""
    rows = []

    def wilson(n, p):
        return sum(w for k, w in binomial(n, p) if misses(*proportion_confint(k, n, method="wilson"), p))

    for n, p, q in [(30, 0.3, 0.3), (30, 0.2, 0.6), (20, 0.05, 0.05)]:  # parallel: n people an arm
        missed = found = 0
        for k, wk in binomial(n, p):
            for l, wl in binomial(n, q):
                if wk * wl < 1e-9:
                    continue
                missed += wk * wl * misses(*confint_proportions_2indep(l, n, k, n, method="newcomb", compare="diff"), q - p)
                found += wk * wl * (0 < k + l < 2 * n and pair_p(l, n, k, n) < 0.05)
        rows.append((missed, wilson(n, p), found))
    for n, p, q in [(40, 0.4, 0.4), (40, 0.3, 0.6)]:  # the same people
        all_of = changes_of(n, (1 - p) * q, p * (1 - q))
        rows.append((sum(w for u, d, w in all_of if bonett_price_misses([(u, d, n)], q - p)), wilson(n, p),
                     sum(w for u, d, w in all_of if u + d and stats.binomtest(u, u + d).pvalue < 0.05)))
    half = [x for x in changes_of(20, 0.7 * 0.7, 0.3 * 0.3) if x[2] > 1e-6]  # 0.3 in the first period, 0.7 in the second
    missed = found = 0
    for u, d, w in half:
        for v, e, x in half:  # the other sequence: what is to yes here is to no there
            missed += w * x * bonett_price_misses([(u, d, 20), (e, v, 20)], 0)
            found += w * x * (exact_table(u, d, v, e) < 0.05)
    rows.append((missed, None, found))
    print("/* shares: the interval of a difference misses, that of an arm does, p < 0.05: parallel, paired, cross-over */")
    table("of_sizes", 3, rows)


def exact_table(*cells, known={}):
    if cells not in known:
        known[cells] = stats.fisher_exact([cells[:2], cells[2:]]).pvalue
    return known[cells]


def bootstrap():
    x = [3.1, 0.2, 9.7, 4.4, 1.3, 2.6, 15.2, 0.9, 5.8, 2.2, 7.1, 3.6]
    found = stats.bootstrap((np.array(x),), np.mean, n_resamples=400000, method="percentile", random_state=1, batch=20000)
    means_again = found.bootstrap_distribution
    density = [np.mean(abs(means_again - q) < 0.05) / 0.1 for q in found.confidence_interval]
    error = [math.sqrt(0.025 * 0.975 / 2000) / f for f in density]
    numbers("sample_skew", x)
    print("/* percentiles of 400,000 means of samples drawn again: low, high; standard errors of those of 2,000 */")
    numbers("of_skew", (*found.confidence_interval, *error))


def strata_means():
    """Three strata, two arms, the arms not as many people in each; the third stratum has nobody in the second arm."""
    rng = np.random.default_rng(7)
    people = [(s, a) for s, a in [(0, 0)] * 4 + [(0, 1)] * 6 + [(1, 0)] * 3 + [(1, 1)] * 2 + [(2, 0)] * 3]
    y = [round(rng.normal(5 * s + 1.2 * a, 1), 3) for s, a in people]
    design = np.array([[a] + [float(s == k) for k in range(3)] for s, a in people], float)
    fit = sm.OLS(y, design).fit()
    print("/* stratum, arm, value. Least squares with strata: arm 1 - arm 0, low, high, p, residual sd */")
    table("people_strata", 3, [(s, a, v) for (s, a), v in zip(people, y)])
    numbers("of_strata", (fit.params[0], *fit.conf_int()[0], fit.pvalues[0], fit.scale**0.5))


def score(tables, d):
    """Miettinen and Nurminen's z of a difference d, with Mantel and Haenszel's weights."""
    top = variance = 0
    for k, n, l, m in tables:
        low, high = max(0, -d), min(1, 1 - d)

        def minus(q, k=k, n=n, l=l, m=m):
            chance = [(k, q + d), (n - k, 1 - q - d), (l, q), (m - l, 1 - q)]
            return -sum(c * math.log(max(x, 1e-300)) for c, x in chance if c)

        q = optimize.minimize_scalar(minus, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x if low < high else low
        p, w = q + d, n * m / (n + m)
        top += w * (k / n - l / m - d)
        variance += w**2 * (p * (1 - p) / n + q * (1 - q) / m) * (n + m) / (n + m - 1)
    return top / math.sqrt(variance)


def exact_strata(tables):
    law, seen = np.array([1.0]), 0
    for k, n, l, m in tables:
        low, high = max(0, k + l - m), min(n, k + l)
        law, seen = np.convolve(law, stats.hypergeom.pmf(np.arange(low, high + 1), n + m, k + l, n)), seen + k - low
    return law[law <= law[seen] * (1 + 1e-7)].sum()


def strata_shares():
    rows, z = [], stats.norm.ppf(0.975)
    for tables in [[(12, 20, 7, 22), (15, 18, 11, 20), (9, 25, 3, 21)], [(3, 10, 1, 9), (2, 12, 0, 11), (1, 5, 0, 6)],
                   [(0, 8, 0, 9), (0, 7, 0, 6), (0, 5, 1, 5)], [(30, 41, 25, 40), (22, 39, 24, 40), (5, 40, 9, 41)]]:
        weights = [n * m / (n + m) for _, n, _, m in tables]
        d = sum(w * (k / n - l / m) for w, (k, n, l, m) in zip(weights, tables)) / sum(weights)
        low = optimize.brentq(lambda x: score(tables, x) - z, -0.9999, d - 1e-9)
        high = optimize.brentq(lambda x: score(tables, x) + z, d + 1e-9, 0.9999)
        arrays = [np.array([[k, n - k], [l, m - l]]) for k, n, l, m in tables]
        mean = sum(n * (k + l) / (n + m) for k, n, l, m in tables)
        exact = min(mean - sum(max(0, k + l - m) for k, n, l, m in tables), sum(min(n, k + l) for k, n, l, m in tables) - mean) < 5
        p = exact_strata(tables) if exact else StratifiedTable(arrays).test_null_odds(correction=False).pvalue
        rows.append((*[x for t in tables for x in t], d, low, high, float(exact), p))
    print("/* k of n, l of m in three strata; difference, Miettinen and Nurminen's interval, exact?, Cochran, Mantel and Haenszel's p */")
    table("of_strata_shares", 17, rows)


def sequential(critical, share, drift=0.0, cells=6000):
    """Where trials end whose B(t) has the drift: the probability of each look, on a grid."""
    chance, x, mass, before = [], None, None, 0
    for c, t in zip(critical, share):
        b, s = c * math.sqrt(t), math.sqrt(t - before)
        move = drift * (t - before)
        if x is None:
            chance.append(stats.norm.sf((b - move) / s) + stats.norm.cdf((-b - move) / s))
        else:
            chance.append(float(mass @ (stats.norm.sf((b - move - x) / s) + stats.norm.cdf((-b - move - x) / s))))
        edge = min(c, 9) * math.sqrt(t) # beyond that there is nothing
        y = np.linspace(-edge, edge, cells if x is None or len(share) < 10 else 2500)
        density = stats.norm.pdf((y - move) / s) / s if x is None else np.exp(-0.5 * ((y[:, None] - x - move) / s) ** 2) @ mass / (s * math.sqrt(2 * math.pi))
        step = np.full(len(y), y[1] - y[0])
        step[[0, -1]] /= 2
        x, mass, before = y, density * step, t
    return chance


def boundaries():
    """0: O'Brien and Fleming, 1: Pocock, 2 and 3: spent as Lan and DeMets have it, on either side half of alpha."""
    rows = []
    for kind, share, alpha in [(0, 5, 0.05), (1, 5, 0.05), (0, 2, 0.01), (1, 3, 0.1), (2, 5, 0.05), (3, 5, 0.05), (2, [0.3, 0.45, 1], 0.05),
                               (3, [0.2, 0.8, 1], 0.05)]:
        share = [(k + 1) / share for k in range(share)] if isinstance(share, int) else share
        if kind < 2:
            shape = [1 / math.sqrt(t) if kind == 0 else 1 for t in share]
            c = optimize.brentq(lambda c: sum(sequential([c * f for f in shape], share, cells=1500)) - alpha, 1, 5, xtol=1e-9)
            critical = [c * f for f in shape]
        else:
            critical, gone = [], 0
            for k, t in enumerate(share):
                spent = alpha * math.log(1 + (math.e - 1) * t) if kind == 3 else 4 * stats.norm.sf(stats.norm.isf(alpha / 4) / math.sqrt(t))
                want = spent - gone
                critical.append(optimize.brentq(lambda c: sequential([*critical, c], share[:k + 1], cells=1500)[k] - want, 0.5, 12, xtol=1e-9))
                gone = spent
        drift = 2.8
        chance = sequential(critical, share, drift, cells=1500)
        power = sum(chance)
        expected = sum(p * t for p, t in zip(chance, share)) + 1 - power
        pad = [None] * (5 - len(share))
        rows.append((kind, len(share), alpha, *share, *pad, *critical, *pad, power, expected))
    print("/* kind, looks, alpha, five shares, five boundaries; with a drift of 2.8: power, expected share of the people */")
    table("of_boundaries", 15, rows)


def holm_powers():
    """Two endpoints that know nothing of each other, the second without an effect: the first is found at alpha/2, or at alpha where the
    second is found by chance at alpha/2."""
    rows = []
    for n, d in [(20, 0.7), (40, 0.4)]:
        whole, half = TTestPower().power(d, n, 0.05), TTestPower().power(d, n, 0.025)
        rows.append((n, d, half + (whole - half) * 0.025))
    print("/* the same people, effect in sd: power of the first of two endpoints under Holm's correction */")
    table("of_holm_power", 3, rows)


print("/* By tools/trial_figures.py (SciPy, statsmodels). */")
for part in (means, shares, changed, tables, crossover_two, crossover_three, crossover_shares, holm, powers, sizes, bootstrap, strata_means,
             strata_shares, boundaries, holm_powers):
    part()
