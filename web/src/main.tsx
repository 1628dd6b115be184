import "uplot/dist/uPlot.min.css";
import "./style.css";

import { render } from "preact";

import { type Report, readReport } from "./data";
import { Answers, Head } from "./parts/head";
import { Method } from "./parts/method";
import { People } from "./parts/people_view";
import { Reliability } from "./parts/reliability";
import { watchThemeAndPrint } from "./state";

function Page({ report }: { report: Report }) {
  return (
    <main>
      <Head report={report} />
      <Answers report={report} />
      <Reliability report={report} />
      <People report={report} />
      <Method report={report} />
    </main>
  );
}

function start(root: HTMLElement): void {
  let report: Report | null;
  try {
    report = readReport(document.getElementById("doppel-data")?.textContent ?? "");
  } catch (e) {
    render(<main class="empty"><h1>This report cannot be read</h1><p>{String(e)}</p></main>, root);
    return;
  }
  if (!report) {
    render(<main class="empty"><h1>Doppel report</h1><p>This is the template: it holds no data yet.</p></main>, root);
    return;
  }
  document.title = `Doppel report: ${report.kind.title}`;
  watchThemeAndPrint();
  render(<Page report={report} />, root);
}

const root = document.getElementById("page");
if (root) start(root);
