/* lanes_body.h - floor 3: control of the step sizes of LANES members at once.
 *
 * Included once for each instruction set with LANES defined, and GO the name of the function. Plain IEEE operations on
 * vectors of the compiler's: a lane gets the same bytes in each width. Nothing is fused, nothing is summed across
 * lanes.
 *
 *     choose   h = what is wished for, never beyond t_end; an end that is near in one step or in two equal
 *     run      the tape: x_new, size and room of its error, growth
 *     judge    accepted?  next size;  stop for covered | too small | too many | stiff | pivots lost
 *     move     lanes that go on: t, x
 */
#include "solve/lanes_impl.h"

typedef double vd __attribute__((vector_size(8 * LANES), may_alias));
typedef uint64_t vu __attribute__((vector_size(8 * LANES), may_alias));
typedef int64_t vi __attribute__((vector_size(8 * LANES), may_alias));

static inline vd all(double v) {
  double a[LANES];
  vd r;
  for (int l = 0; l < LANES; l++) a[l] = v;
  __builtin_memcpy(&r, a, sizeof r);
  return r;
}

/* ---- which lanes: vm, a number of bits where the processor has such, else all ones or all zeros in each ---- */
#if LANES == 8
#include <immintrin.h>
typedef __mmask8 vm;
static inline vm less(vd a, vd b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ); }
static inline vm at_most(vd a, vd b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LE_OQ); }
static inline vd sel(vm m, vd a, vd b) { return (vd)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
static inline vm from_bits(uint32_t bits) { return (vm)bits; }
static inline uint32_t to_bits(vm m) { return m; }
#else
typedef vi vm;
static inline vm less(vd a, vd b) { return (vi)(a < b); }
static inline vm at_most(vd a, vd b) { return (vi)(a <= b); }
static inline vd sel(vm m, vd a, vd b) { return (vd)((m & (vi)a) | (~m & (vi)b)); }
static inline vm from_bits(uint32_t bits) {
  int64_t a[LANES];
  vm m;
  for (int l = 0; l < LANES; l++) a[l] = -(int64_t)(bits >> l & 1u);
  __builtin_memcpy(&m, a, sizeof m);
  return m;
}
static inline uint32_t to_bits(vm m) {
  uint32_t bits = 0;
  for (int l = 0; l < LANES; l++) bits |= (uint32_t)(m[l] & 1) << l;
  return bits;
}
#endif

static inline vd least(vd a, vd b) { return sel(less(a, b), a, b); }
static inline vd size_of(vd a) { return (vd)((vi)a & ~(vi)all(-0.0)); }
static inline vd load(const double *p) { return *(const vd *)p; }
static inline void store(double *p, vd v) { *(vd *)p = v; }
#define COL(name) (c->col + DPI_COL_##name * LANES)
#define OWN(name) load(COL(name))

/* Upper half of the bits as a number: 2^20 (1023 + log2 v), to 0.09 of an octave. 4503599627370496 = 2^52: the last
 * bits of such doubles are whole numbers. */
static inline vd octaves(vd v) {
  const vu magic = (vu)all(4503599627370496.0);
  return (vd)(((vu)v >> 32) | magic) - all(4503599627370496.0);
}

/* Change of the size: 0.9 (size / room)^-share within 5 %, which is enough to steer by and takes no time: no division,
 * no root. 1022.805 = 1023 + log2(0.9 / 1.03): the way back from logarithms is on average 3 % too large. */
static inline vd change(const dpi_lanes_ctl *c, vd size, vd room, vd most) {
  const vd octave = all(1022.805 * 1048576.0) - (octaves(size) - octaves(room)) * all(c->share);
  const vd y = (vd)((vu)(octave + all(4503599627370496.0)) << 32);
  const vd bounded = sel(less(all(DPI_LANES_SHRINK), y), least(y, most), all(DPI_LANES_SHRINK));
  return sel(less(size, all(__builtin_inf())), bounded, all(DPI_LANES_SHRINK));
}

/* Sizes of the next steps into h; their ends into t_new. */
static inline void choose(dpi_lanes_ctl *c, const dpi_lanes_regs *r, vm on) {
  const vd t = load(r->t), t_end = OWN(T_END), longest = OWN(LONGEST), rest = t_end - t;
  const vd want = least(OWN(WISH), longest);
  const vm lands = at_most(rest, want * all(DPI_LANES_LAND)) & at_most(rest, longest), near = less(rest, want + want);
  const vd h = sel(on, sel(lands, rest, sel(near, all(0.5) * rest, want)), load(r->h));
  store(r->h, h);
  store(COL(T_NEW), sel(on, sel(lands, t_end, t + h), OWN(T_NEW)));
}

/* Steps at the border of stability, or near it with very many ahead: true where going on explicitly would be
 * a waste. */
static inline vm looks_stiff(dpi_lanes_ctl *c, const dpi_lanes_regs *r, vm good, vd h) {
  const vd growth = load(r->growth);
  const vm border = good & less(all(c->limit), growth);
  const vd held = OWN(HELD), quiet = OWN(QUIET), total = OWN(HELD_ALL), rest = OWN(T_END) - load(r->t);
  const vm calm = good & ~border & less(all(0.0), held);
  const vd quiet1 = sel(border, all(0.0), sel(calm, quiet + all(1.0), quiet));
  const vm over = calm & at_most(all(DPI_LANES_QUIET), quiet1);
  const vd held1 = sel(border, held + all(1.0), sel(over, all(0.0), held));
  const vd total1 = sel(border, total + all(1.0), total);
  store(COL(QUIET), sel(over, all(0.0), quiet1));
  store(COL(HELD), held1);
  store(COL(HELD_ALL), total1);
  const vm far = good & less(all(DPI_LANES_FAR_SHARE * c->limit), growth) &
                 at_most(OWN(LEFT), all(c->most - DPI_LANES_FAR_TRIED)) & less(all(DPI_LANES_FAR_AHEAD) * h, rest);
  const vm held_long = border & at_most(all(DPI_LANES_STIFF_COUNT), held1) &
                       (less(all(DPI_LANES_STIFF_AHEAD) * h, rest) | less(all(DPI_LANES_STIFF_TOTAL), total1));
  return held_long | far;
}

/* Pivots that lost digits, so many times in a row: true where smaller steps don't help. */
static inline vm looks_lost(dpi_lanes_ctl *c, vm on, vm lost) {
  const vd held = sel(lost, OWN(HELD) + all(1.0), sel(on, all(0.0), OWN(HELD)));
  store(COL(HELD), held);
  c->counted = to_bits(less(all(0.0), held));
  return on & less(all(DPI_LANES_LOST_MOST), held);
}

/* Why lanes stop, for those that do. */
static __attribute__((noinline)) void explain(dpi_lanes_ctl *c, uint32_t zero, uint32_t covered, uint32_t hopeless,
                                              uint32_t tiny) {
  const vd bad =
      sel(from_bits(hopeless), all(DPI_LANES_HELD), sel(from_bits(tiny), all(DPI_LANES_TINY), all(DPI_LANES_SPENT)));
  store(COL(STOP), sel(from_bits(zero), all(DPI_LANES_ZERO), sel(from_bits(covered), all(DPI_LANES_COVERED), bad)));
}

/* Which of these lanes have a state that goes through zero by more than noise, in a step long enough to be made
 * smaller? */
static __attribute__((noinline)) uint32_t passes_zero(const dpi_lanes_ctl *c, const dpi_lanes_regs *r, uint32_t lanes) {
  vm over = from_bits(0);
  for (int i = 0; i < c->nstate; i++) {
    const vd x = load(r->x[i]), x_new = load(r->x_new[i]);
    over |= less(x * x_new, all(0.0)) & at_most(all(DPI_LANES_NOISE * c->atol[i]), size_of(x_new));
  }
  /* a shorter one would be split until rounding of t decides where zero lies */
  over &= less(all(1e3 * DPI_LANES_EPS) * size_of(load(r->t)), load(r->h));
  return lanes & to_bits(over);
}

/* The same for zero and noise alike: most steps pass none. */
static inline vm changes_sign(const dpi_lanes_ctl *c, const dpi_lanes_regs *r) {
  vm over = from_bits(0);
  for (int i = 0; i < c->nstate; i++) over |= less(load(r->x[i]) * load(r->x_new[i]), all(0.0));
  return over;
}

/* Which of the lanes whose step has no size left must take it although its error is too large? Rates that jump inside a
 * step let no step pass; what it does to the state is no more than what rounding of the time of the jump does. Towards
 * a pole steps become small too, but little by little: there the steps before were as small. */
static __attribute__((noinline)) uint32_t cross(dpi_lanes_ctl *c, const dpi_lanes_regs *r, uint32_t refused) {
  const vd lately = OWN(LATELY), jump = all(DPI_LANES_JUMP) * lately;
  const vm over = from_bits(refused) & less(load(r->h), jump) & less(load(r->size), all(__builtin_inf()));
  store(COL(WISH), sel(over, all(DPI_LANES_AFTER) * lately, OWN(WISH)));
  store(COL(PACE), sel(over, all(0.0), OWN(PACE)));
  store(COL(LATELY), sel(over, jump, lately)); /* the next one has to be a long way off */
  return to_bits(over);
}

/* States at times to be recorded that the step just taken covers, as dpi_lane_face_inside computes them. */
static __attribute__((noinline)) void record(dpi_lanes_ctl *c, const dpi_lanes_regs *r, vm taken) {
  const dpi_lane_step *step = c->step;
  const int m = step->nstage, n = c->nstate;
  const vd t = load(r->t), h = load(r->h), t_new = OWN(T_NEW);
  for (;;) {
    const vd at = OWN(NEXT);
    const uint32_t due = to_bits(taken & at_most(at, t_new));
    if (due == 0) return;
    const vd theta = (at - t) / h, rest = all(1.0) - theta;
    const vm end = at_most(t_new, at);
    vd weight[DPI_LANE_STAGE_MAX];
    for (int p = 0; p < c->npart; p++) {
      vd v = all(0.0);
      for (int k = step->ndense - 1; k >= 0; k--) v = all(step->dense_weight[k * m + c->part[p]]) + theta * v;
      weight[p] = rest * v;
    }
    const double *const *part = r->part;
    for (int j = 0; j < n; j++, part += c->npart) {
      const vd x_new = load(r->x_new[j]);
      vd v = x_new;
      for (int p = 0; p < c->npart; p++) v += weight[p] * load(part[p]);
      store(r->read + j * LANES, sel(end, x_new, rest * load(r->x[j]) + theta * v));
    }
    for (uint32_t left = due; left != 0; left &= left - 1) {
      const int l = __builtin_ctz(left);
      dpi_lanes_log *log = &c->log[l];
      for (int j = 0; j < n; j++) log->x[j] = r->read[j * LANES + l];
      log->x += n;
      COL(NEXT)[l] = ++log->done < log->n ? log->t[log->done] : __builtin_inf();
    }
  }
}

/* The next size of all that are on. Lanes that stop, as bits; *go_on: accepted and not stopped. */
static inline uint32_t judge(dpi_lanes_ctl *c, const dpi_lanes_regs *r, vm on, vm *go_on) {
  const vd size = load(r->size), room = load(r->room), h = load(r->h), wish = OWN(WISH), pace = OWN(PACE);
  const vd t = load(r->t), left = OWN(LEFT) - sel(on, all(1.0), all(0.0));
  vd factor = change(c, size, room, sel(less(all(0.0), pace), all(DPI_LANES_GROW), all(DPI_LANES_GROW_FIRST)));
  /* where x_new is infinite, so is the room of its error */
  vm good = on & at_most(size, room) & less(size, all(__builtin_inf())), hopeless = from_bits(0);
  if (c->implicit) {
    const vm lost = on & less(all(DPI_LANE_LOST), load(r->growth));
    good &= ~lost;
    factor = sel(lost, least(factor, all(DPI_LANES_LOST_SHRINK)), factor);
    if ((to_bits(lost) | c->counted) != 0) hopeless = looks_lost(c, on, lost);
  } else {
    hopeless = looks_stiff(c, r, good, h);
  }
  const vd step = h * factor;
  /* Gustafsson's predictive controller: what the last two accepted errors foretell, where that is less */
  const vd foretold = sel(less(all(0.0), pace), step * step * pace, step);
  vd next = sel(good, least(step, foretold), step);
  /* after a refusal no growth; after two no more small reductions: there is a corner, where errors do not fall as
   * foretold */
  next = sel(from_bits(c->again) & on, least(next, sel(good, h, all(0.5) * h)), next);
  /* a step cut short by t_end says little: keep what was wished for */
  next = sel(good & less(h, wish) & less(next, wish), wish, next);
  store(COL(WISH), sel(on, next, wish));
  store(COL(LEFT), left);
  const vd lately = OWN(LATELY), faded = all(DPI_LANES_FADE) * lately;
  store(COL(LATELY), sel(good, sel(less(faded, h), h, faded), lately));
  store(COL(PACE), sel(good, all(1.0) / step, pace)); /* nobody waits for this division */

  uint32_t zero = to_bits(changes_sign(c, r) & good & ~hopeless);
  if (zero != 0) zero = passes_zero(c, r, zero);
  const vd nothing = all(DPI_LANES_NOTHING) * size_of(t) + all(DPI_LANES_LEAST);
  vm tiny = on & at_most(next, nothing);
  if (to_bits(tiny) != 0) {
    /* only a refused step ends the path: behind an accepted one a lane may be looked at or not, which must be
     * the same */
    store(COL(WISH), sel(tiny & good, all(2.0) * nothing, OWN(WISH)));
    tiny &= ~good;
    const vm jumped = from_bits(cross(c, r, to_bits(tiny & ~hopeless)));
    good |= jumped;
    tiny &= ~jumped;
  }
  store(COL(TAKEN), OWN(TAKEN) + sel(good, all(1.0), all(0.0)));
  c->again = to_bits(on & ~good);
  const vm covered = good & ~hopeless & at_most(OWN(ATTEND), OWN(T_NEW)), open = on & ~covered;
  tiny &= open;
  const vm stop = covered | hopeless | tiny | (open & at_most(left, all(0.0))) | from_bits(zero);
  *go_on = good & ~stop;
  const vm taken = *go_on | (covered & ~from_bits(zero));
  if (to_bits(taken & at_most(OWN(NEXT), OWN(T_NEW))) != 0) record(c, r, taken);
  const uint32_t stopped = to_bits(stop);
  if (stopped != 0) explain(c, zero, to_bits(covered), to_bits(hopeless), to_bits(tiny));
  return stopped;
}

static inline void move(dpi_lanes_ctl *c, const dpi_lanes_regs *r, vm go_on) {
  store(r->t, sel(go_on, OWN(T_NEW), load(r->t)));
  for (int i = 0; i < c->n; i++) store(r->x[i], sel(go_on, load(r->x_new[i]), load(r->x[i])));
}

uint32_t GO(dpi_lanes_ctl *c) {
  const dpi_lanes_regs *r = c->regs;
  const vm on = from_bits(c->on);
  for (;;) {
    choose(c, r, on);
    dpi_tape_lanes_run(r->tape, c->ops, r->reg);
    vm go_on;
    const uint32_t stopped = judge(c, r, on, &go_on);
    move(c, r, go_on);
    if (stopped == 0) continue;
    c->on &= ~stopped;
    return stopped;
  }
}
