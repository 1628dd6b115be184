/* sim_check.c - floor 5: what is wrong with a call is said before time zero, by name. No allocation: this runs for
 * every call of dp_simulate.
 */
#include <math.h>

#include "sim/sim_impl.h"

/* ---- capabilities ---- */

static dp_status refuse(const dp_sim *sim, const char *cap, const char *what, int member) {
  return dpi_fail(sim->ctx, DP_ERR_UNSUPPORTED, "member %d: %s: spoke '%s' does not offer %s",
                  member, what, sim->ops->name, cap);
}

dp_status dpi_check_opts(const dp_sim *sim, const dp_run_opts *opts) {
  if (!opts || opts->cookie != DPI_OPTS_COOKIE) {
    return dpi_fail(sim->ctx, DP_ERR_USAGE,
                    "run: the options were not made by dp_run_opts_default");
  }
  if (opts->ndir < 0 || !(opts->deadline_s >= 0)) {
    return dpi_fail(sim->ctx, DP_ERR_USAGE, "run: ndir %d, deadline_s %g: expected none below 0",
                    opts->ndir, opts->deadline_s);
  }
  if (opts->ndir > 0 && !(sim->spoke_desc->caps & DP_CAP_JVP)) {
    return dpi_fail(sim->ctx, DP_ERR_UNSUPPORTED,
                    "run: ndir %d: spoke '%s' does not offer DP_CAP_JVP (derivatives)", opts->ndir,
                    sim->ops->name);
  }
  return DP_OK;
}

/* ---- instants ---- */

typedef struct instant_rule {
  const char *name;
  enum { TARGET_NONE, TARGET_CONTROL, TARGET_STATE, TARGET_PARAM, TARGET_LAW } target;
  bool dose;    /* may repeat and be in steady state */
  bool repeats; /* may repeat */
} instant_rule;

static const instant_rule instant_rules[] = {
    [DP_ADD] = {"add", TARGET_CONTROL, .dose = true, .repeats = true},
    [DP_INFUSE] = {"infuse", TARGET_CONTROL, .dose = true, .repeats = true},
    [DP_SET] = {.name = "set", .target = TARGET_STATE},
    [DP_SCALE] = {.name = "scale", .target = TARGET_STATE},
    [DP_RESET] = {.name = "reset", .target = TARGET_NONE},
    [DP_SWITCH] = {.name = "switch", .target = TARGET_PARAM},
    [DP_EQUILIBRATE] = {.name = "equilibrate", .target = TARGET_NONE},
    [DP_APPLY] = {"apply", TARGET_LAW, .repeats = true},
};

static dp_status bad_instant(const dp_sim *sim, int member, int k, const char *what, double found,
                             const char *expected) {
  return dpi_fail(sim->ctx, DP_ERR_INPUT, "member %d, instant %d: %s: found %g, expected %s",
                  member, k, what, found, expected);
}

static dp_status check_target(const dp_sim *sim, int member, int k, const dp_instant *s) {
  int most = 0;
  switch (instant_rules[s->type].target) {
    case TARGET_NONE:
      return DP_OK;
    case TARGET_CONTROL:
      most = sim->desc.ncontrol;
      break;
    case TARGET_STATE:
      most = sim->desc.nstate;
      break;
    case TARGET_PARAM:
      most = sim->desc.nparam;
      break;
    case TARGET_LAW:
      most = sim->desc.nlaw;
      break;
  }
  if (s->target >= 0 && s->target < most) return DP_OK;
  return dpi_fail(sim->ctx, DP_ERR_INPUT, "member %d, instant %d: %s: target %d, expected 0 to %d",
                  member, k, instant_rules[s->type].name, s->target, most - 1);
}

static dp_status check_repeats(const dp_sim *sim, int member, int k, const dp_instant *s) {
  if (s->interval < 0)
    return bad_instant(sim, member, k, "interval", (double)s->interval, "0 or more");
  if (s->repeats < 0) return bad_instant(sim, member, k, "repeats", s->repeats, "0 or more");
  if (s->repeats > 0 && s->interval == 0) {
    return bad_instant(sim, member, k, "interval of what repeats", 0.0, "above 0");
  }
  if (s->repeats > 0 && s->interval > (DP_TIME_MAX - (s->time > 0 ? s->time : 0)) / s->repeats) {
    return bad_instant(sim, member, k, "repeats", s->repeats, "all within the range of time");
  }
  return DP_OK;
}

