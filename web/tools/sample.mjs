/* A document of the form of src/explain, simulated: FOR DEVELOPING AND TESTING THE PAGE ONLY. Nothing in it is a result.
 *
 *   node tools/sample.mjs                              the document as JSON on standard output
 *   node tools/sample.mjs --page TEMPLATE OUT          put into the built page
 *   options: --people N, --two (a second observable), --seed N
 *
 * The model is one compartment with first-order absorption, C(t) = D ka / (V (ka - k)) (e^-kt - e^-kat); beliefs are prior
 * draws with importance weights, resampled. */
import { readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const LEVELS = [0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975];
const PARAMS = [
  { id: "ka", name: "absorption rate", unit: "1/h", typical: 1.5, sd: 0.6 },
  { id: "CL", name: "clearance", unit: "L/h", typical: 2.8, sd: 0.28 },
  { id: "V", name: "volume", unit: "L", typical: 32, sd: 0.15 },
];
const SD = 0.7;
const TIMES = [0.25, 0.5, 1, 2, 3.5, 5, 7, 9, 12, 24];
const UNTILS = [-1, 0.5, 2.25, 5, 9];
const MAIN = 2.25;

function generator(seed) {
  let s = seed >>> 0;
  const uniform = () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), 1 | s);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return (((t ^ (t >>> 14)) >>> 0) + 0.5) / 4294967296;
  };
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { uniform, normal };
}

const concentration = ([ka, CL, V], dose, t) => {
  const k = CL / V;
  return t <= 0 ? 0 : ((dose * ka) / (V * (ka - k))) * (Math.exp(-k * t) - Math.exp(-ka * t));
};
const effect = (c) => 100 - (85 * c) / (c + 4);
const quantile = (sorted, p) => {
  const at = p * (sorted.length - 1);
  const i = Math.floor(at);
  return sorted[i] + (at - i) * ((sorted[Math.min(i + 1, sorted.length - 1)] ?? 0) - sorted[i]);
};
const sort = (x) => [...x].sort((a, b) => a - b);
const crps = (x, y) => {
  const s = sort(x);
  let spread = 0;
  s.forEach((v, i) => (spread += v * (2 * i - s.length + 1)));
  return x.reduce((a, v) => a + Math.abs(v - y), 0) / x.length - spread / (x.length * x.length);
};

function prior(rng, n) {
  return Array.from({ length: n }, () => PARAMS.map((p) => p.typical * Math.exp(p.sd * rng.normal())));
}

function posterior(rng, draws, dose, seen, two) {
  if (seen.length === 0) return draws;
  const w = draws.map((d) => {
    let nll = 0;
    for (const o of seen) {
      const c = concentration(d, dose, o.time);
      const z = o.observable === "c" ? (o.value - c) / SD : (o.value - effect(c)) / 5;
      nll += 0.5 * z * z;
    }
    return nll;
  });
  const least = Math.min(...w);
  const weight = w.map((x) => Math.exp(least - x));
  const total = weight.reduce((a, b) => a + b, 0);
  const out = [];
  let at = 0;
  let sum = weight[0];
  for (let i = 0; i < draws.length; i++) {
    const u = ((i + rng.uniform()) / draws.length) * total;
    while (sum < u && at + 1 < draws.length) sum += weight[++at];
    out.push(draws[at].map((v) => v * Math.exp(0.02 * rng.normal())));
  }
  return out;
}

const measure = (rng, draws, dose, t, observable) =>
  draws.map((d) => {
    const c = concentration(d, dose, t);
    return observable === "c" ? c + SD * rng.normal() : effect(c) + 5 * rng.normal();
  });

function fan(rng, draws, dose, observable, n) {
  const time = Array.from({ length: n }, (_, i) => 25 * (i / (n - 1)) ** 1.6);
  const quantiles = LEVELS.map(() => []);
  for (const t of time) {
    const s = sort(measure(rng, draws, dose, t, observable));
    LEVELS.forEach((l, i) => quantiles[i].push(quantile(s, l)));
  }
  return { observable, time, quantiles };
}

