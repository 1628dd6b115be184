/* simulate_surrogate.c - floor 9: doppel simulate, doppel sensitivity on a surrogate's file: its
 * quantities at its times.
 *
 * One curve: the means and their errors. Members: draws, the error a random part of each.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/simulate.h"

enum { MOST_BYTES = 256 << 20 };

/* The whole file, NULL when it can't be read (whoever reads it next says why) or is none of a surrogate. */
static char *read_surrogate(const char *path, size_t *size) {
  FILE *f = fopen(path, "rb");
  char head[64], *text = NULL;
  size_t n = f ? fread(head, 1, sizeof head, f) : 0;
  long end = 0;
  if (dp_surrogate_is_text(head, n) && fseek(f, 0, SEEK_END) == 0) end = ftell(f);
  if (end > 0 && end <= MOST_BYTES && fseek(f, 0, SEEK_SET) == 0) text = malloc((size_t)end + 1);
  if (text && fread(text, 1, (size_t)end, f) != (size_t)end) {
    free(text);
    text = NULL;
  }
  if (text) text[end] = 0;
  if (f) fclose(f);
  *size = (size_t)end;
  return text;
}

static int by_time(const void *a, const void *b) {
  dp_time x = ((const dp_output_time *)a)->time, y = ((const dp_output_time *)b)->time;
  return (x > y) - (x < y);
}

/* The trained times, each once. An id ends with "@TIME". */
static int trained_times(simulation *s, const dp_surrogate_desc *d) {
  free(s->when);
  s->nwhen = 0;
  s->when = calloc((size_t)d->noutput, sizeof *s->when);
  if (!s->when) return dp_status_exit_code(DP_ERR_MEMORY);
  for (int o = 0; o < d->noutput; o++) {
    const char *at = strrchr(d->output[o].id, '@');
    double t = at ? strtod(at + 1, NULL) * (double)DP_TICKS : 0;
    s->when[o] = (dp_output_time){(dp_time)(t < 0 ? t - 0.5 : t + 0.5), INT32_MAX};
  }
  qsort(s->when, (size_t)d->noutput, sizeof *s->when, by_time);
  for (int o = 0; o < d->noutput; o++)
    if (o == 0 || s->when[o].time != s->when[s->nwhen - 1].time) s->when[s->nwhen++] = s->when[o];
  return 0;
}

static void add_word(simulation *s, int *nword, const char *form, int length, const char *id) {
  char *word = s->words[(*nword)++];
  snprintf(word, sizeof s->words[0], form, length, id);
  for (int c = 0; c < s->ncolumn; c++)
    if (strcmp(s->column[c].id, word) == 0) return;
  s->column[s->ncolumn++] = (dp_output_def){.id = word, .unit = ""};
}

static bool is_signal(const dp_surrogate_desc *d, const char *text) {
  size_t n = strlen(text);
  bool error = strncmp(text, "error(", 6) == 0 && text[n - 1] == ')';
  const char *id = error ? text + 6 : text;
  size_t m = error ? n - 7 : n;
  for (int o = 0; o < d->noutput; o++) {
    const char *at = strrchr(d->output[o].id, '@');
    if (at && (size_t)(at - d->output[o].id) == m && strncmp(d->output[o].id, id, m) == 0) return true;
  }
  return false;
}

static int columns(cli_call *call, simulation *s, const dp_surrogate_desc *d) {
  size_t most = 2 * (size_t)d->noutput + (size_t)call->ngiven + 1;
  int nword = 0;
  s->column = calloc(most, sizeof *s->column);
  s->words = calloc(most, sizeof *s->words);
  if (!s->column || !s->words) return dp_status_exit_code(DP_ERR_MEMORY);
  for (int i = cli_each(call, "--output", -1); i >= 0; i = cli_each(call, "--output", i)) {
    const char *text = call->given[i].value;
    s->column[s->ncolumn++] = (dp_output_def){.id = text, .formula = is_signal(d, text) ? NULL : text, .unit = ""};
  }
  for (int o = 0; o < d->noutput && !cli_has(call, "--output"); o++) {
    const char *id = d->output[o].id, *at = strrchr(id, '@');
    int length = at ? (int)(at - id) : 0;
    add_word(s, &nword, "%.*s", length, id);
    if (!s->ensemble && length < 120) add_word(s, &nword, "error(%.*s)", length, id);
  }
  return 0;
}

int simulate_load_surrogate(cli_call *call, dp_surrogate **out) {
  size_t size;
  char *text = read_surrogate(call->plain[0], &size);
  if (!text) return 0;
  dp_status status = dp_surrogate_load(call->ctx, call->plain[0], text, size, out);
  free(text);
  return status == DP_OK ? 0 : cli_failed(call, status);
}

int simulate_surrogate(cli_call *call, simulation *s) {
  int code = simulate_load_surrogate(call, &s->surrogate);
  if (code || !s->surrogate) return code;
  dp_surrogate_desc d = dp_surrogate_describe(s->surrogate);
  s->spoke = "statistical";
  s->method = s->method_given ? s->method : s->ensemble ? "draw" : "mean";
  if (!(s->atol > 0)) s->atol = dp_sim_def_default().atol;
  if (!cli_has(call, "--start")) s->start = d.start;
  s->first_time = (dp_time)(s->start * (double)DP_TICKS + (s->start < 0 ? -0.5 : 0.5));
  if (!cli_has(call, "--at") && !cli_has(call, "--end")) code = trained_times(s, &d);
  if (!code) code = columns(call, s, &d);
  if (!code) code = simulate_make_sim(call, s);
  return code ? code : simulate_parameters(call, s);
}
