/* observation_row.c - floor 9: one observation as it was forecast and read. */
#include "cli/observation_row.h"

#include <math.h>
#include <stdio.h>

#include "cli/cli.h"

void cli_outlook_text(const dp_observation *o, const dp_outlook *f, const char *none, double ess) {
  printf("%s%9.4g%s ", o->censored > 0 ? "<" : o->censored < 0 ? ">" : " ", o->value, f->inside90 == 0 ? "*" : " ");
  if (isnan(f->q[3])) printf("%10s %21s ", "-", none);
  else printf("%10.4g %10.4g..%-9.4g ", f->q[3], f->q[1], f->q[5]);
  if (isnan(f->pit)) printf("%7s ", "-");
  else printf("%7.3f ", f->pit);
  if (isnan(f->log_density)) printf("%9s", "-");
  else printf("%9.3f", f->log_density);
  printf(" %7.0f", ess);
}

void cli_outlook_json(const dp_outlook *f) {
  printf("\"forecast\": {");
  for (int l = 0; l < DP_OUTLOOK_NLEVEL; l++) {
    char key[32];
    snprintf(key, sizeof key, "%s\"q%g\": ", l ? ", " : "", 100 * dp_outlook_level[l]);
    cli_json_number(key, f->q[l]);
  }
  cli_json_number("}, \"pit\": ", f->pit);
  cli_json_number(", \"crps\": ", f->crps);
  cli_json_number(", \"log_density\": ", f->log_density);
}
