/* nm_values.c - floor 3: $THETA, $OMEGA and $SIGMA: starting values, bounds, what is fixed. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

/* One token: '(' ')' ',' '=' or a word; 0 at the end of the record. */
typedef struct scan {
  nm_stream *s;
  const char *what; /* "$THETA" */
  const nm_line *item;
  int n, at, line;
  const char *p;
  char kind; /* 'w' word, else the character; 0 end */
  char word[64];
} scan;

static const char *comment_of(scan *c) {
  const char *text = strchr(c->item[c->at].text, ';');
  if (!text) return "";
  text += 1 + strspn(text + 1, "; \t");
  return text;
}

static bool separator(char ch) { return !ch || strchr(" \t(),=;&", ch) != NULL; }

static dp_status next(scan *c) {
  for (;;) {
    while (*c->p == ' ' || *c->p == '\t' || *c->p == '&') c->p++;
    if (*c->p && *c->p != ';') break;
    if (c->at + 1 >= c->n) return c->kind = 0, DP_OK;
    c->p = c->item[++c->at].text;
    c->line = c->item[c->at].line;
  }
  if (separator(*c->p)) return c->kind = *c->p++, DP_OK;
  size_t n = 0;
  while (!separator(c->p[n])) n++;
  if (n >= sizeof c->word) return NM_WRONG(c->s, c->line, "%s: found '%.40s...', expected a number", c->what, c->p);
  for (size_t i = 0; i < n; i++) c->word[i] = (char)(c->p[i] >= 'a' && c->p[i] <= 'z' ? c->p[i] - 32 : c->p[i]);
  c->word[n] = 0;
  c->p += n;
  c->kind = 'w';
  return DP_OK;
}

static dp_status unexpected(scan *c) {
  char one[2] = {c->kind, 0};
  return NM_WRONG(c->s, c->line, "%s: found '%s', expected a number", c->what,
                  c->kind == 'w' ? c->word
                  : c->kind      ? one
                                 : "end");
}

static bool is_fix(const char *w) { return strcmp(w, "FIX") == 0 || strcmp(w, "FIXED") == 0; }

static bool number_of(const char *w, double *x) {
  if (strcmp(w, "INF") == 0 || strcmp(w, "+INF") == 0) return *x = INFINITY, true;
  if (strcmp(w, "-INF") == 0) return *x = -INFINITY, true;
  return nm_number(w, strlen(w), x);
}

/* "x3" behind a parenthesis: how many times. */
static int repeats(scan *c) {
  const char *p = c->p;
  if ((*p != 'x' && *p != 'X') || p[1] < '1' || p[1] > '9') return 1;
  size_t n = strspn(p + 1, "0123456789");
  if (n > 3 || !separator(p[1 + n])) return 1;
  c->p += 1 + n;
  return atoi(p + 1);
}

/* ---- $THETA ---- */

/* NM-TRAN's own bounds where none are given. */
#define NM_INFINITE 1e6

static dp_status add_theta(scan *c, const double *v, const bool *given, int n, bool fixed, int line) {
  nm_stream *s = c->s;
  if (s->ntheta >= NM_MAX_VALUE) return NM_REFUSE(s, line, "more than %d THETAs", NM_MAX_VALUE);
  nm_value t = {.low = -INFINITY, .high = INFINITY, .line = line, .fixed = fixed};
  for (int i = 0; i < n; i++)
    if (!given[i] && !(i == 0 && n > 1) && !(i == 2))
      return NM_REFUSE(s, line, "$THETA: no starting value for THETA(%d): NM-TRAN would search for one", s->ntheta + 1);
  t.init = n == 1 ? v[0] : v[1];
  if (n > 1 && given[0]) t.low = v[0];
  if (n > 2 && given[2]) t.high = v[2];
  if (!isfinite(t.init)) return NM_WRONG(s, line, "$THETA: THETA(%d) has no finite starting value", s->ntheta + 1);
  t.fixed = fixed || (t.low == t.init && t.high == t.init);
  if (t.fixed) t.low = -INFINITY, t.high = INFINITY;
  if (!(t.low < t.high) || t.init < t.low || t.init > t.high)
    return NM_WRONG(s, line, "$THETA: THETA(%d): the starting value %g does not lie between its bounds %g and %g",
                    s->ntheta + 1, t.init, t.low, t.high);
  if (!t.fixed && (t.init == t.low || t.init == t.high))
    return NM_WRONG(s, line, "$THETA: THETA(%d): the starting value %g lies on its bound", s->ntheta + 1, t.init);
  double far = fmax(NM_INFINITE, 10 * fabs(t.init));
  if (!t.fixed && t.low < -far) t.low = -far;
  if (!t.fixed && t.high > far) t.high = far;
  t.comment = dpi_arena_strdup(s->arena, comment_of(c));
  if (!t.comment) return DP_ERR_MEMORY;
  s->theta[s->ntheta++] = t;
  return DP_OK;
}

