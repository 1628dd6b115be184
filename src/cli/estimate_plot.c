/* estimate_plot.c - floor 9: pictures of fits and profiles, as SVG. */
#include "cli/estimate_plot.h"

#include <math.h>
#include <stdio.h>

#define INK "#1b2a36"
#define QUIET "#8796a3"
#define BEST "#0b6e8a"
#define OTHER "#c9773f"

typedef struct panel {
  double x, y, width, height; /* on the page */
  double left, right, low, high; /* what it shows */
} panel;

static double px(const panel *p, double v) { return p->x + (v - p->left) / (p->right - p->left) * p->width; }
static double py(const panel *p, double v) { return p->y + p->height - (v - p->low) / (p->high - p->low) * p->height; }

static void begin(FILE *out, double width, double height) {
  fprintf(out,
          "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" "
          "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"" INK "\">\n"
          "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
          width, height, width, height);
}

static void escaped(FILE *out, const char *s) {
  for (; *s; s++) {
    if (*s == '<') fputs("&lt;", out);
    else if (*s == '&') fputs("&amp;", out);
    else fputc(*s, out);
  }
}

static void word(FILE *out, double x, double y, const char *anchor, const char *colour, const char *s) {
  fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"%s\">", x, y, anchor, colour);
  escaped(out, s);
  fprintf(out, "</text>\n");
}

static void frame(FILE *out, const panel *p) {
  fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" stroke=\"" QUIET "\"/>\n",
          p->x, p->y, p->width, p->height);
}

static int finish(FILE *out, const char *path) {
  fprintf(out, "</svg>\n");
  if (fclose(out) == 0) return 0;
  fprintf(stderr, "doppel: %s could not be written to its end\n", path);
  return 3;
}

static FILE *open_plot(const char *path) {
  FILE *out = fopen(path, "w");
  if (!out) fprintf(stderr, "doppel: %s can't be written\n", path);
  return out;
}

/* ---- fit ---- */

#define FLOOR 1e-6 /* J above the best: smaller is drawn as this */

static double height_of(double above) { return log10(above > FLOOR ? above : FLOOR); }

static void waterfall(FILE *out, const dp_fit *f, panel *p) {
  char text[64];
  p->left = 0.5;
  p->right = f->nstart + 0.5;
  p->low = log10(FLOOR) - 0.3;
  p->high = p->low + 1;
  for (int i = 0; i < f->nstart; i++)
    if (isfinite(f->start[i].j) && height_of(f->start[i].j - f->start[0].j) + 0.5 > p->high)
      p->high = height_of(f->start[i].j - f->start[0].j) + 0.5;
  frame(out, p);
  for (int e = (int)ceil(p->low); e <= (int)floor(p->high); e++) {
    fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e8ec\"/>\n", p->x, p->x + p->width,
            py(p, e), py(p, e));
    snprintf(text, sizeof text, e == (int)log10(FLOOR) ? "≤ 1e%d" : "1e%d", e);
    word(out, p->x - 6, py(p, e) + 4, "end", QUIET, text);
  }
  for (int i = 0; i < f->nstart; i++) {
    if (!isfinite(f->start[i].j)) break;
    const double above = f->start[i].j - f->start[0].j;
    fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\" fill-opacity=\"0.75\"/>\n", px(p, i + 1),
            py(p, height_of(above)), above <= 0.1 ? BEST : OTHER);
  }
  snprintf(text, sizeof text, "J above the best, %d starts in order", f->nstart);
  word(out, p->x, p->y - 10, "start", INK, text);
  snprintf(text, sizeof text, "best J %.6g, %.0f %% within 0.1", f->start[0].j, 100 * f->hit_rate);
  word(out, p->x, p->y + p->height + 20, "start", BEST, text);
}

/* Optima as lines over the parameters, each within its box (or within what is seen of it). */
static void places(FILE *out, const dp_problem_desc *d, const dp_fit *f, panel *p) {
  p->left = 0;
  p->right = 1;
  p->low = f->nparam - 0.5;
  p->high = -0.5;
  frame(out, p);
  const int shown = f->noptimum < 10 ? f->noptimum : 10;
  for (int q = 0; q < f->nparam; q++) {
    fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e8ec\"/>\n", p->x, p->x + p->width,
            py(p, q), py(p, q));
    word(out, p->x - 6, py(p, q) + 4, "end", INK, d->id[q]);
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
      fprintf(out, "%.1f,%.1f ", px(p, at < 0 ? 0 : at > 1 ? 1 : at), py(p, q));
    }
    fprintf(out, "\"/>\n");
  }
  word(out, p->x, p->y - 10, "start", INK,
       shown > 1 ? "the best optima within their boxes" : "the optimum within its box");
  word(out, p->x, p->y + p->height + 20, "start", QUIET, "lower bound");
  word(out, p->x + p->width, p->y + p->height + 20, "end", QUIET, "upper bound");
}

