/* twin_rig.h - what the tests of this room share: theophylline's people, a twin run step by step, and the closed form of one
 * compartment with first-order absorption after one dose (libm). */
#ifndef DPI_TWIN_RIG_H
#define DPI_TWIN_RIG_H

#include "infer/infer.h"
#include "kind/tests/kind_rig.h"
#include "twin/people.h"

#define OK(call)                                                                                  \
  do {                                                                                            \
    dp_status ok_ = (call);                                                                       \
    if (ok_ != DP_OK) fail_msg("%s: %s: %s", #call, dp_status_name(ok_), dp_ctx_error(w->r->ctx)); \
  } while (0)

typedef struct world {
  rig *r;
  dp_kind *kind;
  dp_record *record;
  dp_prior *prior; /* the published one: quick, and good enough for a test */
} world;

static inline void world_open(world *w, rig *r, const char *dir) {
  *w = (world){.r = r};
  w->kind = rig_load(r, dir);
  OK(dp_kind_record(w->kind, dp_kind_patients(w->kind), &w->record));
  OK(dp_prior_nominal(w->kind, &w->prior));
}

static inline void world_close(world *w) {
  dp_prior_destroy(w->prior);
  dp_record_destroy(w->record);
  dp_kind_destroy(w->kind);
}

static inline dp_twin_def quick_def(void) {
  dp_twin_def def = dp_twin_def_default();
  def.ndraw = 200;
  def.nproposal = 600;
  def.nfan = 17;
  def.decide = 0;
  return def;
}

static inline dp_twin *twin_of(world *w, int subject, const dp_twin_def *def) {
  dp_twin *t = NULL;
  OK(dp_twin_create(w->kind, w->record, subject, w->prior, def, &t));
  return t;
}

/* Change samples of a person later than a time: what a test may do to a record that nobody else may. */
static inline int change_sealed(world *w, int subject, double after, double factor) {
  int n = 0;
  for (int i = 0; i < w->record->subject[subject].nevent; i++) {
    dp_event *e = (dp_event *)&w->record->subject[subject].event[i];
    if ((double)e->time / (double)DP_TICKS <= after || e->evid != 0) continue;
    e->value *= factor;
    n++;
  }
  return n;
}

static inline int parameter_row(const world *w, const char *id) {
  for (int i = 0; i < w->kind->nparam; i++)
    if (strcmp(w->kind->param[i].id, id) == 0) return i;
  fail_msg("no parameter %s", id);
  return -1;
}

/* Concentration of one draw of a person with one dose at time 0. */
static inline double closed_form(const world *w, const dp_belief *b, int draw, double dose, double t) {
  double p[3];
  for (int e = 0; e < 3; e++) p[e] = w->prior->typical[w->kind->effect[e].typical] * exp(b->eta[3 * draw + e]);
  double ka = p[0], ke = p[1] / p[2];
  return dose * ka / (p[2] * (ka - ke)) * (exp(-ke * t) - exp(-ka * t));
}

static inline double phi(double z) { return 0.5 * erfc(-z / sqrt(2)); }
static inline double bell(double z) { return exp(-0.5 * z * z) / 2.5066282746310002; }

#endif
