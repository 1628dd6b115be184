/* suite_nonmem.c - comparison with NONMEM's individual estimates (see doppel/suite.h).
 *
 * A .phi file: a title line, a line of column names (SUBJECT_NO ID ETA(1)... ETC(1,1)... OBJ), one line a subject. ETA(k) is
 * the kind's direction k: the person's effects in the order of population.tsv, then those of each occasion.
 */
#include "doppel/suite.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "infer/mode_search.h"

#define WITHIN 1e-3 /* relative difference of an individual parameter that counts as equal */
#define COVARIANCE_WITHIN 1e-2 /* of the two standard deviations */
#define OWN_DECREMENT 1e-5     /* of our own mode, posterior standard deviations */
#define OBJECTIVE_GAP 1e-3
#define STARTS_MORE 16      /* searches where the first ones met several modes, or a corner (a lag's or an input's end) */
#define GAP_NOISE 1e-5     /* what the joint objective is known to at a mode */
#define CORNER_STEP 1e-9 /* of an effect */
#define CORNER_JUMP 1e-6 /* of the joint objective over it, relative */

/* Runs and the tolerance of their objective at the reference's mode: printed digits and closed forms allow 1e-5, models that
 * need an integrator there and here 1e-3. */
static const struct {
  const char *run;
  double tolerance;
} runs[] = {{"001", 1e-5}, {"002", 1e-5}, {"003", 1e-3}, {"005", 1e-5},
            {"006", 1e-5}, {"008", 1e-5}, {"101", 1e-5}, {"201", 1e-3},
            {"207", 1e-3}, {"301", 1e-5}, {"401", 1e-5}, {"407", 1e-5},
            {"501", 1e-5}, {"901", 1e-5}, {"921", 1e-3}, {"951", 1e-5}};

typedef struct phi {
  char *text;
  int n, neta, netc;
  const char **id;
  double *eta; /* [n x neta] */
  double *etc; /* [n x netc] lower triangle of the effects' conditional covariance, row by row; netc 0: not printed */
  double *obj; /* [n] */
} phi;

typedef struct outcome { /* one subject */
  double obj;
  bool ok, converged;
  bool corner; /* the reference's mode lies on one */
  double gap; /* our joint objective minus that at the reference's mode */
  int nparam, nwithin;
  double largest;
  int ncov, ncov_within;
  double cov_largest;
} outcome;

typedef struct suite_run {
  dp_ctx *ctx;
  const dp_kind *kind;
  const dp_record *record;
  const dp_prior *prior;
  const phi *ref;
  int nstart;
  double tolerance;
  dpi_person **person;
  outcome *result;
} suite_run;

/* ---- the .phi file ---- */

/* Next word of a line in place, NULL at its end. */
static char *next_word(char **at) {
  char *p = *at;
  while (*p == ' ' || *p == '\t' || *p == '\r') p++;
  if (!*p || *p == '\n') return NULL;
  char *word = p;
  while (*p && *p != ' ' && *p != '\t' && *p != '\r' && *p != '\n') p++;
  *at = *p && *p != '\n' ? p + 1 : p;
  *p = 0;
  return word;
}

static char *next_line(char **at) {
  if (!**at) return NULL;
  char *line = *at, *end = strchr(line, '\n');
  *at = end ? end + 1 : line + strlen(line);
  if (end) *end = 0;
  return line;
}

