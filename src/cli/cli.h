/* cli.h - floor 9: the command line. Uses the public headers only.
 *
 * Commands and options are tables: parsing, --help, "did you mean" and the manual page all come from them.
 *   main.c      the table of commands, dispatch, exit codes
 *   options.c   parsing by table
 *   output.c    what goes to files and standard output
 *   help.c      help and manual page from the tables
 *   patient.c   whom --patient names
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
  const char *help;     /* NULL: given by the command itself (cli_give), not shown */
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
bool cli_count(const cli_call *call, const char *name, int low, int *out); /* from low to 1e8 */
/* What was given as `name` counts as given as `as`, another option of the command; NULL: as not given. */
void cli_as(cli_call *call, const char *name, const char *as);
void cli_give(cli_call *call, const char *name, const char *value); /* as if it were typed last, where there is room */
int cli_each(const cli_call *call, const char *name, int after); /* index in given[] after `after`, or -1 */
const char *cli_nearest(const char *word, const char *const *words, int n);
/* "`before`'id' is not an estimated parameter", and which may be meant; exit code */
int cli_no_parameter(const cli_call *call, const char *before, const char *id, const dp_problem_desc *d);
/* Is there a file at path that can be read? Exit code after a message. */
int cli_readable(const char *path);
/* Can a report go to path? Asked before the work, so that an hour is not spent for nothing; exit code after a
 * message. */
int cli_writable(const char *path);
void cli_json_text(const char *s); /* as a quoted JSON string on standard output */
/* `before` ("\"time\": "), then the value: the text; the number with ten digits, or so that it reads back to the same;
 * null where it is none. */
void cli_json_named(const char *before, const char *s);
void cli_json_number(const char *before, double x);
void cli_json_exact(const char *before, double x);
/* s in at most `width` (8 to 95) letters; what is cut ends in "...", so that no number loses its last digits unseen. */
const char *cli_clip(const char *s, int width, char out[96]);
/* A unit as people write it: 10^9/L for 10*9/L, nothing for 1. */
const char *cli_unit(const char *unit, char out[64]);
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

/* patient.c */
/* An event table, and on stderr what was kept in it but is worth telling. */
dp_status cli_record(const dp_kind *kind, const char *path, dp_record **out);
/* Whom --patient names: an id of the kind's record, or a file with one person. *study: of this person alone, who is
 * study->subject[0] of the record; its prior is made without them, or read (--priors; KIND/priors.tsv). Both are the
 * caller's, also after a failure. Exit code after a message. */
int cli_person(cli_call *call, const dp_kind *kind, const char *dir, dp_record **record, dp_study **study);
/* The same when nothing else of the study is needed: who it is, and the prior made without them (the caller's). */
int cli_own_prior(cli_call *call, const dp_kind *kind, const char *dir, dp_record **record, int *subject,
                  dp_prior **prior);
dp_assimilate_def cli_belief_def(long long seed, long long draws); /* draws of what is believed of one person */
/* --seed, --draws (100 to 100000) and --until into what stands there; exit code after a message. */
int cli_belief_options(const cli_call *call, long long *seed, long long *draws, double *until);
int cli_no_person(const cli_call *call); /* --patient is missing; exit code */
/* What is believed of a person, and whether it is fit for use: a line; as JSON, `,"belief":{...}`. */
void cli_print_belief(const dp_belief *b);
void cli_json_belief(const dp_belief *b);
int cli_no_patients(const cli_call *call, const dp_kind *kind, const char *option); /* nobody's record; exit code */
/* Is a word that may be a name or a file meant as a file? A path, or what ends as files do (.csv). */
bool cli_names_file(const char *word);
/* An id that looks like a path and is nobody's: a file is meant. Exit code after a message; 0: it is somebody's, or no
 * path. */
int cli_nobody(const char *patient, const dp_record *record);

/* main.c */
int cli_failed(cli_call *call, dp_status status); /* prints the context's message, returns the exit code */
/* Folder of a kind by id or path (also a template, whose name begins with '_'), into dir[1024]; exit code on failure
 * after a message. */
