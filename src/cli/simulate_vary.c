/* simulate_vary.c - floor 9: the members of doppel simulate: parameters that vary, made from the member's number when
 * needed.
 *
 *     --vary ID=normal(m,s)  lognormal(median,s)  uniform(a,b)  loguniform(a,b)  factor(f)
 *     --vary all=factor(f)   each parameter that the model gives a value other than 0
 *
 * A draw depends on seed, member and the parameter's id alone: not on other options, and `all` draws what each id by
 * itself would.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

#define FORMS "ID=normal(m,s), lognormal(median,s), uniform(a,b), loguniform(a,b) or factor(f)"

typedef struct form {
  const char *name;
  dp_variation kind;
  int narg;
} form;
static const form forms[] = {{"normal", DP_VARY_NORMAL, 2},
                             {"lognormal", DP_VARY_LOGNORMAL, 2},
                             {"uniform", DP_VARY_UNIFORM, 2},
                             {"loguniform", DP_VARY_LOGUNIFORM, 2},
                             {"factor", DP_VARY_FACTOR, 1}};
enum { NFORM = (int)(sizeof forms / sizeof *forms) };

static int no_such_form(cli_call *call, const char *option, const char *name) {
  const char *names[NFORM];
  for (int k = 0; k < NFORM; k++) names[k] = forms[k].name;
  const char *near = cli_nearest(name, names, NFORM);
  return cli_usage(call,
                   "option %s: unknown distribution '%s'%s%s%s (normal, lognormal, uniform, "
                   "loguniform, factor)",
                   option, name, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
}

/* "name(a,b)" behind the equals sign. */
static int read_form(cli_call *call, const char *option, const char *text, const char *from, const form **out,
                     double arg[2]) {
  char name[32];
  size_t n = strspn(from, "abcdefghijklmnopqrstuvwxyz");
  if (n == 0 || n >= sizeof name || from[n] != '(')
    return cli_usage(call, "option %s: found '%s', expected %s", option, text, FORMS);
  snprintf(name, sizeof name, "%.*s", (int)n, from);
  *out = NULL;
  for (int k = 0; k < NFORM; k++)
    if (strcmp(forms[k].name, name) == 0) *out = &forms[k];
  if (!*out) return no_such_form(call, option, name);
  const char *p = from + n + 1;
  for (int k = 0; k < (*out)->narg; k++) {
    char *end;
    arg[k] = strtod(p, &end);
    if (end == p || !isfinite(arg[k]) || *end != (k + 1 < (*out)->narg ? ',' : ')'))
      return cli_usage(call, "option %s: found '%s', expected %s", option, text, FORMS);
    p = end + 1;
  }
  if (*p) return cli_usage(call, "option %s: found '%s', expected %s", option, text, FORMS);
  if ((*out)->kind == DP_VARY_LOGUNIFORM && !(arg[0] > 0 && arg[1] > 0))
    return cli_usage(call, "option %s: '%s': loguniform needs two positive numbers", option, text);
  if ((*out)->kind == DP_VARY_LOGNORMAL && !(arg[0] > 0))
    return cli_usage(call, "option %s: '%s': a median is positive", option, text);
  if (((*out)->kind == DP_VARY_UNIFORM || (*out)->kind == DP_VARY_LOGUNIFORM) && !(arg[0] <= arg[1]))
    return cli_usage(call, "option %s: '%s': the lower end %g is above the upper end %g", option, text, arg[0], arg[1]);
  if (((*out)->kind == DP_VARY_LOGNORMAL || (*out)->kind == DP_VARY_NORMAL) && !(arg[1] >= 0))
    return cli_usage(call, "option %s: '%s': a spread is not negative", option, text);
  if ((*out)->kind == DP_VARY_FACTOR && !(arg[0] >= 1))
    return cli_usage(call, "option %s: '%s': a factor is at least 1", option, text);
  return 0;
}

/* What the model calls a compartment, species or stoichiometry is not among `all`. */
static bool among_all(const simulation *s, const char *id) {
  int e = s->model ? dp_model_find_element(s->model, id) : -1;
  return !strchr(id, '(') && (e < 0 || dp_model_element(s->model, e).kind == DP_ELEMENT_PARAMETER);
}

static void add(simulation *s, int param, const form *f, const double arg[2]) {
  variation *v = &s->varied[s->nvaried++];
  *v = (variation){.param = param, .kind = f->kind, .a = arg[0], .b = arg[1]};
  snprintf(v->id, sizeof v->id, "%s", dp_sim_describe(s->sim)->param_id[param]);
  if (f->kind != DP_VARY_FACTOR) return;
  v->a = s->param[param];
  v->b = arg[0];
}

static int add_all(cli_call *call, simulation *s, const char *text, const form *f,
                   const double arg[2]) {
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  int before = s->nvaried;
  if (f->kind != DP_VARY_FACTOR)
    return cli_usage(call, "option --vary: '%s': all parameters vary by factor(f) only", text);
  for (int p = 0; p < d->nparam; p++)
    if (isfinite(s->param[p]) && s->param[p] != 0 && among_all(s, d->param_id[p]))
      add(s, p, f, arg);
  return s->nvaried > before
             ? 0
             : cli_usage(
                   call,
                   "option --vary: '%s': the model has no parameter with a value other than 0",
                   text);
}

