/* Reliability of all forecasts together: coverage curve and PIT histogram of each observable. */
import type { Report, Score } from "../data";
import { capital, count, percent, plain, ticks } from "../numbers";
import { coveragePoints, pitBars, scoresWithSamples, shareScatter } from "../summary";
import { Fold, linear, path } from "./common";

const W = 300;
const H = 268;
const LEFT = 46;
const RIGHT = W - 10;
const TOP = 10;
const BOTTOM = H - 42;

function CoverageCurve({ score, name }: { score: Score; name: string }) {
  const r = score.reliability;
  const x = linear(0, 1, LEFT, RIGHT);
  const y = linear(0, 1, BOTTOM, TOP);
  const points = coveragePoints(r.nominal, r.observed);
  const grid = [0, 0.25, 0.5, 0.75, 1];
  const dense = Array.from({ length: 41 }, (_, i) => i / 40);
  const upper = dense.map((p): [number, number] => [x(p), y(Math.min(1, p + shareScatter(p, r.samples)))]);
  const lower = dense.map((p): [number, number] => [x(p), y(Math.max(0, p - shareScatter(p, r.samples)))]).reverse();
  return (
    <svg class="plot" width={W} height={H} viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Coverage of ${name}: nominal against observed share inside central bands`}>
      {grid.map((g) => (
        <g key={g}>
          <line x1={x(g)} x2={x(g)} y1={TOP} y2={BOTTOM} class="grid" />
          <line x1={LEFT} x2={RIGHT} y1={y(g)} y2={y(g)} class="grid" />
          <text x={x(g)} y={BOTTOM + 16} text-anchor="middle">{Math.round(100 * g)}</text>
          <text x={LEFT - 6} y={y(g) + 4} text-anchor="end">{Math.round(100 * g)}</text>
        </g>
      ))}
      <path d={`${path([...upper, ...lower])}Z`} class="scatter" />
      <line x1={x(0)} y1={y(0)} x2={x(1)} y2={y(1)} class="diagonal" />
      <path d={path(points.map(([a, b]) => [x(a), y(b)] as const))} class="curve" />
      {points.slice(1, -1).map(([a, b]) => <circle key={a} cx={x(a)} cy={y(b)} r="2.6" class="estimate" />)}
      <text x={(LEFT + RIGHT) / 2} y={H - 6} text-anchor="middle">nominal band [%]</text>
      <text transform={`translate(12 ${(TOP + BOTTOM) / 2}) rotate(-90)`} text-anchor="middle">samples inside [%]</text>
    </svg>
  );
}

function PitHistogram({ score, name }: { score: Score; name: string }) {
  const p = pitBars(score.reliability.pit_counts);
  const most = Math.max(p.high, ...p.bars.map((b) => b.count)) * 1.08 || 1;
  const x = linear(0, 1, LEFT, RIGHT);
  const y = linear(0, most, BOTTOM, TOP);
  return (
    <svg class="plot" width={W} height={H} viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`Histogram of PIT values of ${name}; level when the forecasts are honest`}>
      {ticks(0, most, 5).map((t) => (
        <g key={t}>
          <line x1={LEFT} x2={RIGHT} y1={y(t)} y2={y(t)} class="grid" />
          <text x={LEFT - 6} y={y(t) + 4} text-anchor="end">{plain(t)}</text>
        </g>
      ))}
      <rect x={LEFT} width={RIGHT - LEFT} y={y(p.high)} height={y(p.low) - y(p.high)} class="scatter" />
      {p.bars.map((b) => (
        <rect key={b.low} x={x(b.low) + 1} width={x(b.high) - x(b.low) - 2} y={y(b.count)} height={Math.max(0, BOTTOM - y(b.count))} class="bar-pit">
          <title>{`${plain(b.low)} to ${plain(b.high)}: ${b.count}`}</title>
        </rect>
      ))}
      <line x1={LEFT} x2={RIGHT} y1={y(p.expected)} y2={y(p.expected)} class="diagonal" />
      {[0, 0.25, 0.5, 0.75, 1].map((t) => <text key={t} x={x(t)} y={BOTTOM + 16} text-anchor="middle">{t}</text>)}
      <text x={(LEFT + RIGHT) / 2} y={H - 6} text-anchor="middle">probability given to values up to the measured one</text>
      <text transform={`translate(12 ${(TOP + BOTTOM) / 2}) rotate(-90)`} text-anchor="middle">samples</text>
    </svg>
  );
}

function Numbers({ score }: { score: Score }) {
  const r = score.reliability;
  return (
    <table>
      <thead><tr><th scope="col">Nominal band</th><th scope="col">Observed</th></tr></thead>
      <tbody>
        {r.nominal.map((n, i) => <tr key={i}><td>{percent(n)}</td><td>{percent(r.observed[i], 1)}</td></tr>)}
      </tbody>
    </table>
  );
}

export function Reliability({ report }: { report: Report }) {
  const scores = scoresWithSamples(report);
  if (scores.length === 0) return null;
  return (
    <section aria-labelledby="reliability">
      <h2 id="reliability">Can the probabilities be believed?</h2>
      <p>
        First chart: of all sealed samples, the share inside each central band against what the band promises; honest forecasts lie on the diagonal, too
        narrow bands below it. Second chart: where each measured value fell in its own forecast; honest forecasts give level bars, too narrow bands high
        ends. The grey area is the scatter (95{"\u00a0"}%) that as many <em>independent</em> samples would show; samples of one person are not
        independent, so more scatter than that is possible by chance.
      </p>
      {scores.map((s) => {
        const name = report.observables.find((o) => o.id === s.observable)?.name ?? s.observable;
        return (
          <div class="reliability" key={s.observable}>
            <h3>{capital(name)}, {count(s.samples, "sealed sample")}</h3>
            <div class="plots">
              <CoverageCurve score={s} name={name} />
              <PitHistogram score={s} name={name} />
            </div>
            <Fold title="Coverage as a table">{() => <Numbers score={s} />}</Fold>
          </div>
        );
      })}
    </section>
  );
}
