/* vpc_plot.c - floor 9: the picture of a visual predictive check, as SVG. Bands: where nine of ten simulated data sets have their
 * percentile; lines: where the observed ones lie, ringed where that is outside; below, if anything is, the fraction under the limit
 * of quantification. */
#include "cli/vpc_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define INK "#1b2a36"
#define QUIET "#8796a3"
#define GRID "#e3e8ec"
#define OUTER "#0b6e8a" /* 5 and 95 percent */
#define INNER "#c9773f" /* the median */
#define ALARM "#b3261e"

enum { WIDTH = 660, HEIGHT = 340, BELOW = 90, LEFT = 80, TOP = 92, RIGHT = 30, FOOT = 62, ACROSS = 2 };

typedef struct panel {
  FILE *out;
  const dp_vpc_panel *v;
  int number;
  double x, y, width, height;    /* on the page */
  double left, right, low, high; /* what it shows */
} panel;

static double px(const panel *p, double v) { return p->x + (v - p->left) / (p->right - p->left) * p->width; }
static double py(const panel *p, double v) {
  double y = p->y + p->height - (v - p->low) / (p->high - p->low) * p->height;
  /* what lies below the limit of quantification leaves through the floor */
  return y > p->y + p->height ? p->y + p->height : y;
}

static void word(FILE *out, double x, double y, const char *anchor, const char *colour, const char *s) {
  fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
  for (; *s; s++) {
    if (*s == '<') fputs("&lt;", out);
    else if (*s == '&') fputs("&amp;", out);
    else fputc(*s, out);
  }
  fprintf(out, "</text>\n");
}

static void line(FILE *out, double x1, double y1, double x2, double y2, const char *colour) {
  fprintf(out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\"/>\n", x1, y1, x2, y2, colour);
}

/* 1, 2 or 5 times a power of ten, so that about n steps fill the range. */
static double step_of(double range, int n) {
  double raw = range / n, power = pow(10, floor(log10(raw))), m = raw / power;
  return power * (m < 1.5 ? 1 : m < 3.5 ? 2 : m < 7.5 ? 5 : 10);
}

static void axes(const panel *p, const char *axis) {
  char text[240];
  double step = step_of(p->high - p->low, 5);
  for (double v = ceil(p->low / step) * step; v <= p->high + 1e-9 * step; v += step) {
    line(p->out, p->x, py(p, v), p->x + p->width, py(p, v), GRID);
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    word(p->out, p->x - 8, py(p, v) + 4, "end", QUIET, text);
  }
  step = step_of(p->right - p->left, 8);
  for (double v = ceil(p->left / step) * step; v <= p->right + 1e-9 * step; v += step) {
    line(p->out, px(p, v), p->y + p->height, px(p, v), p->y + p->height + 4, QUIET);
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    word(p->out, px(p, v), p->y + p->height + 18, "middle", QUIET, text);
  }
  word(p->out, p->x + p->width, p->y + p->height + 36, "end", QUIET, axis);
  snprintf(text, sizeof text, "%s [%s]", p->v->name, p->v->unit);
  word(p->out, p->x, p->y - 12, "start", INK, text);
}

static void band(const panel *p, int q, const char *colour) {
  const dp_vpc_panel *v = p->v;
  fprintf(p->out, "<path fill=\"%s\" fill-opacity=\"0.22\" d=\"", colour);
  for (int pass = 0, first = 1; pass < 2; pass++)
    for (int i = 0; i < v->nbin; i++) {
      const dp_vpc_bin *b = &v->bin[pass ? v->nbin - 1 - i : i];
      double y = b->simulated[q][pass ? 0 : 2];
      if (isnan(y)) continue;
      double half = v->nbin == 1 ? 0.02 * (p->right - p->left) : 0; /* a single bin has a width all the same */
      fprintf(p->out, "%s%.1f,%.1f ", first ? "M" : "L", px(p, b->middle - (pass ? -half : half)), py(p, y));
      if (half > 0) fprintf(p->out, "L%.1f,%.1f ", px(p, b->middle + (pass ? -half : half)), py(p, y));
      first = 0;
    }
  fprintf(p->out, "Z\"/>\n");
}

