/* compare.c - floor 6: plans beside each other: who is dominated in the objectives, which limits nobody holds together.
 * */
#include "decide/decide.h"

bool dpi_decide_dominated(const dp_kind *kind, const double *a, const double *b) {
  bool better = false;
  for (int i = 0; i < kind->reward.npareto; i++) {
    int k = kind->reward.pareto[i];
    if (b[k] < a[k]) return false;
    better |= b[k] > a[k];
  }
  return better;
}

/* Does some candidate hold all limits of the set? */
static bool holds_all(const uint8_t *holds, int ncandidate, int nterm, const int *set, int n) {
  for (int c = 0; c < ncandidate; c++) {
    bool all = true;
    for (int i = 0; all && i < n; i++) all = holds[(size_t)c * (size_t)nterm + (size_t)set[i]] != 0;
    if (all) return true;
  }
  return false;
}

/* A set of `size` limits from limit[first..) on, added to set[n], that none holds together. */
static bool find_set(const uint8_t *holds, int ncandidate, int nterm, const int *limit, int nlimit, int first, int size,
                     int *set, int n) {
  if (n == size) return !holds_all(holds, ncandidate, nterm, set, n);
  for (int i = first; i <= nlimit - (size - n); i++) {
    set[n] = limit[i];
    if (find_set(holds, ncandidate, nterm, limit, nlimit, i + 1, size, set, n + 1)) return true;
  }
  return false;
}

void dpi_decide_conflict(const dp_kind *kind, const uint8_t *holds, int ncandidate, int *term, int *n) {
  enum { MOST = 12 }; /* 4096 sets */
  int limit[MOST], nlimit = 0, nterm = kind->reward.nterm;
  *n = 0;
  for (int t = 0; t < nterm; t++)
    if (kind->reward.term[t].goal == DPI_GOAL_LIMIT && nlimit < MOST) limit[nlimit++] = t;
  for (int size = 1; size <= nlimit; size++)
    if (find_set(holds, ncandidate, nterm, limit, nlimit, 0, size, term, 0)) {
      *n = size;
      return;
    }
}
