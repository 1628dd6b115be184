/* jit.h - floor 3: tapes to machine code by LLVM 19, in the background, with a cache on disk.
 *
 *     spoke -> dpi_jit_start(tapes x widths) -> in the cache: attached before it returns
 *                                            -> else a thread loads LLVM, compiles, stores, attaches (dpi_tape_attach)
 *
 * The interpreter goes on meanwhile, and where there is no LLVM for ever: both give the same bytes, so when the change
 * happens is nobody's business. LLVM's shared library is opened by dlopen when the first tape has to be compiled, never
 * before.
 *
 * How code gets into memory: LLVM emits a relocatable object; our loader (jit_load.c) maps its sections, applies the
 * few relocations that straight-line code has and makes it executable. The same loader takes objects from the cache, so
 * that a cached model never loads LLVM.
 *
 * Key of a cache entry: SHA-256 of steps, rows, outputs of the tape, width, arithmetic, instruction set, version of
 * LLVM's generator and of ours. An entry carries its own SHA-256; one that is damaged, truncated or of another shape is
 * compiled anew and replaced. Entries are written to a temporary name and renamed, so concurrent processes never see
 * half of one.
 */
#ifndef DPI_JIT_H
#define DPI_JIT_H

#include "lang/tape.h"

typedef struct dpi_jit dpi_jit;

typedef struct dpi_jit_unit {
  const dpi_tape *tape; /* borrowed until dpi_jit_destroy */
  int width;            /* 1, 2, 4, 8. Prologues get code in width 1 only: lanes have theirs run in a plain workspace */
} dpi_jit_unit;

typedef enum dpi_jit_tier {
  DPI_JIT_QUICK,     /* least time to code: a fifth of the other's, the code a quarter slower at most in 8 lanes */
  DPI_JIT_OPTIMISED, /* fastest code */
  DPI_JIT_TIERED,    /* quick first, then optimised in its place */
} dpi_jit_tier;

typedef struct dpi_jit_opts {
  dpi_jit_tier tier;
  bool wait;         /* compile on the calling thread, return when all is attached */
  bool cache;        /* look into and write the context's cache folder, where it has one */
  bool cached_only;  /* as if there were no LLVM: what is not in the cache is interpreted */
} dpi_jit_opts;
dpi_jit_opts dpi_jit_opts_default(void); /* tiered, in the background, with cache */

/* The code is for the arithmetic in force now (dpi_math_select). One thread owns a job. DP_OK also where code can't be
 * made (no LLVM, context without jit): then *out works and attaches nothing. Only lack of memory fails. */
dp_status dpi_jit_start(dp_ctx *ctx, const dpi_jit_unit *unit, int n, const dpi_jit_opts *opts, dpi_jit **out);
void dpi_jit_wait(dpi_jit *job);    /* until all units have their last code, or can't have it */
/* Stops what is under way, detaches, unmaps. Nobody may be running the tapes. NULL allowed. */
void dpi_jit_destroy(dpi_jit *job);

typedef struct dpi_jit_report {
  int nunit, ncode;       /* units; those with machine code by now */
  int ncached, ncompiled; /* where it came from; a unit in two tiers counts twice */
  size_t bytes;           /* of machine code */
  double load_s, compile_s; /* LLVM opened; time in the compiler */
  const char *why;        /* "" or why something has no code: "LLVM 19 is not there", ...; lives as long as the job */
} dpi_jit_report;
dpi_jit_report dpi_jit_describe(const dpi_jit *job);

/* Can this process compile (built with it, library found)? Opens LLVM. */
bool dpi_jit_available(void);

#endif
