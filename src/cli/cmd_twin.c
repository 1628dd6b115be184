/* cmd_twin.c - doppel twin list | show | new | validate. */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

const cli_option cli_options_kind[] = {{"--twins", "DIR", "a further folder with kinds"},
                                       {"--json", NULL, "JSON instead of text"},
                                       {"--threads", "N", "threads; results do not depend on it"},
                                       {0}};
const cli_option cli_options_new[] = {
    {"--into", "DIR", "the folder that gets it (twins)"},
    {"--template", "DIR", "what is copied (the kinds' folder _template)"},
    {"--from", "FILE.ctl", "a NONMEM control stream, written as the kind that is read from it"},
    {"--twins", "DIR", "a further folder with kinds"},
    {"--dry-run", NULL, "say what would be made"},
    {0}};

/* A folder that was named must be one; those that are looked at anyhow need not be there. */
static int named_folders(cli_call *call) {
  for (int i = cli_each(call, "--twins", -1); i >= 0; i = cli_each(call, "--twins", i)) {
    const char *dir = call->given[i].value;
    struct stat st;
    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) continue;
    fprintf(stderr, "doppel: option --twins: %s: %s; expected a folder with kinds\n", dir,
            stat(dir, &st) == 0 ? "not a folder" : strerror(errno));
    return dp_status_exit_code(DP_ERR_INPUT);
  }
  return 0;
}

int cmd_twin_list(cli_call *call) {
  if (call->nplain) return cli_usage(call, "list takes no argument, found '%s'", call->plain[0]);
  const int code = named_folders(call);
  if (code) return code;
  const char *dirs[8];
  int n = cli_kind_dirs(call, dirs), found = 0;
  dp_kind_entry *entry = NULL;
  CLI_TRY(call, dp_kind_list(call->ctx, dirs, n, &entry, &found));
  bool json = cli_has(call, "--json");
  int id = 16, title = 40;
  for (int i = 0; i < found; i++) {
    id = (int)strlen(entry[i].id) > id ? (int)strlen(entry[i].id) : id;
    title = (int)strlen(entry[i].title) > title ? (int)strlen(entry[i].title) : title;
  }
  if (json) printf("[");
  for (int i = 0; i < found; i++) {
    if (json) {
      printf("%s\n {\"id\":", i ? "," : "");
      cli_json_text(entry[i].id);
      printf(",\"title\":");
      cli_json_text(entry[i].title);
      printf(",\"dir\":");
      cli_json_text(entry[i].dir);
      printf("}");
    } else
      printf("%-*s  %-*s  %s\n", id, entry[i].id, title, entry[i].title, entry[i].dir);
  }
  if (json) printf("\n]\n");
  dp_kind_list_free(call->ctx, entry);
  return 0;
}

static int load(cli_call *call, dp_kind **kind) {
  if (call->nplain != 1) return cli_usage(call, "expected one KIND, found %d", call->nplain);
  char dir[1024];
  int code = cli_kind_dir(call, call->plain[0], dir);
  if (code) return code;
  dp_status status = dp_kind_load(call->ctx, dir, kind);
  return status == DP_OK ? 0 : cli_failed(call, status);
}

int cmd_twin_show(cli_call *call) {
  if (call->nplain == 1 && cli_is_problem(call->plain[0])) return cli_problem_show(call, call->plain[0]);
  dp_kind *kind = NULL;
  int code = load(call, &kind);
  if (code) return code;
  char *text = NULL;
  bool json = cli_has(call, "--json");
  dp_status status = json ? dp_report_kind_json(kind, &text) : dp_report_kind(kind, &text);
  if (status == DP_OK) printf("%s%s", text, json ? "\n" : "");
  dp_report_free(call->ctx, text);
  if (status != DP_OK) code = cli_failed(call, status);
  dp_kind_destroy(kind);
  return code;
}

int cmd_twin_new(cli_call *call) {
  if (call->nplain != 1) return cli_usage(call, "expected one ID, found %d", call->nplain);
  char template[1024];
  const char *into = cli_get(call, "--into");
  if (cli_has(call, "--template") && cli_has(call, "--from"))
    return cli_usage(call, "--template and --from: expected one of them");
  if (cli_has(call, "--from")) {
    snprintf(template, sizeof template, "%s", cli_get(call, "--from"));
  } else if (cli_has(call, "--template")) {
    snprintf(template, sizeof template, "%s", cli_get(call, "--template"));
  } else {
    int code = cli_kind_dir(call, "_template", template);
    if (code) return code;
  }
  if (!into) into = "twins";
  CLI_TRY(call, dp_kind_new(call->ctx, template, into, call->plain[0], cli_has(call, "--dry-run")));
  printf("%s %s/%s\nnext: doppel run %s/%s\n", cli_has(call, "--dry-run") ? "would make" : "made", into,
         call->plain[0], into, call->plain[0]);
  return 0;
}

static void json_number(const char *key, double x) {
  if (isfinite(x))
    printf(",\"%s\":%.10g", key, x);
  else
    printf(",\"%s\":null", key);
}

static int print_rows_json(const dp_validation_row *row, int n) {
  int failed = 0;
  printf("[");
  for (int i = 0; i < n; i++) {
    failed += !row[i].pass;
    printf("%s\n {\"figure\":", i ? "," : "");
    cli_json_text(row[i].id);
    json_number("published", row[i].published);
    json_number("ours", row[i].ours);
    json_number("tolerance", row[i].tolerance);
    printf(",\"pass\":%s,\"source\":", row[i].pass ? "true" : "false");
    cli_json_text(row[i].source ? row[i].source : "");
    printf(",\"note\":");
    cli_json_text(row[i].note);
    printf("}");
  }
  printf("\n]\n");
  return failed;
}

int cmd_twin_validate(cli_call *call) {
  if (call->nplain == 1 && cli_is_problem(call->plain[0]))
    return cli_usage(
        call,
        "a calibration problem brings no published figures; see doppel petab eval, or doppel suite petab-benchmark");
  dp_kind *kind = NULL;
  int code = load(call, &kind), n = 0, failed = 0;
  if (code) return code;
  dp_validation_row *row = NULL;
  dp_status status = dp_twin_validate(kind, &row, &n);
  if (status != DP_OK) {
    code = cli_failed(call, status);
    dp_kind_destroy(kind);
    return code;
  }
  if (cli_has(call, "--json")) {
    failed = print_rows_json(row, n);
    dp_validation_free(call->ctx, row);
    dp_kind_destroy(kind);
    return failed ? 1 : 0;
  }
  printf("%-24s %14s %14s %10s  %-5s %s\n", "figure", "published", "ours", "tolerance", "", "source");
  for (int i = 0; i < n; i++) {
    failed += !row[i].pass;
    printf("%-24s %14.6g %14.6g %10.2g  %-5s %s%s%s\n", row[i].id, row[i].published, row[i].ours, row[i].tolerance,
           row[i].pass ? "pass" : "FAIL", row[i].source, row[i].note[0] ? "; " : "", row[i].note);
  }
  printf("%d passed, %d failed\n", n - failed, failed);
  dp_validation_free(call->ctx, row);
  dp_kind_destroy(kind);
  return failed ? 1 : 0;
}
