/* jit_llvm.c - floor 3: LLVM's shared library, opened once a process, when the first tape has to be compiled.
 *
 * Opening takes time and memory that a process with cached or interpreted models never pays. Once open it stays so: its
 * threads' data and exit functions can't be taken back. The table of its functions is written once and constant after
 * that.
 */
#include "jit/jit_impl.h"

#include "jit/jit_llvm.h"

#ifndef DPI_JIT_LLVM
const char *dpi_jit_llvm_version(void) { return ""; }
bool dpi_jit_llvm_open(char why[DPI_JIT_WHY], double *seconds) {
  *seconds = 0;
  return dpi_jit_why(why, "built without LLVM");
}
#else
#include <dlfcn.h>
#include <llvm/Config/llvm-config.h>
#include <pthread.h>
#include <string.h>

#if LLVM_VERSION_MAJOR != 19
#error "LLVM 19 is what this room knows"
#endif

static dpi_llvm table;
static char trouble[DPI_JIT_WHY]; /* "": open */
static pthread_once_t once = PTHREAD_ONCE_INIT;

const char *dpi_jit_llvm_version(void) { return LLVM_VERSION_STRING; }
const dpi_llvm *dpi_jit_llvm(void) { return &table; }

/* a function's address into *at, whatever its type */
static bool find(void *library, const char *name, void *at) {
  void *f = dlsym(library, name);
  if (f == NULL) return dpi_jit_why(trouble, "LLVM 19 has no function %s", name);
  memcpy(at, &f, sizeof f);
  return true;
}

#if defined(__x86_64__)
#define TARGET "X86"
#elif defined(__aarch64__)
#define TARGET "AArch64"
#else
#define TARGET ""
#endif

/* makes this processor's generator known to LLVM */
static bool start_target(void *library) {
  static const char *const name[] = {"LLVMInitialize" TARGET "TargetInfo", "LLVMInitialize" TARGET "Target",
                                     "LLVMInitialize" TARGET "TargetMC", "LLVMInitialize" TARGET "AsmPrinter"};
  if (TARGET[0] == '\0') return dpi_jit_why(trouble, "no machine code for this processor");
  for (int i = 0; i < DPI_COUNT(name); i++) {
    void (*start)(void) = NULL;
    if (!find(library, name[i], &start)) return false;
    start();
  }
  return true;
}

static void open_library(void) {
  static const char *const name[] = {"libLLVM.so.19.1", "libLLVM-19.so.1", "/usr/lib/llvm-19/lib/libLLVM.so.19.1",
                                     "/usr/lib/llvm-19/lib/libLLVM-19.so.1"};
  void *library = NULL;
  for (int i = 0; i < DPI_COUNT(name) && library == NULL; i++) library = dlopen(name[i], RTLD_LAZY | RTLD_LOCAL);
  if (library == NULL) {
    dpi_jit_why(trouble, "LLVM 19 is not there (libLLVM.so.19.1)");
    return;
  }
#define FIND(name) \
  if (!find(library, "LLVM" #name, &table.name)) return;
  DPI_LLVM_LIST(FIND)
#undef FIND
  unsigned major, minor, patch;
  table.GetVersion(&major, &minor, &patch);
  if (major != LLVM_VERSION_MAJOR) {
    dpi_jit_why(trouble, "LLVM %u found, expected 19", major);
    return;
  }
  start_target(library);
}

bool dpi_jit_llvm_open(char why[DPI_JIT_WHY], double *seconds) {
  double start = dpi_clock_s();
  pthread_once(&once, open_library);
  *seconds = dpi_clock_s() - start;
  return trouble[0] == '\0' || dpi_jit_why(why, "%s", trouble);
}
#endif
