/* Title and the answers a sceptic asks for, in the order they are asked. */
import type { Report, Score } from "../data";
import { capital, count, isNum, NONE, percent, plain, sig, withUnit } from "../numbers";
import { countSamples, enoughPeople, errorRows, scoresWithSamples, verdictOfCoverage, verdictOfSkill, whereFrom } from "../summary";
import { linear } from "./common";

const WHO = ["Twin", "Population\u2019s forecast", "Last value carried forward"] as const;

export function Head({ report }: { report: Report }) {
  return (
    <header>
      <p class="over">Doppel report: {report.kind.id}</p>
      <h1>{report.kind.title}</h1>
      <p class="question">{report.kind.question}</p>
      <p class="banner">
        <strong>Research use. Nobody was treated.</strong> {report.kind.intended_use}
      </p>
    </header>
  );
}

const nameOf = (report: Report, id: string): string => capital(report.observables.find((o) => o.id === id)?.name ?? id);

/* The share inside the 90 % band with its interval, on a line from 50 to 100 %. */
function CoverageLine({ score, enough }: { score: Score; enough: boolean }) {
  const x = linear(0.4, 1, 8, 232);
  const [low, high] = score.coverage_90_interval;
  const at = (v: number): number => x(Math.max(0.4, Math.min(1, v)));
  return (
    <svg class="mini" width="240" height="34" viewBox="0 0 240 34" role="img" aria-label={`${percent(score.coverage_90)} observed, 90 % expected`}>
      <line x1={x(0.4)} x2={x(1)} y1="20" y2="20" class="axis" />
      {[0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1].map((t) => (
        <g key={t}>
          <line x1={x(t)} x2={x(t)} y1="17" y2="23" class="axis" />
          {[0.5, 0.7, 0.9].includes(t) ? <text x={x(t)} y="33" text-anchor="middle">{`${Math.round(100 * t)} %`}</text> : null}
        </g>
      ))}
      <line x1={x(0.9)} x2={x(0.9)} y1="2" y2="24" class="target" />
      {enough && isNum(low) && isNum(high) ? <line x1={at(low)} x2={at(high)} y1="10" y2="10" class="interval" /> : null}
      {isNum(score.coverage_90) ? <circle cx={at(score.coverage_90)} cy="10" r="4.5" class="estimate" /> : null}
    </svg>
  );
}

function Honest({ report }: { report: Report }) {
  const say = {
    "as expected": "The interval contains 90 %.",
    "too few": "The interval lies below 90 %: the bands were too narrow.",
    "too many": "The interval lies above 90 %: the bands were wider than needed.",
    unclear: "There are too few people for an interval.",
  } as const;
  const enough = enoughPeople(report);
  return (
    <>
      {scoresWithSamples(report).map((s) => (
        <div class="pair" key={s.observable}>
          <p>
            {nameOf(report, s.observable)}: <strong>{s.inside_50_80_90_95[2]} of {s.samples}</strong> sealed samples ({percent(s.coverage_90)}) fell inside
            the 90{"\u00a0"}% band; <strong>{plain(Math.round(9 * s.samples) / 10)}</strong> should have.{" "}
            {enough ? `Resampling people gives ${percent(s.coverage_90_interval[0])} to ${percent(s.coverage_90_interval[1])}. ` : ""}
            {say[verdictOfCoverage(s, enough)]} The population{"\u2019"}s
            90{"\u00a0"}% band, without any sample of the person, held {s.inside_population_90}.
          </p>
          <CoverageLine score={s} enough={enough} />
        </div>
      ))}
    </>
  );
}

/* A skill as a reader says it: 0.2 is "20 % lower". */
const lower = (k: number): string => (Math.round(100 * k) === 0 ? "equal" : `${percent(Math.abs(k))} ${k > 0 ? "lower" : "higher"}`);

function skillSentence(report: Report, s: Score): string {
  const name = nameOf(report, s.observable);
  const k = s.skill;
  if (!isNum(k)) return `${name}: no comparison was possible.`;
  const [a, b] = s.skill_interval;
  const enough = enoughPeople(report);
  const interval = enough && isNum(a) && isNum(b) ? ` (${lower(a)} to ${lower(b)} when people are resampled)` : "";
  const judged = {
    better: "The twin is better than the population\u2019s forecast.",
    worse: "The twin is worse than the population\u2019s forecast.",
    unclear: "These data do not settle whether the twin is better than the population\u2019s forecast.",
  }[verdictOfSkill(s, enough)];
  const last = s.crps.last_value;
  const carried = isNum(last) && isNum(s.crps.twin) && s.crps.twin >= last ? " Carrying the last value forward did no worse than the twin." : "";
  return `${name}: mean CRPS ${lower(k)} ${Math.round(100 * k) === 0 ? "to" : "than"} the population\u2019s forecast${interval}. ${judged}${carried}`;
}

