/* eq_text.h - models as text for the tests of this spoke: one member to its output times, several outputs. */
#ifndef EQ_TEXT_H
#define EQ_TEXT_H

#include "eq_bed.h"

#define TEXT_OUT 8

typedef struct text_run {
  const char *method;         /* NULL: auto */
  double rtol;                /* 0: 1e-10 */
  const char *out[TEXT_OUT];  /* formulas, NULL-terminated */
  double t[BED_MAX];
  int nt;
  dp_functional f[8];
  int nf;
  uint64_t seed, stream;
  const char *active;         /* one parameter with direction 0, or NULL */
  double cut[8];              /* advance to these times first, 0-terminated */
  /* what came back */
  dp_status created;
  char error[300];
  uint32_t caps;
  double value[BED_MAX][TEXT_OUT], dvalue[BED_MAX][TEXT_OUT], functional[8];
  int status;
  double fail_time;
  char reason[200];
} text_run;

NOT_TOLD static int text_outputs(const text_run *r) {
  int n = 0;
  while (n < TEXT_OUT && r->out[n]) n++;
  return n;
}

NOT_TOLD static dp_sim *text_sim(text_run *r, dp_model *m) {
  dp_sim_def def = dp_sim_def_default();
  dp_output_def out[TEXT_OUT] = {{0}};
  static const dp_control_def control[] = {{"dose", "x", NULL, NULL, NULL, NULL}};
  dp_sim *sim = NULL;
  dp_ctx_clear_error(bed_ctx);
  for (int i = 0; i < text_outputs(r); i++) out[i] = (dp_output_def){r->out[i], r->out[i], ""};
  def.model = m;
  def.method = r->method ? r->method : "auto";
  def.rtol = r->rtol > 0 ? r->rtol : 1e-10;
  def.atol = 1e-3 * def.rtol;
  def.output = out;
  def.noutput = text_outputs(r);
  if (dpi_model_find(m, "x") >= 1 && dpi_model_find(m, "x") <= dp_model_nstate(m) &&
      !m->sym[dpi_model_find(m, "x")].algebraic) {
    def.control = control;
    def.ncontrol = 1;
  }
  def.active = &r->active;
  def.nactive = r->active ? 1 : 0;
  r->created = dp_sim_create(bed_ctx, &def, &sim);
  snprintf(r->error, sizeof r->error, "%s", r->created == DP_OK ? "" : dp_ctx_error(bed_ctx));
  if (sim) r->caps = dp_sim_describe(sim)->caps;
  return sim;
}

NOT_TOLD static dp_model *text_model(const char *text) {
  dp_model *m = NULL;
  BED_OK(dpi_model_read_text(bed_ctx, text, strlen(text), "inline", &m));
  BED_OK(dpi_model_seal(m));
  return m;
}

NOT_TOLD static void text_take(text_run *r, const dp_result *res) {
  const int no = text_outputs(r);
  r->status = res->status[0];
  r->fail_time = res->fail_time[0];
  snprintf(r->reason, sizeof r->reason, "%s", res->reason[0]);
  for (int i = 0; i < r->nt; i++)
    for (int k = 0; k < no; k++) {
      r->value[i][k] = res->value[i * no + k];
      if (res->dvalue) r->dvalue[i][k] = res->dvalue[i * no + k];
    }
  for (int i = 0; i < r->nf; i++) r->functional[i] = res->functional[i];
}

/* The model, with these instants, to all times of r. */
NOT_TOLD static void text_go_model(text_run *r, dp_model *m, const dp_instant *in, int nin) {
  dp_output_time out[BED_MAX];
  double param[64] = {0};
  const double seed = 1;
  dp_sim *sim = text_sim(r, m);
  if (!sim) return;
  const dp_sim_desc *d = dp_sim_describe(sim);
  for (int k = 0; k < d->nparam; k++) param[k] = d->param_default[k];
  for (int i = 0; i < r->nt; i++) out[i] = (dp_output_time){bed_ticks(r->t[i]), 0};
  const dp_member member = {.param = param,
                            .seed = r->active ? &seed : NULL,
                            .out = out,
                            .nout = r->nt,
                            .stream = r->stream,
                            .functional = r->f,
                            .nfunctional = r->nf,
                            .instant = in,
                            .ninstant = nin};
  dp_run_opts opts = dp_run_opts_default();
  dp_result *res = NULL;
  opts.seed = r->seed;
  opts.ndir = r->active ? 1 : 0;
  r->created = dp_simulate(sim, &member, 1, &opts, &res);
  snprintf(r->error, sizeof r->error, "%s", r->created == DP_OK ? "" : dp_ctx_error(bed_ctx));
  if (res) text_take(r, res);
  dp_result_destroy(res);
  dp_sim_destroy(sim);
}

NOT_TOLD static void text_go(text_run *r, const char *text) {
  dp_model *m = text_model(text);
  text_go_model(r, m, NULL, 0);
  dp_model_destroy(m);
}

NOT_TOLD static void text_times(text_run *r, double until, int n) {
  r->nt = 0;
  for (int i = 0; i <= n; i++) r->t[r->nt++] = until * i / n;
}

NOT_TOLD static void text_good(const text_run *r, const char *what) {
  if (r->created != DP_OK) fail_msg("%s: %s", what, r->error);
  if (r->status != DP_MEMBER_OK) fail_msg("%s: at %g: %s", what, r->fail_time, r->reason);
}

#endif
