/* The proposal (or why there is none), what stood beside it, the map of all candidates, and what a next sample would do. */
import { candidateMap, decidingBound, easiest, type MapCell, mostTelling, probabilityOf, regimen, shiftText, termValue } from "../advice";
import type { Candidate, Driver, NextSample, Person, Report, Reward, Rival, TermValue, Why } from "../data";
import { capital, count, isNum, percent, plain, pretty, sig, ticks, withUnit } from "../numbers";
import { Fold, linear, path } from "./common";

function Bounded({ term, reward }: { term: TermValue | undefined; reward: Reward | null }) {
  if (!term) return <td class="none">{"\u2013"}</td>;
  const limit = probabilityOf(reward, term.id);
  if (!limit)
    return (
      <td>
        {termValue(term, term.value)} <span class="bound">({termValue(term, term.low)} to {termValue(term, term.high)})</span>
      </td>
    );
  return (
    <td class={term.holds ? "holds" : "fails"}>
      {termValue(term, term.value)} <span class="bound">(bound {termValue(term, decidingBound(term, limit))})</span>{" "}
      <span class="mark">{term.holds ? "\u2713\u00a0holds" : "\u2717\u00a0fails"}</span>
    </td>
  );
}

interface Column {
  title: string;
  sub: string;
  terms: TermValue[];
}

function columnsOf(report: Report, person: Person): Column[] {
  const unit = report.kind.time_unit;
  const out: Column[] = [];
  const add = (title: string, c: Candidate | null | undefined, terms: TermValue[] | null | undefined): void => {
    if (c && terms) out.push({ title, sub: regimen(c, unit), terms });
  };
  add("Proposed", person.proposal, person.proposal?.terms);
  add("Again, on fresh draws", person.proposal, person.proposal?.fresh);
  add(person.proposal ? "Runner-up" : "Nearest miss", person.runner_up, person.runner_up?.terms);
  return out;
}

