/* calib_eval.c - floor 6: likelihood, gradient and information of a problem at many points.  O -> D
 *
 *     x -> theta (slope dtheta/dx) -> expressions -> members -> rows of atoms a -> y, sigma -> ln p
 *
 *     d ln p/dx = sum over data [ ln p_y dy/da + ln p_s ds/da ] da/dx  +  [ ln p_y dy/do + ln p_s ds/do ] do/dx
 *                 \--------------- weight of atom a ---------/          \------------- outer parameters ------/
 *
 * Forward, da/dx comes from the sim; backwards, the weights go to it. Both ways share `score`, which is one member's
 * part. Information: sum of iy (dy/dx)(dy/dx)' + is (ds/dx)(ds/dx)'.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "infer/petab/calib.h"

#define ROOM \
  100.0 /* what is noise to a derivative, over what is noise to a state: derivatives are differences of large numbers */
#define BATCH_BYTES ((size_t)192 << 20) /* of one batch of points */
/* Work, in steps of a member that carries no directions: operations counted on the tapes of problems of all sizes. */
#define WORK_DIRECTION 1.35 /* of each direction that a step carries */
#define NEAR 131072         /* numbers of all directions together that a scalar method goes fastest with */
#define WORK_BACK 5.5       /* of a step recorded and gone back over */
enum { NEAR_LEAST = 8 };    /* directions, however large the model */
enum { SIDE_BY_SIDE = 8 };  /* members that cost as much as one: a convention, so that results do not depend on
                               the processor */
enum { LINEAR_FORWARD = 20 }; /* directions up to which exact steps of linear equations are cheaper than
                                 steps recorded */

/* What one member's data say. */
typedef struct score {
  bool ok;
  double llh, chi2;
  char reason[200];
} score;

typedef struct batch { /* some points of one part */
  const dp_problem *p;
  const dpi_calib_part *part;
  dp_ctx *ctx;
  int first, npoint, nmember, nest;
  int ndir;        /* directions that one run of a member carries */
  int nrun;        /* runs of one point: forward, a member is run once for each `ndir` of its directions */
  int *run_first;  /* [nsim] its first run; NULL: one run a member */
  bool gradient, fisher;
  bool along; /* ndir is 1: the direction for the way back */
  const double *expr; /* [all points x (n + npartial)], partials by x */
  size_t nexpr;
  const double
      *scale; /* [all points x nest] size of derivatives by each estimated parameter, beside that of the states */
  dp_problem_value *value;
  dp_member *member;
  double *param, *seed;
  score *score;      /* [nmember] */
  double *grad;      /* [nmember x nest] */
  double *info;      /* [nmember x nest x nest] */
  double **early;    /* backwards: [nmember] weights of the rows at the member's own start, NULL: none */
  int nddir;         /* directions of the steady states before */
  dp_result *before; /* [npoint x nrest members], one row each; NULL: none */
  const dp_result *result;
} batch;

/* Runs of a simulation that carry ndir directions each. */
static int runs_of(const dpi_calib_sim *s, int ndir) {
  return ndir > 0 && s->ndir > ndir ? (s->ndir + ndir - 1) / ndir : 1;
}

/* The member's first run; its directions [c ndir, (c + 1) ndir) go with the c-th behind it. Values are those
 * of the first. */
static int run_of(const batch *b, int member) {
  if (!b->run_first) return member;
  return member / b->part->nsim * b->nrun + b->run_first[member % b->part->nsim];
}

/* Derivatives of cell `cell` (row x natom + atom) of a member by its directions from `dir` on, up to *n of them. */
static const double *derivatives(const batch *b, int member, size_t cell, int dir, int left, int *n) {
  const int run = run_of(b, member) + dir / b->ndir;
  *n = left < b->ndir ? left : b->ndir;
  return b->result->dvalue + (b->result->value_at[run] * (size_t)b->part->natom + cell) * (size_t)b->ndir;
}

/* ---- one measurement ---- */

typedef struct scratch {
  double *sym, *reg, *out; /* of an observable's tape */
  double *jy, *js;         /* [nest] derivatives of y and sigma by x */
  int *touched;            /* [nest] which of them are not zero */
  uint8_t *is;
  void *block;
} scratch;

static dp_status scratch_init(scratch *s, const batch *b) {
  int nin = 0, nreg = 0;
  for (int o = 0; o < b->part->table->nobservable; o++) {
    const dpi_calib_watch *w = &b->part->watch[o];
    nin = w->nin > nin ? w->nin : nin;
    nreg = dpi_tape_nreg(w->full) > nreg ? dpi_tape_nreg(w->full) : nreg;
    nreg = dpi_tape_nreg(w->value) > nreg ? dpi_tape_nreg(w->value) : nreg;
  }
  const size_t n = (size_t)b->nest;
  double *at = s->block = DPI_NEW_ARRAY(b->ctx, double, (size_t)(3 * nin + 4 + nreg) + 4 * n + 4);
  if (!at) return DP_ERR_MEMORY;
  s->sym = at;
  s->out = s->sym + nin + 1;
  s->reg = s->out + 2 * nin + 2;
  s->jy = s->reg + nreg + 1;
  s->js = s->jy + n;
  s->touched = (int *)(s->js + n);
  s->is = (uint8_t *)(s->js + 2 * n);
  return DP_OK;
}

static const double *expr_of(const batch *b, int member) {
  return b->expr + (size_t)(b->first + member / b->part->nsim) * b->nexpr;
}

static int in_expr(const batch *b, const dpi_calib_row *r, dpi_calib_in in) {
  return in.kind == DPI_IN_PLACEHOLDER ? r->given[in.index] : b->part->use[r->experiment].outer[in.index];
}

static void run_tape(const dpi_tape *tape, scratch *s) {
  dpi_tape_init(tape, s->reg);
  dpi_tape_prologue(tape, s->sym, s->reg);
  dpi_tape_eval(tape, s->sym, s->reg, s->out);
}

