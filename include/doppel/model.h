/* model.h - a mechanistic model as text (Antimony) turned into equations.  S -> D: the law by which a state evolves.
 *
 * A dp_model is created unsealed, may be given more formulas, is sealed once and then constant and shared. Owned by whoever
 * created it; destroyed with dp_model_destroy.
 *
 *     dp_model *m = NULL;
 *     DP_TRY(dp_model_read(ctx, "model.ant", &m));
 *     DP_TRY(dp_model_seal(m));
 *     printf("%d states\n", dp_model_nstate(m));
 */
#ifndef DOPPEL_MODEL_H
#define DOPPEL_MODEL_H

#include "doppel/context.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_model dp_model;

/* Read a model file; the format is recognised by content and ending (.ant, .txt: Antimony). ERR_UNSUPPORTED names the
 * construct and line. */
dp_status dp_model_read(dp_ctx *ctx, const char *path, dp_model **out);
dp_status dp_model_seal(dp_model *model);
void dp_model_destroy(dp_model *model);

int dp_model_nstate(const dp_model *model);
const char *dp_model_name(const dp_model *model);
const char *dp_model_hash(const dp_model *model); /* 64 hex digits */

/* Equations as readable text, one line each: "d[depot]/dt = -ka*depot". Free with dp_model_text_free. */
dp_status dp_model_show(const dp_model *model, char **text);
void dp_model_text_free(const dp_model *model, char *text);

#ifdef __cplusplus
}
#endif
#endif
