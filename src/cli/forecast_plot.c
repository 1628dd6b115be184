/* forecast_plot.c - floor 9: branches of one twin as SVG: one panel for each observable and quantity, in it the median and the
 * 90 % band of every plan; what was measured as points; a line where now is. */
#include "cli/forecast_plot.h"

#include <math.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/svg.h"

enum { WIDTH = 660, HEIGHT = 240, LEFT = 84, TOP = 46, RIGHT = 30, FOOT = 66, NCOLOUR = 6, Q05 = 1, Q50 = 4, Q95 = 7 };
static const char *const colour[NCOLOUR] = {SVG_BLUE, SVG_ORANGE, "#6a4c93", "#2e7d32", "#b3261e", "#5d6d7e"};

typedef struct panel {
  FILE *out;
  const dp_whatif *w;
  const dp_seen *seen;
  int nseen, shown;
  svg_panel on;
} panel;

bool cli_begins_steady(const dp_plan *plan) { return plan->nrow > 0 && plan->row[0].steady; }

static const double *quantiles(const panel *p, int plan, int t) {
  return p->w->strand[plan * p->w->nshown + p->shown].q + t * DP_NLEVEL;
}

/* 1, 2 or 5 times a power of ten, so that about n steps fill the range. */
static double step_of(double range, int n) {
  double raw = range / n, power = pow(10, floor(log10(raw))), m = raw / power;
  return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void take(double x, svg_panel *on) {
  if (!isfinite(x)) return;
  if (x < on->low) on->low = x;
  if (x > on->high) on->high = x;
}

static void range(panel *p) {
  p->on.low = INFINITY;
  p->on.high = -INFINITY;
  p->on.left = p->w->time[0];
  p->on.right = p->w->time[p->w->ntime - 1];
  for (int i = 0; i < p->w->nplan; i++)
    for (int t = 0; t < p->w->ntime; t++) {
      take(quantiles(p, i, t)[Q05], &p->on);
      take(quantiles(p, i, t)[Q95], &p->on);
    }
  for (int i = 0; i < p->nseen && p->w->shown[p->shown].measured; i++)
    if (p->seen[i].observable == p->shown) take(p->seen[i].value, &p->on);
  if (!(p->on.high > p->on.low)) p->on.low = isfinite(p->on.low) ? p->on.low - 1 : 0, p->on.high = p->on.low + 2;
  if (p->on.low > 0 && p->on.low < 0.5 * p->on.high) p->on.low = 0;
  double room = 0.05 * (p->on.high - p->on.low);
  p->on.high += room;
  if (p->on.low != 0) p->on.low -= room;
}

static void axes(const panel *p, const char *unit) {
  char text[240];
  const dp_shown *s = &p->w->shown[p->shown];
  double step = step_of(p->on.high - p->on.low, 4);
  for (double v = ceil(p->on.low / step) * step; v <= p->on.high + 1e-9 * step; v += step) {
    svg_line(p->out, p->on.x, svg_y(&p->on, v), p->on.x + p->on.width, svg_y(&p->on, v), SVG_GRID);
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    svg_word(p->out, p->on.x - 8, svg_y(&p->on, v) + 4, "end", SVG_QUIET, text);
  }
  step = step_of(p->on.right - p->on.left, 8);
  for (double v = ceil(p->on.left / step) * step; v <= p->on.right + 1e-9 * step; v += step) {
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    svg_word(p->out, svg_x(&p->on, v), p->on.y + p->on.height + 18, "middle", SVG_QUIET, text);
  }
  svg_word(p->out, p->on.x + p->on.width, p->on.y + p->on.height + 34, "end", SVG_QUIET, unit);
  char words[64];
  cli_unit(s->unit, words);
  snprintf(text, sizeof text, "%s%s%s%s%s", s->name, *words ? " [" : "", words, *words ? "]" : "",
           s->measured ? ", as it would be measured" : "");
  svg_word(p->out, p->on.x, p->on.y - 10, "start", SVG_INK, text);
}

static void branch(const panel *p, int plan) {
  const char *c = colour[plan % NCOLOUR];
  fprintf(p->out, "<path fill=\"%s\" fill-opacity=\"0.16\" d=\"", c);
  for (int pass = 0, first = 1; pass < 2; pass++)
    for (int k = 0; k < p->w->ntime; k++) {
      int t = pass ? p->w->ntime - 1 - k : k;
      double y = quantiles(p, plan, t)[pass ? Q95 : Q05];
      if (!isfinite(y)) continue;
      fprintf(p->out, "%s%.1f,%.1f ", first ? "M" : "L", svg_x(&p->on, p->w->time[t]), svg_y(&p->on, y));
      first = 0;
    }
  fprintf(p->out, "Z\"/>\n<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.8\" points=\"", c);
  for (int t = 0; t < p->w->ntime; t++) {
    double y = quantiles(p, plan, t)[Q50];
    if (isfinite(y)) fprintf(p->out, "%.1f,%.1f ", svg_x(&p->on, p->w->time[t]), svg_y(&p->on, y));
  }
  fprintf(p->out, "\"/>\n");
}

static void draw(panel *p, const char *unit) {
  const dp_shown *s = &p->w->shown[p->shown];
  range(p);
  if (isfinite(s->low) && isfinite(s->high)) { /* the reference range, behind everything */
    double high = fmin(s->high, p->on.high), low = fmax(s->low, p->on.low);
    if (high > low)
      fprintf(p->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#f2f5f7\"/>\n", p->on.x,
              svg_y(&p->on, high), p->on.width, svg_y(&p->on, low) - svg_y(&p->on, high));
  }
  axes(p, unit);
  svg_clip(p->out, &p->on, 'f', p->shown, 2);
  fprintf(p->out, "\n");
  for (int i = 0; i < p->w->nplan; i++) branch(p, i);
  for (int i = 0; i < p->nseen && s->measured; i++)
    if (p->seen[i].observable == p->shown)
      fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\" fill=\"%s\" stroke=\"" SVG_INK "\"/>\n",
              svg_x(&p->on, p->seen[i].time), svg_y(&p->on, p->seen[i].censored ? p->seen[i].limit : p->seen[i].value),
              p->seen[i].censored ? "white" : SVG_INK);
  fprintf(p->out, "</g>\n");
  double now = svg_x(&p->on, p->w->now);
  fprintf(p->out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"" SVG_QUIET "\" stroke-dasharray=\"4 3\"/>\n", now,
          now, p->on.y, p->on.y + p->on.height);
  svg_frame(p->out, &p->on);
}

