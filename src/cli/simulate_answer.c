/* simulate_answer.c - floor 9: answers of doppel simulate as CSV or JSON: header, rows, end; one member's curve;
 * fluxes.
 *
 *     one member     time, one column a quantity; rows up to where it failed
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

/* The shortest text that reads back to the same number. */
void simulate_number(double x, bool json) {
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
static void print_name(const char *id, const char *band, bool json) {
  bool quote = json || strpbrk(id, ",\"");
  printf(quote ? ",\"" : ",");
  for (const char *c = id; *c; c++) printf(*c == '"' ? (json ? "\\\"" : "\"\"") : "%c", *c);
  printf("%s%s%s", band[0] ? "_" : "", band, quote ? "\"" : "");
}

void simulate_header(const simulation *s, const char *first, const band *band, int nband) {
  printf(s->json ? "{\"columns\":[\"%s\"" : "%s", first);
  if (s->all) printf(s->json ? ",\"time\"" : ",time");
  for (int c = 0; c < s->ncolumn; c++)
    for (int k = 0; k < (nband ? nband : 1); k++) print_name(s->column[c].id, nband ? band[k].name : "", s->json);
  printf(s->json ? "],\n\"rows\":[" : "\n");
}

/* lead: what stands before the values, as text. */
void simulate_row(const simulation *s, bool first, const char *lead, double time, const double *value, int n) {
  if (s->json) printf("%s\n[", first ? "" : ",");
  printf("%s", lead);
  simulate_number(time, s->json);
  for (int c = 0; c < n; c++) {
    printf(",");
    simulate_number(value[c], s->json);
  }
  printf(s->json ? "]" : "\n");
}

void simulate_end(const simulation *s, int nfailed, double fail_time, const char *reason, const char *more) {
  if (!s->json) return;
  printf("],\n\"members\":%d,%s\"failed\":%d,", s->nmember, more, nfailed);
  if (nfailed) {
    printf("\"failed_at\":");
    simulate_number(fail_time, true);
    printf(",\"reason\":");
    cli_json_text(reason);
    printf(",");
  }
  if (s->model && dp_model_nunknown(s->model)) { /* why numbers are null */
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
  opts.seed = s->seed;
  if (!r) CLI_TRY(call, dp_simulate(s->sim, &s->member, 1, &opts, &r));
  bool failed = r->status[0] != DP_MEMBER_OK;
  simulate_header(s, "time", NULL, 0);
  for (int t = 0; t < s->nwhen; t++) {
    double time = simulation_time(s->when[t].time);
    if (failed && time >= r->fail_time[0]) break; /* what lies beyond is not known */
    simulate_row(s, t == 0, "", time, r->value + (r->value_at[0] + (size_t)t) * (size_t)r->noutput, s->ncolumn);
  }
  simulate_end(s, r->nfailed, r->fail_time[0], r->reason[0], "");
  if (failed) simulate_explain(call, s, r->fail_time[0], r->reason[0]);
  dp_result_destroy(r);
  return failed ? dp_status_exit_code(DP_ERR_NUMERIC) : 0;
}

/* ---- steady fluxes ---- */

int simulate_flux(cli_call *call, const dp_model *model, bool json) {
  dp_flux *f = NULL;
  CLI_TRY(call, dp_flux_solve(model, &f));
  printf(json ? "{\"objective\":" : "reaction,flux\n[objective],");
  simulate_number(f->objective, json);
  printf(json ? ",\n\"fluxes\":{" : "\n");
  for (int j = 0; j < f->nreaction; j++) {
    if (json) {
      printf(j ? ",\n" : "\n");
      cli_json_text(f->reaction[j]);
      printf(":");
    } else {
      printf("%s,", f->reaction[j]);
    }
    simulate_number(f->value[j], json);
    if (!json) printf("\n");
  }
  if (json) printf("}}\n");
  dp_flux_destroy(f);
  return 0;
}
