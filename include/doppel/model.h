/* model.h - a mechanistic model as text (SBML, Antimony) turned into equations.  S -> D: the law by which a state evolves.
 *
 * A dp_model is created unsealed, may be given more formulas, is sealed once and then constant and shared. Owned by whoever
 * created it; destroyed with dp_model_destroy.
 *
 *     dp_model *m = NULL;
 *     DP_TRY(dp_model_read(ctx, "model.xml", &m));
 *     DP_TRY(dp_model_seal(m));
 *     printf("%d states\n", dp_model_nstate(m));
 */
#ifndef DOPPEL_MODEL_H
#define DOPPEL_MODEL_H

#include <stdbool.h>

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_model dp_model;

/* Read a model file; the language is recognised by content. ERR_INPUT: what is wrong and the line; ERR_UNSUPPORTED names the
 * construct, the element and the line. */
dp_status dp_model_read(dp_ctx *ctx, const char *path, dp_model **out);
dp_status dp_model_seal(dp_model *model);
/* Before sealing: one unit of time of a sim shall be `unit` of the model's own, so that a course of nanoseconds or of ages has
 * times that ticks can hold. Times given and found count in the new unit; rates of reactions and rateOf stay per the model's.
 * The hash stays that of the text. */
dp_status dp_model_scale_time(dp_model *model, double unit);
/* As dp_model_seal, but what has no value, and is not among the `ngiven` ids that the caller is going to set, is not known: NaN,
 * and so is all that depends on it. The rest of the model is what it would be by itself. */
dp_status dp_model_seal_partly(dp_model *model, const char *const *given, int ngiven);
/* What is not known, one sentence each, causes first; 0 after dp_model_seal. */
int dp_model_nunknown(const dp_model *model);
const char *dp_model_unknown(const dp_model *model, int index);
void dp_model_destroy(dp_model *model);

int dp_model_nstate(const dp_model *model);
const char *dp_model_name(const dp_model *model);
const char *dp_model_hash(const dp_model *model); /* 64 hex digits */

/* Equations as readable text, one line each: "d[depot]/dt = -ka*depot". Free with dp_model_text_free. */
dp_status dp_model_show(const dp_model *model, char **text);
void dp_model_text_free(const dp_model *model, char *text);

/* ---- what the modeller's text names (available before and after sealing; none for a model made by hand) ---- */
typedef enum dp_element_kind {
  DP_ELEMENT_COMPARTMENT,
  DP_ELEMENT_SPECIES,
  DP_ELEMENT_PARAMETER,
  DP_ELEMENT_REACTION,      /* its value is its rate */
  DP_ELEMENT_STOICHIOMETRY, /* a species reference with an id */
} dp_element_kind;

typedef struct dp_element { /* strings belong to the model */
  const char *id, *name;    /* id: also the name of a signal of the sim; name "" when there is none */
  dp_element_kind kind;
  bool amount;              /* species: formulas mean its amount; else its concentration. The signals amount(id) and
                               concentration(id) exist for every species */
  const char *compartment;  /* species; "" */
  bool constant;            /* nothing in the model changes it */
  bool unknown;             /* after dp_model_seal_partly: it has no value at any time */
} dp_element;
int dp_model_nelement(const dp_model *model);
dp_element dp_model_element(const dp_model *model, int index);
int dp_model_find_element(const dp_model *model, const char *id); /* index or -1 */

/* What it was read from: "SBML L3V2", "Antimony"; "" when made by hand. */
const char *dp_model_language(const dp_model *model);
/* The same model in another language ("sbml", "antimony"); free with dp_model_text_free. What can't be said there is refused
 * by name. `notes` (NULL allowed) receives what was renamed or left out, one line each, freed likewise. */
dp_status dp_model_write(const dp_model *model, const char *language, char **text, char **notes);

/* What a careful reader would find: units, conserved sums, structure. The model must be sealed. */
typedef enum dp_finding_kind {
  DP_FINDING_SUMMARY,      /* counts of elements, states, events, what the model needs to run */
  DP_FINDING_CONSERVED,    /* a sum that stays constant: "A + 2 B" */
  DP_FINDING_UNITS,        /* units do not agree, or could not be checked */
  DP_FINDING_STRUCTURE,    /* never used, never changes, disconnected, stiff by construction, ... */
} dp_finding_kind;
typedef struct dp_finding {
  dp_finding_kind kind;
  const char *element; /* id or "" */
  int line;            /* in the file, 0 unknown */
  const char *text;
} dp_finding;
typedef dp_status (*dp_finding_fn)(void *user, const dp_finding *finding);
dp_status dp_model_check(const dp_model *model, dp_finding_fn each, void *user);

#ifdef __cplusplus
}
#endif
#endif