int cli_plot_forecast(const char *path, const dp_kind *kind, const char *who, const dp_patient *patient, dp_plan *const *plan,
                      const dp_whatif *w) {
  FILE *out = svg_open(path);
  if (!out) return 3;
  char text[480];
  const double head = 70 + 20.0 * w->nplan, cell = HEIGHT + TOP + FOOT;
  svg_begin(out, LEFT + WIDTH + RIGHT, head + w->nshown * cell, true);
  snprintf(text, sizeof text, "%s, person %s: what if", dp_kind_title(kind), who);
  svg_word(out, 20, 26, "start", SVG_INK, text);
  for (int i = 0; i < w->nplan; i++) {
    fprintf(out, "<rect x=\"20\" y=\"%.1f\" width=\"26\" height=\"10\" fill=\"%s\" fill-opacity=\"0.6\"/>\n", 37 + 20.0 * i,
            colour[i % NCOLOUR]);
    snprintf(text, sizeof text, "%c  %.60s: %s%s", 'A' + i, plan[i]->name, w->text[i],
             cli_begins_steady(plan[i]) ? ", from its steady state on" : "");
    svg_word(out, 54, 46 + 20.0 * i, "start", SVG_INK, text);
  }
  svg_word(out, 20, 48 + 20.0 * w->nplan, "start", SVG_QUIET,
           "line: median; band: 5 to 95 %; points: measured (open: below the limit); dashes: now; "
           "grey: reference range");
  snprintf(text, sizeof text, "drawn through %d times: a short peak may lie between two of them", w->ntime);
  if (!w->doses) /* else every dose has points of its own */
    svg_word(out, 20, 66 + 20.0 * w->nplan, "start", SVG_QUIET, text);
  char unit[80];
  snprintf(unit, sizeof unit, "time [%s]", dp_kind_time_unit(kind));
  panel p = {.out = out, .w = w};
  p.seen = dp_patient_seen(patient, &p.nseen);
  for (int s = 0; s < w->nshown; s++) {
    p.shown = s;
    p.on = (svg_panel){LEFT, head + TOP + s * cell, WIDTH, HEIGHT, 0, 1, 0, 1};
    draw(&p, unit);
  }
  return svg_end(out, path);
}