/* Columns: where the etas begin, how many there are, where OBJ is. */
static dp_status phi_columns(dp_ctx *ctx, const char *path, char *line, phi *r, int *obj) {
  char *at = line, *word;
  *obj = -1;
  r->neta = 0;
  for (int k = 0; (word = next_word(&at)); k++) {
    if (k == 1 && strcmp(word, "ID"))
      return dpi_fail(ctx, DP_ERR_INPUT, "%s:2: column 2: found %s, expected ID", path, word);
    if (!strncmp(word, "ETA(", 4)) r->neta++;
    if (!strncmp(word, "ETC(", 4)) r->netc++;
    if (!strcmp(word, "OBJ")) *obj = k;
  }
  if (*obj < 0 || r->neta == 0)
    return dpi_fail(ctx, DP_ERR_INPUT, "%s:2: no columns ETA(1) and OBJ", path);
  if (r->netc != 0 && r->netc != r->neta * (r->neta + 1) / 2)
    return dpi_fail(ctx, DP_ERR_INPUT, "%s:2: found %d columns ETC, expected %d for %d effects", path, r->netc,
                    r->neta * (r->neta + 1) / 2, r->neta);
  return DP_OK;
}

static dp_status phi_row(dp_ctx *ctx, const char *path, char *line, int number, int obj, phi *r) {
  char *at = line, *word;
  int k = 0;
  for (; (word = next_word(&at)); k++) {
    double v;
    if (k == 1) r->id[r->n] = word;
    if (k < 2 || (k >= 2 + r->neta + r->netc && k != obj)) continue;
    if (!dpi_parse_double(word, &v))
      return dpi_fail(ctx, DP_ERR_INPUT, "%s:%d: column %d: found '%s', expected a number", path,
                      number, k + 1, word);
    if (k == obj)
      r->obj[r->n] = v;
    else if (k < 2 + r->neta)
      r->eta[(size_t)r->n * r->neta + (k - 2)] = v;
    else
      r->etc[(size_t)r->n * r->netc + (k - 2 - r->neta)] = v;
  }
  if (k <= obj)
    return dpi_fail(ctx, DP_ERR_INPUT, "%s:%d: found %d columns, expected %d", path, number, k,
                    obj + 1);
  r->n++;
  return DP_OK;
}

static dp_status phi_read(dp_ctx *ctx, dpi_arena *arena, const char *path, phi *r) {
  size_t size;
  int obj, lines = 0;
  memset(r, 0, sizeof *r);
  DP_TRY(dpi_file_read(ctx, path, 0, &r->text, &size));
  for (const char *p = r->text; *p; p++) lines += *p == '\n';
  char *at = r->text, *line;
  if (!next_line(&at) || !(line = next_line(&at)))
    return dpi_fail(ctx, DP_ERR_INPUT, "%s: found less than two lines", path);
  DP_TRY(phi_columns(ctx, path, line, r, &obj));
  r->id = DPI_ARENA_ARRAY(arena, const char *, (size_t)lines + 1);
  r->eta = DPI_ARENA_ARRAY(arena, double, (size_t)(lines + 1) * (size_t)r->neta);
  r->etc = DPI_ARENA_ARRAY(arena, double, (size_t)(lines + 1) * (size_t)r->netc + 1);
  r->obj = DPI_ARENA_ARRAY(arena, double, (size_t)lines + 1);
  if (!r->id || !r->eta || !r->etc || !r->obj) return DP_ERR_MEMORY;
  for (int number = 3; (line = next_line(&at)); number++)
    if (line[strspn(line, " \t\r")]) DP_TRY(phi_row(ctx, path, line, number, obj, r));
  return DP_OK;
}

/* ---- one subject ---- */

/* What one subject has at a point: joint and FOCE-I objective, covariance of the effects (the Fisher matrix's inverse). */
typedef struct judged {
  double joint, obj;
  double cov[64 * 64];
} judged;

static dp_status objective_at(dpi_person *p, const double *x, judged *out, bool *ok) {
  double g[65], fisher[64 * 64];
  int n = p->iv->dim;
  dpi_point pt = {0, g, fisher};
  DP_TRY(dpi_indiv_eval(p->iv, x, true, &pt, ok));
  if (*ok) *ok = dpi_chol(fisher, n);
  if (!*ok) return DP_OK;
  out->joint = pt.l;
  out->obj = pt.l + p->iv->logdet + dpi_chol_logdet(fisher, n);
  dpi_chol_inverse(fisher, n, out->cov);
  return DP_OK;
}

