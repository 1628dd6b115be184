/* sensitivity_plot.c - floor 9: indices as bars with their intervals, as SVG. Two bars an input where there are two
 * shares (first, total), else one (mu_star, share). */
#include "cli/sensitivity_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/svg.h"

#define DARK SVG_BLUE
#define LIGHT "#9cc7d3"

enum { MOST_PANELS = 24, MOST_BARS = 20, WIDTH = 360, LABEL = 130, ROW = 22, HEAD = 34, FOOT = 30, GAP = 24 };

typedef struct chart {
  FILE *out;
  const dp_sensitivity *a;
  dp_sensitivity_desc d;
  int nbar, bar[2]; /* measures drawn: the longer one first */
  int shown;        /* inputs a panel */
  int *order;       /* [ngroup] */
} chart;

/* Names longer than their place end with dots. */
static const char *short_name(const char *name, char *room, size_t size) {
  if (strlen(name) < size) return name;
  snprintf(room, size, "%.*s...", (int)size - 4, name);
  return room;
}

static double size_of(const chart *c, int output, int group) {
  double x = fabs(dp_sensitivity_value(c->a, output, group, c->bar[0]).value);
  return isfinite(x) ? x : -1;
}

static void order_inputs(const chart *c, int output) {
  for (int g = 0; g < c->d.ngroup; g++) {
    int at = g;
    for (; at > 0 && size_of(c, output, c->order[at - 1]) < size_of(c, output, g); at--)
      c->order[at] = c->order[at - 1];
    c->order[at] = g;
  }
}

/* Shares are drawn from 0 to 1 or the next quarter, effects to the largest. */
static double top_of(const chart *c, int output) {
  double top = c->d.method == DP_SENSITIVITY_MORRIS ? 0 : 1;
  for (int g = 0; g < c->d.ngroup; g++)
    for (int k = 0; k < c->nbar; k++) {
      dp_estimate e = dp_sensitivity_value(c->a, output, g, c->bar[k]);
      if (isfinite(e.value)) top = fmax(top, e.value);
      if (isfinite(e.high)) top = fmax(top, e.high);
    }
  if (c->d.method != DP_SENSITIVITY_MORRIS) return 0.25 * ceil(4 * top - 1e-9);
  return top > 0 ? top : 1;
}

static void bar(const chart *c, dp_estimate e, double x, double y, double height, double scale, const char *colour) {
  if (!isfinite(e.value)) return;
  double long_is = fmax(e.value, 0) * scale;
  fprintf(c->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x, y, long_is, height,
          colour);
  if (!isfinite(e.low) || !isfinite(e.high)) return;
  double low = x + fmax(e.low, 0) * scale, high = x + fmax(e.high, 0) * scale, mid = y + 0.5 * height;
  svg_line(c->out, low, mid, high, mid, SVG_INK);
  svg_line(c->out, low, mid - 3, low, mid + 3, SVG_INK);
  svg_line(c->out, high, mid - 3, high, mid + 3, SVG_INK);
}

static void bars(const chart *c, int output, double x, double y) {
  double top = top_of(c, output), scale = (WIDTH - LABEL - 10) / top;
  char room[20], text[64];
  int step = c->d.method != DP_SENSITIVITY_MORRIS && top <= 2 ? (int)(4 * top + 0.5) : 4;
  for (int k = 0; k <= step; k++) {
    double at = x + LABEL + scale * top * k / step;
    svg_line(c->out, at, y, at, y + c->shown * ROW, SVG_GRID);
    snprintf(text, sizeof text, "%.3g", top * k / step);
    svg_word(c->out, at, y + c->shown * ROW + 14, "middle", SVG_QUIET, text);
  }
  order_inputs(c, output);
  for (int i = 0; i < c->shown; i++) {
    int g = c->order[i];
    double at = y + i * ROW;
    svg_word(c->out, x + LABEL - 6, at + 15, "end", SVG_INK, short_name(c->d.group[g], room, sizeof room));
    for (int k = 0; k < c->nbar; k++)
      bar(c, dp_sensitivity_value(c->a, output, g, c->bar[k]), x + LABEL, at + 3 + k * 8, c->nbar > 1 ? 8 : 16, scale,
          k == c->nbar - 1 ? DARK : LIGHT);
  }
}

static void panel(const chart *c, int output, const char *title, double x, double y) {
  char room[58];
  svg_word(c->out, x, y + 16, "start", SVG_INK, short_name(title, room, sizeof room));
  if (dp_sensitivity_constant(c->a, output))
    svg_word(c->out, x + LABEL, y + HEAD + 15, "start", SVG_QUIET, "constant: no indices");
  else
    bars(c, output, x, y + HEAD - 8);
}

static void legend(const chart *c, double y, int noutput, int drawn) {
  static const char *const words[][2] = {
      {"total: stays when all others are known", "first: goes when it becomes known"},
      {"", "mu_star: mean size of the change from one end of the range to the other"},
      {"", "share of the variance, divided fairly"}};
  double x = GAP;
  for (int k = 0; k < c->nbar; k++) {
    bool dark = k == c->nbar - 1;
    fprintf(c->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"14\" height=\"10\" fill=\"%s\"/>\n", x, y - 9,
            dark ? DARK : LIGHT);
    svg_word(c->out, x + 20, y, "start", SVG_INK, words[c->d.method][dark]);
    x += 270;
  }
  char text[120];
  int more = c->d.ngroup - c->shown, panels = noutput - drawn;
  if (more <= 0 && panels <= 0) return;
  snprintf(text, sizeof text, "not drawn: %d smaller inputs, %d further outputs", more > 0 ? more : 0,
           panels > 0 ? panels : 0);
  svg_word(c->out, GAP, y + 18, "start", SVG_QUIET, text);
}

static void draw(chart *c, int noutput, const char *const *title) {
  int drawn = noutput < MOST_PANELS ? noutput : MOST_PANELS, columns = drawn > 1 ? 2 : 1,
      rows = (drawn + columns - 1) / columns;
  double each = HEAD + c->shown * ROW + FOOT, width = GAP + columns * (WIDTH + GAP), height = rows * each + 60;
  if (width < 600) width = 600; /* the legend's words */
  svg_begin(c->out, width, height, false);
  for (int o = 0; o < drawn; o++) panel(c, o, title[o], GAP + (o % columns) * (WIDTH + GAP), 8 + (o / columns) * each);
  legend(c, rows * each + 26, noutput, drawn);
}

int cli_plot_sensitivity(const char *path, const dp_sensitivity *a, int noutput, const char *const *title) {
  chart c = {.a = a, .d = dp_sensitivity_describe(a)};
  c.nbar = c.d.method == DP_SENSITIVITY_SOBOL ? 2 : 1;
  c.bar[0] = c.d.method == DP_SENSITIVITY_SHAPLEY ? 0 : 1; /* total, mu_star, share */
  c.shown = c.d.ngroup < MOST_BARS ? c.d.ngroup : MOST_BARS;
  c.order = calloc((size_t)c.d.ngroup + 1, sizeof *c.order);
  int code = dp_status_exit_code(DP_ERR_IO);
  c.out = c.order ? svg_open(path) : NULL;
  if (c.out) {
    draw(&c, noutput, title);
    if (svg_end(c.out, path) == 0) code = 0;
  }
  free(c.order);
  return code;
}
