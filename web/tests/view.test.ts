/* Data to view: compared with values worked out by hand and with the simulated document's own fields. */
import { describe, expect, it } from "vitest";

import { candidateMap, decidingBound, easiest, mostTelling, patternOf, probabilityOf, regimen, shiftText } from "../src/advice";
import { type Candidate, readReport, type Report, type TermValue, worstFirst } from "../src/data";
import { dotsOf, insideCount, interpolate, linesOf, mainStop, scaleOf, turnAt } from "../src/fan";
import { logTicks, NBSP, percent, plain, pretty, sig, signedPercent, THIN, ticks } from "../src/numbers";
import { countSamples, coveragePoints, errorRows, pitBars, shareScatter, smallest, verdictOfCoverage, verdictOfSkill, whereFrom } from "../src/summary";
// @ts-expect-error a plain script without types
import { fill, sample } from "../tools/sample.mjs";

const report = sample({ people: 6, two: true, seed: 3 }) as Report;

describe("numbers", () => {
  it("rounds to significant digits with a real minus and without exponents", () => {
    expect(sig(0.53072)).toBe("0.531");
    expect(sig(1234.5)).toBe("1235");
    expect(sig(-0.0456, 2)).toBe("\u22120.046");
    expect(sig(9.999)).toBe("10.0");
    expect(sig(2.5e7)).toBe("2.50e+7");
    expect(sig(0)).toBe("0");
    expect(sig(null)).toBe("\u2013");
    expect(sig(Number.NaN)).toBe("\u2013");
    expect(plain(319.992)).toBe("320");
    expect(plain(2.25)).toBe("2.25");
  });
  it("never rounds a probability to certainty", () => {
    expect(percent(0.9)).toBe(`90${NBSP}%`);
    expect(percent(0.0003, 1)).toBe(`<${THIN}0.1${NBSP}%`);
    expect(percent(0.9999)).toBe(`>${THIN}99${NBSP}%`);
    expect(percent(1)).toBe(`100${NBSP}%`);
    expect(percent(0)).toBe(`0${NBSP}%`);
    expect(signedPercent(-0.05)).toBe(`\u22125${NBSP}%`);
    expect(signedPercent(0.05)).toBe(`+5${NBSP}%`);
  });
  it("makes round ticks inside the range", () => {
    expect(ticks(0, 11, 5)).toEqual([0, 2.5, 5, 7.5, 10]);
    expect(ticks(3, 3)).toEqual([3]);
    expect(logTicks(0.4, 6)).toEqual([0.5, 1, 2, 5]);
    expect(logTicks(0.01, 20)).toEqual([0.01, 0.1, 1, 10]);
    expect(logTicks(21, 48).length).toBeGreaterThanOrEqual(2);
  });
  it("sets signs without touching the words", () => {
    expect(pretty("P(trough >= 5 mg/L) >= 90 %")).toBe(`P(trough \u2265${NBSP}5${NBSP}mg/L) \u2265${NBSP}90${NBSP}%`);
    expect(pretty("no recommendation")).toBe("no recommendation");
  });
});

describe("document", () => {
  it("tells the template from data and refuses half a document", () => {
    expect(readReport("/*placeholder*/")).toBeNull();
    expect(() => readReport('{"kind":{}}')).toThrow(/summary/);
    expect(readReport(JSON.stringify(report))?.patients).toHaveLength(6);
  });
  it("keeps the end of a script element out of the page", () => {
    const page = fill("<a>/*DOPPEL-" + "DATA*/</a>", { x: "</script>", y: 0.123456789 }) as string;
    expect(page).toBe('<a>{"x":"<\\/script>","y":0.12346}</a>');
  });
  it("orders people as the summary says", () => {
    expect(worstFirst(report).map((p) => p.id)).toEqual(report.summary.worst_first);
    const some = { ...report, summary: { ...report.summary, worst_first: ["3"] } };
    expect(worstFirst(some).map((p) => p.id)).toEqual(["3", "1", "2", "4", "5", "6"]);
  });
});

