/* policy_library.c - floor 7: a policy as a shared object that exports `doppel_policy` (policy.h). */
#include "policy/policy_impl.h"

#include <dlfcn.h>
#include <stdio.h>

dp_status dpi_library_load(dp_policy *policy, const char *path) {
  char here[1100]; /* a name without a slash would be looked for elsewhere */
  snprintf(here, sizeof here, "%s%s", *path == '/' ? "" : "./", path);
  const char *why = dpi_policy_no_file(path);
  if (why) return dpi_fail(policy->ctx, DP_ERR_INPUT, "%s: %s", path, why);
  policy->library = dlopen(here, RTLD_NOW | RTLD_LOCAL);
  if (!policy->library) return dpi_fail(policy->ctx, DP_ERR_INPUT, "%s: can't be opened: %s", path, dlerror());
  const dp_policy_library *t = dlsym(policy->library, "doppel_policy");
  if (!t) return dpi_fail(policy->ctx, DP_ERR_INPUT, "%s: exports no 'doppel_policy'", path);
  if (t->abi != DP_POLICY_ABI || t->size < sizeof *t)
    return dpi_fail(policy->ctx, DP_ERR_UNSUPPORTED,
                    "%s: made for version %u of policies (%u bytes), expected %d (%zu)", path, t->abi, t->size,
                    DP_POLICY_ABI, sizeof *t);
  if (!t->open || !t->step || !t->close)
    return dpi_fail(policy->ctx, DP_ERR_INPUT, "%s: expected open, step and close", path);
  policy->table = t;
  return DP_OK;
}

void dpi_library_unload(dp_policy *policy) {
  if (policy->library) dlclose(policy->library);
  policy->library = NULL;
}