/* Entries of the covariance beside the reference's, in parts of the two standard deviations (those of the diagonal: of the
 * variance). Effects without a variance have none. */
static void covariance_compare(const suite_run *w, int i, const double *cov) {
  const dpi_indiv *iv = w->person[i]->iv;
  const phi *ref = w->ref;
  outcome *o = &w->result[i];
  o->ncov = o->ncov_within = 0;
  o->cov_largest = 0;
  for (int a = 0; a < iv->dim && ref->netc; a++)
    for (int b = 0; b <= a; b++) {
      int r = iv->free[a], c = iv->free[b];
      double theirs = ref->etc[(size_t)i * ref->netc + r * (r + 1) / 2 + c];
      double d = fabs(cov[a * iv->dim + b] - theirs) / sqrt(cov[a * (iv->dim + 1)] * cov[b * (iv->dim + 1)]);
      o->ncov++;
      o->ncov_within += d <= COVARIANCE_WITHIN;
      o->cov_largest = fmax(o->cov_largest, d);
    }
}

/* Where an observation lies exactly at the end of a lag or an input the joint objective has a corner: its value is one, its
 * derivatives, and with them the FOCE-I objective, are two, and the printed digits do not say on which side the reference
 * stood. Both sides of each effect are tried within those digits; the nearer objective counts. */
static dp_status sides_of_corner(const suite_run *w, int i, const double *x, double tolerance) {
  dpi_person *p = w->person[i];
  outcome *o = &w->result[i];
  double at[65];
  judged here;
  for (int k = 0; k < 2 * p->iv->dim && fabs(o->obj - w->ref->obj[i]) > tolerance; k++) {
    bool ok = false;
    memcpy(at, x, sizeof(double) * (size_t)p->iv->dim);
    at[k / 2] += (k & 1 ? -1 : 1) * CORNER_STEP;
    DP_TRY(objective_at(p, at, &here, &ok));
    if (!ok || fabs(here.joint + o->gap) > CORNER_JUMP * (1 + fabs(here.joint))) continue;
    if (fabs(here.obj - w->ref->obj[i]) >= fabs(o->obj - w->ref->obj[i])) continue;
    o->obj = here.obj;
    o->corner = true;
    covariance_compare(w, i, here.cov);
  }
  return DP_OK;
}

/* dpi_work_fn: build the person, objective at the reference's mode. */
static dp_status at_reference(void *user, int i, int worker) {
  suite_run *w = user;
  (void)worker;
  dpi_person *p;
  double x[65], omega[64 * 64];
  judged here;
  DP_TRY(dpi_person_create(w->kind, w->record, i, INFINITY, false, &w->person[i]));
  p = w->person[i];
  p->typical = w->prior->typical;
  int n = p->c->neta, m = w->ref->neta;
  if (n > m || n > 64)
    return dpi_fail(w->ctx, DP_ERR_INPUT, "subject %s: %d random effects, the reference has %d",
                    p->c->id, n, m);
  if (strcmp(p->c->id, w->ref->id[i]))
    return dpi_fail(w->ctx, DP_ERR_INPUT, "subject %d: the data have id %s, the reference %s",
                    i + 1, p->c->id, w->ref->id[i]);
  dpi_person_omega(p, w->prior->omega, omega);
  DP_TRY(dpi_indiv_prior(p->iv, omega));
  /* a subject without later occasions has fewer directions than the reference has columns: those are 0 */
  double eta[64] = {0};
  for (int j = 0; j < n && j < m; j++) eta[j] = w->ref->eta[(size_t)i * m + j];
  dpi_indiv_x(p->iv, eta, x);
  outcome *o = &w->result[i];
  DP_TRY(objective_at(p, x, &here, &o->ok));
  o->gap = -INFINITY; /* where theirs has no value */
  if (!o->ok) return DP_OK;
  o->gap = -here.joint;
  o->obj = here.obj;
  covariance_compare(w, i, here.cov);
  return sides_of_corner(w, i, x, w->tolerance);
}