static int read_one(cli_call *call, simulation *s, const char *text) {
  const dp_sim_desc *d = dp_sim_describe(s->sim);
  const char *equals = strchr(text, '=');
  const form *f = NULL;
  char id[128];
  double arg[2] = {0, 0};
  if (!equals || equals == text || equals - text >= (int)sizeof id)
    return cli_usage(call, "option --vary: found '%s', expected %s", text, FORMS);
  int code = read_form(call, "--vary", text, equals + 1, &f, arg);
  if (code) return code;
  snprintf(id, sizeof id, "%.*s", (int)(equals - text), text);
  int p = dp_sim_param(s->sim, id);
  if (p < 0 && strcmp(id, "all") == 0) return add_all(call, s, text, f, arg);
  if (p < 0) {
    const char *near = cli_nearest(id, d->param_id, d->nparam);
    fprintf(stderr, "doppel: --vary: no parameter '%s'%s%s%s\n", id, near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    return dp_status_exit_code(DP_ERR_INPUT);
  }
  if (f->kind == DP_VARY_FACTOR && !(isfinite(s->param[p]) && s->param[p] != 0))
    return cli_usage(call, "option --vary: '%s': %s has no value other than 0 to vary around", text,
                     id);
  add(s, p, f, arg);
  return 0;
}

int simulate_read_law(cli_call *call, const char *option, const char *text, variation *out) {
  const char *equals = strchr(text, '=');
  const form *f = NULL;
  double arg[2] = {0, 0};
  if (!equals || equals == text || equals - text >= (int)sizeof out->id)
    return cli_usage(call, "option %s: found '%s', expected %s", option, text, FORMS);
  const int code = read_form(call, option, text, equals + 1, &f, arg);
  if (code) return code;
  if (f->kind == DP_VARY_FACTOR)
    return cli_usage(call, "option %s: '%s': factor(f) has nothing to vary around here", option, text);
  *out = (variation){.kind = f->kind, .a = arg[0], .b = arg[1]};
  snprintf(out->id, sizeof out->id, "%.*s", (int)(equals - text), text);
  return 0;
}

int simulate_read_vary(cli_call *call, simulation *s) {
  int nparam = dp_sim_describe(s->sim)->nparam, code = 0, most = 1;
  for (int i = cli_each(call, "--vary", -1); i >= 0; i = cli_each(call, "--vary", i))
    most += strncmp(call->given[i].value, "all=", 4) == 0 ? nparam + 1 : 1;
  s->varied = calloc((size_t)most, sizeof *s->varied);
  if (!s->varied) return dp_status_exit_code(DP_ERR_MEMORY);
  for (int i = cli_each(call, "--vary", -1); i >= 0 && !code; i = cli_each(call, "--vary", i))
    code = read_one(call, s, call->given[i].value);
  return code;
}

/* dp_source.fill */
dp_status simulate_fill(void *user, int first, int n, dp_member *member, double *param) {
  const simulation *s = user;
  size_t nparam = (size_t)dp_sim_describe(s->sim)->nparam;
  for (int i = 0; i < n; i++) {
    double *own = param + (size_t)i * nparam;
    if (nparam) memcpy(own, s->param, nparam * sizeof *own);
    for (int k = 0; k < s->nvaried; k++) {
      const variation *v = &s->varied[k];
      own[v->param] = dp_vary(v->kind, v->a, v->b, s->seed, (uint64_t)(first + i), v->id);
    }
    member[i] = (dp_member){.param = own,
                            .instant = s->instant,
                            .ninstant = s->ndose,
                            .out = s->when,
                            .nout = s->nwhen,
                            .start = s->first_time,
                            .stream = (uint64_t)(first + i)};
  }
  return DP_OK;
}

/* The first member's parameters, for the runs that look at it alone. */
int simulate_first_member(simulation *s) {
  size_t nparam = (size_t)dp_sim_describe(s->sim)->nparam;
  free(s->own);
  s->own = calloc(nparam + 1, sizeof *s->own);
  if (!s->own) return dp_status_exit_code(DP_ERR_MEMORY);
  simulate_fill(s, 0, 1, &s->member, s->own);
  return 0;
}

dp_input_def simulate_input(const variation *v) {
  dp_input_def in = {.id = v->id, .a = v->a, .b = v->b};
  switch (v->kind) {
    case DP_VARY_NORMAL:
      in.kind = DP_INPUT_NORMAL;
      break;
    case DP_VARY_LOGNORMAL:
      in.kind = DP_INPUT_LOGNORMAL;
      break;
    case DP_VARY_UNIFORM:
      in.kind = DP_INPUT_UNIFORM;
      break;
    case DP_VARY_LOGUNIFORM:
      in.kind = DP_INPUT_LOGUNIFORM;
      break;
    case DP_VARY_FACTOR:
      in.kind = DP_INPUT_LOGUNIFORM;
      in.a = v->a / v->b;
      in.b = v->a * v->b;
      break;
  }
  return in;
}