describe("answers", () => {
  it("counts what was seen and sealed", () => {
    const n = countSamples(report);
    expect(n.seen + n.sealed).toBe(report.patients.reduce((s, p) => s + p.observed.length, 0));
    expect(n.seen).toBe(report.patients.reduce((s, p) => s + p.observed.filter((o) => !o.sealed).length, 0));
    expect(n.scored).toBe(report.patients.reduce((s, p) => s + p.score.samples.length, 0));
  });
  it("does not call a twin better when resampling gives both signs", () => {
    const s = report.summary.scores[0]!;
    expect(verdictOfSkill({ ...s, skill_interval: [0.02, 0.3] })).toBe("better");
    expect(verdictOfSkill({ ...s, skill_interval: [-0.02, 0.3] })).toBe("unclear");
    expect(verdictOfSkill({ ...s, skill_interval: [-0.3, -0.01] })).toBe("worse");
    expect(verdictOfSkill({ ...s, skill_interval: [null, null] })).toBe("unclear");
    expect(verdictOfSkill({ ...s, skill_interval: [0.7, 0.7] }, false)).toBe("unclear");
    expect(verdictOfCoverage({ ...s, coverage_90_interval: [1, 1] }, false)).toBe("unclear");
    expect(verdictOfCoverage({ ...s, coverage_90_interval: [0.5, 0.85] })).toBe("too few");
    expect(verdictOfCoverage({ ...s, coverage_90_interval: [0.93, 1] })).toBe("too many");
    expect(verdictOfCoverage({ ...s, coverage_90_interval: [0.8, 0.95] })).toBe("as expected");
  });
  it("marks the smallest error and nobody when there is none", () => {
    expect(smallest([0.5, 0.4, null])).toBe(1);
    expect(smallest([null, null])).toBe(-1);
    const rows = errorRows(report);
    expect(rows.map((r) => r.what)).toEqual(["CRPS", "mean absolute error", "CRPS", "mean absolute error"]);
    expect(rows[0]!.values[0]).toBe(report.summary.scores[0]!.crps.twin);
  });
  it("claims leave-one-out only when no prior is published", () => {
    expect(whereFrom(report).leaveOneOut).toBe(true);
    const first = report.patients[0]!;
    const one = { ...report, patients: [{ ...first, prior: { ...first.prior, method: "published" } }, ...report.patients.slice(1)] };
    expect(whereFrom(one).leaveOneOut).toBe(false);
    expect(whereFrom(one).published).toBe(false);
    const bad = { ...report, patients: report.patients.map((p) => ({ ...p, prior: { ...p.prior, converged: p.id !== "2" } })) };
    expect(whereFrom(bad).notConverged).toEqual(["2"]);
  });
  it("puts the level and the scatter of honest forecasts beside the histogram", () => {
    const p = pitBars([10, 20, 30, 40]);
    expect(p.expected).toBe(25);
    expect(p.high - 25).toBeCloseTo(1.96 * Math.sqrt(100 * 0.25 * 0.75), 10);
    expect(p.bars[3]).toEqual({ low: 0.75, high: 1, count: 40 });
    expect(shareScatter(0.5, 100)).toBeCloseTo(0.098, 10);
    expect(coveragePoints([0.5, 0.9], [0.4, null])).toEqual([[0, 0], [0.5, 0.4], [1, 1]]);
  });
});

describe("fan", () => {
  const person = report.patients[0]!;
  it("shows the main turn at the report's own stop and others elsewhere", () => {
    const main = mainStop(report);
    expect(report.untils?.[main]).toBe(report.until);
    expect(turnAt(report, person, main).forecast).toBe(person.forecast);
    expect(turnAt(report, person, -1).main).toBe(true);
    expect(turnAt(report, person, 0).forecast).toBe(person.stops?.[0]?.forecast);
    expect(turnAt(report, person, 0).seen).toBe(0);
  });
  it("makes dots solid by what was seen and marks those outside the band as the scores do", () => {
    for (let k = -1; k < 5; k++) {
      const turn = turnAt(report, person, k);
      const dots = report.observables.flatMap((o) => dotsOf(person, turn, o.id));
      expect(dots.filter((d) => d.kind === "seen")).toHaveLength(turn.seen);
      expect(dots.filter((d) => d.kind === "outside")).toHaveLength(turn.samples.filter((s) => !s.inside_50_80_90_95[2]).length);
      expect(dots.filter((d) => d.kind === "unscored")).toHaveLength(0);
      expect(insideCount(turn).of).toBe(person.observed.length - turn.seen);
    }
  });
  it("leaves censored values unscored without shifting the scores of the others", () => {
    const turn = turnAt(report, person, -1);
    const at = person.seen + 1;
    const observed = person.observed.map((o, i) => (i === at ? { ...o, censored: true } : o));
    const samples = turn.samples.filter((_, i) => i !== 1);
    const dots = report.observables.flatMap((o) => dotsOf({ ...person, observed }, { ...turn, samples }, o.id));
    expect(dots.filter((d) => d.kind === "unscored")).toHaveLength(1);
    expect(dots.filter((d) => d.kind === "inside" || d.kind === "outside")).toHaveLength(samples.length);
  });
  it("interpolates the population's fan onto other times", () => {
    expect(interpolate([0, 1, 3], [0, 2, 6], [0, 0.5, 1, 2, 3, 4])).toEqual([0, 1, 2, 4, 6, null]);
    const lines = linesOf(report, person, turnAt(report, person, 0), "c")!;
    expect(lines.population.every((row) => row.length === lines.time.length)).toBe(true);
    expect(lines.population[1]![0]).toBeCloseTo(person.population_forecast[0]!.quantiles[4]![0] as number, 12);
  });
  it("starts at zero when nothing measured is negative, and says that bands are cut", () => {
    const s = scaleOf(report, "c");
    expect(s.low).toBe(0);
    expect(s.cutsBelowZero).toBe(true);
    const most = Math.max(...report.patients.flatMap((p) => p.observed.filter((o) => o.observable === "c").map((o) => o.value as number)));
    expect(s.high).toBeGreaterThan(most);
    const below = { ...report, patients: [{ ...person, observed: [{ ...person.observed[0]!, observable: "c", value: -2 }] }] };
    expect(scaleOf(below, "c").low).toBeLessThan(-2);
  });
});