static void observe(const batch *b, int member, const dpi_calib_row *r, const double *atom, scratch *s) {
  const dpi_calib_watch *w = &b->part->watch[r->observable];
  const double *expr = expr_of(b, member);
  s->sym[0] = r->time;
  for (int i = 0; i < w->nin; i++) {
    const dpi_calib_in in = w->in[i];
    if (in.kind == DPI_IN_ATOM) {
      s->sym[1 + i] = atom[in.index];
      continue;
    }
    const int e = in_expr(b, r, in);
    s->sym[1 + i] = e >= 0 ? expr[e] : b->part->desc->param_default[b->part->outer[in.index]];
  }
  run_tape(b->gradient ? w->full : w->value, s);
}

static void touch(scratch *s, int *n, int q, double y, double g) {
  if (!s->is[q]) {
    s->is[q] = 1;
    s->touched[(*n)++] = q;
  }
  s->jy[q] += y;
  s->js[q] += g;
}

/* ln p's derivatives of one measurement: weights of atoms, gradient by outer parameters. */
static void pull(const batch *b, int member, const dpi_calib_row *r, const dpi_noise_value *v, const scratch *s,
                 double *weight) {
  const dpi_express *e = &b->p->express;
  const dpi_calib_watch *w = &b->part->watch[r->observable];
  const double *partial = expr_of(b, member) + e->n;
  double *grad = b->grad + (size_t)member * (size_t)b->nest;
  for (int i = 0; i < w->nin; i++) {
    const double c = v->dy * s->out[2 + i] + v->ds * s->out[2 + w->nin + i];
    if (w->in[i].kind == DPI_IN_ATOM) {
      weight[w->in[i].index] += c;
      continue;
    }
    const int x = in_expr(b, r, w->in[i]);
    for (int j = x < 0 ? 0 : e->first[x]; x >= 0 && j < e->first[x + 1]; j++) grad[e->by[j]] += c * partial[j];
  }
}

static void inform(const batch *b, int member, const dpi_calib_row *r, const dpi_noise_value *v, scratch *s) {
  const dpi_express *e = &b->p->express;
  const dpi_calib_watch *w = &b->part->watch[r->observable];
  const dpi_calib_sim *sim = &b->part->sims[r->sim];
  const double *partial = expr_of(b, member) + e->n;
  const size_t n = (size_t)b->nest, row = (size_t)r->row * (size_t)b->part->natom;
  double *info = b->info + (size_t)member * n * n;
  int count = 0;
  for (int i = 0; i < w->nin; i++) {
    const double y = s->out[2 + i], g = s->out[2 + w->nin + i];
    if (w->in[i].kind == DPI_IN_ATOM) {
      for (int q = 0, m; q < sim->ndir; q += m) {
        const double *d = derivatives(b, member, row + (size_t)w->in[i].index, q, sim->ndir - q, &m);
        for (int k = 0; k < m; k++)
          if (d[k] != 0) touch(s, &count, sim->dir[q + k], y * d[k], g * d[k]);
      }
      continue;
    }
    const int x = in_expr(b, r, w->in[i]);
    for (int j = x < 0 ? 0 : e->first[x]; x >= 0 && j < e->first[x + 1]; j++)
      touch(s, &count, e->by[j], y * partial[j], g * partial[j]);
  }
  for (int i = 0; i < count; i++)
    for (int j = 0; j < count; j++) {
      const int k = s->touched[i], l = s->touched[j];
      info[(size_t)k * n + (size_t)l] += v->iy * s->jy[k] * s->jy[l] + v->is * s->js[k] * s->js[l];
    }
  for (int i = 0; i < count; i++) s->jy[s->touched[i]] = s->js[s->touched[i]] = s->is[s->touched[i]] = 0;
}

static void note_datum(const batch *b, int member, const dpi_calib_row *r, double y, double sigma,
                       const dpi_noise_value *v) {
  dp_problem_value *out = &b->value[b->first + member / b->part->nsim];
  if (out->simulation) out->simulation[r->number] = y;
  if (out->sigma) out->sigma[r->number] = sigma;
  if (out->residual) out->residual[r->number] = v ? v->residual : NAN;
  if (out->pointwise) out->pointwise[r->number] = v ? v->ln : NAN;
}

/* ---- one member ---- */

/* value: its rows of atoms; weight [nout x natom], zero on entry, unless NULL. */
static void score_rows(const batch *b, int member, const double *value, double *weight, scratch *s) {
  const dpi_calib_part *p = b->part;
  const int which = member % p->nsim;
  score *out = &b->score[member];
  int bad = 0;
  *out = (score){.ok = true};
  for (int i = p->row_first[which]; i < p->row_first[which + 1]; i++) {
    const dpi_calib_row *r = &p->row[p->by_sim[i]];
    const dpi_calib_observable *o = &p->table->observable[r->observable];
    dpi_noise_value v;
    observe(b, member, r, value + (size_t)r->row * (size_t)p->natom, s);
    const double y = s->out[0], sigma = s->out[1];
    const double *expr = expr_of(b, member);
    const bool within = r->low >= 0 || r->high >= 0;
    if (within ? !dpi_noise_within(o->distribution, r->low < 0 ? -INFINITY : expr[r->low],
                                   r->high < 0 ? INFINITY : expr[r->high], y, sigma, &v)
               : !dpi_noise_eval(o->distribution, r->value, y, sigma, &v)) {
      if (out->ok)
        snprintf(out->reason, sizeof out->reason, "%.80s: '%.50s' is %.4g with noise %.4g, outside the domain of %s",
                 r->where, o->id, y, sigma, dpi_noise_name(o->distribution));
      out->ok = false;
      bad++;
      note_datum(b, member, r, y, sigma, NULL);
      continue;
    }
    note_datum(b, member, r, y, sigma, &v);
    out->llh += v.ln;
    out->chi2 += v.residual * v.residual;
    if (weight) pull(b, member, r, &v, s, weight + (size_t)r->row * (size_t)p->natom);
    if (b->fisher) inform(b, member, r, &v, s);
  }
  const size_t n = strlen(out->reason);
  if (bad > 1) snprintf(out->reason + n, sizeof out->reason - n, "; and %d more of its measurements", bad - 1);
}

