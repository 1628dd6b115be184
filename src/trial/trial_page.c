/* trial_page.c - floor 8: a trial's result as one HTML page without a script: what was asked, who took part, what came
 * of it endpoint by endpoint with intervals as bars, and what stands behind it. With many arms those against the first
 * come first, and the other pairs are folded away.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "trial/trial_impl.h"

static void plain(dpi_str *s, const char *t) {
  for (; *t; t++) {
    if (*t == '<')
      dpi_str_add(s, "&lt;");
    else if (*t == '&')
      dpi_str_add(s, "&amp;");
    else if (*t == '"')
      dpi_str_add(s, "&quot;");
    else
      dpi_str_addn(s, t, 1);
  }
}

/* A unit as people write it: 10^9/L for 10*9/L. */
static void unit(dpi_str *s, const char *t) {
  char words[64];
  snprintf(words, sizeof words, "%s", t);
  for (char *p = words; (p = strstr(p, "10*")) != NULL; p += 3) p[2] = '^';
  plain(s, words);
}

static void cell(dpi_str *s, const char *t) {
  dpi_str_add(s, "<td>");
  plain(s, t);
  dpi_str_add(s, "</td>");
}

static void interval(dpi_str *s, const dp_trial_estimate *e) {
  if (isfinite(e->low))
    dpi_str_addf(s, "<td class=n>%.4g<td class=\"n i\">%.4g to %.4g", e->value, e->low, e->high);
  else if (isfinite(e->value))
    dpi_str_addf(s, "<td class=n>%.4g<td class=\"n i\">no interval", e->value);
  else
    dpi_str_add(s, "<td class=n>-<td class=\"n i\">too few people");
}

static const char style[] =
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;"
    "background:#fff;overflow-wrap:break-word}h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.2rem}"
    "h3{font-size:1rem;margin:1.8rem 0 .2rem}.t{overflow-x:auto}table{border-collapse:collapse;margin:.4rem 0}"
    "th,td{text-align:left;padding:.25rem 1.2rem .25rem 0;border-bottom:1px solid #ddd;vertical-align:top}"
    "th{font-weight:600;font-size:.85rem;color:#444;vertical-align:bottom}th.r{font-size:1rem;white-space:nowrap;"
    "vertical-align:top}.n,.m{white-space:nowrap}.n{text-align:right;font-variant-numeric:tabular-nums;min-width:3."
    "5rem}"
    ".i{min-width:9rem}td.note{min-width:9rem}.w{min-width:12rem;width:16rem;max-width:26rem;overflow-wrap:anywhere}"
    ".fail{color:#a40000;font-weight:600}.missing{color:#7a5200}.pass{color:#005a2b}.note{color:#555;font-size:.9rem}"
    ".alarm{border-left:4px solid #a40000;padding:.3rem .8rem}svg{display:block}summary{cursor:pointer;color:#2b5797}"
    "@media print{.t{overflow:visible}}</style>";

/* ---- differences ---- */

/* A bar of the interval of a difference around zero, on the scale of the widest one of its endpoint. */
static void bar(dpi_str *s, const dp_trial_estimate *e, double most) {
  if (!isfinite(e->low) || !(most > 0)) {
    dpi_str_add(s, "<td>");
    return;
  }
  const double a = 80 + 75 * e->low / most, b = 80 + 75 * e->high / most, m = 80 + 75 * e->value / most;
  dpi_str_addf(s,
               "<td><svg width=160 height=20 role=img aria-label=\"interval from %.4g to %.4g\"><line x1=80 x2=80 y1=0 "
               "y2=20 stroke=\"#999\"/><line x1=%.1f x2=%.1f y1=10 y2=10 stroke=\"#2b5797\" stroke-width=2 />"
               "<circle cx=%.1f cy=10 r=4 fill=\"#2b5797\"/></svg>",
               e->low, e->high, a, b, m);
}

static void chance(dpi_str *s, double p) {
  if (isnan(p))
    dpi_str_add(s, "<td class=n>-");
  else if (p < 1e-4)
    dpi_str_add(s, "<td class=n>&lt; 0.0001");
  else
    dpi_str_addf(s, "<td class=n>%.2g", p);
}

