/* cmd_simulate.c - doppel simulate MODEL: one curve, or many members with bands, with doses given by hand; the fluxes
 * of a model that has no rates but states a flux balance problem. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

const cli_option cli_options_simulate[] = {
    {"--start", "T", "start time (0)"},
    {"--end", "T", "end time (10)"},
    {"--steps", "N", "equal steps from start to end (50)"},
    {"--at", "T,T,...", "output times instead of --end and --steps"},
    {"--set", "ID=VALUE", "a parameter's value, also of one the model gives none; may be repeated"},
    {"--dose", "STATE=AMOUNT@T", "dose into a state; also AMOUNT@T/DURATION, AMOUNT@T+II*N; may be repeated"},
    {"--output", "FORMULA", "a quantity to print, also amount(S), concentration(S) (all species); may be repeated"},
    {"--members", "N", "members of an ensemble (1): bands over them; memory does not grow with N"},
    {"--vary", "ID=DIST",
     "normal(m,s), lognormal(median,s), uniform(a,b), loguniform(a,b), factor(f): log-uniform from value/f to value*f; "
     "all=factor(f): every parameter that is not 0; needs --members"},
    {"--bands", "WORD,...", "mean, sd, q05 and other percentiles (q05,q50,q95; jumps: mean and sd before them)"},
    {"--rank-error", "X",
     "of percentiles over more than 8192 members: the number given has a rank within X of the asked one, as a share of "
     "the members, guaranteed (5e-4; 0: exact, keeps all values). Up to 8192 members: exact"},
    {"--all", NULL, "every member's trajectory instead of bands"},
    {"--seed", "N", "seed of all random streams (1)"},
    {"--method", "NAME",
     "one member: auto; many: ensemble (SIMD lanes, where the equations allow, else auto); linear, rk853, cvode, tsit, "
     "rodas; jumps: direct, next-reaction, tau-leap, langevin"},
    {"--lanes", "N", "members side by side in ensemble: 1, 2, 4, 8 (the widest); results do not depend on it"},
    {"--interpret", NULL, "no machine code; results do not depend on it"},
    {"--cache", "DIR", "where machine code is kept between runs ($XDG_CACHE_HOME/doppel or ~/.cache/doppel)"},
    {"--no-cache", NULL, "keep and read no machine code"},
    {"--rtol", "X", "relative tolerance of the result (1e-8)"},
    {"--atol", "X", "absolute tolerance of the result (chosen from the size of the states)"},
    {"-o", "csv|json", "form of the answer (csv); what an incomplete model leaves unknown is empty (csv), null (json)"},
    {"--json", NULL, "same as -o json"},
    {"--threads", "N", "threads; results do not depend on it"},
    {0}};

#define LAST_TIME 9e9 /* what ticks can hold */
enum { MOST_MEMBERS = 2000000000 };

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
  if (!at && !cli_has(call, "--end")) end += s->start;
  if (fabs(s->start) > LAST_TIME)
    return cli_usage(call, "option --start: found %g, expected at most %g", s->start, LAST_TIME);
  if (!at && (steps < 1 || steps >= CLI_MAX_TIME || !(end > s->start) || end > LAST_TIME))
    return cli_usage(call, "need --end > --start and 1 to %d --steps", CLI_MAX_TIME - 1);
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
  if (s->ndose == CLI_MAX_DOSE) return cli_usage(call, "more than %d doses", CLI_MAX_DOSE);
  char *p;
  dp_instant d = dp_instant_default();
  d.type = DP_ADD;
  d.amount = strtod(equals + 1, &p);
  if (*p != '@' || p == equals + 1)
    return cli_usage(call, "option --dose: found '%s', expected AMOUNT@TIME after '='", text);
  double t, duration, interval;
  p++;
  if (!take_time(&p, &t)) return cli_usage(call, "option --dose: '%s': expected a time after '@'", text);
  d.time = ticks(t);
  if (*p == '/') {
    p++;
    if (!take_time(&p, &duration) || !(duration > 0))
      return cli_usage(call, "option --dose: '%s': a duration must be positive", text);
    d.type = DP_INFUSE;
    d.rate = d.amount / duration;
  }
  if (*p == '+') {
    p++;
    bool good = take_time(&p, &interval) && interval > 0 && *p == '*';
    long count = good ? strtol(p + 1, &p, 10) : 0;
    if (count < 1 || count > CLI_MAX_TIME || t + interval * (double)count > LAST_TIME)
      return cli_usage(call, "option --dose: '%s': expected +INTERVAL*COUNT", text);
    d.interval = ticks(interval);
    d.repeats = (int32_t)count - 1;
  }
  if (t < s->start) return cli_usage(call, "option --dose: '%s': the dose lies before the start", text);
  if (*p || !isfinite(d.amount))
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

