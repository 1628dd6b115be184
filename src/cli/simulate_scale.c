/* simulate_scale.c - floor 9: the absolute tolerance of doppel simulate where none is asked for.
 *
 * Models are written in moles or molecules, and what is lost in one number's rounding decides another one's
 * course. So the first member is run and its states are looked at, at all output times:
 *
 *     a state's largest value is not far above it    it was not resolved: again with a smaller one
 *     a state rises again from below it              it grew out of noise: again with a much smaller one
 *     the run fails                                  looser ones are tried, then much smaller ones
 *     a state is all rounding                        it asks for nothing, nor does what lies below its noise
 *
 * The last: a difference of large numbers that cancel (a patient at rest) is left with their rounding. To resolve that
 * would take steps without end. It is told from a state that is small by nature by running the member again with
 * parameters some last bits apart: rounding comes out quite different, and a small number the same.
 *
 * It ends after few runs, depends on the model and the question only, and says where it could not get what it wanted.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

#define FIRST 1e-16     /* absolute tolerance of the first run */
#define LEAST 1e-100    /* ... and the smallest */
#define RESOLVED 1e-9   /* of a state's largest value: what the tolerance must not exceed; */
#define ASKED 1e-12     /* ... of the smallest of them: what is asked instead */
#define NOISE 1e3       /* times the tolerance: below, a value says nothing of its future; */
#define RISEN 1e6       /* ... and above again */
#define DEEPER 1e-20    /* times the tolerance: the next one after a rise from noise */
#define SMALL 1e-9      /* of the largest state: below, a state may be rounding; */
#define APART 0.1       /* ... and is, when some last bits of parameters change it by so much of itself */
#define CLEAR 100.0     /* times the noise: the tolerance that no longer sees it */
enum { MOST_RUNS = 5 };

static const double other[] = {1e-12, 1e-10, 1e-60, LEAST}; /* after a failure, in this order */

/* Outputs: the columns, then each state (a species' amount and concentration) that is not one of them. */
typedef struct scout {
  dp_output_def *output;
  int noutput, first; /* outputs before `first` are columns that are no states */
  bool *state;        /* [noutput] */
  bool *noise;        /* [noutput] states that are all rounding */
  char (*word)[160];
  int nword;
} scout;

static void scout_free(scout *k) {
  free(k->output);
  free(k->state);
  free(k->noise);
  free(k->word);
}

static void add_state(scout *k, const char *form, const char *id) {
  char *text = k->word[k->nword];
  snprintf(text, sizeof k->word[0], form, id);
  for (int i = 0; i < k->noutput; i++)
    if (!strcmp(k->output[i].id, text)) {
      k->state[i] = true;
      return;
    }
  k->nword++;
  k->state[k->noutput] = true;
  k->output[k->noutput++] = (dp_output_def){.id = text, .unit = ""};
}

static bool is_species(const dp_model *model, const char *id) {
  int i = dp_model_find_element(model, id);
  return i >= 0 && dp_model_element(model, i).kind == DP_ELEMENT_SPECIES;
}

static bool scout_make(const simulation *s, scout *k) {
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  size_t most = (size_t)s->ncolumn + 2 * (size_t)d->nstate + 1;
  k->output = calloc(most, sizeof *k->output);
  k->state = calloc(most, sizeof *k->state);
  k->noise = calloc(most, sizeof *k->noise);
  k->word = calloc(2 * (size_t)d->nstate + 1, sizeof *k->word);
  if (!k->output || !k->state || !k->noise || !k->word) return false;
  for (int i = 0; i < s->ncolumn; i++) k->output[k->noutput++] = s->column[i];
  for (int j = 0; j < d->nstate; j++) {
    if (is_species(s->model, d->state_id[j])) {
      add_state(k, "amount(%s)", d->state_id[j]);
      add_state(k, "concentration(%s)", d->state_id[j]);
    } else {
      add_state(k, "%s", d->state_id[j]);
    }
  }
  return true;
}

/* What a course of one quantity asks of the tolerance; `atol` where it is content. */
static double wanted(const dp_result *r, int nwhen, int output, double atol) {
  double top = 0, want = atol;
  bool noise = false, rose = false;
  for (int t = 0; t < nwhen; t++) {
    double x = fabs(r->value[(r->value_at[0] + (size_t)t) * (size_t)r->noutput + (size_t)output]);
    if (!isfinite(x)) continue;
    rose = rose || (noise && x > RISEN * atol);
    noise = noise || (x > 0 && x < NOISE * atol);
    top = fmax(top, x);
  }
  if (top > 0 && atol > RESOLVED * top) want = ASKED * top;
  if (rose) want = fmin(want, DEEPER * atol);
  return want;
}

static double all_want(const simulation *s, const scout *k, const dp_result *r, double atol) {
  double want = atol;
  for (int i = 0; i < k->noutput; i++)
    if (k->state[i] && !k->noise[i]) want = fmin(want, wanted(r, s->nwhen, i, atol));
  return fmax(want, LEAST);
}

/* A member with this tolerance. */
static dp_status run(cli_call *call, const simulation *s, const scout *k, const dp_member *member, double atol,
                     dp_sim **sim, dp_result **r) {
  dp_sim_def def = simulation_def(s);
  dp_run_opts opts = dp_run_opts_default();
  def.output = k->output;
  def.noutput = k->noutput;
  def.atol = atol;
  opts.seed = s->seed;
  dp_status status = dp_sim_create(call->ctx, &def, sim);
  return status == DP_OK ? dp_simulate(*sim, member, 1, &opts, r) : status;
}

