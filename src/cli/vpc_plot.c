/* vpc_plot.c - floor 9: the picture of a visual predictive check, as SVG. Bands: where nine of ten simulated data sets
 * have their percentile; lines: where the observed ones lie, ringed where that is outside; below, if anything is, the
 * fraction under the limit of quantification. */
#include "cli/vpc_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/svg.h"

#define OUTER SVG_BLUE   /* 5 and 95 percent */
#define INNER SVG_ORANGE /* the median */
#define ALARM "#b3261e"

enum { WIDTH = 660, HEIGHT = 340, BELOW = 90, LEFT = 80, TOP = 92, RIGHT = 30, FOOT = 62, ACROSS = 2 };

typedef struct panel {
  FILE *out;
  const dp_vpc_panel *v;
  int number;
  svg_panel on;
} panel;

static double px(const panel *p, double v) { return svg_x(&p->on, v); }
static double py(const panel *p, double v) {
  double y = svg_y(&p->on, v), floor_is = p->on.y + p->on.height;
  /* what lies below the limit of quantification leaves through the floor */
  return y > floor_is ? floor_is : y;
}

/* 1, 2 or 5 times a power of ten, so that about n steps fill the range. */
static double step_of(double range, int n) {
  double raw = range / n, power = pow(10, floor(log10(raw))), m = raw / power;
  return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void axes(const panel *p, const char *axis) {
  char text[240];
  double step = step_of(p->on.high - p->on.low, 5);
  for (double v = ceil(p->on.low / step) * step; v <= p->on.high + 1e-9 * step; v += step) {
    svg_line(p->out, p->on.x, py(p, v), p->on.x + p->on.width, py(p, v), SVG_GRID);
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    svg_word(p->out, p->on.x - 8, py(p, v) + 4, "end", SVG_QUIET, text);
  }
  step = step_of(p->on.right - p->on.left, 8);
  for (double v = ceil(p->on.left / step) * step; v <= p->on.right + 1e-9 * step; v += step) {
    svg_line(p->out, px(p, v), p->on.y + p->on.height, px(p, v), p->on.y + p->on.height + 4, SVG_QUIET);
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    svg_word(p->out, px(p, v), p->on.y + p->on.height + 18, "middle", SVG_QUIET, text);
  }
  svg_word(p->out, p->on.x + p->on.width, p->on.y + p->on.height + 36, "end", SVG_QUIET, axis);
  snprintf(text, sizeof text, "%s [%s]", p->v->name, p->v->unit);
  svg_word(p->out, p->on.x, p->on.y - 12, "start", SVG_INK, text);
}

static void band(const panel *p, int q, const char *colour) {
  const dp_vpc_panel *v = p->v;
  fprintf(p->out, "<path fill=\"%s\" fill-opacity=\"0.22\" d=\"", colour);
  for (int pass = 0, first = 1; pass < 2; pass++)
    for (int i = 0; i < v->nbin; i++) {
      const dp_vpc_bin *b = &v->bin[pass ? v->nbin - 1 - i : i];
      double y = b->simulated[q][pass ? 0 : 2];
      if (isnan(y)) continue;
      double half = v->nbin == 1 ? 0.02 * (p->on.right - p->on.left) : 0; /* a single bin has a width all the same */
      fprintf(p->out, "%s%.1f,%.1f ", first ? "M" : "L", px(p, b->middle - (pass ? -half : half)), py(p, y));
      if (half > 0) fprintf(p->out, "L%.1f,%.1f ", px(p, b->middle + (pass ? -half : half)), py(p, y));
      first = 0;
    }
  fprintf(p->out, "Z\"/>\n");
}

static void curve(const panel *p, int q, int simulated, const char *colour) {
  fprintf(p->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s points=\"", colour,
          simulated ? "1" : "1.8", simulated ? " stroke-dasharray=\"4 3\" stroke-opacity=\"0.8\"" : "");
  for (int i = 0; i < p->v->nbin; i++) {
    const dp_vpc_bin *b = &p->v->bin[i];
    double y = simulated ? b->simulated[q][1] : b->observed[q];
    if (!isnan(y)) fprintf(p->out, "%.1f,%.1f ", px(p, b->middle), py(p, y));
  }
  fprintf(p->out, "\"/>\n");
  for (int i = 0; i < p->v->nbin && !simulated; i++) {
    const dp_vpc_bin *b = &p->v->bin[i];
    if (isnan(b->observed[q])) continue;
    fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n", px(p, b->middle),
            py(p, b->observed[q]), colour);
    if (!b->inside[q])
      fprintf(p->out,
              "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6.5\" fill=\"none\" stroke=\"" ALARM "\" stroke-width=\"1.6\"/>\n",
              px(p, b->middle), py(p, b->observed[q]));
  }
}

