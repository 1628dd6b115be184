/* cmd_glucose.c - doppel glucose FILE.csv: the consensus metrics of a sensor's readings, and the ambulatory profile. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

const cli_option cli_options_glucose[] = {
    {"--unit", "UNIT", "mg/dL or mmol/L, where the file does not say it itself"},
    {"--time", "COLUMN", "column of times (time, datetime, timestamp)"},
    {"--glucose", "COLUMN", "column of readings (glucose, cgm, sensor, value, gl, dv)"},
    {"--id", "COLUMN", "column of persons (id, patient, subject, person); each is measured alone"},
    {"--time-unit", "UNIT", "of times that are numbers: min, h, s, d (min)"},
    {"--clock", "HH:MM", "clock at time 0 of times that are numbers (00:00)"},
    {"--sort", NULL, "rows come in any order"},
    {"--low", "MG/DL", "what a reading that says Low stands for; without it such a file is refused"},
    {"--high", "MG/DL", "what a reading that says High stands for"},
    {"--profile", "MIN", "also the ambulatory profile in slots of so many minutes"},
    {"--json", NULL, "JSON instead of text"},
    {0}};

/* the metrics in the order in which they are shown */
typedef struct metric {
  const char *key, *name, *unit, *goal;
  size_t offset;
} metric;
#define AT(field) offsetof(dp_glucose_metrics, field)
static const metric metrics[] = {
    {"mean", "mean", "mg/dL", "", AT(mean)},
    {"sd", "standard deviation", "mg/dL", "", AT(sd)},
    {"cv", "coefficient of variation", "%", "<= 36", AT(cv)},
    {"gmi", "glucose management indicator", "%", "", AT(gmi)},
    {"tir", "in range 70..180", "%", "> 70", AT(tir)},
    {"tbr70", "below 70", "%", "< 4", AT(tbr70)},
    {"tbr54", "below 54", "%", "< 1", AT(tbr54)},
    {"tar180", "above 180", "%", "< 25", AT(tar180)},
    {"tar250", "above 250", "%", "< 5", AT(tar250)},
    {"lbgi", "low blood glucose index", "1", "", AT(lbgi)},
    {"hbgi", "high blood glucose index", "1", "", AT(hbgi)},
    {"gri", "glycemia risk index", "1", "", AT(gri)},
};
enum { NMETRIC = sizeof metrics / sizeof *metrics };

static double value_of(const dp_glucose_metrics *m, const metric *what) {
  return *(const double *)((const char *)m + what->offset);
}

/* false (with message) for a clock that is none */
static bool read_clock(const cli_call *call, double *minutes) {
  const char *text = cli_get(call, "--clock");
  int hour, minute, end = 0;
  if (!text) return true;
  if (sscanf(text, "%2d:%2d%n", &hour, &minute, &end) == 2 && !text[end] && hour >= 0 && hour < 24 && minute >= 0 &&
      minute < 60) {
    *minutes = 60.0 * hour + minute;
    return true;
  }
  cli_usage(call, "--clock: found '%s', expected HH:MM", text);
  return false;
}

/* false (with message) for a word's glucose that no sensor shows */
static bool read_word(cli_call *call, const char *option, double *out) {
  if (!cli_number(call, option, out)) return false;
  if (!cli_has(call, option) || (*out >= 10 && *out <= 1000)) return true;
  cli_usage(call, "%s: found %s, expected 10 to 1000 mg/dL", option, cli_get(call, option));
  return false;
}

static void write_text(const dp_glucose_series *s, const dp_glucose_metrics *m, const dp_glucose_profile *p) {
  if (*s->id) printf("%s\n", s->id);
  printf("%d readings", m->n);
  if (s->nmissing) printf(" (%d rows without a value)", s->nmissing);
  if (s->nrepeated) printf(" (%d rows that repeat one)", s->nrepeated);
  if (s->nlow + s->nhigh) printf(" (%d that say Low, %d High)", s->nlow, s->nhigh);
  if (m->n > 1)
    printf(", every %.6g min over %.1f days: %.1f %% of what could be there, %d gaps", m->interval, m->days,
           100 * m->share, m->ngap);
  if (m->ngap) printf(", the longest %.6g min", m->longest_gap);
  printf("\n%s\n\n", m->sufficient
                         ? "enough for a profile (14 days with 70 %)"
                         : "not enough for a profile (14 days with 70 %): figures are of these readings only");
  for (int k = 0; k < NMETRIC; k++) {
    double x = value_of(m, &metrics[k]);
    printf("  %-30s", metrics[k].name);
    if (isnan(x))
      printf(" %9s", "-");
    else
      printf(" %9.2f", x);
    printf(" %-6s%s%s\n", strcmp(metrics[k].unit, "1") ? metrics[k].unit : "", *metrics[k].goal ? "goal " : "",
           metrics[k].goal);
  }
  if (!p) return;
  printf(
      "\n  %d readings filled in, gaps of up to 45 min\n  clock        5 %%     25 %%     50 %%     75 %%     95 %%    "
      "of\n",
      p->nfilled);
  for (int k = 0; k < p->nslot; k++) {
    int minute = (int)(k * p->slot);
    printf("  %02d:%02d", minute / 60, minute % 60);
    for (int l = 0; l < DP_GLUCOSE_NLEVEL; l++) {
      double x = p->q[k * DP_GLUCOSE_NLEVEL + l];
      if (isnan(x))
        printf(" %8s", "-");
      else
        printf(" %8.1f", x);
    }
    printf(" %5d\n", p->count[k]);
  }
}

