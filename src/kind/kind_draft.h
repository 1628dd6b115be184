/* kind_draft.h - a kind while it is being built: the files read so far and the formulas not yet composed.
 *
 *     kind_load.c    opens the folder, calls the readers in order, seals                        -> dp_kind
 *     kind_rows.c    parameters, observables, quantities, controls, evidence: rows to structs
 *     kind_people.c  population and covariates: who differs from whom
 *     kind_reward.c  reward.yaml: limits and rewards
 *     kind_plan.c    reward.yaml: which plans there are; formulas over a reward's value
 *     kind_linear.c  which responses are proportional to the doses
 *     kind_compose.c model + rows -> assigned symbols, outputs, controls, sim
 * Private to the room.
 */
#ifndef DPI_KIND_DRAFT_H
#define DPI_KIND_DRAFT_H

#include "doppel/model.h"
#include "format/nmtran_control.h"
#include "kind/kind_impl.h"
#include "kind/kind_sheet.h"
#include "kind/kind_yaml.h"

/* a formula and where it stands ("path:line: column"), NULL text: none */
typedef struct dpi_formula {
  const char *text;
  const char *where;
} dpi_formula;

/* an individual parameter: assigned from a typical value, covariates and effects */
typedef struct dpi_individual {
  const char *id, *where;
  int typical; /* row in param[] */
  dpi_distribution distribution;
} dpi_individual;

/* a covariate's factor on an individual parameter */
typedef struct dpi_factor {
  int individual;
  dpi_formula formula;
} dpi_factor;

typedef struct dpi_draft {
  dp_ctx *ctx;
  dp_kind *kind;
  dpi_arena *arena;  /* the kind's */
  dpi_yaml_doc twin; /* twin.yaml */
  const dpi_kind_extra *extra;   /* what is added to the model, NULL: nothing */
  const dpi_nmtran_kind *stream; /* the kind's files when they were read from a control stream, NULL: a folder */
  dpi_sha256 *hash;
  dp_unit time_unit;
  const char *method, *method_ensemble;
  double rtol, atol, rtol_ensemble;
  /* writable faces of the kind's arrays */
  dpi_kind_param *param;
  dpi_kind_effect *effect;
  dpi_kind_observable *observable;
  dpi_kind_covariate *covariate;
  dpi_kind_control *control;
  dpi_kind_quantity *quantity;
  /* texts to compose */
  int nindividual;
  dpi_individual *individual;
  int *effect_individual;     /* [neffect] */
  dpi_formula *value, *sigma; /* [nobservable] */
  dpi_formula *formula;       /* [nquantity] */
  int nfactor, cap_factor;
  dpi_factor *factor;          /* dpi_grow; freed when the draft ends */
  dp_control_def *control_def; /* [ncontrol] */
  const char **control_where;  /* [ncontrol] "path:line" */
} dpi_draft;

/* The file twin.yaml names under key; *text NULL when it names none. Its bytes enter the hash when hashed. */
dp_status dpi_draft_file(dpi_draft *d, const char *key, bool required, bool hashed,
                         const char **path, char **text, size_t *size);
/* The table twin.yaml names under key; nrow 0 when it names none and it is not required. */
dp_status dpi_draft_sheet(dpi_draft *d, const char *key, bool required,
                          const dpi_sheet_column *column, int ncolumn, dpi_sheet *sheet);
/* Parse a unit; messages start with where. "" is refused: a unit is said, "1" if there is none. */
dp_status dpi_draft_unit(dpi_draft *d, const char *where, const char *text, dp_unit *out);
/* Row whose id is word among n ids; ERR_INPUT with "did you mean". what: "parameter of parameters.tsv". */
dp_status dpi_draft_refer(dpi_draft *d, const char *where, const char *what, const char *word,
                          const char *const *ids, int n, int *out);
/* Ids of param[], effect[], quantity[] as arena arrays, for dpi_draft_refer. */
dp_status dpi_draft_param_ids(dpi_draft *d, const char *const **ids);
dp_status dpi_draft_quantity_ids(dpi_draft *d, const char *const **ids);

dp_status dpi_draft_parameters(dpi_draft *d);
dp_status dpi_draft_population(dpi_draft *d);
dp_status dpi_draft_covariates(dpi_draft *d);
dp_status dpi_draft_observables(dpi_draft *d);
dp_status dpi_draft_controls(dpi_draft *d);
dp_status dpi_draft_quantities(dpi_draft *d);
dp_status dpi_draft_reward(dpi_draft *d);
/* The `plan` map of reward.yaml (NULL: none); r->control is known. */
dp_status dpi_draft_plan(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *map, dpi_kind_reward *r);
/* A formula over x, from the entry at node; released with the kind. */
dp_status dpi_draft_utility(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node, struct dpi_kind_formula **out);
void dpi_kind_reward_release(dp_kind *kind);
/* "36 h" (or 0) at node as the kind's time; messages name node's line. */
dp_status dpi_draft_time(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node, double *out);
/* "<number> [unit]"; *unit lives in the arena. */
bool dpi_number_and_unit(dpi_arena *arena, const char *text, double *number, const char **unit);
dp_status dpi_reward_fail(const dpi_yaml_doc *doc, const dpi_yaml *node, const char *expected);
dp_status dpi_reward_convert(dpi_draft *d, const dpi_yaml_doc *doc, const dpi_yaml *node, const char *unit,
                             const char *to, double *value);
dp_status dpi_draft_evidence(dpi_draft *d);
dp_status dpi_draft_evidence_check(const dpi_draft *d); /* after compose */
/* kind->proportional and its quantities', after the sim was made. */
dp_status dpi_draft_linear(dpi_draft *d);
/* Model file -> assigned, checked, sealed; outputs and controls -> sim; indices filled in. */
dp_status dpi_draft_compose(dpi_draft *d);

/* twin.yaml alone: id, title and the rest; for the list. */
dp_status dpi_draft_twin(dpi_draft *d);

#endif
