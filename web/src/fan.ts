/* From one person's document to what a fan chart draws: lines of quantiles, dots by what was known, one scale for all. */
import type { Fan, Num, Person, Report, SampleScore, Stop } from "./data";
import { isNum } from "./numbers";

export type DotKind = "seen" | "inside" | "outside" | "unscored";

export interface Dot {
  time: number;
  value: number;
  kind: DotKind;
  censored: boolean;
  inside90?: boolean;
}

/* What the slider shows of a person: the stop's turn, or the main one where the stop is the report's own. */
export interface Turn {
  until: number;
  seen: number;
  forecast: Fan[];
  samples: SampleScore[];
  relative: { twin: Num; population: Num; last_value: Num };
  main: boolean;
}

/* Index of the slider's stop that is the report's own `until`; -1 when there is no slider or no such stop. */
export function mainStop(report: Report): number {
  const untils = report.untils ?? [];
  return untils.findIndex((u) => isNum(u) && isNum(report.until) && Math.abs(u - report.until) <= 1e-9 * Math.max(1, Math.abs(u)));
}

export function turnAt(report: Report, person: Person, stop: number): Turn {
  const at: Stop | undefined = stop === mainStop(report) ? undefined : person.stops?.[stop];
  if (!at)
    return {
      until: person.until ?? Number.NaN,
      seen: person.seen,
      forecast: person.forecast,
      samples: person.score.samples,
      relative: person.score.relative_crps,
      main: true,
    };
  return {
    until: at.until ?? Number.NaN,
    seen: at.seen,
    forecast: at.forecast,
    samples: at.score.samples,
    relative: at.score.relative_crps,
    main: false,
  };
}

/* Observations come in time order, the first `seen` are those the twin was given. Scores stand in the same order and
 * leave out censored values. */
export function dotsOf(person: Person, turn: Turn, observable: string): Dot[] {
  const dots: Dot[] = [];
  let next = 0;
  person.observed.forEach((o, i) => {
    const seen = i < turn.seen;
    let score: SampleScore | undefined;
    if (!seen && !o.censored) {
      const s = turn.samples[next];
      if (s && s.observable === o.observable && s.time === o.time) {
        score = s;
        next++;
      }
    }
    if (o.observable !== observable || !isNum(o.time) || !isNum(o.value)) return;
    const kind: DotKind = seen ? "seen" : !score ? "unscored" : score.inside_50_80_90_95[2] ? "inside" : "outside";
    dots.push({ time: o.time, value: o.value, kind, censored: o.censored });
  });
  return dots;
}

export interface FanLines {
  time: number[];
  twin: Num[][]; // one row a level
  population: Num[][]; // 5 %, 50 %, 95 %
}

const POPULATION_LEVELS = [0.05, 0.5, 0.95];

/* Values at `time` by straight lines between the fan's points (the population's fan may have other times). */
export function interpolate(x: readonly Num[], y: readonly Num[], time: readonly number[]): Num[] {
  let k = 0;
  return time.map((t) => {
    while (k + 1 < x.length && (x[k + 1] as number) < t) k++;
    const x0 = x[k];
    const y0 = y[k];
    if (!isNum(x0) || !isNum(y0) || t < x0) return null;
    if (t === x0) return y0;
    const x1 = x[k + 1];
    const y1 = y[k + 1];
    if (!isNum(x1) || !isNum(y1)) return null;
    return y0 + ((y1 - y0) * (t - x0)) / (x1 - x0);
  });
}

const same = (a: readonly Num[], b: readonly Num[]): boolean => a.length === b.length && a.every((x, i) => x === b[i]);

export function linesOf(report: Report, person: Person, turn: Turn, observable: string): FanLines | null {
  const fan = turn.forecast.find((f) => f.observable === observable);
  if (!fan || fan.time.length === 0) return null;
  const time = fan.time.filter(isNum);
  const pop = person.population_forecast.find((f) => f.observable === observable);
  const population = POPULATION_LEVELS.map((level) => {
    const row = pop?.quantiles[levelIndex(report.levels, level)];
    if (!pop || !row) return time.map(() => null);
    return same(pop.time, fan.time) ? row : interpolate(pop.time, row, time);
  });
  return { time, twin: fan.quantiles, population };
}

export const levelIndex = (levels: readonly Num[], level: number): number =>
  levels.findIndex((l) => isNum(l) && Math.abs(l - level) < 1e-9);

export interface Scale {
  low: number;
  high: number;
  endOfTime: number;
  cutsBelowZero: boolean;
}

/* One scale an observable, the same for everybody and every stop, so that cards can be compared. From zero when no
 * measured value is negative: the part of a band below zero (additive error) is then outside the chart. */
export function scaleOf(report: Report, observable: string): Scale {
  const o = report.observables.find((x) => x.id === observable);
  let low = 0;
  let lowest = 0;
  let top = 0;
  let endOfTime = 0;
  const upper = levelIndex(report.levels, 0.95);
  for (const p of report.patients) {
    for (const s of p.observed) {
      if (s.observable !== observable || !isNum(s.value) || !isNum(s.time)) continue;
      low = Math.min(low, s.value);
      top = Math.max(top, s.value);
      endOfTime = Math.max(endOfTime, s.time);
    }
    const fans = [...p.forecast, ...p.population_forecast].filter((f) => f.observable === observable);
    for (const f of fans) {
      for (const v of f.quantiles[0] ?? []) if (isNum(v)) lowest = Math.min(lowest, v);
      for (const v of f.quantiles[upper] ?? []) if (isNum(v)) top = Math.max(top, v);
      for (const t of f.time) if (isNum(t)) endOfTime = Math.max(endOfTime, t);
    }
  }
  const from = o?.reference[0];
  const to = o?.reference[1];
  if (isNum(to) && to < 1.35 * top) top = Math.max(top, to);
  else if (isNum(from) && from < 1.35 * top) top = Math.max(top, from * 1.05);
  return { low: low < 0 ? low * 1.05 : 0, high: top > 0 ? top * 1.04 : 1, endOfTime, cutsBelowZero: low >= 0 && lowest < 0 };
}

/* Nearest fan point to a time. */
export function nearest(time: readonly number[], t: number): number {
  let best = 0;
  for (let i = 1; i < time.length; i++)
    if (Math.abs((time[i] as number) - t) < Math.abs((time[best] as number) - t)) best = i;
  return best;
}

export function insideCount(turn: Turn): { inside: number; of: number } {
  return { inside: turn.samples.filter((s) => s.inside_50_80_90_95[2]).length, of: turn.samples.length };
}
