/* multistart_race.c - floor 6, inside infer/point: whose turn it is.
 *
 * Successive halving (Jamieson & Talwalkar 2016) over searches that are not thrown away: rung r gives FIRST 2^r steps
 * to the best all / 2^r starts, down to LAST of them; when those have ended, the others go on, the best first.
 *
 * A rung's members are those that lead by J now. They only get better while the others stand still, so it is the same
 * ones until the rung is over, and nothing has to be kept of it: a run that is read from a file goes on as it was.
 */
#include <math.h>

#include "infer/point/multistart_impl.h"
#include "num/num.h"

#define FIRST 10 /* steps of the first rung */
#define LAST 8   /* starts that go on to their end */

/* J of a start now; steps it has taken. */
static double j_now(const dpi_campaign *c, int k, int *steps) {
  *steps = 0;
  if (c->state[k] == START_DONE) {
    *steps = -1; /* it has no more to do */
    return c->ms->start[k].j;
  }
  if (c->state[k] == START_WAITING) return INFINITY;
  for (int s = 0; s < c->nslot; s++) {
    if (c->who[s] != k) continue;
    const dpi_trust_result *r = dpi_trust_result_of(c->slot[s]);
    *steps = r->niter;
    return r->j;
  }
  return INFINITY;
}

/* A slot for start k: its own, or a free one that is not yet in this round. */
static int slot_of(const dpi_campaign *c, int k, int nturn) {
  for (int s = 0; s < c->nslot; s++)
    if (c->who[s] == k) return s;
  for (int s = 0; s < c->nslot; s++) {
    bool used = c->who[s] >= 0;
    for (int i = 0; i < nturn && !used; i++) used = c->turn[i] == s;
    if (!used) return s;
  }
  return -1;
}

static int all_slots(dpi_campaign *c) {
  const int n = c->width < c->nslot ? c->width : c->nslot;
  int nturn = 0;
  for (int s = 0; s < c->nslot && nturn < n; s++) /* those under way first: fewer may be asked now than before */
    if (c->who[s] >= 0) c->turn[nturn++] = s;
  for (int s = 0; s < c->nslot && nturn < n; s++)
    if (c->who[s] < 0) c->turn[nturn++] = s;
  return nturn;
}

int dpi_campaign_turn(dpi_campaign *c) {
  const int all = c->ms->nstart;
  int nturn = 0;
  if (!c->race) return all_slots(c);
  int *steps = c->turn; /* until it is known which; nslot is nstart here */
  for (int k = 0; k < all; k++) c->rank_j[k] = j_now(c, k, &steps[k]);
  dpi_argsort(c->rank_j, all, c->rank);
  for (int k = 0; k < all; k++) c->rank_j[k] = steps[k];
  double limit = FIRST;
  for (int members = all; nturn == 0; members = members / 2, limit *= 2) {
    const bool last = members <= LAST;
    for (int r = 0; r < all && nturn < c->width; r++) {
      const int k = c->rank[r];
      const bool in = last || (r < members && c->rank_j[k] < limit);
      if (c->rank_j[k] >= 0 && in) c->turn[nturn] = slot_of(c, k, nturn), nturn++;
    }
    if (last) break;
  }
  return nturn;
}
