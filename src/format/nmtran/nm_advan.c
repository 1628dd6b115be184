/* nm_advan.c - floor 3: the compartments and rates of NONMEM's own models under their parametrisations.
 *
 *   ADVAN1, 2, 10     one compartment; 2: with a depot; 10: Michaelis-Menten elimination
 *   ADVAN3, 4         two compartments; 4: with a depot
 *   ADVAN11, 12       three compartments; 12: with a depot
 *   ADVAN5, 7         any linear model: rate constants Kij or KiTj
 *   ADVAN6, 8, 9, 13, 14, 15  $DES
 *
 * Every TRANS is brought to rate constants first: K out of the central compartment, from there to peripheral p and
 * back. For TRANS3, 5 and 6 these follow from NONMEM's own definitions (Vss; the exponents of the sum of exponentials
 * and the rate constants back).
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/nmtran/nm_control.h"

/* rate constants of a closed model; NM_NONE where it has no such compartment */
typedef struct constants {
  nm_node k, ka, to[2], from[2];
} constants;

#define MAKE(op, a, b) nm_make(&s->g, X_##op, (a), (b), 0)

static bool has_depot(int advan) { return advan == 2 || advan == 4 || advan == 12; }

static int peripherals(int advan) { return advan == 3 || advan == 4 ? 1 : advan == 11 || advan == 12 ? 2 : 0; }

static bool by_equations(int advan) {
  return advan == 6 || advan == 8 || advan == 9 || advan == 13 || advan == 14 || advan == 15;
}

/* ---- compartments ---- */

static void closed_compartments(nm_stream *s) {
  static const char *const names[] = {"PERIPHERAL", "PERIPHERAL2"};
  s->closed = true;
  s->ncmt = 0;
  if (has_depot(s->advan)) s->cmt[++s->ncmt].name = "DEPOT";
  s->cmt[++s->ncmt].name = "CENTRAL";
  s->defdose = 1;
  s->defobs = s->ncmt;
  for (int i = 0; i < peripherals(s->advan); i++) s->cmt[++s->ncmt].name = names[i];
}

/* $MODEL: the defaults for doses and observations by their options, else by the names DEPOT and CENTRAL,
 * else the first. */
static void default_compartments(nm_stream *s) {
  for (int i = s->ncmt; i >= 1; i--) {
    if (strcmp(s->cmt[i].name, "DEPOT") == 0) s->defdose = i;
    if (strcmp(s->cmt[i].name, "CENTRAL") == 0) s->defobs = i;
  }
  if (!s->defdose) s->defdose = 1;
  if (!s->defobs) s->defobs = 1;
  for (int i = s->ncmt; i >= 1; i--) {
    if (s->cmt[i].defdose) s->defdose = i;
    if (s->cmt[i].defobs) s->defobs = i;
  }
}

dp_status nm_advan_setup(nm_stream *s) {
  static const int closed[] = {1, 2, 3, 4, 10, 11, 12};
  if (s->block[NM_PRED].line)
    return NM_REFUSE(s, s->block[NM_PRED].line, "$PRED (a model without compartments) is not supported");
  if (!s->advan)
    return NM_WRONG(s, s->subs_line ? s->subs_line : 1,
                    "there is no $SUBROUTINES ADVANn, which says what the model is");
  for (int i = 0; i < DPI_COUNT(closed); i++)
    if (closed[i] == s->advan) {
      if (s->model_line) return NM_WRONG(s, s->model_line, "$MODEL does not go with ADVAN%d", s->advan);
      if (s->block[NM_DES].line) return NM_WRONG(s, s->block[NM_DES].line, "$DES does not go with ADVAN%d", s->advan);
      closed_compartments(s);
      return DP_OK;
    }
  bool linear = s->advan == 5 || s->advan == 7;
  if (!linear && !by_equations(s->advan)) return NM_REFUSE(s, s->subs_line, "ADVAN%d is not supported", s->advan);
  if (s->ncmt == 0) return NM_WRONG(s, s->subs_line, "ADVAN%d needs a $MODEL with compartments", s->advan);
  if (!linear && !s->block[NM_DES].line) return NM_WRONG(s, s->subs_line, "ADVAN%d needs $DES", s->advan);
  if (s->trans > 1) return NM_REFUSE(s, s->subs_line, "ADVAN%d with TRANS%d is not supported", s->advan, s->trans);
  default_compartments(s);
  return DP_OK;
}

/* ---- parameters ---- */

/* A parameter that $PK must give. */
static dp_status need(nm_stream *s, const char *name, nm_node *out) {
  *out = nm_pk_value(s, name);
  if (*out != NM_NONE) return DP_OK;
  int trans = s->trans ? s->trans : 1;
  return NM_WRONG(s, s->block[NM_PK].line, "$PK gives no %s, which ADVAN%d TRANS%d needs", name, s->advan, trans);
}

