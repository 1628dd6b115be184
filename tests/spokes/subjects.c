/* subjects.c - the list of what the conformance suite is run on. To add a spoke, add an entry. */
#include "subjects.h"

#include <string.h>

#include "lang/lang.h"

#ifndef DP_TEST_PLUGIN
#define DP_TEST_PLUGIN NULL
#endif

static const dp_output_def lingauss_output[] = {
    {.id = "x1"}, {.id = "mix", .formula = "x1*a11 + exp(-x2) + time"}};
static const char *const lingauss_active[] = {"a11", "a12", "x1_0", "q1", "q2"};

static const dp_output_def birthdeath_output[] = {{.id = "n"},
                                                  {.id = "each", .formula = "births / (n + 1)"}};

static const dp_output_def diffusion_output[] = {{.id = "u3"},
                                                 {.id = "share", .formula = "u3 / total"}};

static const dp_output_def plugin_output[] = {{.id = "x"},
                                              {.id = "fraction", .formula = "x / cap"}};

/* one compartment with absorption: linear */
static const char pk_text[] =
    "model pk\n"
    "  depot' = -ka*depot;\n"
    "  central' = ka*depot - CL/V*central;\n"
    "  depot = 1; central = 2;\n"
    "  ka = 1.1; CL = 2; V = 20;\n"
    "end\n";
/* saturable elimination, and a second state that explodes when g > 0 */
static const char mm_text[] =
    "model mm\n"
    "  depot' = -ka*depot;\n"
    "  central' = ka*depot - vmax*central/(km + central);\n"
    "  y' = g*y*y;\n"
    "  depot = 1; central = 2; y = 1;\n"
    "  ka = 1.1; vmax = 2; km = 3; V = 20; g = 0;\n"
    "end\n";
/* individuals that are born and die, a jump process whose last rate turns negative when there are more than `most` */
static const char crowd_text[] =
    "model crowd\n"
    "  species X, Y;\n"
    "  X = 40; Y = 0; c = 0;\n"
    "  birth: X => 2 X; b*X;\n"
    "  death: X => ; d*X;\n"
    "  guard: => Y; g*(most - X);\n"
    "  c' = 1;\n"
    "  b = 0.5; d = 0.3; g = 0.02; most = 1e3;\n"
    "  alarm: at c >= 2.25: Y = Y + 100, c = 0;\n"
    "end\n";
static const dp_output_def crowd_output[] = {{.id = "X"}, {.id = "each", .formula = "Y/(X + 1) + c"}};

static const dp_output_def pk_output[] = {{.id = "depot"}, {.id = "conc", .formula = "central/V"}};
static const char *const pk_active[] = {"ka", "CL", "V"};
static const char *const mm_active[] = {"ka", "vmax", "km"};

#define MM                                                                                      \
  .spoke = "equations", .model = mm_text, .output = pk_output, .noutput = 2, .target = "depot", \
  .active = mm_active, .nactive = 3, .param = {{"ka", 1.1}, {"vmax", 2}}, .blow_up = {"g", 1},  \
  .nan_param = "vmax", .change = {"km", 5}, .dose = 3, .dose_step = 3, .exact = false,          \
  .tol = 1e-6, .jvp_tol = 2e-5, .time_dir = true

#define CROWD                                                                                              \
  .spoke = "stochastic", .model = crowd_text, .output = crowd_output, .noutput = 2, .target = "X",         \
  .param = {{"b", 0.4}, {"d", 0.2}}, .blow_up = {"most", 50}, .nan_param = "d", .change = {"d", 0.6}, .dose = 5, \
  .dose_step = 5, .exact = true

