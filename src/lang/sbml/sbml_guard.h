/* sbml_guard.h - floor 3: calling libSBML safely from C.
 *
 * libSBML is C++ behind its C interface: on some malformed documents an exception crosses that interface, which would
 * end the program, and its registries of packages and external documents are shared by all threads. The guard (the
 * project's only C++, as C has no way to catch) turns an exception into a status and lets one thread in at a time. */
#ifndef DPI_SBML_GUARD_H
#define DPI_SBML_GUARD_H

#include "doppel/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* call(user) under the lock. DP_ERR_INPUT when an exception came out: `what` then says which. Not to be nested. */
dp_status dpi_sbml_guard(dp_status (*call)(void *user), void *user, char what[160]);

#ifdef __cplusplus
}
#endif
#endif