int cli_plot_fit(const char *path, const dp_problem_desc *d, const dp_fit *fit) {
  FILE *out = open_plot(path);
  if (!out) return 3;
  const double height = fit->nparam * 18.0 > 300 ? fit->nparam * 18.0 : 300;
  panel left = {70, 60, 420, height, 0, 1, 0, 1}, right = {700, 60, 420, height, 0, 1, 0, 1};
  begin(out, 1160, height + 110);
  word(out, 20, 28, "start", INK, d->name);
  waterfall(out, fit, &left);
  places(out, d, fit, &right);
  return finish(out, path);
}

/* ---- profiles ---- */

/* Between two points: the cubic that has their slopes, where those fit to the rise; else a straight line. */
static void piece(FILE *out, const dp_limits *l, const dp_limit_point *a, const dp_limit_point *b, const panel *p) {
  const double h = b->at - a->at, rise = b->j - a->j, most = 4 * (fabs(rise) + 0.05 * l->threshold);
  if (!(fabs(a->slope * h) <= most && fabs(b->slope * h) <= most)) {
    fprintf(out, "L%.2f,%.2f ", px(p, b->at), py(p, b->j - l->j));
    return;
  }
  fprintf(out, "C%.2f,%.2f %.2f,%.2f %.2f,%.2f ", px(p, a->at + h / 3), py(p, a->j - l->j + a->slope * h / 3),
          px(p, b->at - h / 3), py(p, b->j - l->j - b->slope * h / 3), px(p, b->at), py(p, b->j - l->j));
}

/* The profile through its points, which are shown, within the panel. */
static void curve(FILE *out, const dp_limits *l, const dp_limit *q, const panel *p) {
  fprintf(out,
          "<clipPath id=\"p%d\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/></clipPath>\n<g "
          "clip-path=\"url(#p%d)\">",
          q->param, p->x, p->y, p->width, p->height, q->param);
  fprintf(out, "<path fill=\"none\" stroke=\"" BEST "\" stroke-width=\"1.5\" d=\"");
  const dp_limit_point *last = NULL;
  for (int k = 0; k < q->npoint; k++) {
    const dp_limit_point *at = &q->point[k];
    if (!isfinite(at->j)) continue;
    if (last) piece(out, l, last, at, p);
    else fprintf(out, "M%.2f,%.2f ", px(p, at->at), py(p, at->j - l->j));
    last = at;
  }
  fprintf(out, "\"/>");
  for (int k = 0; k < q->npoint; k++)
    if (isfinite(q->point[k].j))
      fprintf(out, "<circle cx=\"%.2f\" cy=\"%.2f\" r=\"1.6\" fill=\"" BEST "\"/>", px(p, q->point[k].at),
              py(p, q->point[k].j - l->j));
  fprintf(out, "</g>\n");
}

static void profile(FILE *out, const dp_problem_desc *d, const dp_limits *l, const dp_limit *q, panel *p) {
  char text[160];
  p->left = q->point[0].at;
  p->right = q->point[q->npoint - 1].at;
  if (!(p->right > p->left)) p->left -= 1, p->right += 1;
  const double margin = 0.04 * (p->right - p->left);
  p->left -= margin;
  p->right += margin;
  p->low = -0.1 * l->threshold;
  p->high = 1.6 * l->threshold;
  frame(out, p);
  fprintf(out,
          "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"" OTHER "\" stroke-dasharray=\"4 3\"/>\n",
          p->x, p->x + p->width, py(p, l->threshold), py(p, l->threshold));
  curve(out, l, q, p);
  fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"" BEST "\"/>\n", px(p, q->at), py(p, 0));
  const double end[2] = {q->lower, q->upper};
  for (int k = 0; k < 2; k++)
    if (isfinite(end[k]))
      fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"" OTHER "\"/>\n", px(p, end[k]),
              px(p, end[k]), py(p, l->threshold), p->y + p->height);
  word(out, p->x, p->y - 6, "start", INK, d->id[q->param]);
  word(out, p->x + p->width, p->y - 6, "end", isfinite(q->lower) && isfinite(q->upper) ? QUIET : OTHER, q->verdict);
  static const char *const scale[] = {"", "ln ", "log10 "};
  snprintf(text, sizeof text, "%s%.4g", scale[d->scale[q->param]], p->left + margin);
  word(out, p->x, p->y + p->height + 14, "start", QUIET, text);
  snprintf(text, sizeof text, "%.4g", p->right - margin);
  word(out, p->x + p->width, p->y + p->height + 14, "end", QUIET, text);
}

#define ACROSS 4

int cli_plot_limits(const char *path, const dp_problem_desc *d, const dp_limits *limits) {
  FILE *out = open_plot(path);
  if (!out) return 3;
  const int rows = (limits->n + ACROSS - 1) / ACROSS;
  begin(out, 40 + ACROSS * 270, 60 + rows * 210);
  word(out, 20, 28, "start", INK, d->name);
  for (int i = 0; i < limits->n; i++) {
    panel p = {20 + (i % ACROSS) * 270, 70 + (i / ACROSS) * 210.0, 240, 150, 0, 1, 0, 1};
    profile(out, d, limits, &limits->limit[i], &p);
  }
  return finish(out, path);
}