function parameters(before, after, density) {
  return PARAMS.map((p, e) => {
    const a = sort(before.map((d) => d[e]));
    const b = sort(after.map((d) => d[e]));
    const five = (s) => [0.05, 0.25, 0.5, 0.75, 0.95].map((q) => quantile(s, q));
    const out = { id: p.id, name: p.name, unit: p.unit };
    if (density) {
      const la = a.map(Math.log);
      const lb = b.map(Math.log);
      const low = Math.min(la[0], lb[0]) - 0.1;
      const high = Math.max(la.at(-1), lb.at(-1)) + 0.1;
      const kernel = (s, x) => {
        const m = s.reduce((u, v) => u + v, 0) / s.length;
        const sd = Math.sqrt(s.reduce((u, v) => u + (v - m) ** 2, 0) / s.length);
        const h = 1.06 * sd * s.length ** -0.2;
        return s.reduce((u, v) => u + Math.exp(-0.5 * ((x - v) / h) ** 2), 0) / (s.length * h * 2.5066);
      };
      const grid = Array.from({ length: 61 }, (_, i) => low + ((high - low) * i) / 60);
      Object.assign(out, { x: grid.map(Math.exp), prior_density: grid.map((x) => kernel(la, x)), posterior_density: grid.map((x) => kernel(lb, x)), log: true });
    }
    return { ...out, prior: five(a), posterior: five(b) };
  });
}

function scores(rng, person, before, after, seen) {
  const last = {};
  for (const o of person.observed.slice(0, seen)) last[o.observable] = o.value;
  return person.observed.slice(seen).map((o) => {
    const twin = measure(rng, after, person.dose, o.time, o.observable);
    const pop = measure(rng, before, person.dose, o.time, o.observable);
    const q = LEVELS.map((l) => quantile(sort(twin), l));
    const qp = LEVELS.map((l) => quantile(sort(pop), l));
    const carried = last[o.observable] ?? null;
    const off = (x) => (x === null ? null : x - o.value);
    return {
      time: o.time, observable: o.observable, measured: o.value, quantiles: q,
      pit: twin.filter((v) => v <= o.value).length / twin.length,
      crps: { twin: crps(twin, o.value), population: crps(pop, o.value), last_value: carried === null ? null : Math.abs(carried - o.value) },
      error: { twin: q[4] - o.value, population: qp[4] - o.value, last_value: off(carried) },
      inside_50_80_90_95: [3, 2, 1, 0].map((i) => o.value >= q[i] && o.value <= q[8 - i]),
      inside_population_90: o.value >= qp[1] && o.value <= qp[7],
    };
  });
}

const REWARD = {
  control: "oral", name: "drug by mouth", unit: "mg", strengths: [100, 200, 300], intervals: [6, 8, 12, 24], residual_error_counts: false,
  confidence: 0.95, approver: "prescriber", note: "The limits are examples and no clinical recommendation.",
  terms: [
    { id: "trough", text: "P(trough >= 5 mg/L) >= 90 %", goal: "limit", probability: 0.9, at_least: true },
    { id: "peak", text: "P(peak > 20 mg/L) <= 5 %", goal: "limit", probability: 0.05, at_least: false },
    { id: "in_range", text: "share of the interval with 10 to 20 mg/L", goal: "reward", probability: null, at_least: false },
  ],
};

