/* simulate_answer.c - floor 9: the answers of doppel simulate as CSV or JSON.
 *
 *     one member     time, one column a quantity; rows up to where it failed
 *     many members   each quantity's 5, 50, 95 % (nearest rank) over members; methods with jumps: mean and sd before
 *     --all          member, time, quantities: members come as they are done, in their order, none is kept
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

/* The shortest text that reads back to the same number. */
static void print_number(double x, bool json) {
  char text[40];
  if (!isfinite(x)) {
    printf("%s", json ? "null" : isnan(x) ? "" : x > 0 ? "inf" : "-inf");
    return;
  }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, x);
    if (strtod(text, NULL) == x) break;
  }
  printf("%s", text);
}

/* A column's name; in CSV it is quoted when it has a comma in it (a formula may). */
static void print_name(const char *id, const char *suffix, bool json) {
  bool quote = json || strpbrk(id, ",\"");
  printf(quote ? ",\"" : ",");
  for (const char *c = id; *c; c++) printf(*c == '"' ? (json ? "\\\"" : "\"\"") : "%c", *c);
  printf(quote ? "%s\"" : "%s", suffix);
}

static void print_header(const simulation *s, const char *first, const char *const *suffix, int per) {
  printf(s->json ? "{\"columns\":[\"%s\"" : "%s", first);
  if (s->all) printf(s->json ? ",\"time\"" : ",time");
  for (int c = 0; c < s->ncolumn; c++)
    for (int k = 0; k < per; k++) print_name(s->column[c].id, suffix[k], s->json);
  printf(s->json ? "],\n\"rows\":[" : "\n");
}

/* lead: what stands before the values, as text. */
static void print_row(const simulation *s, bool first, const char *lead, double time, const double *value, int n) {
  if (s->json) printf("%s\n[", first ? "" : ",");
  printf("%s", lead);
  print_number(time, s->json);
  for (int c = 0; c < n; c++) {
    printf(",");
    print_number(value[c], s->json);
  }
  printf(s->json ? "]" : "\n");
}

static void print_end(const simulation *s, int nfailed, double fail_time, const char *reason) {
  if (!s->json) return;
  printf("],\n\"members\":%d,\"failed\":%d,", s->nmember, nfailed);
  if (nfailed) {
    printf("\"failed_at\":");
    print_number(fail_time, true);
    printf(",\"reason\":");
    cli_json_text(reason);
    printf(",");
  }
  if (dp_model_nunknown(s->model)) { /* why numbers are null */
    printf("\"unknown\":[");
    for (int i = 0; i < dp_model_nunknown(s->model); i++) {
      if (i) printf(",");
      cli_json_text(dp_model_unknown(s->model, i));
    }
    printf("],");
  }
  printf("\"hash\":\"%s\"}\n", dp_sim_describe(s->sim)->hash);
}

/* ---- one member ---- */

int simulate_curve(cli_call *call, const simulation *s, dp_result *first) {
  dp_run_opts opts = dp_run_opts_default();
  dp_result *r = first;
  static const char *const plain[] = {""};
  dp_member member = simulation_member(s, 0);
  opts.seed = s->seed;
  if (!r) CLI_TRY(call, dp_simulate(s->sim, &member, 1, &opts, &r));
  bool failed = r->status[0] != DP_MEMBER_OK;
  print_header(s, "time", plain, 1);
  for (int t = 0; t < s->nwhen; t++) {
    double time = simulation_time(s->when[t].time);
    if (failed && time >= r->fail_time[0]) break; /* what lies beyond is not known */
    print_row(s, t == 0, "", time, r->value + (r->value_at[0] + (size_t)t) * (size_t)r->noutput, s->ncolumn);
  }
  print_end(s, r->nfailed, r->fail_time[0], r->reason[0]);
  if (failed) simulate_explain(call, s, r->fail_time[0], r->reason[0]);
  dp_result_destroy(r);
  return failed ? dp_status_exit_code(DP_ERR_NUMERIC) : 0;
}

/* ---- many ---- */

typedef struct ensemble { /* user of the sinks */
  const simulation *s;
  double *value;      /* [nwhen x ncolumn x nmember]; NULL: printed as they come */
  int nfailed, first; /* first member that failed */
  double fail_time;
  char reason[400];
  bool printed; /* a row at least */
} ensemble;

static void note_failure(ensemble *e, const dp_member_result *b) {
  if (b->status == DP_MEMBER_OK) return;
  if (e->nfailed++) return;
  e->first = b->member;
  e->fail_time = b->fail_time;
  snprintf(e->reason, sizeof e->reason, "%s", b->reason);
}

/* dp_sink_fn */
static dp_status keep_values(void *user, const dp_member_result *block, int nblock) {
  ensemble *e = user;
  const simulation *s = e->s;
  for (int i = 0; i < nblock; i++) {
    const dp_member_result *b = &block[i];
    note_failure(e, b);
    for (int t = 0; t < b->nout; t++)
      for (int c = 0; c < s->ncolumn; c++) {
        size_t row = (size_t)(b->out_first + t) * (size_t)s->ncolumn + (size_t)c;
        e->value[row * (size_t)s->nmember + (size_t)b->member] = b->value[(size_t)t * (size_t)s->ncolumn + (size_t)c];
      }
  }
  return DP_OK;
}