static void points(const panel *p) {
  const dp_vpc_panel *v = p->v;
  int every = 1 + (v->npoint - 1) / 4000; /* a page that still opens */
  double r = v->npoint > 800 ? 1.2 : 2;
  fprintf(p->out, "<g fill=\"" SVG_INK "\" fill-opacity=\"%s\">\n", v->npoint > 800 ? "0.18" : "0.3");
  for (int i = 0; i < v->npoint; i += every)
    if (isfinite(v->value[i]))
      fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\"/>\n", px(p, v->time[i]), py(p, v->value[i]), r);
  fprintf(p->out, "</g>\n");
}

static void widen(double x, double *low, double *high) {
  if (!isfinite(x)) return;
  if (x < *low) *low = x;
  if (x > *high) *high = x;
}

static void range(panel *p) {
  const dp_vpc_panel *v = p->v;
  p->on.left = p->on.low = INFINITY;
  p->on.right = p->on.high = -INFINITY;
  for (int i = 0; i < v->npoint; i++) {
    widen(v->time[i], &p->on.left, &p->on.right);
    widen(v->value[i], &p->on.low, &p->on.high);
  }
  for (int k = 0; k < v->nbin; k++)
    for (int q = 0; q < DP_VPC_NPERCENTILE; q++) {
      widen(v->bin[k].simulated[q][0], &p->on.low, &p->on.high);
      widen(v->bin[k].simulated[q][2], &p->on.low, &p->on.high);
    }
  if (!(p->on.high > p->on.low)) p->on.low = isfinite(p->on.low) ? p->on.low - 1 : 0, p->on.high = p->on.low + 2;
  if (!(p->on.right > p->on.left)) p->on.left -= 1, p->on.right += 1;
  if (p->on.low > 0 && p->on.low < 0.5 * p->on.high) p->on.low = 0;
  double dx = 0.02 * (p->on.right - p->on.left), dy = 0.04 * (p->on.high - p->on.low);
  p->on.left -= dx;
  p->on.right += dx;
  p->on.high += dy;
  if (p->on.low != 0) p->on.low -= dy;
}

static int any_below(const dp_vpc_panel *v) {
  for (int k = 0; k < v->nbin; k++)
    if (v->bin[k].nbelow > 0 || v->bin[k].below[2] > 0) return 1;
  return 0;
}

