/* frame.h - what the four test spokes share: members that walk along their timelines one after another.
 *
 * A test spoke gives its names and five small functions; the frame finds the next instant or output time, keeps the present
 * parameters, and offers save, load and fork over the numbers of a member. It is for tests: one member at a time, plain
 * doses only (no formulas on controls).
 */
#ifndef DP_TEST_FRAME_H
#define DP_TEST_FRAME_H

#include "spoke/spoke.h"

/* One instant as it happens: repeats are spread out, an infusion is its beginning and its end. */
typedef struct frame_item {
  dp_time time;
  int32_t order, pos, repeat; /* pos: index of the instant */
  bool ends;                  /* the end of an infusion */
  int32_t begin;              /* ends: the item that began it */
  dp_instant_type type;
  int32_t target;             /* ADD, INFUSE: already the state; SET, SCALE: state; SWITCH: parameter */
  double amount;              /* INFUSE: the rate */
  int32_t dir;
} frame_item;

typedef struct frame_member {
  frame_item *item;
  int nitem, next;
  dp_time time;
  uint64_t stream; /* that was drawn from last: a change means draws that are pending must be made anew */
  double *param;   /* [nparam] present values */
  double *x;       /* [nx] the spoke's numbers; named states first */
  void *more;      /* the spoke's own, beyond numbers */
} frame_member;

typedef struct frame_spoke {
  dpi_spoke base;
  const struct frame_ops *ops;
  dpi_spoke_desc desc;
  dpi_arena arena;
  int ncontrol, nactive;
  int *control_state; /* [ncontrol] */
  int *active_param;  /* [nactive] */
  void *own;          /* the spoke's own */
  dpi_arena tables;   /* the spoke's own memory, released with it; may be empty */
} frame_spoke;

typedef struct frame_batch {
  const frame_spoke *spoke;
  dp_ctx *ctx;
  dpi_batch_def def;
  frame_member *m;
  void *memory;
  dp_status broken; /* set by a spoke whose batch cannot go on (out of memory): advance returns it */
} frame_batch;

typedef struct frame_ops {
  int (*nx)(const frame_spoke *s, int ndir);
  /* first numbers, from param and (unless NULL) state0 */
  dp_status (*begin)(frame_batch *b, int i);
  void (*flow)(frame_batch *b, int i, dp_time to); /* from m->time to `to` */
  void (*act)(frame_batch *b, int i, int item);
  void (*give)(const frame_batch *b, int i, double *signal, double *dsignal); /* at m->time */
  /* may be NULL */
  dp_status (*refuse)(const frame_batch *b, const dp_instant *s); /* what an instant may not be */
  void (*restream)(frame_batch *b, int i);                        /* the member's stream was changed */
  void (*more_free)(frame_batch *b, int i);
  void (*more_save)(const frame_batch *b, int i, dpi_str *bytes);
  dp_status (*more_load)(frame_batch *b, int i, const void *bytes, size_t size);
} frame_ops;

/* A spoke of this description; its slots below fit any spoke made so. Names in desc are borrowed. */
dp_status frame_create(dp_ctx *ctx, const dp_sim_def *def, const dpi_spoke_ops *slots, const frame_ops *ops,
                       const dpi_spoke_desc *desc, frame_spoke **out);
void frame_destroy(dpi_spoke *spoke);
const dpi_spoke_desc *frame_describe(const dpi_spoke *spoke);
dp_status frame_open(const dpi_spoke *spoke, const dpi_batch_def *def, dpi_batch **out);
dp_status frame_advance(dpi_batch *batch, dp_time to);
void frame_close(dpi_batch *batch);
dp_status frame_save(const dpi_batch *batch, int member, dpi_str *bytes);
dp_status frame_load(dpi_batch *batch, int member, const void *bytes, size_t size);
dp_status frame_fork(const dpi_batch *from, int member, dpi_batch *to, int member_to);

void frame_fail(const frame_batch *b, int i, const char *fmt, ...) DPI_PRINTF(3, 4);
double frame_time(dp_time t); /* in time units */

#endif
