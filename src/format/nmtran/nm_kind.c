/* nm_kind.c - floor 3: what a control stream's code gives, written as the files of a kind.
 *
 *     observables_find   Y for each observable: prediction and standard deviation
 *     roots_find         everything results need, and variables for their names
 *     nm_people_find     occasions, individual parameters
 *     model_write, parameters_write, population_write, covariates_write, observables_write, controls_write, twin_write
 *
 * Y is linear in EPS at EPS = 0, as NONMEM takes it: with g = dY/dEPS the standard deviation is sqrt(g' SIGMA g).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

enum { MAX_OBSERVABLE = 64 };

typedef struct observable {
  const char *id;
  const char *dvid; /* "" any */
  int cmt;          /* 0 any */
  nm_node f, sd;    /* before people are known */
  int root;         /* of f; sd is the next */
} observable;

typedef struct control {
  int cmt;
  nm_node part[4]; /* F, ALAG, R, D; NM_NONE none */
  int root[4];
} control;

typedef struct writer {
  nm_stream *s;
  observable obs[MAX_OBSERVABLE];
  int nobs;
  int cmt_column, dvid_column; /* -1 */
  control ctl[NM_MAX_CMT];
  int nctl;
  int rate_root[NM_MAX_CMT + 1], start_root[NM_MAX_CMT + 1];
  nm_roots roots;
  nm_people people;
  dpi_map taken; /* names in use */
  /* symbols: [0] people's, then sd of EPS */
  nm_node sd_symbol[NM_MAX_ETA], cov_symbol[NM_MAX_ETA * NM_MAX_ETA];
  const char *sd_id[NM_MAX_ETA], *cov_id[NM_MAX_ETA * NM_MAX_ETA];
  const char *theta_id[NM_MAX_VALUE], *eta_id[NM_MAX_ETA], *cmt_id[NM_MAX_CMT + 1];
  bool need_one, need_zero;
  /* text of each node */
  const char **text, **name;
  uint8_t *prec, *mark;
  int n;
  dpi_str rules;
} writer;

/* ---- names ---- */

/* A name nobody has; "_" is added until that is so. */
static dp_status own_name(writer *w, const char *want, const char **out) {
  static const char *const words[] = {
      "E",       "PI",    "INF",         "NAN",     "model",    "end",      "in",       "at",         "is",
      "var",     "const", "compartment", "species", "function", "import",   "time",     "e",          "pi",
      "inf",     "nan",   "true",        "false",   "has",      "unit",     "delete",   "module",     "reaction",
      "formula", "event", "ext",         "gene",    "operator", "avogadro", "infinity", "notanumber", "identical",
      "not",     "and",   "or",          "delay",   "rate",     "lambda",   "min",      "max",        "log",
      "exp",     "one",   "zero",        "T",       "TRUE",     "FALSE",    "output",   "tags",       "maps",
      "using",   "after", "since",       "priority"};
  char text[96];
  snprintf(text, sizeof text, "%.60s", want);
  bool used = true;
  for (int k = 0; used && k < 30; k++) {
    used = dpi_map_get(&w->taken, text) >= 0;
    for (int i = 0; i < DPI_COUNT(words) && !used; i++) used = strcmp(words[i], text) == 0;
    size_t n = strlen(text);
    if (used && n + 1 < sizeof text) text[n] = '_', text[n + 1] = 0;
  }
  DP_TRY(dpi_map_put(&w->taken, text, 1));
  *out = dpi_arena_strdup(w->s->arena, text);
  return *out ? DP_OK : DP_ERR_MEMORY;
}

