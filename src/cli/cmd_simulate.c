/* cmd_simulate.c - doppel simulate MODEL: one curve, or many members with quantile bands, with doses given by hand. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const cli_option cli_options_simulate[] = {
    {"--start", "T", "start time (0)"},
    {"--end", "T", "end time (10)"},
    {"--steps", "N", "equal steps from start to end (50)"},
    {"--at", "T,T,...", "output times instead of --end and --steps"},
    {"--set", "ID=VALUE", "a parameter's value; may be repeated"},
    {"--dose", "STATE=AMOUNT@T", "dose into a state; also AMOUNT@T/DURATION, AMOUNT@T+II*N; may be repeated"},
    {"--output", "FORMULA", "a quantity to print (all states); may be repeated"},
    {"--members", "N", "members of an ensemble (1)"},
    {"--vary", "ID=DIST", "normal(m,s), lognormal(median,s), uniform(a,b); needs --members"},
    {"--seed", "N", "seed of all random streams (1)"},
    {"--method", "NAME", "auto, linear, rk853, cvode"},
    {"--rtol", "X", "relative tolerance of the result (1e-8)"},
    {"--atol", "X", "absolute tolerance of the result (1e-10)"},
    {"-o", "csv|json", "form of the answer (csv)"},
    {"--json", NULL, "same as -o json"},
    {"--threads", "N", "threads; results do not depend on it"},
    {0}};

enum { MAX_TIME = 1000001, MAX_DOSE = 256, MAX_COLUMN = 256 };

typedef struct simulation {
  dp_model *model;
  dp_sim *sim;
  dp_output_def column[MAX_COLUMN];
  int ncolumn;
  dp_control_def control[MAX_DOSE];
  dp_instant instant[MAX_DOSE];
  int ndose, ncontrol;
  char target[MAX_DOSE][64];
  dp_output_time *when;
  int nwhen;
  double start;
  int nmember;
  unsigned long long seed;
} simulation;

#define LAST_TIME 9e9 /* what ticks can hold */

static dp_time ticks(double t) { return (dp_time)llround(t * (double)DP_TICKS); }

/* A time that ticks can hold, from *p on, which is moved behind it. */
static bool take_time(char **p, double *t) {
  char *from = *p;
  *t = strtod(from, p);
  return *p != from && fabs(*t) <= LAST_TIME; /* false for NaN */
}

/* ---- times ---- */

static int read_times(cli_call *call, simulation *s) {
  double end = 10;
  long long steps = 50;
  if (!cli_number(call, "--start", &s->start) || !cli_number(call, "--end", &end) ||
      !cli_integer(call, "--steps", &steps))
    return 2;
  const char *at = cli_get(call, "--at");
  if (fabs(s->start) > LAST_TIME) return cli_usage(call, "option --start: found %g, expected at most %g", s->start, LAST_TIME);
  if (!at && (steps < 1 || steps >= MAX_TIME || !(end > s->start) || end > LAST_TIME))
    return cli_usage(call, "need --end > --start and 1 to %d --steps", MAX_TIME - 1);
  s->when = calloc(at ? strlen(at) + 1 : (size_t)steps + 1, sizeof *s->when);
  if (!s->when) return dp_status_exit_code(DP_ERR_MEMORY);
  for (long long i = 0; !at && i <= steps; i++)
    s->when[s->nwhen++] = (dp_output_time){ticks(s->start + (end - s->start) * (double)i / (double)steps), INT32_MAX};
  while (at && *at) {
    char *next;
    double t = strtod(at, &next);
    if (next == at || (*next && *next != ',') || !(fabs(t) <= LAST_TIME) || t < s->start)
      return cli_usage(call, "option --at: found '%s', expected times not before the start", at);
    if (s->nwhen && ticks(t) < s->when[s->nwhen - 1].time)
      return cli_usage(call, "option --at: times must ascend, found %g after a later one", t);
    s->when[s->nwhen++] = (dp_output_time){ticks(t), INT32_MAX};
    at = *next == ',' ? next + 1 : next;
  }
  return s->nwhen ? 0 : cli_usage(call, "no output times");
}

/* ---- doses: STATE=AMOUNT@T[/DURATION][+II*N] ---- */

