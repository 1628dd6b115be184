/* multistart_file.c - floor 6, inside infer/point: the state of a run of many starts as a table of text.
 *
 *     doppel multistart 3
 *     problem <sha256 of the definition, names, box and the caller's key>
 *     done    start end niter neval nfailed nredraw j loglik logprior j0 optimality x.. x0.. reason
 *     search  start nredraw neval nfailed j0 x0.. | reason | the search (dpi_trust_save)
 *     end     <lines>
 *
 * Columns are separated by tabs, numbers are the shortest that read back to the same. Starts that nobody has begun have
 * no line. What a line holds does not depend on when it was written, so a run that goes on ends with the same bytes.
 */
#include <math.h>
#include <string.h>

#include "infer/point/multistart_impl.h"
#include "infer/point/point_impl.h"

#define HEAD "doppel multistart 3\n"

static void add_number(dpi_str *out, double x) {
  char text[32];
  dpi_format_double(x, text);
  dpi_str_addf(out, "\t%s", text);
}

static void add_vector(dpi_str *out, const double *x, int n) {
  for (int i = 0; i < n; i++) add_number(out, x[i]);
}

dp_status dpi_campaign_identity(dpi_campaign *c) {
  const dpi_multistart_def *f = c->def;
  const dpi_trust_def *t = &f->trust;
  const dpi_density *d = c->d;
  dpi_str s;
  dpi_str_init(&s, d->ctx);
  dpi_str_addf(&s, "%s\n%d %d %llu %d %d %d %ld\n", f->key ? f->key : "", f->nstart, (int)f->sampling,
               (unsigned long long)f->seed, f->ngiven, f->screen, f->max_redraw, f->max_eval);
  dpi_str_addf(&s, "%d %d %d %ld %d %d", (int)t->hessian, t->exact_max, t->max_iter, t->max_eval, t->value_first,
               t->refresh);
  const double number[] = {t->gtol, t->ftol, t->xtol, t->noise, t->radius};
  add_vector(&s, number, DPI_COUNT(number));
  for (int i = 0; i < d->n; i++) {
    dpi_str_addf(&s, "\n%s\t%d", d->name[i], t->fixed ? t->fixed[i] : 0);
    add_number(&s, d->lower[i]);
    add_number(&s, d->upper[i]);
    add_number(&s, t->scale ? t->scale[i] : 0);
  }
  for (int k = 0; k < f->ngiven; k++) add_vector(&s, f->given + (size_t)k * (size_t)d->n, d->n);
  dp_status status = s.failed ? DP_ERR_MEMORY : DP_OK;
  if (status == DP_OK) dpi_sha256_hex(s.data, s.len, c->problem);
  dpi_str_release(&s);
  return status;
}

/* ---- writing ---- */

static void add_done(dpi_str *out, const dpi_start *s, int k, int n) {
  dpi_str_addf(out, "done\t%d\t%s\t%d\t%ld\t%ld\t%d", k, dpi_trust_end_name(s->end), s->niter, s->neval, s->nfailed,
               s->nredraw);
  const double number[] = {s->j, s->loglik, s->logprior, s->j0, s->optimality};
  add_vector(out, number, DPI_COUNT(number));
  add_vector(out, s->x, n);
  add_vector(out, s->x0, n);
  dpi_str_addf(out, "\t%s\n", s->reason);
}

static void add_search(dpi_str *out, const dpi_start *s, int k, int n, const dpi_trust *t) {
  dpi_str_addf(out, "search\t%d\t%d\t%ld\t%ld", k, s->nredraw, s->neval, s->nfailed);
  add_number(out, s->j0);
  add_vector(out, s->x0, n);
  dpi_str_addf(out, "\t%s\t", s->reason);
  dpi_trust_save(t, out);
  dpi_str_add(out, "\n");
}

dp_status dpi_campaign_save(dpi_campaign *c) {
  dpi_str s;
  int lines = 0;
  dpi_str_init(&s, c->d->ctx);
  dpi_str_addf(&s, HEAD "problem\t%s\n", c->problem);
  for (int k = 0; k < c->ms->nstart; k++) {
    int slot = 0;
    if (c->state[k] == START_WAITING) continue;
    lines++;
    if (c->state[k] == START_DONE) {
      add_done(&s, &c->ms->start[k], k, c->d->n);
      continue;
    }
    while (c->who[slot] != k) slot++;
    add_search(&s, &c->ms->start[k], k, c->d->n, c->slot[slot]);
  }
  dpi_str_addf(&s, "end\t%d\n", lines);
  dp_status status = s.failed ? DP_ERR_MEMORY : dpi_file_write(c->d->ctx, c->def->file, s.data, s.len);
  dpi_str_release(&s);
  c->saved_at = dpi_clock_s();
  return status;
}

/* ---- reading ---- */

typedef struct reader {
  char *at; /* what is left of the line, NULL: nothing */
  bool bad;
} reader;

/* The next column, ended by a zero; "" and bad when there is none. */
static char *column(reader *r) {
  char *word = r->at, *tab = word ? strchr(word, '\t') : NULL;
  if (!word) {
    r->bad = true;
    return "";
  }
  if (tab) *tab = 0;
  r->at = tab ? tab + 1 : NULL;
  return word;
}

