import { render } from "preact";
const text = document.getElementById("doppel-data")?.textContent ?? "";
const root = document.getElementById("page");
if (root) {
  if (!text.trim().startsWith("{")) render(<p>This page is a template without data.</p>, root);
  else {
    const d = JSON.parse(text) as { kind: { title: string }; summary: unknown };
    render(<main><h1>{d.kind.title}</h1><pre>{JSON.stringify(d.summary, null, 1)}</pre></main>, root);
  }
}
