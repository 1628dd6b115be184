/* plugin_abi.h - what a shared library offers to be run by the test spoke `plugin`: one symbol, plain C.
 *
 * The library may keep everything in global variables: the spoke has one instance and one thread at a time, and brings each
 * member's numbers in and takes them out again.
 *
 *     const plugin_abi *plugin_describe(void);
 */
#ifndef DP_TEST_PLUGIN_ABI_H
#define DP_TEST_PLUGIN_ABI_H

#include <stdint.h>

#define PLUGIN_VERSION 1u
#define PLUGIN_SYMBOL "plugin_describe"

typedef struct plugin_abi {
  uint32_t version; /* PLUGIN_VERSION */
  int nparam, nstate;
  const char *const *param_id;
  const double *param_default;
  const char *const *state_id;
  const char *const *state_unit;
  void (*set_param)(const double *param);
  void (*initial)(void);                 /* state := initial values under the present parameters */
  void (*set_state)(const double *x);
  void (*get_state)(double *x);
  int (*integrate)(double from, double to); /* 0 when it went well */
} plugin_abi;

typedef const plugin_abi *(*plugin_describe_fn)(void);

#endif
