/* The slider and one card a person, worst first. */
import type { Observable, Parameter, Person, Report } from "../data";
import { worstFirst } from "../data";
import { dotsOf, insideCount, mainStop, scaleOf, type Scale, turnAt } from "../fan";
import { regimen } from "../advice";
import { count, inBrackets, isNum, NONE, plain, sig, withUnit } from "../numbers";
import { stop } from "../state";
import { Advice } from "./advice_view";
import { Fold } from "./common";
import { Fan } from "./fan_chart";
import { ParameterView } from "./parameters";

export const anchor = (id: string): string => `person-${encodeURIComponent(id)}`;

function stopName(report: Report, k: number, short = false): string {
  const until = report.untils?.[k];
  if (!isNum(until)) return NONE;
  if (until < 0) return short ? "none" : "before any sample";
  return short ? plain(until) : `samples up to ${withUnit(plain(until), report.kind.time_unit)}`;
}

function Slider({ report }: { report: Report }) {
  const n = report.untils?.length ?? 0;
  const main = mainStop(report);
  if (n < 2) return null;
  const at = stop.value < 0 ? Math.max(0, main) : stop.value;
  const own = at === main;
  return (
    <div class="slider" role="group" aria-label="How much the twin had seen">
      <label for="until">Seen</label>
      <div class="track">
        <input id="until" type="range" min="0" max={n - 1} step="1" value={at} aria-valuetext={stopName(report, at)} onInput={(e) => (stop.value = Number((e.currentTarget as HTMLInputElement).value))} />
        <div class="marks" aria-hidden="true">
          {report.untils?.map((_, k) => (
            <span key={k} class={k === at ? "now" : ""} style={{ left: `calc(9px + (100% - 18px) * ${k / (n - 1)})` }}>{stopName(report, k, true)}</span>
          ))}
        </div>
      </div>
      <output for="until">
        {stopName(report, at)}
        {own ? " (as in this report)" : ""}
      </output>
    </div>
  );
}

function Key() {
  return (
    <ul class="legend key">
      <li><i class="sw sw-fan"><b /><b /><b /><b /></i>twin: median and 50, 80, 90, 95{"\u00a0"}% bands of a measurement</li>
      <li><i class="sw sw-pop" />population{"\u2019"}s forecast: median (dashes) and 90{"\u00a0"}% band (dots)</li>
      <li><i class="dot dot-seen" />measured and seen</li>
      <li><i class="dot dot-held" />held back</li>
      <li><i class="dot dot-out">{"\u00d7"}</i>held back, outside the 90{"\u00a0"}% band</li>
      <li><i class="tri" />dose</li>
      <li><i class="sw sw-range" />reference range</li>
    </ul>
  );
}

function adviceInShort(report: Report, p: Person): string {
  if (p.proposal) return regimen(p.proposal, report.kind.time_unit);
  return p.candidates ? "no recommendation" : NONE;
}