function Errors({ report }: { report: Report }) {
  const rows = errorRows(report);
  return (
    <div class="scroll">
      <table class="errors">
        <caption>Mean error over the sealed samples; shorter is better</caption>
        <thead>
          <tr>
            <th scope="col">Of</th>
            {WHO.map((w) => <th scope="col" key={w}>{w}</th>)}
          </tr>
        </thead>
        <tbody>
          {rows.map((r) => {
            const most = Math.max(...r.values.map((v) => v ?? 0)) || 1;
            return (
              <tr key={r.observable + r.what}>
                <th scope="row">{capital(r.name)}<span class="sub">{r.what}</span></th>
                {r.values.map((v, k) => (
                  <td key={k} class="barred">
                    <span class={`bar bar-${k}`} style={{ width: `${(100 * (v ?? 0)) / most}%` }} />
                    <span class={k === r.best ? "num best" : "num"}>{v === null ? NONE : withUnit(sig(v), r.unit)}</span>
                  </td>
                ))}
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Lost({ report }: { report: Report }) {
  const s = report.summary;
  const lost = report.summary.worst_first.slice(0, s.twin_lost);
  const who = lost.length > 0 && lost.length <= 12 ? ` (${lost.length === 1 ? "person" : "people"} ${lost.join(", ")}, first below)` : "";
  return (
    <>
      <p>
        In <strong>{s.twin_lost} of {s.people}</strong> {s.people === 1 ? "person" : "people"} the twin{"\u2019"}s CRPS was higher than that of the
        population{"\u2019"}s forecast{who}; it was lower in {s.twin_won}. In {s.twin_lost_to_last_value} of {s.people} it was higher than
        that of the last value carried forward.
      </p>
    </>
  );
}

function Advised({ report }: { report: Report }) {
  const s = report.summary;
  if (!report.reward) return <p>This kind has no reward: nothing is recommended.</p>;
  if (report.patients.every((p) => !p.candidates)) return <p>Deciding was not asked for.</p>;
  const none = s.people - s.with_recommendation;
  return (
    <p>
      <strong>{s.with_recommendation} of {s.people}</strong> {s.people === 1 ? "person" : "people"} got a {report.reward.form} of {report.reward.name} whose
      limits all hold at the {percent(report.reward.confidence)} confidence bound, on the draws of the search and again on fresh draws.
      {none > 0 ? ` For the other ${none} the answer is \u201cno recommendation\u201d, each with its reason and the nearest miss.` : ""} {report.reward.note}
    </p>
  );
}

function PriorText({ report }: { report: Report }) {
  const w = whereFrom(report);
  const many = w.sources.length > 1;
  return (
    <>
      {w.sources.slice(0, 4).map((s) => (
        <p key={s.text}>
          <strong>{s.text}</strong>
          {many ? ` (${count(s.people, "person", "people")})` : ""}
        </p>
      ))}
      {w.sources.length > 4 ? <p>and {w.sources.length - 4} further sources, named with each person.</p> : null}
      <p>
        {w.leaveOneOut
          ? "Estimated anew for each person under test from the others; nothing of the person under test is in it."
          : w.published
            ? "Published or nominal values of the kind, not estimated here."
            : "For some people a published prior was used, for the others one estimated without them."}
        {w.notConverged.length > 0 ? ` The estimation did not converge for ${w.notConverged.join(", ")}.` : ""}
      </p>
    </>
  );
}

export function Answers({ report }: { report: Report }) {
  const n = countSamples(report);
  const until = withUnit(plain(report.until), report.kind.time_unit);
  return (
    <section aria-labelledby="answers">
      <h2 id="answers">What a sceptic asks first</h2>
      <dl class="answers">
        <dt>Who were these people?</dt>
        <dd>
          {report.record.own ? (
            <p>{report.kind.people}</p>
          ) : (
            <p>
              {count(n.people, "person", "people")} of {report.record.source}, a record that came with this run. The kind was made from other
              people: {report.kind.people}
            </p>
          )}
          <p class="source">{report.kind.source}</p>
        </dd>
        <dt>What did Doppel see?</dt>
        <dd>
          <p>
            For {count(n.people, "person", "people")}: doses, covariates and the <strong>{count(n.seen, "sample")}</strong> up to {until}. The{" "}
            <strong>{n.sealed} later</strong> ones stayed sealed until the forecast was made, then they were opened and scored
            {n.scored < n.sealed ? ` (${n.scored}; the others are below quantification and have no number to score)` : ""}.
          </p>
        </dd>
        <dt>Where did the prior come from?</dt>
        <dd><PriorText report={report} /></dd>
        <dt>Were the bands honest?</dt>
        <dd><Honest report={report} /></dd>
        <dt>Is it better than no twin?</dt>
        <dd>
          {scoresWithSamples(report).map((s) => <p key={s.observable}>{skillSentence(report, s)}</p>)}
          <Errors report={report} />
          <p class="note">
            CRPS: distance between the whole forecast distribution and the measured value, in its unit; for a single number it is the absolute
            error. The mean absolute error is that of the forecast{"\u2019"}s median. The last value exists only where one was seen before.
          </p>
        </dd>
        <dt>Where did the twin lose?</dt>
        <dd><Lost report={report} /></dd>
        <dt>Was anything recommended?</dt>
        <dd><Advised report={report} /></dd>
      </dl>
    </section>
  );
}
