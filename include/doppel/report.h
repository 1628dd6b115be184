/* report.h - what people and programs read: a table, JSON, one self-contained HTML page.
 *
 *     DP_TRY(dp_report_table(study, &text));  puts(text);  dp_report_free(study->ctx, text);
 *     DP_TRY(dp_report_html(study, "out/theophylline.html", command));
 */
#ifndef DOPPEL_REPORT_H
#define DOPPEL_REPORT_H

#include "doppel/twin.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Free with dp_report_free. */
dp_status dp_report_table(const dp_study *study, char **text);
/* One object; docs/report-json.md names every key. Numbers that do not exist are null with a reason beside them. */
dp_status dp_report_json(const dp_study *study, const char *command, char **text);
/* Nothing half-written is left under path. command: how this report was made, shown on it. */
dp_status dp_report_html(const dp_study *study, const char *path, const char *command);
/* A kind in words, or as one JSON object: question, people, parameters, observables, limits. Free with dp_report_free. */
dp_status dp_report_kind(const dp_kind *kind, char **text);
dp_status dp_report_kind_json(const dp_kind *kind, char **text);
/* How a record's rows are understood by a kind: which become doses of which control, samples of which observable, what is
 * censored, left out or carried on. Free with dp_report_free. */
dp_status dp_report_record(const dp_kind *kind, const dp_record *record, char **text);
void dp_report_free(dp_ctx *ctx, char *text);

#ifdef __cplusplus
}
#endif
#endif