/* Behind "(": up to three numbers, FIX anywhere. */
static dp_status theta_list(scan *c) {
  double v[3] = {0};
  bool given[3] = {false}, fixed = false, empty = true;
  int n = 0, line = c->line;
  for (;;) {
    DP_TRY(next(c));
    if (c->kind == ')') break;
    if (c->kind == ',') {
      if (empty) n++;
      empty = true;
      if (n > 2) return NM_WRONG(c->s, c->line, "$THETA: more than three numbers in a parenthesis");
      continue;
    }
    if (c->kind != 'w') return unexpected(c);
    if (is_fix(c->word)) {
      fixed = true;
      continue;
    }
    if (n > 2) return NM_WRONG(c->s, c->line, "$THETA: more than three numbers in a parenthesis");
    if (!number_of(c->word, &v[n])) return unexpected(c);
    given[n++] = true;
    empty = false;
  }
  if (n == 0) return NM_WRONG(c->s, line, "$THETA: an empty parenthesis");
  int times = repeats(c);
  scan ahead = *c; /* "(0,1) FIX" */
  DP_TRY(next(&ahead));
  if (ahead.kind == 'w' && is_fix(ahead.word)) *c = ahead, fixed = true;
  for (int i = 0; i < times; i++) DP_TRY(add_theta(c, v, given, n, fixed, line));
  return DP_OK;
}

static bool theta_option(const char *w) {
  static const char *const known[] = {"ABORT", "NOABORT", "NOABORTFIRST", "UNINT", "INT"};
  for (int i = 0; i < DPI_COUNT(known); i++)
    if (strcmp(w, known[i]) == 0) return true;
  return false;
}

dp_status nm_theta_read(nm_stream *s, const nm_line *line, int n) {
  scan c = {.s = s, .what = "$THETA", .item = line, .n = n, .p = line[0].text, .line = line[0].line};
  for (;;) {
    DP_TRY(next(&c));
    if (!c.kind) return DP_OK;
    if (c.kind == ',') continue;
    if (c.kind == '(') {
      DP_TRY(theta_list(&c));
      continue;
    }
    double v;
    bool given = true;
    if (c.kind != 'w') return unexpected(&c);
    if (theta_option(c.word)) continue;
    if (!number_of(c.word, &v)) {
      if (!strncmp(c.word, "NAMES", 5) || !strncmp(c.word, "NUMBERP", 7) || !strchr("0123456789.+-", c.word[0]))
        return NM_REFUSE(s, c.line, "$THETA: '%s' is not supported", c.word);
      return unexpected(&c);
    }
    scan ahead = c;
    DP_TRY(next(&ahead));
    bool fixed = ahead.kind == 'w' && is_fix(ahead.word);
    int at = c.line;
    if (fixed) c = ahead;
    DP_TRY(add_theta(&c, &v, &given, 1, fixed, at));
  }
}

/* ---- $OMEGA, $SIGMA ---- */

typedef struct matrix_record {
  int block; /* size, 0 diagonal */
  int same;  /* copies, 0 none */
  bool fixed, sd, corr, chol;
  double value[NM_MAX_ETA * (NM_MAX_ETA + 1) / 2];
  bool fix_one[NM_MAX_ETA * (NM_MAX_ETA + 1) / 2], sd_one[NM_MAX_ETA * (NM_MAX_ETA + 1) / 2];
  const char *comment[NM_MAX_ETA * (NM_MAX_ETA + 1) / 2];
  int n, last; /* values; the first one of the last item */
} matrix_record;

static bool starts(const char *word, const char *full, size_t least) {
  size_t n = strlen(word);
  return n >= least && n <= strlen(full) && strncmp(word, full, n) == 0;
}

/* "(3)" behind a word, fallback when there is none. */
static dp_status count_behind(scan *c, int fallback, int *out) {
  scan ahead = *c;
  *out = fallback;
  DP_TRY(next(&ahead));
  if (ahead.kind != '(') return DP_OK;
  DP_TRY(next(&ahead));
  double x = 0;
  bool good =
      ahead.kind == 'w' && nm_number(ahead.word, strlen(ahead.word), &x) && x >= 1 && x <= NM_MAX_ETA && x == floor(x);
  if (!good)
    return NM_REFUSE(c->s, ahead.line, "%s: expected a whole number from 1 to %d in parentheses", c->what, NM_MAX_ETA);
  *out = (int)x;
  DP_TRY(next(&ahead));
  if (ahead.kind != ')') return unexpected(&ahead);
  *c = ahead;
  return DP_OK;
}

