/* What the reader may change: the slider's stop. Charts that lie on canvas listen to the theme and to printing as well. */
import { signal } from "@preact/signals";

export const stop = signal(-1); // index into report.untils; -1: the report's own `until`

type Redraw = (why: "theme" | "print") => void;
const charts = new Set<Redraw>();

export function onRedraw(redraw: Redraw): () => void {
  charts.add(redraw);
  return () => void charts.delete(redraw);
}

const redrawAll = (why: "theme" | "print"): void => charts.forEach((redraw) => redraw(why));

/* On paper: light colours and every chart drawn, also those nobody scrolled to. */
export function watchThemeAndPrint(): void {
  const root = document.documentElement;
  const begin = (): void => {
    root.dataset["theme"] = "light";
    redrawAll("print");
  };
  const end = (): void => {
    delete root.dataset["theme"];
    redrawAll("theme");
  };
  window.addEventListener("beforeprint", begin);
  window.addEventListener("afterprint", end);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => redrawAll("theme"));
}