static int control_of(simulation *s, const char *state, size_t n) {
  for (int i = 0; i < s->ncontrol; i++)
    if (strlen(s->target[i]) == n && strncmp(s->target[i], state, n) == 0) return i;
  snprintf(s->target[s->ncontrol], sizeof s->target[0], "%.*s", (int)n, state);
  s->control[s->ncontrol] = (dp_control_def){.id = s->target[s->ncontrol], .target = s->target[s->ncontrol]};
  return s->ncontrol++;
}

static int read_dose(cli_call *call, simulation *s, const char *text) {
  const char *equals = strchr(text, '=');
  if (!equals || equals == text || equals - text > 63)
    return cli_usage(call, "option --dose: found '%s', expected STATE=AMOUNT@TIME", text);
  if (s->ndose == MAX_DOSE) return cli_usage(call, "more than %d doses", MAX_DOSE);
  char *p;
  dp_instant d = dp_instant_default();
  d.type = DP_ADD;
  d.amount = strtod(equals + 1, &p);
  if (*p != '@' || p == equals + 1) return cli_usage(call, "option --dose: found '%s', expected AMOUNT@TIME after '='", text);
  double t, duration, interval;
  p++;
  if (!take_time(&p, &t)) return cli_usage(call, "option --dose: '%s': expected a time after '@'", text);
  d.time = ticks(t);
  if (*p == '/') {
    p++;
    if (!take_time(&p, &duration) || !(duration > 0)) return cli_usage(call, "option --dose: '%s': a duration must be positive", text);
    d.type = DP_INFUSE;
    d.rate = d.amount / duration;
  }
  if (*p == '+') {
    p++;
    bool good = take_time(&p, &interval) && interval > 0 && *p == '*';
    long count = good ? strtol(p + 1, &p, 10) : 0;
    if (count < 1 || count > MAX_TIME || t + interval * (double)count > LAST_TIME)
      return cli_usage(call, "option --dose: '%s': expected +INTERVAL*COUNT", text);
    d.interval = ticks(interval);
    d.repeats = (int32_t)count - 1;
  }
  if (*p || t < s->start || !isfinite(d.amount))
    return cli_usage(call, "option --dose: found '%s' at '%s', expected STATE=AMOUNT@TIME[/DURATION][+II*N]", text, p);
  d.target = control_of(s, text, (size_t)(equals - text));
  d.order = s->ndose;
  int at = s->ndose++; /* insertion keeps (time, order) ascending */
  while (at > 0 && s->instant[at - 1].time > d.time) {
    s->instant[at] = s->instant[at - 1];
    at--;
  }
  s->instant[at] = d;
  return 0;
}

/* ---- parameters ---- */

static int set_param(cli_call *call, const simulation *s, const char *text, double *param) {
  const char *equals = strchr(text, '=');
  char id[128], *end;
  if (!equals || equals - text > 127) return cli_usage(call, "option --set: found '%s', expected ID=VALUE", text);
  snprintf(id, sizeof id, "%.*s", (int)(equals - text), text);
  int p = dp_sim_param(s->sim, id);
  if (p < 0) {
    const dp_sim_desc *d = dp_sim_describe(s->sim);
    const char *near = cli_nearest(id, d->param_id, d->nparam);
    fprintf(stderr, "doppel: --set: no parameter '%s'%s%s%s\n", id, near ? "; did you mean '" : "", near ? near : "",
            near ? "'?" : "");
    return dp_status_exit_code(DP_ERR_INPUT);
  }
  param[p] = strtod(equals + 1, &end);
  return end == equals + 1 || *end ? cli_usage(call, "option --set: found '%s', expected a number", equals + 1) : 0;
}

/* Apply --vary to every member's parameter vector. */
static int vary(cli_call *call, const simulation *s, const char *text, double *param, int nparam) {
  char id[64], dist[16];
  double a, b;
  int used = 0;
  if (sscanf(text, "%63[^=]=%15[a-z](%lf,%lf)%n", id, dist, &a, &b, &used) != 4 || text[used])
    return cli_usage(call, "option --vary: found '%s', expected ID=normal(m,s), lognormal(median,s) or uniform(a,b)",
                     text);
  int p = dp_sim_param(s->sim, id);
  if (p < 0) return cli_usage(call, "option --vary: no parameter '%s'", id);
  enum dp_variation kind;
  if (strcmp(dist, "normal") == 0)
    kind = DP_VARY_NORMAL;
  else if (strcmp(dist, "lognormal") == 0)
    kind = DP_VARY_LOGNORMAL;
  else if (strcmp(dist, "uniform") == 0)
    kind = DP_VARY_UNIFORM;
  else
    return cli_usage(call, "option --vary: unknown distribution '%s' (normal, lognormal, uniform)", dist);
  for (int m = 0; m < s->nmember; m++)
    param[(size_t)m * (size_t)nparam + (size_t)p] = dp_vary(kind, a, b, s->seed, (uint64_t)m, id);
  return 0;
}

