/* timeline.c - floor 4: which of a member's instants and outputs comes next.  U */
#include "spoke/timeline.h"

#include <math.h>

int dpi_timeline_repeating(const dp_member *def) {
  int n = 0;
  for (int i = 0; i < def->ninstant; i++) n += def->instant[i].repeats > 0 && def->instant[i].interval > 0;
  return n;
}

/* Time of the k-th repeat; false when it would leave the range of ticks. */
static bool repeat_time(const dp_instant *in, int k, dp_time *t) {
  dp_time span;
  return !__builtin_mul_overflow((dp_time)k, in->interval, &span) && !__builtin_add_overflow(in->time, span, t);
}

static bool earlier(dp_time ta, int32_t oa, int ia, const dpi_coming *b) {
  if (b->instant < 0) return true;
  if (ta != b->tick) return ta < b->tick;
  if (oa != b->order) return oa < b->order;
  return ia < b->instant;
}

dpi_coming dpi_timeline_next(const dpi_timeline *line, const dp_member *def) {
  dpi_coming best = {.t = INFINITY, .tick = DP_TIME_MAX, .instant = -1, .repeat = -1};
  if (line->next < def->ninstant) {
    const dp_instant *in = &def->instant[line->next];
    best = (dpi_coming){dpi_real(in->time), in->time, in->order, line->next, -1, 0};
  }
  for (int r = 0; r < line->nrepeat; r++) {
    const int i = line->repeat[2 * r], k = line->repeat[2 * r + 1];
    const dp_instant *in = &def->instant[i];
    dp_time t;
    if (!repeat_time(in, k, &t) || !earlier(t, in->order, i, &best)) continue;
    best = (dpi_coming){dpi_real(t), t, in->order, i, r, k};
  }
  return best;
}

void dpi_timeline_pass(dpi_timeline *line, const dp_member *def, const dpi_coming *n) {
  const dp_instant *in = &def->instant[n->instant];
  if (n->repeat < 0) {
    line->next++;
    if (in->repeats < 1 || in->interval <= 0) return;
    line->repeat[2 * line->nrepeat] = n->instant;
    line->repeat[2 * line->nrepeat + 1] = 1;
    line->nrepeat++;
    return;
  }
  int *entry = line->repeat + 2 * n->repeat;
  if (n->k < in->repeats) {
    entry[1] = n->k + 1;
    return;
  }
  line->nrepeat--;
  for (int r = 2 * n->repeat; r < 2 * line->nrepeat; r++) line->repeat[r] = line->repeat[r + 2];
}

bool dpi_timeline_before_output(const dp_member *def, int ndone, const dpi_coming *n) {
  if (n->instant < 0) return false;
  if (ndone >= def->nout) return true;
  const dp_output_time *o = &def->out[ndone];
  return n->tick < o->time || (n->tick == o->time && n->order <= o->order);
}

bool dpi_timeline_plausible(const dpi_timeline *line, const dp_member *def) {
  for (int r = 0; r < line->nrepeat; r++) {
    const int i = line->repeat[2 * r];
    if (i < 0 || i >= line->next || line->repeat[2 * r + 1] < 1 || def->instant[i].interval <= 0) return false;
  }
  return true;
}