/* ---- what to simulate, and what of it ---- */

/* Methods that simulate jumps are of another spoke. */
static void choose_method(cli_call *call, simulation *s) {
  static const char *const jumps[] = {"direct", "next-reaction", "tau-leap", "langevin"};
  s->spoke = "equations";
  s->method_given = cli_has(call, "--method");
  s->method = s->method_given ? cli_get(call, "--method") : "auto";
  for (size_t k = 0; k < sizeof jumps / sizeof *jumps; k++)
    if (strcmp(s->method, jumps[k]) == 0) s->spoke = "stochastic";
}

static int read_tolerances(cli_call *call, simulation *s) {
  s->rtol = dp_sim_def_default().rtol;
  s->atol = cli_has(call, "--atol") || s->spoke[0] == 's' ? dp_sim_def_default().atol : 0;
  if (!cli_number(call, "--rtol", &s->rtol) || !cli_number(call, "--atol", &s->atol)) return 2;
  if (!(s->rtol > 0) || (cli_has(call, "--atol") && !(s->atol > 0)))
    return cli_usage(call, "tolerances must be positive");
  return 0;
}

dp_sim_def simulation_def(const simulation *s) {
  dp_sim_def def = dp_sim_def_default();
  def.spoke = s->spoke;
  def.method = s->method;
  def.lanes = s->lanes;
  def.model = s->model;
  if (s->surrogate) def.config = dp_surrogate_text(s->surrogate, NULL);
  def.control = s->control;
  def.ncontrol = s->ncontrol;
  def.rtol = s->rtol;
  if (s->atol > 0) def.atol = s->atol;
  return def;
}

int simulate_make_sim(cli_call *call, simulation *s) {
  dp_sim_def def = simulation_def(s);
  def.output = s->column;
  def.noutput = s->ncolumn;
  dp_sim_destroy(s->sim);
  s->sim = NULL;
  CLI_TRY(call, dp_sim_create(call->ctx, &def, &s->sim));
  return 0;
}

static bool is_species(const dp_model *model, const char *id) {
  int i = dp_model_find_element(model, id);
  return i >= 0 && dp_model_element(model, i).kind == DP_ELEMENT_SPECIES;
}

/* Is a state or a text of --output a species: "S", "amount(S)", "concentration(S)"? */
static bool about_species(const dp_model *model, const char *text) {
  static const char *const form[] = {"amount(", "concentration("};
  if (is_species(model, text)) return true;
  for (int k = 0; k < 2; k++) {
    size_t m = strlen(form[k]), n = strlen(text);
    char id[256];
    if (strncmp(text, form[k], m) != 0 || text[n - 1] != ')' || n - m > sizeof id) continue;
    snprintf(id, sizeof id, "%.*s", (int)(n - m - 1), text + m);
    if (is_species(model, id)) return true;
  }
  return false;
}

static void add_column(simulation *s, const char *id, const char *formula) {
  s->column[s->ncolumn++] = (dp_output_def){.id = id, .formula = formula, .unit = ""};
}

/* A course that is not known has its column all the same. */
static bool lacks_course(dp_element e) { return e.kind != DP_ELEMENT_SPECIES && e.unknown && !e.constant; }

/* All species in the model's own sense, then the states that belong to none (a first sim without outputs has them). */
static int default_columns(cli_call *call, simulation *s) {
  int code = simulate_make_sim(call, s), nelement = dp_model_nelement(s->model);
  if (code) return code;
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  s->column = calloc((size_t)nelement + (size_t)d->nstate + 1, sizeof *s->column);
  s->words = calloc((size_t)d->nstate + 1, sizeof *s->words);
  if (!s->column || !s->words) return dp_status_exit_code(DP_ERR_MEMORY);
  for (int i = 0; i < nelement; i++) {
    dp_element e = dp_model_element(s->model, i);
    if (e.kind == DP_ELEMENT_SPECIES) add_column(s, e.id, NULL);
  }
  for (int j = 0; j < d->nstate; j++) { /* the sim's own names go with it */
    if (about_species(s->model, d->state_id[j])) continue;
    snprintf(s->words[j], sizeof s->words[j], "%s", d->state_id[j]);
    add_column(s, s->words[j], NULL);
  }
  for (int i = 0; i < nelement; i++) {
    dp_element e = dp_model_element(s->model, i);
    if (lacks_course(e)) add_column(s, e.id, NULL);
  }
  return 0;
}

