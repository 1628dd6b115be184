/* sbml_guard.cc - floor 3: see sbml_guard.h. */
#include "lang/sbml/sbml_guard.h"

#include <cstdio>
#include <exception>
#include <mutex>
#include <new>

extern "C" dp_status dpi_sbml_guard(dp_status (*call)(void *user), void *user, char what[160]) {
  static std::mutex lock;
  what[0] = '\0';
  try {
    std::lock_guard<std::mutex> hold(lock);
    return call(user);
  } catch (const std::bad_alloc &) {
    return DP_ERR_MEMORY;
  } catch (const std::exception &e) {
    std::snprintf(what, 160, "%s", e.what());
  } catch (...) {
    std::snprintf(what, 160, "no reason given");
  }
  return DP_ERR_INPUT;
}
