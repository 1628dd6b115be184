/* status.c - floor 0: names, sentences, advice and exit codes, all from DP_STATUS_LIST. */
#include "base/base.h"

typedef struct status_row {
  const char *name, *sentence, *advice;
  int exit_code;
} status_row;

static const status_row rows[DP_STATUS_COUNT] = {
#define DP_STATUS_ROW(name, code, sentence, advice) [DP_##name] = {#name, sentence, advice, code},
    DP_STATUS_LIST(DP_STATUS_ROW)
#undef DP_STATUS_ROW
};

/* The row of a status; a number that is no status is a bug and gets that row. */
static const status_row *row_of(dp_status status) {
  bool known = (int)status >= 0 && (int)status < DP_STATUS_COUNT;
  return &rows[known ? status : DP_ERR_BUG];
}

const char *dp_status_name(dp_status status) { return row_of(status)->name; }
const char *dp_status_sentence(dp_status status) { return row_of(status)->sentence; }
const char *dp_status_advice(dp_status status) { return row_of(status)->advice; }
int dp_status_exit_code(dp_status status) { return row_of(status)->exit_code; }