static void write_profile(const dp_glucose_profile *p) {
  printf(",\n   \"profile\": {\"slot_min\": %.10g, \"filled\": %d, \"sufficient\": %s, \"slots\": [", p->slot,
         p->nfilled, p->sufficient ? "true" : "false");
  for (int k = 0; k < p->nslot; k++) {
    printf("%s{\"minute\": %.10g, \"count\": %d, \"q\": [", k ? ",\n     " : "\n     ", k * p->slot, p->count[k]);
    for (int l = 0; l < DP_GLUCOSE_NLEVEL; l++) cli_json_exact(l ? ", " : "", p->q[k * DP_GLUCOSE_NLEVEL + l]);
    printf("]}");
  }
  printf("]}");
}

static void write_json(const dp_glucose_series *s, const dp_glucose_metrics *m, const dp_glucose_profile *p) {
  cli_json_named("  {\"id\": ", s->id);
  printf(", \"readings\": %d, \"missing\": %d, \"repeated\": %d, \"low\": %d, \"high\": %d", m->n, s->nmissing,
         s->nrepeated, s->nlow, s->nhigh);
  cli_json_exact(", \"interval_min\": ", m->interval);
  cli_json_exact(", \"days\": ", m->days);
  cli_json_exact(", \"share\": ", m->share);
  printf(", \"gaps\": %d", m->ngap);
  cli_json_exact(", \"longest_gap_min\": ", m->longest_gap);
  printf(", \"sufficient\": %s", m->sufficient ? "true" : "false");
  for (int k = 0; k < NMETRIC; k++) {
    printf(", \"%s\"", metrics[k].key);
    cli_json_exact(": ", value_of(m, &metrics[k]));
  }
  if (p) write_profile(p);
  printf("}");
}

static int show(cli_call *call, const dp_glucose_series *series, int n, double slot) {
  const bool json = cli_has(call, "--json");
  int code = 0;
  if (json) printf("{\"unit\": \"mg/dL\", \"series\": [\n");
  for (int i = 0; i < n && code == 0; i++) {
    dp_glucose_metrics m = dp_glucose_measure(&series[i]);
    dp_glucose_profile *p = NULL;
    dp_status status = slot > 0 ? dp_glucose_profile_make(call->ctx, &series[i], slot, &p) : DP_OK;
    if (status != DP_OK) {
      code = cli_failed(call, status);
    } else {
      if (i) printf(json ? ",\n" : "\n");
      (json ? write_json : write_text)(&series[i], &m, p);
    }
    dp_glucose_profile_free(call->ctx, p);
  }
  if (json && code == 0) printf("\n]}\n");
  return code;
}

int cmd_glucose(cli_call *call) {
  dp_glucose_read_def def = dp_glucose_read_def_default();
  dp_glucose_series *series = NULL;
  double slot = 0;
  int n = 0;
  if (call->nplain != 1) return cli_usage(call, "expected one file of readings, found %d arguments", call->nplain);
  def.unit = cli_get(call, "--unit");
  def.time = cli_get(call, "--time");
  def.glucose = cli_get(call, "--glucose");
  def.id = cli_get(call, "--id");
  if (cli_has(call, "--time-unit")) def.time_unit = cli_get(call, "--time-unit");
  def.sort = cli_has(call, "--sort");
  if (!read_clock(call, &def.clock) || !cli_number(call, "--profile", &slot) || !read_word(call, "--low", &def.low) ||
      !read_word(call, "--high", &def.high))
    return dp_status_exit_code(DP_ERR_USAGE);
  if (cli_has(call, "--profile") && !(slot >= 1 && slot <= 1440 && fmod(1440, slot) == 0))
    return cli_usage(call, "--profile: found %s, expected 1 to 1440 min, a whole number of them in a day",
                     cli_get(call, "--profile"));
  CLI_TRY(call, dp_glucose_read(call->ctx, call->plain[0], &def, &series, &n));
  int code = show(call, series, n, slot);
  dp_glucose_series_free(call->ctx, series, n);
  return code;
}
