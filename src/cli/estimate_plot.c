/* estimate_plot.c - floor 9: pictures of fits and profiles, as SVG. */
#include "cli/estimate_plot.h"

#include <math.h>
#include <stdio.h>

#include "cli/svg.h"

#define BEST SVG_BLUE
#define OTHER SVG_ORANGE

/* ---- fit ---- */

#define FLOOR 1e-6 /* J above the best: smaller is drawn as this */

static double height_of(double above) { return log10(above > FLOOR ? above : FLOOR); }

static void waterfall(FILE *out, const dp_fit *f, svg_panel *p) {
  char text[64];
  p->left = 0.5;
  p->right = f->nstart + 0.5;
  p->low = log10(FLOOR) - 0.3;
  p->high = p->low + 1;
  for (int i = 0; i < f->nstart; i++)
    if (isfinite(f->start[i].j) && height_of(f->start[i].j - f->start[0].j) + 0.5 > p->high)
      p->high = height_of(f->start[i].j - f->start[0].j) + 0.5;
  svg_frame(out, p);
  for (int e = (int)ceil(p->low); e <= (int)floor(p->high); e++) {
    fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e8ec\"/>\n", p->x, p->x + p->width,
            svg_y(p, e), svg_y(p, e));
    snprintf(text, sizeof text, e == (int)log10(FLOOR) ? "≤ 1e%d" : "1e%d", e);
    svg_word(out, p->x - 6, svg_y(p, e) + 4, "end", SVG_QUIET, text);
  }
  for (int i = 0; i < f->nstart; i++) {
    if (!isfinite(f->start[i].j)) break;
    const double above = f->start[i].j - f->start[0].j;
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\" fill-opacity=\"0.75\"/>\n", svg_x(p, i + 1),
            svg_y(p, height_of(above)), above <= 0.1 ? BEST : OTHER);
  }
  snprintf(text, sizeof text, "J above the best, %d starts in order", f->nstart);
  svg_word(out, p->x, p->y - 10, "start", SVG_INK, text);
  snprintf(text, sizeof text, "best J %.6g, %.0f %% within 0.1", f->start[0].j, 100 * f->hit_rate);
  svg_word(out, p->x, p->y + p->height + 20, "start", BEST, text);
}

/* Optima as lines over the parameters, each within its box (or within what is seen of it). */
static void places(FILE *out, const dp_problem_desc *d, const dp_fit *f, svg_panel *p) {
  p->left = 0;
  p->right = 1;
  p->low = f->nparam - 0.5;
  p->high = -0.5;
  svg_frame(out, p);
  const int shown = f->noptimum < 10 ? f->noptimum : 10;
  for (int q = 0; q < f->nparam; q++) {
    fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e8ec\"/>\n", p->x, p->x + p->width,
            svg_y(p, q), svg_y(p, q));
    svg_word(out, p->x - 6, svg_y(p, q) + 4, "end", SVG_INK, d->id[q]);
  }
  for (int k = shown - 1; k >= 0; k--) {
    fprintf(out, "<polyline fill=\"none\" stroke=\"%s\" stroke-opacity=\"%.2f\" stroke-width=\"%s\" points=\"",
            k ? OTHER : BEST, k ? 0.9 - 0.07 * k : 1.0, k ? "1" : "2");
    for (int q = 0; q < f->nparam; q++) {
      double low = d->lower[q], high = d->upper[q];
      const double best = f->optimum[0].x[q];
      if (!isfinite(low)) low = best - 1 - fabs(best);
      if (!isfinite(high)) high = best + 1 + fabs(best);
      const double at = (f->optimum[k].x[q] - low) / (high - low);
      fprintf(out, "%.1f,%.1f ", svg_x(p, at < 0 ? 0 : at > 1 ? 1 : at), svg_y(p, q));
    }
    fprintf(out, "\"/>\n");
  }
  svg_word(out, p->x, p->y - 10, "start", SVG_INK,
       shown > 1 ? "the best optima within their boxes" : "the optimum within its box");
  svg_word(out, p->x, p->y + p->height + 20, "start", SVG_QUIET, "lower bound");
  svg_word(out, p->x + p->width, p->y + p->height + 20, "end", SVG_QUIET, "upper bound");
}

int cli_plot_fit(const char *path, const dp_problem_desc *d, const dp_fit *fit) {
  FILE *out = svg_open(path);
  if (!out) return 3;
  const double height = fit->nparam * 18.0 > 300 ? fit->nparam * 18.0 : 300;
  svg_panel left = {70, 60, 420, height, 0, 1, 0, 1}, right = {700, 60, 420, height, 0, 1, 0, 1};
  svg_begin(out, 1160, height + 110, true);
  svg_word(out, 20, 28, "start", SVG_INK, d->name);
  waterfall(out, fit, &left);
  places(out, d, fit, &right);
  return svg_end(out, path);
}

