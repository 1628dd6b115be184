/* bench_ensemble.c - ensembles of small models beside CVODE: the rows of dp_bench_ensemble.
 *
 *     bench_ensemble [--json] [--only NAME]... [--members N] [--sample N] [--repeats N] [--threads N] [--method NAME]
 *                    [--rtol R] [--cache DIR] [--petab DIR] [--million] [--peer-module FILE]
 *     bench_ensemble --write NAME [--members N] [--sample N] [--petab DIR]
 *
 * --json: {"rows": [{"name": ..., "seconds": ..., "peer": "cvode", "ratio_to_cvode": ..., "error": ..., "peer_error":
 * ...}, ...]}, seconds of the whole batch, ratio_to_cvode how many times CVODE's time is ours, errors the largest over
 * the sampled members.
 * --write: the problem itself as one JSON object, for other programs (tools/compare_peers.py): what is set in each
 * member, output times, states, reference of the sampled members.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench_impl.h"

static bool json;
static int nrow;

static void as_json(const dp_bench_row *r) {
  char text[DP_BENCH_JSON_SIZE];
  dp_bench_row_json(r, text, sizeof text);
  printf("%s\n%s", nrow++ ? "," : "", text);
}

static void as_text(const dp_bench_row *r) {
  if (r->skipped[0]) {
    printf("%-26s skipped: %s\n", r->name, r->skipped);
    return;
  }
  printf(
      "%-26s %9.3f us a member (%d members, median %.3f), rtol %.2g, %d failed; errors: largest %.3g, rms %.3g, 95 %% "
      "%.3g, "
      "median %.3g\n",
      r->name, r->seconds / r->nmember * 1e6, r->nmember, r->seconds_median / r->nmember * 1e6, r->rtol, r->nfailed,
      r->error.largest, r->error.rms, r->error.p95, r->error.median);
  if (r->peer[0])
    printf(
        "    %-22s %9.3f us a member (median %.3f) %s, rtol %.2g, atol %.2g, %.0f steps, %d failed; errors: %.3g, "
        "%.3g, %.3g, "
        "%.3g: %.1f times\n",
        r->peer, r->peer_seconds / r->nmember * 1e6, r->peer_seconds_median / r->nmember * 1e6, r->peer_solver,
        r->peer_rtol, r->peer_atol, r->peer_steps, r->peer_nfailed, r->peer_error.largest, r->peer_error.rms,
        r->peer_error.p95, r->peer_error.median, r->ratio);
  if (r->other_seconds > 0)
    printf("    cvode of SUNDIALS %-5s %8.3f us a member, %s: %.1f times\n", r->other_version,
           r->other_seconds / r->nmember * 1e6, r->other_solver, r->other_ratio);
  if (r->cold_s > 0)
    printf("    from text, nothing ready: first member %.2f ms, whole batch %.1f ms\n", r->cold_one_s * 1e3,
           r->cold_s * 1e3);
  if (r->cached_s > 0)
    printf("    from text, code in the cache: first member %.2f ms, whole batch %.1f ms\n", r->cached_one_s * 1e3,
           r->cached_s * 1e3);
}

static void each(void *user, const dp_bench_row *row) {
  (void)user;
  (json ? as_json : as_text)(row);
  fflush(stdout);
}

/* ---- the problem for other programs ---- */

static void numbers(const double *x, size_t n) {
  printf("[");
  for (size_t k = 0; k < n; k++) printf(isfinite(x[k]) ? "%s%.17g" : "%snull", k ? "," : "", x[k]);
  printf("]");
}

static dp_status write_members(const dpi_bench_case *c, const dp_bench_def *def, int n) {
  const dpi_bench_problem *p = c->problem;
  dp_sim *sim = NULL;
  double *row = DPI_NEW_ARRAY(c->ctx, double, c->nparam);
  dp_status status = row ? dpi_bench_sim(c, "auto", 1e-6, p->atol, &sim) : DP_ERR_MEMORY;
  if (status == DP_OK) {
    printf(",\n\"set\":[");
    for (int k = 0; k < p->nfixed + p->nvaried; k++)
      printf("%s\"%s\"", k ? "," : "", k < p->nfixed ? p->fixed[k].id : p->varied[k - p->nfixed].id);
    printf("],\n\"member\":[");
    for (int i = 0; i < n; i++) {
      dpi_bench_draw(c, def->seed, i, 1, row);
      printf("%s\n[", i ? "," : "");
      for (int k = 0; k < p->nfixed; k++) printf("%.17g,", row[dp_sim_param(sim, p->fixed[k].id)]);
      for (int k = 0; k < p->nvaried; k++) printf("%s%.17g", k ? "," : "", row[c->varied[k]]);
      printf("]");
    }
    printf("]");
  }
  dp_sim_destroy(sim);
  dpi_free(c->ctx, row);
  return status;
}