/* Of a likelihood, or of its slope along a direction. */
static dp_status score_member(const batch *b, int member, const double *value, double *weight, scratch *s) {
  const int which = member % b->part->nsim;
  score *out = &b->score[member];
  dpi_calib_share share;
  if (!b->part->tangent) {
    score_rows(b, member, value, weight, s);
    return DP_OK;
  }
  DP_TRY(dpi_calib_tangent_score(b->part, which, expr_of(b, member), value, weight,
                                 b->grad + (size_t)member * (size_t)b->nest, &share));
  *out = (score){.ok = share.ok, .llh = share.slope};
  memcpy(out->reason, share.reason, sizeof out->reason);
  return DP_OK;
}

static void fail_member(const batch *b, int member, const char *reason, double time) {
  const dpi_calib_sim *s = &b->part->sims[member % b->part->nsim];
  score *out = &b->score[member];
  *out = (score){.ok = false};
  snprintf(out->reason, sizeof out->reason, "experiment '%.50s', time %.6g: %.110s", s->experiment, time, reason);
}

/* dpi_work_fn: forward */
static dp_status score_forward(void *user, int member, int worker) {
  const batch *b = user;
  const dpi_calib_part *p = b->part;
  const dp_result *r = b->result;
  (void)worker;
  const dpi_calib_sim *sim = &p->sims[member % p->nsim];
  const int first = run_of(b, member), nrun = runs_of(sim, b->ndir);
  for (int i = first; i < first + nrun; i++)
    if (r->status[i] != DP_MEMBER_OK) {
      fail_member(b, member, r->reason[i], r->fail_time[i]);
      return DP_OK;
    }
  const size_t at = r->value_at[first], cells = (size_t)sim->nout * (size_t)p->natom;
  double *weight = b->gradient ? DPI_NEW_ARRAY(b->ctx, double, cells + 1) : NULL;
  scratch s = {0};
  dp_status st = b->gradient && !weight ? DP_ERR_MEMORY : scratch_init(&s, b);
  if (st == DP_OK) st = score_member(b, member, r->value + at * (size_t)p->natom, weight, &s);
  if (st == DP_OK) {
    double *grad = b->grad + (size_t)member * (size_t)b->nest;
    for (size_t c = 0; weight && c < cells; c++) {
      if (weight[c] == 0) continue;
      for (int q = 0, m; q < sim->ndir; q += m) {
        const double *d = derivatives(b, member, c, q, sim->ndir - q, &m);
        for (int k = 0; k < m; k++) grad[sim->dir[q + k]] += weight[c] * d[k];
      }
    }
  }
  dpi_free(b->ctx, weight);
  dpi_free(b->ctx, s.block);
  return st;
}

/* Outputs at the very start of a simulation. */
static int start_rows(const dpi_calib_sim *s) {
  int n = 0;
  while (n < s->nout && s->out[n].time == s->start) n++;
  return n;
}

/* dp_weight_fn: backwards. Rows at the start are kept out: see run_start. */
static dp_status score_back(void *user, int member, const double *value, double *weight) {
  const batch *b = user;
  const dpi_calib_part *p = b->part;
  const dpi_calib_sim *sim = &p->sims[member % p->nsim];
  const size_t n = (size_t)start_rows(sim) * (size_t)p->natom;
  scratch s = {0};
  DP_TRY(scratch_init(&s, b));
  const dp_status st = score_member(b, member, value, weight, &s);
  dpi_free(b->ctx, s.block);
  if (st != DP_OK) return st;
  if (!b->score[member].ok) memset(weight, 0, sizeof *weight * (size_t)sim->nout * (size_t)p->natom);
  if (n == 0) return DP_OK;
  b->early[member] = DPI_NEW_ARRAY(b->ctx, double, n);
  if (!b->early[member]) return DP_ERR_MEMORY;
  memcpy(b->early[member], weight, n * sizeof *weight);
  memset(weight, 0, n * sizeof *weight);
  return DP_OK;
}

/* ---- members ---- */

/* Parameters and seeds that expressions give; seed [nactive x width], its first ndir columns by dir. */
static void fill_binds(const batch *b, const double *expr, const dpi_calib_bind *bind, int nbind, const int *active_of,
                       const int *dir, int ndir, int width, double *param, double *seed) {
  const dpi_express *e = &b->p->express;
  const double *partial = expr + e->n;
  for (int i = 0; i < nbind; i++) {
    param[bind[i].param] = expr[bind[i].expr];
    const int a = seed ? active_of[bind[i].param] : -1;
    if (a < 0) continue;
    for (int j = e->first[bind[i].expr]; j < e->first[bind[i].expr + 1]; j++)
      for (int q = 0; q < ndir; q++)
        if (dir[q] == e->by[j]) seed[(size_t)a * (size_t)width + (size_t)q] += partial[j];
  }
}

/* What tells numbers from noise for a derivative (atol times its direction's scale) is taken by the integrators from
 * seed / max(p, 1) of the parameters that move. For a small parameter estimated by its logarithm that asks for digits
 * that are not there. A parameter that nothing depends on says what is meant: derivatives by a relative change of the
 * estimated parameter are as large as the states. */
static void fill_scale(const batch *b, int point, int active, const int *dir, int ndir, int width, double *seed) {
  const double *scale = b->scale + (size_t)point * (size_t)b->nest;
  for (int q = 0; q < ndir && active >= 0 && seed; q++)
    seed[(size_t)active * (size_t)width + (size_t)q] = ROOM * scale[dir[q]];
}

