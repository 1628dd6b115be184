/* The plan, its limits and the map of all candidates: pure functions. */
import type { Candidate, NextSample, Num, Report, Reward, Shift, TermValue } from "./data";
import { isNum, NBSP, percent, plain, sig } from "./numbers";

export function regimen(c: Candidate, timeUnit: string): string {
  const what = c.tablets || `${plain(c.dose)} ${c.unit}`;
  return `${what} every ${plain(c.interval)}${NBSP}${timeUnit}`;
}

export const probabilityOf = (reward: Reward | null, id: string): RewardLimit | null => {
  const t = reward?.terms.find((x) => x.id === id);
  return t && t.goal === "limit" && isNum(t.probability) ? { atLeast: t.at_least, probability: t.probability } : null;
};

export interface RewardLimit {
  atLeast: boolean;
  probability: number;
}

/* The bound that decides: the lower one for "at least", the upper one for "at most". */
export function decidingBound(term: TermValue, limit: RewardLimit | null): Num {
  return !limit ? null : limit.atLeast ? term.low : term.high;
}

/* A reward that is a share reads as per cent; other rewards as a number. */
export function termValue(term: TermValue, x: Num): string {
  if (term.goal === "limit" || /^share/i.test(term.text)) return percent(x, 1);
  return sig(x);
}

export interface MapCell {
  candidate: Candidate;
  row: number;
  column: number;
  state: "admissible" | "fails";
  pattern: Pattern | null; // which limits do not hold; null when admissible
  share: number; // reward among the admissible, 0..1
}

export interface CandidateMap {
  doses: number[];
  intervals: number[];
  cells: MapCell[];
  patterns: Pattern[]; // distinct sets of failing limits that occur, single ones first
}

/* A set of limits that fail together. Letter and tone depend on the kind's limits alone, so that maps of different people
 * can be compared. */
export interface Pattern {
  failing: string[];
  letter: string;
  tone: number; // 0..2 one limit, 3 several
}

export function patternOf(failing: readonly string[], limits: readonly string[]): Pattern {
  const bits = limits.map((l) => failing.includes(l));
  const sorted = limits.filter((l) => failing.includes(l));
  let rank = 0;
  for (let code = 1; code < 2 ** limits.length; code++) {
    const other = limits.map((_, i) => (code >> i) % 2 === 1);
    if (before(other, bits)) rank++;
  }
  const single = bits.indexOf(true);
  return { failing: sorted, letter: sorted.length ? String.fromCharCode(97 + (rank % 26)) : "?", tone: sorted.length === 1 ? single % 3 : 3 };
}

/* Fewer limits first, then in the kind's order. */
function before(a: readonly boolean[], b: readonly boolean[]): boolean {
  const size = (x: readonly boolean[]): number => x.filter(Boolean).length;
  if (size(a) !== size(b)) return size(a) < size(b);
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return a[i] === true;
  return false;
}

export function candidateMap(list: readonly Candidate[], reward: Reward | null): CandidateMap {
  const limits = (reward?.terms ?? []).filter((t) => t.goal === "limit").map((t) => t.id);
  const ascending = (x: (c: Candidate) => Num): number[] => [...new Set(list.map(x).filter(isNum))].sort((a, b) => a - b);
  const doses = ascending((c) => c.dose);
  const intervals = ascending((c) => c.interval);
  const rewards = list.filter((c) => c.admissible).map((c) => c.reward ?? 0);
  const least = Math.min(...rewards);
  const span = Math.max(...rewards) - least;
  const cells: MapCell[] = [];
  const patterns = new Map<string, Pattern>();
  for (const c of list) {
    if (!isNum(c.dose) || !isNum(c.interval)) continue;
    const failing = (c.terms ?? []).filter((t) => t.goal === "limit" && !t.holds).map((t) => t.id);
    const pattern = c.admissible ? null : patternOf(failing, limits);
    if (pattern) patterns.set(pattern.letter, pattern);
    cells.push({
      candidate: c,
      row: intervals.indexOf(c.interval),
      column: doses.indexOf(c.dose),
      state: c.admissible ? "admissible" : "fails",
      pattern,
      share: c.admissible && span > 0 ? ((c.reward ?? least) - least) / span : 1,
    });
  }
  const order = [...patterns.values()].sort((a, b) => (a.letter < b.letter ? -1 : 1));
  return { doses, intervals, cells, patterns: order };
}

/* The sample most likely to change the advice; null when none is likely to. */
export function mostTelling(next: readonly NextSample[]): NextSample | null {
  let best: NextSample | null = null;
  for (const n of next) if (isNum(n.changes_advice) && n.changes_advice > 0 && (!best || n.changes_advice > (best.changes_advice ?? 0))) best = n;
  return best;
}

/* What would have to be true, in words: "CL 2.1 instead of 2.8 (-0.9 sd)". */
export function shiftText(s: Shift): string {
  if (s.way === "parameter") return `${s.what} ${sig(s.to)} instead of ${sig(s.from)} (${isNum(s.sd) && s.sd > 0 ? "+" : ""}${sig(s.sd, 2)} sd)`;
  if (s.way === "weight") return `weight of ${s.what} ${sig(s.to)} instead of ${sig(s.from)}`;
  const now = percent(s.from, 1);
  return s.change === "looser" ? `limit ${s.what} at ${percent(s.to, 1)} instead of ${now}` : `limit ${s.what} stricter than ${percent(s.to, 1)} (now ${now})`;
}

/* The two easiest parameters, and every other way. */
export function easiest(list: readonly Shift[]): Shift[] {
  const parameters = list.filter((s) => s.way === "parameter").slice(0, 2);
  return [...parameters, ...list.filter((s) => s.way !== "parameter")];
}

export const doseUnit = (report: Report): string => report.reward?.unit ?? "";
