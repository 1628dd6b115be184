/* quantity.c - floor 9: quantities of interest of a calibration problem, as they are typed:
 *
 *     OBSERVABLE@TIME              the only experiment (condition) of the problem
 *     OBSERVABLE@EXPERIMENT:T,T    one quantity for each time; inf: at steady state
 *     FORMULA@EXPERIMENT:TIME      of the model's quantities and of observables
 */
#include "cli/quantity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *copy_of(const char *from, size_t n) {
  char *to = malloc(n + 1);
  if (!to) return NULL;
  memcpy(to, from, n);
  to[n] = 0;
  return to;
}

static int add(cli_call *call, cli_quantities *q, const char *formula, const char *experiment, double time,
               const char *when) {
  dp_problem_quantity *more = realloc(q->list, (size_t)(q->n + 1) * sizeof *more);
  if (!more) return cli_failed(call, DP_ERR_MEMORY);
  q->list = more;
  const size_t room = strlen(formula) + (experiment ? strlen(experiment) : 0) + strlen(when) + 4;
  char *name = malloc(room);
  more[q->n] = (dp_problem_quantity){.name = name, .formula = copy_of(formula, strlen(formula)), .time = time};
  if (experiment) more[q->n].experiment = copy_of(experiment, strlen(experiment));
  dp_problem_quantity *made = &more[q->n++];
  if (!name || !made->formula || (experiment && !made->experiment)) return cli_failed(call, DP_ERR_MEMORY);
  snprintf(name, room, "%s@%s%s%s", formula, experiment ? experiment : "", experiment ? ":" : "", when);
  return 0;
}

static int bad(const cli_call *call, const char *option, const char *text) {
  return cli_usage(call, "option %s: found '%s', expected OBSERVABLE@TIME or OBSERVABLE@EXPERIMENT:TIME,TIME,...",
                   option, text);
}

/* T,T,... of one formula in one experiment. */
static int times(cli_call *call, const char *option, const char *text, cli_quantities *q, const char *formula,
                 const char *experiment, const char *list) {
  while (true) {
    char *end, when[64];
    const double t = strtod(list, &end);
    const size_t n = (size_t)(end - list);
    if (n == 0 || n >= sizeof when || isnan(t) || (*end && *end != ',')) return bad(call, option, text);
    memcpy(when, list, n);
    when[n] = 0;
    const int code = add(call, q, formula, experiment, t, when);
    if (code || !*end) return code;
    list = end + 1;
  }
}

static int read_one(cli_call *call, const char *option, const char *text, cli_quantities *q) {
  const char *at = strrchr(text, '@'), *colon = at ? strrchr(at, ':') : NULL;
  if (!at || at == text) return bad(call, option, text);
  char *formula = copy_of(text, (size_t)(at - text));
  char *experiment = colon ? copy_of(at + 1, (size_t)(colon - at - 1)) : NULL;
  int code = !formula || (colon && !experiment) ? cli_failed(call, DP_ERR_MEMORY) : 0;
  if (code == 0) code = times(call, option, text, q, formula, experiment, (colon ? colon : at) + 1);
  free(formula);
  free(experiment);
  return code;
}

int cli_read_quantities(cli_call *call, const char *option, cli_quantities *q) {
  for (int i = cli_each(call, option, -1); i >= 0; i = cli_each(call, option, i)) {
    const int code = read_one(call, option, call->given[i].value, q);
    if (code) return code;
  }
  return 0;
}

void cli_drop_quantities(cli_quantities *q) {
  for (int i = 0; i < q->n; i++) {
    free((void *)q->list[i].name);
    free((void *)q->list[i].formula);
    free((void *)q->list[i].experiment);
  }
  free(q->list);
  *q = (cli_quantities){0};
}