/* The fraction below the limit: interval as a box, observed as a point. */
static void fractions(panel p) {
  FILE *out = p.out;
  p.on.y += p.on.height + 56;
  p.on.height = BELOW - 40;
  p.on.low = 0;
  p.on.high = 0.05;
  for (int k = 0; k < p.v->nbin; k++) {
    widen(p.v->bin[k].below[2], &p.on.low, &p.on.high);
    widen((double)p.v->bin[k].nbelow / p.v->bin[k].nobs, &p.on.low, &p.on.high);
  }
  char text[32];
  snprintf(text, sizeof text, "%.0f %%", 100 * p.on.high);
  svg_word(out, p.on.x, p.on.y - 6, "start", SVG_INK, "below quantification");
  svg_word(out, p.on.x - 8, p.on.y + 5, "end", SVG_QUIET, text);
  svg_word(out, p.on.x - 8, p.on.y + p.on.height + 4, "end", SVG_QUIET, "0");
  svg_line(out, p.on.x, p.on.y + p.on.height, p.on.x + p.on.width, p.on.y + p.on.height, SVG_QUIET);
  for (int k = 0; k < p.v->nbin; k++) {
    const dp_vpc_bin *b = &p.v->bin[k];
    double seen = (double)b->nbelow / b->nobs, top = py(&p, b->below[2]), bottom = py(&p, b->below[0]);
    if (isnan(b->below[0])) continue;
    fprintf(out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"%.1f\" fill=\"" OUTER "\" fill-opacity=\"0.22\"/>\n",
            px(&p, b->middle) - 5, top, bottom - top + 1);
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n", px(&p, b->middle), py(&p, seen),
            seen >= b->below[0] && seen <= b->below[2] ? OUTER : ALARM);
  }
}

static void draw(panel *p, const char *axis) {
  FILE *out = p->out;
  range(p);
  axes(p, axis);
  svg_clip(out, &p->on, 'v', p->number, 8);
  fprintf(out, "\n");
  static const char *const colour[DP_VPC_NPERCENTILE] = {OUTER, INNER, OUTER};
  points(p);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) band(p, q, colour[q]);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) curve(p, q, 1, colour[q]);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) curve(p, q, 0, colour[q]);
  fprintf(out, "</g>\n");
  svg_frame(out, &p->on);
  for (int k = 1; k < p->v->nbin; k++) { /* where one bin ends and the next begins */
    double at = px(p, 0.5 * (p->v->bin[k - 1].high + p->v->bin[k].low));
    svg_line(out, at, p->on.y, at, p->on.y + 5, SVG_QUIET);
  }
  if (any_below(p->v)) fractions(*p);
}

static void legend(FILE *out, double x, double y, const char *colour, const char *what) {
  fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"26\" height=\"12\" fill=\"%s\" fill-opacity=\"0.22\"/>\n", x,
          y - 10, colour);
  fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1.8\"/>\n", x,
          x + 26, y - 4, y - 4, colour);
  fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n", x + 13, y - 4, colour);
  svg_word(out, x + 34, y, "start", SVG_INK, what);
}

int cli_plot_vpc(const char *path, const char *title, const char *axis, const dp_vpc *vpc) {
  FILE *out = svg_open(path);
  if (!out) return 3;
  int across = vpc->npanel < ACROSS ? 1 : ACROSS, rows = (vpc->npanel + across - 1) / across, below = 0;
  for (int i = 0; i < vpc->npanel; i++) below |= any_below(&vpc->panel[i]);
  const double cell = HEIGHT + FOOT + 30 + (below ? BELOW : 0), width = across * (double)(WIDTH + LEFT + RIGHT);
  const double height = TOP + rows * cell;
  svg_begin(out, width, height, true);
  svg_word(out, 20, 26, "start", SVG_INK, title);
  legend(out, 20, 50, OUTER, "5 %, 95 %");
  legend(out, 130, 50, INNER, "median");
  svg_word(out, 224, 50, "start", SVG_INK, "line: observed, band: 90 % of simulations");
  fprintf(out, "<circle cx=\"516\" cy=\"46\" r=\"6.5\" fill=\"none\" stroke=\"" ALARM "\" stroke-width=\"1.6\"/>\n");
  svg_word(out, 530, 50, "start", SVG_INK, "observed outside");
  for (int i = 0; i < vpc->npanel; i++) {
    panel p = {
        out,
        &vpc->panel[i],
        i,
        {LEFT + (i % across) * (double)(WIDTH + LEFT + RIGHT), TOP + (i / across) * cell, WIDTH, HEIGHT, 0, 1, 0, 1}};
    draw(&p, axis);
  }
  return svg_end(out, path);
}
