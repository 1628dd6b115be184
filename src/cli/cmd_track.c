/* cmd_track.c - doppel track MODEL: the state of a model that changes at random, observation by observation.
 *
 *     read_sensors     --sensor: what is looked at, and how
 *     read_data        one series of an event table: readings of the sensors
 *     read_unknown     --vary, --begin, --noise
 *     go               forecast, read, say what is believed
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/observation_row.h"
#include "cli/simulate.h"

enum { MOST_SENSORS = 16, MOST_NAMED = 64, SHOWN = 4 };

const cli_option cli_options_track[] = {
    {"--data", "FILE", "event table (ID, TIME, DV; DVID the sensor where there are several; CENS) with one series"},
    {"--sensor", "SPEC",
     "what is measured, and how: 'FORMULA,scale=5', also law=normal (default), lognormal, laplace or student, dof=4, "
     "as=NAME in DVID; drift=, sd0=, rate=: a bias that wanders; may be repeated"},
    {"--filter", "NAME",
     "parameters known: bootstrap (default), auxiliary, enkf, esrf (Kalman ensembles: approximate); --vary: smc2 "
     "(default); where nothing is random ibis, or smoother (fast, approximate: predictions taken as linear)"},
    {"--members", "N", "particles or members (1000)"},
    {"--inner", "N", "smc2: particles of each inner filter at the start (100)"},
    {"--vary", "ID=DIST",
     "a parameter that is not known, and its law: normal(m,s), lognormal(median,s), uniform(a,b), loguniform(a,b), "
     "factor(f); may be repeated"},
    {"--begin", "STATE=DIST", "a state whose start is not known, and its law; may be repeated"},
    {"--noise", "STATE=SD", "noise that the model does not have itself, per root of time; may be repeated"},
    {"--noise-step", "T", "it enters every T (0: at readings only)"},
    {"--until", "T", "read observations up to this time; later ones are only forecast"},
    {"--method", "NAME",
     "how the model goes: direct (default: jumps), next-reaction, tau-leap, langevin; an integrator as of simulate: "
     "without chance"},
    {"--start", "T", "start time (0)"},
    {"--set", "ID=VALUE", "a parameter's value; may be repeated"},
    {"--dose", "STATE=AMOUNT@T", "dose into a state; also AMOUNT@T/DURATION, AMOUNT@T+II*N; may be repeated"},
    {"--seed", "N", "seed of all random numbers (1)"},
    {"--interpret", NULL, "no machine code; results do not depend on it"},
    {"--cache", "DIR", "where machine code is kept between runs"},
    {"--no-cache", NULL, "keep and read no machine code"},
    {"--rtol", "X", "relative tolerance (1e-8)"},
    {"--atol", "X", "absolute tolerance (chosen from the size of the states)"},
    {"--json", NULL, "one JSON object instead of text"},
    {"--threads", "N", "threads; results do not depend on it"},
    {"--output", "FORMULA", NULL}, /* for simulate_prepare: what sensors look at, and when */
    {"--at", "T,T,...", NULL},
    {0}};

typedef struct row {
  dp_observation o;
  dp_outlook outlook;
  bool read;
  double ess, evidence;
  dp_believed *believed; /* [nstate + nunknown] owned */
} row;

typedef struct task {
  cli_call *call;
  simulation s;
  dp_record *record;
  dp_tracking *t;
  dp_tracking_def def;
  dp_sensor sensor[MOST_SENSORS];
  char (*text)[256], (*name)[64]; /* [MOST_SENSORS] formulas and names in DVID */
  dp_observation *o;              /* [nobs] */
  double *time;                   /* [nobs] */
  char *at;                       /* the times as --at has them */
  int nobs;
  double until;
  dp_unknown begin[MOST_NAMED], unknown[MOST_NAMED];
  variation law[MOST_NAMED];
  dp_state_noise noise[MOST_NAMED];
  char (*noise_id)[64];
  row *row; /* [nobs] */
  int nstate;
} task;

/* ---- sensors ---- */

static int sensor_number(task *k, const char *part, const char *key, double *out) {
  char *end;
  *out = strtod(part + strlen(key), &end);
  if (end > part + strlen(key) && !*end && isfinite(*out)) return 0;
  return cli_usage(k->call, "option --sensor: found '%s', expected %sNUMBER", part, key);
}