static void difference(dpi_str *s, const dp_trial_result *r, const dp_trial_difference *d, double most) {
  dpi_str_add(s, "<tr><td class=w>");
  plain(s, r->arm[d->arm].name);
  if (r->narm == 2 || d->against != 0) {
    dpi_str_add(s, " &minus; ");
    plain(s, r->arm[d->against].name);
  }
  dpi_str_addf(s, "<td class=n>%d", d->estimate.n);
  interval(s, &d->estimate);
  bar(s, &d->estimate, most);
  chance(s, d->p);
  if (r->trial->holm) chance(s, d->p_holm);
  if (r->nlook && d->crossed)
    dpi_str_addf(s, "<td class=n>look %d, %d people", d->crossed, r->look[d->crossed - 1].people);
  else if (r->nlook)
    dpi_str_add(s, "<td class=n>at none");
  if (d->power_n && isnan(d->power))
    dpi_str_addf(s, "<td class=n>%s", d->power_method);
  else if (d->power_n && r->nlook)
    dpi_str_addf(s, "<td class=n>%.1f %%, %.0f people", 100 * d->power, d->power_people);
  else if (d->power_n)
    dpi_str_addf(s, "<td class=n>%.1f %%", 100 * d->power);
  else if (r->trial->power_n)
    dpi_str_add(s, "<td class=n>-");
  dpi_str_add(s, "<td class=note>");
  plain(s, d->estimate.method);
  if (strcmp(d->estimate.method, d->test) != 0) {
    dpi_str_add(s, "; p: ");
    plain(s, d->test);
  }
}

/* Rows of one endpoint: those against the first arm, or the others. Gives their number. */
static int rows_of(dpi_str *s, const dp_trial_result *r, int endpoint, bool first) {
  double most = 0;
  int n = 0;
  for (int k = 0; k < r->ndifference; k++) {
    const dp_trial_estimate *e = &r->difference[k].estimate;
    if (r->difference[k].endpoint != endpoint) continue;
    if (isfinite(e->low)) most = fmax(most, fmax(fabs(e->low), fabs(e->high)));
    n += (r->difference[k].against == 0) == first;
  }
  if (!n) return 0;
  if (!first && n == 1) dpi_str_add(s, "<details><summary>the other pair</summary>");
  if (!first && n != 1) dpi_str_addf(s, "<details><summary>the other %d pairs</summary>", n);
  dpi_str_add(s, "<div class=t><table><tr><th class=w>difference");
  if (first && r->narm > 2) {
    dpi_str_add(s, " to ");
    plain(s, r->arm[0].name);
  }
  dpi_str_add(s, "<th class=n>people<th class=n>estimate<th class=n>interval<th><th class=n>p");
  if (r->trial->holm) dpi_str_add(s, "<th class=n>p, Holm");
  if (r->nlook) dpi_str_add(s, "<th class=n>crosses its boundary");
  if (r->trial->power_n)
    dpi_str_addf(s, "<th class=n>power, %d %s", r->trial->power_n,
                 r->trial->desc.design == DP_TRIAL_PARALLEL ? "an arm" : "people");
  dpi_str_add(s, "<th>method");
  for (int k = 0; k < r->ndifference; k++) {
    const dp_trial_difference *d = &r->difference[k];
    if (d->endpoint == endpoint && (d->against == 0) == first) difference(s, r, d, most);
  }
  dpi_str_add(s, "</table></div>");
  if (!first) dpi_str_add(s, "</details>");
  return n;
}

/* ---- endpoints and arms ---- */

static void estimates(dpi_str *s, const dp_trial_result *r, int e) {
  const bool share = r->trial->desc.endpoint[e].proportion;
  dpi_str_add(s, "<div class=t><table><tr><th class=w>arm<th class=n>people<th class=n>");
  dpi_str_add(s, share ? "share" : "mean");
  dpi_str_add(s, "<th class=n>interval");
  if (!share) dpi_str_add(s, "<th class=n>5, 50, 95 % of people");
  dpi_str_add(s, "<th>method");
  for (int a = 0; a < r->narm; a++) {
    const dp_trial_arm *x = &r->arm[a];
    dpi_str_add(s, "<tr><td class=w>");
    plain(s, x->name);
    dpi_str_addf(s, "<td class=n>%d", x->estimate[e].n);
    interval(s, &x->estimate[e]);
    if (!share && isfinite(x->median[e]))
      dpi_str_addf(s, "<td class=n>%.4g, %.4g, %.4g", x->q05[e], x->median[e], x->q95[e]);
    else if (!share)
      dpi_str_add(s, "<td class=n>-");
    dpi_str_add(s, "<td class=note>");
    plain(s, x->estimate[e].method);
  }
  dpi_str_add(s, "</table></div>");
}

