/* One fan chart on canvas (uPlot): made when it comes near the window, drawn again when the slider moves. */
import { useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

import type { Observable, Person, Report } from "../data";
import { dotsOf, insideCount, linesOf, type Scale, turnAt } from "../fan";
import { inBrackets, isNum, plain, sig, unitWords, withUnit } from "../numbers";
import { onRedraw, stop } from "../state";

interface Props {
  report: Report;
  person: Person;
  observable: Observable;
  scale: Scale;
}

const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif";
const ON_PAPER = { width: 430, height: 225 };
const TWIN = 9; // series of the twin's quantiles
const BANDS: readonly [number, number, string][] = [
  [9, 1, "--band-95"],
  [8, 2, "--band-90"],
  [7, 3, "--band-80"],
  [6, 4, "--band-50"],
];

/* Colours live in the style sheet; reading one is slow, so each drawing reads them once. */
function colours(): (name: string) => string {
  const style = getComputedStyle(document.documentElement);
  const known = new Map<string, string>();
  return (name) => {
    let c = known.get(name);
    if (c === undefined) known.set(name, (c = style.getPropertyValue(name).trim()));
    return c;
  };
}

class FanChart {
  private plot: uPlot | null = null;
  private stale = false;
  private colour = colours();
  near = false;

  constructor(
    private readonly box: HTMLElement,
    private readonly readout: HTMLElement,
    private readonly p: Props,
  ) {}

  /* The slider moved, or the chart came near. Away from the window only the flag is set. */
  refresh(force = false): void {
    if (!this.near && !force) {
      this.stale = true;
      return;
    }
    const data = this.data();
    if (!data) return;
    if (!this.plot) this.plot = new uPlot(this.options(), data, this.box);
    else this.plot.setData(data);
    this.stale = false;
  }

  come(): void {
    this.near = true;
    if (!this.plot || this.stale) this.refresh();
  }

  resize(): void {
    const width = this.box.clientWidth;
    if (this.plot && width > 0 && Math.abs(width - this.plot.width) > 1) this.plot.setSize({ width, height: this.height() });
  }

  /* The paper's columns have a known width; drawn for it, the letters keep their size. */
  paper(): void {
    this.refresh(true);
    this.plot?.setSize(ON_PAPER);
  }

  recolour(): void {
    this.colour = colours();
    this.plot?.redraw(false, true);
  }

  destroy(): void {
    this.plot?.destroy();
    this.plot = null;
  }

  private height(): number {
    return this.box.clientWidth < 480 ? 240 : 280;
  }

  private turn() {
    return turnAt(this.p.report, this.p.person, stop.peek());
  }

  private data(): uPlot.AlignedData | null {
    const lines = linesOf(this.p.report, this.p.person, this.turn(), this.p.observable.id);
    return lines ? ([lines.time, ...lines.twin, ...lines.population] as uPlot.AlignedData) : null;
  }

  private series(): uPlot.Series[] {
    const out: uPlot.Series[] = [{}];
    for (let i = 1; i <= TWIN; i++)
      out.push(i === 5 ? { stroke: () => this.colour("--twin"), width: 2, points: { show: false } } : { width: 0, points: { show: false } });
    for (let i = 0; i < 3; i++)
      out.push({ stroke: () => this.colour("--population"), width: i === 1 ? 1.5 : 1, dash: i === 1 ? [6, 4] : [2, 3], points: { show: false } });
    return out;
  }

  private axis(label: string, side: 2 | 3): uPlot.Axis {
    const grey = (): string => this.colour("--ink-2");
    const faint = (): string => this.colour("--grid");
    return {
      side, label, stroke: grey, font: `12px ${FONT}`, labelFont: `12px ${FONT}`, labelSize: 20, labelGap: 0, gap: 4,
      size: side === 2 ? 28 : 44, grid: { stroke: faint, width: 1 }, ticks: { stroke: faint, width: 1, size: 4 },
    };
  }

  private options(): uPlot.Options {
    const { observable, scale, report } = this.p;
    return {
      width: this.box.clientWidth || 600,
      height: this.height(),
      padding: [10, 12, 0, 0],
      legend: { show: false },
      cursor: { drag: { x: false, y: false, setScale: false }, y: false, points: { show: false } },
      scales: { x: { time: false, range: [0, scale.endOfTime * 1.02] }, y: { range: [scale.low, scale.high] } },
      axes: [this.axis(`time [${report.kind.time_unit}]`, 2), this.axis(`${observable.name}${inBrackets(observable.unit)}`, 3)],
      series: this.series(),
      bands: BANDS.map(([high, low, name]) => ({ series: [high, low], fill: () => this.colour(name) })),
      hooks: { drawAxes: [(u) => this.under(u)], draw: [(u) => this.over(u)], setCursor: [(u) => this.read(u)] },
    };
  }

  /* Below the bands: the reference range. */
  private under(u: uPlot): void {
    const [low, high] = this.p.observable.reference;
    if (!isNum(low) || !isNum(high)) return;
    const y1 = Math.max(u.valToPos(high, "y", true), u.bbox.top);
    const y0 = Math.min(u.valToPos(low, "y", true), u.bbox.top + u.bbox.height);
    if (y0 <= y1) return;
    u.ctx.fillStyle = this.colour("--reference");
    u.ctx.fillRect(u.bbox.left, y1, u.bbox.width, y0 - y1);
  }

  private text(u: uPlot, text: string, x: number, y: number, align: CanvasTextAlign, colour: string): void {
    const c = u.ctx;
    const r = uPlot.pxRatio;
    c.font = `${12 * r}px ${FONT}`;
    c.textAlign = align;
    c.textBaseline = "middle";
    c.lineJoin = "round";
    c.lineWidth = 4 * r;
    c.strokeStyle = this.colour("--paper");
    c.strokeText(text, x, y);
    c.fillStyle = colour;
    c.fillText(text, x, y);
  }

  /* Above the bands: where seeing ended, doses, dots. */
  private over(u: uPlot): void {
    const turn = this.turn();
    const { ctx, bbox } = u;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left - 8, bbox.top - 8, bbox.width + 16, bbox.height + 16);
    ctx.clip();
    this.drawUntil(u, turn.until);
    this.drawReferenceText(u);
    this.drawDoses(u);
    for (const dot of dotsOf(this.p.person, turn, this.p.observable.id)) this.drawDot(u, dot);
    ctx.restore();
  }

  private drawUntil(u: uPlot, until: number): void {
    const { ctx, bbox } = u;
    const r = uPlot.pxRatio;
    const unit = this.p.report.kind.time_unit;
    const text = until < 0 ? "nothing seen: forecast from the prior" : `seen until ${plain(until)} ${unit}`;
    const x = Math.max(u.valToPos(Math.max(until, 0), "x", true), bbox.left);
    const right = x < bbox.left + 0.6 * bbox.width;
    ctx.strokeStyle = this.colour("--ink");
    ctx.lineWidth = r;
    ctx.setLineDash([]);
    ctx.beginPath();
    ctx.moveTo(x, bbox.top);
    ctx.lineTo(x, bbox.top + bbox.height);
    ctx.stroke();
    this.text(u, text, x + (right ? 6 : -6) * r, bbox.top + 7 * r, right ? "left" : "right", this.colour("--ink"));
  }

  private drawReferenceText(u: uPlot): void {
    const [low, high] = this.p.observable.reference;
    if (!isNum(low) || !isNum(high)) return;
    const r = uPlot.pxRatio;
    const y = u.valToPos(low, "y", true);
    if (y < u.bbox.top + 12 * r || y > u.bbox.top + u.bbox.height) return;
    const text = `range ${plain(low)} to ${plain(high)} ${unitWords(this.p.observable.unit)}`;
    this.text(u, text, u.bbox.left + u.bbox.width - 4 * r, y - 9 * r, "right", this.colour("--reference-ink"));
  }

  private drawDoses(u: uPlot): void {
    const { ctx, bbox } = u;
    const r = uPlot.pxRatio;
    const bottom = bbox.top + bbox.height;
    ctx.fillStyle = this.colour("--ink");
    for (const d of this.p.person.doses) {
      if (!isNum(d.time) || d.time < 0) continue;
      const x = u.valToPos(d.time, "x", true);
      ctx.beginPath();
      ctx.moveTo(x, bottom - 9 * r);
      ctx.lineTo(x - 5 * r, bottom);
      ctx.lineTo(x + 5 * r, bottom);
      ctx.closePath();
      ctx.fill();
    }
  }

  private drawDot(u: uPlot, dot: ReturnType<typeof dotsOf>[number]): void {
    const { ctx } = u;
    const r = uPlot.pxRatio;
    const x = u.valToPos(dot.time, "x", true);
    const y = u.valToPos(dot.value, "y", true);
    const out = dot.kind === "outside";
    ctx.lineWidth = (out ? 2 : 1.6) * r;
    ctx.strokeStyle = this.colour(out ? "--alarm" : "--ink");
    ctx.fillStyle = dot.kind === "seen" ? this.colour("--ink") : this.colour("--paper");
    ctx.beginPath();
    if (dot.censored) {
      ctx.moveTo(x - 4.5 * r, y - 4 * r); // a value known only as below its limit points downwards
      ctx.lineTo(x + 4.5 * r, y - 4 * r);
      ctx.lineTo(x, y + 4 * r);
      ctx.closePath();
    } else ctx.arc(x, y, 4 * r, 0, 2 * Math.PI);
    ctx.fill();
    ctx.stroke();
    if (!out) return;
    ctx.beginPath(); // a cross through it, so that colour is not needed
    ctx.moveTo(x - 6.5 * r, y - 6.5 * r);
    ctx.lineTo(x + 6.5 * r, y + 6.5 * r);
    ctx.moveTo(x - 6.5 * r, y + 6.5 * r);
    ctx.lineTo(x + 6.5 * r, y - 6.5 * r);
    ctx.stroke();
  }

  private read(u: uPlot): void {
    const i = u.cursor.idx;
    if (i === null || i === undefined || u.cursor.left === undefined || u.cursor.left < 0) {
      this.readout.textContent = "\u00a0";
      return;
    }
    const at = (s: number): string => sig(u.data[s]?.[i] as number | null | undefined);
    const time = withUnit(sig(u.data[0][i] as number), this.p.report.kind.time_unit);
    this.readout.textContent =
      `at ${time}: twin ${at(5)} (90 % band ${at(2)} to ${at(8)}), ` +
      `population ${at(11)} (${at(10)} to ${at(12)}) ${unitWords(this.p.observable.unit)}`;
  }
}