static int sensor_part(task *k, dp_sensor *s, char *name, const char *part) {
  static const char *const law[] = {"", "normal", "lognormal", "laplace", "student"};
  static const char *const key[] = {"scale=", "dof=", "drift=", "sd0=", "rate="};
  double *const to[] = {&s->scale, &s->dof, &s->drift_diffusion, &s->drift_sd, &s->drift_rate};
  for (int i = 0; i < 5; i++)
    if (strncmp(part, key[i], strlen(key[i])) == 0) return sensor_number(k, part, key[i], to[i]);
  if (strncmp(part, "as=", 3) == 0 && part[3] && strlen(part) < 66) {
    strcpy(name, part + 3);
    return 0;
  }
  if (strncmp(part, "law=", 4) == 0)
    for (int i = 1; i < 5; i++)
      if (strcmp(part + 4, law[i]) == 0) {
        s->law = (dp_sensor_law)i;
        return 0;
      }
  return cli_usage(k->call,
                   "option --sensor: found '%s', expected law=, scale=, dof=, as=, drift=, sd0= or rate=", part);
}

/* Where the formula ends: at the first comma that one of the words stands behind. */
static char *end_of_formula(char *text) {
  static const char *const word[] = {"law=", "scale=", "dof=", "as=", "drift=", "sd0=", "rate="};
  for (char *c = strchr(text, ','); c; c = strchr(c + 1, ','))
    for (size_t i = 0; i < sizeof word / sizeof *word; i++)
      if (strncmp(c + 1, word[i], strlen(word[i])) == 0) return c;
  return text + strlen(text);
}

static int read_sensor(task *k, const char *spec) {
  char copy[512];
  const int n = k->def.nsensor;
  if (n == MOST_SENSORS) return cli_usage(k->call, "option --sensor: at most %d", MOST_SENSORS);
  if (strlen(spec) >= sizeof copy) return cli_usage(k->call, "option --sensor: '%.40s...' is too long", spec);
  strcpy(copy, spec);
  char *rest = end_of_formula(copy);
  if (rest == copy || rest - copy > 255)
    return cli_usage(k->call, "option --sensor: '%.80s': expected a formula first", spec);
  bool more = *rest != 0;
  *rest++ = 0;
  strcpy(k->text[n], copy);
  snprintf(k->name[n], sizeof k->name[n], "%.63s", copy);
  dp_sensor *s = &k->sensor[n];
  *s = (dp_sensor){.id = k->name[n], .observable = k->text[n], .law = DP_SENSOR_NORMAL, .scale = NAN, .dof = 4};
  while (more) {
    char *part = rest, *comma = strchr(rest, ',');
    more = comma != NULL;
    if (comma) *comma = 0, rest = comma + 1;
    const int code = sensor_part(k, s, k->name[n], part);
    if (code) return code;
  }
  if (isnan(s->scale)) return cli_usage(k->call, "option --sensor: '%s' has no scale=, the size of its noise", spec);
  for (int i = 0; i < n; i++)
    if (strcmp(k->name[i], k->name[n]) == 0)
      return cli_usage(k->call, "option --sensor: two sensors are called '%s': give as=NAME", k->name[n]);
  k->def.nsensor++;
  bool twice = false;
  for (int i = 0; i < n; i++) twice = twice || strcmp(k->text[i], k->text[n]) == 0;
  if (!twice) cli_give(k->call, "--output", k->text[n]);
  return 0;
}

static int read_sensors(task *k) {
  cli_call *call = k->call;
  if (cli_has(call, "--output")) return cli_usage(call, "option --output: what is looked at is said by --sensor");
  if (!cli_has(call, "--sensor")) return cli_usage(call, "what is measured? give --sensor 'FORMULA,scale=X'");
  const int n = call->ngiven;
  int code = 0;
  for (int i = 0; i < n && code == 0; i++)
    if (strcmp(call->given[i].option->name, "--sensor") == 0) code = read_sensor(k, call->given[i].value);
  k->def.sensor = k->sensor;
  return code;
}

/* ---- data ---- */

static int bad_row(task *k, const dp_event *e, const char *what) {
  fprintf(stderr, "doppel: %s:%d: %s\n", k->record->source, e->line, what);
  return dp_status_exit_code(DP_ERR_INPUT);
}

/* Sensor of a row, or -1. */
static int sensor_of(const task *k, const char *dvid) {
  if (!dvid[0] && k->def.nsensor == 1) return 0;
  for (int i = 0; i < k->def.nsensor; i++)
    if (strcmp(k->name[i], dvid) == 0) return i;
  return -1;
}

