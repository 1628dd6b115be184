/* simulate_many.c - floor 9: doppel simulate with many members: bands over them, or every trajectory.
 *
 *     bands     each quantity's --bands over members: nearest rank, exact up to DP_BANDS_EXACT members, then within
 *               --rank-error
 *     --all     member, time, quantities: members come as they are done, in their order, none is kept
 *
 * On a terminal standard error shows how far it is. Ctrl-C: bands over the members done so far, which are the first
 * ones; exit 75. Members that fail count up to where they failed; how many, and the first one's time and reason are
 * told; exit 6.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/simulate.h"

/* ---- progress ---- */

typedef struct meter {
  bool on, shown;
  double began, last; /* clock */
  int nmember;
} meter;

static double clock_s(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void span_text(double s, char text[32]) {
  if (s < 100)
    snprintf(text, 32, "%.0f s", s);
  else if (s < 6000)
    snprintf(text, 32, "%.0f min", s / 60);
  else
    snprintf(text, 32, "%.1f h", s / 3600);
}

static void show_meter(void *user, double done, int nfailed) {
  meter *m = user;
  double now = clock_s(), took = now - m->began;
  if (!m->on || now - m->last < 0.2 || took < 0.5) return;
  char left[32] = "?";
  if (done > 0) span_text(took / done * (m->nmember - done), left);
  fprintf(stderr, "\r%.0f of %d members, %.3g/s, %d failed, %s left \033[K", floor(done),
          m->nmember, done / took, nfailed, left);
  fflush(stderr);
  m->last = now;
  m->shown = true;
}

static void clear_meter(meter *m) {
  if (m->shown) fprintf(stderr, "\r\033[K");
}

/* ---- what bands ---- */

int simulate_read_bands(cli_call *call, simulation *s) {
  const char *text = cli_get(call, "--bands");
  s->rank_error = dp_bands_def_default().rank_error;
  if (!cli_number(call, "--rank-error", &s->rank_error)) return 2;
  if (!(s->rank_error >= 0 && s->rank_error < 0.5))
    return cli_usage(call, "option --rank-error: found %g, expected 0 to 0.5", s->rank_error);
  if (!text) text = s->spoke[0] == 's' ? "mean,sd,q05,q50,q95" : "q05,q50,q95";
  while (*text) {
    size_t n = strcspn(text, ",");
    band *b = &s->band[s->nband];
    if (s->nband == CLI_MAX_BAND)
      return cli_usage(call, "option --bands: more than %d words", CLI_MAX_BAND);
    snprintf(b->name, sizeof b->name, "%.*s", (int)n, text);
    char *end = b->name + 1;
    double percent =
        b->name[0] == 'q' && strchr("0123456789", b->name[1]) ? strtod(b->name + 1, &end) : NAN;
    bool moment = strcmp(b->name, "mean") == 0 || strcmp(b->name, "sd") == 0;
    if (n >= sizeof b->name ||
        (!moment && (end == b->name + 1 || *end || !(percent >= 0 && percent <= 100))))
      return cli_usage(
          call,
          "option --bands: found '%.*s', expected mean, sd or a percentile as q05, q50, q97.5",
          (int)n, text);
    b->q = moment ? NAN : percent / 100;
    s->nband++;
    text += n + (text[n] == ',');
  }
  return s->nband ? 0 : cli_usage(call, "option --bands: no words");
}

/* ---- the answer ---- */

static int tell_failures(const simulation *s, int nfailed, int first, double time,
                         const char *reason) {
  if (!nfailed) return 0;
  fprintf(stderr, "doppel: member %d failed at time %g: %s (%d of %d failed)\n", first, time,
          reason, nfailed, s->nmember);
  return dp_status_exit_code(DP_ERR_NUMERIC);
}

static int tell_stopped(const simulation *s, int ndone, const char *what) {
  fprintf(stderr, "doppel: stopped: %s the first %d of %d members\n", what, ndone, s->nmember);
  return dp_status_exit_code(DP_ERR_CANCELLED);
}

static double band_value(const dp_bands *b, const band *kind, int time, int column) {
  if (!isnan(kind->q)) return dp_bands_quantile(b, time, column, kind->q);
  return kind->name[0] == 'm' ? dp_bands_mean(b, time, column) : dp_bands_sd(b, time, column);
}

static void print_bands(const simulation *s, const dp_bands *b, double *row) {
  dp_bands_desc d = dp_bands_describe(b);
  char more[96], *at = more;
  simulate_header(s, "time", s->band, s->nband);
  for (int t = 0; t < s->nwhen; t++) {
    int n = 0;
    for (int c = 0; c < s->ncolumn; c++)
      for (int k = 0; k < s->nband; k++) row[n++] = band_value(b, &s->band[k], t, c);
    simulate_row(s, t == 0, "", simulation_time(s->when[t].time), row, n);
  }
  if (d.ndone < d.nmember) at += snprintf(at, 32, "\"done\":%d,", d.ndone);
  snprintf(at, 64, "\"rank_error\":%.3g,", d.rank_error);
  simulate_end(s, d.nfailed, d.fail_time, d.reason, more);
}

static int give_bands(cli_call *call, const simulation *s, dp_status status, const dp_bands *b) {
  if (!b && (status == DP_OK || status == DP_ERR_CANCELLED)) return 0; /* another rank's */
  if (status != DP_OK && status != DP_ERR_CANCELLED) return cli_failed(call, status);
  dp_bands_desc d = dp_bands_describe(b);
  if (!d.ndone) return tell_stopped(s, 0, "nothing is known of");
  double *row = calloc((size_t)s->nband * (size_t)s->ncolumn + 1, sizeof *row);
  if (!row) return dp_status_exit_code(DP_ERR_MEMORY);
  print_bands(s, b, row);
  free(row);
  int code = tell_failures(s, d.nfailed, d.first_failed, d.fail_time, d.reason);
  return status == DP_OK ? code : tell_stopped(s, d.ndone, "bands are over");
}

static int bands(cli_call *call, simulation *s) {
  dp_run_opts opts = dp_run_opts_default();
  dp_bands_def def = dp_bands_def_default();
  dp_source source = {simulate_fill, s};
  dp_bands *b = NULL;
  meter m = {.on = isatty(STDERR_FILENO), .began = clock_s(), .nmember = s->nmember};
  opts.seed = s->seed;
  def.rank_error = s->rank_error;
  def.progress = show_meter;
  def.progress_user = &m;
  dp_status status = dp_simulate_bands(s->sim, s->nmember, &source, &opts, &def, &b);
  clear_meter(&m);
  int code = give_bands(call, s, status, b);
  dp_bands_destroy(b);
  return code;
}

/* ---- every trajectory ---- */

typedef struct printing { /* user of the sink */
  const simulation *s;
  int ndone, nfailed, first; /* first member that failed */
  double fail_time;
  char reason[400];
  bool printed; /* a row at least */
} printing;

static void note_failure(printing *p, const dp_member_result *b) {
  if (b->status == DP_MEMBER_OK) return;
  if (p->nfailed++) return;
  p->first = b->member;
  p->fail_time = b->fail_time;
  snprintf(p->reason, sizeof p->reason, "%s", b->reason);
}

/* dp_sink_fn */
static dp_status print_values(void *user, const dp_member_result *block, int nblock) {
  printing *p = user;
  const simulation *s = p->s;
  for (int i = 0; i < nblock; i++, p->ndone++) {
    const dp_member_result *b = &block[i];
    char lead[32];
    note_failure(p, b);
    snprintf(lead, sizeof lead, "%d,", b->member);
    for (int t = 0; t < b->nout; t++) {
      double time = simulation_time(s->when[b->out_first + t].time);
      if (b->status != DP_MEMBER_OK && time >= b->fail_time) break;
      simulate_row(s, !p->printed, lead, time, b->value + (size_t)t * (size_t)s->ncolumn,
                   s->ncolumn);
      p->printed = true;
    }
  }
  return DP_OK;
}

static int trajectories(cli_call *call, simulation *s) {
  printing p = {.s = s};
  dp_run_opts opts = dp_run_opts_default();
  dp_source source = {simulate_fill, s};
  opts.seed = s->seed;
  simulate_header(s, "member", NULL, 0);
  dp_status status = dp_simulate_stream(s->sim, 0, s->nmember, &source, &opts, print_values, &p);
  if (status != DP_OK && status != DP_ERR_CANCELLED) return cli_failed(call, status);
  char more[32] = "";
  if (p.ndone < s->nmember) snprintf(more, sizeof more, "\"done\":%d,", p.ndone);
  simulate_end(s, p.nfailed, p.fail_time, p.reason, more);
  int code = tell_failures(s, p.nfailed, p.first, p.fail_time, p.reason);
  return status == DP_OK ? code : tell_stopped(s, p.ndone, "these are");
}

int simulate_many(cli_call *call, simulation *s) {
  if (!s->all) return bands(call, s);
  if (cli_rank()) return 0; /* rank 0 prints them as it makes them */
  return trajectories(call, s);
}