/* The state that the member begins at, and its derivatives by dir [ndir]. */
static void fill_slots(const batch *b, int member, const dpi_calib_sim *s, const int *dir, int ndir, double *param,
                       double *seed) {
  const dpi_calib_before *f = &b->part->before;
  const dpi_calib_rest *r = &f->rest[s->from];
  const int from = member / b->part->nsim * f->nrest + s->from;
  const size_t at = b->before->value_at[from] * (size_t)f->nslot;
  for (int k = 0; k < f->nslot; k++) {
    param[f->slot_param[k]] = b->before->value[at + (size_t)k];
    const int a = seed ? b->part->active_of[f->slot_param[k]] : -1;
    for (int i = 0; a >= 0 && i < r->ndir; i++)
      for (int q = 0; q < ndir; q++)
        if (dir[q] == r->dir[i])
          seed[(size_t)a * (size_t)b->ndir + (size_t)q] =
              b->before->dvalue[(at + (size_t)k) * (size_t)b->nddir + (size_t)i];
  }
}

/* By how much estimated parameter q is moved in the one direction that paths for the way back are recorded with: about
 * its own size, between 0.75 and 1.25 of it, up or down, so that nothing cancels but by chance. */
static double move_of(const batch *b, int point, int q) {
  const double u = 0.6180339887498949 * (q + 1), size = b->scale[(size_t)point * (size_t)b->nest + (size_t)q];
  return (q % 2 == 0 ? 1 : -1) * (0.75 + 0.5 * (u - floor(u))) / size;
}

/* All estimated parameters moved together, into seed [nactive]: steps for the way back suit derivatives along that. */
static void fill_along(const batch *b, int member, const dpi_calib_sim *s, double *seed) {
  const dpi_calib_part *p = b->part;
  const dpi_calib_before *f = &p->before;
  const dpi_express *e = &b->p->express;
  const int point = b->first + member / p->nsim;
  const double *partial = expr_of(b, member) + e->n;
  for (int i = 0; i < s->nbind; i++) {
    const int a = p->active_of[s->bind[i].param], x = s->bind[i].expr;
    for (int j = e->first[x]; a >= 0 && j < e->first[x + 1]; j++) seed[a] += partial[j] * move_of(b, point, e->by[j]);
  }
  if (p->scale_active >= 0) seed[p->scale_active] = 1; /* costs no more than ROOM here */
  if (s->from < 0) return;
  const dpi_calib_rest *r = &f->rest[s->from];
  const size_t at = b->before->value_at[member / p->nsim * f->nrest + s->from] * (size_t)f->nslot;
  for (int k = 0; k < f->nslot; k++) {
    const int a = p->active_of[f->slot_param[k]];
    const double *d = b->before->dvalue + (at + (size_t)k) * (size_t)b->nddir;
    for (int i = 0; a >= 0 && i < r->ndir; i++) seed[a] += d[i] * move_of(b, point, r->dir[i]);
  }
}

/* One run of a member: with its directions from `from` on. */
static void fill_run(const batch *b, int member, int from, int run) {
  const dpi_calib_part *p = b->part;
  const dpi_calib_sim *s = &p->sims[member % p->nsim];
  const size_t np = (size_t)p->desc->nparam, na = (size_t)p->nactive, nd = (size_t)b->ndir;
  const int *dir = s->dir + from, left = s->ndir - from, ndir = left < b->ndir ? left : b->ndir;
  double *param = b->param + (size_t)run * np, *seed = b->seed ? b->seed + (size_t)run * na * nd : NULL;
  double *by = b->along ? NULL : seed;
  memcpy(param, p->desc->param_default, np * sizeof *param);
  fill_binds(b, expr_of(b, member), s->bind, s->nbind, p->active_of, dir, ndir, b->ndir, param, by);
  if (s->from >= 0) fill_slots(b, member, s, dir, ndir, param, by);
  if (by) fill_scale(b, b->first + member / p->nsim, p->scale_active, dir, ndir, b->ndir, by);
  if (b->along) fill_along(b, member, s, seed);
  b->member[run] = (dp_member){.param = param,
                               .seed = seed,
                               .instant = s->instant,
                               .ninstant = s->ninstant,
                               .out = s->out,
                               .nout = s->nout,
                               .start = s->start};
}

static void fill_member(const batch *b, int member) {
  const int nrun = b->run_first ? runs_of(&b->part->sims[member % b->part->nsim], b->ndir) : 1;
  for (int i = 0; i < nrun; i++) fill_run(b, member, i * b->ndir, run_of(b, member) + i);
}

/* All steady states before, with derivatives where a gradient is asked for. */
static dp_status run_before(batch *b) {
  const dpi_calib_before *f = &b->part->before;
  const int n = b->npoint * f->nrest;
  const size_t np = (size_t)f->desc->nparam, na = (size_t)f->nactive, nd = (size_t)(b->gradient ? f->maxdir : 0);
  dp_instant settle = dp_instant_default();
  const dp_output_time out = {.time = 0, .order = 1};
  settle.type = DP_EQUILIBRATE;
  dp_run_opts opts = dp_run_opts_default();
  b->nddir = opts.ndir = (int)nd;
  dp_member *member = DPI_NEW_ARRAY(b->ctx, dp_member, n + 1);
  double *param = DPI_NEW_ARRAY(b->ctx, double, (size_t)n *(np + na * nd) + 1), *seed = param + (size_t)n * np;
  dp_status st = member && param ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < n && st == DP_OK; i++) {
    const dpi_calib_rest *r = &f->rest[i % f->nrest];
    double *at = param + (size_t)i * np, *to = nd ? seed + (size_t)i * na * nd : NULL;
    memcpy(at, f->desc->param_default, np * sizeof *at);
    fill_binds(b, b->expr + (size_t)(b->first + i / f->nrest) * b->nexpr, r->bind, r->nbind, f->active_of, r->dir,
               r->ndir, (int)nd, at, to);
    fill_scale(b, b->first + i / f->nrest, f->scale_active, r->dir, r->ndir, (int)nd, to);
    member[i] = (dp_member){.param = at, .seed = to, .instant = &settle, .ninstant = 1, .out = &out, .nout = 1};
  }
  if (st == DP_OK) st = dp_simulate(f->sim, member, n, &opts, &b->before);
  dpi_free(b->ctx, member);
  dpi_free(b->ctx, param);
  return st;
}