function judge(draws, dose, interval) {
  let trough = 0, peak = 0, share = 0;
  for (const [ka, CL, V] of draws) {
    const k = CL / V;
    const steady = (t) => ((dose * ka) / (V * (ka - k))) * (Math.exp(-k * t) / (1 - Math.exp(-k * interval)) - Math.exp(-ka * t) / (1 - Math.exp(-ka * interval)));
    const c = Array.from({ length: 25 }, (_, i) => steady((i * interval) / 24));
    trough += Math.min(...c) >= 5 ? 1 : 0;
    peak += Math.max(...c) > 20 ? 1 : 0;
    share += c.filter((x) => x >= 10 && x <= 20).length / 25;
  }
  const n = draws.length;
  const bound = (p) => 1.64 * Math.sqrt(Math.max(p * (1 - p), 0.5 / n) / n);
  const limit = (id, p, holds) => ({ ...pick(id), value: p, low: Math.max(0, p - bound(p)), high: Math.min(1, p + bound(p)), holds });
  const pick = (id) => { const { goal, text } = REWARD.terms.find((t) => t.id === id); return { id, goal, text }; };
  const pt = trough / n, pp = peak / n;
  const terms = [limit("trough", pt, pt - bound(pt) >= 0.9), limit("peak", pp, pp + bound(pp) <= 0.05), { ...pick("in_range"), value: share / n, low: share / n - 0.01, high: share / n + 0.01, holds: true }];
  return { terms, admissible: terms.every((t) => t.holds), reward: share / n };
}

function advice(rng, after, fresh) {
  const candidates = [];
  const tablets = { 100: "100 mg", 200: "200 mg", 300: "300 mg", 400: "300 mg + 100 mg", 500: "300 mg + 200 mg", 600: "2 x 300 mg", 700: "2 x 300 mg + 100 mg", 800: "2 x 300 mg + 200 mg", 900: "3 x 300 mg" };
  for (const interval of REWARD.intervals)
    for (let dose = 100; dose <= 900; dose += 100) {
      const j = judge(after, dose, interval);
      candidates.push({ dose, interval, unit: "mg", tablets: tablets[dose], reward: j.reward, reward_low: j.reward - 0.01, reward_high: j.reward + 0.01, admissible: j.admissible, draws: after.length, terms: j.terms, fresh: null });
    }
  const best = candidates.filter((c) => c.admissible).sort((a, b) => b.reward - a.reward);
  const good = best.filter((c) => judge(fresh, c.dose, c.interval).admissible);
  const next_sample = [4.5, 7, 10.5, 14, 20, 25].map((time, i) => ({ time, observable: "c", changes_advice: 0.1 + 0.5 * Math.exp(-(((i - 3) / 2) ** 2)) * rng.uniform(), admissible_plan: 0.35 + 0.4 * Math.exp(-(((i - 3) / 2) ** 2)), gain: 0.01 * i }));
  const miss = (c) => Math.max((1 - c.terms[0].low) / 0.1, c.terms[1].high / 0.05);
  if (best.length > 0 && good.length === 0)
    return { proposal: null, reason: `no recommendation, because the ${best.length} best admissible regimens did not hold their limits on fresh draws`, binding: "", runner_up: null, probability_best: null, next_sample, candidates };
  if (good.length === 0) {
    const near = [...candidates].sort((a, b) => miss(a) - miss(b))[0];
    const t = (1 - near.terms[0].low) / 0.1 > near.terms[1].high / 0.05 ? near.terms[0] : near.terms[1];
    const binding = `${t.text}: estimate ${(100 * t.value).toFixed(1)} %, at the 95 % bound ${(100 * (t.id === "trough" ? t.low : t.high)).toFixed(1)} %`;
    return { proposal: null, reason: `no recommendation, because none of 36 regimens holds every limit at the 95 % bound; nearest: ${near.tablets} every ${near.interval} h, which misses ${binding}`, binding, runner_up: near, probability_best: null, next_sample, candidates };
  }
  good[0].fresh = judge(fresh, good[0].dose, good[0].interval).terms;
  return { proposal: good[0], reason: `${good[0].tablets} every ${good[0].interval} h: highest reward of ${good.length} admissible regimens out of 36; every limit holds at its bound on the search draws and again on fresh draws`, binding: "P(trough >= 5 mg/L) >= 90 %: estimate 95.0 %, at the 95 % bound 93.5 %", runner_up: good[1] ?? null, probability_best: 0.62, next_sample, candidates };
}

