/* chain.c - floor 6, folder sample: the table of draws, in memory and on disk.
 *
 * The file is text with tabs, so that any program reads it; numbers are written so that they read back exactly:
 *
 *     # doppel draws 1
 *     # sampler <name>
 *     # tag <text>
 *     # seed <decimal>
 *     # size <n> <nchain> <first_chain> <ndraw> <stat 0|1> <nstate> <nplace>
 *     # name <id>                                   n times
 *     chain  draw  loglik  logprior  [accept ...]  <id> ...     the table: draws that are made, chain by chain
 *     # state <chain> <nstate numbers>              nchain times
 *     # place <chain> <draw> <n numbers>            nplace times
 *     # end
 *
 * A file without its last line is refused; writing replaces the whole file at once (dpi_file_write).
 */
#include "infer/sample/chain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define FILE_MOST ((size_t)4 << 30)
#define NUMBERS_MOST ((size_t)1 << 30) /* in one table */

static const char *const stat_name[] = {
#define STAT_TEXT(name, text) text,
    DPI_DRAW_STAT_LIST(STAT_TEXT)
#undef STAT_TEXT
};

/* ---- memory ---- */

static dp_status check_size(dp_ctx *ctx, const dpi_draws_def *def) {
  if (def->n < 1 || def->nchain < 1 || def->ndraw < 1 || def->nstate < 0 || def->first_chain < 0)
    return dpi_fail(ctx, DP_ERR_INPUT, "draws: %d parameters, %d chains, %d draws: each must be at least 1", def->n,
                    def->nchain, def->ndraw);
  size_t row = (size_t)def->n + 2 + DPI_DRAW_NSTAT;
  if ((size_t)def->ndraw > NUMBERS_MOST / row / (size_t)def->nchain)
    return dpi_fail(ctx, DP_ERR_INPUT, "draws: %d chains x %d draws x %d parameters: more than 2^30 numbers",
                    def->nchain, def->ndraw, def->n);
  return DP_OK;
}

static dp_status fill(dpi_draws *s, const dpi_draws_def *def) {
  size_t slot = (size_t)def->nchain * (size_t)def->ndraw;
  dpi_arena *a = &s->arena;
  s->sampler = dpi_arena_strdup(a, def->sampler ? def->sampler : "");
  s->tag = dpi_arena_strdup(a, def->tag ? def->tag : "");
  s->name = DPI_ARENA_ARRAY(a, const char *, (size_t)def->n);
  s->done = DPI_ARENA_ARRAY(a, int, (size_t)def->nchain);
  s->x = DPI_ARENA_ARRAY(a, double, slot *(size_t)def->n);
  s->loglik = DPI_ARENA_ARRAY(a, double, slot);
  s->logprior = DPI_ARENA_ARRAY(a, double, slot);
  s->stat = def->stat ? DPI_ARENA_ARRAY(a, double, slot *DPI_DRAW_NSTAT) : NULL;
  s->state = DPI_ARENA_ARRAY(a, double, (size_t)def->nchain *(size_t)def->nstate + 1);
  if (!s->sampler || !s->tag || !s->name || !s->done || !s->x || !s->loglik || !s->logprior || !s->state ||
      (def->stat && !s->stat))
    return DP_ERR_MEMORY;
  for (int k = 0; k < def->n; k++) {
    s->name[k] = def->name ? dpi_arena_strdup(a, def->name[k]) : dpi_arena_printf(a, "x%d", k);
    if (!s->name[k]) return DP_ERR_MEMORY;
  }
  return DP_OK;
}

dp_status dpi_draws_create(dp_ctx *ctx, const dpi_draws_def *def, dpi_draws **out) {
  *out = NULL;
  DP_TRY(check_size(ctx, def));
  dpi_draws *s = DPI_NEW(ctx, dpi_draws);
  if (!s) return DP_ERR_MEMORY;
  s->ctx = ctx;
  dpi_arena_init(&s->arena, ctx);
  s->seed = def->seed;
  s->n = def->n;
  s->nchain = def->nchain;
  s->first_chain = def->first_chain;
  s->ndraw = def->ndraw;
  s->nstate = def->nstate;
  dp_status status = fill(s, def);
  if (status != DP_OK) {
    dpi_draws_destroy(s);
    return status;
  }
  *out = s;
  return DP_OK;
}

void dpi_draws_destroy(dpi_draws *s) {
  if (!s) return;
  dpi_free(s->ctx, s->place);
  dpi_arena_release(&s->arena);
  dpi_free(s->ctx, s);
}

dp_status dpi_draws_place(dpi_draws *s, int chain, int draw, const double *x) {
  size_t width = (size_t)s->n + 2;
  if (s->nplace >= DPI_DRAWS_PLACES) return DP_OK;
  DP_TRY(dpi_grow(s->ctx, (void **)&s->place, &s->place_cap, s->nplace + 1, sizeof(double) * width));
  double *row = s->place + (size_t)s->nplace++ * width;
  row[0] = chain;
  row[1] = draw;
  memcpy(row + 2, x, sizeof(double) * (size_t)s->n);
  return DP_OK;
}

