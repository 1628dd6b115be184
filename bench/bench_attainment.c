/* bench_attainment.c - regimens by target attainment: what is stated of them, beside simulations that share nothing
 * with it, and how long a person's plan takes once the posterior exists.
 *
 *     bench_attainment vancomycin|tobramycin [people [draws [simulations [repeats [fresh draws]]]]]
 *
 * Run where twins/ lies. People are made here: covariates, effects and residual errors from a generator of its own, two
 * doses and two samples each. The posterior of each is drawn without the engine by rejection from the prior (exact)
 * with closed forms of two exponentials and libm; on these draws every regimen that the search judged on all of its
 * draws is judged again. Differences are in percentage points; those of `simulations` draws have an error of their own, 0.16
 * points at most (one standard deviation) for 10^5.
 *
 * Printed: processor time of a plan (median over people and repeats, smallest, largest); worst and root mean square
 * difference over all people, regimens and both figures; of these what is stated last, on fresh draws. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "decide/decide.h"

enum { NEFFECT = 3, NSAMPLE = 2, NDOSE = 2, FIGURES = 2 };

/* ---------------------------------------------------------------- chance, libm */

/* splitmix64 (Steele, Lea & Flood 2014) and Box-Muller */
static uint64_t state64;
static double uniform(void) {
  uint64_t z = (state64 += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return ((double)((z ^ (z >> 31)) >> 11) + 0.5) / 9007199254740992.0;
}
static double normal(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

/* ---------------------------------------------------------------- the two kinds, written again */

typedef struct human {
  double clcr, wt;
  double dose[NDOSE], start[NDOSE], duration;
  double time[NSAMPLE], value[NSAMPLE];
} human;

typedef struct body { /* c = sum of A exp(-a t), B exp(-b t) after a unit dose at once; CL: dose / area */
  double a, b, A, B, CL;
} body;

typedef struct drug {
  const char *name, *header;
  double sd[NEFFECT]; /* of effects; 0: none */
  double duration, until;
  body (*body_of)(const human *p, const double *eta);
  double (*sd_of)(double c);
  void (*design)(human *p);
  void (*judge)(const body *b, double dose, double interval, int *first, int *second); /* the kind's two events */
  const char *term[FIGURES];
} drug;

static body two(double k10, double k12, double k21, double v) {
  const double s = k10 + k12 + k21, d = sqrt(s * s - 4 * k10 * k21), a = (s + d) / 2, b = (s - d) / 2;
  return (body){a, b, (a - k21) / (a - b) / v, (k21 - b) / (a - b) / v, k10 * v};
}

/* After an infusion of `dose` from `start` over `duration`. */
static double level(const body *p, double dose, double start, double duration, double t) {
  const double in = fmin(t - start, duration), out = fmax(t - start - duration, 0), rate = dose / duration;
  if (t <= start) return 0;
  return rate * (p->A / p->a * (1 - exp(-p->a * in)) * exp(-p->a * out) +
                 p->B / p->b * (1 - exp(-p->b * in)) * exp(-p->b * out));
}

/* The same every `interval` for ever: `rest` after an infusion's end. */
static double steady(const body *b, double dose, double interval, double duration, double rest) {
  return dose / duration *
         (b->A / b->a * (1 - exp(-b->a * duration)) * exp(-b->a * rest) / (1 - exp(-b->a * interval)) +
          b->B / b->b * (1 - exp(-b->b * duration)) * exp(-b->b * rest) / (1 - exp(-b->b * interval)));
}

static body vancomycin_body(const human *p, const double *eta) {
  const double CL = 4.5 * pow(p->clcr / 120, 0.8) * exp(eta[0]), Vc = 58.4 * p->wt / 70 * exp(eta[1]),
               Vp = 38.4 * exp(eta[2]);
  return two(CL / Vc, 6.5 / Vc, 6.5 / Vp, Vc);
}
static double vancomycin_sd(double c) { return 3.4 + 0.227 * c; }
static void vancomycin_design(human *p) {
  p->clcr = 20 + 100 * uniform();
  p->wt = 50 + 50 * uniform();
  *p = (human){p->clcr, p->wt, {250 * round(20 * p->wt / 250), 0}, {0, 24}, 2, {13, 48}, {0}};
  p->dose[1] = p->dose[0] - 250;
}
static void vancomycin_judge(const body *b, double dose, double interval, int *area_in, int *trough_high) {
  const double area = 24 / interval * dose / b->CL;
  *area_in = area >= 400 && area <= 600;
  *trough_high = steady(b, dose, interval, 2, interval - 2) > 20;
}

static body tobramycin_body(const human *p, const double *eta) {
  const double ke = 0.21 * pow(p->clcr / 67.8, 0.89) * pow(p->wt / 66.4, -1.09) * exp(eta[0]);
  return two(ke, 0.041, 0.12, 19.8 * pow(p->wt / 66.4, 0.8) * exp(eta[1]));
}
static double tobramycin_sd(double c) { return 0.198 * c; }
static void tobramycin_design(human *p) {
  p->clcr = 30 + 90 * uniform();
  p->wt = 50 + 50 * uniform();
  *p = (human){p->clcr, p->wt, {40 * round(5 * p->wt / 40), 0}, {0, 24}, 0.5, {1, 14}, {0}};
  p->dose[1] = p->dose[0];
}
static void tobramycin_judge(const body *b, double dose, double interval, int *peak_in, int *trough_high) {
  const double peak = steady(b, dose, interval, 0.5, 0);
  *peak_in = peak >= 20 && peak <= 30;
  *trough_high = steady(b, dose, interval, 0.5, interval - 0.5) > 1;
}

static const drug drugs[] = {
    {"vancomycin",
     "ID,TIME,AMT,RATE,DV,EVID,CLCR,WT,DIAL",
     {0.38340579025361626, 0.71414284285428498, 0.53103672189407016},
     2,
     48,
     vancomycin_body,
     vancomycin_sd,
     vancomycin_design,
     vancomycin_judge,
     {"target", "trough"}},
    {"tobramycin",
     "ID,TIME,AMT,RATE,DV,EVID,CLCR,WT",
     {0.28416544476765649, 0.10968135666557018, 0},
     0.5,
     14,
     tobramycin_body,
     tobramycin_sd,
     tobramycin_design,
     tobramycin_judge,
     {"peak", "trough"}},
};

static void effects(const drug *d, double *eta) {
  for (int j = 0; j < NEFFECT; j++) eta[j] = d->sd[j] > 0 ? d->sd[j] * normal() : 0;
}

/* What was given before the last sample. */
static double predicted(const human *p, const body *b, double t) {
  double c = 0;
  for (int i = 0; i < NDOSE; i++) c += level(b, p->dose[i], p->start[i], p->duration, t);
  return c;
}

static human make_human(const drug *d) {
  human p = {0};
  double eta[NEFFECT];
  d->design(&p);
  effects(d, eta);
  const body b = d->body_of(&p, eta);
  for (int i = 0; i < NSAMPLE; i++) {
    const double c = predicted(&p, &b, p.time[i]);
    do p.value[i] = round(100 * (c + d->sd_of(c) * normal())) / 100;
    while (p.value[i] <= 0.05);
  }
  return p;
}

static double log_likelihood(const drug *d, const human *p, const body *b) {
  double l = 0;
  for (int i = 0; i < NSAMPLE; i++) {
    const double c = predicted(p, b, p->time[i]), s = d->sd_of(c), z = (p->value[i] - c) / s;
    l -= 0.5 * z * z + log(s);
  }
  return l;
}

/* Exact draws: the prior's, each kept with its likelihood over a bound of it; false: the bound did not hold. */
static bool posterior(const drug *d, const human *p, body *out, int n) {
  double top = -INFINITY, eta[NEFFECT];
  for (int k = 0; k < 200000; k++) { /* the largest of many, and some more */
    effects(d, eta);
    const body b = d->body_of(p, eta);
    top = fmax(top, log_likelihood(d, p, &b));
  }
  for (int k = 0; k < n;) {
    effects(d, eta);
    out[k] = d->body_of(p, eta);
    const double l = log_likelihood(d, p, &out[k]) - top - 0.1;
    if (l > 0) return false;
    if (log(uniform()) < l) k++;
  }
  return true;
}

/* ---------------------------------------------------------------- beside each other */

typedef struct tally {
  int n;
  double worst, square;
} tally;

static void add(tally *t, double stated, double simulated) {
  const double d = 100 * (stated - simulated);
  t->n++;
  t->worst = fmax(t->worst, fabs(d));
  t->square += d * d;
}

typedef struct study {
  const drug *drug;
  const dp_kind *kind;
  dp_record *record;
  dp_prior *prior;
  int ndraw, nsimulated, repeats, nfresh;
  body *draw;
  tally search, fresh;
  double *ms; /* [people x repeats] */
  int nms, nchosen;
} study;

static double cpu(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int term_of(const dp_kind *k, const char *id) {
  for (int t = 0; t < k->reward.nterm; t++)
    if (strcmp(k->reward.term[t].id, id) == 0) return t;
  return 0;
}

static void compare(study *s, const dp_advice *a) {
  const int first = term_of(s->kind, s->drug->term[0]), second = term_of(s->kind, s->drug->term[1]);
  s->nchosen += a->chosen >= 0;
  for (int k = 0; k < a->ncandidate; k++) {
    const dp_candidate *c = &a->candidate[k];
    int in = 0, high = 0;
    if (c->ndraw < s->ndraw) continue;
    for (int i = 0; i < s->nsimulated; i++) {
      int x, y;
      s->drug->judge(&s->draw[i], c->dose, c->interval, &x, &y);
      in += x;
      high += y;
    }
    const double p = in / (double)s->nsimulated, q = high / (double)s->nsimulated;
    add(&s->search, c->term[first].value, p);
    add(&s->search, c->term[second].value, q);
    if (!c->fresh) continue;
    add(&s->fresh, c->fresh[first].value, p);
    add(&s->fresh, c->fresh[second].value, q);
  }
}

static dp_status plan_of(study *s, int i, const dp_belief *belief, const dp_belief *fresh) {
  dpi_case *c = NULL;
  const double zero[64] = {0};
  DP_TRY(dpi_case_create(s->kind, s->record, i, &c));
  double *param = calloc((size_t)dp_sim_describe(s->kind->sim)->nparam + 1, sizeof *param);
  dp_instant *history = calloc((size_t)c->ninstant + 1, sizeof *history);
  if (!param || !history) return DP_ERR_MEMORY;
  dpi_case_apply(c, s->prior->typical, zero, param, history);
  const dp_plan_patient patient = {.param = param,
                                   .eta_effect = c->eta_effect,
                                   .history = history,
                                   .nhistory = c->ninstant,
                                   .now = s->drug->until,
                                   .stream = c->stream,
                                   .belief = belief,
                                   .fresh = fresh};
  const dp_plan_def def = dp_plan_def_default();
  for (int k = 0; k < s->repeats; k++) {
    dp_advice *a = NULL;
    const double begin = cpu(CLOCK_PROCESS_CPUTIME_ID);
    DP_TRY(dp_plan_search(s->kind, &patient, &def, &a));
    s->ms[s->nms++] = 1e3 * (cpu(CLOCK_PROCESS_CPUTIME_ID) - begin);
    if (k == 0) compare(s, a);
    dp_advice_destroy(a);
  }
  free(param);
  free(history);
  dpi_case_destroy(c);
  return DP_OK;
}

static dp_status one(study *s, int i, const human *p) {
  dp_belief *belief = NULL, *fresh = NULL;
  dp_assimilate_def def = dp_assimilate_def_default();
  def.ndraw = s->ndraw;
  def.nproposal = 4 * s->ndraw;
  if (!posterior(s->drug, p, s->draw, s->nsimulated)) {
    printf("person %d: the bound of the likelihood did not hold, left out\n", i + 1);
    return DP_OK;
  }
  DP_TRY(dp_assimilate(s->kind, s->record, i, s->drug->until, s->prior, &def, &belief));
  def.seed = 2;
  def.ndraw = s->nfresh;
  def.nproposal = 4 * s->nfresh;
  DP_TRY(dp_assimilate(s->kind, s->record, i, s->drug->until, s->prior, &def, &fresh));
  DP_TRY(plan_of(s, i, belief, fresh));
  dp_belief_destroy(belief);
  dp_belief_destroy(fresh);
  return DP_OK;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void report(study *s, int people) {
  qsort(s->ms, (size_t)s->nms, sizeof *s->ms, ascending);
  printf(
      "%s, %d people, %d and %d fresh draws, %d simulations: processor time of a plan %.1f ms (%.1f to %.1f); %d with "
      "a proposal\n",
      s->drug->name, people, s->ndraw, s->nfresh, s->nsimulated, s->ms[s->nms / 2], s->ms[0], s->ms[s->nms - 1],
      s->nchosen);
  printf("  %d probabilities of regimens judged on all draws: worst %.2f points, rms %.2f\n", s->search.n,
         s->search.worst, sqrt(s->search.square / s->search.n));
  if (s->fresh.n)
    printf("  %d of proposals, on fresh draws: worst %.2f points, rms %.2f\n", s->fresh.n, s->fresh.worst,
           sqrt(s->fresh.square / s->fresh.n));
}

/* The record of everybody, as the kind reads it. */
static void write_people(FILE *f, const drug *d, const human *p, int n) {
  const char *tail = d == drugs ? ",0" : "";
  fprintf(f, "%s\n", d->header);
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < NDOSE + NSAMPLE; k++) { /* dose, sample, dose, sample; what comes after `until` is not read */
      const int j = k / 2;
      const bool late = d == &drugs[1] && k == 2; /* the second dose is ordered behind the last sample */
      if (k % 2 == 0 && !late)
        fprintf(f, "P%d,%g,%g,%g,,1,%.17g,%.17g%s\n", i + 1, p[i].start[j], p[i].dose[j], p[i].dose[j] / p[i].duration,
                p[i].clcr, p[i].wt, tail);
      if (k % 2 == 1)
        fprintf(f, "P%d,%g,,,%.17g,0,%.17g,%.17g%s\n", i + 1, p[i].time[j], p[i].value[j], p[i].clcr, p[i].wt, tail);
    }
  }
}

static dp_status run(dp_ctx *ctx, study *s, const human *p, int people) {
  char dir[64], path[] = "/tmp/attainment-XXXXXX";
  dp_kind *kind = NULL;
  snprintf(dir, sizeof dir, "twins/%s", s->drug->name);
  const int fd = mkstemp(path);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
  if (!f) return DP_ERR_IO;
  write_people(f, s->drug, p, people);
  fclose(f);
  dp_status status = dp_kind_load(ctx, dir, &kind);
  s->kind = kind;
  if (status == DP_OK) status = dp_kind_record(kind, path, &s->record);
  if (status == DP_OK) status = dp_prior_nominal(kind, &s->prior);
  for (int i = 0; status == DP_OK && i < people; i++) status = one(s, i, &p[i]);
  if (status == DP_OK) report(s, people);
  remove(path);
  dp_prior_destroy(s->prior);
  dp_record_destroy(s->record);
  dp_kind_destroy(kind);
  return status;
}

int main(int argc, char **argv) {
  const int people = argc > 2 ? atoi(argv[2]) : 12;
  study s = {.drug = &drugs[argc > 1 && strcmp(argv[1], "tobramycin") == 0],
             .ndraw = argc > 3 ? atoi(argv[3]) : 1000,
             .nsimulated = argc > 4 ? atoi(argv[4]) : 100000,
             .repeats = argc > 5 ? atoi(argv[5]) : 5,
             .nfresh = argc > 6 ? atoi(argv[6]) : 0};
  if (s.nfresh <= 0) s.nfresh = s.ndraw;
  dp_ctx_def def = dp_ctx_def_default();
  dp_ctx *ctx;
  human *p = calloc((size_t)people, sizeof *p);
  s.draw = calloc((size_t)s.nsimulated, sizeof *s.draw);
  s.ms = calloc((size_t)people * (size_t)s.repeats, sizeof *s.ms);
  if (!p || !s.draw || !s.ms || dp_ctx_create(&def, &ctx) != DP_OK) return 1;
  state64 = 20261123;
  for (int i = 0; i < people; i++) p[i] = make_human(s.drug);
  const dp_status status = run(ctx, &s, p, people);
  if (status != DP_OK) fprintf(stderr, "%s\n", dp_ctx_error(ctx));
  dp_ctx_destroy(ctx);
  free(p);
  free(s.draw);
  free(s.ms);
  return status == DP_OK ? 0 : 1;
}