export function sample({ people = 12, two = false, seed = 7 } = {}) {
  const rng = generator(seed);
  const observables = [{ id: "c", name: "drug concentration", unit: "mg/L", primary: !two, reference: two ? [null, null] : [10, 20] }];
  if (two) observables.push({ id: "e", name: "effect", unit: "%", primary: true, reference: [20, 35] });
  const patients = [];
  for (let i = 0; i < people; i++) {
    const truth = PARAMS.map((p) => p.typical * Math.exp(p.sd * 1.1 * rng.normal()));
    const dose = 250 + Math.round(120 * rng.uniform());
    const observed = [];
    for (const t of TIMES)
      for (const o of observables) {
        const time = Number((t * (0.95 + 0.1 * rng.uniform())).toFixed(2));
        const c = concentration(truth, dose, time);
        const value = Number((o.id === "c" ? Math.max(0, c + SD * rng.normal()) : effect(c) + 5 * rng.normal()).toFixed(2));
        observed.push({ time, value, observable: o.id, censored: false, line: 2 + i * 20 + observed.length });
      }
    observed.sort((a, b) => a.time - b.time);
    const before = prior(rng, 300);
    const big = prior(rng, 1500);
    const person = { id: String(i + 1), dose, observed };
    const at = (until, n) => {
      const seen = observed.filter((o) => o.time <= until).length;
      const after = posterior(rng, seen ? big : before, dose, observed.slice(0, seen), two).slice(0, 1500);
      const some = after.filter((_, k) => k % Math.max(1, Math.floor(after.length / 300)) === 0);
      return { seen, after: some, forecast: observables.map((o) => fan(rng, some, dose, o.id, n)), score: { samples: scores(rng, person, before, some, seen) } };
    };
    const main = at(MAIN, 61);
    const stops = UNTILS.map((until) => {
      const s = at(until, 41);
      return { until, seen: s.seen, forecast: s.forecast, parameters: parameters(before, s.after, false), score: s.score, hash: "0".repeat(64) };
    });
    patients.push({
      id: person.id, until: MAIN, seen: main.seen, sealed: observed.length - main.seen,
      observed: observed.map((o, k) => ({ ...o, sealed: k >= main.seen })),
      doses: [{ time: 0, amount: dose }],
      prior: { source: `${people - 1} other people of the record, simulated`, method: "laplace", people: people - 1, converged: true, objective: 400.5, typical: Object.fromEntries(PARAMS.map((p) => [`tv_${p.id}`, p.typical])), between_people_sd: Object.fromEntries(PARAMS.map((p) => [`eta_${p.id}`, p.sd])), hash: "1".repeat(64) },
      belief: { method: "laplace+importance", usable: true, verdict: "usable", samples_used: main.seen, draws: main.after.length, effective_draws: 0.71 * main.after.length, khat: 0.21, predictive_check_p: 0.43, parameters: parameters(before, main.after, true), hash: "2".repeat(64) },
      forecast: main.forecast,
      population_forecast: observables.map((o) => fan(rng, before, dose, o.id, 61)),
      score: main.score,
      ...advice(rng, main.after, at(MAIN, 3).after),
      hashes: { prior: "1".repeat(64), belief: "2".repeat(64), turn: "3".repeat(64) },
      stops,
    });
  }
  return finish({ patients, observables, people, seed });
}

