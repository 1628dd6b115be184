/* Compared with: events worked out by hand from small tables, one wrong table for every refusal,
 * and (where the real tables are there) counts taken from them by other means. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/tests/failing_memory.h"
#include "base/tests/own_context.h"
#include "format/format.h"

extern const dpi_format_ops dp_format_nmtran;

static dp_status read_text(const char *text, const char *codes, dp_record **out) {
  dp_record_def def = dp_record_def_default();
  def.codes = codes;
  return dp_format_nmtran.read(ctx, text, strlen(text), "t.csv", &def, out);
}

static dp_record *record_of(const char *text, const char *codes) {
  dp_record *r;
  if (read_text(text, codes, &r) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  return r;
}

/* ---- what is read ---- */

static void doses_and_observations(void **state) {
  (void)state;
  dp_record *r = record_of(
      "ID,TIME,AMT,DV,EVID,CMT,RATE,II,ADDL,SS,MDV,WT\n"
      "ann,0,320,.,1,1,0,12,5,1,1,79.6\n"
      "ann,0.25,0,2.84,0,2,0,0,0,0,0,79.6\n"
      "ann,1.5,.,,0,2,.,.,.,.,1,.\n"
      "bob,0,100,,4,2,50,,,,,60\n"
      "bob,0.1,0,,2,,,,,,,61\n"
      "bob,2,,,3,,,,,,,\n",
      NULL);
  assert_int_equal(r->nsubject, 2);
  assert_int_equal(r->ncovariate, 1);
  assert_string_equal(r->covariate_id[0], "WT");
  assert_int_equal(r->ncolumn, 12);
  assert_string_equal(r->column[7], "II");
  assert_int_equal(r->nwarning, 0);
  assert_string_equal(r->source, "t.csv");
  const dp_event *e = r->subject[0].event;
  assert_string_equal(r->subject[0].id, "ann");
  assert_int_equal(r->subject[0].nevent, 3);
  assert_true(e[0].evid == 1 && e[0].amount == 320 && e[0].compartment == 1 && e[0].repeats == 5);
  assert_true(e[0].interval == 12 * DP_TICKS && e[0].steady == 1 && isnan(e[0].value) &&
              e[0].missing);
  assert_true(e[0].time == 0 && e[0].line == 2 && e[0].covariate[0] == 79.6 && isnan(e[0].limit));
  assert_true(e[1].evid == 0 && e[1].value == 2.84 && !e[1].missing && e[1].time == 250000000);
  assert_true(e[1].compartment == 2 && e[1].amount == 0 && e[1].censored == 0);
  assert_true(e[2].missing && isnan(e[2].value) && isnan(e[2].covariate[0]) && e[2].line == 4);
  e = r->subject[1].event;
  assert_true(e[0].evid == 4 && e[0].rate == 50 && e[0].amount == 100 && e[0].steady == 0);
  assert_true(e[1].evid == 2 && e[1].missing && e[1].compartment == 0 && e[1].covariate[0] == 61);
  assert_true(e[2].evid == 3 && e[2].missing);
  assert_string_equal(e[2].dvid, "");
  dp_record_destroy(r);
}

static void the_same_table_in_other_dress(void **state) {
  (void)state;
  static const char *const texts[] = {
      "id,time,dv,evid,amt\n1,0,.,1,100\n1,2,3.5,0,0\n",
      "Amt\tEvid\tDv\tTime\tId\r\n100\t1\t.\t0\t1\r\n0\t0\t3.5\t2\t1\r\n",
      "  ID   TIME  DV EVID   AMT\n 1  0.0E+00 .   1  100\n 1 2.0E+00 3.5 0  0\n",
      "\"ID\",\"TIME\",\"DV\",\"EVID\",\"AMT\"\n\"1\",0,NA,1,100\n\"1\",2,3.5,0,NA\n",
      "ID;TIME;DV;AMT\n1;0;.;100\n1;2;3.5;0\n", /* no EVID: the amount makes the dose */
  };
  for (int k = 0; k < DPI_COUNT(texts); k++) {
    dp_record *r = record_of(texts[k], NULL);
    assert_int_equal(r->nsubject, 1);
    assert_string_equal(r->subject[0].id, "1");
    assert_int_equal(r->subject[0].nevent, 2);
    const dp_event *e = r->subject[0].event;
    assert_true(e[0].evid == 1 && e[0].amount == 100 && e[0].time == 0);
    assert_true(e[1].evid == 0 && e[1].value == 3.5 && e[1].time == 2 * DP_TICKS && !e[1].missing);
    dp_record_destroy(r);
  }
}

