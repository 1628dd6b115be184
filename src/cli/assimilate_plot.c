/* assimilate_plot.c - floor 9: a person observation by observation, as SVG. */
#include "cli/assimilate_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/svg.h"

#define BAND SVG_BLUE
#define POINT SVG_ORANGE

enum { WIDTH = 420, HEIGHT = 200, LEFT = 70, TOP = 70, GAP_X = 110, GAP_Y = 80 };

static void include(svg_panel *p, double v) {
  if (!isfinite(v)) return;
  p->low = fmin(p->low, v);
  p->high = fmax(p->high, v);
}

/* Room around what is shown; equal ends are parted. */
static void widen(svg_panel *p, const cli_assimilate_row *row, int n) {
  p->left = INFINITY;
  p->right = -INFINITY;
  for (int i = 0; i < n; i++) {
    if (!isfinite(row[i].o.time)) continue; /* steady states have no place on the axis */
    p->left = fmin(p->left, row[i].o.time);
    p->right = fmax(p->right, row[i].o.time);
  }
  if (p->left > p->right) p->left = p->right = 0;
  if (!(p->right > p->left)) p->left -= 1, p->right += 1;
  if (!(p->high > p->low)) p->low -= 1, p->high += 1;
  double room = 0.03 * (p->right - p->left), up = 0.06 * (p->high - p->low);
  p->left -= room;
  p->right += room;
  p->low -= up;
  p->high += up;
}

static void axes(FILE *out, const svg_panel *p, const char *title, const char *unit) {
  char text[64];
  fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"" SVG_QUIET "\"/>\n",
          p->x, p->y, WIDTH, HEIGHT);
  double step = pow(10, floor(log10((p->high - p->low) / 2)));
  if ((p->high - p->low) / step > 8) step *= 2.5;
  for (double v = ceil(p->low / step) * step; v <= p->high; v += step) {
    fprintf(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#e3e8ec\"/>\n", p->x, p->x + WIDTH,
            svg_y(p, v), svg_y(p, v));
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    svg_word(out, p->x - 6, svg_y(p, v) + 4, "end", SVG_QUIET, text);
  }
  step = pow(10, floor(log10((p->right - p->left) / 2)));
  if ((p->right - p->left) / step > 10) step *= 2.5;
  for (double v = ceil(p->left / step) * step; v <= p->right; v += step) {
    snprintf(text, sizeof text, "%.6g", fabs(v) < 1e-9 * step ? 0 : v);
    svg_word(out, svg_x(p, v), p->y + HEIGHT + 16, "middle", SVG_QUIET, text);
  }
  svg_word(out, p->x, p->y - 10, "start", SVG_INK, title);
  svg_word(out, p->x + WIDTH, p->y - 10, "end", SVG_QUIET, unit);
}

/* A filled band over the rows of one sensor (-1: all); of the outlook's levels, or of a parameter's 5 and 95 %. */
static void band(FILE *out, const svg_panel *p, const cli_assimilate_row *row, int n, int sensor, int level, int param,
                 double opacity) {
  fprintf(out, "<polygon fill=\"" BAND "\" fill-opacity=\"%.2f\" points=\"", opacity);
  for (int pass = 0; pass < 2; pass++)
    for (int k = 0; k < n; k++) {
      const cli_assimilate_row *r = &row[pass ? n - 1 - k : k];
      double v =
          param < 0 ? r->outlook.q[pass ? DP_OUTLOOK_NLEVEL - 1 - level : level] : r->param[4 * param + 2 + pass];
      if ((sensor >= 0 && r->o.sensor != sensor) || !isfinite(v) || !isfinite(r->o.time)) continue;
      fprintf(out, "%.1f,%.1f ", svg_x(p, r->o.time), svg_y(p, v));
    }
  fprintf(out, "\"/>\n");
}

static void line(FILE *out, const svg_panel *p, const cli_assimilate_row *row, int n, int sensor, int param) {
  fprintf(out, "<polyline fill=\"none\" stroke=\"" BAND "\" stroke-width=\"1.5\" points=\"");
  for (int k = 0; k < n; k++) {
    double v = param < 0 ? row[k].outlook.q[3] : row[k].param[4 * param];
    if ((sensor >= 0 && row[k].o.sensor != sensor) || !isfinite(v) || !isfinite(row[k].o.time)) continue;
    fprintf(out, "%.1f,%.1f ", svg_x(p, row[k].o.time), svg_y(p, v));
  }
  fprintf(out, "\"/>\n");
}