/* Relative difference of one individual parameter between two etas. */
static double parameter_difference(const suite_run *w, int effect, double ours, double theirs) {
  const dpi_kind_effect *e = &w->kind->effect[effect];
  double t = w->prior->typical[e->typical];
  if (e->distribution == DPI_DIST_LOGNORMAL) return fabs(dpi_m_expm1(ours - theirs));
  if (e->distribution == DPI_DIST_NORMAL) return fabs(ours - theirs) / fabs(t + theirs);
  double base = dpi_m_log(t / (1 - t)), a = 1 / (1 + dpi_m_exp(-base - ours)),
         b = 1 / (1 + dpi_m_exp(-base - theirs));
  return fabs(a / b - 1);
}

/* Our own mode beside theirs. */
static void own_mode(const suite_run *w, int i, const dpi_modes *own) {
  const dpi_person *p = w->person[i];
  outcome *o = &w->result[i];
  double eta[64];
  if (own->nmode == 0) return;
  o->converged = own->mode.converged;
  o->gap += own->mode.l;
  dpi_indiv_eta(p->iv, own->x, eta);
  for (int j = 0; j < p->c->neta && j < w->ref->neta; j++) {
    double d = parameter_difference(w, p->c->eta_effect[j], eta[j],
                                    w->ref->eta[(size_t)i * w->ref->neta + j]);
    o->nparam++;
    o->nwithin += d <= WITHIN;
    o->largest = fmax(o->largest, d);
  }
}

/* Everybody's mode, timed. */
static dp_status own_modes(const suite_run *w, dpi_arena *arena, int n, dp_nonmem_result *r) {
  dpi_modes *own = DPI_ARENA_ARRAY(arena, dpi_modes, (size_t)n + 1);
  if (!own) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    own[i].x = DPI_ARENA_ARRAY(arena, double, (size_t)w->person[i]->iv->dim + 1);
    if (!own[i].x) return DP_ERR_MEMORY;
  }
  dpi_modes_def def = {.mode = dpi_mode_def_default(), .nstart = w->nstart, .nstart_more = STARTS_MORE, .seed = 1};
  def.mode.tolerance = OWN_DECREMENT;
  double start = dpi_clock_s();
  clock_t cpu = clock();
  for (int i = 0; i < n; i++) w->person[i]->iv->neval = 0;
  DP_TRY(dpi_modes_find(w->kind, w->person, n, &def, own));
  r->seconds = dpi_clock_s() - start;
  r->cpu_seconds = (double)(clock() - cpu) / CLOCKS_PER_SEC;
  for (int i = 0; i < n; i++) {
    r->evaluations += (double)w->person[i]->iv->neval / n;
    own_mode(w, i, &own[i]);
  }
  return DP_OK;
}

/* ---- one run ---- */