static void curve(const panel *p, int q, int simulated, const char *colour) {
  fprintf(p->out, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"%s\"%s points=\"", colour, simulated ? "1" : "1.8",
          simulated ? " stroke-dasharray=\"4 3\" stroke-opacity=\"0.8\"" : "");
  for (int i = 0; i < p->v->nbin; i++) {
    const dp_vpc_bin *b = &p->v->bin[i];
    double y = simulated ? b->simulated[q][1] : b->observed[q];
    if (!isnan(y)) fprintf(p->out, "%.1f,%.1f ", px(p, b->middle), py(p, y));
  }
  fprintf(p->out, "\"/>\n");
  for (int i = 0; i < p->v->nbin && !simulated; i++) {
    const dp_vpc_bin *b = &p->v->bin[i];
    if (isnan(b->observed[q])) continue;
    fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n", px(p, b->middle), py(p, b->observed[q]), colour);
    if (!b->inside[q])
      fprintf(p->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"6.5\" fill=\"none\" stroke=\"" ALARM "\" stroke-width=\"1.6\"/>\n",
              px(p, b->middle), py(p, b->observed[q]));
  }
}

static void points(const panel *p) {
  const dp_vpc_panel *v = p->v;
  int every = 1 + (v->npoint - 1) / 4000; /* a page that still opens */
  double r = v->npoint > 800 ? 1.2 : 2;
  fprintf(p->out, "<g fill=\"" INK "\" fill-opacity=\"%s\">\n", v->npoint > 800 ? "0.18" : "0.3");
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
  p->left = p->low = INFINITY;
  p->right = p->high = -INFINITY;
  for (int i = 0; i < v->npoint; i++) {
    widen(v->time[i], &p->left, &p->right);
    widen(v->value[i], &p->low, &p->high);
  }
  for (int k = 0; k < v->nbin; k++)
    for (int q = 0; q < DP_VPC_NPERCENTILE; q++) {
      widen(v->bin[k].simulated[q][0], &p->low, &p->high);
      widen(v->bin[k].simulated[q][2], &p->low, &p->high);
    }
  if (!(p->high > p->low)) p->low = isfinite(p->low) ? p->low - 1 : 0, p->high = p->low + 2;
  if (!(p->right > p->left)) p->left -= 1, p->right += 1;
  if (p->low > 0 && p->low < 0.5 * p->high) p->low = 0;
  double dx = 0.02 * (p->right - p->left), dy = 0.04 * (p->high - p->low);
  p->left -= dx;
  p->right += dx;
  p->high += dy;
  if (p->low != 0) p->low -= dy;
}

static int any_below(const dp_vpc_panel *v) {
  for (int k = 0; k < v->nbin; k++)
    if (v->bin[k].nbelow > 0 || v->bin[k].below[2] > 0) return 1;
  return 0;
}

/* The fraction below the limit: interval as a box, observed as a point. */
static void fractions(panel p) {
  FILE *out = p.out;
  p.y += p.height + 56;
  p.height = BELOW - 40;
  p.low = 0;
  p.high = 0.05;
  for (int k = 0; k < p.v->nbin; k++) {
    widen(p.v->bin[k].below[2], &p.low, &p.high);
    widen((double)p.v->bin[k].nbelow / p.v->bin[k].nobs, &p.low, &p.high);
  }
  char text[32];
  snprintf(text, sizeof text, "%.0f %%", 100 * p.high);
  word(out, p.x, p.y - 6, "start", INK, "below quantification");
  word(out, p.x - 8, p.y + 5, "end", QUIET, text);
  word(out, p.x - 8, p.y + p.height + 4, "end", QUIET, "0");
  line(out, p.x, p.y + p.height, p.x + p.width, p.y + p.height, QUIET);
  for (int k = 0; k < p.v->nbin; k++) {
    const dp_vpc_bin *b = &p.v->bin[k];
    double seen = (double)b->nbelow / b->nobs, top = py(&p, b->below[2]), bottom = py(&p, b->below[0]);
    if (isnan(b->below[0])) continue;
    fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"10\" height=\"%.1f\" fill=\"" OUTER "\" fill-opacity=\"0.22\"/>\n",
            px(&p, b->middle) - 5, top, bottom - top + 1);
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n", px(&p, b->middle), py(&p, seen),
            seen >= b->below[0] && seen <= b->below[2] ? OUTER : ALARM);
  }
}

