/* surrogate_person.h - floor 9: what the files of doppel surrogate share. */
#ifndef DPI_CLI_SURROGATE_PERSON_H
#define DPI_CLI_SURROGATE_PERSON_H

#include "cli/cli.h"

/* --points, --held-out, --kind, --accuracy, --seed into def; exit code after a message. */
int surrogate_training(cli_call *call, dp_surrogate_def *def);
/* Shows it and writes it to path if it is as accurate as asked (or accepted); exit code. */
int surrogate_give(cli_call *call, const dp_surrogate *s, const char *path, double accuracy);
/* surrogate fit KIND --patient ID */
int surrogate_fit_person(cli_call *call);

#endif