static dp_status batch_memory(batch *b, bool seeds) {
  const dpi_calib_part *p = b->part;
  const size_t nm = (size_t)b->nmember, n = (size_t)b->nest;
  if (b->ndir > 0 && !b->along && !(b->run_first = DPI_NEW_ARRAY(b->ctx, int, p->nsim + 1))) return DP_ERR_MEMORY;
  for (int s = b->nrun = 0; s < p->nsim; s++) {
    if (b->run_first) b->run_first[s] = b->nrun;
    b->nrun += b->run_first ? runs_of(&p->sims[s], b->ndir) : 1;
  }
  const size_t nr = (size_t)b->npoint * (size_t)b->nrun;
  b->member = DPI_NEW_ARRAY(b->ctx, dp_member, nr + 1);
  b->param = DPI_NEW_ARRAY(b->ctx, double, nr *(size_t)p->desc->nparam + 1);
  b->score = DPI_NEW_ARRAY(b->ctx, score, nm + 1);
  b->grad = DPI_NEW_ARRAY(b->ctx, double, nm *n + 1);
  b->info = DPI_NEW_ARRAY(b->ctx, double, b->fisher ? nm *n *n + 1 : 1);
  b->seed = seeds ? DPI_NEW_ARRAY(b->ctx, double, nr *(size_t)p->nactive *(size_t)b->ndir + 1) : NULL;
  const bool good = b->member && b->param && b->score && b->grad && b->info && (b->seed || !seeds);
  return good ? DP_OK : DP_ERR_MEMORY;
}

static void batch_release(batch *b) {
  dpi_free(b->ctx, b->member);
  dpi_free(b->ctx, b->param);
  dpi_free(b->ctx, b->score);
  dpi_free(b->ctx, b->grad);
  dpi_free(b->ctx, b->info);
  dpi_free(b->ctx, b->seed);
  for (int i = 0; b->early && i < b->nmember; i++) dpi_free(b->ctx, b->early[i]);
  dpi_free(b->ctx, b->early);
  dpi_free(b->ctx, b->run_first);
  dp_result_destroy(b->before);
}

static dp_status run_forward(batch *b) {
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  opts.ndir = b->ndir;
  DP_TRY(dp_simulate(b->part->sim, b->member, b->npoint * b->nrun, &opts, &r));
  b->result = r;
  const dp_status st = dpi_parallel_for(b->ctx, b->nmember, score_forward, b);
  dp_result_destroy(r);
  return st;
}

/* Backwards through the state that a member began at. */
static void pull_slots(const batch *b, int member, const dpi_calib_sim *s, const double *by, double *grad) {
  const dpi_calib_before *f = &b->part->before;
  const dpi_calib_rest *r = &f->rest[s->from];
  const size_t at = b->before->value_at[member / b->part->nsim * f->nrest + s->from] * (size_t)f->nslot;
  for (int k = 0; k < f->nslot; k++) {
    const int a = b->part->active_of[f->slot_param[k]];
    for (int i = 0; a >= 0 && i < r->ndir; i++)
      grad[r->dir[i]] += by[a] * b->before->dvalue[(at + (size_t)k) * (size_t)b->nddir + (size_t)i];
  }
}

/* What is measured at the start depends on parameters by initial values and conditions alone: its derivatives come
 * forward, where they cost no step. (Backwards, the sim's gradient knows of outputs after the first step only.) */
static dp_status run_start(const batch *b) {
  const dpi_calib_part *p = b->part;
  const size_t nd = (size_t)p->maxdir, each = (size_t)p->nactive * nd;
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = NULL;
  batch f = *b;
  int n = 0;
  opts.ndir = f.ndir = p->maxdir;
  f.along = false;
  f.run_first = NULL;
  f.member = DPI_NEW_ARRAY(b->ctx, dp_member, b->nmember + 1);
  f.seed = DPI_NEW_ARRAY(b->ctx, double, (size_t)b->nmember *each + 1);
  dp_status st = f.member && f.seed ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < b->nmember && st == DP_OK; i++) {
    if (!b->early[i]) continue;
    fill_run(&f, i, 0, i);
    dp_member m = f.member[i];
    m.nout = start_rows(&p->sims[i % p->nsim]);
    f.member[n++] = m;
  }
  if (st == DP_OK && n > 0) st = dp_simulate(p->sim, f.member, n, &opts, &r);
  for (int i = 0, k = 0; i < b->nmember && st == DP_OK && n > 0; i++) {
    if (!b->early[i]) continue;
    const dpi_calib_sim *s = &p->sims[i % p->nsim];
    const size_t cells = (size_t)start_rows(s) * (size_t)p->natom, at = r->value_at[k++] * (size_t)p->natom;
    double *grad = b->grad + (size_t)i * (size_t)b->nest;
    for (size_t c = 0; c < cells; c++)
      for (int q = 0; q < s->ndir && b->early[i][c] != 0; q++)
        grad[s->dir[q]] += b->early[i][c] * r->dvalue[(at + c) * nd + (size_t)q];
  }
  dp_result_destroy(r);
  dpi_free(b->ctx, f.member);
  dpi_free(b->ctx, f.seed);
  return st;
}