static double number(reader *r) {
  const char *word = column(r);
  double x = 0;
  if (strcmp(word, "inf") == 0) return INFINITY;
  if (strcmp(word, "-inf") == 0) return -INFINITY;
  if (strcmp(word, "nan") == 0) return NAN;
  if (!dpi_parse_double(word, &x)) r->bad = true;
  return x;
}

static long whole(reader *r, long most) {
  int64_t k = 0;
  if (!dpi_parse_int(column(r), &k) || k < 0 || k > most) {
    r->bad = true;
    return 0;
  }
  return (long)k;
}

static void vector(reader *r, double *x, int n) {
  for (int i = 0; i < n; i++) x[i] = number(r);
}

static void read_done(dpi_campaign *c, reader *r, int k) {
  dpi_start *s = &c->ms->start[k];
  int end = dpi_trust_end_find(column(r));
  s->niter = (int)whole(r, INT32_MAX);
  s->neval = whole(r, INT64_MAX);
  s->nfailed = whole(r, INT64_MAX);
  s->nredraw = (int)whole(r, INT32_MAX);
  double *value[] = {&s->j, &s->loglik, &s->logprior, &s->j0, &s->optimality};
  for (int i = 0; i < DPI_COUNT(value); i++) *value[i] = number(r);
  vector(r, s->x, c->d->n);
  vector(r, s->x0, c->d->n);
  dpi_point_reason(s->reason, column(r));
  if (end < 0 || r->at) r->bad = true;
  s->end = end < 0 ? DPI_TRUST_START : (dpi_trust_end)end;
  c->state[k] = START_DONE;
}

/* A search goes into a slot while there is one (the batch may be smaller now); else its start begins anew. */
static dp_status read_search(dpi_campaign *c, reader *r, int k) {
  dpi_start *s = &c->ms->start[k], fresh = *s;
  int slot = 0;
  s->nredraw = (int)whole(r, c->def->max_redraw);
  s->neval = whole(r, INT64_MAX);
  s->nfailed = whole(r, INT64_MAX);
  s->j0 = number(r);
  vector(r, s->x0, c->d->n);
  dpi_point_reason(s->reason, column(r));
  const char *text = column(r);
  while (slot < c->nslot && c->who[slot] >= 0) slot++;
  if (slot == c->nslot) {
    *s = fresh;
    return DP_OK;
  }
  DP_TRY(dpi_campaign_slot(c, slot));
  if (r->bad || !dpi_trust_load(c->slot[slot], text)) {
    r->bad = true;
    return DP_OK;
  }
  c->who[slot] = k;
  c->state[k] = START_SEARCH;
  return DP_OK;
}

static dp_status read_line(dpi_campaign *c, char *line, int number_of_line) {
  reader r = {line, false};
  const char *kind = column(&r);
  int k = (int)whole(&r, c->ms->nstart - 1);
  bool done = strcmp(kind, "done") == 0;
  if (r.bad || c->state[k] != START_WAITING || (!done && strcmp(kind, "search") != 0)) {
    r.bad = true;
  } else if (done) {
    read_done(c, &r, k);
  } else {
    DP_TRY(read_search(c, &r, k));
  }
  if (!r.bad) return DP_OK;
  return dpi_fail(c->d->ctx, DP_ERR_INPUT, "%s:%d: not a line of a multi-start file; remove the file to begin anew",
                  c->def->file, number_of_line);
}

static dp_status read_text(dpi_campaign *c, char *text) {
  char *save = NULL, problem[80] = "problem\t";
  int at = 1;
  strcat(problem, c->problem);
  char *line = strtok_r(text, "\n", &save);
  if (!line || strcmp(line, "doppel multistart 3") != 0)
    return dpi_fail(c->d->ctx, DP_ERR_CONFLICT, "%s: not a multi-start file; give another name", c->def->file);
  line = strtok_r(NULL, "\n", &save);
  if (!line || strcmp(line, problem) != 0)
    return dpi_fail(c->d->ctx, DP_ERR_CONFLICT,
                    "%s: the state of another problem or of other settings; give another name or remove it",
                    c->def->file);
  for (at = 3; (line = strtok_r(NULL, "\n", &save)) != NULL; at++) {
    if (strncmp(line, "end\t", 4) == 0) return DP_OK;
    DP_TRY(read_line(c, line, at));
  }
  return dpi_fail(c->d->ctx, DP_ERR_INPUT, "%s: the last line is missing; remove the file to begin anew", c->def->file);
}

dp_status dpi_campaign_load(dpi_campaign *c) {
  char *text = NULL;
  size_t size;
  if (!c->def->file || !dpi_file_exists(c->def->file)) return DP_OK;
  DP_TRY(dpi_file_read(c->d->ctx, c->def->file, (size_t)4 << 30, &text, &size));
  dp_status status = memchr(text, 0, size) ? dpi_fail(c->d->ctx, DP_ERR_CONFLICT, "%s: not a text", c->def->file)
                                           : read_text(c, text);
  dpi_free(c->d->ctx, text);
  return status;
}