static void infusions_and_constant_infusions(void **state) {
  (void)state;
  dp_record *r = record_of(
      "ID,TIME,AMT,DV,RATE,SS,II\n"
      "1,0,100,.,-1,0,0\n1,1,100,.,-2,0,0\n1,2,0,.,5,1,0\n1,3,100,.,5,2,24\n1,4,0,7,0,0,0\n",
      NULL);
  const dp_event *e = r->subject[0].event;
  assert_true(e[0].rate == -1 && e[1].rate == -2);
  assert_true(e[2].evid == 1 && e[2].amount == 0 && e[2].rate == 5 && e[2].steady == 1);
  assert_true(e[3].steady == 2 && e[3].interval == 24 * DP_TICKS);
  assert_true(e[4].evid == 0 && e[4].value == 7);
  dp_record_destroy(r);
}

static void old_dose_codes_name_the_compartment(void **state) {
  (void)state;
  dp_record *r =
      record_of("ID,TIME,AMT,DV,EVID,CMT\n1,0,10,0,101,1\n1,1,10,0,201,.\n1,2,0,4,0,2\n", NULL);
  const dp_event *e = r->subject[0].event;
  assert_true(e[0].evid == 1 && e[0].compartment == 1 && e[0].missing);
  assert_true(e[1].evid == 1 && e[1].compartment == 2);
  dp_record_destroy(r);
}

static void dvid_censoring_and_limits(void **state) {
  (void)state;
  static const char *const names[] = {"LLOQ", "limit"};
  for (int k = 0; k < 2; k++) {
    char text[300];
    snprintf(text, sizeof text,
             "ID,TIME,DV,AMT,EVID,DVID,CENS,%s\n1,0,.,5,1,.,.,.\n1,1,0.1,0,0,cp,1,0.1\n1,1,40,0,0,"
             "pca,-1,.\n1,2,3,0,0,pca,0,.\n",
             names[k]);
    dp_record *r = record_of(text, NULL);
    const dp_event *e = r->subject[0].event;
    assert_string_equal(e[0].dvid, "");
    assert_string_equal(e[1].dvid, "cp");
    assert_string_equal(e[2].dvid, "pca");
    assert_string_equal(e[3].dvid, "pca");
    assert_true(e[1].censored == 1 && e[1].limit == 0.1 && e[2].censored == -1 &&
                isnan(e[2].limit));
    assert_int_equal(r->ncovariate, 0);
    dp_record_destroy(r);
  }
}

