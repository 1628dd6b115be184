import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

/* A fold whose content is made only when opened: tables of 44 people would slow the page down. */
export function Fold({ title, children }: { title: string; children: () => ComponentChildren }) {
  const [open, setOpen] = useState(false);
  return (
    <details class="fold" onToggle={(e) => setOpen((e.currentTarget as HTMLDetailsElement).open)}>
      <summary>{title}</summary>
      {open ? <div class="scroll">{children()}</div> : null}
    </details>
  );
}

/* A polyline's path; gaps at null. */
export function path(points: readonly (readonly [number, number] | null)[]): string {
  let d = "";
  let pen = false;
  for (const p of points) {
    if (!p) {
      pen = false;
      continue;
    }
    d += `${pen ? "L" : "M"}${p[0].toFixed(1)} ${p[1].toFixed(1)}`;
    pen = true;
  }
  return d;
}

export const linear =
  (a: number, b: number, from: number, to: number) =>
  (x: number): number =>
    from + ((x - a) / (b - a)) * (to - from);