static void draw(panel *p, const char *axis) {
  FILE *out = p->out;
  range(p);
  axes(p, axis);
  fprintf(out, "<clipPath id=\"v%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n<g clip-path=\"url(#v%d)\">\n",
          p->number, p->x, p->y - 8, p->width, p->height + 16, p->number);
  static const char *const colour[DP_VPC_NPERCENTILE] = {OUTER, INNER, OUTER};
  points(p);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) band(p, q, colour[q]);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) curve(p, q, 1, colour[q]);
  for (int q = 0; q < DP_VPC_NPERCENTILE; q++) curve(p, q, 0, colour[q]);
  fprintf(out, "</g>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"" QUIET "\"/>\n", p->x, p->y,
          p->width, p->height);
  for (int k = 1; k < p->v->nbin; k++) { /* where one bin ends and the next begins */
    double at = px(p, 0.5 * (p->v->bin[k - 1].high + p->v->bin[k].low));
    line(out, at, p->y, at, p->y + 5, QUIET);
  }
  if (any_below(p->v)) fractions(*p);
}

static void legend(FILE *out, double x, double y, const char *colour, const char *what) {
  fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"26\" height=\"12\" fill=\"%s\" fill-opacity=\"0.22\"/>\n", x, y - 10, colour);
  fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" stroke-width=\"1.8\"/>\n", x, x + 26, y - 4, y - 4, colour);
  fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\" fill=\"%s\"/>\n", x + 13, y - 4, colour);
  word(out, x + 34, y, "start", INK, what);
}

int cli_plot_vpc(const char *path, const char *title, const char *axis, const dp_vpc *vpc) {
  FILE *out = fopen(path, "w");
  if (!out) {
    fprintf(stderr, "doppel: %s can't be written\n", path);
    return 3;
  }
  int across = vpc->npanel < ACROSS ? 1 : ACROSS, rows = (vpc->npanel + across - 1) / across, below = 0;
  for (int i = 0; i < vpc->npanel; i++) below |= any_below(&vpc->panel[i]);
  const double cell = HEIGHT + FOOT + 30 + (below ? BELOW : 0), width = across * (double)(WIDTH + LEFT + RIGHT);
  const double height = TOP + rows * cell;
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
          "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"" INK "\">\n<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
          width, height, width, height);
  word(out, 20, 26, "start", INK, title);
  legend(out, 20, 50, OUTER, "5 %, 95 %");
  legend(out, 130, 50, INNER, "median");
  word(out, 224, 50, "start", INK, "line: observed, band: 90 % of simulations");
  fprintf(out, "<circle cx=\"516\" cy=\"46\" r=\"6.5\" fill=\"none\" stroke=\"" ALARM "\" stroke-width=\"1.6\"/>\n");
  word(out, 530, 50, "start", INK, "observed outside");
  for (int i = 0; i < vpc->npanel; i++) {
    panel p = {out, &vpc->panel[i], i, LEFT + (i % across) * (double)(WIDTH + LEFT + RIGHT), TOP + (i / across) * cell, WIDTH, HEIGHT, 0, 1, 0, 1};
    draw(&p, axis);
  }
  fprintf(out, "</svg>\n");
  if (fclose(out) == 0) return 0;
  fprintf(stderr, "doppel: %s could not be written to its end\n", path);
  return 3;
}