/* Names of central's and the peripherals' numbers in a rate constant: K23 with a depot, K12 without. */
static dp_status rate_constant(nm_stream *s, int from, int to, nm_node *out) {
  char name[24];
  snprintf(name, sizeof name, "K%d%d", from, to);
  return need(s, name, out);
}

static dp_status trans1(nm_stream *s, int np, int c, constants *r) {
  DP_TRY(need(s, "K", &r->k));
  for (int i = 0; i < np; i++) {
    DP_TRY(rate_constant(s, c, c + 1 + i, &r->to[i]));
    DP_TRY(rate_constant(s, c + 1 + i, c, &r->from[i]));
  }
  return DP_OK;
}

/* CL and volumes: V, or V1 Q V2 (V2 Q V3), or V1 Q2 V2 Q3 V3 (V2 Q3 V3 Q4 V4). */
static dp_status trans24(nm_stream *s, int np, int c, constants *r) {
  char name[24];
  nm_node cl, v, q, vp;
  DP_TRY(need(s, "CL", &cl));
  if (np == 0)
    snprintf(name, sizeof name, "V");
  else
    snprintf(name, sizeof name, "V%d", c);
  DP_TRY(need(s, name, &v));
  r->k = MAKE(DIV, cl, v);
  for (int i = 0; i < np; i++) {
    if (np == 1)
      snprintf(name, sizeof name, "Q");
    else
      snprintf(name, sizeof name, "Q%d", c + 1 + i);
    DP_TRY(need(s, name, &q));
    snprintf(name, sizeof name, "V%d", c + 1 + i);
    DP_TRY(need(s, name, &vp));
    r->to[i] = MAKE(DIV, q, v);
    r->from[i] = MAKE(DIV, q, vp);
  }
  return DP_OK;
}

/* CL, V, Q, VSS */
static dp_status trans3(nm_stream *s, constants *r) {
  nm_node cl, v, q, vss;
  DP_TRY(need(s, "CL", &cl));
  DP_TRY(need(s, "V", &v));
  DP_TRY(need(s, "Q", &q));
  DP_TRY(need(s, "VSS", &vss));
  r->k = MAKE(DIV, cl, v);
  r->to[0] = MAKE(DIV, q, v);
  r->from[0] = MAKE(DIV, q, MAKE(SUB, vss, v));
  return DP_OK;
}

/* alpha, beta and the constant back, given or from A/B */
static dp_status trans56_two(nm_stream *s, int c, bool five, constants *r) {
  nm_node alpha, beta, back;
  DP_TRY(need(s, "ALPHA", &alpha));
  DP_TRY(need(s, "BETA", &beta));
  if (five) {
    nm_node aob;
    DP_TRY(need(s, "AOB", &aob));
    back = MAKE(DIV, MAKE(ADD, MAKE(MUL, aob, beta), alpha), MAKE(ADD, aob, nm_num(&s->g, 1)));
  } else {
    DP_TRY(rate_constant(s, c + 1, c, &back));
  }
  r->from[0] = back;
  r->k = MAKE(DIV, MAKE(MUL, alpha, beta), back);
  r->to[0] = MAKE(SUB, MAKE(SUB, MAKE(ADD, alpha, beta), back), r->k);
  return DP_OK;
}

/* alpha, beta, gamma and both constants back: sums of products of the exponents are those of the rate constants */
static dp_status trans6_three(nm_stream *s, int c, constants *r) {
  nm_node a, b, g, x, y;
  DP_TRY(need(s, "ALPHA", &a));
  DP_TRY(need(s, "BETA", &b));
  DP_TRY(need(s, "GAMMA", &g));
  DP_TRY(rate_constant(s, c + 1, c, &x));
  DP_TRY(rate_constant(s, c + 2, c, &y));
  r->from[0] = x;
  r->from[1] = y;
  r->k = MAKE(DIV, MAKE(MUL, MAKE(MUL, a, b), g), MAKE(MUL, x, y));
  nm_node one = MAKE(ADD, MAKE(ADD, a, b), g);
  nm_node two = MAKE(ADD, MAKE(ADD, MAKE(MUL, a, b), MAKE(MUL, a, g)), MAKE(MUL, b, g));
  nm_node m = MAKE(SUB, MAKE(SUB, MAKE(SUB, one, r->k), x), y); /* to0 + to1 */
  nm_node n =
      MAKE(SUB, MAKE(SUB, MAKE(SUB, two, MAKE(MUL, r->k, x)), MAKE(MUL, r->k, y)), MAKE(MUL, x, y)); /* to0 y + to1 x */
  r->to[0] = MAKE(DIV, MAKE(SUB, n, MAKE(MUL, m, x)), MAKE(SUB, y, x));
  r->to[1] = MAKE(SUB, m, r->to[0]);
  return DP_OK;
}