/* What makes a dose: rate and steady state. */
static dp_status check_dose(const dp_sim *sim, int member, int k, const dp_instant *s) {
  if (s->type == DP_INFUSE && !(s->rate > 0 && isfinite(s->rate)) && s->rate != DP_RATE_MODEL &&
      s->rate != DP_DURATION_MODEL) {
    return bad_instant(sim, member, k, "rate", s->rate, "above 0, -1 or -2");
  }
  if (s->steady < 0 || s->steady > 2)
    return bad_instant(sim, member, k, "steady", s->steady, "0, 1 or 2");
  /* interval 0 is a constant infusion: amount 0 and a rate */
  bool constant = s->type == DP_INFUSE && s->amount == 0 && s->rate > 0;
  if (s->steady && s->interval == 0 && !constant) {
    return bad_instant(sim, member, k, "interval of a steady-state dose", 0.0, "above 0");
  }
  return DP_OK;
}

static dp_status check_plain(const dp_sim *sim, int member, int k, const dp_instant *s) {
  if (s->repeats != 0 && !instant_rules[s->type].repeats)
    return bad_instant(sim, member, k, "repeats", s->repeats, "0: only doses and laws repeat");
  if (s->steady != 0)
    return bad_instant(sim, member, k, "steady", s->steady, "0: only doses are in steady state");
  if (s->dir_time != -1)
    return bad_instant(sim, member, k, "dir_time", s->dir_time, "-1: only doses move");
  return DP_OK;
}

static dp_status check_instant(const dp_sim *sim, int member, int k, const dp_instant *s,
                               int ndir) {
  if ((unsigned)s->type > DP_APPLY)
    return bad_instant(sim, member, k, "type", s->type, "a dp_instant_type");
  DP_TRY(check_target(sim, member, k, s));
  if (!isfinite(s->amount))
    return bad_instant(sim, member, k, "amount", s->amount, "a finite number");
  if (instant_rules[s->type].repeats) DP_TRY(check_repeats(sim, member, k, s));
  if (instant_rules[s->type].dose)
    DP_TRY(check_dose(sim, member, k, s));
  else
    DP_TRY(check_plain(sim, member, k, s));
  if (s->type == DP_APPLY && s->dir_amount != -1)
    return bad_instant(sim, member, k, "dir_amount", s->dir_amount, "-1: a law has no amount");
  if (s->dir_amount < -1 || s->dir_amount >= ndir) {
    return bad_instant(sim, member, k, "dir_amount", s->dir_amount, "-1 or a direction below ndir");
  }
  if (s->dir_time < -1 || s->dir_time >= ndir) {
    return bad_instant(sim, member, k, "dir_time", s->dir_time, "-1 or a direction below ndir");
  }
  bool steady = s->type == DP_EQUILIBRATE || s->steady != 0;
  if (steady && !(sim->spoke_desc->caps & DP_CAP_STEADY)) {
    return refuse(sim, "DP_CAP_STEADY", "equilibrate or steady-state dose", member);
  }
  return DP_OK;
}

/* ---- the timeline ---- */

/* a before b in (time, order)? Equal is allowed. */
static bool ascending(dp_time ta, int32_t oa, dp_time tb, int32_t ob) {
  return ta < tb || (ta == tb && oa <= ob);
}

static dp_status unsorted(const dp_sim *sim, int member, const char *list, int k) {
  return dpi_fail(
      sim->ctx, DP_ERR_INPUT,
      "member %d, %s %d: earlier than the one before it, expected ascending (time, order)", member,
      list, k);
}

static dp_status too_early(const dp_sim *sim, const dp_member *m, int member, const char *list,
                           int k, dp_time t) {
  return dpi_fail(sim->ctx, DP_ERR_INPUT,
                  "member %d, %s %d: at %.9g, before the member's start %.9g", member, list, k,
                  (double)t / DP_TICKS, (double)m->start / DP_TICKS);
}

static dp_status check_instants(const dp_sim *sim, const dp_member *m, int member, int ndir) {
  for (int k = 0; k < m->ninstant; k++) {
    const dp_instant *s = &m->instant[k];
    if (s->time < m->start) return too_early(sim, m, member, "instant", k, s->time);
    if (k && !ascending(s[-1].time, s[-1].order, s->time, s->order))
      return unsorted(sim, member, "instant", k);
    DP_TRY(check_instant(sim, member, k, s, ndir));
  }
  return DP_OK;
}

dp_status dpi_check_added(const dp_sim *sim, int member, const dp_instant *list, int n, int ndir, dp_time least) {
  for (int k = 0; k < n; k++) {
    const dp_instant *s = &list[k];
    if (s->time < least)
      return dpi_fail(sim->ctx, DP_ERR_INPUT,
                      "dp_run_add: member %d, instant %d: at %.9g, before the run's present time %.9g", member, k,
                      (double)s->time / DP_TICKS, (double)least / DP_TICKS);
    if (k && !ascending(s[-1].time, s[-1].order, s->time, s->order)) return unsorted(sim, member, "added instant", k);
    DP_TRY(check_instant(sim, member, k, s, ndir));
  }
  return DP_OK;
}