/* dp_sink_fn */
static dp_status print_values(void *user, const dp_member_result *block, int nblock) {
  ensemble *e = user;
  const simulation *s = e->s;
  for (int i = 0; i < nblock; i++) {
    const dp_member_result *b = &block[i];
    char lead[32];
    note_failure(e, b);
    snprintf(lead, sizeof lead, "%d,", b->member);
    for (int t = 0; t < b->nout; t++) {
      double time = simulation_time(s->when[b->out_first + t].time);
      if (b->status != DP_MEMBER_OK && time >= b->fail_time) break;
      print_row(s, !e->printed, lead, time, b->value + (size_t)t * (size_t)s->ncolumn, s->ncolumn);
      e->printed = true;
    }
  }
  return DP_OK;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Of the finite values of n members (sorted here): mean, sd, 5, 50, 95 %. Sums are taken in the order of members. */
static void summarise(double *v, int n, double out[5]) {
  static const double q[3] = {.05, .5, .95};
  double sum = 0, square = 0;
  int m = 0;
  for (int i = 0; i < n; i++)
    if (isfinite(v[i])) v[m++] = v[i];
  for (int i = 0; i < m; i++) sum += v[i];
  out[0] = m ? sum / m : NAN;
  for (int i = 0; i < m; i++) square += (v[i] - out[0]) * (v[i] - out[0]);
  out[1] = m > 1 ? sqrt(square / (m - 1)) : NAN;
  qsort(v, (size_t)m, sizeof *v, by_value);
  for (int k = 0; k < 3; k++) out[2 + k] = m ? v[(int)(q[k] * (m - 1) + 0.5)] : NAN;
}

static void print_bands(const simulation *s, double *value, double *row) {
  static const char *const suffix[5] = {"_mean", "_sd", "_q05", "_q50", "_q95"};
  int from = s->spoke[0] == 's' ? 0 : 2; /* parameters that vary: quantiles only */
  print_header(s, "time", suffix + from, 5 - from);
  for (int t = 0; t < s->nwhen; t++) {
    double *at = row, five[5];
    for (int c = 0; c < s->ncolumn; c++, at += 5 - from) {
      summarise(value + ((size_t)t * (size_t)s->ncolumn + (size_t)c) * (size_t)s->nmember, s->nmember, five);
      memcpy(at, five + from, (size_t)(5 - from) * sizeof *five);
    }
    print_row(s, t == 0, "", simulation_time(s->when[t].time), row, (int)(at - row));
  }
}

static int tell_failures(const simulation *s, const ensemble *e) {
  if (!e->nfailed) return 0;
  fprintf(stderr, "doppel: member %d failed at time %g: %s (%d of %d failed)\n", e->first, e->fail_time, e->reason,
          e->nfailed, s->nmember);
  return dp_status_exit_code(DP_ERR_NUMERIC);
}

int simulate_ensemble(cli_call *call, const simulation *s) {
  ensemble e = {.s = s};
  dp_run_opts opts = dp_run_opts_default();
  static const char *const plain[] = {""};
  opts.seed = s->seed;
  dp_member *member = calloc((size_t)s->nmember, sizeof *member);
  size_t rows = (size_t)s->nwhen * (size_t)s->ncolumn;
  double *row = calloc(5 * (size_t)s->ncolumn + 1, sizeof *row);
  if (!s->all) e.value = calloc(rows * (size_t)s->nmember + 1, sizeof *e.value);
  int code = dp_status_exit_code(DP_ERR_MEMORY);
  if (member && row && (s->all || e.value)) {
    for (int m = 0; m < s->nmember; m++) member[m] = simulation_member(s, m);
    if (s->all) print_header(s, "member", plain, 1);
    dp_status status = dp_simulate_into(s->sim, member, s->nmember, &opts, s->all ? print_values : keep_values, &e);
    code = status == DP_OK ? 0 : cli_failed(call, status);
    if (!code && !s->all) print_bands(s, e.value, row);
    if (!code) print_end(s, e.nfailed, e.fail_time, e.reason);
    if (!code) code = tell_failures(s, &e);
  } else {
    fprintf(stderr, "doppel: no memory for %d members and %d output times\n", s->nmember, s->nwhen);
  }
  free(e.value);
  free(row);
  free(member);
  return code;
}

/* ---- steady fluxes ---- */

int simulate_flux(cli_call *call, const dp_model *model, bool json) {
  dp_flux *f = NULL;
  CLI_TRY(call, dp_flux_solve(model, &f));
  printf(json ? "{\"objective\":" : "reaction,flux\n[objective],");
  print_number(f->objective, json);
  printf(json ? ",\n\"fluxes\":{" : "\n");
  for (int j = 0; j < f->nreaction; j++) {
    if (json) {
      printf(j ? ",\n" : "\n");
      cli_json_text(f->reaction[j]);
      printf(":");
    } else {
      printf("%s,", f->reaction[j]);
    }
    print_number(f->value[j], json);
    if (!json) printf("\n");
  }
  if (json) printf("}}\n");
  dp_flux_destroy(f);
  return 0;
}
