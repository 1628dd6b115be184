/* sim_bed.h - what the tests of filters behind the waist share: a model's text as a process with one output, and its
 * end. */
#ifndef TEST_SIM_BED_H
#define TEST_SIM_BED_H

#include "linear_bed.h"

#include "doppel/sim.h"

#define SIM_BED_FIELDS \
  dp_ctx *ctx;         \
  dp_model *model;     \
  dp_sim *sim;         \
  dpi_process *process

typedef struct sim_bed {
  SIM_BED_FIELDS;
} sim_bed;

/* First member of a test's world: its fields are the world's own. */
#define SIM_BED       \
  union {             \
    sim_bed bed;      \
    struct {          \
      SIM_BED_FIELDS; \
    };                \
  }

static inline void sim_bed_context(sim_bed *b, int nthread) {
  dp_ctx_def def = dp_ctx_def_default();
  def.nthread = nthread;
  assert_int_equal(dp_ctx_create(&def, &b->ctx), DP_OK);
}

static inline void sim_bed_write(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  assert_int_equal(fclose(f), 0);
}

/* The model at path as a process that shows `output` at times [n]; def: how it is simulated. */
static inline void sim_bed_process(sim_bed *b, const char *path, dp_sim_def def, const char *output,
                                   const dp_time *time, int n) {
  const dp_output_def out = {.id = output, .unit = "1"};
  const dpi_process_plan plan = {.time = time, .ntime = n};
  OK(b, dp_model_read(b->ctx, path, &b->model));
  OK(b, dp_model_seal(b->model));
  def.model = b->model;
  def.output = &out;
  def.noutput = 1;
  OK(b, dp_sim_create(b->ctx, &def, &b->sim));
  OK(b, dpi_process_sim(b->ctx, b->sim, &plan, &b->process));
}

static inline void sim_bed_close(sim_bed *b) {
  dpi_process_destroy(b->process);
  dp_sim_destroy(b->sim);
  dp_model_destroy(b->model);
  assert_int_equal(dpi_alloc_live(b->ctx), 0);
  dp_ctx_destroy(b->ctx);
}

#endif