/* A word that says how values are meant; *known false when it is none. */
static bool matrix_option(matrix_record *r, const char *w, bool one) {
  if (is_fix(w)) {
    for (int i = r->last; i < r->n && !r->block; i++) r->fix_one[i] = true;
    if (r->block || r->n == 0) r->fixed = true;
  } else if (strcmp(w, "SD") == 0 || starts(w, "STANDARD", 4)) {
    for (int i = r->last; i < r->n && !r->block; i++) r->sd_one[i] = true;
    if (r->block || r->n == 0) r->sd = true;
  } else if (starts(w, "CORRELATION", 4)) {
    r->corr = true;
  } else if (starts(w, "CHOLESKY", 4)) {
    r->chol = true;
  } else if (!starts(w, "VARIANCE", 3) && !starts(w, "COVARIANCE", 3) && !(one == false && strcmp(w, "UNINT") == 0)) {
    return false;
  }
  return true;
}

static dp_status add_value(scan *c, matrix_record *r, double v, int times) {
  if (times > DPI_COUNT(r->value) - r->n) return NM_REFUSE(c->s, c->line, "%s: too many values", c->what);
  r->last = r->n;
  for (int i = 0; i < times; i++) {
    r->comment[r->n] = dpi_arena_strdup(c->s->arena, comment_of(c));
    if (!r->comment[r->n]) return DP_ERR_MEMORY;
    r->value[r->n++] = v;
  }
  return DP_OK;
}

/* Behind "(": one number and words. */
static dp_status value_list(scan *c, matrix_record *r) {
  double v = 0;
  bool have = false, fixed = false, sd = false;
  for (;;) {
    DP_TRY(next(c));
    if (c->kind == ')') break;
    if (c->kind == ',') continue;
    if (c->kind != 'w') return unexpected(c);
    if (is_fix(c->word))
      fixed = true;
    else if (strcmp(c->word, "SD") == 0 || starts(c->word, "STANDARD", 4))
      sd = true;
    else if (starts(c->word, "VARIANCE", 3))
      continue;
    else if (have || !nm_number(c->word, strlen(c->word), &v))
      return unexpected(c);
    else
      have = true;
  }
  if (!have) return NM_WRONG(c->s, c->line, "%s: a parenthesis without a number", c->what);
  int times = repeats(c);
  DP_TRY(add_value(c, r, v, times));
  if (fixed && r->block) r->fixed = true;
  if (sd && r->block) r->sd = true;
  for (int i = r->last; i < r->n; i++) r->fix_one[i] = fixed, r->sd_one[i] = sd;
  return DP_OK;
}

static dp_status matrix_word(scan *c, matrix_record *r, const nm_matrix *m) {
  double v;
  if (starts(c->word, "DIAGONAL", 4)) {
    int n;
    return count_behind(c, 0, &n);
  }
  if (strcmp(c->word, "BLOCK") == 0) {
    int last = 1;
    while (last < m->n && m->block[m->n - 1 - last] == m->block[m->n - 1]) last++;
    return count_behind(c, m->n ? last : 1, &r->block);
  }
  if (strcmp(c->word, "SAME") == 0) return count_behind(c, 1, &r->same);
  if (nm_number(c->word, strlen(c->word), &v)) return add_value(c, r, v, 1);
  if (matrix_option(r, c->word, false)) return DP_OK;
  return NM_REFUSE(c->s, c->line, "%s: '%s' is not supported", c->what, c->word);
}

static dp_status room(scan *c, nm_matrix *m, int more) {
  nm_stream *s = c->s;
  if (!m->entry) {
    m->entry = DPI_ARENA_ARRAY(s->arena, double, NM_MAX_ETA *NM_MAX_ETA);
    m->fixed = DPI_ARENA_ARRAY(s->arena, uint8_t, NM_MAX_ETA);
    m->same = DPI_ARENA_ARRAY(s->arena, int, NM_MAX_ETA);
    m->block = DPI_ARENA_ARRAY(s->arena, int, NM_MAX_ETA);
    m->comment = DPI_ARENA_ARRAY(s->arena, const char *, NM_MAX_ETA);
    if (!m->entry || !m->fixed || !m->same || !m->block || !m->comment) return DP_ERR_MEMORY;
  }
  if (m->n + more > NM_MAX_ETA) return NM_REFUSE(s, c->line, "%s: more than %d rows", c->what, NM_MAX_ETA);
  return DP_OK;
}

static dp_status put_diagonal(scan *c, nm_matrix *m, const matrix_record *r) {
  DP_TRY(room(c, m, r->n));
  for (int i = 0; i < r->n; i++) {
    double v = r->value[i];
    if (r->sd || r->sd_one[i]) v *= v;
    if (!(v >= 0)) return NM_WRONG(c->s, c->line, "%s: found the variance %g", c->what, v);
    int at = m->n++;
    m->entry[at * NM_MAX_ETA + at] = v;
    m->fixed[at] = r->fixed || r->fix_one[i];
    m->same[at] = -1;
    m->block[at] = at;
    m->comment[at] = r->comment[i];
    if (v == 0 && !m->fixed[at]) return NM_WRONG(c->s, c->line, "%s: a variance of 0 that is not FIX", c->what);
  }
  return DP_OK;
}