static void endpoints(dpi_str *s, const dp_trial_result *r) {
  dpi_str_add(s, "<h2>Endpoints</h2>");
  if (r->nendpoint * r->ndifference > 1)
    dpi_str_add(s, r->trial->holm ? "<p class=note>Holm's p is corrected for all comparisons on this page.</p>"
                                  : "<p class=note>Nothing is corrected for several comparisons: the first endpoint is "
                                    "the one to look at.</p>");
  for (int e = 0; e < r->nendpoint; e++) {
    dpi_str_add(s, "<h3>");
    plain(s, r->trial->desc.endpoint[e].name);
    dpi_str_add(s, ", ");
    unit(s, r->trial->desc.endpoint[e].unit);
    dpi_str_add(s, "</h3>");
    estimates(s, r, e);
    rows_of(s, r, e, true);
    rows_of(s, r, e, false);
  }
}

/* Who was put where, within strata. */
static void strata(dpi_str *s, const dp_trial_result *r) {
  if (!r->nstratum) return;
  dpi_str_addf(s,
               "<h2>Randomisation</h2><p class=note>Permuted blocks of %d people within strata.</p><div class=t><table>"
               "<tr><th class=w>stratum",
               r->narm * r->trial->block);
  for (int a = 0; a < r->narm; a++) {
    dpi_str_add(s, "<th class=n>");
    plain(s, r->arm[a].name);
  }
  for (int k = 0; k < r->nstratum; k++) {
    dpi_str_add(s, "<tr><td class=w>");
    plain(s, r->stratum[k].name);
    for (int a = 0; a < r->narm; a++) dpi_str_addf(s, "<td class=n>%d", r->stratum[k].nperson[a]);
  }
  dpi_str_add(s, "</table></div>");
}

/* Boundaries, and what each look saw of the first endpoint. */
static void looks(dpi_str *s, const dp_trial_result *r) {
  if (!r->nlook) return;
  dpi_str_addf(
      s,
      "<h2>Looks at the data</h2><p class=note>Boundary %s: a comparison ends its trial at the first look at which |z| "
      "is as high; each has the two-sided level %.3g for itself. Estimates above are of all people, and p there knows "
      "of "
      "no looks.</p><div class=t><table><tr><th>look<th class=n>people<th class=n>|z|<th class=n>p",
      r->boundary, 1 - r->trial->confidence);
  for (int n = 0; n < r->ndifference; n++) {
    const dp_trial_difference *d = &r->difference[n];
    if (d->endpoint != 0) continue;
    dpi_str_add(s, "<th class=n>");
    plain(s, r->arm[d->arm].name);
    dpi_str_add(s, " &minus; ");
    plain(s, r->arm[d->against].name);
    dpi_str_add(s, "<br>");
    plain(s, r->trial->desc.endpoint[0].id);
    dpi_str_add(s, ": estimate, p");
  }
  for (int k = 0; k < r->nlook; k++) {
    dpi_str_addf(s, "<tr><td>%d<td class=n>%d<td class=n>%.4g<td class=n>%.2g", k + 1, r->look[k].people,
                 r->look[k].boundary, r->look[k].p);
    for (int n = 0; n < r->ndifference; n++) {
      const dp_trial_difference *d = &r->difference[n];
      if (d->endpoint != 0) continue;
      if (isnan(d->seen[k].p))
        dpi_str_add(s, "<td class=n>too few people");
      else
        dpi_str_addf(s, "<td class=n>%.4g, %.2g%s", d->seen[k].value, d->seen[k].p,
                     d->crossed == k + 1 ? " (crosses)" : "");
    }
  }
  dpi_str_add(s, "</table></div>");
}

static void arms(dpi_str *s, const dp_trial_result *r) {
  dpi_str_add(s,
              "<h2>Arms</h2><div class=t><table><tr><th class=w>arm<th class=n>people<th class=n>left early<th class=n>"
              "endpoints missing<th class=n>simulations failed<th class=n>doses cut to bounds<th class=n>failures "
              "of its policy");
  for (int a = 0; a < r->narm; a++) {
    const dp_trial_arm *x = &r->arm[a];
    dpi_str_add(s, "<tr><td class=w>");
    plain(s, x->name);
    dpi_str_addf(s, "<td class=n>%d<td class=n>%d<td class=n>%d<td class=\"n%s\">%d<td class=n>%lld<td class=n>%d",
                 x->nperson, x->ndropout, x->nmissing, x->nfailed ? " fail" : "", x->nfailed, (long long)x->nlimited,
                 x->nincident);
  }
  dpi_str_add(s, "</table></div>");
}

/* What a reader must not miss. */
static void alarms(dpi_str *s, const dp_trial_result *r) {
  int failed = 0, fail = 0;
  for (int a = 0; a < r->narm; a++) failed += r->arm[a].nfailed;
  for (int i = 0; i < r->credibility.nevidence; i++) fail += r->credibility.evidence[i].state == DP_EVIDENCE_FAIL;
  if (failed)
    dpi_str_addf(s,
                 "<p class=\"alarm fail\">%d simulations failed. Their people count as missing, which may not be by "
                 "chance.</p>",
                 failed);
  if (fail) dpi_str_addf(s, "<p class=\"alarm fail\">%d checks of credibility failed: see below.</p>", fail);
}