static int choose_columns(cli_call *call, simulation *s) {
  if (!cli_has(call, "--output")) return default_columns(call, s);
  s->column = calloc((size_t)call->ngiven + 1, sizeof *s->column);
  if (!s->column) return dp_status_exit_code(DP_ERR_MEMORY);
  for (int i = cli_each(call, "--output", -1); i >= 0; i = cli_each(call, "--output", i)) {
    const char *text = call->given[i].value;
    add_column(s, text, about_species(s->model, text) ? NULL : text);
  }
  return 0;
}

/* ---- putting it together ---- */

int simulate_parameters(cli_call *call, simulation *s) {
  int nparam = dp_sim_describe(s->sim)->nparam, code = 0;
  s->param = calloc((size_t)nparam + 1, sizeof *s->param);
  if (!s->param) return dp_status_exit_code(DP_ERR_MEMORY);
  if (nparam) memcpy(s->param, dp_sim_describe(s->sim)->param_default, sizeof *s->param * (size_t)nparam);
  for (int i = cli_each(call, "--set", -1); i >= 0 && !code; i = cli_each(call, "--set", i))
    code = set_param(call, s, call->given[i].value, s->param);
  if (!code) code = simulate_read_vary(call, s);
  return code ? code : simulate_first_member(s);
}

static int read_lanes(cli_call *call, simulation *s) {
  long long n = 0;
  if (!cli_integer(call, "--lanes", &n)) return 2;
  if (cli_has(call, "--lanes") && n != 1 && n != 2 && n != 4 && n != 8)
    return cli_usage(call, "option --lanes: found %lld, expected 1, 2, 4 or 8", n);
  s->lanes = (int)n;
  return 0;
}

static int read_options(cli_call *call, simulation *s) {
  long long n = 1, seed = 1;
  if (!cli_integer(call, "--members", &n) || !cli_integer(call, "--seed", &seed)) return 2;
  const char *form = cli_get(call, "-o");
  if (form && strcmp(form, "csv") != 0 && strcmp(form, "json") != 0)
    return cli_usage(call, "option -o: found '%s', expected csv or json", form);
  if (cli_has(call, "--vary") && !cli_has(call, "--members")) return cli_usage(call, "option --vary needs --members");
  if (n < 1 || n > MOST_MEMBERS)
    return cli_usage(call, "option --members: found %lld, expected 1 to %d", n, MOST_MEMBERS);
  s->nmember = (int)n;
  s->seed = (unsigned long long)seed;
  s->all = cli_has(call, "--all");
  s->json = cli_has(call, "--json") || (form && strcmp(form, "json") == 0);
  s->ensemble = n > 1 || s->all;
  choose_method(call, s);
  int code = read_tolerances(call, s);
  if (!code) code = read_lanes(call, s);
  if (!code) code = simulate_read_bands(call, s);
  if (!code && cli_has(call, "--bands") && !cli_has(call, "--members"))
    code = cli_usage(call, "option --bands needs --members");
  if (!code) code = read_times(call, s);
  s->first_time = ticks(s->start);
  for (int i = cli_each(call, "--dose", -1); i >= 0 && !code; i = cli_each(call, "--dose", i))
    code = read_dose(call, s, call->given[i].value);
  return code;
}

/* Fluxes are meant when the model has nothing else, and nothing was said of time. */
static bool wants_flux(const cli_call *call, const dp_model *model) {
  static const char *const timed[] = {"--start", "--end", "--steps", "--at", "--dose", "--method", "--output"};
  for (size_t k = 0; k < sizeof timed / sizeof *timed; k++)
    if (cli_has(call, timed[k])) return false;
  return dp_flux_only(model);
}

static void tell_unknown(const dp_model *model) {
  enum { MOST_TOLD = 20 };
  int n = dp_model_nunknown(model);
  for (int i = 0; i < n && i < MOST_TOLD; i++) fprintf(stderr, "doppel: incomplete: %s\n", dp_model_unknown(model, i));
  if (n > MOST_TOLD) fprintf(stderr, "doppel: incomplete: and %d more; see doppel model show\n", n - MOST_TOLD);
}