function finish({ patients, observables, people, seed }) {
  const mean = (x) => (x.length ? x.reduce((a, b) => a + b, 0) / x.length : null);
  const by = (list, f) => ({ twin: mean(list.map((s) => f(s).twin)), population: mean(list.map((s) => f(s).population)), last_value: mean(list.map((s) => f(s).last_value).filter((v) => v !== null)) });
  const abs = (s) => ({ twin: Math.abs(s.error.twin), population: Math.abs(s.error.population), last_value: s.error.last_value === null ? null : Math.abs(s.error.last_value) });
  const scoreOf = (o) => {
    const all = patients.flatMap((p) => p.score.samples.filter((s) => s.observable === o.id));
    const inside = [0, 1, 2, 3].map((l) => all.filter((s) => s.inside_50_80_90_95[l]).length);
    const share = inside[2] / all.length;
    const half = 1.96 * Math.sqrt((share * (1 - share)) / (all.length / 3));
    const c = by(all, (s) => s.crps);
    const skill = 1 - c.twin / c.population;
    const nominal = Array.from({ length: 19 }, (_, l) => 0.05 * (l + 1));
    return {
      observable: o.id, samples: all.length, inside_50_80_90_95: inside, coverage_90: share, coverage_90_interval: [share - half, Math.min(1, share + half)],
      inside_population_90: all.filter((s) => s.inside_population_90).length, crps: c, mean_absolute_error: by(all, abs), root_mean_square_error: by(all, abs),
      skill, skill_interval: [skill - 0.15, skill + 0.12],
      reliability: { samples: all.length, pit_counts: Array.from({ length: 10 }, (_, b) => all.filter((s) => Math.min(9, Math.floor(s.pit * 10)) === b).length), nominal, observed: nominal.map((_, l) => all.filter((s) => Math.abs(s.pit - 0.5) <= 0.025 * (l + 1)).length / all.length) },
    };
  };
  const scoreList = observables.map(scoreOf);
  const unit = Object.fromEntries(scoreList.map((s) => [s.observable, s.crps.population]));
  const relative = (score) => {
    const f = (k) => mean(score.samples.map((s) => (s.crps[k] === null ? null : s.crps[k] / unit[s.observable])).filter((v) => v !== null));
    score.relative_crps = { twin: f("twin"), population: f("population"), last_value: f("last_value") };
  };
  for (const p of patients) [p.score, ...p.stops.map((s) => s.score)].forEach(relative);
  const rel = patients.map((p) => p.score.relative_crps);
  return {
    doppel: { version: "0.0.0-sample", arithmetic: "fma" },
    command: "doppel run sample",
    kind: { id: "sample", title: "SIMULATED SAMPLE: one compartment by mouth", question: "Which dose and interval keep this person's concentration in range at steady state?", intended_use: "Developing and testing the page only.", people: `${people} simulated people; nobody measured anything.`, source: "tools/sample.mjs", time_unit: "h", hash: "4".repeat(64) },
    record: { source: "sample.csv", hash: "5".repeat(64), subjects: people, own: true },
    seed, draws: 300, levels: LEVELS, observables, parameters: PARAMS.map(({ id, name, unit: u }) => ({ id, name, unit: u })), reward: REWARD,
    summary: {
      people, twin_lost: rel.filter((r) => r.twin > r.population).length, twin_won: rel.filter((r) => r.twin < r.population).length, twin_lost_to_last_value: rel.filter((r) => r.twin > r.last_value).length,
      with_recommendation: patients.filter((p) => p.proposal).length,
      worst_first: [...patients].sort((a, b) => b.score.relative_crps.twin - b.score.relative_crps.population - (a.score.relative_crps.twin - a.score.relative_crps.population)).map((p) => p.id),
      scores: scoreList,
    },
    until: MAIN, patients, untils: UNTILS, hashes: { kind: "4".repeat(64), model: "6".repeat(64), data: "5".repeat(64), study: "7".repeat(64) },
  };
}

/* As the C program does it (src/explain/page.c): five digits, and "</" never inside the script element. */
export function fill(template, report) {
  const json = JSON.stringify(report, (_, v) => (typeof v === "number" && !Number.isInteger(v) ? Number(v.toPrecision(5)) : v));
  const marker = "/*DOPPEL-DATA*/";
  const at = template.indexOf(marker);
  if (at < 0) throw new Error("the template has no place for its data");
  return template.slice(0, at) + json.replaceAll("</", "<\\/") + template.slice(at + marker.length);
}

function main(args) {
  const value = (name, otherwise) => (args.includes(name) ? args[args.indexOf(name) + 1] : otherwise);
  const report = sample({ people: Number(value("--people", 12)), two: args.includes("--two"), seed: Number(value("--seed", 7)) });
  const at = args.indexOf("--page");
  if (at < 0) process.stdout.write(JSON.stringify(report) + "\n");
  else writeFileSync(args[at + 2], fill(readFileSync(args[at + 1], "utf8"), report));
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) main(process.argv.slice(2));