function TermTable({ report, person }: { report: Report; person: Person }) {
  const columns = columnsOf(report, person);
  const rows = columns[0]?.terms ?? [];
  if (columns.length === 0) return null;
  return (
    <div class="scroll">
      <table class="terms">
        <thead>
          <tr>
            <th scope="col">{report.reward?.form === "course" ? "Over the course" : "At steady state"}</th>
            {columns.map((c) => <th scope="col" key={c.title}>{c.title}<span class="sub">{c.sub}</span></th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => (
            <tr key={r.id}>
              <th scope="row">{pretty(r.text)}<span class="sub">{r.goal === "limit" ? "limit" : "reward, as large as possible"}</span></th>
              {columns.map((c) => <Bounded key={c.title} term={c.terms.find((t) => t.id === r.id)} reward={report.reward} />)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/* ---- the map ---- */

const CELL_H = 26;

function cellTitle(c: Candidate, unit: string): string {
  const terms = (c.terms ?? []).map((t) => `${pretty(t.text)}: ${termValue(t, t.value)}${t.goal === "limit" ? (t.holds ? ", holds" : ", fails") : ""}`);
  return [regimen(c, unit), ...terms].join("\n");
}

function Cell({ cell, x, w, unit, chosen, second }: { cell: MapCell; x: number; w: number; unit: string; chosen: boolean; second: boolean }) {
  const y = cell.row * CELL_H;
  const good = cell.state === "admissible";
  return (
    <g>
      <title>{cellTitle(cell.candidate, unit)}</title>
      <rect x={x + 1} y={y + 1} width={w - 2} height={CELL_H - 2} class={good ? "cell-good" : `cell-fail cell-fail-${cell.pattern?.tone ?? 3}`} style={good ? { opacity: 0.4 + 0.6 * cell.share } : {}} />
      {!good && w >= 16 ? <text x={x + w / 2} y={y + CELL_H / 2 + 4} text-anchor="middle" class="cell-letter">{cell.pattern?.letter}</text> : null}
      {chosen || second ? <rect x={x + 2.5} y={y + 2.5} width={w - 5} height={CELL_H - 5} class={chosen ? "cell-chosen" : "cell-second"} /> : null}
    </g>
  );
}

const sameRegimen = (a: Candidate, b: Candidate | null | undefined): boolean => !!b && a.dose === b.dose && a.interval === b.interval;

function CandidateMapView({ report, person }: { report: Report; person: Person }) {
  const list = person.candidates ?? [];
  if (list.length === 0) return null;
  const map = candidateMap(list, report.reward);
  const unit = report.kind.time_unit;
  const left = 44;
  const w = Math.max(6, Math.min(38, Math.floor(400 / map.doses.length)));
  const width = left + w * map.doses.length + 8;
  const height = CELL_H * map.intervals.length + 40;
  const step = Math.max(1, Math.ceil(30 / w));
  const admissible = map.cells.filter((c) => c.state === "admissible").length;
  const name = (id: string): string => pretty(report.reward?.terms.find((t) => t.id === id)?.text ?? id);
  return (
    <figure class="map">
      <figcaption>All {count(list.length, "plan")} looked at: {admissible || "none"} admissible</figcaption>
      <svg width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img" aria-label={`Map of ${list.length} plans by dose and interval; ${admissible} are admissible`}>
        {map.cells.map((c) => (
          <Cell key={`${c.row} ${c.column}`} cell={c} x={left + c.column * w} w={w} unit={unit} chosen={sameRegimen(c.candidate, person.proposal)} second={sameRegimen(c.candidate, person.runner_up)} />
        ))}
        {map.intervals.map((t, i) => <text key={t} x={left - 6} y={i * CELL_H + CELL_H / 2 + 4} text-anchor="end">{plain(t)} {unit}</text>)}
        {map.doses.map((d, i) => (i % step === 0 ? <text key={d} x={left + i * w + w / 2} y={height - 25} text-anchor="middle">{plain(d)}</text> : null))}
        <text x={left + (w * map.doses.length) / 2} y={height - 7} text-anchor="middle">dose [{list[0]?.unit}]; rows: interval</text>
      </svg>
      <ul class="legend">
        {admissible > 0 ? <li><i class="sw cell-good" />admissible (darker: higher reward)</li> : null}
        {map.patterns.map((p) => (
          <li key={p.letter}><i class={`sw cell-fail cell-fail-${p.tone}`}>{p.letter}</i>{p.failing.length ? `misses ${p.failing.map(name).join(" and ")}` : "not admitted"}</li>
        ))}
        {person.proposal ? <li><i class="sw sw-chosen" />proposed</li> : null}
        {person.runner_up ? <li><i class="sw sw-second" />{person.proposal ? "runner-up" : "nearest miss"}</li> : null}
      </ul>
      <Fold title="All plans as a table">{() => <CandidateTable report={report} list={list} />}</Fold>
    </figure>
  );
}

function CandidateTable({ report, list }: { report: Report; list: Candidate[] }) {
  const terms = report.reward?.terms ?? [];
  return (
    <table>
      <thead><tr><th scope="col">Plan</th>{terms.map((t) => <th scope="col" key={t.id}>{pretty(t.text)}</th>)}<th scope="col">Admissible</th></tr></thead>
      <tbody>
        {list.map((c) => (
          <tr key={`${c.dose} ${c.interval}`}>
            <th scope="row">{regimen(c, report.kind.time_unit)}</th>
            {terms.map((t) => <Bounded key={t.id} term={c.terms?.find((x) => x.id === t.id)} reward={report.reward} />)}
            <td>{c.admissible ? "yes" : "no"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/* ---- the next sample ---- */

/* Without a recommendation now, another advice and an admissible plan are the same event. */
const sameCurves = (next: NextSample[]): boolean => next.every((n) => n.changes_advice === n.admissible_plan);

function NextChart({ next, timeUnit }: { next: NextSample[]; timeUnit: string }) {
  const W = 300;
  const H = 150;
  const times = next.map((n) => n.time).filter(isNum);
  const low = Math.min(...times);
  const high = Math.max(...times);
  const pad = 0.06 * (high - low || 1);
  const x = linear(low - pad, high + pad, 44, W - 10);
  const y = linear(0, 1, H - 40, 8);
  const line = (f: (n: NextSample) => number | null): ([number, number] | null)[] =>
    next.map((n) => {
      const v = f(n);
      return isNum(n.time) && isNum(v) ? [x(n.time), y(v)] : null;
    });
  const change = line((n) => n.changes_advice);
  const plan = sameCurves(next) ? [] : line((n) => n.admissible_plan);
  return (
    <svg class="plot" width={W} height={H} viewBox={`0 0 ${W} ${H}`} role="img" aria-label="Probability that a sample at a later time changes the advice, and that a plan is then admissible">
      {[0, 0.5, 1].map((t) => (
        <g key={t}>
          <line x1="44" x2={W - 10} y1={y(t)} y2={y(t)} class="grid" />
          <text x="38" y={y(t) + 4} text-anchor="end">{Math.round(100 * t)} %</text>
        </g>
      ))}
      {ticks(low - pad, high + pad, 6).map((t) => <text key={t} x={x(t)} y={H - 23} text-anchor="middle">{plain(t)}</text>)}
      <text x={(44 + W - 10) / 2} y={H - 6} text-anchor="middle">time of that sample [{timeUnit}]</text>
      <path d={path(plan)} class="line-plan" />
      {plan.map((p, i) => (p ? <rect key={i} x={p[0] - 3.5} y={p[1] - 3.5} width="7" height="7" class="dot-plan" /> : null))}
      <path d={path(change)} class="line-change" />
      {change.map((p, i) => (p ? <circle key={i} cx={p[0]} cy={p[1]} r="4" class="dot-change" /> : null))}
    </svg>
  );
}

function NextSamples({ report, person }: { report: Report; person: Person }) {
  const next = person.next_sample ?? [];
  if (next.length === 0) return null;
  const unit = report.kind.time_unit;
  const best = mostTelling(next);
  const name = report.observables.find((o) => o.id === next[0]?.observable)?.name ?? "";
  return (
    <figure class="next">
      <figcaption>Which next sample would change this?</figcaption>
      <p>
        {best
          ? `Of the times looked at, ${withUnit(plain(best.time), unit)} would change the advice most often: with probability ${percent(best.changes_advice)}.`
          : "None of the samples looked at would change the advice."}{" "}
        Sampled: {name}.
      </p>
      <NextChart next={next} timeUnit={unit} />
      <ul class="legend">
        <li><i class="sw sw-change" />the advice would change{sameCurves(next) ? ": some plan would be admissible" : ""}</li>
        {sameCurves(next) ? null : <li><i class="sw sw-plan" />some plan would be admissible</li>}
      </ul>
      <Fold title="Next samples as a table">
        {() => (
          <table>
            <thead><tr><th scope="col">Time</th><th scope="col">Advice changes</th><th scope="col">A plan is admissible</th><th scope="col">Expected gain in reward</th></tr></thead>
            <tbody>
              {next.map((n) => (
                <tr key={n.time}><th scope="row">{withUnit(plain(n.time), unit)}</th><td>{percent(n.changes_advice)}</td><td>{percent(n.admissible_plan)}</td><td>{sig(n.gain, 2)}</td></tr>
              ))}
            </tbody>
          </table>
        )}
      </Fold>
    </figure>
  );
}

/* ---- why ---- */

function Drivers({ title, list }: { title: string; list: Driver[] }) {
  const shown = list.filter((d, i) => i === 0 || (isNum(d.share) && d.share >= 0.02));
  if (shown.length === 0) return null;
  return (
    <>
      <p>{title}</p>
      <ul>
        {shown.map((d) => (
          <li key={d.parameter}>
            {d.name}: {percent(d.share)} of the variance ({percent(d.interval[0])} to {percent(d.interval[1])}); {isNum(d.direction) && d.direction > 0 ? "rises" : "falls"} with it
          </li>
        ))}
      </ul>
    </>
  );
}

function RivalItem({ rival }: { rival: Rival }) {
  const ways = easiest(rival.would_win_if).map(shiftText);
  const none = isNum(rival.parameters_moved_to_sd) ? `no one parameter within ${sig(rival.parameters_moved_to_sd, 2)} sd` : "nothing that was tried";
  return (
    <li>
      {rival.text}{rival.admissible ? "" : " (misses a limit)"}: {ways.length ? ways.join(", or ") : none}
    </li>
  );
}

function WhyView({ why }: { why: Why }) {
  const limit = why.limits[0];
  return (
    <Fold title={why.recommended ? "Why this one, and what would have to be true for another to win" : "What would have to be true for a plan to be safe enough"}>
      {() => (
        <div class="why">
          {limit ? (
            <p>
              Tightest limit: {pretty(limit.text)}: estimate {percent(limit.estimate, 1)}, bound {percent(limit.bound, 1)}, {limit.holds ? "room left" : "missed by"} {percent(isNum(limit.slack) ? Math.abs(limit.slack) : null, 1)}.
            </p>
          ) : null}
          <Drivers title="The difference in reward to the runner-up hangs on" list={why.drivers_of_difference} />
          <Drivers title="What the tightest limit is about hangs on" list={why.drivers_of_tightest_limit} />
          {why.rivals.length ? (
            <>
              <p>Another plan would {why.recommended ? "win" : "be safe enough"} with</p>
              <ul>{why.rivals.map((r) => <RivalItem key={r.text} rival={r} />)}</ul>
            </>
          ) : null}
        </div>
      )}
    </Fold>
  );
}

export function Advice({ report, person }: { report: Report; person: Person }) {
  const c = person.proposal;
  const unit = report.kind.time_unit;
  const reason = pretty(c ? capital(person.reason) : person.reason.replace(/^no recommendation, because /, "Because "));
  return (
    <div class="advice">
      <h4>{c ? `Proposed: ${regimen(c, unit)}` : "No recommendation"}</h4>
      <p class="reason">{reason}.</p>
      {c && isNum(person.probability_best) ? (
        <p>
          Probability that it has the highest reward among the admissible plans: {percent(person.probability_best)}.
          {person.binding ? ` The limit nearest to failing: ${pretty(person.binding)}.` : ""}
        </p>
      ) : null}
      <TermTable report={report} person={person} />
      <div class="advice-plots">
        <CandidateMapView report={report} person={person} />
        <NextSamples report={report} person={person} />
      </div>
      {person.why ? <WhyView why={person.why} /> : null}
    </div>
  );
}
