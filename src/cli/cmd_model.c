/* cmd_model.c - doppel model show | check | convert, doppel data check. */
#include <string.h>

#include "cli/cli.h"

const cli_option cli_options_model[] = {{0}};
const cli_option cli_options_check[] = {{"--json", NULL, "JSON instead of text"}, {0}};
const cli_option cli_options_convert[] = {{"--to", "LANGUAGE", "sbml or antimony (the one FILE is not written in)"},
                                          {"-o", "FILE", "where it goes (standard output)"},
                                          {"--dry-run", NULL, "read and convert everything, write nothing"},
                                          {0}};
const cli_option cli_options_data[] = {{"--kind", "KIND", "the kind whose record it shall be"},
                                       {"--twins", "DIR", "a further folder with kinds"},
                                       {0}};

/* Read and seal the one FILE; exit code or 0. */
static int read_model(cli_call *call, dp_model **model) {
  if (call->nplain != 1) return cli_usage(call, "expected one FILE, found %d", call->nplain);
  CLI_TRY(call, dp_model_read(call->ctx, call->plain[0], model));
  dp_status status = dp_model_seal_partly(*model, NULL, 0);
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

/* ---- check ---- */
typedef struct check_answer {
  bool json;
  int n;      /* findings so far */
  int kind;   /* of the last one */
} check_answer;

static const struct {
  const char *key, *title;
} finding_kinds[] = {
    [DP_FINDING_SUMMARY] = {"summary", ""},
    [DP_FINDING_CONSERVED] = {"conserved", "conserved"},
    [DP_FINDING_UNITS] = {"units", "units"},
    [DP_FINDING_STRUCTURE] = {"structure", "structure"},
};

static void finding_json(check_answer *a, const dp_finding *f) {
  printf("%s\n  {\"kind\": \"%s\", \"element\": ", a->n ? "," : "", finding_kinds[f->kind].key);
  cli_json_text(f->element);
  if (f->line > 0) printf(", \"line\": %d", f->line);
  printf(", \"text\": ");
  cli_json_text(f->text);
  printf("}");
}

static void finding_text(check_answer *a, const dp_finding *f) {
  const char *title = finding_kinds[f->kind].title;
  if (title[0] && (a->n == 0 || a->kind != (int)f->kind)) printf("%s\n", title);
  printf("  %s", f->text);
  if (f->line > 0 && f->kind != DP_FINDING_SUMMARY) printf("  (line %d)", f->line);
  printf("\n");
}

static dp_status take_finding(void *user, const dp_finding *f) {
  check_answer *a = user;
  if (a->json) finding_json(a, f);
  else finding_text(a, f);
  a->n++;
  a->kind = (int)f->kind;
  return DP_OK;
}

/* the answer of a program that asked for a model that is not sound */
static int check_failed(cli_call *call, int code) {
  if (!cli_has(call, "--json")) return code;
  const char *word = code == dp_status_exit_code(DP_ERR_UNSUPPORTED) ? "unsupported"
                     : code == dp_status_exit_code(DP_ERR_INPUT)     ? "invalid"
                                                                     : NULL;
  if (!word) return code;
  printf("{\"file\": ");
  cli_json_text(call->plain[0]);
  printf(", \"status\": \"%s\", \"message\": ", word);
  cli_json_text(dp_ctx_error(call->ctx));
  printf("}\n");
  return code;
}

/* What only the engine that runs a model can refuse, before time zero: exit code or 0. */
static int try_engine(cli_call *call, dp_model *model) {
  dp_sim_def def = dp_sim_def_default();
  dp_sim *sim = NULL;
  if (dp_flux_has(model)) return 0;
  def.model = model;
  CLI_TRY(call, dp_sim_create(call->ctx, &def, &sim));
  dp_sim_destroy(sim);
  return 0;
}

int cmd_model_check(cli_call *call) {
  const char *word;
  dp_model *model = NULL;
  int code = read_model(call, &model);
  if (code == 0 && (code = try_engine(call, model)) != 0) dp_model_destroy(model);
  if (code) return check_failed(call, code);
  word = dp_model_nunknown(model) ? "incomplete" : "sound";
  check_answer a = {.json = cli_has(call, "--json")};
  if (a.json) {
    printf("{\"file\": ");
    cli_json_text(call->plain[0]);
    printf(", \"status\": \"%s\", \"language\": ", word);
    cli_json_text(dp_model_language(model));
    printf(", \"states\": %d, \"hash\": \"%s\", \"findings\": [", dp_model_nstate(model), dp_model_hash(model));
  } else {
    printf("%s: %s; %d states; hash %s\n", call->plain[0], word, dp_model_nstate(model), dp_model_hash(model));
  }
  dp_status status = dp_model_check(model, take_finding, &a);
  if (a.json) printf("\n]}\n");
  if (status != DP_OK) code = cli_failed(call, status);
  dp_model_destroy(model);
  return code;
}

/* ---- convert ---- */
static int write_text(const char *path, const char *text) {
  char part[1200];
  int n = snprintf(part, sizeof part, "%s.part", path);
  if (n < 0 || n >= (int)sizeof part) return dp_status_exit_code(DP_ERR_IO);
  FILE *f = fopen(part, "wb");
  bool good = f && fputs(text, f) >= 0;
  if (f && fclose(f) != 0) good = false;
  if (good && rename(part, path) == 0) return 0;
  if (f) remove(part);
  fprintf(stderr, "doppel: %s: cannot be written\n", path);
  return dp_status_exit_code(DP_ERR_IO);
}

static void print_notes(const char *notes) {
  while (notes && *notes) {
    size_t n = strcspn(notes, "\n");
    fprintf(stderr, "doppel: note: %.*s\n", (int)n, notes);
    notes += n + (notes[n] == '\n');
  }
}

static int convert(cli_call *call, dp_model *model) {
  const char *to = cli_get(call, "--to"), *path = cli_get(call, "-o");
  char *text = NULL, *notes = NULL;
  if (!to) to = strncmp(dp_model_language(model), "SBML", 4) == 0 ? "antimony" : "sbml";
  CLI_TRY(call, dp_model_write(model, to, &text, &notes));
  print_notes(notes);
  int code = 0;
  if (cli_has(call, "--dry-run"))
    printf("%s: can be written as %s, %zu bytes; nothing was written\n", call->plain[0], to, strlen(text));
  else if (path) code = write_text(path, text);
  else fputs(text, stdout);
  dp_model_text_free(model, text);
  dp_model_text_free(model, notes);
  return code;
}

int cmd_model_convert(cli_call *call) {
  const char *path = cli_get(call, "-o");
  dp_model *model = NULL;
  if (path) {
    int bad = cli_writable(path);
    if (bad) return bad;
  }
  if (call->nplain != 1) return cli_usage(call, "expected one FILE, found %d", call->nplain);
  CLI_TRY(call, dp_model_read(call->ctx, call->plain[0], &model)); /* not sealed: what can't be run can be converted */
  int code = convert(call, model);
  dp_model_destroy(model);
  return code;
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