const subject dp_test_subject[] = {
    {.name = "lingauss",
     .spoke = "lingauss",
     .output = lingauss_output,
     .noutput = 2,
     .target = "x1",
     .active = lingauss_active,
     .nactive = 5,
     .param = {{"a11", 0.9}, {"q1", 0.3}, {"q2", 0.1}},
     .blow_up = {"a11", 1e200},
     .nan_param = "a21",
     .change = {"a22", 0.5},
     .dose = 2,
     .dose_step = 2,
     .exact = true,
     .jvp_tol = 1e-7},
    {.name = "birthdeath",
     .spoke = "birthdeath",
     .output = birthdeath_output,
     .noutput = 2,
     .target = "n",
     .param = {{"birth", 0.5}, {"n0", 12}},
     .blow_up = {"birth", 6},
     .nan_param = "birth",
     .change = {"death", 0.6},
     .dose = 5,
     .dose_step = 5,
     .exact = true},
    {.name = "diffusion",
     .spoke = "diffusion",
     .output = diffusion_output,
     .noutput = 2,
     .target = "u3",
     .param = {{"D", 0.1}, {"k", 0.05}},
     .blow_up = {"k", -1000},
     .nan_param = "D",
     .change = {"D", 0.02},
     .dose = 0.1,
     .dose_step = 1.6,
     .exact = true,
     .quick = true},
    {.name = "plugin",
     .spoke = "plugin",
     .config = DP_TEST_PLUGIN,
     .output = plugin_output,
     .noutput = 2,
     .target = "x",
     .param = {{"r", 0.5}, {"cap", 12}},
     .blow_up = {"x_0", -100},
     .nan_param = "r",
     .change = {"cap", 8},
     .dose = 2,
     .dose_step = 2,
     .exact = false,
     .tol = 1e-8},
    {.name = "equations linear",
     .spoke = "equations",
     .method = "linear",
     .model = pk_text,
     .output = pk_output,
     .noutput = 2,
     .target = "depot",
     .active = pk_active,
     .nactive = 3,
     .param = {{"ka", 1.1}, {"CL", 2}},
     .blow_up = {"CL", -1e4},
     .nan_param = "CL",
     .change = {"CL", 5},
     .dose = 3,
     .dose_step = 3,
     .exact = false,
     .tol = 1e-11,
     .jvp_tol = 1e-7,
     .time_dir = true},
    {.name = "equations rk853", .method = "rk853", MM},
    {.name = "equations cvode", .method = "cvode", MM},
    {.name = "equations auto", .method = "auto", MM},
    {.name = "equations ensemble", .method = "ensemble", MM},
    {.name = "equations tsit", .method = "tsit", MM},
    {.name = "equations rodas", .method = "rodas", MM},
    {.name = "equations fixed", .method = "fixed", .step = 0.02, MM},
    {.name = "stochastic direct", .method = "direct", CROWD},
    {.name = "stochastic next-reaction", .method = "next-reaction", CROWD},
};
const int dp_test_nsubject = DPI_COUNT(dp_test_subject);

static dp_status read_model(dp_ctx *ctx, const subject *s, dp_model **model) {
  if (!s->model) return DP_OK;
  DP_TRY(dpi_antimony_read(ctx, s->model, strlen(s->model), s->name, model));
  return dp_model_seal(*model);
}

dp_status dp_test_subject_sim(dp_ctx *ctx, const subject *s, double rtol, dp_model **model,
                              dp_sim **sim) {
  *model = NULL;
  *sim = NULL;
  DP_TRY(read_model(ctx, s, model));
  dp_control_def control = {.id = "dose", .target = s->target};
  dp_sim_def def = dp_sim_def_default();
  def.spoke = s->spoke;
  def.config = s->config;
  def.model = *model;
  def.output = s->output;
  def.noutput = s->noutput;
  def.control = &control;
  def.ncontrol = 1;
  def.active = s->active;
  def.nactive = s->nactive;
  if (s->method) def.method = s->method;
  def.step = s->step;
  if (rtol > 0) def.rtol = rtol;
  if (rtol > 0) def.atol = rtol * 1e-2;
  return dp_sim_create(ctx, &def, sim);
}