static dp_status write_reference(const dpi_bench_case *c, const dp_bench_def *def, int n) {
  const dpi_bench_problem *p = c->problem;
  const size_t size = (size_t)p->nout * (size_t)p->peer->nstate;
  const dpi_bench_cvode_ops *cvode = &dpi_bench_cvode_installed;
  dpi_bench_cvode *s = NULL;
  dpi_bench_count count;
  double *param = DPI_NEW_ARRAY(c->ctx, double, (size_t)n *(size_t)c->nparam);
  double *value = DPI_NEW_ARRAY(c->ctx, double, (size_t)n *size);
  dp_status status = param && value && (s = cvode->create(c, false, 1e-12, p->atol * 1e-6)) ? DP_OK : DP_ERR_MEMORY;
  if (status == DP_OK) {
    dpi_bench_draw(c, def->seed, 0, n, param);
    cvode->run(s, param, n, value, &count);
    printf(",\n\"reference\":[");
    for (int i = 0; i < n; i++) {
      printf("%s\n", i ? "," : "");
      numbers(value + (size_t)i * size, size);
    }
    printf("]");
  }
  cvode->destroy(s);
  dpi_free(c->ctx, param);
  dpi_free(c->ctx, value);
  return status;
}

static dp_status write_problem(dp_ctx *ctx, const dp_bench_def *def, const char *name) {
  int n, at = 0;
  const dpi_bench_problem *p = dpi_bench_problems(&n);
  dpi_bench_case *c = NULL;
  const char *skipped = NULL;
  while (at < n && strcmp(p[at].name, name)) at++;
  if (at == n) return dpi_fail(ctx, DP_ERR_INPUT, "no benchmark problem '%s'", name);
  DP_TRY(dpi_bench_open(ctx, &p[at], def->petab, &c, &skipped));
  if (skipped) return dpi_fail(ctx, DP_ERR_INPUT, "%s: %s", name, skipped);
  const int nmember = def->nmember > 0 ? def->nmember : p[at].nmember,
            nsample = def->nsample < nmember ? def->nsample : nmember;
  printf("{\"name\":\"%s\",\"file\":\"%s\",\"atol\":%.17g,\"end\":%.17g,\n\"state\":[", name,
         p[at].file ? p[at].file : "", p[at].atol, p[at].t_end);
  for (int j = 0; j < p[at].peer->nstate; j++) printf("%s\"%s\"", j ? "," : "", p[at].peer->state_id[j]);
  printf("],\n\"out\":");
  numbers(p[at].out, (size_t)p[at].nout);
  dp_status status = write_members(c, def, nmember);
  if (status == DP_OK) status = write_reference(c, def, nsample);
  printf("}\n");
  dpi_bench_close(c);
  return status;
}

static const char *argument(int argc, char **argv, int *i) {
  if (*i + 1 >= argc) {
    fprintf(stderr, "bench_ensemble: %s needs a value\n", argv[*i]);
    exit(2);
  }
  return argv[++*i];
}

int main(int argc, char **argv) {
  dp_bench_def def = dp_bench_def_default();
  const char *only[32], *write = NULL;
  for (int i = 1; i < argc; i++) {
    const char *a = argv[i];
    if (strcmp(a, "--json") == 0)
      json = true;
    else if (strcmp(a, "--million") == 0)
      def.million = 1;
    else if (strcmp(a, "--only") == 0 && def.nonly < 32)
      only[def.nonly++] = argument(argc, argv, &i);
    else if (strcmp(a, "--write") == 0)
      write = argument(argc, argv, &i);
    else if (strcmp(a, "--members") == 0)
      def.nmember = atoi(argument(argc, argv, &i));
    else if (strcmp(a, "--sample") == 0)
      def.nsample = atoi(argument(argc, argv, &i));
    else if (strcmp(a, "--repeats") == 0)
      def.repeats = atoi(argument(argc, argv, &i));
    else if (strcmp(a, "--threads") == 0)
      def.nthread = atoi(argument(argc, argv, &i));
    else if (strcmp(a, "--method") == 0)
      def.method = argument(argc, argv, &i);
    else if (strcmp(a, "--rtol") == 0)
      def.rtol = atof(argument(argc, argv, &i));
    else if (strcmp(a, "--cache") == 0)
      def.cache = argument(argc, argv, &i);
    else if (strcmp(a, "--peer-module") == 0)
      def.peer_module = argument(argc, argv, &i);
    else if (strcmp(a, "--petab") == 0)
      def.petab = argument(argc, argv, &i);
    else {
      fprintf(stderr, "bench_ensemble: unknown option %s\n", a);
      return 2;
    }
  }
  if (def.nonly) def.only = only;
  dp_ctx_def d = dp_ctx_def_default();
  dp_ctx *ctx = NULL;
  if (dp_ctx_create(&d, &ctx) != DP_OK) return 1;
  if (json && !write) printf("{\"rows\": [");
  dp_status status = write ? write_problem(ctx, &def, write) : dp_bench_ensemble(ctx, &def, each, NULL);
  if (json && !write) printf("\n]}\n");
  if (status != DP_OK) fprintf(stderr, "bench_ensemble: %s\n", dp_ctx_error(ctx));
  dp_ctx_destroy(ctx);
  return status != DP_OK;
}