static dp_status run_back(batch *b) {
  const dpi_calib_part *p = b->part;
  const dpi_express *e = &b->p->express;
  dp_vjp_opts opts = dp_vjp_opts_default();
  dp_gradient *g = NULL;
  opts.along = true;
  b->early = DPI_NEW_ARRAY(b->ctx, double *, b->nmember + 1);
  if (!b->early) return DP_ERR_MEMORY;
  dp_status st = dp_simulate_vjp(p->sim, b->member, b->nmember, &opts, score_back, b, &g);
  for (int i = 0; i < b->nmember && st == DP_OK; i++) {
    const dpi_calib_sim *s = &p->sims[i % p->nsim];
    const double *partial = expr_of(b, i) + e->n, *by = g->param + (size_t)i * (size_t)g->nactive;
    double *grad = b->grad + (size_t)i * (size_t)b->nest;
    if (g->status[i] != DP_MEMBER_OK) fail_member(b, i, g->reason[i], g->fail_time[i]);
    for (int k = 0; k < s->nbind; k++) {
      const int a = p->active_of[s->bind[k].param];
      for (int j = e->first[s->bind[k].expr]; a >= 0 && j < e->first[s->bind[k].expr + 1]; j++)
        grad[e->by[j]] += by[a] * partial[j];
    }
    if (s->from >= 0) pull_slots(b, i, s, by, grad);
  }
  dp_gradient_destroy(g);
  return st == DP_OK ? run_start(b) : st;
}

/* A member whose beginning was not found failed because of that. */
static void blame_before(const batch *b, int member) {
  const dpi_calib_before *f = &b->part->before;
  const dpi_calib_sim *s = &b->part->sims[member % b->part->nsim];
  const int from = member / b->part->nsim * f->nrest + s->from;
  score *out = &b->score[member];
  if (s->from < 0 || b->before->status[from] == DP_MEMBER_OK) return;
  *out = (score){.ok = false};
  snprintf(out->reason, sizeof out->reason, "steady state before experiment '%.50s': %.110s",
           f->rest[s->from].experiment, b->before->reason[from]);
}

/* Sums in the order of simulations. */
static void collect(const batch *b) {
  const size_t n = (size_t)b->nest;
  for (int i = 0; i < b->nmember; i++) {
    dp_problem_value *v = &b->value[b->first + i / b->part->nsim];
    if (b->before) blame_before(b, i);
    const score *s = &b->score[i];
    if (!s->ok && v->ok) {
      v->ok = 0;
      memcpy(v->reason, s->reason, sizeof v->reason);
    }
    v->llh += s->llh;
    v->chi2 += s->chi2;
    for (size_t q = 0; v->gradient && q < n; q++) v->gradient[q] += b->grad[(size_t)i * n + q];
    for (size_t q = 0; b->fisher && v->fisher && q < n * n; q++) v->fisher[q] += b->info[(size_t)i * n * n + q];
  }
}

/* What so many runs cost, each `step` for a step: halfway between a point alone and one among many. */
static double work_of(int nrun, double step) {
  const double among = (double)nrun / SIDE_BY_SIDE;
  return step * (ceil(among) + among) / 2;
}

static double forward_work(const dpi_calib_part *part, int width) {
  int nrun = 0;
  for (int s = 0; s < part->nsim; s++) nrun += runs_of(&part->sims[s], width);
  return work_of(nrun, 1 + WORK_DIRECTION * width);
}

/* Directions that one run carries: all, or so many that the work is least. */
static int forward_width(const dpi_calib_part *part) {
  const int most = part->desc->lane_dirs < part->maxdir ? part->desc->lane_dirs : part->maxdir;
  if (most == 0) { /* members by themselves: each run begins anew, but what lies in the cache goes faster */
    int near = part->desc->nstate > 0 ? NEAR / part->desc->nstate : part->maxdir;
    if (near < NEAR_LEAST) near = NEAR_LEAST;
    return near < part->maxdir ? near : part->maxdir;
  }
  int best = 1;
  for (int width = 2; width <= most; width++)
    if (forward_work(part, width) < forward_work(part, best)) best = width;
  return best;
}

/* Is it cheaper to go backwards? What is counted is the problem's alone: neither time nor the number of
 * points decides. */
static bool back_pays(const dpi_calib_part *part) {
  if (part->linear) return part->maxdir > LINEAR_FORWARD;
  if (part->desc->lane_dirs == 0) return part->maxdir > WORK_BACK;
  return work_of(part->nsim, WORK_BACK) < forward_work(part, part->width);
}

static void count_work(dpi_calib_part *part) {
  if (part->width > 0) return;
  part->width = forward_width(part);
  part->back_pays = back_pays(part);
}

static bool backwards(const dp_problem *p, const dpi_calib_part *part, unsigned what) {
  if (!(what & DP_PROBLEM_GRADIENT) || (what & DP_PROBLEM_FISHER) || !(part->desc->caps & DP_CAP_VJP) ||
      part->nactive == 0)
    return false;
  if (p->derivative == DP_DERIVATIVE_AUTO && part->no_back) return false;
  if (p->derivative != DP_DERIVATIVE_AUTO) return p->derivative == DP_DERIVATIVE_ADJOINT;
  return part->back_pays;
}

static size_t point_bytes(const dpi_calib_part *p, size_t n, size_t nd, bool fisher) {
  size_t bytes = 64;
  for (int s = 0; s < p->nsim; s++)
    bytes += (size_t)runs_of(&p->sims[s], (int)nd) *
                 (8 * ((size_t)p->desc->nparam + (size_t)p->nactive * nd +
                       (size_t)p->sims[s].nout * (size_t)p->natom * (1 + nd)) +
                  sizeof(dp_member)) +
             8 * (n + (fisher ? n * n : 0)) + sizeof(score);
  return bytes;
}

/* What is asked for, at what points. */
typedef struct request {
  const dp_problem *p;
  const dpi_calib_part *part;
  int npoint;
  const double *expr, *scale; /* [npoint x ..] */
  unsigned what;
  bool back;
  dp_problem_value *value;
} request;

