/* logistic_plugin.c - a shared library made elsewhere, as it were: x' = r x (1 - x / K), with global variables and a classical
 * Runge-Kutta method of its own. x(t) = K / (1 + (K / x0 - 1) exp(-r t)). */
#include <math.h>
#include <stddef.h>

#include "plugin_abi.h"

static double r, cap, x_initial, x;

static double slope(double at) { return r * at * (1 - at / cap); }

static void set_param(const double *p) {
  r = p[0];
  cap = p[1];
  x_initial = p[2];
}
static void initial(void) { x = x_initial; }
static void set_state(const double *from) { x = from[0]; }
static void get_state(double *to) { to[0] = x; }

/* Equal steps of at most 0.01 from `from`: where a piece ends decides the steps, so pieces differ within the error. */
static int integrate(double from, double to) {
  double length = to - from;
  long n = (long)ceil(length / 0.01 - 1e-9);
  if (n < 1) n = 1;
  double h = length / (double)n;
  for (long k = 0; k < n; k++) {
    double k1 = slope(x), k2 = slope(x + h / 2 * k1), k3 = slope(x + h / 2 * k2),
           k4 = slope(x + h * k3);
    x += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    if (!isfinite(x)) return 1;
  }
  return 0;
}

const plugin_abi *plugin_describe(void);
const plugin_abi *plugin_describe(void) {
  static const char *const param_id[] = {"r", "cap", "x_0"};
  static const double param_default[] = {0.5, 10, 1};
  static const char *const state_id[] = {"x"};
  static const char *const state_unit[] = {"mg"};
  static const plugin_abi abi = {.version = PLUGIN_VERSION,
                                 .nparam = 3,
                                 .nstate = 1,
                                 .param_id = param_id,
                                 .param_default = param_default,
                                 .state_id = state_id,
                                 .state_unit = state_unit,
                                 .set_param = set_param,
                                 .initial = initial,
                                 .set_state = set_state,
                                 .get_state = get_state,
                                 .integrate = integrate};
  return &abi;
}