/* What the numbers of a block mean as covariances. */
static void block_values(const matrix_record *r, int n, double *v) {
  for (int i = 0, k = 0; i < n; i++)
    for (int j = 0; j <= i; j++, k++) v[i * n + j] = v[j * n + i] = r->value[k];
  if (r->chol) {
    double l[NM_MAX_ETA * NM_MAX_ETA];
    memcpy(l, v, sizeof(double) * (size_t)(n * n));
    for (int i = 0; i < n; i++)
      for (int j = 0; j <= i; j++) {
        double sum = 0;
        for (int k = 0; k <= j; k++) sum += l[i * n + k] * l[j * n + k];
        v[i * n + j] = v[j * n + i] = sum;
      }
    return;
  }
  for (int i = 0; i < n; i++)
    if (r->sd) v[i * n + i] *= v[i * n + i];
  for (int i = 0; i < n && r->corr; i++)
    for (int j = 0; j < i; j++) v[i * n + j] = v[j * n + i] = v[i * n + j] * sqrt(v[i * n + i] * v[j * n + j]);
}

static dp_status put_block(scan *c, nm_matrix *m, const matrix_record *r) {
  int n = r->block;
  double v[NM_MAX_ETA * NM_MAX_ETA];
  DP_TRY(room(c, m, n));
  if (r->n != n * (n + 1) / 2)
    return NM_WRONG(c->s, c->line, "%s: BLOCK(%d) has %d values, expected %d", c->what, n, r->n, n * (n + 1) / 2);
  block_values(r, n, v);
  int first = m->n;
  for (int i = 0; i < n; i++) {
    int at = m->n++;
    for (int j = 0; j < n; j++) m->entry[at * NM_MAX_ETA + first + j] = v[i * n + j];
    m->fixed[at] = r->fixed;
    m->same[at] = -1;
    m->block[at] = first;
    m->comment[at] = r->comment[i * (i + 1) / 2 + i];
    if (!(v[i * n + i] >= 0)) return NM_WRONG(c->s, c->line, "%s: found the variance %g", c->what, v[i * n + i]);
  }
  return DP_OK;
}

/* Copies of the last block. */
static dp_status put_same(scan *c, nm_matrix *m, const matrix_record *r) {
  if (m->n == 0) return NM_WRONG(c->s, c->line, "%s: SAME without a block before it", c->what);
  int from = m->block[m->n - 1], n = m->n - from, size = r->block ? r->block : n;
  if (size != n) return NM_WRONG(c->s, c->line, "%s: BLOCK(%d) SAME behind a block of %d", c->what, size, n);
  if (r->n) return NM_WRONG(c->s, c->line, "%s: SAME with values", c->what);
  for (int k = 0; k < r->same; k++) {
    DP_TRY(room(c, m, n));
    int first = m->n;
    for (int i = 0; i < n; i++) {
      int at = m->n++;
      for (int j = 0; j < n; j++) m->entry[at * NM_MAX_ETA + first + j] = m->entry[(from + i) * NM_MAX_ETA + from + j];
      m->fixed[at] = m->fixed[from + i];
      m->same[at] = m->same[from + i] >= 0 ? m->same[from + i] : from + i;
      m->block[at] = first;
      m->comment[at] = m->comment[from + i];
    }
    from = first;
  }
  return DP_OK;
}

static dp_status matrix_items(scan *c, matrix_record *r, const nm_matrix *m) {
  for (;;) {
    DP_TRY(next(c));
    if (!c->kind) return DP_OK;
    if (c->kind == ',') continue;
    if (c->kind == '(')
      DP_TRY(value_list(c, r));
    else if (c->kind == 'w')
      DP_TRY(matrix_word(c, r, m));
    else
      return unexpected(c);
  }
}

dp_status nm_matrix_read(nm_stream *s, nm_matrix *m, const char *what, const nm_line *line, int n) {
  scan c = {.s = s, .what = what, .item = line, .n = n, .p = line[0].text, .line = line[0].line};
  matrix_record *r = DPI_NEW(s->ctx, matrix_record);
  if (!r) return DP_ERR_MEMORY;
  dp_status st = matrix_items(&c, r, m);
  if (st == DP_OK) st = r->same ? put_same(&c, m, r) : r->block ? put_block(&c, m, r) : put_diagonal(&c, m, r);
  dpi_free(s->ctx, r);
  return st;
}