/* Points in batches that memory can hold. */
static dp_status eval_part(const request *r) {
  const dpi_calib_part *part = r->part;
  const dp_problem *p = r->p;
  const bool gradient = r->what & (DP_PROBLEM_GRADIENT | DP_PROBLEM_FISHER), fisher = r->what & DP_PROBLEM_FISHER;
  const int ndir = !gradient ? 0 : r->back ? 1 : part->width;
  const size_t each = point_bytes(part, (size_t)p->desc.nparam, (size_t)ndir, fisher);
  const int most = each < BATCH_BYTES ? (int)(BATCH_BYTES / each < 1000000 ? BATCH_BYTES / each : 1000000) : 1;
  dp_status st = DP_OK;
  for (int first = 0; first < r->npoint && st == DP_OK; first += most) {
    batch b = {.p = p,
               .part = part,
               .ctx = p->ctx,
               .first = first,
               .ndir = ndir,
               .nest = p->desc.nparam,
               .gradient = gradient,
               .along = r->back,
               .fisher = fisher,
               .expr = r->expr,
               .scale = r->scale,
               .value = r->value};
    b.nexpr = (size_t)(p->express.n + p->express.npartial);
    b.npoint = r->npoint - first < most ? r->npoint - first : most;
    b.nmember = b.npoint * part->nsim;
    st = batch_memory(&b, ndir > 0);
    if (st == DP_OK && part->steady) st = run_before(&b);
    for (int i = 0; i < b.nmember && st == DP_OK; i++) fill_member(&b, i);
    if (st == DP_OK && b.nmember > 0) st = r->back ? run_back(&b) : run_forward(&b);
    if (st == DP_OK) collect(&b);
    batch_release(&b);
  }
  return st;
}

/* One model's part by itself: its sums begin at zero; what is noted of measurements goes to the caller's arrays. */
static void start_part(const request *r, int i, const dp_problem_value *to, double *room) {
  const size_t n = (size_t)r->p->desc.nparam;
  dp_problem_value *v = &r->value[i];
  *v = *to;
  v->ok = 1;
  v->llh = v->chi2 = 0;
  v->gradient = r->what & DP_PROBLEM_GRADIENT && to->gradient ? room : NULL;
  v->fisher = r->what & DP_PROBLEM_FISHER && to->fisher ? room + n : NULL;
  if (v->gradient) memset(v->gradient, 0, n * sizeof(double));
  if (v->fisher) memset(v->fisher, 0, n * n * sizeof(double));
}

static void add_part(const request *r, int i, dp_problem_value *to) {
  const size_t n = (size_t)r->p->desc.nparam;
  const dp_problem_value *v = &r->value[i];
  if (!v->ok && to->ok) {
    to->ok = 0;
    memcpy(to->reason, v->reason, sizeof to->reason);
  }
  to->llh += v->llh;
  to->chi2 += v->chi2;
  for (size_t q = 0; v->gradient && q < n; q++) to->gradient[q] += v->gradient[q];
  for (size_t q = 0; v->fisher && q < n * n; q++) to->fisher[q] += v->fisher[q];
}

/* A point where the way back is not found goes forward: its own affair, whatever the others do. */
static dp_status forward_instead(const request *r, const dp_problem_value *to, double *room, size_t each) {
  const size_t nexpr = (size_t)(r->p->express.n + r->p->express.npartial), n = (size_t)r->p->desc.nparam;
  dp_status st = DP_OK;
  for (int i = 0; i < r->npoint && st == DP_OK; i++) {
    if (r->value[i].ok) continue;
    request one = *r;
    one.npoint = 1;
    one.back = false;
    one.expr = r->expr + (size_t)i * nexpr;
    one.scale = r->scale + (size_t)i * n;
    one.value = r->value + i;
    start_part(&one, 0, &to[i], room + (size_t)i * each);
    st = eval_part(&one);
  }
  return st;
}

static dp_status add_parts(request *r, dp_problem_value *to) {
  const size_t n = (size_t)r->p->desc.nparam, each = n + (r->what & DP_PROBLEM_FISHER ? n * n : 0);
  dp_ctx *ctx = r->p->ctx;
  double *room = DPI_NEW_ARRAY(ctx, double, (size_t)r->npoint *each + 1);
  r->value = DPI_NEW_ARRAY(ctx, dp_problem_value, r->npoint + 1);
  dp_status st = room && r->value ? DP_OK : DP_ERR_MEMORY;
  for (int i = 0; i < r->npoint && st == DP_OK; i++) start_part(r, i, &to[i], room + (size_t)i * each);
  if (st == DP_OK) st = eval_part(r);
  if (st == DP_OK && r->back && r->p->derivative == DP_DERIVATIVE_AUTO) st = forward_instead(r, to, room, each);
  for (int i = 0; i < r->npoint && st == DP_OK; i++) add_part(r, i, &to[i]);
  dpi_free(ctx, r->value);
  dpi_free(ctx, room);
  return st;
}

/* ---- points ---- */

void dpi_calib_theta(const dp_problem *p, const double *x, double *theta, double *slope) {
  static const double LN_10 = 2.3025850929940456840;
  const dpi_calib_table *t = &p->file.table[0];
  for (int k = 0; k < t->nparam; k++) {
    const int q = p->est[k];
    theta[k] = q < 0 ? t->param[k].nominal : dp_problem_unscale(t->param[k].scale, x[q]);
    if (q >= 0)
      slope[q] = t->param[k].scale == DP_SCALE_LIN   ? 1
                 : t->param[k].scale == DP_SCALE_LOG ? theta[k]
                                                     : theta[k] * LN_10;
  }
}