/* ---- answers ---- */

/* The shortest text that reads back to the same number. */
static void print_number(double x, bool json) {
  char text[40];
  if (!isfinite(x)) {
    printf("%s", json ? "null" : "");
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

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* One row: the single member's values, or 5, 50, 95 % of each column over members. */
static void row_values(const simulation *s, const dp_result *r, int t, double *work, double *out) {
  for (int c = 0; c < s->ncolumn; c++) {
    int n = 0;
    for (int m = 0; m < s->nmember; m++) {
      double v = r->value[(r->value_at[m] + (size_t)t) * (size_t)r->noutput + (size_t)c];
      if (isfinite(v)) work[n++] = v;
    }
    if (s->nmember == 1) {
      out[c] = n ? work[0] : NAN;
      continue;
    }
    qsort(work, (size_t)n, sizeof *work, by_value);
    static const double q[3] = {.05, .5, .95};
    for (int k = 0; k < 3; k++) out[3 * c + k] = n ? work[(int)(q[k] * (n - 1) + 0.5)] : NAN;
  }
}

static void print_header(const simulation *s, bool json) {
  static const char *suffix[3] = {"_q05", "_q50", "_q95"};
  int per = s->nmember == 1 ? 1 : 3;
  printf(json ? "{\"columns\":[\"time\"" : "time");
  for (int c = 0; c < s->ncolumn; c++)
    for (int k = 0; k < per; k++)
      print_name(s->column[c].id, per == 1 ? "" : suffix[k], json);
  printf(json ? "],\n\"rows\":[" : "\n");
}

static int print_result(cli_call *call, const simulation *s, const dp_result *r) {
  bool json = cli_has(call, "--json") || (cli_get(call, "-o") && strcmp(cli_get(call, "-o"), "json") == 0);
  int n = s->ncolumn * (s->nmember == 1 ? 1 : 3);
  double *work = calloc((size_t)s->nmember + (size_t)n, sizeof *work);
  if (!work) return dp_status_exit_code(DP_ERR_MEMORY);
  print_header(s, json);
  for (int t = 0; t < s->nwhen; t++) {
    double *out = work + s->nmember;
    row_values(s, r, t, work, out);
    if (json) printf("%s\n[", t ? "," : "");
    print_number((double)s->when[t].time / (double)DP_TICKS, json);
    for (int c = 0; c < n; c++) {
      printf(",");
      print_number(out[c], json);
    }
    printf(json ? "]" : "\n");
  }
  if (json) printf("],\n\"members\":%d,\"failed\":%d,\"hash\":\"%s\"}\n", s->nmember, r->nfailed,
                   dp_sim_describe(s->sim)->hash);
  free(work);
  for (int m = 0; m < s->nmember; m++)
    if (r->status[m] != DP_MEMBER_OK) {
      fprintf(stderr, "doppel: member %d failed at time %g: %s (%d of %d failed)\n", m, r->fail_time[m], r->reason[m],
              r->nfailed, s->nmember);
      return dp_status_exit_code(DP_ERR_NUMERIC);
    }
  return 0;
}

/* ---- putting it together ---- */

static int make_sim(cli_call *call, simulation *s) {
  dp_sim_def def = dp_sim_def_default();
  def.model = s->model;
  def.output = s->column;
  def.noutput = s->ncolumn;
  def.control = s->control;
  def.ncontrol = s->ncontrol;
  if (cli_has(call, "--method")) def.method = cli_get(call, "--method");
  if (!cli_number(call, "--rtol", &def.rtol) || !cli_number(call, "--atol", &def.atol)) return 2;
  if (!(def.rtol > 0) || !(def.atol > 0)) return cli_usage(call, "tolerances must be positive");
  dp_sim_destroy(s->sim);
  s->sim = NULL;
  CLI_TRY(call, dp_sim_create(call->ctx, &def, &s->sim));
  return 0;
}

/* Columns: what was asked for, else every state (a first sim without outputs tells their names). */
static int choose_columns(cli_call *call, simulation *s) {
  for (int i = cli_each(call, "--output", -1); i >= 0; i = cli_each(call, "--output", i)) {
    if (s->ncolumn == MAX_COLUMN) return cli_usage(call, "more than %d outputs", MAX_COLUMN);
    s->column[s->ncolumn++] = (dp_output_def){.id = call->given[i].value, .formula = call->given[i].value, .unit = ""};
  }
  if (s->ncolumn) return 0;
  int code = make_sim(call, s);
  if (code) return code;
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  static char ids[MAX_COLUMN][128];
  for (int i = 0; i < d->nstate && i < MAX_COLUMN; i++) {
    snprintf(ids[i], sizeof ids[i], "%s", d->state_id[i]);
    s->column[s->ncolumn++] = (dp_output_def){.id = ids[i], .unit = ""};
  }
  return 0;
}

static int simulate(cli_call *call, simulation *s) {
  int nparam = dp_sim_describe(s->sim)->nparam, code = 0;
  double *param = calloc((size_t)nparam * (size_t)s->nmember + 1, sizeof *param);
  dp_member *member = calloc((size_t)s->nmember, sizeof *member);
  if (!param || !member) {
    free(param);
    free(member);
    return dp_status_exit_code(DP_ERR_MEMORY);
  }
  memcpy(param, dp_sim_describe(s->sim)->param_default, sizeof *param * (size_t)nparam);
  for (int i = cli_each(call, "--set", -1); i >= 0 && !code; i = cli_each(call, "--set", i))
    code = set_param(call, s, call->given[i].value, param);
  for (int m = 1; m < s->nmember; m++)
    memcpy(param + (size_t)m * (size_t)nparam, param, sizeof *param * (size_t)nparam);
  for (int i = cli_each(call, "--vary", -1); i >= 0 && !code; i = cli_each(call, "--vary", i))
    code = vary(call, s, call->given[i].value, param, nparam);
  for (int m = 0; m < s->nmember; m++)
    member[m] = (dp_member){.param = param + (size_t)m * (size_t)nparam, .instant = s->instant, .ninstant = s->ndose,
                            .out = s->when, .nout = s->nwhen, .start = ticks(s->start), .stream = (uint64_t)m};
  dp_run_opts opts = dp_run_opts_default();
  opts.seed = s->seed;
  dp_result *result = NULL;
  if (!code) {
    dp_status status = dp_simulate(s->sim, member, s->nmember, &opts, &result);
    code = status == DP_OK ? print_result(call, s, result) : cli_failed(call, status);
  }
  dp_result_destroy(result);
  free(param);
  free(member);
  return code;
}

int cmd_simulate(cli_call *call) {
  static simulation s;
  long long n = 1, seed = 1;
  if (call->nplain != 1) return cli_usage(call, "simulate needs one MODEL, found %d", call->nplain);
  if (!cli_integer(call, "--members", &n) || !cli_integer(call, "--seed", &seed)) return 2;
  const char *form = cli_get(call, "-o");
  if (form && strcmp(form, "csv") != 0 && strcmp(form, "json") != 0)
    return cli_usage(call, "option -o: found '%s', expected csv or json", form);
  if (cli_has(call, "--vary") && !cli_has(call, "--members")) return cli_usage(call, "option --vary needs --members");
  if (n < 1 || n > 10000000) return cli_usage(call, "option --members: found %lld, expected 1 to 10000000", n);
  s.nmember = (int)n;
  s.seed = (unsigned long long)seed;
  int code = read_times(call, &s);
  for (int i = cli_each(call, "--dose", -1); i >= 0 && !code; i = cli_each(call, "--dose", i))
    code = read_dose(call, &s, call->given[i].value);
  if (!code) {
    dp_status status = dp_model_read(call->ctx, call->plain[0], &s.model);
    if (status == DP_OK) status = dp_model_seal(s.model);
    if (status != DP_OK) code = cli_failed(call, status);
  }
  if (!code) code = choose_columns(call, &s);
  if (!code) code = make_sim(call, &s);
  if (!code) code = simulate(call, &s);
  dp_sim_destroy(s.sim);
  dp_model_destroy(s.model);
  free(s.when);
  return code;
}