static dp_status check_outs(const dp_sim *sim, const dp_member *m, int member) {
  for (int k = 0; k < m->nout; k++) {
    const dp_output_time *o = &m->out[k];
    if (o->time < m->start) return too_early(sim, m, member, "output time", k, o->time);
    if (k && !ascending(o[-1].time, o[-1].order, o->time, o->order))
      return unsorted(sim, member, "output time", k);
  }
  return DP_OK;
}

static dp_status check_functionals(const dp_sim *sim, const dp_member *m, int member) {
  if (m->nfunctional > 0 && !(sim->spoke_desc->caps & DP_CAP_FUNCTIONALS)) {
    return refuse(sim, "DP_CAP_FUNCTIONALS", "functionals of the path", member);
  }
  for (int k = 0; k < m->nfunctional; k++) {
    const dp_functional *f = &m->functional[k];
    if ((unsigned)f->kind > DP_FIRST_BELOW || f->output < 0 || f->output >= sim->desc.noutput) {
      return dpi_fail(sim->ctx, DP_ERR_INPUT,
                      "member %d, functional %d: kind %d of output %d: there is none", member, k,
                      (int)f->kind, f->output);
    }
    if (f->from < m->start || f->to < f->from) {
      return dpi_fail(
          sim->ctx, DP_ERR_INPUT,
          "member %d, functional %d: window %.9g to %.9g, expected from >= start, to >= from",
          member, k, (double)f->from / DP_TICKS, (double)f->to / DP_TICKS);
    }
    bool levels =
        f->kind == DP_TIME_BETWEEN || f->kind == DP_FIRST_ABOVE || f->kind == DP_FIRST_BELOW;
    if ((levels && isnan(f->level)) || (f->kind == DP_TIME_BETWEEN && !(f->level <= f->level2))) {
      return dpi_fail(sim->ctx, DP_ERR_INPUT,
                      "member %d, functional %d: levels %g, %g: expected numbers, level <= level2",
                      member, k, f->level, f->level2);
    }
  }
  return DP_OK;
}

/* Lists that are counted must be there. Values of parameters are not looked at: whether a NaN matters is known only to
 * the spoke (a covariate may be switched in before it is used), and then that member fails alone. */
static dp_status check_lists(const dp_sim *sim, const dp_member *m, int member) {
  const char *missing = NULL;
  if (sim->desc.nparam > 0 && !m->param) missing = "param";
  if (m->ninstant < 0 || (m->ninstant && !m->instant)) missing = "instant";
  if (m->nout < 0 || (m->nout && !m->out)) missing = "out";
  if (m->nfunctional < 0 || (m->nfunctional && !m->functional)) missing = "functional";
  if (!missing) return DP_OK;
  return dpi_fail(sim->ctx, DP_ERR_INPUT,
                  "member %d: list '%s' is missing or its length is negative", member, missing);
}

dp_status dpi_check_members(const dp_sim *sim, const dp_member *member, int n,
                            const dp_run_opts *opts) {
  if (n < 0 || (n && !member))
    return dpi_fail(sim->ctx, DP_ERR_USAGE, "run: %d members in no list", n);
  for (int i = 0; i < n; i++) {
    const dp_member *m = &member[i];
    DP_TRY(check_lists(sim, m, i));
    if (m->seed && sim->desc.nactive == 0 && opts->ndir > 0) {
      return dpi_fail(sim->ctx, DP_ERR_INPUT,
                      "member %d: seed is given, but the sim has no active parameter", i);
    }
    DP_TRY(check_instants(sim, m, i, opts->ndir));
    DP_TRY(check_outs(sim, m, i));
    DP_TRY(check_functionals(sim, m, i));
  }
  return DP_OK;
}

/* ---- extent ---- */

dp_time dpi_member_end(const dp_member *m) {
  dp_time end = m->start;
  if (m->nout && m->out[m->nout - 1].time > end) end = m->out[m->nout - 1].time;
  for (int k = 0; k < m->nfunctional; k++) {
    if (m->functional[k].to > end) end = m->functional[k].to;
  }
  return end;
}

int dpi_member_rows(const dp_member *m, dp_time t) {
  if (m->nout == 0 || m->out[m->nout - 1].time <= t) return m->nout;
  int low = 0, high = m->nout; /* out[high].time > t, out[low - 1].time <= t */
  while (low < high) {
    int mid = low + (high - low) / 2;
    if (m->out[mid].time <= t)
      low = mid + 1;
    else
      high = mid;
  }
  return low;
}
