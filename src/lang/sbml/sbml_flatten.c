/* sbml_flatten.c - floor 3: submodels (package comp) written out by libSBML.
 *
 * libSBML finds files of external model definitions relative to the document's own place, which
 * must be absolute; a document that is no file is looked at from the working directory. */
#include "lang/sbml/sbml_impl.h"

#include <limits.h>
#include <sbml/conversion/ConversionProperties.h> /* needs what SBMLTypes.h defines */
#include <sbml/packages/comp/common/compfwd.h>
#include <sbml/packages/comp/extension/CompSBMLDocumentPlugin.h>
#include <string.h>
#include <unistd.h>

/* The folder of the source, absolute, and the document's place in libSBML's form "file:/folder/name". */
static dp_status place_of(dp_ctx *ctx, const char *source, dpi_str *folder, dpi_str *uri) {
  char here[PATH_MAX];
  const char *slash = strrchr(source, '/'), *name = slash ? slash + 1 : source;
  if (source[0] != '/') {
    if (getcwd(here, sizeof here) == NULL)
      return dpi_fail(ctx, DP_ERR_IO, "%s: the working directory has no name", source);
    dpi_str_add(folder, here);
    if (slash) dpi_str_add(folder, "/");
  }
  if (slash) dpi_str_addn(folder, source, slash == source ? 1 : (size_t)(slash - source));
  dpi_str_addf(uri, "file:%s/%s", dpi_str_text(folder), name);
  return folder->failed || uri->failed ? DP_ERR_MEMORY : DP_OK;
}

static void option(ConversionProperties_t *p, const char *key, const char *value) {
  ConversionOption_t *o = ConversionOption_create(key);
  ConversionOption_setValue(o, value);
  ConversionProperties_addOption(p, o);
  ConversionOption_free(o);
}

static int convert(dpi_sbml_reader *r, const char *folder) {
  ConversionProperties_t *p = ConversionProperties_create();
  option(p, "flatten comp", "true");
  option(p, "basePath", folder);
  option(p, "performValidation", "false");
  option(p, "leavePorts", "false");
  option(p, "listModelDefinitions", "false");
  option(p, "abortIfUnflattenable", "none");
  option(p, "stripUnflattenablePackages", "true");
  int code = SBMLDocument_convert(r->doc, p);
  ConversionProperties_free(p);
  return code;
}

/* Read a model and forget it: what libSBML's checks and its flattening take for granted. */
static dp_status try_model(dpi_sbml_reader *r, Model_t *model) {
  dpi_sbml_reader one = *r;
  one.model = model;
  one.net = NULL;
  DP_TRY(dpi_net_create(r->ctx, r->source, &one.net));
  dp_status s = dpi_sbml_read_model(&one);
  dpi_net_destroy(one.net);
  return s;
}

static dp_status try_models(dpi_sbml_reader *r) {
  CompSBMLDocumentPlugin_t *p = (CompSBMLDocumentPlugin_t *)SBase_getPlugin((SBase_t *)r->doc, "comp");
  DP_TRY(try_model(r, SBMLDocument_getModel(r->doc)));
  for (unsigned i = 0, n = CompSBMLDocumentPlugin_getNumModelDefinitions(p); i < n; i++)
    DP_TRY(try_model(r, (Model_t *)CompSBMLDocumentPlugin_getModelDefinition(p, i)));
  return DP_OK;
}

dp_status dpi_sbml_flatten(dpi_sbml_reader *r) {
  dpi_str folder, uri;
  if (!r->scan->comp || SBase_getPlugin((SBase_t *)r->doc, "comp") == NULL) return DP_OK;
  if (SBMLDocument_getModel(r->doc) == NULL) return DP_OK;
  dpi_str_init(&folder, r->ctx);
  dpi_str_init(&uri, r->ctx);
  dp_status s = place_of(r->ctx, r->source, &folder, &uri);
  if (s == DP_OK) {
    SBMLDocument_setLocationURI(r->doc, dpi_str_text(&uri));
    s = try_models(r);
    if (s == DP_OK) s = dpi_sbml_check(r, true);
    int code = s == DP_OK ? convert(r, dpi_str_text(&folder)) : 0;
    /* its list of findings is begun anew */
    if (s == DP_OK) s = dpi_sbml_judge(r, 0, DP_ERR_INPUT, "submodels can't be written out: ");
    if (s == DP_OK && code != LIBSBML_OPERATION_SUCCESS)
      s = dpi_fail(r->ctx, DP_ERR_UNSUPPORTED,
                   "%s: submodels can't be written out (libSBML's code %d)", r->source, code);
  }
  dpi_str_release(&folder);
  dpi_str_release(&uri);
  return s;
}
