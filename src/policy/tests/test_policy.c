/* test_policy.c - policies of all kinds asked by one person: rules against hand arithmetic, programs outside that are
 * good, hang,
 * talk nonsense, die, start slowly or never stop talking; a shared object; files that are refused. */
#include <signal.h>
#include <time.h>

#include "policy_rig.h"

static const char rule[] =
    "policy: rule\nevery: 30 min\nreads: {c: c}\nperson: [WT]\nparameters: {target: 12}\nstate: {sum: 1}\n"
    "let: {e: 'target - c', twice: '2*e'}\nnext: {sum: 'sum + e*period'}\ngives: {oral: 'max(0, twice + sum + WT)'}\n";

static dp_policy_session *session_of(const dp_policy *p) {
  static const double weight = 70;
  return open_session(p, &weight);
}

static double step(dp_policy_session *s, double time, double c) { return ask(s, time, 0.5, c); }

static void rules(void **state) {
  (void)state;
  put("rule.yaml", rule);
  dp_policy *p = read_policy("rule.yaml");
  const dp_policy_desc *d = dp_policy_describe(p);
  assert_int_equal(d->kind, DP_POLICY_RULE);
  assert_true(d->every == 0.5);
  assert_int_equal(d->nread, 1);
  assert_int_equal(d->ngive, 1);
  dp_policy_session *s = session_of(p);
  assert_true(step(s, 0, 10) == 2 * 2 + 1 + 70);  /* e = 2, sum 1, then 2 */
  assert_true(step(s, 0.5, 8) == 2 * 4 + 2 + 70); /* e = 4, sum 2, then 4 */
  assert_true(step(s, 1, 100) == 0);              /* -176 + 4 + 70 < 0 */
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

static void files_that_are_refused(void **state) {
  (void)state;
  refused("policy: x\nevery: 1 h\ngives: {oral: '1'}\nhello: 1\n", "no key 'hello'");
  refused("policy: x\ngives: {oral: '1'}\n", "every");
  refused("policy: x\nevery: 5 mg\ngives: {oral: '1'}\n", "every");
  refused("policy: x\nevery: -5 h\ngives: {oral: '1'}\n", "every");
  refused("policy: x\nevery: 1 h\n", "gives");
  refused("policy: x\nevery: 1 h\ngives: {nobody: '1'}\n", "a control or a parameter");
  refused("policy: x\nevery: 1 h\nreads: {c: nowhere}\ngives: {oral: '1'}\n", "an observable or a quantity");
  refused("policy: x\nevery: 1 h\nreads: {time: c}\ngives: {oral: '1'}\n", "no word of formulas");
  refused("policy: x\nevery: 1 h\nstate: {a: 1}\nparameters: {a: 1}\ngives: {oral: '1'}\n", "not in use");
  refused("policy: x\nevery: 1 h\nnext: {a: '1'}\ngives: {oral: '1'}\n", "`state`");
  refused("policy: x\nevery: 1 h\ngives: {oral: 'dose'}\n", "dose");
  refused("policy: x\nevery: 1 h\ngives: {oral: '1 +'}\n", "gives");
  refused("policy: x\nevery: 1 h\nlet: {a: 'b', b: '1'}\ngives: {oral: 'a'}\n", "b");
  refused("policy: x\nkind: process\nevery: 1 h\ngives: {oral: ''}\ncommand: [true]\n", "fallback");
  refused("policy: x\nkind: library\nevery: 1 h\nlibrary: no.so\ngives: {oral: ''}\nfallback: rule.yaml\n",
          "no such file");
  refused("policy: x\nkind: wish\nevery: 1 h\ngives: {oral: '1'}\n", "rule, plan, process");
  refused("- a\n- b\n", "key: value");
}

/* ---- programs outside ---- */

static const char outside[] =
    "policy: outside\nkind: process\nevery: 30 min\nreads: {c: c}\nperson: [WT]\ngives: {oral: ''}\n"
    "timeout: 0.5 s\nstart: 5 s\nfallback: safe.yaml\ncommand: [python3, %s]\n";
static const char safe[] = "policy: safe\nevery: 30 min\nreads: {level: c}\ngives: {oral: '1000 + level'}\n";
static const char hello[] =
    "import sys, json, time\nh = json.loads(sys.stdin.readline())\n"
    "assert h['doppel'] == 'policy' and h['version'] == 1 and h['values'] == {'WT': 70.0}\n";
static const char ready[] = "print('{\"ready\":1}', flush=True)\n";

static dp_policy *program(const char *head, const char *greeting, const char *body) {
  char text[2000];
  snprintf(text, sizeof text, "%s%s%s", head, greeting, body);
  put("program.py", text);
  put("safe.yaml", safe);
  snprintf(text, sizeof text, outside, "program.py");
  put("outside.yaml", text);
  return read_policy("outside.yaml");
}

static void a_good_program(void **state) {
  (void)state;
  dp_policy *p = program(hello, ready,
                         "n = 0\nfor line in sys.stdin:\n  m = json.loads(line)\n  n += 1\n"
                         "  print(json.dumps({'gives': {'oral': n*100 + m['reads']['c'] + m['time']}}), flush=True)\n");
  dp_policy_session *s = session_of(p);
  assert_true(step(s, 0, 7) == 107);
  assert_true(step(s, 0.5, 8) == 208.5);
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* It answers `good` times rightly, then fails for this reason; from then on its fallback decides and it is not asked
 * again. */
static void fails(const char *greeting, const char *body, int good, const char *why) {
  dp_policy *p = program(hello, greeting, body);
  const double begun = dpi_clock_s();
  dp_policy_session *s = session_of(p);
  for (int k = 0; k < good; k++) assert_true(step(s, 0.5 * k, 7) == 5);
  assert_true(step(s, 0.5 * good, 7) == 1007);
  assert_int_equal(dp_policy_nincident(s), 1);
  const dp_policy_incident *i = dp_policy_incidents(s);
  if (!strstr(i->reason, why)) print_message("'%s' is not in '%s'\n", why, i->reason);
  assert_non_null(strstr(i->reason, why));
  assert_true(i->time == (good ? 0.5 * good : 0));
  assert_true(step(s, 0.5 * good + 0.5, 8) == 1008);
  assert_int_equal(dp_policy_nincident(s), 1);
  dp_policy_close(s);
  assert_true(dpi_clock_s() - begun < 60);
  dp_policy_destroy(p);
}

#define ANSWER "  print('{\"gives\":{\"oral\":5}}', flush=True)\n"

static void programs_that_fail(void **state) {
  (void)state;
  fails(ready, "for line in sys.stdin:\n" ANSWER "  break\nsys.stdin.readline()\ntime.sleep(100)\n", 1,
        "no answer within 0.5 s");
  fails(ready, "for line in sys.stdin:\n  print('hello there', flush=True)\n", 0, "no JSON object");
  fails(ready, "for line in sys.stdin:\n  print('[1]', flush=True)\n", 0, "no JSON object");
  fails(ready, "for line in sys.stdin:\n  print('{}', flush=True)\n", 0, "no \"gives\"");
  fails(ready, "for line in sys.stdin:\n  print('{\"gives\":{\"oral\":\"x\"}}', flush=True)\n", 0,
        "no number for 'oral'");
  fails(ready, "for line in sys.stdin:\n  print('{\"gives\":{\"oral\":1,\"other\":2}}', flush=True)\n", 0,
        "does not give");
  fails(ready, "sys.exit(0)\n", 0, "it ended");
  fails(ready, "for line in sys.stdin:\n" ANSWER "  sys.exit(3)\n", 1, "it ended");
  fails("", "sys.exit(1)\n", 0, "it ended");
  fails("print('{\"ready\":2}', flush=True)\n", "time.sleep(100)\n", 0, "{\"ready\":1}");
  fails(ready, "for line in sys.stdin:\n  print('x'*1000000, flush=True)\n", 0, "longer than");
  fails(ready, "for line in sys.stdin:\n  sys.stdout.write('{\"gives\":{\"oral\":5}}\\n'*2)\n  sys.stdout.flush()\n", 0,
        "more than one line");
}

/* A line between answers: it must not be taken for the answer to the next question. */
static void a_line_too_many(void **state) {
  (void)state;
  dp_policy *p = program(hello, ready,
                         "for line in sys.stdin:\n" ANSWER
                         "  time.sleep(0.05)\n  print('{\"gives\":{\"oral\":6}}', flush=True)\n");
  dp_policy_session *s = session_of(p);
  const struct timespec wait = {1, 0};
  assert_true(step(s, 0, 7) == 5);
  nanosleep(&wait, NULL);
  assert_true(step(s, 0.5, 7) == 1007);
  assert_int_equal(dp_policy_nincident(s), 1);
  assert_non_null(strstr(dp_policy_incidents(s)->reason, "before it was asked"));
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* A program that has left its process group and listens to nothing is killed all the same. */
static void a_program_that_leaves(void **state) {
  (void)state;
  dp_policy *p =
      program(hello, "import os\nos.setpgid(0, os.getpgid(os.getppid()))\nprint('{\"ready\":1}', flush=True)\n",
              "time.sleep(100)\n");
  const double begun = dpi_clock_s();
  dp_policy_session *s = session_of(p);
  assert_true(step(s, 0, 7) == 1007);
  assert_int_equal(dp_policy_nincident(s), 1);
  assert_non_null(strstr(dp_policy_incidents(s)->reason, "no answer within 0.5 s"));
  dp_policy_close(s);
  dp_policy_destroy(p);
  assert_true(dpi_clock_s() - begun < 60); /* not the 100 s of its sleep */
}

/* A program beside policy.yaml is that file also from within its folder; its bytes are part of the policy's hash. */
static void a_program_in_this_folder(void **state) {
  (void)state;
  static const char yaml[] =
      "policy: h\nkind: process\nevery: 30 min\nreads: {c: c}\nperson: [WT]\n"
      "gives: {oral: ''}\ncommand: [true]\nfallback: rule.yaml\n";
  static const char script[] =
      "#!/bin/sh\nread a\necho '{\"ready\":1}'\n"
      "while read a; do echo '{\"gives\":{\"oral\":%d}}'; done\n";
  char before[512], path[200], text[400], hash[65];
  assert_non_null(getcwd(before, sizeof before));
  put("rule.yaml", rule);
  put("here.yaml", yaml);
  for (int k = 5; k < 7; k++) {
    snprintf(text, sizeof text, script, k);
    put("true", text); /* a word that the search path has too */
    snprintf(path, sizeof path, "%s/true", dir);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(chdir(dir), 0);
    dp_policy *p = NULL;
    const dp_status status = dp_policy_read(kind, "here.yaml", &p);
    dp_policy_session *s = status == DP_OK ? session_of(p) : NULL;
    assert_int_equal(chdir(before), 0);
    assert_non_null(s);
    assert_true(step(s, 0, 7) == k);
    assert_int_equal(dp_policy_nincident(s), 0);
    if (k > 5) assert_string_not_equal(hash, dp_policy_describe(p)->hash);
    snprintf(hash, sizeof hash, "%s", dp_policy_describe(p)->hash);
    dp_policy_close(s);
    dp_policy_destroy(p);
  }
}

static void a_slow_start(void **state) {
  (void)state;
  dp_policy *p =
      program(hello, "time.sleep(1)\nprint('{\"ready\":1}', flush=True)\n", "for line in sys.stdin:\n" ANSWER);
  dp_policy_session *s = session_of(p);
  assert_true(step(s, 0, 7) == 5);
  assert_int_equal(dp_policy_nincident(s), 0);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

static void a_program_that_is_not_there(void **state) {
  (void)state;
  put("safe.yaml", safe);
  put("outside.yaml",
      "policy: o\nkind: process\nevery: 30 min\nreads: {c: c}\ngives: {oral: ''}\nfallback: safe.yaml\n"
      "command: [no-such-program-anywhere]\n");
  dp_policy *p = read_policy("outside.yaml");
  dp_policy_session *s = session_of(p);
  assert_int_equal(dp_policy_nincident(s), 1);
  assert_true(step(s, 0, 7) == 1007);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

/* ---- a shared object ---- */

static const char library[] =
    "#include <stdlib.h>\n#include \"doppel/policy.h\"\n"
    "static void *o(const dp_policy_desc *d, const dp_policy_person *p, const double *x, int n) {\n"
    "  double *s = malloc(sizeof *s); (void)d; *s = n == 1 ? x[0] + p->value[0] : -1; return s; }\n"
    "static int st(void *s, const dp_policy_input *in, double *give) { give[0] = *(double *)s + in->read[0]; return "
    "in->time > 1; }\n"
    "static void c(void *s) { free(s); }\n"
    "const dp_policy_library doppel_policy = {%s, sizeof(dp_policy_library), \"x\", o, st, c};\n";

static bool compile(const char *abi) {
  char text[2000], command[600];
  snprintf(text, sizeof text, library, abi);
  put("lib.c", text);
  snprintf(command, sizeof command, "cc -shared -fPIC -I%s/include -o %s/lib.so %s/lib.c", DOPPEL_SOURCE_DIR, dir, dir);
  return system(command) == 0;
}

static void a_library(void **state) {
  (void)state;
  static const char file[] =
      "policy: l\nkind: library\nlibrary: lib.so\nevery: 30 min\nreads: {c: c}\nperson: [WT]\n"
      "parameters: {a: 3}\ngives: {oral: ''}\nfallback: safe.yaml\n";
  if (!compile("DP_POLICY_ABI")) skip(); /* no compiler here */
  put("safe.yaml", safe);
  put("library.yaml", file);
  dp_policy *p = read_policy("library.yaml");
  dp_policy_session *s = session_of(p);
  assert_true(step(s, 0, 7) == 80);
  assert_int_equal(dp_policy_nincident(s), 0);
  assert_true(step(s, 2, 7) == 1007); /* it says that it failed */
  assert_int_equal(dp_policy_nincident(s), 1);
  dp_policy_close(s);
  dp_policy_destroy(p);
  assert_true(compile("99"));
  refused(file, "version 99");
}

/* ---- receding horizon ---- */

/* What a person with ka 1.5 /h, CL 2.75 L/h, V 32 L has in the blood: the sum of Bateman's functions of the doses. */
static double level(const double *dose, int n, double every, double t) {
  const double ka = 1.5, ke = 2.75 / 32;
  double c = 0;
  for (int i = 0; i < n; i++)
    if (t > i * every) c += dose[i] / 32 * ka / (ka - ke) * (exp(-ke * (t - i * every)) - exp(-ka * (t - i * every)));
  return c;
}

/* Doses are what tablets make up; after two days of readings every two hours the level keeps reward.yaml's limits:
 * above 5 and below 20 mg/L. Until there is advice the fallback decides, and each time is recorded. */
static void a_twin(void **state) {
  (void)state;
  enum { n = 36 };
  double dose[n];
  put("first.yaml",
      "policy: first\nevery: 2 h\nstate: {k: 0}\nnext: {k: k + 1}\ngives: {oral: 'piecewise(200, mod(k, 4) == 0, "
      "0)'}\n");
  put("twin.yaml",
      "policy: twin\nkind: twin\nevery: 2 h\nreads: {level: c}\nperson: [WT]\ngives: {oral: ''}\n"
      "twin: {draws: 200}\nfallback: first.yaml\n");
  dp_policy *p = read_policy("twin.yaml");
  dp_policy_session *s = session_of(p);
  int given = 0;
  for (int k = 0; k < n; k++) {
    const double t = 2.0 * k;
    dose[k] = step(s, t, level(dose, k, 2, t));
    assert_true(dose[k] >= 0 && dose[k] <= 900 && fmod(dose[k], 100) == 0);
    given += dose[k] > 0;
  }
  assert_true(given >= 3);
  double low = INFINITY, high = 0;
  for (double t = 48; t < 72; t += 0.1) low = fmin(low, level(dose, n, 2, t)), high = fmax(high, level(dose, n, 2, t));
  if (!(low > 5 && high < 20)) print_message("level from %g to %g mg/L\n", low, high);
  assert_true(low > 5 && high < 20);
  for (int i = 0; i < dp_policy_nincident(s); i++) assert_non_null(strstr(dp_policy_incidents(s)[i].reason, "plan"));
  dp_policy_close(s);
  dp_policy_destroy(p);
  refused("policy: t\nkind: twin\nevery: 2 h\nreads: {a: c, b: half_life}\ngives: {oral: ''}\nfallback: first.yaml\n",
          "one reading and one control");
}

/* Numbers of a person that the twin's kind can't do without: nobody would have a belief and the fallback would decide
 * everything, which is the file's fault and not a person's. */
static void a_twin_that_is_told_too_little(void **state) {
  (void)state;
  dp_kind *own = kind;
  put("first.yaml", "policy: first\nevery: 4 h\ngives: {iv: '0'}\n");
  kind = NULL;
  const dp_status status = dp_kind_load(ctx, DOPPEL_SOURCE_DIR "/twins/vancomycin", &kind);
  if (status == DP_OK) {
    refused("policy: t\nkind: twin\nevery: 4 h\nreads: {level: serum}\nperson: [WT, DIAL]\ngives: {iv: ''}\n"
            "fallback: first.yaml\n",
            "bad.yaml:5: person: expected 'CLCR' in it");
    refused("policy: t\nkind: twin\nevery: 4 h\nreads: {level: serum}\ngives: {iv: ''}\nfallback: first.yaml\n",
            "bad.yaml:1: person: expected 'CLCR' in it");
    dp_policy_destroy(policy_of("policy: t\nkind: twin\nevery: 4 h\nreads: {level: serum}\nperson: [WT, DIAL, clcr]\n"
                                "gives: {iv: ''}\nfallback: first.yaml\n"));
    dp_kind_destroy(kind);
  }
  kind = own;
  assert_int_equal(status, DP_OK);
}

/* A person whose weight the twin's kind can't have: no belief can be made. The fallback decides, each time it is said
 * why, and the twin is asked again; another person is not touched by that. */
static void a_twin_whose_belief_fails(void **state) {
  (void)state;
  put("first.yaml", "policy: first\nevery: 2 h\nstate: {k: 0}\nnext: {k: k + 1}\ngives: {oral: '10 + k'}\n");
  dp_policy *p = policy_of(
      "policy: twin\nkind: twin\nevery: 2 h\nreads: {level: c}\nperson: [WT]\ngives: {oral: ''}\n"
      "twin: {draws: 100, wait: 4 h}\nfallback: first.yaml\n");
  const double heavy = 5000, usual = 70;
  dp_policy_session *s = open_session(p, &heavy), *other = open_session(p, &usual);
  for (int k = 0; k < 6; k++) {
    assert_true(step(s, 2 * k, 0.1) == 10 + k);                  /* the fallback's, and its state goes on */
    assert_int_equal(dp_policy_nincident(s), k < 2 ? 0 : k - 1); /* within `wait` it is as intended */
    if (k < 3) step(other, 2 * k, 0.1);
  }
  for (int i = 0; i < dp_policy_nincident(s); i++) {
    const dp_policy_incident *in = &dp_policy_incidents(s)[i];
    assert_true(in->time == 4 + 2 * i);
    if (!strstr(in->reason, "the belief failed") || !strstr(in->reason, "WT")) print_message("%s\n", in->reason);
    assert_non_null(strstr(in->reason, "the belief failed"));
    assert_non_null(strstr(in->reason, "WT"));
  }
  for (int i = 0; i < dp_policy_nincident(other); i++)
    assert_null(strstr(dp_policy_incidents(other)[i].reason, "failed"));
  assert_string_equal(dp_ctx_error(ctx), ""); /* an incident is no error of the program */
  dp_policy_close(other);
  dp_policy_close(s);
  dp_policy_destroy(p);
}

static int begin(void **state) {
  (void)state;
  return !open_rig() || dp_kind_load(ctx, DOPPEL_SOURCE_DIR "/twins/theophylline", &kind) != DP_OK;
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rules),
                                     cmocka_unit_test(files_that_are_refused),
                                     cmocka_unit_test(a_good_program),
                                     cmocka_unit_test(programs_that_fail),
                                     cmocka_unit_test(a_line_too_many),
                                     cmocka_unit_test(a_program_that_leaves),
                                     cmocka_unit_test(a_program_in_this_folder),
                                     cmocka_unit_test(a_slow_start),
                                     cmocka_unit_test(a_program_that_is_not_there),
                                     cmocka_unit_test(a_library),
                                     cmocka_unit_test(a_twin),
                                     cmocka_unit_test(a_twin_that_is_told_too_little),
                                     cmocka_unit_test(a_twin_whose_belief_fails)};
  return cmocka_run_group_tests(tests, begin, close_rig);
}