static int take_row(task *k, const dp_event *e) {
  char text[200];
  const double time = (double)e->time / (double)DP_TICKS;
  const int sensor = sensor_of(k, e->dvid);
  if (e->evid != 0) return bad_row(k, e, "column EVID: a dose: doses are given by --dose");
  snprintf(text, sizeof text, "column DVID: found '%.60s', expected the name of a sensor (--sensor '...,as=NAME')",
           e->dvid);
  if (sensor < 0) return bad_row(k, e, text);
  snprintf(text, sizeof text, "column TIME: %.9g lies before the start at %.9g (--start)", time, k->def.start);
  if (time < k->def.start) return bad_row(k, e, text);
  if (e->censored < 0 && isnan(e->limit) && isnan(e->value)) return bad_row(k, e, "column CENS: no limit");
  const double value = e->censored && !isnan(e->limit) ? e->limit : e->value;
  k->o[k->nobs] = (dp_observation){
      .time = time, .sensor = sensor, .value = e->missing ? NAN : value, .censored = e->censored, .line = e->line};
  k->time[k->nobs++] = time;
  return 0;
}

static int by_time(const void *a, const void *b) {
  const dp_observation *x = a, *y = b;
  return x->time != y->time ? (x->time > y->time) - (x->time < y->time) : x->line - y->line;
}

static int read_data(task *k) {
  cli_call *call = k->call;
  const dp_record_def def = dp_record_def_default();
  if (!cli_has(call, "--data")) return cli_usage(call, "where are the observations? give --data FILE");
  if (cli_has(call, "--at")) return cli_usage(call, "option --at: times are the observations'");
  if (!cli_number(call, "--start", &k->def.start)) return 2;
  CLI_TRY(call, dp_record_read(call->ctx, cli_get(call, "--data"), &def, &k->record));
  if (k->record->nsubject != 1)
    return cli_usage(call, "%s: %d series (ID), expected one", k->record->source, k->record->nsubject);
  const dp_subject *p = &k->record->subject[0];
  const size_t n = (size_t)p->nevent;
  k->o = calloc(n + 1, sizeof *k->o);
  k->time = calloc(n + 1, sizeof *k->time);
  k->row = calloc(n + 1, sizeof *k->row);
  k->at = malloc(26 * n + 1);
  if (!k->o || !k->time || !k->row || !k->at) return cli_failed(call, DP_ERR_MEMORY);
  for (size_t i = 0; i < n; i++) {
    const int code = take_row(k, &p->event[i]);
    if (code) return code;
  }
  if (k->nobs == 0) return cli_usage(call, "%s: no observation", k->record->source);
  qsort(k->o, (size_t)k->nobs, sizeof *k->o, by_time);
  size_t at = 0;
  for (int i = 0; i < k->nobs; i++)
    if (i == 0 || k->o[i].time > k->o[i - 1].time)
      at += (size_t)sprintf(k->at + at, "%s%.17g", i ? "," : "", k->o[i].time);
  cli_give(call, "--at", k->at);
  k->def.time = k->time;
  k->def.ntime = k->nobs;
  return 0;
}

/* ---- what is not known ---- */

static int too_many(task *k, const char *option) {
  return cli_usage(k->call, "option %s: at most %d", option, MOST_NAMED);
}

static int read_begin(task *k) {
  cli_call *call = k->call;
  for (int i = cli_each(call, "--begin", -1); i >= 0; i = cli_each(call, "--begin", i)) {
    variation *v = &k->law[k->def.nbegin];
    if (k->def.nbegin == MOST_NAMED) return too_many(k, "--begin");
    const int code = simulate_read_law(call, "--begin", call->given[i].value, v);
    if (code) return code;
    k->begin[k->def.nbegin++] = (dp_unknown){v->id, v->kind, v->a, v->b};
  }
  k->def.begin = k->begin;
  return 0;
}

static int read_noise(task *k) {
  cli_call *call = k->call;
  for (int i = cli_each(call, "--noise", -1); i >= 0; i = cli_each(call, "--noise", i)) {
    const char *text = call->given[i].value, *equals = strchr(text, '=');
    char *end = NULL;
    if (k->def.nnoise == MOST_NAMED) return too_many(k, "--noise");
    const double sd = equals ? strtod(equals + 1, &end) : NAN;
    if (!equals || equals - text > 63 || end == equals + 1 || *end)
      return cli_usage(call, "option --noise: found '%s', expected STATE=SD", text);
    snprintf(k->noise_id[k->def.nnoise], sizeof *k->noise_id, "%.*s", (int)(equals - text), text);
    k->noise[k->def.nnoise] = (dp_state_noise){k->noise_id[k->def.nnoise], sd};
    k->def.nnoise++;
  }
  k->def.noise = k->noise;
  return cli_number(call, "--noise-step", &k->def.noise_step) ? 0 : 2;
}

