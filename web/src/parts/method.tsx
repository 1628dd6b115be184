/* How to run it on other data, how this report was made, what was done in plain words, and what limits it. */
import type { Num, Report } from "../data";
import { worstFirst } from "../data";
import { count, percent, plain, withUnit } from "../numbers";
import { Fold } from "./common";

function OwnData({ report }: { report: Report }) {
  const k = report.kind;
  const dvid = report.observables.length > 1 ? ` (DVID: ${report.observables.map((o) => o.id).join(" or ")})` : "";
  return (
    <section aria-labelledby="own">
      <h2 id="own">On your own data</h2>
      <pre><code>doppel run {k.id} --patient your.csv --until {plain(report.until)}</code></pre>
      <p>
        One event table, one row an event: <code>ID, TIME, AMT, DV, EVID</code> (0 sample, 1 dose) and where needed <code>CMT</code>,{" "}
        <code>DVID</code>{dvid}, <code>RATE, II, ADDL, SS, MDV, CENS, LIMIT</code>; further columns are covariates. Time in {k.time_unit}.{" "}
        <code>doppel twin show {k.id}</code> lists the covariates and units that this kind expects.
      </p>
    </section>
  );
}

function Hashes({ report }: { report: Report }) {
  return (
    <table>
      <thead><tr><th scope="col">Of</th><th scope="col">SHA-256</th></tr></thead>
      <tbody>
        {Object.entries(report.hashes).map(([k, v]) => <tr key={k}><th scope="row">{k}</th><td><code>{v}</code></td></tr>)}
        {worstFirst(report).map((p) => <tr key={p.id}><th scope="row">turn of person {p.id}</th><td><code>{p.hashes.turn}</code></td></tr>)}
      </tbody>
    </table>
  );
}

function Made({ report }: { report: Report }) {
  const short = (h: string | undefined): string => (h ?? "").slice(0, 16);
  const rows: [string, string][] = [
    ["Command", report.command],
    ["Doppel", `version ${report.doppel.version}, arithmetic ${report.doppel.arithmetic}`],
    ["Record", `${report.record.source}, ${count(report.record.subjects, "person", "people")}`],
    ["Random streams", `seed ${report.seed}, ${report.draws} posterior draws a person`],
    ["Hashes", ["kind", "model", "data", "study"].map((k) => `${k} ${short(report.hashes[k])}`).join(", ")],
  ];
  return (
    <>
      <dl class="made">
        {rows.map(([k, v]) => [<dt key={k}>{k}</dt>, <dd key={`${k}.`}><code>{v}</code></dd>])}
      </dl>
      <p class="note">The same command with the same build and arithmetic gives the same numbers, bit for bit; the hashes say whether it did.</p>
      <Fold title="All hashes in full">{() => <Hashes report={report} />}</Fold>
    </>
  );
}

function smallestPrior(report: Report): number {
  return Math.min(...report.patients.map((p) => (p.prior.method === "published" ? Infinity : p.prior.people)));
}

/* What is rehearsed: tablets at steady state, or doses at given times. */
function planned(report: Report): string {
  const r = report.reward;
  if (!r) return "";
  const list = (x: Num[]) => x.map((s) => plain(s)).join(", ");
  const doses = r.strengths.length ? ` from what exists (${list(r.strengths)} ${r.unit})` : "";
  const every = r.intervals.length ? `, every ${list(r.intervals)} ${report.kind.time_unit}` : "";
  return r.form === "course"
    ? `Courses of doses${doses} at given times from now on are rehearsed on every draw, each from the state that this draw is in now.`
    : `Regimens of doses${doses}${every} are rehearsed at steady state on every draw.`;
}

function Steps({ report }: { report: Report }) {
  const r = report.reward;
  const methods = [...new Set(report.patients.map((p) => p.prior.method))].join(", ");
  const beliefs = [...new Set(report.patients.map((p) => p.belief.method))].join(", ");
  return (
    <ol class="steps">
      <li><strong>Prior.</strong> A nonlinear mixed-effects model gives typical parameters and their spread between people; {methods === "published" ? "its values are published ones" : `estimated by maximum marginal likelihood (${methods})`}.</li>
      <li><strong>Posterior.</strong> The samples up to {withUnit(plain(report.until), report.kind.time_unit)} of one person update that law ({beliefs}); the effective number of draws and the k-hat of the importance weights say whether the draws can be trusted.</li>
      <li><strong>Forecast.</strong> Every draw is simulated under the doses of the record; residual error is added, so the bands are about a measurement and not about its mean.</li>
      <li><strong>Score.</strong> Then the sealed samples are opened. The opponents are the prior{"\u2019"}s forecast with the same error model and the last seen value carried forward. Intervals over people come from resampling whole persons.</li>
      {r ? (
        <li>
          <strong>Plan.</strong> {planned(report)} A limit holds when its one-sided {percent(r.confidence)} Clopper{"\u2013"}Pearson bound holds, with the effective number of draws; residual error {r.residual_error_counts ? "counts" : "does not count"}. Among what is left the
          highest expected reward wins and is scored again on fresh draws.{r.approver ? ` Approval would lie with the ${r.approver}.` : ""}
        </li>
      ) : null}
      {r ? <li><strong>Next sample.</strong> Results that later samples might give are drawn from the forecast; each reweights the draws, and the advice is looked for again.</li> : null}
    </ol>
  );
}

function Limits({ report }: { report: Report }) {
  const n = smallestPrior(report);
  return (
    <ul>
      <li>Additive measurement error lets a forecast band reach below zero, where no measurement can lie.</li>
      <li>Samples of one person depend on each other: {report.summary.people} people carry the evidence, not the number of samples.</li>
      {Number.isFinite(n) ? <li>A prior from {count(n, "person", "people")} is uncertain itself, above all in how much people differ.</li> : null}
      <li>The model is taken as true unless a discrepancy term was switched on; bands can then be too narrow in ways the people here do not show.</li>
      <li>What happens after other doses than the given ones was not observed: the advice is a consequence of the model, and no sample here tests it.</li>
    </ul>
  );
}

export function Method({ report }: { report: Report }) {
  return (
    <>
      <OwnData report={report} />
      <section aria-labelledby="made">
        <h2 id="made">How this report was made</h2>
        <Made report={report} />
        <h3>Method</h3>
        <Steps report={report} />
        <h3>Limits of the method</h3>
        <Limits report={report} />
      </section>
    </>
  );
}
