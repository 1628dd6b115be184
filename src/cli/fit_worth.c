/* fit_worth.c - floor 9: what a population's estimate is worth: standard errors, shrinkage, everybody's own estimate,
 * and who is in conflict with the law of the others.
 *
 * An alarm is a p-value below 0.05 divided by the number of people: in one fit of twenty somebody is named although
 * nothing is wrong (Bonferroni's bound; exact where the model is linear).
 */
#include "cli/fit_worth.h"

#include <math.h>
#include <string.h>

#define FALSE_ALARM 0.05

static bool alarm(const dp_fit_check *c, int i) { return c->conflict[i] * c->npeople < FALSE_ALARM; }

static const char *id_of(const cli_worth *w, int i) { return w->record->subject[w->check->subject[i]].id; }

/* Row by row: who, individual parameters, random effects, conflict. */
static int individuals(cli_call *call, const cli_worth *w, const char *path) {
  const dp_fit_check *c = w->check;
  FILE *out = fopen(path, "w");
  if (!out) return cli_usage(call, "%s can't be written", path);
  fprintf(out, "person");
  for (int e = 0; e < c->neffect; e++) fprintf(out, "\t%s", dp_kind_effect_parameter(w->kind, e));
  for (int e = 0; e < c->neffect; e++) fprintf(out, "\t%s", dp_kind_effect_id(w->kind, e));
  fprintf(out, "\tdistance\tdirections\tp\n");
  for (int i = 0; i < c->npeople; i++) {
    const double *own = c->individual + (size_t)i * (size_t)c->neffect,
                 *eta = c->effect + (size_t)i * (size_t)c->neffect;
    fprintf(out, "%s", id_of(w, i));
    for (int e = 0; e < c->neffect; e++) fprintf(out, "\t%.10g", own[e]);
    for (int e = 0; e < c->neffect; e++) fprintf(out, "\t%.10g", eta[e]);
    fprintf(out, "\t%.10g\t%d\t%.10g\n", c->distance[i], c->directions[i], c->conflict[i]);
  }
  const bool bad = ferror(out) != 0;
  return fclose(out) == 0 && !bad ? 0 : cli_usage(call, "%s could not be written to its end", path);
}

int cli_worth_open(cli_call *call, cli_worth *w) {
  /* SAEM has no likelihood of its own: Laplace's */
  w->method = strcmp(w->prior->method, "saem") == 0 ? "laplace" : w->prior->method;
  CLI_TRY(call, dp_prior_check(w->kind, w->record, NULL, 0, w->prior, w->method, &w->check));
  return cli_has(call, "--individuals") ? individuals(call, w, cli_get(call, "--individuals")) : 0;
}

/* ---- text ---- */

static void print_cell(double x) {
  if (isfinite(x))
    printf(" %14.6g", x);
  else
    printf(" %14s", "-");
}

static void text_estimates(const dp_fit_check *c, const char *method) {
  printf("\nwhat that is worth (%s)%*s     estimate standard error     of it, %%       sandwich\n", method,
         (int)(15 - strlen(method)), "");
  for (int k = 0; k < c->ntheta; k++) {
    const char *what = strstr(c->label[k], " (covariance");
    const int n = (int)(strchr(c->label[k], '(') ? strcspn(c->label[k], "(") - 1 : strlen(c->label[k]));
    printf("%-*.*s%s", what ? 24 : 35, n, c->label[k], what ? " covariance" : "");
    print_cell(c->value[k]);
    print_cell(c->se[k]);
    print_cell(100 * c->se[k] / fabs(c->value[k]));
    print_cell(c->robust[k]);
    printf("\n");
  }
  if (!c->determined) printf("no standard errors: the data leave a direction of the estimate open\n");
}

static void text_shrinkage(const cli_worth *w) {
  const dp_fit_check *c = w->check;
  printf("shrinkage (0 well measured, 1 nothing learnt) ");
  for (int e = 0; e < c->neffect; e++) {
    printf(" %s ", dp_kind_effect_id(w->kind, e));
    if (isfinite(c->eta_shrinkage[e]))
      printf("%.3f,", c->eta_shrinkage[e]);
    else
      printf("-,");
  }
  if (isfinite(c->epsilon_shrinkage))
    printf(" residuals %.3f\n", c->epsilon_shrinkage);
  else
    printf(" residuals -\n");
}

static void text_conflicts(const cli_worth *w) {
  const dp_fit_check *c = w->check;
  int n = 0;
  for (int i = 0; i < c->npeople; i++) {
    if (!alarm(c, i)) continue;
    if (n++ == 0) printf("in conflict with the law (p below %.2g / %d people)\n", FALSE_ALARM, c->npeople);
    printf("  person %-12s distance %.4g in %d directions, p %.2g\n", id_of(w, i), c->distance[i], c->directions[i],
           c->conflict[i]);
  }
  if (n == 0) printf("nobody is in conflict with the law (no p below %.2g / %d people)\n", FALSE_ALARM, c->npeople);
}

/* ---- JSON ---- */

static void json_row(const cli_worth *w, const char *before, const double *value,
                     const char *(*name)(const dp_kind *, int)) {
  printf("%s", before);
  for (int e = 0; e < w->check->neffect; e++) {
    printf("%s\"%s\"", e ? "," : "", name(w->kind, e));
    cli_json_exact(":", value[e]);
  }
  printf("}");
}

static void json(const cli_worth *w) {
  const dp_fit_check *c = w->check;
  printf(",\n \"check\":{\"method\":\"%s\",\"determined\":%s,\"estimates\":[", w->method,
         c->determined ? "true" : "false");
  for (int k = 0; k < c->ntheta; k++) {
    cli_json_named(k ? ",\n  {\"parameter\":" : "\n  {\"parameter\":", c->label[k]);
    cli_json_exact(",\"value\":", c->value[k]);
    cli_json_exact(",\"se\":", c->se[k]);
    cli_json_exact(",\"sandwich\":", c->robust[k]);
    printf("}");
  }
  json_row(w, "],\n  \"shrinkage\":{", c->eta_shrinkage, dp_kind_effect_id);
  cli_json_exact(",\"residual_shrinkage\":", c->epsilon_shrinkage);
  printf(",\n  \"people\":[");
  for (int i = 0; i < c->npeople; i++) {
    const size_t at = (size_t)i * (size_t)c->neffect;
    cli_json_named(i ? ",\n   {\"person\":" : "\n   {\"person\":", id_of(w, i));
    json_row(w, ",\"individual\":{", c->individual + at, dp_kind_effect_parameter);
    json_row(w, ",\"effects\":{", c->effect + at, dp_kind_effect_id);
    cli_json_exact(",\"distance\":", c->distance[i]);
    printf(",\"directions\":%d", c->directions[i]);
    cli_json_exact(",\"p\":", c->conflict[i]);
    printf(",\"alarm\":%s}", alarm(c, i) ? "true" : "false");
  }
  printf("]}");
}

void cli_worth_print(const cli_worth *w, bool as_json) {
  if (as_json) {
    json(w);
    return;
  }
  text_estimates(w->check, w->method);
  text_shrinkage(w);
  text_conflicts(w);
}
