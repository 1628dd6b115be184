/* kind.h - a kind of twin: one folder of data and model text, compiled once, then constant and shared by all threads.
 *
 *     dp_kind *kind = NULL;
 *     char path[1024];
 *     DP_TRY(dp_kind_find(ctx, "theophylline", dirs, ndir, path, sizeof path));
 *     DP_TRY(dp_kind_load(ctx, path, &kind));
 *     ...
 *     dp_kind_destroy(kind);
 *
 * The files of a kind and their columns are documented in docs/kind.md.
 */
#ifndef DOPPEL_KIND_H
#define DOPPEL_KIND_H

#include "doppel/context.h"
#include "doppel/record.h"
#include "doppel/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_kind dp_kind;

/* Load and check a kind's folder, or a NONMEM control stream (a file) as the kind it describes. ERR_INPUT with file, row, column,
 * found, expected. */
dp_status dp_kind_load(dp_ctx *ctx, const char *dir, dp_kind **out);
void dp_kind_destroy(dp_kind *kind);

const char *dp_kind_id(const dp_kind *kind);
const char *dp_kind_title(const dp_kind *kind);
const char *dp_kind_question(const dp_kind *kind);
const char *dp_kind_dir(const dp_kind *kind);
const char *dp_kind_hash(const dp_kind *kind);       /* of every file that decides results */
const char *dp_kind_time_unit(const dp_kind *kind);
const char *dp_kind_patients(const dp_kind *kind);   /* path of the example record, "" when there is none */
double dp_kind_until(const dp_kind *kind);           /* default time up to which data are observed */
double dp_kind_horizon(const dp_kind *kind);         /* how far forecasts reach */
const dp_sim *dp_kind_sim(const dp_kind *kind);
const char *dp_kind_parameter_id(const dp_kind *kind, int i); /* rows of parameters.tsv: dp_prior.typical's order */
const char *dp_kind_effect_id(const dp_kind *kind, int i);    /* random effects: dp_prior.omega's order */
const char *dp_kind_effect_parameter(const dp_kind *kind, int i); /* the individual parameter that it makes: "ka" */
const char *dp_kind_control_id(const dp_kind *kind, int i);   /* rows of controls.tsv: dp_plan_row.control */
const char *dp_kind_control_unit(const dp_kind *kind, int i);

/* Read an event table as this kind's record: checks columns, units, covariates, observables, doses. */
dp_status dp_kind_record(const dp_kind *kind, const char *path, dp_record **out);

/* Kinds under some folders (each entry `<dir>/<kind>/twin.yaml`; names that begin with '_' or '.' are left out, folders that
 * do not exist too), sorted by id. A kind whose twin.yaml cannot be read is listed with the reason as its title. Free with
 * dp_kind_list_free. */
typedef struct dp_kind_entry {
  char id[64];
  char dir[1024];
  char title[160];
} dp_kind_entry;
dp_status dp_kind_list(dp_ctx *ctx, const char *const *dirs, int ndir, dp_kind_entry **out, int *n);
void dp_kind_list_free(dp_ctx *ctx, dp_kind_entry *entries);
/* Where a kind is: name is a kind's folder, a control stream (*.ctl, *.mod) or the id of one under the folders (the first folder that has it wins).
 * ERR_INPUT with "did you mean". */
dp_status dp_kind_find(dp_ctx *ctx, const char *name, const char *const *dirs, int ndir, char *path, size_t size);
/* Copy the template kind (a folder, or a control stream) into a new folder into_dir/id, its id replaced everywhere; the copy is loaded as a check before it
 * appears. ERR_CONFLICT when it exists. Nothing is left half-written. dry_run: only check. */
dp_status dp_kind_new(dp_ctx *ctx, const char *template_dir, const char *into_dir, const char *id, int dry_run);

#ifdef __cplusplus
}
#endif
#endif