static void add_up(const suite_run *w, int n, double tolerance, dp_nonmem_result *r) {
  int nfailed = 0;
  double gap = OBJECTIVE_GAP;
  r->nsubject = n;
  for (int i = 0; i < n; i++) {
    const outcome *o = &w->result[i];
    double d = o->ok ? fabs(o->obj - w->ref->obj[i]) : INFINITY;
    nfailed += !o->ok;
    if (d > r->worst_difference) {
      r->worst_difference = d;
      snprintf(r->worst_subject, sizeof r->worst_subject, "%.31s", w->ref->id[i]);
    }
    r->objective += o->obj;
    r->reference += w->ref->obj[i];
    r->ncovariance += o->ncov;
    r->ncovariance_within += o->ncov_within;
    r->largest_covariance = fmax(r->largest_covariance, o->cov_largest);
    r->nparameter += o->nparam;
    r->nwithin += o->nwithin;
    r->nunconverged += !o->converged;
    r->nworse += !(o->gap <= OBJECTIVE_GAP);
    if (!(o->gap <= gap)) {
      gap = o->gap;
      snprintf(r->worse_subject, sizeof r->worse_subject, "%.31s", w->ref->id[i]);
    }
    if (o->gap < -OBJECTIVE_GAP)
      r->nbetter++;
    else {
      r->nflat += o->nwithin < o->nparam && o->gap > -GAP_NOISE; /* lower is better, by however little */
      r->largest = fmax(r->largest, o->largest);
    }
  }
  r->worst = r->worst_difference / tolerance;
  r->patients_per_s = r->seconds > 0 ? n / r->seconds : 0;
  r->patients_per_core_s = r->cpu_seconds > 0 ? n / r->cpu_seconds : 0;
  bool pass = r->worst <= 1 && r->nworse == 0 && r->nunconverged == 0 && r->nflat == 0 &&
              r->ncovariance_within == r->ncovariance;
  snprintf(r->status, sizeof r->status, "%s", pass ? "pass" : "fail");
  if (!pass)
    snprintf(r->why, sizeof r->why,
             "objective at their mode off by %.2g (subject %s, tolerance %.0e, %d not evaluated); "
             "modes: %d worse (subject %s by %.2g), %d beyond 0.1 %% without being better, %d not converged; "
             "covariances: %d beyond 1 %%",
             r->worst_difference, r->worst_subject, tolerance, nfailed, r->nworse, r->nworse ? r->worse_subject : "-",
             r->nworse ? gap : 0, r->nflat, r->nunconverged, r->ncovariance - r->ncovariance_within);
}

static dp_status run_compare(suite_run *w, dpi_arena *arena, const dp_nonmem_def *def,
                             double tolerance, dp_nonmem_result *r) {
  int n = w->record->nsubject;
  if (n != w->ref->n)
    return dpi_fail(w->ctx, DP_ERR_INPUT, "run %s: %d subjects in the data, %d in the reference",
                    r->run, n, w->ref->n);
  if (def->max_subject > 0 && n > def->max_subject) n = def->max_subject;
  w->person = DPI_ARENA_ARRAY(arena, dpi_person *, (size_t)n + 1);
  w->result = DPI_ARENA_ARRAY(arena, outcome, (size_t)n + 1);
  if (!w->person || !w->result) return DP_ERR_MEMORY;
  dp_status st = dpi_parallel_for(w->ctx, n, at_reference, w);
  if (st == DP_OK) st = own_modes(w, arena, n, r);
  if (st == DP_OK) add_up(w, n, tolerance, r);
  for (int i = 0; i < n; i++) dpi_person_destroy(w->person[i]);
  return st;
}

static dp_status run_files(dp_ctx *ctx, const char *dir, const char *kind_dir,
                           const dp_nonmem_def *def, double tolerance, dp_nonmem_result *r) {
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  dp_prior *prior = NULL;
  phi ref = {0};
  dpi_arena arena;
  dpi_arena_init(&arena, ctx);
  const char *data = dpi_arena_printf(&arena, "%s/data%s.csv", dir, r->run);
  const char *path = dpi_arena_printf(&arena, "%s/run%s.phi", dir, r->run);
  dp_status st = data && path ? dp_kind_load(ctx, kind_dir, &kind) : DP_ERR_MEMORY;
  if (st == DP_OK) st = dp_kind_record(kind, data, &record);
  if (st == DP_OK) st = dp_prior_nominal(kind, &prior);
  if (st == DP_OK) st = phi_read(ctx, &arena, path, &ref);
  if (st == DP_OK) {
    suite_run w = {.ctx = ctx,
                   .kind = kind,
                   .record = record,
                   .prior = prior,
                   .ref = &ref,
                   .nstart = def->nstart,
                   .tolerance = tolerance};
    st = run_compare(&w, &arena, def, tolerance, r);
  }
  dpi_free(ctx, ref.text);
  dp_prior_destroy(prior);
  if (record) dp_record_destroy(record);
  if (kind) dp_kind_destroy(kind);
  dpi_arena_release(&arena);
  return st;
}