/* One observer for all charts. */
const waiting = new Map<Element, FanChart>();
const observer =
  typeof IntersectionObserver === "undefined"
    ? null
    : new IntersectionObserver(
        (entries) => {
          for (const e of entries) {
            const chart = waiting.get(e.target);
            if (!chart) continue;
            if (e.isIntersecting) chart.come();
            else chart.near = false;
          }
        },
        { rootMargin: "700px 0px" },
      );

export function Fan(p: Props) {
  const box = useRef<HTMLDivElement>(null);
  const readout = useRef<HTMLParagraphElement>(null);
  const chart = useRef<FanChart | null>(null);

  useEffect(() => {
    const element = box.current;
    if (!element || !readout.current) return;
    const c = (chart.current = new FanChart(element, readout.current, p));
    waiting.set(element, c);
    if (observer) observer.observe(element);
    else c.come();
    const sizes = new ResizeObserver(() => c.resize());
    sizes.observe(element);
    const off = onRedraw((why) => {
      if (why === "print") c.paper();
      else c.resize();
      c.recolour();
    });
    return () => {
      off();
      sizes.disconnect();
      observer?.unobserve(element);
      waiting.delete(element);
      c.destroy();
    };
  }, []);

  useSignalEffect(() => {
    void stop.value;
    chart.current?.refresh();
  });

  const { inside, of } = insideCount(turnAt(p.report, p.person, stop.value));
  const label =
    `Fan chart of ${p.observable.name} for person ${p.person.id}: forecast bands, median, samples. ` +
    `${inside} of ${of} held-back samples of this person lie in the 90 % band. The table of samples below gives the numbers.`;
  return (
    <div class="fan">
      <div class="fan-box" ref={box} role="img" aria-label={label} />
      <p class="readout" ref={readout} aria-hidden="true">{"\u00a0"}</p>
    </div>
  );
}