static int read_unknown(task *k) {
  const int code = read_begin(k);
  if (code) return code;
  if (k->s.nvaried > MOST_NAMED) return too_many(k, "--vary");
  for (int i = 0; i < k->s.nvaried; i++) {
    const variation *v = &k->s.varied[i];
    k->unknown[i] = (dp_unknown){v->id, v->kind, v->a, v->b};
  }
  k->def.unknown = k->unknown;
  k->def.nunknown = k->s.nvaried;
  return read_noise(k);
}

static int read_options(task *k) {
  cli_call *call = k->call;
  long long seed = 1;
  k->def = dp_tracking_def_default();
  k->until = INFINITY;
  k->text = calloc(MOST_SENSORS, sizeof *k->text);
  k->name = calloc(MOST_SENSORS, sizeof *k->name);
  k->noise_id = calloc(MOST_NAMED, sizeof *k->noise_id);
  if (!k->text || !k->name || !k->noise_id) return cli_failed(call, DP_ERR_MEMORY);
  if (!cli_number(call, "--until", &k->until) || !cli_integer(call, "--seed", &seed) ||
      !cli_count(call, "--members", 10, &k->def.nmember) || !cli_count(call, "--inner", 2, &k->def.ninner))
    return 2;
  k->def.seed = (uint64_t)seed;
  k->def.method = cli_get(call, "--filter");
  if (!cli_has(call, "--method")) cli_give(call, "--method", "direct");
  if (!cli_has(call, "--members")) cli_give(call, "--members", "1000");
  if (cli_has(call, "--inner") && (!cli_has(call, "--vary") || (k->def.method && strcmp(k->def.method, "smc2") != 0)))
    return cli_usage(call, "option --inner belongs to --filter smc2");
  const int code = read_sensors(k);
  return code ? code : read_data(k);
}

/* ---- going through the observations ---- */

static int believe(task *k, row *r) {
  dp_assimilation_report report;
  const size_t n = (size_t)(k->nstate + k->def.nunknown);
  r->believed = calloc(n + 1, sizeof *r->believed);
  if (!r->believed) return cli_failed(k->call, DP_ERR_MEMORY);
  CLI_TRY(k->call, dp_tracking_states(k->t, r->believed));
  CLI_TRY(k->call, dp_tracking_unknowns(k->t, r->believed + k->nstate));
  dp_tracking_judge(k->t, &report);
  r->ess = report.ess;
  r->evidence = report.evidence;
  return 0;
}

static int go(task *k) {
  cli_call *call = k->call;
  for (int i = 0; i < k->nobs;) {
    int n = 0;
    for (; i + n < k->nobs && k->o[i + n].time == k->o[i].time; n++) {
      k->row[i + n].o = k->o[i + n];
      CLI_TRY(call, dp_tracking_forecast(k->t, &k->o[i + n], &k->row[i + n].outlook));
      k->row[i + n].read = k->o[i].time <= k->until;
    }
    if (k->row[i].read) CLI_TRY(call, dp_tracking_read(k->t, &k->o[i], n));
    for (int m = 0; m < n; m++) {
      const int code = believe(k, &k->row[i + m]);
      if (code) return code;
    }
    i += n;
  }
  return 0;
}

/* ---- what is printed ---- */

static const char *believed_id(const task *k, int e) {
  return e < k->nstate ? dp_sim_describe(k->s.sim)->state_id[e] : k->unknown[e - k->nstate].id;
}

/* The unknown parameters first: where there are many states, they are what is asked for. */
static int shown(const task *k, int which) {
  const int nu = k->def.nunknown;
  return which < nu ? k->nstate + which : which - nu;
}

static void print_row(const task *k, const row *r, int nshown) {
  printf("%10.5g %-10.10s ", r->o.time, k->name[r->o.sensor]);
  cli_outlook_text(&r->o, &r->outlook, "no forecast", r->ess);
  for (int e = 0; e < nshown; e++) {
    const dp_believed *b = &r->believed[shown(k, e)];
    printf("  %10.4g %9.4g..%-8.4g", b->mean, b->q05, b->q95);
  }
  printf("%s\n", r->read ? "" : "  (not read)");
}