describe("advice", () => {
  const term = (id: string, holds: boolean): TermValue => ({ id, goal: "limit", text: id, value: 0.9, low: 0.8, high: 0.95, holds });
  const candidate = (dose: number, interval: number, trough: boolean, peak: boolean, reward = 0): Candidate => ({
    dose, interval, unit: "mg", tablets: "", reward, reward_low: 0, reward_high: 0, admissible: trough && peak, draws: 10,
    terms: [term("trough", trough), term("peak", peak)], fresh: null,
  });
  it("maps dose by interval and names which limits fail", () => {
    const list = [candidate(100, 12, false, true), candidate(200, 12, true, true, 0.2), candidate(200, 6, true, true, 0.6), candidate(100, 6, false, false)];
    const map = candidateMap(list, report.reward);
    expect(map.doses).toEqual([100, 200]);
    expect(map.intervals).toEqual([6, 12]);
    expect(map.cells.map((c) => [c.row, c.column])).toEqual([[1, 0], [1, 1], [0, 1], [0, 0]]);
    expect(map.patterns.map((p) => [p.letter, p.failing])).toEqual([["a", ["trough"]], ["c", ["trough", "peak"]]]);
    expect(map.cells[1]!.share).toBe(0);
    expect(map.cells[2]!.share).toBe(1);
  });
  it("gives a set of limits the same letter in every map", () => {
    const limits = ["x", "y", "z"];
    expect(["x", "y", "z"].map((l) => patternOf([l], limits).letter)).toEqual(["a", "b", "c"]);
    expect(patternOf(["y", "x"], limits).letter).toBe("d");
    expect(patternOf(["y", "z"], limits).letter).toBe("f");
    expect(patternOf(["x", "y", "z"], limits).letter).toBe("g");
  });
  it("shows the bound that decides", () => {
    expect(decidingBound(term("trough", true), probabilityOf(report.reward, "trough"))).toBe(0.8);
    expect(decidingBound(term("peak", true), probabilityOf(report.reward, "peak"))).toBe(0.95);
    expect(probabilityOf(report.reward, "in_range")).toBeNull();
    expect(regimen({ ...candidate(250, 12, true, true) }, "h")).toBe(`250 mg every 12${NBSP}h`);
  });
  it("finds the next sample that matters, or none", () => {
    const next = [0.1, 0.4, 0.2].map((p, i) => ({ time: i, observable: "c", changes_advice: p, admissible_plan: 0, gain: 0 }));
    expect(mostTelling(next)?.time).toBe(1);
    expect(mostTelling(next.map((n) => ({ ...n, changes_advice: 0 })))).toBeNull();
  });
  it("says what would have to be true for another plan to win", () => {
    const parameter = (what: string, sd: number) => ({ way: "parameter" as const, what, from: 2.8, to: 2.1, sd, change: null });
    const limit = { way: "limit" as const, what: "peak", from: 0.05, to: 0.081, sd: null, change: "looser" as const };
    expect(shiftText(parameter("CL", -0.9))).toContain("CL 2.10 instead of 2.80");
    expect(shiftText(parameter("CL", 0.9))).toContain("(+0.9");
    expect(shiftText(limit)).toContain("limit peak at");
    expect(shiftText({ ...limit, change: "stricter" })).toContain("stricter than");
    expect(easiest([parameter("a", 1), parameter("b", 2), parameter("c", 3), limit]).map((s) => s.what)).toEqual(["a", "b", "peak"]);
  });
});