/* What --set and --vary name has a value though the model gives none; what is left without is not known. */
static int seal_model(cli_call *call, simulation *s) {
  char (*id)[128] = calloc((size_t)call->ngiven + 1, sizeof *id);
  const char **given = calloc((size_t)call->ngiven + 1, sizeof *given);
  dp_status status = id && given ? DP_OK : DP_ERR_MEMORY;
  int n = 0;
  for (int k = 0; k < 2 && status == DP_OK; k++) {
    const char *option = k ? "--vary" : "--set";
    for (int i = cli_each(call, option, -1); i >= 0; i = cli_each(call, option, i)) {
      const char *text = call->given[i].value;
      if (k && strncmp(text, "all=", 4) == 0 && dp_model_find_element(s->model, "all") < 0) continue;
      snprintf(id[n], sizeof id[n], "%.*s", (int)strcspn(text, "="), text);
      given[n] = id[n];
      n++;
    }
  }
  if (status == DP_OK) status = dp_model_seal_partly(s->model, given, n);
  free(id);
  free(given);
  if (status != DP_OK) return cli_failed(call, status);
  tell_unknown(s->model);
  return 0;
}

static int run(cli_call *call, simulation *s) {
  dp_result *first = NULL;
  int code = s->atol > 0 ? 0 : simulate_scale(call, s, &first);
  if (!code && !s->ensemble) return simulate_curve(call, s, first);
  dp_result_destroy(first);
  if (!code && s->nmember > 1 && !s->method_given && s->spoke[0] == 'e') s->method = "ensemble";
  if (!code) code = simulate_make_sim(call, s); /* with the columns alone */
  return code ? code : simulate_many(call, s);
}

/* An empty model has no name that an option could mean: that is what is wrong, not the first such name. */
static int check_names_there(const cli_call *call, const simulation *s) {
  static const char *const named[] = {"--output", "--dose", "--set", "--vary"};
  bool any = false;
  for (size_t k = 0; k < sizeof named / sizeof *named; k++) any = any || cli_has(call, named[k]);
  if (!any || dp_model_nelement(s->model) > 0) return 0;
  fprintf(stderr, "doppel: %s: the model is empty: it defines no species, parameter or formula\n", call->plain[0]);
  return dp_status_exit_code(DP_ERR_INPUT);
}

/* What the options say of the model: sealed, with columns and parameters. */
static int open_model(cli_call *call, simulation *s) {
  int code = seal_model(call, s);
  if (!code) code = check_names_there(call, s);
  if (!code) code = choose_columns(call, s);
  if (!code) code = simulate_make_sim(call, s);
  if (!code) code = simulate_parameters(call, s);
  if (!code && !cli_has(call, "--end") && !cli_has(call, "--at"))
    fprintf(stderr, "doppel: no --end: from %g to %g; a model does not say how long it is meant to run\n", s->start,
            simulation_time(s->when[s->nwhen - 1].time));
  return code;
}

static int simulate(cli_call *call, simulation *s) {
  int given = simulate_surrogate(call, s);
  if (given) return given;
  if (s->surrogate) return s->ensemble ? simulate_many(call, s) : simulate_curve(call, s, NULL);
  CLI_TRY(call, dp_model_read(call->ctx, call->plain[0], &s->model));
  if (wants_flux(call, s->model)) return simulate_flux(call, s->model, s->json);
  int code = open_model(call, s);
  return code ? code : run(call, s);
}

int simulate_prepare(cli_call *call, simulation *s) {
  dp_result *first = NULL;
  int code = read_options(call, s);
  if (!code) code = simulate_surrogate(call, s);
  if (code || s->surrogate) return code;
  CLI_TRY(call, dp_model_read(call->ctx, call->plain[0], &s->model));
  code = open_model(call, s);
  if (!code && !(s->atol > 0)) code = simulate_scale(call, s, &first);
  dp_result_destroy(first);
  if (!code && !s->method_given && s->spoke[0] == 'e') s->method = "ensemble";
  return code ? code : simulate_make_sim(call, s);
}

void simulate_release(simulation *s) {
  dp_sim_destroy(s->sim);
  dp_model_destroy(s->model);
  dp_surrogate_destroy(s->surrogate);
  free(s->param);
  free(s->varied);
  free(s->own);
  free(s->column);
  free(s->words);
  free(s->when);
}

int cmd_simulate(cli_call *call) {
  static simulation s;
  if (call->nplain != 1) return cli_usage(call, "simulate needs one MODEL, found %d", call->nplain);
  int code = read_options(call, &s);
  if (!code) code = simulate(call, &s);
  simulate_release(&s);
  return code;
}