static void texts_become_numbers_by_codes(void **state) {
  (void)state;
  const char *table =
      "ID,TIME,DV,AMT,sex,race,note\n1,0,.,5,male,1,late\n1,1,3,0,Female,2,\n1,2,3,0,.,1,x\n1,3,4,"
      "0,1,1,y\n";
  dp_record *r = record_of(table, " Sex : male=0 , female = 1 ;smoker:yes=1;");
  assert_int_equal(r->ncovariate, 2);
  assert_string_equal(r->covariate_id[0], "sex");
  assert_string_equal(r->covariate_id[1], "race");
  const dp_event *e = r->subject[0].event;
  assert_true(e[0].covariate[0] == 0 && e[1].covariate[0] == 1 && isnan(e[2].covariate[0]) &&
              e[3].covariate[0] == 1);
  assert_true(e[1].covariate[1] == 2);
  assert_int_equal(r->nwarning, 1);
  assert_string_equal(r->warning[0], "t.csv:1: column note is text without codes and is left out");
  dp_record_destroy(r);
  r = NULL;
  assert_int_equal(read_text("ID,TIME,DV,AMT,sex\n1,0,.,5,mail\n", "sex:male=0,female=1", &r),
                   DP_ERR_INPUT);
  assert_string_equal(dp_ctx_error(ctx),
                      "t.csv:2: column sex: found 'mail', expected one of: male, female");
  dp_ctx_clear_error(ctx);
  assert_int_equal(read_text("ID,TIME,DV,AMT,sex\n1,0,.,5,3\n", "sex:male=0,female=1", &r),
                   DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  static const char *const wrong[] = {"sex",     "sex:male", "sex:male=x",
                                      ":male=1", "sex:=1",   "sex:male=0;x"};
  for (int k = 0; k < DPI_COUNT(wrong); k++) {
    if (read_text(table, wrong[k], &r) != DP_ERR_INPUT) fail_msg("codes '%s' passed", wrong[k]);
    assert_memory_equal(dp_ctx_error(ctx), "codes: found '", 14);
    dp_ctx_clear_error(ctx);
  }
  assert_null(r);
}

static void warned_but_read(void **state) {
  (void)state;
  dp_record *r = record_of(
      "ID,TIME,AMT,DV,EVID,MDV,II,ADLL\n1,0,5,7,1,0,24,0\n2,0,5,.,1,1,0,0\n1,1,0,.,0,.,0,0\n1,2,0,."
      ",0,.,0,0\n2,3,0,1,0,0,0,0\n",
      NULL);
  static const char *const want[] = {
      "t.csv:1: column ADLL is kept as a covariate; was ADDL meant?",
      "t.csv:4: rows of subject 1 do not stand together; they were joined to the rows above (and 1 "
      "more rows like it)",
      "t.csv:2: the value in DV on a dose row of subject 1 is not an observation and not used",
      "t.csv:4: subject 1 has an observation row without a value in DV; it is taken as missing "
      "(and 1 more rows like it)",
      "t.csv:2: subject 1 has a dose with II but neither ADDL nor SS; it is given once",
  };
  for (int k = 0; k < r->nwarning; k++) {
    if (k < DPI_COUNT(want)) assert_string_equal(r->warning[k], want[k]);
  }
  assert_int_equal(r->nwarning, DPI_COUNT(want));
  assert_int_equal(r->subject[0].nevent, 3);
  assert_int_equal(r->subject[1].nevent, 2);
  assert_true(r->subject[0].event[2].time == 2 * DP_TICKS && r->subject[1].event[1].value == 1);
  assert_true(r->subject[0].event[1].missing && isnan(r->subject[0].event[1].value));
  dp_record_destroy(r);
}

static void replicates_are_data(void **state) {
  (void)state;
  dp_record *r = record_of("ID,TIME,DV,AMT,rep\n9,3,10.8,0,1\n9,3,11.2,0,1\n9,3,10.8,0,2\n", NULL);
  assert_int_equal(r->subject[0].nevent, 3);
  dp_record_destroy(r);
  r = record_of("ID,TIME,DV,AMT\n1,3,10.8,0\n2,3,10.8,0\n", NULL); /* other people */
  assert_int_equal(r->nsubject, 2);
  dp_record_destroy(r);
  r = record_of("ID,TIME,DV,AMT,assay\n9,3,10.8,0,a\n9,3,10.8,0,b\n",
                NULL); /* a text that is left out counts too */
  assert_int_equal(r->subject[0].nevent, 2);
  dp_record_destroy(r);
}

/* ---- what is refused ---- */

typedef struct refusal {
  const char *text, *message;
} refusal;

#define EVENTS "ID,TIME,AMT,DV,EVID,RATE,II,ADDL,SS,MDV,CMT,CENS,WT\n"
static const refusal refusals[] = {
    {"", "t.csv: found an empty file, expected a header line"},
    {"ID,TIME,DV,AMT\n", "t.csv:1: found a header and no rows, expected events"},
    {"TIME,DV,AMT\n1,2,3\n", "t.csv:1: found no column ID, expected ID, TIME, and DV or AMT"},
    {"ID,TIM,DV,AMT\n1,0,2,3\n",
     "t.csv:1: found no column TIME, expected ID, TIME, and DV or AMT; is it TIM?"},
    {"ID,TIME,WT\n1,0,2\n",
     "t.csv:1: found no column DV nor AMT, expected ID, TIME, and DV or AMT"},
    {"ID,TIME,DV,dv\n1,0,2,2\n",
     "t.csv:1: found columns DV and dv, expected names that differ in more than letters' case"},
    {"ID,TIME,DV,WT,wt\n1,0,2,2,3\n",
     "t.csv:1: found columns WT and wt, expected names that differ in more than letters' case"},
    {"ID,TIME,DV,LLOQ,LIMIT\n1,0,2,2,2\n",
     "t.csv:1: found columns LIMIT and LLOQ, expected one of them"},
    {"ID,TIME,DV\n1,0,2\n1,1\n", "t.csv:3: found 2 fields, expected 3 as in the header (line 1)"},
    {"ID,TIME,DV\n.,0,2\n", "t.csv:2: column ID: found nothing, expected an id"},
    {"ID,TIME,DV\n1,.,2\n", "t.csv:2: column TIME: found nothing, expected a time"},
    {"ID,TIME,DV\n1,x,2\n", "t.csv:2: column TIME: found 'x', expected a number"},
    {"ID,TIME,DV\n1,8:30,2\n",
     "t.csv:2: column TIME: found '8:30', expected a number (clock times are not supported)"},
    {"ID,TIME,DV\n1,-1,2\n", "t.csv:2: column TIME: found '-1', expected no negative time"},
    {"ID,TIME,DV\n1,-1e-12,2\n", "t.csv:2: column TIME: found '-1e-12', expected no negative time"},
    {"ID,TIME,DV\n1,1e10,2\n", "t.csv:2: column TIME: found '1e10', expected at most 9.2e9"},
    {"ID,TIME,DV\n1,0,1.x\n", "t.csv:2: column DV: found '1.x', expected a number"},
    {"ID,TIME,DV\n1,0,1e999\n", "t.csv:2: column DV: found '1e999', expected a number"},
    {"ID,TIME,DV\n1,5,1\n1,4,1\n",
     "t.csv:3: column TIME: found '4', earlier than line 2 of subject 1, expected ascending times"},
    {"ID,TIME,DV\n1,5,1\n2,0,1\n1,4,1\n",
     "t.csv:4: column TIME: found '4', earlier than line 2 of subject 1, expected ascending times"},
    {"ID,TIME,DV\n1,5,1\n1,5.0,1.00\n",
     "t.csv:3: found a duplicate of line 2 (every field equal), expected a row of its own (replicates differ in "
     "some field)"},
    {EVENTS "1,5,.,1,0,.,.,.,.,.,.,.,.\n1,0,1,.,4,.,.,.,.,.,.,.,.\n",
     "t.csv:3: column TIME: found '0' on a reset (EVID 4) of subject 1, earlier than line 2; a "
     "reset that starts time again is not "
     "supported, expected time that goes on"},
    {EVENTS "1,0,x,1,0,0,0,0,0,0,0,0,0\n", "t.csv:2: column AMT: found 'x', expected a number"},
    {EVENTS "1,0,-5,1,1,0,0,0,0,0,0,0,0\n",
     "t.csv:2: column AMT: found '-5', expected no negative amount"},
    {EVENTS "1,0,0,1,1,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column AMT: found '0' on a dose (EVID 1), expected an amount above 0"},
    {EVENTS "1,0,.,1,4,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column AMT: found no amount on a dose (EVID 4), expected an amount above 0"},
    {EVENTS "1,0,0,1,1,5,0,0,0,1,0,0,0\n",
     "t.csv:2: column AMT: found '0' on a dose (EVID 1), expected an amount above 0"},
    {EVENTS "1,0,0,1,1,-2,0,0,1,1,0,0,0\n",
     "t.csv:2: column AMT: found '0' on a dose (EVID 1), expected an amount above 0"},
    {"ID,TIME,DV,EVID\n1,0,.,1\n",
     "t.csv:2: found a dose (EVID 1) but no column AMT, expected an amount"},
    {EVENTS "1,0,5,1,7,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column EVID: found '7', expected 0, 1, 2, 3, 4 or 101 (a dose into 1)"},
    {EVENTS "1,0,5,1,-1,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column EVID: found '-1', expected 0, 1, 2, 3, 4 or 101 (a dose into 1)"},
    {EVENTS "1,0,5,1,110,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column EVID: found '110', expected 0, 1, 2, 3, 4 or 101 (a dose into 1)"},
    {EVENTS "1,0,5,1,10101,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column EVID: found '10101', expected 0, 1, 2, 3, 4 or 101 (a dose into 1)"},
    {EVENTS "1,0,5,1,1.5,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column EVID: found '1.5', expected a whole number"},
    {EVENTS "1,0,5,1,101,0,0,0,0,1,2,0,0\n",
     "t.csv:2: column EVID: found 101, a dose into compartment 1, but CMT is 2"},
    {EVENTS "1,0,5,1,1,-3,0,0,0,1,0,0,0\n",
     "t.csv:2: column RATE: found '-3', expected a rate, 0, -1 or -2"},
    {EVENTS "1,0,5,1,1,0,0,3,0,1,0,0,0\n",
     "t.csv:2: column ADDL: found 3 further doses but no interval in II, expected II above 0"},
    {EVENTS "1,0,5,1,1,0,12,-3,0,1,0,0,0\n",
     "t.csv:2: column ADDL: found '-3', expected a whole number from 0 to 1000000"},
    {EVENTS "1,0,5,1,1,0,-12,3,0,1,0,0,0\n",
     "t.csv:2: column II: found '-12', expected no negative time"},
    {EVENTS "1,0,5,1,1,0,1e9,30,0,1,0,0,0\n",
     "t.csv:2: column ADDL: the last of 30 further doses lies beyond 9.2e9 time units"},
    {EVENTS "1,0,5,1,1,0,0,0,1,1,0,0,0\n",
     "t.csv:2: column SS: found a dose at steady state (SS 1) but no interval in II, expected II "
     "above 0"},
    {EVENTS "1,0,5,1,1,0,12,0,3,1,0,0,0\n",
     "t.csv:2: column SS: found '3', expected a whole number from 0 to 2"},
    {EVENTS "1,0,0,1,1,5,12,0,1,1,0,0,0\n",
     "t.csv:2: column II: found II or ADDL on a constant infusion at steady state, expected 0"},
    {EVENTS "1,0,0,1,0,5,0,0,0,0,0,0,0\n",
     "t.csv:2: column RATE: found '5' on an observation (EVID 0), expected 0 or nothing"},
    {EVENTS "1,0,8,1,0,0,0,0,0,0,0,0,0\n",
     "t.csv:2: column AMT: found '8' on an observation (EVID 0), expected 0 or nothing"},
    {EVENTS "1,0,8,1,.,0,0,0,0,0,0,0,0\n",
     "t.csv:2: column AMT: found '8' on an observation (EVID 0), expected 0 or nothing"},
    {EVENTS "1,0,0,1,0,0,24,0,0,0,0,0,0\n",
     "t.csv:2: column II: found '24' on an observation (EVID 0), expected 0 or nothing"},
    {EVENTS "1,0,0,1,0,0,0,2,0,0,0,0,0\n",
     "t.csv:2: column ADDL: found '2' on an observation (EVID 0), expected 0 or nothing"},
    {EVENTS "1,0,0,1,0,0,0,0,1,0,0,0,0\n",
     "t.csv:2: column SS: found '1' on an observation (EVID 0), expected 0 or nothing"},
    {EVENTS "1,0,8,1,3,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column AMT: found '8' on a reset (EVID 3), expected 0 or nothing"},
    {EVENTS "1,0,8,1,2,0,0,0,0,1,0,0,0\n",
     "t.csv:2: column AMT: found '8' on an event that is no dose (EVID 2), expected 0 or nothing"},
    {EVENTS "1,0,0,.,0,0,0,0,0,0,0,0,0\n",
     "t.csv:2: column DV: found no value on an observation (EVID 0, MDV 0), expected a number"},
    {"ID,TIME,AMT,EVID\n1,0,5,1\n1,1,0,0\n",
     "t.csv:3: found an observation (EVID 0) but no column DV, expected a value"},
    {EVENTS "1,0,0,1,0,0,0,0,0,2,0,0,0\n",
     "t.csv:2: column MDV: found '2', expected a whole number from 0 to 1"},
    {EVENTS "1,0,0,1,0,0,0,0,0,0,-1,0,0\n",
     "t.csv:2: column CMT: found '-1', expected a whole number from 0 to 9999"},
    {EVENTS "1,0,0,1,0,0,0,0,0,0,gut,0,0\n", "t.csv:2: column CMT: found 'gut', expected a number"},
    {EVENTS "1,0,0,1,0,0,0,0,0,0,0,2,0\n",
     "t.csv:2: column CENS: found '2', expected a whole number from -1 to 1"},
    {EVENTS "1,0,0,1,0,0,0,0,0,0,0,0,70\n1,1,0,1,0,0,0,0,0,0,0,0,71\n1,2,0,1,0,0,0,0,0,0,0,0,7o\n",
     "t.csv:4: column WT: found '7o', expected a number"},
};

static void wrong_tables_are_refused(void **state) {
  (void)state;
  for (int k = 0; k < DPI_COUNT(refusals); k++) {
    dp_record *r = (dp_record *)1;
    dp_status status = read_text(refusals[k].text, NULL, &r);
    if (status != DP_ERR_INPUT) fail_msg("passed: %s", refusals[k].text);
    assert_null(r);
    assert_string_equal(dp_ctx_error(ctx), refusals[k].message);
    dp_ctx_clear_error(ctx);
    assert_int_equal(dpi_alloc_live(ctx), 0);
  }
  dp_record *r;
  assert_int_equal(read_text("ID,TIME,DATE,DV\n1,0,2020-01-01,2\n", NULL, &r), DP_ERR_UNSUPPORTED);
  assert_string_equal(
      dp_ctx_error(ctx),
      "t.csv:1: column DATE: calendar dates are not supported, expected all of the time in TIME");
  dp_ctx_clear_error(ctx);
}

/* Among many rows at one time the first repetition in the file is named. */
static void duplicates_among_many(void **state) {
  (void)state;
  dpi_str text;
  dpi_str_init(&text, ctx);
  dpi_str_add(&text, "ID,TIME,DV\n");
  for (int k = 0; k < 5000; k++)
    dpi_str_addf(&text, "1,0,%d\n", k == 4000 ? 17 : k == 3000 ? 2500 : k);
  dp_record *r;
  assert_int_equal(read_text(dpi_str_text(&text), NULL, &r), DP_ERR_INPUT);
  assert_string_equal(dp_ctx_error(ctx),
                      "t.csv:3002: found a duplicate of line 2502 (every field equal), expected a row of its own "
                      "(replicates differ in some field)");
  dp_ctx_clear_error(ctx);
  dpi_str_release(&text);
}

/* ---- memory, size, speed ---- */

static char *big_table(dpi_str *s, int nsubject) {
  dpi_str_init(s, ctx);
  dpi_str_add(s, "ID,time,evid,amt,cmt,ii,addl,mdv,DV,WT,note\n");
  for (int i = 1; i <= nsubject; i++) {
    dpi_str_addf(s, "%d,0,1,10000,1,0,0,1,.,%d.5,a\n", i, 50 + i % 50);
    for (int k = 1; k <= 4; k++) {
      dpi_str_addf(s, "%d,%d.4,0,0,2,0,0,0,%d.4277,%d.5,b\n", i, 3 * k, (i * k) % 977, 50 + i % 50);
    }
  }
  return s->data;
}

static void four_thousand_subjects(void **state) {
  (void)state;
  dpi_str s;
  char *text = big_table(&s, 4000);
  size_t before = dpi_alloc_total(ctx);
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  dp_record *r = record_of(text, NULL);
  clock_gettime(CLOCK_MONOTONIC, &b);
  printf("4000 subjects, %zu bytes: %.1f ms\n", s.len,
         (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6);
  size_t work = dpi_alloc_total(ctx) - before;
  assert_int_equal(r->nsubject, 4000);
  assert_int_equal(dp_record_subject(r, "3999"), 3998);
  assert_true(r->subject[3998].event[4].value == (3999 * 4) % 977 + 0.4277);
  assert_true(work < 100); /* a few blocks and their doublings, nothing for each row or subject */
  dp_record_destroy(r);
  dpi_str_release(&s);
}

static void the_nth_allocation_fails_cleanly(void **state) {
  (void)state;
  dpi_str s;
  char *text = big_table(&s, 30);
  dp_record_def def = dp_record_def_default();
  def.codes = "note:a=1,b=2";
  bool reached = true;
  int n = 0;
  while (reached) {
    failing_memory memory = {0};
    dp_ctx *own = failing_context(&memory);
    dp_record *r;
    assert_non_null(own);
    failing_next(&memory, n++);
    dp_status status = dp_format_nmtran.read(own, text, s.len, "t.csv", &def, &r);
    reached = failing_happened(&memory);
    if (status != (reached ? DP_ERR_MEMORY : DP_OK))
      fail_msg("allocation %d: status %d", n, (int)status);
    dp_record_destroy(r);
    assert_int_equal(dpi_alloc_live(own), 0);
    dp_ctx_destroy(own);
  }
  assert_true(n > 40);
  dpi_str_release(&s);
}

/* ---- by file ---- */

static void files_are_dispatched(void **state) {
  (void)state;
  char path[] = "/tmp/dp_nmtran_XXXXXX";
  assert_true(mkstemp(path) >= 0);
  const char *text = "ID,TIME,DV\n1,0,2\n";
  dp_record *r;
  dp_record_def def = dp_record_def_default();
  assert_int_equal(dpi_file_write(ctx, path, text, strlen(text)), DP_OK);
  assert_int_equal(dp_record_read(ctx, path, NULL, &r), DP_OK);
  assert_string_equal(r->source, path);
  char hex[65];
  dpi_sha256_hex(text, strlen(text), hex);
  assert_string_equal(r->hash, hex);
  dp_record_destroy(r);
  def.format = "nmtran";
  assert_int_equal(dp_record_read(ctx, path, &def, &r), DP_OK);
  dp_record_destroy(r);
  def.format = "dicom";
  assert_int_equal(dp_record_read(ctx, path, &def, &r), DP_ERR_USAGE);
  assert_non_null(strstr(dp_ctx_error(ctx), "found 'dicom', expected one of: "));
  assert_non_null(strstr(dp_ctx_error(ctx), "nmtran"));
  dp_ctx_clear_error(ctx);
  def = (dp_record_def){0};
  assert_int_equal(dp_record_read(ctx, path, &def, &r), DP_ERR_USAGE);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dp_record_read(ctx, "/nowhere/x.csv", NULL, &r), DP_ERR_INPUT);
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_file_write(ctx, path, "", 0), DP_OK);
  assert_int_equal(dp_record_read(ctx, path, NULL, &r), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "found an empty file"));
  dp_ctx_clear_error(ctx);
  assert_int_equal(dpi_file_write(ctx, path, "\0\1\2", 3), DP_OK);
  assert_int_equal(dp_record_read(ctx, path, NULL, &r), DP_ERR_INPUT);
  assert_non_null(strstr(dp_ctx_error(ctx), "no known format"));
  dp_ctx_clear_error(ctx);
  remove(path);
}