function Glance({ report, people }: { report: Report; people: Person[] }) {
  return (
    <div class="scroll">
      <table class="glance">
        <caption>Everybody at a glance, worst first. CRPS relative to the population{"\u2019"}s mean: 1 is what the population{"\u2019"}s forecast achieves on average.</caption>
        <thead>
          <tr>
            <th scope="col">Person</th><th scope="col" class="r">Seen</th><th scope="col" class="r">In the 90{"\u00a0"}% band</th>
            <th scope="col" class="r">Twin</th><th scope="col" class="r">Population</th><th scope="col" class="r">Last value</th>
            <th scope="col">Twin</th>{report.reward ? <th scope="col">Next regimen</th> : null}
          </tr>
        </thead>
        <tbody>
          {people.map((p) => {
            const t = turnAt(report, p, -1);
            const k = insideCount(t);
            const r = t.relative;
            const lost = isNum(r.twin) && isNum(r.population) && r.twin > r.population;
            return (
              <tr key={p.id} class={lost ? "lost" : ""}>
                <th scope="row"><a href={`#${anchor(p.id)}`}>{p.id}</a></th>
                <td class="r">{p.seen}</td><td class="r">{k.inside} of {k.of}</td>
                <td class="r">{sig(r.twin)}</td><td class="r">{sig(r.population)}</td><td class="r">{sig(r.last_value)}</td>
                <td>{lost ? "lost" : isNum(r.twin) && isNum(r.population) ? "won" : NONE}</td>
                {report.reward ? <td>{adviceInShort(report, p)}</td> : null}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function ScoreLine({ report, person }: { report: Report; person: Person }) {
  const t = turnAt(report, person, stop.value);
  const k = insideCount(t);
  const r = t.relative;
  if (k.of === 0) return <p class="score">No sample was left to score.</p>;
  const lost = isNum(r.twin) && isNum(r.population) && r.twin > r.population;
  return (
    <p class="score">
      <span><strong>{k.inside} of {k.of}</strong> held-back samples inside the 90{"\u00a0"}% band.</span>{" "}
      <span>
        CRPS relative to the population{"\u2019"}s mean: twin <strong>{sig(r.twin)}</strong>, population {sig(r.population)}, last value{" "}
        {sig(r.last_value)}.
      </span>{" "}
      {lost ? <strong class="lost-mark">Here the twin lost.</strong> : null}
    </p>
  );
}

function Parameters({ report, person }: { report: Report; person: Person }) {
  const at = stop.value;
  const own = at < 0 || at === mainStop(report);
  const main = person.belief.parameters;
  const now: Parameter[] = own ? main : (person.stops?.[at]?.parameters ?? main);
  return (
    <div class="parameters">
      <h4>Prior beside posterior</h4>
      <p class="note">Median and 90{"\u00a0"}% interval; <span class="k-prior">prior dashed</span>, <span class="k-posterior">posterior filled</span>.</p>
      <div class="parameter-grid">
        {now.map((p, i) => <ParameterView key={p.id} main={main[i] ?? p} now={p} />)}
      </div>
    </div>
  );
}

function Verdict({ person }: { person: Person }) {
  const b = person.belief;
  return (
    <p class={b.usable ? "verdict" : "verdict bad"}>
      <strong>Posterior {b.usable ? "usable" : "NOT usable"}</strong>
      {/^usable/.test(b.verdict) ? "" : ` (${b.verdict})`}: {b.method}, {count(b.samples_used, "sample")} used, effective sample size of the
      weighted proposals {sig(b.effective_draws)}, {b.draws} draws kept, k-hat {sig(b.khat, 2)}, posterior predictive check p = {sig(b.predictive_check_p, 2)}. Prior:{" "}
      {person.prior.source}
      {person.prior.converged || person.prior.method === "published" ? "" : "; its estimation did NOT converge"}.
    </p>
  );
}

function SampleTable({ report, person, observable }: { report: Report; person: Person; observable: Observable }) {
  const turn = turnAt(report, person, stop.value);
  const dots = dotsOf(person, turn, observable.id);
  const scores = turn.samples.filter((s) => s.observable === observable.id);
  const words = { seen: "seen", inside: "inside", outside: "OUTSIDE", unscored: "not scored" } as const;
  let next = 0;
  return (
    <table>
      <thead>
        <tr>
          <th scope="col" class="r">Time [{report.kind.time_unit}]</th><th scope="col" class="r">Measured{inBrackets(observable.unit)}</th><th scope="col">90{"\u00a0"}% band</th>
          <th scope="col" class="r">Median</th><th scope="col">Forecast band</th><th scope="col" class="r">CRPS twin</th><th scope="col" class="r">population</th><th scope="col" class="r">last value</th>
        </tr>
      </thead>
      <tbody>
        {dots.map((d, i) => {
          const s = d.kind === "inside" || d.kind === "outside" ? scores[next++] : undefined;
          return (
            <tr key={i}>
              <td class="r">{plain(d.time)}</td><td class="r">{d.censored ? "<\u202f" : ""}{plain(d.value)}</td><td>{words[d.kind]}</td>
              <td class="r">{sig(s?.quantiles[4])}</td><td>{s ? `${sig(s.quantiles[1])} to ${sig(s.quantiles[7])}` : NONE}</td>
              <td class="r">{sig(s?.crps.twin)}</td><td class="r">{sig(s?.crps.population)}</td><td class="r">{sig(s?.crps.last_value)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function doseText(report: Report, p: Person): string {
  const unit = report.reward?.unit ?? "";
  const given = p.doses.filter((d) => isNum(d.amount) && d.amount !== 0);
  const first = given[0];
  if (!first) return "no dose";
  const each = withUnit(plain(first.amount, 3), unit);
  if (given.length === 1) return `one dose of ${each} at ${withUnit(plain(first.time), report.kind.time_unit)}`;
  return `${given.length} doses, the first ${each}`;
}

function Card({ report, person, rank, scales }: { report: Report; person: Person; rank: number; scales: Map<string, Scale> }) {
  const shown = report.observables.filter((o) => person.forecast.some((f) => f.observable === o.id));
  const moved = stop.value >= 0 && stop.value !== mainStop(report);
  return (
    <article class="card" id={anchor(person.id)} aria-label={`Person ${person.id}`}>
      <h3>Person {person.id} <span class="rank">{rank + 1} of {report.patients.length}</span></h3>
      <p class="note">{doseText(report, person)}; {count(person.seen, "sample")} seen, {person.sealed} held back</p>
      <ScoreLine report={report} person={person} />
      <div class="body">
        <div class="fans">
          {shown.map((o) => <Fan key={o.id} report={report} person={person} observable={o} scale={scales.get(o.id) as Scale} />)}
        </div>
        <Parameters report={report} person={person} />
      </div>
      {shown.map((o) => (
        <Fold key={o.id} title={`Samples as a table: ${o.name}`}>{() => <SampleTable report={report} person={person} observable={o} />}</Fold>
      ))}
      {moved ? <p class="note moved">What follows is as of the report: {stopName(report, mainStop(report))}.</p> : null}
      <Verdict person={person} />
      {person.candidates ? <Advice report={report} person={person} /> : <p class="reason">No advice: {person.reason}.</p>}
    </article>
  );
}

export function People({ report }: { report: Report }) {
  const people = worstFirst(report);
  const scales = new Map(report.observables.map((o) => [o.id, scaleOf(report, o.id)]));
  const cut = [...scales.values()].some((s) => s.cutsBelowZero);
  return (
    <section aria-labelledby="people">
      <h2 id="people">Person by person</h2>
      <Glance report={report} people={people} />
      <p>
        The slider chooses how much each twin had seen. It changes the charts, the score line and the parameters of every person; the answers
        above and the advice stay those of {withUnit(plain(report.until), report.kind.time_unit)}. All charts of an observable share one scale.
        {cut ? " Charts begin at zero: the part of a band below zero, which an additive error allows, is not drawn." : ""}
      </p>
      <Key />
      <Slider report={report} />
      {people.map((p, i) => <Card key={p.id} report={report} person={p} rank={i} scales={scales} />)}
    </section>
  );
}
