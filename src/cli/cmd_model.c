/* cmd_model.c - doppel model show | check, doppel data check. */
#include <string.h>

#include "cli/cli.h"

const cli_option cli_options_model[] = {{0}};
const cli_option cli_options_data[] = {{"--kind", "KIND", "the kind whose record it shall be"},
                                       {"--twins", "DIR", "a further folder with kinds"},
                                       {0}};

/* Read and seal the one FILE; exit code or 0. */
static int read_model(cli_call *call, dp_model **model) {
  if (call->nplain != 1) return cli_usage(call, "expected one FILE, found %d", call->nplain);
  CLI_TRY(call, dp_model_read(call->ctx, call->plain[0], model));
  dp_status status = dp_model_seal(*model);
  if (status == DP_OK) return 0;
  int code = cli_failed(call, status);
  dp_model_destroy(*model);
  return code;
}

int cmd_model_show(cli_call *call) {
  dp_model *model = NULL;
  int code = read_model(call, &model);
  if (code) return code;
  char *text = NULL;
  dp_status status = dp_model_show(model, &text);
  if (status == DP_OK) fputs(text, stdout);
  if (status != DP_OK) code = cli_failed(call, status);
  dp_model_text_free(model, text);
  dp_model_destroy(model);
  return code;
}

int cmd_model_check(cli_call *call) {
  dp_model *model = NULL;
  int code = read_model(call, &model);
  if (code) return code;
  printf("%s: sound; %d states; hash %s\n", call->plain[0], dp_model_nstate(model), dp_model_hash(model));
  dp_model_destroy(model);
  return 0;
}

static void count_rows(const dp_record *r, int counts[5]) {
  for (int s = 0; s < r->nsubject; s++)
    for (int i = 0; i < r->subject[s].nevent; i++) {
      const dp_event *e = &r->subject[s].event[i];
      if (e->evid >= 0 && e->evid < 5) counts[e->evid]++;
    }
}

static void print_record(const dp_record *r) {
  int counts[5] = {0};
  count_rows(r, counts);
  printf("%s: %d people, %d observations, %d doses, %d resets, %d other rows; hash %.12s\n", r->source, r->nsubject,
         counts[0], counts[1] + counts[4], counts[3] + counts[4], counts[2], r->hash);
  printf("covariates:");
  for (int i = 0; i < r->ncovariate; i++) printf(" %s", r->covariate_id[i]);
  printf("%s\n", r->ncovariate ? "" : " none");
  for (int i = 0; i < r->nwarning; i++) printf("warning: %s\n", r->warning[i]);
}

int cmd_data_check(cli_call *call) {
  if (call->nplain != 1) return cli_usage(call, "expected one FILE, found %d", call->nplain);
  dp_kind *kind = NULL;
  dp_record *record = NULL;
  dp_status status;
  const char *name = cli_get(call, "--kind");
  if (name) {
    char dir[1024];
    int code = cli_kind_dir(call, name, dir);
    if (code) return code;
    CLI_TRY(call, dp_kind_load(call->ctx, dir, &kind));
    status = dp_kind_record(kind, call->plain[0], &record);
  } else {
    dp_record_def def = dp_record_def_default();
    status = dp_record_read(call->ctx, call->plain[0], &def, &record);
  }
  char *text = NULL;
  if (status == DP_OK && kind) status = dp_report_record(kind, record, &text);
  int code = 0;
  if (status == DP_OK) {
    print_record(record);
    if (text) fputs(text, stdout);
  } else {
    code = cli_failed(call, status);
  }
  dp_report_free(call->ctx, text);
  dp_record_destroy(record);
  dp_kind_destroy(kind);
  return code;
}