static bool same(const dp_result *a, const dp_result *b, int nwhen) {
  size_t n = (size_t)nwhen * (size_t)a->noutput;
  return memcmp(a->value + a->value_at[0], b->value + b->value_at[0], n * sizeof *a->value) == 0;
}

typedef struct best { /* what to go on with: the last run that went through, or the first one */
  dp_sim *sim;
  dp_result *r;
  double atol;
} best;

static bool good(const best *b) { return b->r && b->r->status[0] == DP_MEMBER_OK; }

static void take(best *b, best *from) {
  dp_result_destroy(b->r);
  dp_sim_destroy(b->sim);
  *b = *from;
  *from = (best){0};
}

/* ---- rounding ---- */

static double value_at(const dp_result *r, int t, int output) {
  return r->value[(r->value_at[0] + (size_t)t) * (size_t)r->noutput + (size_t)output];
}

/* Largest size of an output, or of its difference to another run's. */
static double largest(const dp_result *r, const dp_result *less, int nwhen, int output) {
  double top = 0;
  for (int t = 0; t < nwhen; t++) /* fmax: NaN does not count */
    top = fmax(top, fabs(value_at(r, t, output) - (less ? value_at(less, t, output) : 0)));
  return top;
}

/* The first member with each parameter some last bits off; small whole numbers may be exponents and stay. */
static dp_status run_shaken(cli_call *call, const simulation *s, const scout *k, double atol, dp_result **r) {
  int n = dp_sim_describe(s->sim)->nparam;
  double *own = calloc((size_t)n + 1, sizeof *own);
  dp_member member = s->member;
  dp_sim *sim = NULL;
  if (!own) return DP_ERR_MEMORY;
  for (int i = 0; i < n; i++) {
    double x = s->member.param[i];
    bool exponent = x == floor(x) && fabs(x) <= 16;
    own[i] = exponent ? x : x * (1 + (double)(1 + i % 7) * 0x1p-51);
  }
  member.param = own;
  dp_status status = run(call, s, k, &member, atol, &sim, r);
  dp_sim_destroy(sim);
  free(own);
  return status;
}

/* Mark the states that are all rounding; *clear: a tolerance that does not see them and still resolves all
 * others, or 0. */
static dp_status find_noise(cli_call *call, const simulation *s, scout *k, const dp_result *r, double atol,
                            double *clear) {
  double top = 0, noise = 0, least = INFINITY;
  bool small = false;
  dp_result *other = NULL;
  *clear = 0;
  for (int i = 0; i < k->noutput; i++)
    if (k->state[i]) top = fmax(top, largest(r, NULL, s->nwhen, i));
  for (int i = 0; i < k->noutput; i++)
    small = small || (k->state[i] && largest(r, NULL, s->nwhen, i) < SMALL * top);
  if (!small) return DP_OK;
  dp_status status = run_shaken(call, s, k, atol, &other);
  for (int i = 0; status == DP_OK && other->status[0] == DP_MEMBER_OK && i < k->noutput; i++) {
    if (!k->state[i]) continue;
    double size = fmax(largest(r, NULL, s->nwhen, i), largest(other, NULL, s->nwhen, i));
    double change = largest(r, other, s->nwhen, i);
    k->noise[i] = size > 0 && size < SMALL * top && change > APART * size;
    if (k->noise[i])
      noise = fmax(noise, size);
    else if (size > 0)
      least = fmin(least, size);
  }
  dp_result_destroy(other);
  if (noise > 0 && isfinite(least)) *clear = fmin(CLEAR * noise, ASKED * least);
  return status;
}

static dp_status search(cli_call *call, const simulation *s, scout *k, best *b) {
  double atol = FIRST, want = 0, clear = 0;
  size_t next = 0;
  for (int i = 0; i < MOST_RUNS; i++) {
    best now = {.atol = atol};
    dp_status status = run(call, s, k, &s->member, atol, &now.sim, &now.r);
    bool went = status == DP_OK && good(&now), still = went && good(b) && same(b->r, now.r, s->nwhen);
    bool stuck = !went && good(b);
    if (status == DP_OK && (went || !b->r)) take(b, &now);
    dp_result_destroy(now.r);
    dp_sim_destroy(now.sim);
    if (status != DP_OK) return status;
    if (still) return DP_OK;
    if (stuck) break;
    if (went) {
      if (i == 0) status = find_noise(call, s, k, b->r, atol, &clear);
      if (status != DP_OK) return status;
      want = all_want(s, k, b->r, atol);
      if (want >= atol && clear > atol && all_want(s, k, b->r, clear) >= clear) {
        atol = clear; /* once */
        clear = 0;
        continue;
      }
      if (want >= atol) return DP_OK;
      if (atol > FIRST) break; /* smaller ones have failed */
      atol = want;
    } else if (next < sizeof other / sizeof *other) {
      atol = other[next++];
    }
  }
  if (good(b))
    fprintf(stderr, "doppel: warning: values below %g are not resolved, the model asks for less; see --atol\n",
            NOISE * b->atol);
  return DP_OK;
}

int simulate_scale(cli_call *call, simulation *s, dp_result **first) {
  scout k = {0};
  best b = {0};
  dp_status status = scout_make(s, &k) ? search(call, s, &k, &b) : DP_ERR_MEMORY;
  scout_free(&k);
  if (status == DP_OK && b.sim) {
    s->atol = b.atol;
    dp_sim_destroy(s->sim);
    s->sim = b.sim;
    *first = b.r;
    return 0;
  }
  dp_result_destroy(b.r);
  dp_sim_destroy(b.sim);
  return cli_failed(call, status);
}