static void probes(void **state) {
  (void)state;
  static const struct {
    const char *text;
    int sure;
  } cases[] = {{"ID,TIME,DV\n", 1},       {"id time dv\n", 1},          {"\"ID\";\"TIME\"", 1},
               {"PATIENT_ID,TIMES\n", 0}, {"{\"resourceType\": 1}", 0}, {"x", 0}};
  for (int k = 0; k < DPI_COUNT(cases); k++) {
    int p = dp_format_nmtran.probe(cases[k].text, strlen(cases[k].text), "x");
    assert_true(cases[k].sure ? p >= 50 : p > 0 && p < 50);
  }
  assert_int_equal(dp_format_nmtran.probe("I\0D", 3, "x"), 0);
}

/* ---- real tables, where they are ---- */

static dp_record *shared_record(const char *name, const char *codes) {
  char path[1024];
  snprintf(path, sizeof path, "%s/../shared/%s", DOPPEL_SOURCE_DIR, name);
  if (!dpi_file_exists(path)) {
    printf("skipped: ../shared not there\n");
    return NULL;
  }
  dp_record_def def = dp_record_def_default();
  def.codes = codes;
  dp_record *r;
  if (dp_record_read(ctx, path, &def, &r) != DP_OK) fail_msg("%s", dp_ctx_error(ctx));
  for (int k = 0; k < r->nwarning; k++) printf("%s\n", r->warning[k]);
  return r;
}