/* Compartments by their names in small letters; by number where a name says nothing. */
static dp_status compartment_names(writer *w) {
  for (int i = 1; i <= w->s->ncmt; i++) {
    char want[64], number[16];
    size_t n = 0;
    for (const char *p = w->s->cmt[i].name; *p && n + 1 < sizeof want; p++) {
      bool good = (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || *p == '_';
      want[n++] = !good ? '_' : *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
    }
    want[n] = 0;
    snprintf(number, sizeof number, "a%d", i);
    DP_TRY(own_name(w, want[0] >= 'a' && want[0] <= 'z' ? want : number, &w->cmt_id[i]));
  }
  return DP_OK;
}

/* Names of the data and of numbered things, before variables get theirs. */
static dp_status first_names(writer *w) {
  nm_stream *s = w->s;
  char text[32];
  dpi_map_init(&w->taken, s->ctx);
  for (int i = 0; i < s->nvar; i++)
    if (s->var[i].name[0] >= 'A') DP_TRY(dpi_map_put(&w->taken, s->var[i].name, 1));
  for (int i = 0; i < s->ncolumn; i++)
    if (*s->column[i].as) DP_TRY(dpi_map_put(&w->taken, s->column[i].as, 1));
  for (int i = 0; i < s->ntheta; i++) {
    snprintf(text, sizeof text, "THETA%d", i + 1);
    DP_TRY(own_name(w, text, &w->theta_id[i]));
  }
  for (int i = 0; i < s->omega.n; i++) {
    snprintf(text, sizeof text, "ETA%d", i + 1);
    DP_TRY(own_name(w, text, &w->eta_id[i]));
  }
  for (int i = 0; i < s->sigma.n; i++) {
    snprintf(text, sizeof text, "sd_EPS%d", i + 1);
    DP_TRY(own_name(w, text, &w->sd_id[i]));
  }
  return compartment_names(w);
}

/* ---- observables ---- */

/* Symbols of errors: numbers from NM_MAX_ETA on, sd first, covariances behind. */
static nm_node sd_of(writer *w, int eps) {
  nm_stream *s = w->s;
  const nm_matrix *m = &s->sigma;
  if (m->same[eps] >= 0) eps = m->same[eps];
  double v = m->entry[eps * NM_MAX_ETA + eps];
  if (m->fixed[eps] && v == 1) return nm_num(&s->g, 1);
  return nm_leaf(&s->g, X_SYM, NM_MAX_ETA + eps);
}

static nm_node square_term(nm_stream *s, nm_node sd, nm_node g) {
  return nm_make(&s->g, X_POW, nm_make(&s->g, X_MUL, sd, g, 0), nm_num(&s->g, 2), 0);
}

/* 2 g_i g_j cov_ij; covariances are numbers: a free one is refused. */
static dp_status covariance_term(writer *w, int i, int j, nm_node gi, nm_node gj, nm_node *sum) {
  nm_stream *s = w->s;
  double c = s->sigma.entry[i * NM_MAX_ETA + j];
  if (s->sigma.block[i] != s->sigma.block[j]) return DP_OK;
  if (!s->sigma.fixed[i])
    return NM_REFUSE(s, s->block[NM_ERROR].line, "$SIGMA BLOCK: covariances of EPS(%d) and EPS(%d) can only be FIX",
                     j + 1, i + 1);
  if (c == 0) return DP_OK;
  nm_node t = nm_make(&s->g, X_MUL, nm_make(&s->g, X_MUL, nm_num(&s->g, 2 * c), gi, 0), gj, 0);
  *sum = nm_make(&s->g, X_ADD, *sum, t, 0);
  return DP_OK;
}

/* Prediction and standard deviation of Y. */
static dp_status split_error(writer *w, nm_node y, observable *o) {
  nm_stream *s = w->s;
  nm_graph *g = &s->g;
  nm_node eps[NM_MAX_ETA], zero[NM_MAX_ETA], slope[NM_MAX_ETA];
  int used[NM_MAX_ETA], n = 0;
  for (int i = 0; i < s->sigma.n; i++) eps[i] = nm_leaf(g, X_EPS, i), zero[i] = nm_num(g, 0);
  DP_TRY(nm_check(s));
  for (int i = 0; i < s->sigma.n; i++) {
    bool ok;
    DP_TRY(nm_slope(g, y, i, &slope[n], &ok));
    if (!ok)
      return NM_REFUSE(s, s->block[NM_ERROR].line, "Y: EPS(%d) stands in a function that has no derivative here",
                       i + 1);
    DP_TRY(nm_substitute(g, &slope[n], 1, eps, zero, s->sigma.n));
    double v;
    if (!nm_is_num(g, slope[n], &v) || v != 0) used[n++] = i;
  }
  if (n == 0)
    return NM_REFUSE(s, s->block[NM_ERROR].line, "Y has no EPS: a measurement without an error is not supported");
  o->f = y;
  DP_TRY(nm_substitute(g, &o->f, 1, eps, zero, s->sigma.n));
  if (n == 1) {
    o->sd = nm_make(g, X_MUL, sd_of(w, used[0]), nm_make(g, X_ABS, slope[0], 0, 0), 0);
    return nm_check(s);
  }
  nm_node sum = nm_num(g, 0);
  for (int i = 0; i < n; i++) {
    sum = nm_make(g, X_ADD, sum, square_term(s, sd_of(w, used[i]), slope[i]), 0);
    for (int j = 0; j < i; j++) DP_TRY(covariance_term(w, used[i], used[j], slope[i], slope[j], &sum));
  }
  o->sd = nm_make(g, X_SQRT, sum, 0, 0);
  return nm_check(s);
}

/* F at an observation of compartment cmt: its amount over its scale. */
static nm_node scaled(nm_stream *s, int cmt) {
  char name[24];
  nm_node a = nm_leaf(&s->g, X_A, cmt);
  snprintf(name, sizeof name, "S%d", cmt);
  nm_node scale = nm_pk_value(s, name);
  if (scale == NM_NONE && cmt == s->defobs && s->closed) scale = nm_pk_value(s, "SC");
  return scale == NM_NONE ? a : nm_make(&s->g, X_DIV, a, scale, 0);
}

static dp_status add_observable(writer *w, nm_node y, const char *dvid, int cmt) {
  nm_stream *s = w->s;
  char want[48];
  if (w->nobs >= MAX_OBSERVABLE)
    return NM_REFUSE(s, s->block[NM_ERROR].line, "more than %d observables", MAX_OBSERVABLE);
  observable *o = &w->obs[w->nobs];
  *o = (observable){.dvid = dvid, .cmt = cmt};
  if (cmt)
    snprintf(want, sizeof want, "y_%.40s", w->cmt_id[cmt]);
  else if (strcmp(dvid, "*") == 0)
    snprintf(want, sizeof want, "y_other");
  else if (*dvid)
    snprintf(want, sizeof want, "y%.30s", dvid);
  else
    snprintf(want, sizeof want, "y");
  for (char *p = want; *p; p++)
    if (*p == '.' || *p == '-' || *p == '+') *p = '_';
  DP_TRY(own_name(w, want, &o->id));
  DP_TRY(split_error(w, y, o));
  w->nobs++;
  return DP_OK;
}

static dp_status uses_leaf(nm_stream *s, nm_node x, nm_op op, int index, bool *uses) {
  uint8_t *mark;
  nm_node leaf = nm_leaf(&s->g, op, index < 0 ? 0 : index);
  DP_TRY(nm_check(s));
  DP_TRY(nm_reach(&s->g, &x, 1, &mark));
  *uses = mark[leaf];
  dpi_free(s->ctx, mark);
  return DP_OK;
}

/* Compartments whose observations are told apart: with a scale of their own or named by the code, and the default;
 * where nothing says which, all. */
static dp_status observed_compartments(writer *w, nm_node y, bool *observed) {
  nm_stream *s = w->s;
  double value[64];
  int n = 0;
  bool only, any = s->closed;
  char name[24];
  memset(observed, 0, sizeof *observed * (NM_MAX_CMT + 1));
  for (int i = 1; i <= s->ncmt; i++) {
    snprintf(name, sizeof name, "S%d", i);
    if (nm_pk_value(s, name) != NM_NONE) observed[i] = any = true;
  }
  if (w->cmt_column >= 0) DP_TRY(nm_constants(s, &y, 1, w->cmt_column, value, &n, &only));
  for (int i = 0; i < n; i++)
    if (value[i] >= 1 && value[i] <= s->ncmt && value[i] == floor(value[i])) observed[(int)value[i]] = any = true;
  for (int i = 1; i <= s->ncmt && !any; i++) observed[i] = true;
  observed[s->defobs] = true;
  return DP_OK;
}

/* Y with F and CMT put in: one observable for each compartment that is observed, or one for all. */
static dp_status by_compartment(writer *w, nm_node y, const char *dvid) {
  nm_stream *s = w->s;
  nm_graph *g = &s->g;
  bool f, cmt = false, observed[NM_MAX_CMT + 1];
  DP_TRY(uses_leaf(s, y, X_F, 0, &f));
  if (w->cmt_column >= 0) DP_TRY(uses_leaf(s, y, X_COL, w->cmt_column, &cmt));
  if (!cmt && (!f || w->cmt_column < 0 || s->ncmt == 1)) {
    nm_node from = nm_leaf(g, X_F, 0), to = scaled(s, s->defobs);
    DP_TRY(nm_substitute(g, &y, 1, &from, &to, 1));
    return add_observable(w, y, dvid, 0);
  }
  DP_TRY(observed_compartments(w, y, observed));
  for (int pass = 0; pass < 2; pass++) /* the default first: it is the one shown */
    for (int i = 1; i <= s->ncmt; i++) {
      if (!observed[i] || (pass == 0) != (i == s->defobs)) continue;
      nm_node from[2] = {nm_leaf(g, X_F, 0), w->cmt_column >= 0 ? nm_leaf(g, X_COL, w->cmt_column) : NM_NONE};
      nm_node to[2] = {scaled(s, i), nm_num(g, i)}, yi = y;
      DP_TRY(nm_substitute(g, &yi, 1, from, to, 2));
      DP_TRY(add_observable(w, yi, dvid, i));
    }
  return DP_OK;
}

/* A column that says which observable a row is, as DVID does: by its name, used in comparisons for equality in
 * $ERROR only. */
static dp_status find_dvid(writer *w, nm_node y, double *value, int *n) {
  static const char *const names[] = {"DVID",   "FLAG",  "FLG",     "TYPE",  "YTYPE",
                                      "DVTYPE", "DTYPE", "OBSTYPE", "DVTYP", "ENDPOINT"};
  nm_stream *s = w->s;
  w->dvid_column = -1;
  for (int c = 0; c < s->ncolumn && w->dvid_column < 0; c++) {
    bool named = false, only, uses, f, cmt = false;
    for (int i = 0; i < DPI_COUNT(names); i++)
      named = named || strcmp(s->column[c].name, names[i]) == 0 || strcmp(s->column[c].synonym, names[i]) == 0;
    if (!named || s->column[c].drop) continue;
    DP_TRY(uses_leaf(s, y, X_COL, c, &uses));
    DP_TRY(nm_constants(s, &y, 1, c, value, n, &only));
    DP_TRY(uses_leaf(s, y, X_F, 0, &f));
    if (w->cmt_column >= 0) DP_TRY(uses_leaf(s, y, X_COL, w->cmt_column, &cmt));
    bool by_cmt = cmt || (f && w->cmt_column >= 0 && s->ncmt > 1);
    bool inside = false;
    for (int i = 0; i < s->npk && !inside; i++)
      if (s->after_pk[i] != NM_NONE) DP_TRY(uses_leaf(s, s->after_pk[i], X_COL, c, &inside));
    for (int i = 1; i <= s->ncmt && !inside; i++) DP_TRY(uses_leaf(s, s->rate[i], X_COL, c, &inside));
    if (uses && only && *n > 0 && !by_cmt && !inside) w->dvid_column = c;
  }
  return DP_OK;
}

static bool undefined(const nm_graph *g, nm_node x) { return g->node[x].leaves & NM_BIT(X_UNDEF); }

static dp_status by_dvid(writer *w, nm_node y, const double *value, int n) {
  nm_stream *s = w->s;
  nm_node at = nm_leaf(&s->g, X_COL, w->dvid_column);
  for (int k = 0; k <= n; k++) {
    double v = k < n ? value[k] : fabs(value[n - 1]) + 1e6; /* the last: any other value */
    nm_node number = nm_num(&s->g, v), yk = y;
    char text[32] = "*";
    if (k < n) dpi_format_double(v, text);
    DP_TRY(nm_substitute(&s->g, &yk, 1, &at, &number, 1));
    if (k == n && undefined(&s->g, yk)) continue;
    const char *dvid = dpi_arena_strdup(s->arena, text);
    if (!dvid) return DP_ERR_MEMORY;
    DP_TRY(by_compartment(w, yk, dvid));
  }
  return DP_OK;
}

static dp_status observables_find(writer *w) {
  nm_stream *s = w->s;
  int n = 0, line = s->block[NM_ERROR].line;
  double value[64], v;
  nm_node y = nm_var_value(s, "Y"), flag = nm_var_value(s, "F_FLAG");
  if (y == NM_NONE) return NM_WRONG(s, line ? line : 1, "$ERROR gives no Y");
  if (flag != NM_NONE && !(nm_is_num(&s->g, flag, &v) && v == 0))
    return NM_REFUSE(s, line,
                     "F_FLAG: Y as a likelihood is not supported; values below quantification are said by columns "
                     "CENS and LIMIT of an event table, without F_FLAG");
  w->cmt_column = -1;
  for (int c = 0; c < s->ncolumn; c++)
    if (strcmp(s->column[c].as, "CMT") == 0) w->cmt_column = c;
  DP_TRY(find_dvid(w, y, value, &n));
  if (w->dvid_column < 0) return by_compartment(w, y, "");
  s->column[w->dvid_column].as = "DVID";
  return by_dvid(w, y, value, n);
}

/* ---- what results need ---- */

static dp_status controls_find(writer *w) {
  static const char *const part[] = {"F", "ALAG", "R", "D"};
  nm_stream *s = w->s;
  for (int i = 1; i <= s->ncmt; i++) {
    if (s->cmt[i].nodose || (w->cmt_column < 0 && i != s->defdose)) continue;
    control *c = &w->ctl[w->nctl++];
    *c = (control){.cmt = i};
    for (int k = 0; k < 4; k++) {
      char name[24];
      double v;
      snprintf(name, sizeof name, "%s%d", part[k], i);
      c->part[k] = nm_pk_value(s, name);
      if (nm_is_num(&s->g, c->part[k], &v) && v == (k == 0)) c->part[k] = NM_NONE;
    }
  }
  return DP_OK;
}

static int add_root(nm_roots *r, nm_node x, const char *name) {
  r->node[r->n] = x;
  r->name[r->n] = name;
  return r->n++;
}

/* Variables for their names: as $PK leaves them, and $ERROR's own. */
static dp_status add_watched(writer *w) {
  nm_stream *s = w->s;
  nm_roots *r = &w->roots;
  r->nneed = r->n;
  for (int i = 0; i < s->nvar; i++) {
    const nm_var *v = &s->var[i];
    nm_node pk = i < s->npk ? s->after_pk[i] : NM_NONE;
    if (v->why || strchr(v->name, '(')) continue;
    if (pk != NM_NONE) add_root(r, pk, v->name);
    if (v->value == NM_NONE || v->value == pk || (v->value != NM_NONE && s->g.node[v->value].leaves & NM_BIT(X_EPS)))
      continue;
    const char *name = v->name;
    if (pk != NM_NONE) { /* another thing of that name in $ERROR */
      char want[96];
      snprintf(want, sizeof want, "%.60s_E", v->name);
      DP_TRY(own_name(w, want, &name));
    }
    nm_node from = nm_leaf(&s->g, X_F, 0), to = scaled(s, s->defobs),
            value = v->value; /* as the default observable has it */
    DP_TRY(nm_substitute(&s->g, &value, 1, &from, &to, 1));
    add_root(r, value, name);
  }
  return DP_OK;
}

static dp_status roots_find(writer *w) {
  nm_stream *s = w->s;
  nm_roots *r = &w->roots;
  size_t most = 2u * (size_t)s->ncmt + 2u * (size_t)w->nobs + 4u * (size_t)w->nctl + 2u * (size_t)s->nvar + 4;
  r->node = DPI_ARENA_ARRAY(s->arena, nm_node, most);
  r->name = DPI_ARENA_ARRAY(s->arena, const char *, most);
  if (!r->node || !r->name) return DP_ERR_MEMORY;
  for (int i = 1; i <= s->ncmt; i++) {
    char name[16];
    snprintf(name, sizeof name, "A_0(%d)", i);
    w->rate_root[i] = add_root(r, s->rate[i], NULL);
    w->start_root[i] = add_root(r, nm_pk_value(s, name), NULL);
  }
  for (int i = 0; i < w->nctl; i++)
    for (int k = 0; k < 4; k++) w->ctl[i].root[k] = add_root(r, w->ctl[i].part[k], NULL);
  for (int i = 0; i < w->nobs; i++) {
    w->obs[i].root = add_root(r, w->obs[i].f, NULL);
    add_root(r, w->obs[i].sd, NULL);
  }
  return add_watched(w);
}

/* Nothing without a value, nothing that is not supported: named where it stands. UNDEF as one side of an IF is a value
 * that must not be met: not-a-number. */
static dp_status check_needed(writer *w) {
  nm_stream *s = w->s;
  for (int i = 0; i < w->n; i++) {
    const nm_expr *e = &s->g.node[i];
    if (!w->mark[i]) continue;
    if (e->op == X_F) return NM_REFUSE(s, s->block[NM_ERROR].line, "F stands where it cannot be put in");
    for (int k = 0; k < nm_nchild(e->op); k++) {
      const nm_expr *c = &s->g.node[e->a[k]];
      if (c->op != X_UNDEF) continue;
      const nm_var *v = &s->var[c->a[0]];
      if (v->why) return NM_REFUSE(s, v->line, "%s", v->why);
      if (e->op == X_IF && k > 0) continue;
      return NM_REFUSE(s, v->line,
                       "%s has no value where it is used (values kept from one record to the next are not supported)",
                       v->name);
    }
  }
  for (int i = 0; i < w->roots.nneed; i++) {
    nm_node x = w->roots.node[i];
    if (x < 0 || s->g.node[x].op != X_UNDEF) continue;
    const nm_var *v = &s->var[s->g.node[x].a[0]];
    return v->why ? NM_REFUSE(s, v->line, "%s", v->why) : NM_REFUSE(s, v->line, "%s has no value", v->name);
  }
  return DP_OK;
}

/* ---- formulas as text ---- */

enum { P_OR = 1, P_AND, P_REL, P_SUM, P_PRODUCT, P_NEG, P_POWER, P_WORD };

static const char *leaf_text(writer *w, const nm_expr *e) {
  nm_stream *s = w->s;
  char number[32];
  switch (e->op) {
    case X_NUM:
      dpi_format_double(e->value, number);
      return dpi_arena_printf(s->arena, "%s", number);
    case X_THETA:
      return w->theta_id[e->a[0]];
    case X_COL:
      return s->column[e->a[0]].as;
    case X_A:
      return w->cmt_id[e->a[0]];
    case X_TIME:
      return "time";
    case X_SYM:
      return e->a[0] < NM_MAX_ETA ? w->people.item[e->a[0]].id : w->sd_id[e->a[0] - NM_MAX_ETA];
    default:
      return "nan";
  }
}

/* The child's text, in parentheses when it binds less than `least`. */
static const char *child(const writer *w, nm_node x, int least, const char **open, const char **close) {
  *open = w->prec[x] < least ? "(" : "";
  *close = w->prec[x] < least ? ")" : "";
  return w->text[x];
}

static const char *function1(writer *w, const nm_expr *e, const char *before, const char *after) {
  return dpi_arena_printf(w->s->arena, "%s%s%s", before, w->text[e->a[0]], after);
}

static const char *unary_text(writer *w, const nm_expr *e, uint8_t *prec) {
  static const char *const names[] = {"",     "exp(",  "ln(",   "log10(", "sqrt(", "abs(",  "sin(", "cos(",
                                      "tan(", "asin(", "acos(", "atan(",  "sinh(", "cosh(", "tanh("};
  const char *a, *b, *x;
  *prec = P_WORD;
  switch (e->op) {
    case X_NEG:
      *prec = w->prec[e->a[0]] == P_PRODUCT ? P_PRODUCT : P_NEG; /* -a*b is (-a)*b, the same number */
      x = child(w, e->a[0], *prec == P_PRODUCT ? P_PRODUCT : P_WORD, &a, &b);
      return dpi_arena_printf(w->s->arena, "-%s%s%s", a, x, b);
    case X_INT:
      x = w->text[e->a[0]];
      return dpi_arena_printf(w->s->arena, "piecewise(ceil(%s), (%s) < 0, floor(%s))", x, x, x);
    case X_PHI:
      return function1(w, e, "(0.5*(1 + erf((", ")/1.4142135623730951)))");
    case X_GAMLN:
      return function1(w, e, "lgamma(", ")");
    case X_NOT:
      return function1(w, e, "not(", ")");
    default:
      return function1(w, e, names[e->op - X_NEG], ")");
  }
}

/* Operators in the order of nm_op: what each is written as, how tightly it binds, and its two sides. */
static const struct {
  const char *text; /* between its sides; or a function's beginning */
  uint8_t own, left, right;
} binary[] = {{" + ", P_SUM, P_SUM, P_PRODUCT},
              {" - ", P_SUM, P_SUM, P_PRODUCT},
              {"*", P_PRODUCT, P_PRODUCT, P_POWER},
              {"/", P_PRODUCT, P_PRODUCT, P_POWER},
              {"^", P_POWER, P_WORD, P_WORD},
              {"mod(", P_WORD, 0, 0},
              {"min(", P_WORD, 0, 0},
              {"max(", P_WORD, 0, 0},
              {" == ", P_REL, P_SUM, P_SUM},
              {" != ", P_REL, P_SUM, P_SUM},
              {" < ", P_REL, P_SUM, P_SUM},
              {" <= ", P_REL, P_SUM, P_SUM},
              {" > ", P_REL, P_SUM, P_SUM},
              {" >= ", P_REL, P_SUM, P_SUM},
              {" && ", P_AND, P_REL, P_REL},
              {" || ", P_OR, P_REL, P_REL}};
_Static_assert(DPI_COUNT(binary) == X_OR - X_ADD + 1, "one row an operator");

static const char *binary_text(writer *w, const nm_expr *e, uint8_t *prec) {
  const int op = (int)e->op - X_ADD;
  const char *a, *b, *c, *d, *text = binary[op].text;
  *prec = binary[op].own;
  if (*prec == P_WORD) return dpi_arena_printf(w->s->arena, "%s%s, %s)", text, w->text[e->a[0]], w->text[e->a[1]]);
  const char *x = child(w, e->a[0], binary[op].left, &a, &b), *y = child(w, e->a[1], binary[op].right, &c, &d);
  return dpi_arena_printf(w->s->arena, "%s%s%s%s%s%s%s", a, x, b, text, c, y, d);
}

static dp_status node_text(writer *w, nm_node i) {
  const nm_expr e = w->s->g.node[i];
  int n = nm_nchild(e.op);
  uint8_t *prec = &w->prec[i];
  *prec = P_WORD;
  if (n == 0)
    w->text[i] = leaf_text(w, &e);
  else if (n == 1)
    w->text[i] = unary_text(w, &e, prec);
  else if (n == 2)
    w->text[i] = binary_text(w, &e, prec);
  else
    w->text[i] =
        dpi_arena_printf(w->s->arena, "piecewise(%s, %s, %s)", w->text[e.a[1]], w->text[e.a[0]], w->text[e.a[2]]);
  if (!w->text[i]) return DP_ERR_MEMORY;
  if (e.op == X_NUM && w->text[i][0] == '-') *prec = P_NEG;
  if (n == 0) return DP_OK;
  const char *name = w->name[i];
  if (!name && strlen(w->text[i]) > NM_MAX_TEXT) {
    char want[24];
    snprintf(want, sizeof want, "x%d", i);
    DP_TRY(own_name(w, want, &name));
  }
  if (!name) return DP_OK;
  dpi_str_addf(&w->rules, "  %s := %s;\n", name, w->text[i]);
  w->text[i] = name;
  *prec = P_WORD;
  return w->rules.failed ? DP_ERR_MEMORY : DP_OK;
}

/* All texts, children first; variables' formulas as rules on the way. */
static dp_status texts_make(writer *w) {
  nm_stream *s = w->s;
  int more = w->people.n, n = w->roots.nneed + more;
  nm_node *root = DPI_ARENA_ARRAY(s->arena, nm_node, n + 1);
  if (!root) return DP_ERR_MEMORY;
  memcpy(root, w->roots.node, sizeof *root * (size_t)w->roots.nneed);
  for (int i = 0; i < more; i++) root[w->roots.nneed + i] = w->people.item[i].factor;
  w->n = s->g.n;
  DP_TRY(nm_reach(&s->g, root, n, &w->mark));
  w->text = DPI_ARENA_ARRAY(s->arena, const char *, w->n + 1);
  w->name = DPI_ARENA_ARRAY(s->arena, const char *, w->n + 1);
  w->prec = DPI_ARENA_ARRAY(s->arena, uint8_t, w->n + 1);
  if (!w->text || !w->name || !w->prec) return DP_ERR_MEMORY;
  DP_TRY(check_needed(w));
  for (int i = w->roots.nneed; i < w->roots.n; i++) {
    nm_node x = w->roots.node[i];
    if (x >= 0 && x < w->n && !w->name[x]) w->name[x] = w->roots.name[i];
  }
  for (int i = 0; i < w->n; i++)
    if (w->mark[i]) DP_TRY(node_text(w, i));
  return DP_OK;
}

static bool needs(const writer *w, nm_op op, int index) {
  for (int i = 0; i < w->n; i++)
    if (w->mark[i] && w->s->g.node[i].op == op && w->s->g.node[i].a[0] == index) return true;
  return false;
}

/* Is the THETA needed, in a formula or as a typical value? */
static bool theta_needed(const writer *w, int t) {
  for (int i = 0; i < w->people.n; i++)
    if (w->people.item[i].theta == t) return true;
  return needs(w, X_THETA, t);
}

/* ---- files ---- */

static dp_status add_file(writer *w, dpi_nmtran_kind *out, const char *name, dpi_str *text) {
  char *copy = text->failed ? NULL : dpi_arena_strdup(w->s->arena, dpi_str_text(text));
  dpi_str_release(text);
  if (!copy) return DP_ERR_MEMORY;
  out->file[out->nfile].name = name;
  out->file[out->nfile++].text = copy;
  return DP_OK;
}

/* Text of people as one cell or YAML word: printable, without quotes, short. */
static const char *clean(writer *w, const char *text) {
  char out[81];
  size_t n = 0;
  for (; *text && n + 1 < sizeof out; text++) {
    unsigned char c = (unsigned char)*text;
    if (c == '"' || c == '\\' || c < 32 || c > 126) c = ' ';
    if (c == ' ' && (n == 0 || out[n - 1] == ' ')) continue;
    out[n++] = (char)c;
  }
  while (n && out[n - 1] == ' ') n--;
  out[n] = 0;
  return dpi_arena_strdup(w->s->arena, out);
}

static dp_status model_write(writer *w, const char *id, dpi_nmtran_kind *out) {
  nm_stream *s = w->s;
  dpi_str t;
  dpi_str_init(&t, s->ctx);
  dpi_str_addf(&t, "// %s\n// Read from a control stream. Time and units are those of its data.\nmodel %s()\n",
               clean(w, s->problem), id);
  for (int i = 0; i < s->ntheta; i++)
    if (theta_needed(w, i)) {
      char v[32];
      dpi_format_double(s->theta[i].init, v);
      dpi_str_addf(&t, "  %s = %s;\n", w->theta_id[i], v);
    }
  for (int i = 0; i < w->people.n; i++) dpi_str_addf(&t, "  %s = 1;\n", w->people.item[i].id);
  for (int i = 0; i < s->ncolumn; i++)
    if (needs(w, X_COL, i)) dpi_str_addf(&t, "  %s = 0;\n", s->column[i].as);
  dpi_str_add(&t, dpi_str_text(&w->rules));
  for (int i = 1; i <= s->ncmt; i++) {
    nm_node a0 = w->roots.node[w->start_root[i]];
    dpi_str_addf(&t, "  %s = %s;\n", w->cmt_id[i], a0 < 0 ? "0" : w->text[a0]);
  }
  for (int i = 1; i <= s->ncmt; i++)
    dpi_str_addf(&t, "  %s' = %s;\n", w->cmt_id[i], w->text[w->roots.node[w->rate_root[i]]]);
  dpi_str_add(&t, "end\n");
  return add_file(w, out, "model.ant", &t);
}

static void parameter_row(dpi_str *t, const char *id, const char *scale, double low, double high, double v,
                          bool estimate, const char *name) {
  char a[32] = "", b[32] = "", c[32];
  if (isfinite(low)) dpi_format_double(low, a);
  if (isfinite(high)) dpi_format_double(high, b);
  dpi_format_double(v, c);
  dpi_str_addf(t, "%s\t%s\t%s\t%s\t%s\t%d\t1\t%s\n", id, scale, a, b, c, estimate, name);
}

/* A standard deviation may move by this factor to either side. */
#define SD_RANGE 1e3

static dp_status parameters_write(writer *w, dpi_nmtran_kind *out) {
  nm_stream *s = w->s;
  dpi_str t;
  dpi_str_init(&t, s->ctx);
  dpi_str_add(&t, "parameterId\tparameterScale\tlowerBound\tupperBound\tnominalValue\testimate\tunit\tname\n");
  for (int i = 0; i < s->ntheta; i++) {
    const nm_value *v = &s->theta[i];
    if (theta_needed(w, i))
      parameter_row(&t, w->theta_id[i], "lin", v->low, v->high, v->init, !v->fixed, clean(w, v->comment));
    else
      DP_TRY(nm_note(s, v->line, "THETA(%d) changes no result of the model and is left out", i + 1));
  }
  for (int i = 0; i < s->sigma.n; i++) {
    double sd = sqrt(s->sigma.entry[i * NM_MAX_ETA + i]);
    bool fixed = s->sigma.fixed[i];
    if (!needs(w, X_SYM, NM_MAX_ETA + i)) continue;
    parameter_row(&t, w->sd_id[i], "lin", fixed ? -INFINITY : sd / SD_RANGE, fixed ? INFINITY : sd * SD_RANGE, sd,
                  !fixed, clean(w, s->sigma.comment[i]));
  }
  if (w->need_one) parameter_row(&t, "one", "lin", -INFINITY, INFINITY, 1, false, "constant");
  if (w->need_zero) parameter_row(&t, "zero", "lin", -INFINITY, INFINITY, 0, false, "constant");
  return add_file(w, out, "parameters.tsv", &t);
}

/* The individual that ETA e belongs to; NULL: it is not used. */
static const nm_individual *individual_of(const writer *w, int e) {
  for (int i = 0; i < w->people.n; i++)
    for (int k = 0; k < w->people.item[i].neta; k++)
      if (w->people.item[i].eta[k] == e) return &w->people.item[i];
  return NULL;
}

static dp_status population_write(writer *w, dpi_nmtran_kind *out) {
  static const char *const dist[] = {"lognormal", "normal", "logitnormal"};
  nm_stream *s = w->s;
  const nm_matrix *m = &s->omega;
  dpi_str t;
  dpi_str_init(&t, s->ctx);
  dpi_str_add(&t, "parameterId\ttypical\tdistribution\teffectId\teffectId2\tlevel\tvariance\testimate\tunit\tname\n");
  for (int occasion = 0; occasion < 2; occasion++)
    for (int e = 0; e < m->n; e++) {
      const nm_individual *p = individual_of(w, e);
      char v[32];
      if (!p || w->people.occasion[e] != (occasion == 1)) continue;
      const char *typical = p->theta >= 0 ? w->theta_id[p->theta] : p->distribution ? "zero" : "one";
      dpi_format_double(m->entry[e * NM_MAX_ETA + e], v);
      dpi_str_addf(&t, "%s\t%s\t%s\t%s\t\t%s\t%s\t%d\t1\t%s\n", p->id, typical, dist[p->distribution], w->eta_id[e],
                   occasion ? "occasion" : "person", v, !m->fixed[e], clean(w, m->comment[e]));
    }
  for (int e = 0; e < m->n; e++)
    for (int f = 0; f < e; f++) {
      char v[32];
      double c = m->entry[e * NM_MAX_ETA + f];
      if (m->block[e] != m->block[f] || !individual_of(w, e) || !individual_of(w, f)) continue;
      if (c == 0 && m->fixed[e]) continue;
      dpi_format_double(c, v);
      dpi_str_addf(&t, "\t\t\t%s\t%s\t\t%s\t%d\t\t\n", w->eta_id[f], w->eta_id[e], v, !m->fixed[e]);
    }
  return add_file(w, out, "population.tsv", &t);
}

/* The column a factor is written beside: the first in it. */
static int column_of_factor(const writer *w, nm_node factor) {
  uint8_t *mark;
  int found = -1;
  if (nm_reach(&w->s->g, &factor, 1, &mark) != DP_OK) return -1;
  for (int c = w->s->ncolumn - 1; c >= 0; c--)
    for (int i = 0; i < w->n; i++)
      if (mark[i] && w->s->g.node[i].op == X_COL && w->s->g.node[i].a[0] == c) found = c;
  dpi_free(w->s->ctx, mark);
  return found;
}

static dp_status covariates_write(writer *w, dpi_nmtran_kind *out, bool *any) {
  nm_stream *s = w->s;
  dpi_str t;
  dpi_str_init(&t, s->ctx);
  *any = false;
  dpi_str_add(&t, "covariateId\tunit\tname\tlower\tupper\tparameterId\tfactor\tmissing\tconvention\toccasion\n");
  for (int c = 0; c < s->ncolumn; c++) {
    bool occasion = c == w->people.occasion_column;
    dpi_str ids, factors;
    if (!needs(w, X_COL, c) && !occasion) continue;
    *any = true;
    dpi_str_init(&ids, s->ctx);
    dpi_str_init(&factors, s->ctx);
    for (int i = 0; i < w->people.n; i++) {
      const nm_individual *p = &w->people.item[i];
      if (p->factor == NM_NONE || column_of_factor(w, p->factor) != c) continue;
      dpi_str_addf(&ids, "%s%s", ids.len ? ";" : "", p->id);
      dpi_str_addf(&factors, "%s%s", factors.len ? ";" : "", w->text[p->factor]);
    }
    char low[32] = "", high[32] = "";
    if (occasion && w->people.occasion_low < w->people.occasion_high) {
      dpi_format_double(w->people.occasion_low, low);
      dpi_format_double(w->people.occasion_high, high);
    }
    dpi_str_addf(&t, "%s\t1\t%s\t%s\t%s\t%s\t%s\trefuse\tnocb\t%s\n", s->column[c].as, s->column[c].as, low, high,
                 dpi_str_text(&ids), dpi_str_text(&factors), occasion ? "1" : "");
    t.failed = t.failed || ids.failed || factors.failed;
    dpi_str_release(&ids);
    dpi_str_release(&factors);
  }
  return add_file(w, out, "covariates.tsv", &t);
}

static dp_status observables_write(writer *w, dpi_nmtran_kind *out) {
  dpi_str t;
  dpi_str_init(&t, w->s->ctx);
  dpi_str_add(&t, "observableId\tobservableFormula\tnoiseFormula\tnoiseDistribution\tunit\tname\tdvid\tcompartment\n");
  for (int i = 0; i < w->nobs; i++) {
    const observable *o = &w->obs[i];
    char cmt[16] = "";
    if (o->cmt) snprintf(cmt, sizeof cmt, "%d", o->cmt);
    dpi_str_addf(&t, "%s\t%s\t%s\tnormal\t1\t%s\t%s\t%s\n", o->id, w->text[w->roots.node[o->root]],
                 w->text[w->roots.node[o->root + 1]], "", o->dvid, cmt);
  }
  return add_file(w, out, "observables.tsv", &t);
}

static dp_status controls_write(writer *w, dpi_nmtran_kind *out) {
  dpi_str t;
  dpi_str_init(&t, w->s->ctx);
  dpi_str_add(&t, "controlId\ttarget\tbioavailability\tlag\trate\tduration\tcompartment\tunit\tname\n");
  for (int i = 0; i < w->nctl; i++) {
    const control *c = &w->ctl[i];
    const char *part[4], *id;
    char want[64], cmt[16] = "";
    for (int k = 0; k < 4; k++) {
      nm_node x = w->roots.node[c->root[k]];
      part[k] = x < 0 ? "" : w->text[x];
    }
    snprintf(want, sizeof want, "dose_%.40s", w->cmt_id[c->cmt]);
    dp_status st = own_name(w, want, &id);
    if (st != DP_OK) return dpi_str_release(&t), st;
    snprintf(cmt, sizeof cmt, "%d", c->cmt);
    dpi_str_addf(&t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t1\tdose into %s\n", id, w->cmt_id[c->cmt], part[0], part[1], part[2],
                 part[3], cmt, w->cmt_id[c->cmt]);
  }
  return add_file(w, out, "controls.tsv", &t);
}

/* "columns" of twin.yaml: the names of $INPUT in their order, NAME=DROP left out, NAME=OTHER under another name. */
static void add_columns(const nm_stream *s, dpi_str *t) {
  for (int i = 0; i < s->ncolumn; i++) {
    const nm_column *c = &s->column[i];
    dpi_str_addf(t, "%s%s", i ? " " : "", *c->name ? c->name : "DROP");
    if (c->drop)
      dpi_str_add(t, "=DROP");
    else if (strcmp(c->as, c->name) != 0)
      dpi_str_addf(t, "=%s", c->as);
  }
}

static dp_status twin_write(writer *w, const char *id, bool covariates, dpi_nmtran_kind *out) {
  nm_stream *s = w->s;
  dpi_str t;
  dpi_str_init(&t, s->ctx);
  const char *title = clean(w, s->problem);
  if (!title) return DP_ERR_MEMORY;
  dpi_str_addf(&t, "kind: %s\ntitle: \"%s\"\n", id, *title ? title : id);
  dpi_str_add(&t,
              "question: What are this person's parameters, and what follows?\n"
              "intended_use: Read from a control stream; units and intended use were not said there.\n"
              "time_unit: h\nuntil: 24\nhorizon: 240\nmodel: model.ant\nparameters: parameters.tsv\n"
              "population: population.tsv\nobservables: observables.tsv\ncontrols: controls.tsv\n");
  if (covariates) dpi_str_add(&t, "covariates: covariates.tsv\n");
  dpi_str_add(&t, "table:\n  columns: \"");
  add_columns(s, &t);
  dpi_str_add(&t, "\"\n");
  if (s->ignore && *s->ignore != '\'' && *s->ignore != '\\') dpi_str_addf(&t, "  ignore: '%s'\n", s->ignore);
  if (s->drop_rows && *s->drop_rows) dpi_str_addf(&t, "  drop: \"%s\"\n", clean(w, s->drop_rows));
  if (s->keep_rows && *s->keep_rows) dpi_str_addf(&t, "  keep: \"%s\"\n", clean(w, s->keep_rows));
  dpi_str_addf(&t, "  dose_compartment: %d\n  observed_compartment: %d\n", s->defdose, s->defobs);
  return add_file(w, out, "twin.yaml", &t);
}

/* ---- all ---- */

static dp_status write_files(writer *w, const char *id, dpi_nmtran_kind *out) {
  bool covariates = false;
  DP_TRY(model_write(w, id, out));
  DP_TRY(parameters_write(w, out));
  DP_TRY(population_write(w, out));
  DP_TRY(covariates_write(w, out, &covariates));
  if (!covariates) out->nfile--;
  DP_TRY(observables_write(w, out));
  DP_TRY(controls_write(w, out));
  return twin_write(w, id, covariates, out);
}

static dp_status work(writer *w, const char *id, dpi_nmtran_kind *out) {
  DP_TRY(first_names(w));
  DP_TRY(observables_find(w));
  DP_TRY(controls_find(w));
  DP_TRY(roots_find(w));
  DP_TRY(nm_people_find(w->s, &w->people, &w->roots));
  for (int i = 0; i < w->people.n; i++)
    if (w->people.item[i].theta < 0) *(w->people.item[i].distribution ? &w->need_zero : &w->need_one) = true;
  DP_TRY(texts_make(w));
  return write_files(w, id, out);
}

dp_status nm_kind_write(nm_stream *s, const char *id, dpi_nmtran_kind *out) {
  writer *w = DPI_ARENA_NEW(s->arena, writer);
  if (!w) return DP_ERR_MEMORY;
  w->s = s;
  dpi_str_init(&w->rules, s->ctx);
  dp_status st = work(w, id, out);
  dpi_str_release(&w->rules);
  dpi_map_release(&w->taken);
  dpi_free(s->ctx, w->mark);
  return st;
}