static void print_text(const task *k, const dp_assimilation_report *r) {
  const int all = k->nstate + k->def.nunknown, most = SHOWN + k->def.nunknown, nshown = all < most ? all : most;
  int inside = 0, scored = 0;
  printf("%s: %d observations by %s, %d particles\n\n", dp_model_name(k->s.model), r->nread, r->method, r->nparticle);
  printf("%10s %-10s %s", "time", "sensor", CLI_OUTLOOK_HEAD);
  for (int e = 0; e < nshown; e++) printf("  %10.10s %-19.19s", believed_id(k, shown(k, e)), "5 .. 95 %");
  printf("\n");
  for (int i = 0; i < k->nobs; i++) {
    print_row(k, &k->row[i], nshown);
    scored += k->row[i].outlook.inside90 >= 0;
    inside += k->row[i].outlook.inside90 > 0;
  }
  if (nshown < all) printf("and %d more states: --json has all of them\n", all - nshown);
  if (scored) printf("\n%d of %d within their 90 %% forecast band (* outside)\n", inside, scored);
  if (isfinite(r->evidence)) printf("ln evidence %.6g, ", r->evidence);
  printf("least effective %.4g of %d, resampled %d times", r->ess_least, r->nparticle, r->nrejuvenate);
  if (r->ninner) printf(", %d inner particles", r->ninner);
  printf("\n%s: %s\n", r->usable ? "may be used" : "NOT fit for use", r->verdict);
}

static void json_believed(const task *k, const row *r, int from, int n) {
  for (int e = from; e < from + n; e++) {
    const dp_believed *b = &r->believed[e];
    cli_json_named(e > from ? ", " : "", believed_id(k, e));
    cli_json_number(": {\"mean\": ", b->mean);
    cli_json_number(", \"sd\": ", b->sd);
    cli_json_number(", \"q5\": ", b->q05);
    cli_json_number(", \"q50\": ", b->q50);
    cli_json_number(", \"q95\": ", b->q95);
    printf("}");
  }
}

static void json_row(const task *k, const row *r) {
  cli_json_number("{\"time\": ", r->o.time);
  cli_json_named(", \"sensor\": ", k->name[r->o.sensor]);
  cli_json_number(", \"value\": ", r->o.value);
  printf(", \"censored\": %d, \"line\": %d, \"read\": %s, ", r->o.censored, r->o.line, r->read ? "true" : "false");
  cli_outlook_json(&r->outlook);
  cli_json_number(", \"ess\": ", r->ess);
  cli_json_number(", \"ln_evidence\": ", r->evidence);
  printf(", \"states\": {");
  json_believed(k, r, 0, k->nstate);
  printf("}, \"parameters\": {");
  json_believed(k, r, k->nstate, k->def.nunknown);
  printf("}}");
}

static void print_json(const task *k, const dp_assimilation_report *r) {
  cli_json_named("{\"model\": ", dp_model_name(k->s.model));
  cli_json_named(", \"method\": ", r->method);
  printf(", \"particles\": %d, \"inner\": %d, \"read\": %d, \"missing\": %d", r->nparticle, r->ninner, r->nread,
         r->nmissing);
  cli_json_exact(", \"ln_evidence\": ", r->evidence);
  cli_json_number(", \"ess_least\": ", r->ess_least);
  printf(", \"usable\": %s", r->usable ? "true" : "false");
  cli_json_named(", \"verdict\": ", r->verdict);
  printf(", \"rows\": [");
  for (int i = 0; i < k->nobs; i++) {
    printf("%s\n  ", i ? "," : "");
    json_row(k, &k->row[i]);
  }
  printf("]}\n");
}

/* ---- all of it ---- */

static int track(task *k) {
  cli_call *call = k->call;
  dp_assimilation_report report;
  int code = read_options(k);
  if (code == 0) code = simulate_prepare(call, &k->s);
  if (code == 0 && k->s.surrogate) code = cli_usage(call, "a surrogate has no state to track");
  if (code == 0) code = read_unknown(k);
  if (code) return code;
  k->def.param = k->s.param;
  k->def.instant = k->s.instant;
  k->def.ninstant = k->s.ndose;
  k->nstate = dp_sim_describe(k->s.sim)->nstate;
  CLI_TRY(call, dp_tracking_create(call->ctx, k->s.sim, &k->def, &k->t));
  code = go(k);
  if (code) return code;
  dp_tracking_judge(k->t, &report);
  if (cli_has(call, "--json"))
    print_json(k, &report);
  else
    print_text(k, &report);
  return report.usable ? 0 : dp_status_exit_code(DP_ERR_CONVERGE);
}

int cmd_track(cli_call *call) {
  static task k; /* too large for a stack */
  k.call = call;
  if (call->nplain != 1) return cli_usage(call, "track needs one MODEL, found %d", call->nplain);
  const int code = track(&k);
  for (int i = 0; i < k.nobs; i++) free(k.row[i].believed);
  dp_tracking_destroy(k.t);
  simulate_release(&k.s);
  dp_record_destroy(k.record);
  free(k.text);
  free(k.name);
  free(k.noise_id);
  free(k.o);
  free(k.time);
  free(k.row);
  free(k.at);
  return code;
}