int cli_kind_dir(cli_call *call, const char *name, char dir[1024]);
int cli_kind_dirs(const cli_call *call, const char *out[8]);
dp_ctx *cli_context(void);
const char *cli_cache(void); /* folder for machine code, NULL: none */

/* rows of a table of options: what every command about a calibration problem has */
#define CLI_PROBLEM_OPTIONS                                        \
  {"--method", "NAME", "an integrator as of simulate (ensemble)"}, \
  {"--rtol", "X", "relative tolerance (1e-8)"},                    \
  {"--atol", "X", "absolute tolerance (1e-12)"},                   \
  {"--json", NULL, "JSON instead of text"},                        \
  {"--threads", "N", "threads; results do not depend on it"}
/* and what every command about one person of a kind has */
#define CLI_PATIENT_OPTION \
  {"--patient", "FILE|ID", "an event table of one's own with one person, or the id of one person of the kind's record"}
#define CLI_PRIORS_OPTION \
  {"--priors", "FILE", "stored leave-one-out priors; used only where their hash matches (KIND/priors.tsv)"}
#define CLI_KIND_LAST_OPTIONS                                 \
  {"--json", NULL, "one JSON object"},                        \
  {"--threads", "N", "threads; results do not depend on it"}, \
  {"--twins", "DIR", "a further folder with kinds"}

#define CLI_TRY(call, expression)                              \
  do {                                                         \
    dp_status cli_try_ = (expression);                         \
    if (cli_try_ != DP_OK) return cli_failed((call), cli_try_); \
  } while (0)

int cmd_run(cli_call *call);
int cmd_simulate(cli_call *call);
int cmd_sensitivity(cli_call *call);
int cmd_track(cli_call *call);
int cmd_gain(cli_call *call);
int cmd_dose(cli_call *call);
int cmd_forecast(cli_call *call);
int cmd_plan(cli_call *call);
int cmd_surrogate_fit(cli_call *call);
int cmd_surrogate_show(cli_call *call);
int cmd_surrogate_forecast(cli_call *call);
int cmd_fit(cli_call *call);
int cmd_vpc(cli_call *call);
int cmd_twin_list(cli_call *call);
int cmd_twin_show(cli_call *call);
bool cli_is_problem(const char *text); /* PROBLEM.yaml rather than a kind? (twin_problem.c) */
/* Refuses options that would be passed over in silence: those whose help begins with "PROBLEM:" where the first word is
 * none, of_kind [n] where it is one. */
int cli_check_problem_options(const cli_call *call, const char *const *of_kind, size_t n);
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
int cmd_compare(cli_call *call);
int cmd_assimilate(cli_call *call);
int cmd_suite(cli_call *call);
int cmd_bench(cli_call *call);
int cmd_trial(cli_call *call);
int cmd_tune(cli_call *call);
int cli_bench_calibration(cli_call *call); /* bench calibration */
int cli_bench_loop(cli_call *call); /* bench loop */
int cli_bench_insulin(cli_call *call); /* bench insulin */
int cmd_doctor(cli_call *call);
int cmd_glucose(cli_call *call);

extern const cli_option cli_options_glucose[], cli_options_select[], cli_options_compare[], cli_options_trial[],
    cli_options_tune[], cli_options_track[];
extern const cli_option cli_options_assimilate[], cli_options_run[], cli_options_simulate[], cli_options_sensitivity[],
    cli_options_gain[], cli_options_dose[], cli_options_surrogate[], cli_options_surrogate_show[],
    cli_options_surrogate_forecast[], cli_options_forecast[], cli_options_plan[],
    cli_options_fit[], cli_options_vpc[],
    cli_options_kind[], cli_options_new[], cli_options_model[], cli_options_check[], cli_options_convert[],
    cli_options_data[], cli_options_petab[], cli_options_profile[], cli_options_sample[], cli_options_suite[],
    cli_options_bench[], cli_options_doctor[];

#endif