static int count(const dp_record *r, int evid, const char *dvid) {
  int n = 0;
  for (int s = 0; s < r->nsubject; s++) {
    for (int k = 0; k < r->subject[s].nevent; k++) {
      const dp_event *e = &r->subject[s].event[k];
      n += e->evid == evid && (evid || !e->missing) && (!dvid || strcmp(e->dvid, dvid) == 0);
    }
  }
  return n;
}

/* 12 people, 132 observations (Boeckmann, Sheiner & Beal 1994) */
static void theophylline(void **state) {
  (void)state;
  dp_record *r = shared_record("patients/pk/theophylline.csv", NULL);
  if (!r) return;
  assert_int_equal(r->nsubject, 12);
  assert_int_equal(count(r, 1, NULL), 12);
  assert_int_equal(count(r, 0, NULL), 132);
  assert_true(r->subject[0].event[0].amount == 319.992 && r->subject[0].event[0].evid == 1);
  assert_true(r->subject[0].event[0].covariate[0] == 79.6);
  assert_int_equal(r->nwarning, 0);
  dp_record_destroy(r);
}

/* 32 people; person 9 has two assays at 3, 6, 9 and 12 h */
static void warfarin(void **state) {
  (void)state;
  dp_record *r = shared_record("patients/pk/warfarin.csv", "sex:male=0,female=1");
  if (!r) return;
  assert_int_equal(r->nsubject, 32);
  assert_int_equal(count(r, 1, NULL), 32);
  assert_int_equal(count(r, 0, "cp") + count(r, 0, "pca"), count(r, 0, NULL));
  assert_int_equal(count(r, 0, NULL) + 32, 515);
  assert_int_equal(r->ncovariate, 3);
  int s = dp_record_subject(r, "9"), same = 0;
  for (int k = 1; k < r->subject[s].nevent; k++) {
    const dp_event *e = &r->subject[s].event[k];
    same += e->time == e[-1].time && strcmp(e->dvid, e[-1].dvid) == 0 && e->evid == e[-1].evid;
  }
  assert_true(same >= 4);
  dp_record_destroy(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(doses_and_observations),
      cmocka_unit_test(the_same_table_in_other_dress),
      cmocka_unit_test(infusions_and_constant_infusions),
      cmocka_unit_test(old_dose_codes_name_the_compartment),
      cmocka_unit_test(dvid_censoring_and_limits),
      cmocka_unit_test(texts_become_numbers_by_codes),
      cmocka_unit_test(warned_but_read),
      cmocka_unit_test(replicates_are_data),
      cmocka_unit_test(wrong_tables_are_refused),
      cmocka_unit_test(duplicates_among_many),
      cmocka_unit_test(four_thousand_subjects),
      cmocka_unit_test(the_nth_allocation_fails_cleanly),
      cmocka_unit_test(files_are_dispatched),
      cmocka_unit_test(probes),
      cmocka_unit_test(theophylline),
      cmocka_unit_test(warfarin),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
