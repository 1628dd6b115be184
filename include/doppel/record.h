/* record.h - O and U as data: what was measured and what was given, with its place in the file it came from.
 *
 * A record is plain data: subjects, each with rows in time order as the file has them. Formats (src/format/<name>) make
 * records; nothing is interpreted by a kind yet. Owned by the caller; dp_record_destroy frees all of it at once.
 */
#ifndef DOPPEL_RECORD_H
#define DOPPEL_RECORD_H

#include <stdint.h>

#include "doppel/context.h"
#include "doppel/sim.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One row of an event table (the field's common, NM-TRAN style form). */
typedef struct dp_event {
  dp_time time;        /* ticks of the table's time unit */
  int evid;            /* 0 observation, 1 dose, 2 other, 3 reset, 4 reset and dose */
  double amount;       /* AMT */
  double value;        /* DV, NaN when missing */
  double rate;         /* RATE: > 0; -1, -2 from the model; 0 bolus */
  dp_time interval;    /* II */
  int repeats;         /* ADDL */
  int steady;          /* SS 0, 1, 2 */
  int compartment;     /* CMT, 0 when absent */
  const char *dvid;    /* which observable, as written (dvid column), "" when absent */
  int missing;         /* MDV */
  int censored;        /* CENS: 1 value is an upper limit (below quantification), -1 lower limit */
  double limit;        /* LIMIT or LLOQ column, NaN when absent */
  int line;            /* in the file */
  const double *covariate; /* [ncovariate] NaN when missing */
} dp_event;

typedef struct dp_subject {
  const char *id;
  const dp_event *event;
  int nevent;
} dp_subject;

typedef struct dp_record {
  const char *source;      /* file name */
  char hash[65];           /* SHA-256 of the bytes read */
  const char *const *covariate_id; /* numeric columns that are none of the event columns, plus coded text columns */
  int ncovariate;
  const dp_subject *subject;
  int nsubject;
  const char *const *column; /* names as found */
  int ncolumn;
  const char *const *warning; /* things kept but worth telling ("file.csv:12: ...") */
  int nwarning;
  void *owner;             /* internal */
} dp_record;

typedef struct dp_record_def {
  uint32_t cookie;
  const char *format;      /* "nmtran" or NULL: by content */
  /* coded text columns ("sex" -> male 0, female 1): "column:text=number,text=number;column:..."; NULL none */
  const char *codes;
  /* nmtran: the file's columns in their order, its own header apart: "ID TIME LNDV=DV WT=DROP"; NULL: by the header */
  const char *columns;
  const char *ignore;      /* with columns: "@" rows that begin with a letter, else rows that begin with this; NULL "#" */
  const char *drop, *keep; /* with columns: conditions "BLQ.EQ.1 ID.GT.90": rows for which one holds, or none, are left out */
  int dose_compartment, observed_compartment; /* what CMT 0 or missing stands for; 0: nothing */
} dp_record_def;
dp_record_def dp_record_def_default(void);

/* ERR_INPUT with file, line, column, found, expected. Nothing is returned half-read. */
dp_status dp_record_read(dp_ctx *ctx, const char *path, const dp_record_def *def, dp_record **out);
void dp_record_destroy(dp_record *record);
int dp_record_subject(const dp_record *record, const char *id); /* index or -1 */

#ifdef __cplusplus
}
#endif
#endif
