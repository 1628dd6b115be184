/* What a sceptic asks first, answered from the document alone: pure functions, no drawing. */
import type { Num, Report, Score } from "./data";
import { isNum } from "./numbers";

export type Verdict = "better" | "worse" | "unclear";

export interface Counts {
  people: number;
  seen: number;
  sealed: number;
  scored: number;
}

export function countSamples(report: Report): Counts {
  let seen = 0;
  let sealed = 0;
  for (const p of report.patients) {
    seen += p.seen;
    sealed += p.sealed;
  }
  const scored = scoresWithSamples(report).reduce((n, s) => n + s.samples, 0);
  return { people: report.patients.length, seen, sealed, scored };
}

export const scoresWithSamples = (report: Report): Score[] => report.summary.scores.filter((s) => s.samples > 0);

/* Resampling a handful of people gives an interval that says nothing (one person: no width at all). */
export const enoughPeople = (report: Report): boolean => report.summary.people >= 5;

/* Skill over the population's forecast; "unclear" when resampling people gives both signs. */
export function verdictOfSkill(score: Score, enough = true): Verdict {
  const [low, high] = score.skill_interval;
  if (!enough || !isNum(low) || !isNum(high)) return "unclear";
  if (low > 0) return "better";
  return high < 0 ? "worse" : "unclear";
}

/* Does the expected share lie inside the interval from resampling people? */
export function verdictOfCoverage(score: Score, enough = true): "as expected" | "too few" | "too many" | "unclear" {
  const [low, high] = score.coverage_90_interval;
  if (!enough || !isNum(low) || !isNum(high)) return "unclear";
  if (high < 0.9) return "too few";
  return low > 0.9 ? "too many" : "as expected";
}

export interface PriorSource {
  text: string;
  people: number; // how many persons under test had this prior
}

export interface PriorAnswer {
  leaveOneOut: boolean;
  published: boolean;
  notConverged: string[];
  sources: PriorSource[];
}

export function whereFrom(report: Report): PriorAnswer {
  const found = new Map<string, number>();
  const notConverged: string[] = [];
  let published = report.patients.length > 0;
  for (const p of report.patients) {
    found.set(p.prior.source, (found.get(p.prior.source) ?? 0) + 1);
    if (p.prior.method !== "published") {
      published = false;
      if (!p.prior.converged) notConverged.push(p.id);
    }
  }
  const sources = [...found].map(([text, people]) => ({ text, people })).sort((a, b) => b.people - a.people);
  const leaveOneOut = report.patients.length > 0 && report.patients.every((p) => p.prior.method !== "published");
  return { leaveOneOut, published, notConverged, sources };
}

export interface ErrorRow {
  observable: string;
  name: string;
  unit: string;
  what: "CRPS" | "mean absolute error";
  values: [Num, Num, Num]; // twin, population, last value
  best: number; // index of the smallest, -1 when unknown
}

export function errorRows(report: Report): ErrorRow[] {
  const rows: ErrorRow[] = [];
  for (const s of scoresWithSamples(report)) {
    const o = report.observables.find((x) => x.id === s.observable);
    for (const what of ["CRPS", "mean absolute error"] as const) {
      const t = what === "CRPS" ? s.crps : s.mean_absolute_error;
      const values: [Num, Num, Num] = [t.twin, t.population, t.last_value];
      rows.push({ observable: s.observable, name: o?.name ?? s.observable, unit: o?.unit ?? "", what, values, best: smallest(values) });
    }
  }
  return rows;
}

export function smallest(values: readonly Num[]): number {
  let best = -1;
  values.forEach((v, i) => {
    if (isNum(v) && (best < 0 || v < (values[best] as number))) best = i;
  });
  return best;
}

/* Bars of the PIT histogram with the height and scatter that n independent, honest forecasts would show. */
export interface PitBar {
  low: number;
  high: number;
  count: number;
}

export function pitBars(counts: readonly Num[]): { bars: PitBar[]; expected: number; low: number; high: number } {
  const n = counts.reduce<number>((sum, c) => sum + (c ?? 0), 0);
  const k = counts.length || 1;
  const expected = n / k;
  const half = 1.96 * Math.sqrt((n / k) * (1 - 1 / k));
  const bars = counts.map((c, i) => ({ low: i / k, high: (i + 1) / k, count: c ?? 0 }));
  return { bars, expected, low: Math.max(0, expected - half), high: expected + half };
}

/* Points of the coverage curve, with the corners. */
export function coveragePoints(nominal: readonly Num[], observed: readonly Num[]): [number, number][] {
  const points: [number, number][] = [[0, 0]];
  nominal.forEach((x, i) => {
    const y = observed[i];
    if (isNum(x) && isNum(y)) points.push([x, y]);
  });
  points.push([1, 1]);
  return points;
}

/* Scatter (95 %) of an observed share around its nominal value for n independent samples. */
export const shareScatter = (p: number, n: number): number => (n > 0 ? 1.96 * Math.sqrt((p * (1 - p)) / n) : 0);
