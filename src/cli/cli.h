/* cli.h - floor 9: the command line. Uses the public headers only.
 *
 * Commands and options are tables: parsing, --help, "did you mean" and the manual page all come from them.
 *   main.c      the table of commands, dispatch, exit codes
 *   options.c   parsing by table
 *   output.c    what goes to files and standard output
 *   help.c      help and manual page from the tables
 *   cmd_*.c     one file a noun
 */
#ifndef DPI_CLI_H
#define DPI_CLI_H

#include <stdbool.h>
#include <stdio.h>

#include "doppel/doppel.h"

typedef struct cli_option {
  const char *name;     /* "--until" */
  const char *argument; /* "HOURS"; NULL: a flag */
  const char *help;
} cli_option;

typedef struct cli_given {
  const cli_option *option;
  const char *value;
} cli_given;

enum { CLI_MAX_GIVEN = 256, CLI_MAX_PLAIN = 64 };

typedef struct cli_call {
  dp_ctx *ctx;
  const struct cli_command *command;
  cli_given given[CLI_MAX_GIVEN];
  int ngiven;
  const char *plain[CLI_MAX_PLAIN]; /* arguments that are no options */
  int nplain;
  char *line; /* the command line as typed, quoted where a shell needs it, for reports */
} cli_call;

typedef struct cli_command {
  const char *noun, *verb; /* verb NULL: the noun alone */
  const char *arguments;   /* "KIND" */
  const char *help;        /* one line */
  const char *more;        /* further text, or NULL */
  const cli_option *option; /* ends with name NULL */
  int (*run)(cli_call *call); /* exit code */
} cli_command;

const cli_command *cli_commands(void); /* ends with noun NULL */

/* options.c */
int cli_parse(cli_call *call, int argc, char **argv); /* 0 or exit code */
const char *cli_get(const cli_call *call, const char *name); /* last value, "" for a flag, NULL when not given */
bool cli_has(const cli_call *call, const char *name);
/* false (with message) when given and no number */
bool cli_number(const cli_call *call, const char *name, double *out);
bool cli_integer(const cli_call *call, const char *name, long long *out);
int cli_each(const cli_call *call, const char *name, int after); /* index in given[] after `after`, or -1 */
const char *cli_nearest(const char *word, const char *const *words, int n);
/* Can a report go to path? Asked before the work, so that an hour is not spent for nothing; exit code after a
 * message. */
int cli_writable(const char *path);
void cli_json_text(const char *s); /* as a quoted JSON string on standard output */
int cli_usage(const cli_call *call, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* help.c */
void cli_help(FILE *to, const cli_command *command); /* NULL: all */
void cli_manual(FILE *to);

/* ranks.c */
/* Under mpirun all ranks share this command's work, or rank 0 does it alone. 0 or exit code after a message. */
int cli_ranks_join(bool share);
int cli_ranks_leave(int code);                  /* the exit code to end with */
int cli_rank(void);                             /* 0 also without ranks */
int cli_nrank(void);
const dp_ranks *cli_ranks(void); /* NULL: alone */

/* main.c */
int cli_failed(cli_call *call, dp_status status); /* prints the context's message, returns the exit code */
/* Folder of a kind by id or path (also a template, whose name begins with '_'), into dir[1024]; exit code on failure
 * after a message. */
int cli_kind_dir(cli_call *call, const char *name, char dir[1024]);
int cli_kind_dirs(const cli_call *call, const char *out[8]);
dp_ctx *cli_context(void);
const char *cli_cache(void); /* folder for machine code, NULL: none */

#define CLI_TRY(call, expression)                              \
  do {                                                         \
    dp_status cli_try_ = (expression);                         \
    if (cli_try_ != DP_OK) return cli_failed((call), cli_try_); \
  } while (0)

int cmd_run(cli_call *call);
int cmd_simulate(cli_call *call);
int cmd_sensitivity(cli_call *call);
int cmd_gain(cli_call *call);
int cmd_surrogate_fit(cli_call *call);
int cmd_surrogate_show(cli_call *call);
int cmd_fit(cli_call *call);
int cmd_twin_list(cli_call *call);
int cmd_twin_show(cli_call *call);
bool cli_is_problem(const char *text); /* PROBLEM.yaml rather than a kind? (twin_problem.c) */
int cli_problem_show(cli_call *call, const char *path);
int cmd_twin_new(cli_call *call);
int cmd_twin_validate(cli_call *call);
int cmd_model_show(cli_call *call);
int cmd_model_check(cli_call *call);
int cmd_model_convert(cli_call *call);
int cmd_data_check(cli_call *call);
int cmd_petab_eval(cli_call *call);
int cmd_fit_problem(cli_call *call); /* fit, when its argument is a PROBLEM.yaml */
int cmd_profile(cli_call *call);
int cmd_sample(cli_call *call);
int cmd_select(cli_call *call);
int cmd_assimilate(cli_call *call);
int cmd_suite(cli_call *call);
int cmd_bench(cli_call *call);
int cli_bench_calibration(cli_call *call); /* bench calibration */
int cmd_doctor(cli_call *call);

extern const cli_option cli_options_select[];
extern const cli_option cli_options_assimilate[], cli_options_run[], cli_options_simulate[], cli_options_sensitivity[], cli_options_gain[], cli_options_surrogate[], cli_options_surrogate_show[], cli_options_fit[], cli_options_kind[],
    cli_options_new[], cli_options_model[], cli_options_check[], cli_options_convert[], cli_options_data[],
    cli_options_petab[], cli_options_profile[], cli_options_sample[], cli_options_suite[], cli_options_bench[], cli_options_doctor[];

#endif