static dp_status read_constants(nm_stream *s, int np, int c, constants *r) {
  int trans = s->trans ? s->trans : 1;
  if (trans == 1) return trans1(s, np, c, r);
  if ((trans == 2 && np == 0) || (trans == 4 && np > 0)) return trans24(s, np, c, r);
  if (trans == 3 && np == 1) return trans3(s, r);
  if ((trans == 5 || trans == 6) && np == 1) return trans56_two(s, c, trans == 5, r);
  if (trans == 6 && np == 2) return trans6_three(s, c, r);
  return NM_REFUSE(s, s->subs_line, "ADVAN%d with TRANS%d is not supported", s->advan, trans);
}

/* ---- rates ---- */

static nm_node amount(nm_stream *s, int cmt) { return nm_leaf(&s->g, X_A, cmt); }

static dp_status closed_rates(nm_stream *s) {
  constants r = {NM_NONE, NM_NONE, {NM_NONE, NM_NONE}, {NM_NONE, NM_NONE}};
  int np = peripherals(s->advan), c = has_depot(s->advan) ? 2 : 1;
  nm_node in = NM_NONE, out;
  DP_TRY(read_constants(s, np, c, &r));
  if (c == 2) {
    DP_TRY(need(s, "KA", &r.ka));
    in = MAKE(MUL, r.ka, amount(s, 1));
    s->rate[1] = MAKE(MUL, MAKE(NEG, r.ka, 0), amount(s, 1));
  }
  out = MAKE(MUL, r.k, amount(s, c));
  nm_node sum = in == NM_NONE ? MAKE(NEG, out, 0) : MAKE(SUB, in, out);
  for (int i = 0; i < np; i++) {
    nm_node leave = MAKE(MUL, r.to[i], amount(s, c)), back = MAKE(MUL, r.from[i], amount(s, c + 1 + i));
    sum = MAKE(ADD, MAKE(SUB, sum, leave), back);
    s->rate[c + 1 + i] = MAKE(SUB, leave, back);
  }
  s->rate[c] = sum;
  return nm_check(s);
}

static dp_status michaelis_rates(nm_stream *s) {
  nm_node vm, km;
  DP_TRY(need(s, "VM", &vm));
  DP_TRY(need(s, "KM", &km));
  nm_node a = amount(s, 1);
  s->rate[1] = MAKE(NEG, MAKE(DIV, MAKE(MUL, vm, a), MAKE(ADD, km, a)), 0);
  return nm_check(s);
}

/* "K12", "K1T12", "K20": from, to; false for other names. */
static bool linear_name(const char *name, int *from, int *to) {
  if (name[0] != 'K' || strspn(name + 1, "0123456789T") != strlen(name + 1)) return false;
  const char *t = strchr(name, 'T');
  if (t) {
    *from = atoi(name + 1);
    *to = atoi(t + 1);
    return t > name + 1 && t[1] && !strchr(t + 1, 'T') && strlen(name) < 8;
  }
  if (strlen(name) != 3) return false;
  *from = name[1] - '0';
  *to = name[2] - '0';
  return true;
}

static dp_status linear_rates(nm_stream *s) {
  nm_node zero = nm_num(&s->g, 0);
  int found = 0;
  for (int i = 1; i <= s->ncmt; i++) s->rate[i] = zero;
  for (int k = 0; k < s->npk; k++) {
    int from, to;
    if (s->after_pk[k] == NM_NONE || !linear_name(s->var[k].name, &from, &to)) continue;
    if (from < 1 || from > s->ncmt || to > s->ncmt + 1 || from == to)
      return NM_WRONG(s, s->var[k].line, "%s: there are %d compartments", s->var[k].name, s->ncmt);
    nm_node flow = MAKE(MUL, s->after_pk[k], amount(s, from));
    s->rate[from] = MAKE(SUB, s->rate[from], flow);
    if (to >= 1 && to <= s->ncmt) s->rate[to] = MAKE(ADD, s->rate[to], flow);
    found++;
  }
  if (!found) return NM_WRONG(s, s->block[NM_PK].line, "$PK gives no rate constant Kij, which ADVAN%d needs", s->advan);
  return nm_check(s);
}

dp_status nm_advan_rates(nm_stream *s) {
  if (s->advan == 10) return michaelis_rates(s);
  return s->closed ? closed_rates(s) : linear_rates(s);
}
