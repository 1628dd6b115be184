/* Numbers as a reader wants them: few digits, a real minus sign, a dash where there is none. */
import type { Num } from "./data";

export const NONE = "\u2013";
const MINUS = "\u2212";
export const NBSP = "\u00a0";
export const THIN = "\u202f";

const signed = (text: string): string => text.replace(/^-/, MINUS);

/* Significant digits, never an exponent between 1e-4 and 1e6. */
export function sig(x: Num | undefined, digits = 3): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return NONE;
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (size >= 1e6 || size < 1e-4) return signed(x.toExponential(Math.max(0, digits - 1)));
  if (size >= 10 ** digits) return signed(x.toFixed(0)); // digits before the point are never made zero
  const rounded = Number(x.toPrecision(digits));
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(rounded)) + 1e-12));
  return signed(rounded.toFixed(Math.min(decimals, 8)));
}

/* As few digits as say the number: for times and doses. */
export function plain(x: Num | undefined, digits = 4): string {
  if (x === null || x === undefined || !Number.isFinite(x)) return NONE;
  const rounded = Number(x.toPrecision(digits));
  return Math.abs(rounded) >= 1e6 ? signed(rounded.toExponential()) : signed(String(rounded));
}

/* A probability or share in per cent; what is nearly but not quite 0 or 1 is not rounded to it. */
export function percent(p: Num | undefined, decimals = 0): string {
  if (p === null || p === undefined || !Number.isFinite(p)) return NONE;
  const unit = 10 ** -decimals;
  const x = 100 * p;
  if (x > 0 && x < unit / 2) return `<${THIN}${unit.toFixed(decimals)}${NBSP}%`;
  if (x < 100 && x > 100 - unit / 2) return `>${THIN}${(100 - unit).toFixed(decimals)}${NBSP}%`;
  return `${signed(x.toFixed(decimals))}${NBSP}%`;
}

export function signedPercent(p: Num | undefined): string {
  if (p === null || p === undefined || !Number.isFinite(p)) return NONE;
  const x = Math.round(100 * p);
  return x > 0 ? `+${x}${NBSP}%` : `${signed(String(x))}${NBSP}%`;
}

const SUPERSCRIPT: Record<string, string> = Object.fromEntries([..."0123456789-"].map((d, i) => [d, "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b"[i] ?? d]));

/* A unit as people write it: 10\u2079/L for UCUM's 10*9/L, nothing for 1. */
export function unitWords(unit: string): string {
  if (!unit || unit === "1") return "";
  return unit.replace(/10[*^](-?\d+)/g, (_, n: string) => `10${[...n].map((d) => SUPERSCRIPT[d] ?? d).join("")}`);
}

export const inBrackets = (unit: string): string => (unitWords(unit) ? ` [${unitWords(unit)}]` : "");

export function withUnit(text: string, unit: string): string {
  return text === NONE || !unitWords(unit) ? text : `${text}${NBSP}${unitWords(unit)}`;
}

/* "1 sample", "2 samples" */
export function count(n: number, one: string, many = `${one}s`): string {
  return `${n}${NBSP}${n === 1 ? one : many}`;
}

/* Texts of the kind are plain ASCII; on the page they get real signs and keep a number and its unit together. */
export function pretty(text: string): string {
  return text
    .replace(/10\^\d+/g, unitWords)
    .replace(/>=/g, "\u2265")
    .replace(/<=/g, "\u2264")
    .replace(/([<>\u2264\u2265]) (?=\d)/g, `$1${NBSP}`)
    .replace(/(\d) (?=(%|mg|g|ug|h|d|min|mL|L|mmol|umol)\b|%)/g, `$1${NBSP}`);
}

export const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

export const isNum = (x: Num | undefined): x is number => typeof x === "number" && Number.isFinite(x);

/* Up to `most` round ticks that cover [low, high] from inside. */
export function ticks(low: number, high: number, most = 5): number[] {
  const span = high - low;
  if (!(span > 0)) return [low];
  const raw = span / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw - 1e-12 * raw) ?? 10 * power;
  const out: number[] = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * span; k++)
    out.push(Number((k * step).toPrecision(10)));
  return out;
}

/* Round ticks of a logarithmic axis: 1, 2, 5 of each decade inside, only the decades when there are many; on a short axis
 * the ticks of a linear one. */
export function logTicks(low: number, high: number): number[] {
  const out: number[] = [];
  const many = Math.log10(high / low) > 2;
  for (let d = Math.floor(Math.log10(low)); d <= Math.ceil(Math.log10(high)); d++)
    for (const m of many ? [1] : [1, 2, 5]) {
      const x = Number((m * 10 ** d).toPrecision(3));
      if (x >= low && x <= high) out.push(x);
    }
  return out.length >= 3 || many ? out : ticks(low, high, 4);
}