static void sensor_panel(FILE *out, svg_panel *p, const dp_assimilation *a, int sensor, const cli_assimilate_row *row,
                         int n) {
  const dp_sensor_desc *s = dp_assimilation_sensor(a, sensor);
  char title[160];
  p->low = INFINITY;
  p->high = -INFINITY;
  for (int k = 0; k < n; k++) {
    if (row[k].o.sensor != sensor) continue;
    include(p, row[k].outlook.q[1]);
    include(p, row[k].outlook.q[5]);
    include(p, row[k].o.value);
  }
  widen(p, row, n);
  snprintf(title, sizeof title, "%.60s: forecast (50 and 90 %%), then measured", s->id);
  axes(out, p, title, s->unit);
  band(out, p, row, n, sensor, 1, -1, 0.18);
  band(out, p, row, n, sensor, 2, -1, 0.28);
  line(out, p, row, n, sensor, -1);
  for (int k = 0; k < n; k++)
    if (row[k].o.sensor == sensor && isfinite(row[k].o.value) && isfinite(row[k].o.time))
      fprintf(out,
              "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\" stroke=\"" POINT "\" stroke-width=\"1.5\"/>\n",
              svg_x(p, row[k].o.time), svg_y(p, row[k].o.value), row[k].read ? POINT : "white");
}

static void param_panel(FILE *out, svg_panel *p, const dp_assimilation *a, int e, const cli_assimilate_row *row,
                        int n) {
  const char *unit, *id = dp_assimilation_parameter(a, e, &unit);
  char title[160];
  p->low = INFINITY;
  p->high = -INFINITY;
  for (int k = 0; k < n; k++) {
    include(p, row[k].param[4 * e + 2]);
    include(p, row[k].param[4 * e + 3]);
  }
  widen(p, row, n);
  snprintf(title, sizeof title, "%.60s: mean and 90 %% after each", id);
  axes(out, p, title, unit);
  band(out, p, row, n, -1, 0, e, 0.2);
  line(out, p, row, n, -1, e);
}

static int by_time(const void *a, const void *b) {
  const cli_assimilate_row *x = a, *y = b;
  if (x->o.time != y->o.time) return x->o.time < y->o.time ? -1 : 1;
  return x->number - y->number;
}

/* Late ones stand at their time. */
static cli_assimilate_row *sorted(const cli_assimilate_row *row, int n) {
  cli_assimilate_row *s = malloc(((size_t)n + 1) * sizeof *s);
  if (s && n) memcpy(s, row, (size_t)n * sizeof *s);
  if (s) qsort(s, (size_t)n, sizeof *s, by_time);
  return s;
}

int cli_plot_assimilate(const char *path, const char *title, const char *time_unit, const dp_assimilation *a,
                        const cli_assimilate_row *given, int n) {
  cli_assimilate_row *row = sorted(given, n);
  FILE *out = row ? fopen(path, "w") : NULL;
  if (!out) {
    fprintf(stderr, "doppel: %s can't be written\n", path);
    free(row);
    return 3;
  }
  int nsensor = dp_assimilation_nsensor(a), npanel = nsensor + (n ? row[0].nparam : 0), rows = (npanel + 1) / 2;
  double width = 2 * WIDTH + LEFT + GAP_X + 30, height = TOP + rows * (HEIGHT + GAP_Y) + 10;
  char text[300];
  svg_begin(out, width, height, true);
  snprintf(text, sizeof text, "%.200s, observation by observation%s%.20s", title, time_unit[0] ? "; time in " : "",
           time_unit);
  svg_word(out, 20, 28, "start", SVG_INK, text);
  for (int k = 0; k < npanel && n; k++) {
    svg_panel p = {.x = LEFT + (k % 2) * (WIDTH + GAP_X), .y = TOP + (k / 2) * (HEIGHT + GAP_Y), .width = WIDTH,
                   .height = HEIGHT};
    if (k < nsensor)
      sensor_panel(out, &p, a, k, row, n);
    else
      param_panel(out, &p, a, k - nsensor, row, n);
  }
  free(row);
  return svg_end(out, path);
}