void dpi_draws_column(const dpi_draws *s, int k, double *out) {
  for (int c = 0; c < s->nchain; c++)
    for (int i = 0; i < s->ndraw; i++) {
      size_t at = dpi_draws_at(s, c, i);
      out[at] = k < 0 ? s->loglik[at] + s->logprior[at] : s->x[at * (size_t)s->n + (size_t)k];
    }
}

/* ---- writing ---- */

static void put(dpi_str *t, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addn(t, "\t", 1);
  dpi_str_add(t, text);
}

static void write_head(const dpi_draws *s, dpi_str *t) {
  dpi_str_addf(t, "# doppel draws 1\n# sampler %s\n# tag %s\n# seed %llu\n", s->sampler, s->tag,
               (unsigned long long)s->seed);
  dpi_str_addf(t, "# size %d %d %d %d %d %d %d\n", s->n, s->nchain, s->first_chain, s->ndraw, s->stat != NULL,
               s->nstate, s->nplace);
  for (int k = 0; k < s->n; k++) dpi_str_addf(t, "# name %s\n", s->name[k]);
  dpi_str_add(t, "chain\tdraw\tloglik\tlogprior");
  for (int k = 0; s->stat && k < DPI_DRAW_NSTAT; k++) dpi_str_addf(t, "\t%s", stat_name[k]);
  for (int k = 0; k < s->n; k++) dpi_str_addf(t, "\t%s", s->name[k]);
  dpi_str_add(t, "\n");
}

static void write_row(const dpi_draws *s, int c, int i, dpi_str *t) {
  size_t at = dpi_draws_at(s, c, i);
  dpi_str_addf(t, "%d\t%d", s->first_chain + c, i);
  put(t, s->loglik[at]);
  put(t, s->logprior[at]);
  for (int k = 0; s->stat && k < DPI_DRAW_NSTAT; k++) put(t, s->stat[at * DPI_DRAW_NSTAT + (size_t)k]);
  for (int k = 0; k < s->n; k++) put(t, s->x[at * (size_t)s->n + (size_t)k]);
  dpi_str_add(t, "\n");
}

dp_status dpi_draws_save(const dpi_draws *s, const char *path) {
  dpi_str t;
  dpi_str_init(&t, s->ctx);
  write_head(s, &t);
  for (int c = 0; c < s->nchain; c++)
    for (int i = 0; i < s->done[c]; i++) write_row(s, c, i, &t);
  for (int c = 0; c < s->nchain; c++) {
    dpi_str_addf(&t, "# state\t%d", c);
    for (int k = 0; k < s->nstate; k++) put(&t, s->state[(size_t)c * (size_t)s->nstate + (size_t)k]);
    dpi_str_add(&t, "\n");
  }
  for (int p = 0; p < s->nplace; p++) {
    const double *row = s->place + (size_t)p * ((size_t)s->n + 2);
    dpi_str_addf(&t, "# place\t%.0f\t%.0f", row[0], row[1]);
    for (int k = 0; k < s->n; k++) put(&t, row[2 + k]);
    dpi_str_add(&t, "\n");
  }
  dpi_str_add(&t, "# end\n");
  dp_status status = t.failed ? DP_ERR_MEMORY : dpi_file_write(s->ctx, path, dpi_str_text(&t), t.len);
  dpi_str_release(&t);
  return status;
}

/* ---- reading ---- */

typedef struct reader {
  dp_ctx *ctx;
  const char *path;
  char *next; /* not yet read */
  int line;
} reader;

static dp_status bad(reader *r, const char *what) {
  return dpi_fail(r->ctx, DP_ERR_INPUT, "%s:%d: table of draws: %s", r->path, r->line, what);
}

/* the next line, NUL-terminated, or NULL at the end of the file */
static char *line_next(reader *r) {
  char *start = r->next, *end = start ? strchr(start, '\n') : NULL;
  r->line++;
  if (!end) return NULL;
  *end = 0;
  r->next = end + 1;
  return start;
}

/* the next field of a line, NULL when there is none */
static char *field_next(char **line) {
  char *start = *line;
  if (!start) return NULL;
  char *tab = strchr(start, '\t');
  if (tab) *tab = 0;
  *line = tab ? tab + 1 : NULL;
  return start;
}

static bool number(char **line, double *out) {
  char *f = field_next(line);
  if (!f) return false;
  *out = NAN;
  if (strcmp(f, "nan") == 0) return true;
  *out = f[0] == '-' ? -INFINITY : INFINITY;
  if (strcmp(f, "inf") == 0 || strcmp(f, "-inf") == 0) return true;
  return dpi_parse_double(f, out);
}

static bool whole(char **line, int64_t most, int *out) {
  int64_t v;
  char *f = field_next(line);
  if (!f || !dpi_parse_int(f, &v) || v < 0 || v > most) return false;
  *out = (int)v;
  return true;
}

