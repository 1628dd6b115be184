/* trial_page.c - floor 8: a trial's result as one HTML page without a script: what was asked, who took part, what came
 * of it with
 * intervals as bars, and what stands behind it. */
#include <math.h>
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

static void cell(dpi_str *s, const char *t) {
  dpi_str_add(s, "<td>");
  plain(s, t);
  dpi_str_add(s, "</td>");
}

static void interval(dpi_str *s, const dp_trial_estimate *e) {
  if (isfinite(e->low))
    dpi_str_addf(s, "<td class=n>%.4g</td><td class=n>%.4g to %.4g</td>", e->value, e->low, e->high);
  else if (isfinite(e->value))
    dpi_str_addf(s, "<td class=n>%.4g</td><td>no interval</td>", e->value);
  else
    dpi_str_add(s, "<td class=n>-</td><td>nobody</td>");
}

static const char style[] =
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:76rem;margin:2rem auto;padding:0 "
    "1rem;color:#1a1a1a;background:#fff}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #ddd;vertical-align:top}.n{text-align:right;"
    "font-variant-numeric:tabular-nums;white-space:nowrap}.fail{color:#a40000;font-weight:600}.missing{color:#7a5200}"
    ".pass{color:#005a2b}.note{color:#555}svg{display:block}.a{min-width:16rem}</style>";

/* A bar of the interval of a difference around zero, on the scale of the widest one of its endpoint. */
static void bar(dpi_str *s, const dp_trial_estimate *e, double most) {
  if (!isfinite(e->low) || !(most > 0)) {
    dpi_str_add(s, "<td></td>");
    return;
  }
  const double a = 80 + 75 * e->low / most, b = 80 + 75 * e->high / most, m = 80 + 75 * e->value / most;
  dpi_str_addf(
      s,
      "<td><svg width=160 height=16 role=img aria-label=\"interval from %.4g to %.4g\"><line x1=80 x2=80 y1=0 y2=16 "
      "stroke=\"#999\"/><line x1=%.1f x2=%.1f y1=8 y2=8 stroke=\"#2b5797\" stroke-width=2 />"
      "<circle cx=%.1f cy=8 r=4 fill=\"#2b5797\"/></svg></td>",
      e->low, e->high, a, b, m);
}

static void differences(dpi_str *s, const dp_trial_result *r) {
  if (!r->ndifference) return;
  dpi_str_add(
      s,
      "<h2>Differences between arms</h2><table><tr><th>endpoint<th>arms<th class=n>difference<th class=n>interval<th>"
      "<th class=n>p<th>method");
  if (r->difference[0].power_n) dpi_str_add(s, "<th class=n>power");
  dpi_str_add(s, "</tr>");
  for (int k = 0; k < r->ndifference; k++) {
    const dp_trial_difference *d = &r->difference[k];
    double most = 0;
    for (int i = 0; i < r->ndifference; i++) {
      const dp_trial_estimate *e = &r->difference[i].estimate;
      if (r->difference[i].endpoint == d->endpoint && isfinite(e->low))
        most = fmax(most, fmax(fabs(e->low), fabs(e->high)));
    }
    dpi_str_add(s, "<tr>");
    dpi_str_add(s, "<td>");
    plain(s, r->trial->desc.endpoint[d->endpoint].name);
    dpi_str_add(s, ", ");
    plain(s, r->trial->desc.endpoint[d->endpoint].unit);
    dpi_str_add(s, "</td><td class=a>");
    plain(s, r->arm[d->arm].name);
    dpi_str_add(s, " minus ");
    plain(s, r->arm[d->against].name);
    dpi_str_add(s, "</td>");
    interval(s, &d->estimate);
    bar(s, &d->estimate, most);
    if (isfinite(d->p))
      dpi_str_addf(s, "<td class=n>%.2g</td>", d->p);
    else
      dpi_str_add(s, "<td></td>");
    cell(s, d->estimate.method);
    if (d->power_n) dpi_str_addf(s, "<td class=n>%.1f %% (%d an arm)</td>", 100 * d->power, d->power_n);
    dpi_str_add(s, "</tr>");
  }
  dpi_str_add(s, "</table>");
}