static bool wanted(const dp_nonmem_def *def, const char *run) {
  for (int k = 0; k < def->nonly; k++)
    if (!strcmp(def->only[k], run) ||
        (!strncmp(def->only[k], "run", 3) && !strcmp(def->only[k] + 3, run)))
      return true;
  return def->nonly == 0;
}

/* Every run asked for must be one of ours, and there. */
static dp_status all_found(dp_ctx *ctx, const char *dir, const dp_nonmem_def *def) {
  for (int k = 0; k < def->nonly; k++) {
    const char *run = def->only[k];
    char path[2048];
    int i = 0;
    if (!strncmp(run, "run", 3)) run += 3;
    while (i < DPI_COUNT(runs) && strcmp(runs[i].run, run)) i++;
    if (i == DPI_COUNT(runs))
      return dpi_fail(ctx, DP_ERR_INPUT, "run '%.60s': expected one of %s to %s (those of the open set)", def->only[k],
                      runs[0].run, runs[DPI_COUNT(runs) - 1].run);
    snprintf(path, sizeof path, "%s/run%s.phi", dir, run);
    if (!dpi_file_exists(path)) return dpi_fail(ctx, DP_ERR_INPUT, "%s: not there, and run %s is asked for", path, run);
  }
  return DP_OK;
}

dp_nonmem_def dp_nonmem_def_default(void) {
  dp_nonmem_def d = {.cookie = 0x6e6d6d31u, .nstart = 3};
  return d;
}

/* The run's kind: what was asked for, a folder runNNN or a control stream runNNN.ctl; "" when there is none. */
static void kind_path(const char *kinds_dir, const dp_nonmem_def *def, const char *run, char *out, size_t size) {
  if (def->model) {
    snprintf(out, size, "%s", def->model);
    return;
  }
  snprintf(out, size, "%s/run%s/twin.yaml", kinds_dir, run);
  bool folder = dpi_file_exists(out);
  snprintf(out, size, folder ? "%s/run%s" : "%s/run%s.ctl", kinds_dir, run);
  if (!folder && !dpi_file_exists(out)) *out = 0;
}

dp_status dp_suite_nonmem(dp_ctx *ctx, const char *dir, const char *kinds_dir,
                          const dp_nonmem_def *def, dp_nonmem_fn each, void *user) {
  int found = 0;
  if (def->cookie != dp_nonmem_def_default().cookie || def->nstart < 1)
    return dpi_fail(ctx, DP_ERR_USAGE,
                    "dp_nonmem_def: start from dp_nonmem_def_default(), nstart at least 1");
  DP_TRY(all_found(ctx, dir, def));
  for (int k = 0; k < DPI_COUNT(runs); k++) {
    char path[2048], twin[2048];
    dp_nonmem_result r = {0};
    snprintf(path, sizeof path, "%s/run%s.phi", dir, runs[k].run);
    kind_path(kinds_dir, def, runs[k].run, twin, sizeof twin);
    if (!wanted(def, runs[k].run) || !dpi_file_exists(path)) continue;
    found++;
    snprintf(r.run, sizeof r.run, "%s", runs[k].run);
    if (!*twin) {
      snprintf(r.status, sizeof r.status, "refused");
      snprintf(r.why, sizeof r.why, "no kind run%s", runs[k].run);
      each(user, &r);
      continue;
    }
    dp_status st = run_files(ctx, dir, twin, def, runs[k].tolerance, &r);
    if (st == DP_ERR_CANCELLED || st == DP_ERR_MEMORY) return st;
    if (st != DP_OK) {
      snprintf(r.status, sizeof r.status, "%s", st == DP_ERR_UNSUPPORTED ? "refused" : "error");
      snprintf(r.why, sizeof r.why, "%.230s", dp_ctx_error(ctx));
      dp_ctx_clear_error(ctx);
    }
    each(user, &r);
  }
  if (!found)
    return dpi_fail(ctx, DP_ERR_INPUT, "%s: found no runNNN.phi there", dir);
  return DP_OK;
}
