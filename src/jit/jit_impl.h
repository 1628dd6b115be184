/* jit_impl.h - floor 3: what the files of this room share.
 *
 *     jit.c        the job: units, its thread, tiers, attaching, the report
 *     jit_key.c    what an entry of the cache is known by
 *     jit_cache.c  entries on disk
 *     jit_target.c processor and features for a width
 *     jit_llvm.c   LLVM's library, opened when first needed
 *     jit_emit.c   a tape to an object file in memory, by LLVM
 *     jit_load.c   an object file to memory that can be run
 */
#ifndef DPI_JIT_IMPL_H
#define DPI_JIT_IMPL_H

#include "jit/jit.h"

#define DPI_JIT_WHY 160 /* room for a sentence about what went wrong */
DPI_PRINTF(2, 3) bool dpi_jit_why(char why[DPI_JIT_WHY], const char *fmt, ...); /* writes it; always false */

/* ---- jit_target.c ---- */
typedef struct dpi_jit_target {
  const char *triple, *cpu, *features; /* in LLVM's words; NULL triple: no machine code for this processor */
  int width;
  bool fma;   /* arithmetic */
  bool floor; /* has floor and ceil as instructions */
} dpi_jit_target;
dpi_jit_target dpi_jit_target_find(int width, bool fma);

/* ---- jit_key.c ---- */
/* 64 hex digits; "" when SHA-256 failed. */
void dpi_jit_key(dp_ctx *ctx, const dpi_tape *tape, const dpi_jit_target *target, dpi_jit_tier tier, char key[65]);

/* ---- jit_cache.c ---- */
/* Bytes that were stored under key, to be freed with dpi_free; false: none, or none that can be trusted. */
bool dpi_jit_cache_read(dp_ctx *ctx, const char *folder, const char *key, char **data, size_t *size);
/* Failures are nobody's business: there is no entry then. */
void dpi_jit_cache_write(dp_ctx *ctx, const char *folder, const char *key, const void *data, size_t size);
/* Oldest entries go until at most `most` bytes are left. */
void dpi_jit_cache_trim(dp_ctx *ctx, const char *folder, size_t most);
#define DPI_JIT_CACHE_MOST ((size_t)256 << 20)

/* ---- jit_load.c ---- */
enum { DPI_JIT_SECTIONS = 64 };
/* Where the parts of an object go. */
typedef struct dpi_jit_layout {
  size_t place[DPI_JIT_SECTIONS]; /* offset in memory of each section that is loaded; SIZE_MAX: it is not */
  int nsection;
  size_t text, size; /* [0, text) is code, [text, size) is constants; both multiples of the page */
  size_t ncode;      /* bytes of code */
  int machine;       /* of elf.h */
} dpi_jit_layout;
/* Memory of one object, mapped. */
typedef struct dpi_jit_image {
  void *memory;
  size_t size, ncode; /* mapped; bytes of code */
  dpi_code code;
} dpi_jit_image;
/* The three steps of loading; false: *why says what is wrong with the object. They never read outside [data, data +
 * size) nor write outside [memory, memory + layout->size), whatever the bytes are. */
bool dpi_jit_layout_read(const void *data, size_t size, dpi_jit_layout *layout, char why[DPI_JIT_WHY]);
bool dpi_jit_relocate(const void *data, size_t size, const dpi_jit_layout *layout, void *memory, uint64_t address,
                      char why[DPI_JIT_WHY]);
bool dpi_jit_find(const void *data, size_t size, const dpi_jit_layout *layout, const char *name, size_t *offset);
/* All of it: mapped, relocated, executable. */
bool dpi_jit_load(const void *data, size_t size, dpi_jit_image *image, char why[DPI_JIT_WHY]);
void dpi_jit_unload(dpi_jit_image *image); /* zeroed: nothing to do */
#define DPI_JIT_BODY "dpi_body"
#define DPI_JIT_PROLOGUE "dpi_prologue"

/* ---- jit_emit.c, jit_llvm.c ---- */
/* "19.1.7"; "": built without LLVM. */
const char *dpi_jit_llvm_version(void);
/* Opens LLVM unless it is open; false: *why. *seconds: how long that took this caller. */
bool dpi_jit_llvm_open(char why[DPI_JIT_WHY], double *seconds);

/* What one job keeps of LLVM; one thread at a time. */
typedef struct dpi_jit_compiler dpi_jit_compiler;
dpi_jit_compiler *dpi_jit_compiler_create(dp_ctx *ctx, char why[DPI_JIT_WHY]);
void dpi_jit_compiler_destroy(dpi_jit_compiler *c);
typedef struct dpi_jit_object {
  const void *data; /* borrowed from the compiler until the next object or its end */
  size_t size;
} dpi_jit_object;
/* tier: QUICK or OPTIMISED. The prologue is there in width 1 only: wider workspaces get its rows a lane at a time. */
bool dpi_jit_compile(dpi_jit_compiler *c, const dpi_tape *tape, const dpi_jit_target *target, dpi_jit_tier tier,
                     dpi_jit_object *out, char why[DPI_JIT_WHY]);

#endif
