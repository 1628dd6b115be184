/* bench_people.c - floor 8: the table of virtual people and their meals. */
#include "bench/bench_people.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "num/num.h"

enum { COLUMNS = 96, PURPOSE_MEAL = 0x6d65616c };

void dpi_bench_people_release(dpi_bench_people *p) {
  dpi_free(p->ctx, p->id);
  dpi_free(p->ctx, p->value);
  dpi_free(p->ctx, p->text);
  *p = (dpi_bench_people){.ctx = p->ctx};
}

/* The next line that is no comment, cut off; NULL: none. */
static char *next_line(char **at) {
  for (char *line; (line = *at) != NULL && *line;) {
    char *end = strchr(line, '\n');
    if (end) *end = 0;
    *at = end ? end + 1 : NULL;
    if (*line && *line != '#') return line;
  }
  return NULL;
}

static char *next_cell(char **at) {
  char *cell = *at, *end = cell ? strchr(cell, '\t') : NULL;
  if (end) *end = 0;
  *at = end ? end + 1 : NULL;
  return cell;
}

static dp_status read_rows(dpi_bench_people *p, char *at) {
  int cap = 0;
  for (char *line; (line = next_line(&at));) {
    DP_TRY(dpi_grow(p->ctx, (void **)&p->value, &cap, (p->nrow + 1) * p->ncol, sizeof *p->value));
    for (int c = 0; c < p->ncol; c++) {
      char *cell = next_cell(&line), *end = cell;
      const double v = cell ? strtod(cell, &end) : NAN;
      p->value[p->nrow * p->ncol + c] = cell && end > cell && *end == 0 ? v : NAN;
    }
    p->nrow++;
  }
  return p->nrow > 0 ? DP_OK : dpi_fail(p->ctx, DP_ERR_BUG, "the table of virtual people is empty");
}

dp_status dpi_bench_people_read(dp_ctx *ctx, dpi_bench_people *p) {
  *p = (dpi_bench_people){.ctx = ctx};
  const size_t size = strlen(dpi_s2008_people) + 1;
  p->text = dpi_alloc(ctx, size);
  p->id = DPI_NEW_ARRAY(ctx, char *, COLUMNS);
  dp_status st = p->text && p->id ? DP_OK : DP_ERR_MEMORY;
  if (st == DP_OK) {
    memcpy(p->text, dpi_s2008_people, size);
    char *at = p->text, *header = next_line(&at);
    while (header && p->ncol < COLUMNS) p->id[p->ncol++] = next_cell(&header);
    st = read_rows(p, at);
  }
  if (st != DP_OK) dpi_bench_people_release(p);
  return st;
}

double dpi_bench_people_value(const dpi_bench_people *p, int row, const char *id) {
  for (int c = 0; c < p->ncol; c++)
    if (strcmp(p->id[c], id) == 0) return p->value[row * p->ncol + c];
  return NAN;
}

/* Breakfast, lunch, dinner for 70 kg and more, less for lighter people; times vary by 20 min, amounts by 20 %. */
void dpi_bench_people_meals(const dpi_bench_people *p, int member, int days, uint64_t seed, dpi_bench_meal *meal) {
  static const double at[DPI_MEALS] = {420, 750, 1140}, grams[DPI_MEALS] = {45, 70, 80};
  const double weight = dpi_bench_people_value(p, member % p->nrow, "BW"), part = weight < 70 ? weight / 70 : 1;
  dpi_rng rng = dpi_rng_make(seed, (uint64_t)member, PURPOSE_MEAL);
  for (int d = 0; d < days; d++)
    for (int k = 0; k < DPI_MEALS; k++, meal++) {
      const double late = fmax(-60, fmin(60, 20 * dpi_rng_normal(&rng)));
      const double more = dpi_m_exp(fmax(-0.5, fmin(0.5, 0.2 * dpi_rng_normal(&rng))));
      meal->minute = 1440 * d + (int)(at[k] + late);
      meal->grams = floor(grams[k] * part * more + 0.5);
    }
}
