/* Prior beside posterior for each individual parameter. At the report's own stop as densities, elsewhere as intervals. */
import type { Parameter } from "../data";
import { inBrackets, isNum, logTicks, plain, sig, ticks, unitWords } from "../numbers";
import { linear, path } from "./common";

const W = 180;
const H = 82;
const BASE = 62;
const LEFT = 8;
const RIGHT = W - 8;

/* Smallest stretch of the axis that shows all but the thin ends of both. */
function domain(p: Parameter): [number, number] {
  const x = (p.x ?? []).filter(isNum);
  const q = [...p.prior, ...p.posterior].filter(isNum);
  if (x.length > 1) {
    const tall = (d: Parameter["prior_density"]): number => Math.max(...(d ?? []).map((v) => v ?? 0));
    const a = tall(p.prior_density);
    const b = tall(p.posterior_density);
    const kept = x.filter((_, i) => (p.prior_density?.[i] ?? 0) > 0.01 * a || (p.posterior_density?.[i] ?? 0) > 0.01 * b);
    return [Math.min(...kept), Math.max(...kept)];
  }
  const low = Math.min(...q);
  const high = Math.max(...q);
  return p.log && low > 0 ? [low / 1.2, high * 1.2] : [low - 0.1 * (high - low), high + 0.1 * (high - low)];
}

function Density({ x, d, most, at, cls }: { x: Parameter["x"]; d: Parameter["x"]; most: number; at: (v: number) => number; cls: string }) {
  const y = linear(0, most, BASE, 6);
  const points = (x ?? []).map((v, i): [number, number] | null => {
    const h = d?.[i];
    if (!isNum(v) || !isNum(h)) return null;
    const px = at(v);
    return px < LEFT - 1 || px > RIGHT + 1 ? null : [px, y(h)];
  });
  return <path d={path(points)} class={cls} />;
}

function Interval({ q, at, y, cls }: { q: Parameter["prior"]; at: (v: number) => number; y: number; cls: string }) {
  const [a, b, m, c, d] = q;
  if (!isNum(a) || !isNum(b) || !isNum(m) || !isNum(c) || !isNum(d)) return null;
  return (
    <g class={cls}>
      <line x1={at(a)} x2={at(d)} y1={y} y2={y} class="thin" />
      <line x1={at(b)} x2={at(c)} y1={y} y2={y} class="thick" />
      <circle cx={at(m)} cy={y} r="4" />
    </g>
  );
}

/* `main` gives the axis, so that it stays where it is while the slider moves. */
export function ParameterView({ main, now }: { main: Parameter; now: Parameter }) {
  const [low, high] = domain(main);
  const logs = main.log === true && low > 0;
  const f = logs ? Math.log : (v: number): number => v;
  const scale = linear(f(low), f(high), LEFT, RIGHT);
  const at = (v: number): number => Math.max(LEFT, Math.min(RIGHT, scale(f(logs ? Math.max(v, 1e-300) : v))));
  const most = Math.max(...[...(now.prior_density ?? []), ...(now.posterior_density ?? [])].map((v) => v ?? 0));
  const dense = now.x !== undefined && most > 0;
  const marks = (logs ? logTicks(low, high) : ticks(low, high, 4)).filter((t) => scale(f(t)) >= LEFT && scale(f(t)) <= RIGHT);
  const say = (q: Parameter["prior"]): string => `${sig(q[2])} (${sig(q[0])}\u2013${sig(q[4])})`;
  return (
    <figure class="parameter">
      <figcaption>
        <span class="pname">{now.name}</span> <span class="pid">{`${now.id}${inBrackets(now.unit)}`}</span>
      </figcaption>
      <svg width={W} height={H} viewBox={`0 0 ${W} ${H}`} role="img" aria-label={`${now.name}: prior ${say(now.prior)}, posterior ${say(now.posterior)} ${unitWords(now.unit)}`}>
        {dense ? (
          <>
            <Density x={now.x} d={now.posterior_density} most={most} at={(v) => scale(f(v))} cls="posterior-area" />
            <Density x={now.x} d={now.prior_density} most={most} at={(v) => scale(f(v))} cls="prior-line" />
          </>
        ) : (
          <>
            <Interval q={now.prior} at={at} y={22} cls="prior-bar" />
            <Interval q={now.posterior} at={at} y={44} cls="posterior-bar" />
          </>
        )}
        <line x1={LEFT} x2={RIGHT} y1={BASE} y2={BASE} class="axis" />
        {marks.map((t) => (
          <g key={t}>
            <line x1={scale(f(t))} x2={scale(f(t))} y1={BASE} y2={BASE + 4} class="axis" />
            <text x={scale(f(t))} y={BASE + 17} text-anchor="middle">{plain(t)}</text>
          </g>
        ))}
      </svg>
      <p class="pnum">
        <span class="k-posterior">posterior <span class="range">{say(now.posterior)}</span></span>
        <span class="k-prior">prior <span class="range">{say(now.prior)}</span></span>
      </p>
    </figure>
  );
}