static void arms(dpi_str *s, const dp_trial_result *r) {
  dpi_str_add(
      s,
      "<h2>Arms</h2><table><tr><th>arm<th class=n>people<th class=n>left early<th class=n>endpoints missing<th class=n>"
      "simulations failed<th class=n>doses cut to bounds<th class=n>failures of its policy</tr>");
  for (int a = 0; a < r->narm; a++) {
    const dp_trial_arm *x = &r->arm[a];
    dpi_str_add(s, "<tr>");
    cell(s, x->name);
    dpi_str_addf(s, "<td class=n>%d<td class=n>%d<td class=n>%d<td class=n>%d<td class=n>%lld<td class=n>%d</tr>",
                 x->nperson, x->ndropout, x->nmissing, x->nfailed, (long long)x->nlimited, x->nincident);
  }
  dpi_str_add(
      s,
      "</table><h2>Endpoints</h2><table><tr><th>endpoint<th>arm<th class=n>n<th class=n>estimate<th class=n>interval"
      "<th class=n>5, 50, 95 % of people<th>method</tr>");
  for (int e = 0; e < r->nendpoint; e++)
    for (int a = 0; a < r->narm; a++) {
      const dp_trial_arm *x = &r->arm[a];
      dpi_str_add(s, "<tr><td>");
      plain(s, r->trial->desc.endpoint[e].name);
      dpi_str_add(s, ", ");
      plain(s, r->trial->desc.endpoint[e].unit);
      dpi_str_add(s, "</td>");
      cell(s, x->name);
      dpi_str_addf(s, "<td class=n>%d</td>", x->estimate[e].n);
      interval(s, &x->estimate[e]);
      if (isfinite(x->median[e]))
        dpi_str_addf(s, "<td class=n>%.4g, %.4g, %.4g</td>", x->q05[e], x->median[e], x->q95[e]);
      else
        dpi_str_add(s, "<td></td>");
      cell(s, x->estimate[e].method);
      dpi_str_add(s, "</tr>");
    }
  dpi_str_add(s, "</table>");
}

static void credibility(dpi_str *s, const dp_trial_credibility *c) {
  static const char *const states[] = {"pass", "fail", "missing", "stated"};
  const char *const rows[][2] = {{"Question of interest", c->question},
                                 {"Context of use", c->context},
                                 {"Model influence", c->influence},
                                 {"Decision consequence", c->consequence},
                                 {"Model risk", c->risk}};
  dpi_str_add(s, "<h2>Credibility (in the shape of ASME V&amp;V 40)</h2><table>");
  for (int i = 0; i < DPI_COUNT(rows); i++) {
    dpi_str_addf(s, "<tr><th>%s</th>", rows[i][0]);
    if (*rows[i][1])
      cell(s, rows[i][1]);
    else
      dpi_str_add(s, "<td class=missing>not stated</td>");
    dpi_str_add(s, "</tr>");
  }
  dpi_str_add(s, "</table><table><tr><th>factor<th>evidence<th>state</tr>");
  for (int i = 0; i < c->nevidence; i++) {
    dpi_str_add(s, "<tr>");
    cell(s, c->evidence[i].factor);
    cell(s, c->evidence[i].what);
    dpi_str_addf(s, "<td class=%s>%s</td></tr>", states[c->evidence[i].state], states[c->evidence[i].state]);
  }
  dpi_str_add(s, "</table>");
}

static void incidents(dpi_str *s, const dp_trial_result *r) {
  if (!r->nincident) return;
  dpi_str_add(s, "<h2>What went wrong</h2><table><tr><th>arm<th>person<th class=n>time<th>what</tr>");
  for (int k = 0; k < r->nincident; k++) {
    dpi_str_add(s, "<tr>");
    cell(s, r->arm[r->incident[k].arm].name);
    cell(s, r->incident[k].person);
    dpi_str_addf(s, "<td class=n>%.6g</td>", r->incident[k].time);
    cell(s, r->incident[k].reason);
    dpi_str_add(s, "</tr>");
  }
  dpi_str_add(s, "</table>");
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
  dpi_str_addf(&s, " each, seed %llu, %lld simulations. Intervals at %.4g %%.", (unsigned long long)d->seed,
               (long long)r->ncall, 100 * r->trial->confidence);
  if (r->ncandidate > r->nperson)
    dpi_str_addf(&s, " Matched to a target: %lld candidates, %.2f %% accepted.", (long long)r->ncandidate,
                 100 * r->acceptance);
  dpi_str_add(&s, "</p>");
  differences(&s, r);
  arms(&s, r);
  incidents(&s, r);
  credibility(&s, &r->credibility);
  dpi_str_addf(&s, "<p class=note>Trial %.16s, results %.16s, arithmetic %s.</p></html>\n", d->hash, r->hash,
               dp_arithmetic());
  *out = s.failed ? NULL : s.data;
  if (s.failed) dpi_str_release(&s);
  return *out ? DP_OK : DP_ERR_MEMORY;
}
