/* options.c - the command line parsed by a command's table of options. */
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

/* Levenshtein distance of short words. */
static int distance(const char *a, const char *b) {
  int row[64];
  int n = (int)strlen(a), m = (int)strlen(b);
  if (m > 62 || n > 62) return 99;
  for (int j = 0; j <= m; j++) row[j] = j;
  for (int i = 1; i <= n; i++) {
    int diagonal = row[0];
    row[0] = i;
    for (int j = 1; j <= m; j++) {
      int up = row[j], least = diagonal + (a[i - 1] != b[j - 1]);
      if (up + 1 < least) least = up + 1;
      if (row[j - 1] + 1 < least) least = row[j - 1] + 1;
      diagonal = up;
      row[j] = least;
    }
  }
  return row[m];
}

const char *cli_nearest(const char *word, const char *const *words, int n) {
  const char *best = NULL;
  int least = 3;
  for (int i = 0; i < n; i++) {
    int d = distance(word, words[i]);
    if (d < least && d < (int)strlen(word)) {
      least = d;
      best = words[i];
    }
  }
  return best;
}

int cli_usage(const cli_call *call, const char *fmt, ...) {
  va_list ap;
  fprintf(stderr, "doppel: ");
  va_start(ap, fmt);
  vfprintf(stderr, fmt, ap);
  va_end(ap);
  fprintf(stderr, "\n");
  if (call && call->command)
    fprintf(stderr, "see: doppel %s%s%s --help\n", call->command->noun, call->command->verb ? " " : "",
            call->command->verb ? call->command->verb : "");
  return dp_status_exit_code(DP_ERR_USAGE);
}

int cli_no_parameter(const cli_call *call, const char *before, const char *id, const dp_problem_desc *d) {
  const char *near = cli_nearest(id, d->id, d->nparam);
  return cli_usage(call, "%s'%s' is not an estimated parameter%s%s", before, id, near ? "; did you mean " : "",
                   near ? near : "");
}

static const cli_option *find_option(const cli_command *c, const char *word, size_t n) {
  for (const cli_option *o = c->option; o->name; o++)
    if (strlen(o->name) == n && strncmp(o->name, word, n) == 0) return o;
  return NULL;
}

static int unknown_option(const cli_call *call, const char *word) {
  const char *names[64];
  int n = 0;
  for (const cli_option *o = call->command->option; o->name && n < 64; o++) names[n++] = o->name;
  const char *near = cli_nearest(word, names, n);
  return near ? cli_usage(call, "unknown option '%s'; did you mean '%s'?", word, near)
              : cli_usage(call, "unknown option '%s'", word);
}

/* One option at argv[i]; *i moves over its value. */
static int take_option(cli_call *call, int argc, char **argv, int *i) {
  const char *word = argv[*i], *equals = strchr(word, '=');
  size_t n = equals ? (size_t)(equals - word) : strlen(word);
  const cli_option *o = find_option(call->command, word, n);
  if (!o) return unknown_option(call, word);
  if (call->ngiven == CLI_MAX_GIVEN) return cli_usage(call, "too many options");
  const char *value = "";
  if (o->argument) {
    if (equals)
      value = equals + 1;
    else if (*i + 1 < argc)
      value = argv[++*i];
    else
      return cli_usage(call, "option %s needs a value (%s)", o->name, o->argument);
  } else if (equals) {
    return cli_usage(call, "option %s takes no value", o->name);
  }
  call->given[call->ngiven++] = (cli_given){o, value};
  return 0;
}

int cli_parse(cli_call *call, int argc, char **argv) {
  bool options = true; /* until "--" */
  for (int i = 0; i < argc; i++) {
    if (options && strcmp(argv[i], "--") == 0) {
      options = false;
    } else if (options && argv[i][0] == '-' && argv[i][1]) {
      int code = take_option(call, argc, argv, &i);
      if (code) return code;
    } else {
      if (call->nplain == CLI_MAX_PLAIN) return cli_usage(call, "too many arguments");
      call->plain[call->nplain++] = argv[i];
    }
  }
  return 0;
}

int cli_each(const cli_call *call, const char *name, int after) {
  for (int i = after + 1; i < call->ngiven; i++)
    if (strcmp(call->given[i].option->name, name) == 0) return i;
  return -1;
}

const char *cli_get(const cli_call *call, const char *name) {
  const char *value = NULL;
  for (int i = cli_each(call, name, -1); i >= 0; i = cli_each(call, name, i)) value = call->given[i].value;
  return value;
}

void cli_as(cli_call *call, const char *name, const char *as) {
  const cli_option *o = as ? find_option(call->command, as, strlen(as)) : NULL;
  int n = 0;
  for (int i = 0; i < call->ngiven; i++) {
    cli_given g = call->given[i];
    const bool this = strcmp(g.option->name, name) == 0;
    if (this) g.option = o;
    if (!this || o) call->given[n++] = g;
  }
  call->ngiven = n;
}

void cli_give(cli_call *call, const char *name, const char *value) {
  const cli_option *o = find_option(call->command, name, strlen(name));
  if (o && call->ngiven < CLI_MAX_GIVEN) call->given[call->ngiven++] = (cli_given){o, value};
}

bool cli_has(const cli_call *call, const char *name) { return cli_get(call, name) != NULL; }

bool cli_number(const cli_call *call, const char *name, double *out) {
  const char *text = cli_get(call, name);
  if (!text) return true;
  char *end;
  double x = strtod(text, &end);
  if (end == text || *end || !isfinite(x)) {
    cli_usage(call, "option %s: found '%s', expected a number", name, text);
    return false;
  }
  *out = x;
  return true;
}

bool cli_integer(const cli_call *call, const char *name, long long *out) {
  const char *text = cli_get(call, name);
  if (!text) return true;
  char *end;
  errno = 0;
  long long x = strtoll(text, &end, 10);
  if (end == text || *end || x < 0 || errno) {
    cli_usage(call, "option %s: found '%s', expected a whole number that is not negative", name, text);
    return false;
  }
  *out = x;
  return true;
}

bool cli_count(const cli_call *call, const char *name, int low, int *out) {
  const int most = 100000000;
  long long n = *out;
  if (!cli_integer(call, name, &n)) return false;
  if (n >= low && n <= most) {
    *out = (int)n;
    return true;
  }
  if (n > most) cli_usage(call, "option %s: found %lld, expected at most %d", name, n, most);
  else if (low == 0) cli_usage(call, "option %s: found %lld, expected a count", name, n);
  else cli_usage(call, "option %s: found %lld, expected %d or more", name, n, low);
  return false;
}
