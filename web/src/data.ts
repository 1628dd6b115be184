/* The document as src/explain writes it (docs/report-json.md). Numbers that do not exist are null. */
export type Num = number | null;

export interface Observable {
  id: string;
  name: string;
  unit: string;
  primary: boolean;
  reference: [Num, Num];
}

export interface Three {
  twin: Num;
  population: Num;
  last_value: Num;
}

export interface Reliability {
  samples: number;
  pit_counts: Num[];
  nominal: Num[];
  observed: Num[];
}

export interface Score {
  observable: string;
  samples: number;
  inside_50_80_90_95: [number, number, number, number];
  coverage_90: Num;
  coverage_90_interval: [Num, Num];
  inside_population_90: number;
  crps: Three;
  mean_absolute_error: Three;
  root_mean_square_error: Three;
  skill: Num;
  skill_interval: [Num, Num];
  reliability: Reliability;
}

export interface Summary {
  people: number;
  twin_lost: number;
  twin_won: number;
  twin_lost_to_last_value: number;
  with_recommendation: number;
  worst_first: string[];
  scores: Score[];
}

export interface RewardTerm {
  id: string;
  text: string;
  goal: "limit" | "reward";
  probability: Num;
  at_least: boolean;
}

export interface Reward {
  form: "regimen" | "course";
  control: string;
  name: string;
  unit: string;
  strengths: Num[];
  intervals: Num[];
  residual_error_counts: boolean;
  confidence: Num;
  approver: string;
  note: string;
  terms: RewardTerm[];
}

export interface Observed {
  time: Num;
  value: Num;
  observable: string;
  sealed: boolean;
  censored: boolean;
  line: number;
}

export interface Fan {
  observable: string;
  time: Num[];
  quantiles: Num[][]; // one row a level, one number a time
}

export interface SampleScore {
  time: Num;
  observable: string;
  measured: Num;
  quantiles: Num[];
  pit: Num;
  crps: Three;
  error: Three;
  inside_50_80_90_95: [boolean, boolean, boolean, boolean];
  inside_population_90: boolean;
}

export interface PersonScore {
  samples: SampleScore[];
  relative_crps: Three;
}

export interface Parameter {
  id: string;
  name: string;
  unit: string;
  prior: Num[]; // 5, 25, 50, 75, 95 %
  posterior: Num[];
  x?: Num[];
  prior_density?: Num[];
  posterior_density?: Num[];
  log?: boolean;
}

export interface Belief {
  method: string;
  usable: boolean;
  verdict: string;
  samples_used: number;
  draws: number;
  effective_draws: Num;
  khat: Num;
  predictive_check_p: Num;
  parameters: Parameter[];
  hash: string;
}

export interface TermValue {
  id: string;
  goal: "limit" | "reward";
  text: string;
  value: Num;
  low: Num;
  high: Num;
  holds: boolean;
}

export interface Candidate {
  dose: Num;
  interval: Num;
  unit: string;
  tablets: string;
  reward: Num;
  reward_low: Num;
  reward_high: Num;
  admissible: boolean;
  draws: number;
  terms: TermValue[] | null;
  fresh: TermValue[] | null;
}

export interface NextSample {
  time: Num;
  observable: string;
  changes_advice: Num;
  admissible_plan: Num;
  gain: Num;
}

export interface Driver {
  parameter: string;
  name: string;
  share: Num;
  interval: [Num, Num];
  direction: Num;
}

export interface Shift {
  way: "parameter" | "limit" | "weight";
  what: string;
  from: Num;
  to: Num;
  sd: Num;
  change: "looser" | "stricter" | null;
}

export interface Rival {
  text: string;
  reward: Num;
  difference: Num;
  probability_better: Num;
  admissible: boolean;
  parameters_moved_to_sd: Num;
  would_win_if: Shift[];
}

export interface Why {
  recommended: boolean;
  plan: string;
  reward: Num;
  probability_best: Num;
  terms: { id: string; goal: string; best: Num; runner_up: Num; difference: Num; interval: [Num, Num] }[];
  limits: { id: string; text: string; estimate: Num; bound: Num; allowed: Num; slack: Num; holds: boolean }[];
  drivers_of_difference: Driver[];
  drivers_of_tightest_limit: Driver[];
  data: { observable: string; time: Num; probability_of_change: Num; expected_gain: Num } | null;
  rivals: Rival[];
}

export interface Stop {
  until: Num;
  seen: number;
  forecast: Fan[];
  parameters: Parameter[];
  score: PersonScore;
  hash: string;
}

export interface Prior {
  source: string;
  method: string;
  people: number;
  converged: boolean;
  objective: Num;
  typical: Record<string, Num>;
  between_people_sd: Record<string, Num>;
  hash: string;
}

export interface Person {
  id: string;
  until: Num;
  seen: number;
  sealed: number;
  observed: Observed[];
  doses: { time: Num; amount: Num }[];
  prior: Prior;
  belief: Belief;
  forecast: Fan[];
  population_forecast: Fan[];
  score: PersonScore;
  proposal: Candidate | null;
  reason: string;
  binding?: string;
  runner_up?: Candidate | null;
  probability_best?: Num;
  next_sample?: NextSample[];
  why?: Why | null;
  candidates?: Candidate[];
  hashes: { prior: string; belief: string; turn: string };
  stops?: Stop[];
}

export interface Report {
  doppel: { version: string; arithmetic: string };
  command: string;
  kind: {
    id: string;
    title: string;
    question: string;
    intended_use: string;
    people: string;
    source: string;
    time_unit: string;
    hash: string;
  };
  record: { source: string; hash: string; subjects: number; own: boolean };
  seed: number;
  draws: number;
  levels: Num[];
  observables: Observable[];
  parameters: { id: string; name: string; unit: string }[];
  reward: Reward | null;
  summary: Summary;
  until: Num;
  patients: Person[];
  untils?: Num[];
  hashes: Record<string, string>;
}

/* null: the page is still the template. Throws when the text is no document of the form above. */
export function readReport(text: string): Report | null {
  const json = text.trim();
  if (!json.startsWith("{")) return null;
  const report = JSON.parse(json) as Partial<Report>;
  for (const key of ["kind", "summary", "patients", "observables", "levels"] as const)
    if (report[key] === undefined) throw new Error(`the document has no "${key}"`);
  return report as Report;
}

/* People in the order of the summary (worst first); whoever is not named there comes last, in record order. */
export function worstFirst(report: Report): Person[] {
  const rank = new Map(report.summary.worst_first.map((id, i) => [id, i]));
  const last = rank.size;
  return [...report.patients].sort((a, b) => (rank.get(a.id) ?? last) - (rank.get(b.id) ?? last));
}