static void credibility(dpi_str *s, const dp_trial_credibility *c) {
  static const char *const states[] = {"pass", "fail", "missing", "stated"};
  const char *const rows[][2] = {{"Question of interest", c->question},
                                 {"Context of use", c->context},
                                 {"Model influence", c->influence},
                                 {"Decision consequence", c->consequence},
                                 {"Model risk", c->risk}};
  dpi_str_add(s, "<h2>Credibility (in the shape of ASME V&amp;V 40)</h2><div class=t><table>");
  for (int i = 0; i < DPI_COUNT(rows); i++) {
    dpi_str_addf(s, "<tr><th class=r>%s</th>", rows[i][0]);
    if (*rows[i][1])
      cell(s, rows[i][1]);
    else
      dpi_str_add(s, "<td class=missing>not stated</td>");
    dpi_str_add(s, "</tr>");
  }
  dpi_str_add(s, "</table></div><div class=t><table><tr><th>factor<th>evidence<th>state</tr>");
  for (int i = 0; i < c->nevidence; i++) {
    dpi_str_add(s, "<tr>");
    cell(s, c->evidence[i].factor);
    cell(s, c->evidence[i].what);
    dpi_str_addf(s, "<td class=\"m %s\">%s</td></tr>", states[c->evidence[i].state], states[c->evidence[i].state]);
  }
  dpi_str_add(s, "</table></div>");
}

static void incidents(dpi_str *s, const dp_trial_result *r) {
  if (!r->nincident) return;
  dpi_str_add(s, "<h2>What went wrong</h2><div class=t><table><tr><th class=w>arm<th>person<th class=n>time, ");
  plain(s, r->trial->desc.time_unit);
  dpi_str_add(s, "<th>what</tr>");
  for (int k = 0; k < r->nincident; k++) {
    dpi_str_add(s, "<tr>");
    cell(s, r->arm[r->incident[k].arm].name);
    cell(s, r->incident[k].person);
    dpi_str_addf(s, "<td class=n>%.6g</td>", r->incident[k].time);
    cell(s, r->incident[k].reason);
    dpi_str_add(s, "</tr>");
  }
  dpi_str_add(s, "</table></div>");
}

dp_status dp_trial_page(const dp_trial_result *r, char **out) {
  static const char *const designs[] = {"parallel arms", "cross-over", "the same people in every arm"};
  const dp_trial_desc *d = &r->trial->desc;
  dpi_str s;
  dpi_str_init(&s, r->ctx);
  dpi_str_add(
      &s,
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\"><title>");
  plain(&s, d->title);
  dpi_str_addf(&s, "</title>%s<h1>", style);
  plain(&s, d->title);
  dpi_str_add(&s, "</h1><p>");
  plain(&s, d->question);
  dpi_str_addf(&s, "</p><p class=note>In silico: virtual people, nobody was treated. %d people, %s, %.6g ", r->nperson,
               designs[d->design], d->horizon);
  plain(&s, d->time_unit);
  const double day = strcmp(d->time_unit, "min") == 0 ? 1440 : strcmp(d->time_unit, "h") == 0 ? 24 : INFINITY;
  if (d->horizon >= 2 * day) dpi_str_addf(&s, " (%.4g days)", d->horizon / day);
  if (d->run_in > 0)
    dpi_str_addf(&s, " (after a run-in of %.6g %s, in which nothing is counted)", d->run_in, d->time_unit);
  dpi_str_addf(&s, " each, seed %llu, %lld simulations. Intervals at %.4g %%.", (unsigned long long)d->seed,
               (long long)r->ncall, 100 * r->trial->confidence);
  if (r->ncandidate > r->nperson)
    dpi_str_addf(&s, " Matched to a target: %lld candidates, %.2f %% accepted, %lld simulations for that.",
                 (long long)r->ncandidate, 100 * r->acceptance, (long long)r->nmatched);
  dpi_str_add(&s, "</p>");
  alarms(&s, r);
  endpoints(&s, r);
  looks(&s, r);
  strata(&s, r);
  arms(&s, r);
  incidents(&s, r);
  credibility(&s, &r->credibility);
  dpi_str_addf(&s, "<p class=note>Trial %.16s, results %.16s, arithmetic %s.</p></html>\n", d->hash, r->hash,
               dp_arithmetic());
  *out = s.failed ? NULL : s.data;
  if (s.failed) dpi_str_release(&s);
  return *out ? DP_OK : DP_ERR_MEMORY;
}