/* ---- profiles ---- */

/* Between two points: the cubic that has their slopes, where those fit to the rise; else a straight line. */
static void piece(FILE *out, const dp_limits *l, const dp_limit_point *a, const dp_limit_point *b, const svg_panel *p) {
  const double h = b->at - a->at, rise = b->j - a->j, most = 4 * (fabs(rise) + 0.05 * l->threshold);
  if (!(fabs(a->slope * h) <= most && fabs(b->slope * h) <= most)) {
    fprintf(out, "L%.2f,%.2f ", svg_x(p, b->at), svg_y(p, b->j - l->j));
    return;
  }
  fprintf(out, "C%.2f,%.2f %.2f,%.2f %.2f,%.2f ", svg_x(p, a->at + h / 3), svg_y(p, a->j - l->j + a->slope * h / 3),
          svg_x(p, b->at - h / 3), svg_y(p, b->j - l->j - b->slope * h / 3), svg_x(p, b->at), svg_y(p, b->j - l->j));
}

/* The profile through its points, which are shown, within the panel. */
static void curve(FILE *out, const dp_limits *l, const dp_limit *q, const svg_panel *p) {
  const int id = q->param < 0 ? l->nparam + (int)(q - l->limit) : q->param;
  svg_clip(out, p, 'p', id, 0);
  fprintf(out, "<path fill=\"none\" stroke=\"" BEST "\" stroke-width=\"1.5\" d=\"");
  const dp_limit_point *last = NULL;
  for (int k = 0; k < q->npoint; k++) {
    const dp_limit_point *at = &q->point[k];
    if (!isfinite(at->j)) continue;
    if (last) piece(out, l, last, at, p);
    else fprintf(out, "M%.2f,%.2f ", svg_x(p, at->at), svg_y(p, at->j - l->j));
    last = at;
  }
  fprintf(out, "\"/>");
  for (int k = 0; k < q->npoint; k++)
    if (isfinite(q->point[k].j))
      fprintf(out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"1.6\" fill=\"" BEST "\"/>", svg_x(p, q->point[k].at),
              svg_y(p, q->point[k].j - l->j));
  fprintf(out, "</g>\n");
}

static void profile(FILE *out, const dp_problem_desc *d, const dp_limits *l, const dp_limit *q, svg_panel *p) {
  char text[160];
  p->left = q->point[0].at;
  p->right = q->point[q->npoint - 1].at;
  if (!(p->right > p->left)) p->left -= 1, p->right += 1;
  const double margin = 0.04 * (p->right - p->left);
  p->left -= margin;
  p->right += margin;
  p->low = -0.1 * l->threshold;
  p->high = 1.6 * l->threshold;
  svg_frame(out, p);
  fprintf(out,
          "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"" OTHER "\" stroke-dasharray=\"4 3\"/>\n",
          p->x, p->x + p->width, svg_y(p, l->threshold), svg_y(p, l->threshold));
  curve(out, l, q, p);
  fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"" BEST "\"/>\n", svg_x(p, q->at), svg_y(p, 0));
  const double end[2] = {q->lower, q->upper};
  for (int k = 0; k < 2; k++)
    if (isfinite(end[k]))
      fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"" OTHER "\"/>\n", svg_x(p, end[k]),
              svg_x(p, end[k]), svg_y(p, l->threshold), p->y + p->height);
  svg_word(out, p->x, p->y - 6, "start", SVG_INK, q->name);
  svg_word(out, p->x + p->width, p->y - 6, "end", isfinite(q->lower) && isfinite(q->upper) ? SVG_QUIET : OTHER,
           q->verdict);
  static const char *const scale[] = {"", "ln ", "log10 "};
  snprintf(text, sizeof text, "%s%.4g", scale[q->param < 0 ? DP_SCALE_LIN : d->scale[q->param]], p->left + margin);
  svg_word(out, p->x, p->y + p->height + 14, "start", SVG_QUIET, text);
  snprintf(text, sizeof text, "%.4g", p->right - margin);
  svg_word(out, p->x + p->width, p->y + p->height + 14, "end", SVG_QUIET, text);
}

#define ACROSS 4

int cli_plot_limits(const char *path, const dp_problem_desc *d, const dp_limits *limits) {
  FILE *out = svg_open(path);
  if (!out) return 3;
  const int rows = (limits->n + ACROSS - 1) / ACROSS;
  svg_begin(out, 40 + ACROSS * 270, 60 + rows * 210, true);
  svg_word(out, 20, 28, "start", SVG_INK, d->name);
  for (int i = 0; i < limits->n; i++) {
    svg_panel p = {20 + (i % ACROSS) * 270, 70 + (i / ACROSS) * 210.0, 240, 150, 0, 1, 0, 1};
    profile(out, d, limits, &limits->limit[i], &p);
  }
  return svg_end(out, path);
}