/* Expressions at each point, their partial derivatives by x; scale [npoint x nparam]: |dtheta/dx| / |theta|. */
static dp_status express_points(const dp_problem *p, int npoint, const double *x, double *expr, double *scale) {
  const dpi_express *e = &p->express;
  const size_t n = (size_t)e->n + (size_t)e->npartial;
  double *work = DPI_NEW_ARRAY(p->ctx, double, dpi_express_work(e) + (size_t)e->nparam + (size_t)p->desc.nparam + 1);
  if (!work) return DP_ERR_MEMORY;
  double *theta = work + dpi_express_work(e), *slope = theta + e->nparam;
  for (int i = 0; i < npoint; i++) {
    dpi_calib_theta(p, x + (size_t)i * (size_t)p->desc.nparam, theta, slope);
    dpi_express_eval(e, theta, work, expr + (size_t)i * n);
    for (int q = 0; q < p->desc.nparam; q++) {
      const double size = fabs(theta[p->free[q]]);
      scale[(size_t)i * (size_t)p->desc.nparam + (size_t)q] = size > 0 ? fabs(slope[q]) / size : 1;
    }
    for (int j = 0; j < e->npartial; j++) expr[(size_t)i * n + (size_t)e->n + (size_t)j] *= slope[e->by[j]];
  }
  dpi_free(p->ctx, work);
  return DP_OK;
}

/* Can gradients be made backwards? Tried once, at the nominal point: what other points give does not depend on it. */
static dp_status try_back(dp_problem *p, dpi_calib_part *part) {
  const size_t n = (size_t)p->desc.nparam, m = (size_t)(p->express.n + p->express.npartial);
  request r = {.p = p, .part = part, .npoint = 1, .what = DP_PROBLEM_GRADIENT, .back = true};
  dp_problem_value v = {0}, none = {0};
  part->tried = true;
  for (size_t q = 0; q < n; q++)
    if (isnan(p->desc.nominal[q])) return DP_OK;
  double *expr = DPI_NEW_ARRAY(p->ctx, double, m + 2 * n + 1);
  if (!expr) return DP_ERR_MEMORY;
  none.gradient = expr;
  r.expr = expr;
  r.scale = expr + m;
  r.value = &v;
  dp_status st = express_points(p, 1, p->desc.nominal, expr, expr + m);
  start_part(&r, 0, &none, expr + m + n);
  if (st == DP_OK) st = eval_part(&r);
  part->no_back = st == DP_ERR_UNSUPPORTED || (st == DP_OK && !v.ok);
  if (st == DP_ERR_UNSUPPORTED) {
    dp_ctx_clear_error(p->ctx);
    st = DP_OK;
  }
  dpi_free(p->ctx, expr);
  return st;
}

dp_status dpi_calib_eval_parts(dp_problem *p, int npoint, const double *expr, const double *scale, unsigned what,
                               dp_problem_value *value) {
  dp_status st = DP_OK;
  for (int k = 0; k < p->file.ntable && st == DP_OK; k++) {
    dpi_calib_part *part = &p->part[k];
    if (what) count_work(part);
    if (p->derivative == DP_DERIVATIVE_AUTO && !part->tried && backwards(p, part, what)) st = try_back(p, part);
    request r = {.p = p, .part = part, .npoint = npoint, .expr = expr, .scale = scale, .what = what};
    r.back = backwards(p, part, what);
    if (st == DP_OK) st = add_parts(&r, value);
  }
  return st;
}

static void start_value(const dp_problem *p, unsigned what, dp_problem_value *v) {
  const size_t n = (size_t)p->desc.nparam;
  v->ok = 1;
  v->llh = v->chi2 = v->log_prior = 0;
  v->reason[0] = 0;
  double *const data[] = {v->simulation, v->sigma, v->residual, v->pointwise};
  for (int k = 0; k < 4; k++)
    for (int i = 0; data[k] && i < p->desc.ndatum; i++) data[k][i] = NAN;
  if (v->gradient && what) memset(v->gradient, 0, n * sizeof(double));
  if (v->fisher && (what & DP_PROBLEM_FISHER)) memset(v->fisher, 0, n * n * sizeof(double));
}

static void finish_value(const dp_problem *p, unsigned what, const double *x, dp_problem_value *v) {
  const size_t n = (size_t)p->desc.nparam;
  bool finite = isfinite(v->llh);
  for (size_t q = 0; v->gradient && what && q < n; q++) finite = finite && isfinite(v->gradient[q]);
  if (v->ok && !finite) {
    v->ok = 0;
    snprintf(v->reason, sizeof v->reason, "the log-likelihood or its gradient is not finite");
  }
  if (p->has_prior) v->log_prior = dpi_calib_prior(p, x, false, NULL, NULL, v->prior);
  if (v->ok) return;
  v->llh = -INFINITY;
  v->chi2 = NAN;
  for (size_t q = 0; v->gradient && what && q < n; q++) v->gradient[q] = NAN;
  for (size_t q = 0; v->fisher && (what & DP_PROBLEM_FISHER) && q < n * n; q++) v->fisher[q] = NAN;
}

dp_status dp_problem_eval(dp_problem *p, int npoint, const double *x, unsigned what, dp_problem_value *value) {
  if (!p || npoint < 0 || (npoint > 0 && (!x || !value)))
    return dpi_fail(p ? p->ctx : NULL, DP_ERR_USAGE, "dp_problem_eval: found no problem, points or room for values");
  if (p->full) return dpi_calib_inner_eval(p, npoint, x, what, value);
  const size_t n = (size_t)(p->express.n + p->express.npartial);
  double *expr = DPI_NEW_ARRAY(p->ctx, double, (n + (size_t)p->desc.nparam) * (size_t)npoint + 1);
  if (!expr) return DP_ERR_MEMORY;
  double *scale = expr + n * (size_t)npoint;
  for (int i = 0; i < npoint; i++) start_value(p, what, &value[i]);
  dp_status st = express_points(p, npoint, x, expr, scale);
  if (st == DP_OK) st = dpi_calib_eval_parts(p, npoint, expr, scale, what, value);
  for (int i = 0; i < npoint && st == DP_OK; i++)
    finish_value(p, what, x + (size_t)i * (size_t)p->desc.nparam, &value[i]);
  dpi_free(p->ctx, expr);
  return st;
}