/* one line that must be exactly this */
static dp_status expect(reader *r, const char *text) {
  char *line = line_next(r);
  if (line && strcmp(line, text) == 0) return DP_OK;
  return dpi_fail(
      r->ctx, DP_ERR_INPUT,
      "%s:%d: table of draws: found '%.60s', expected '%.120s': draws of another problem, option or seed; remove "
      "the file to start anew",
      r->path, r->line, line ? line : "the end of the file", text);
}

/* what a table of this def begins with, up to its size line (nplace: as the file says) */
static dp_status read_head(reader *r, const dpi_draws *s, int *nplace) {
  dpi_str t;
  dpi_str_init(&t, r->ctx);
  write_head(s, &t);
  dp_status status = t.failed ? DP_ERR_MEMORY : DP_OK;
  char *want = t.data;
  while (status == DP_OK && want && *want) {
    char *end = strchr(want, '\n');
    *end = 0;
    if (strncmp(want, "# size ", 7) == 0) {
      char *line = line_next(r), *last = line ? strrchr(line, ' ') : NULL;
      size_t head = (size_t)(strrchr(want, ' ') - want);
      char *count = last ? last + 1 : NULL;
      if (!last || (size_t)(last - line) != head || strncmp(line, want, head) != 0 ||
          !whole(&count, DPI_DRAWS_PLACES, nplace))
        status = bad(
            r, "sizes differ from those asked for (parameters, chains, draws, state): remove the file to start anew");
    } else {
      status = expect(r, want);
    }
    want = end + 1;
  }
  dpi_str_release(&t);
  return status;
}

static dp_status read_row(reader *r, dpi_draws *s, char *line) {
  int c, i;
  bool ok = whole(&line, INT32_MAX, &c) && whole(&line, INT32_MAX, &i);
  c -= ok ? s->first_chain : 0;
  if (!ok || c < 0 || c >= s->nchain || i >= s->ndraw || i != s->done[c])
    return bad(r, "expected chain and draw in order");
  size_t at = dpi_draws_at(s, c, i);
  ok = number(&line, &s->loglik[at]) && number(&line, &s->logprior[at]);
  for (int k = 0; ok && s->stat && k < DPI_DRAW_NSTAT; k++)
    ok = number(&line, &s->stat[at * DPI_DRAW_NSTAT + (size_t)k]);
  for (int k = 0; ok && k < s->n; k++) ok = number(&line, &s->x[at * (size_t)s->n + (size_t)k]);
  if (!ok || line) return bad(r, "a draw has the wrong number of columns, or something that is no number");
  s->done[c]++;
  return DP_OK;
}

static dp_status read_state(reader *r, dpi_draws *s, int c, char *line) {
  int number_of;
  bool ok = c < s->nchain && whole(&line, INT32_MAX, &number_of) && number_of == c;
  for (int k = 0; ok && k < s->nstate; k++) ok = number(&line, &s->state[(size_t)c * (size_t)s->nstate + (size_t)k]);
  return ok && !line ? DP_OK : bad(r, "a chain's state is not complete");
}

static dp_status read_place(reader *r, dpi_draws *s, char *line, double *x) {
  int c, i;
  bool ok = whole(&line, INT32_MAX, &c) && whole(&line, INT32_MAX, &i);
  for (int k = 0; ok && k < s->n; k++) ok = number(&line, &x[k]);
  if (!ok || line) return bad(r, "the place of a divergence is not complete");
  return dpi_draws_place(s, c, i, x);
}

static dp_status read_body(reader *r, dpi_draws *s, int nplace) {
  int nstate = 0;
  double *x = DPI_ARENA_ARRAY(&s->arena, double, (size_t)s->n);
  if (!x) return DP_ERR_MEMORY;
  for (;;) {
    char *line = line_next(r);
    if (!line) return bad(r, "the file ends too early");
    if (strcmp(line, "# end") == 0) break;
    if (strncmp(line, "# state\t", 8) == 0)
      DP_TRY(read_state(r, s, nstate++, line + 8));
    else if (strncmp(line, "# place\t", 8) == 0)
      DP_TRY(read_place(r, s, line + 8, x));
    else
      DP_TRY(read_row(r, s, line));
  }
  if (nstate != s->nchain || s->nplace != nplace) return bad(r, "states or places of divergences are missing");
  return DP_OK;
}

dp_status dpi_draws_load(dp_ctx *ctx, const char *path, const dpi_draws_def *def, dpi_draws **out) {
  char *data = NULL;
  size_t size = 0;
  int nplace = 0;
  *out = NULL;
  DP_TRY(dpi_file_read(ctx, path, FILE_MOST, &data, &size));
  reader r = {ctx, path, data, 0};
  dpi_draws *s = NULL;
  dp_status status = memchr(data, 0, size) ? bad(&r, "not a text file") : dpi_draws_create(ctx, def, &s);
  if (status == DP_OK) status = read_head(&r, s, &nplace);
  if (status == DP_OK) status = read_body(&r, s, nplace);
  dpi_free(ctx, data);
  if (status != DP_OK) {
    dpi_draws_destroy(s);
    return status;
  }
  *out = s;
  return DP_OK;
}
