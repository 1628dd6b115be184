/* bench_problems.c - floor 8: what is run: texts, patients, times, tolerances. */
#include <math.h>

#include "bench/bench_impl.h"

#define ASIS NAN /* the value that the text gives */

static const char robertson_text[] =
    "model robertson()\n"
    "  A' = k3*B*C - k1*A\n"
    "  B' = k1*A - k3*B*C - k2*B^2\n"
    "  C' = k2*B^2\n"
    "  A = 1; B = 0; C = 0\n"
    "  k1 = 0.04; k2 = 3e7; k3 = 1e4\n"
    "end\n";

static const char hires_text[] =
    "model hires()\n"
    "  y1' = -k1*y1 + k2*y2 + k6*y3 + oks\n"
    "  y2' = k1*y1 - (k2 + k3)*y2\n"
    "  y3' = -(k6 + k1)*y3 + k2*y4 + k5*y5\n"
    "  y4' = k3*y2 + k1*y3 - (k4 + k2)*y4\n"
    "  y5' = -(k1 + k5)*y5 + k2*(y6 + y7)\n"
    "  y6' = -kplus*y6*y8 + k4*y4 + k1*y5 - k2*y6 + kminus*y7\n"
    "  y7' = kplus*y6*y8 - (k2 + kminus + kstar)*y7\n"
    "  y8' = (k2 + kminus + kstar)*y7 - kplus*y6*y8\n"
    "  y1 = 1; y2 = 0; y3 = 0; y4 = 0; y5 = 0; y6 = 0; y7 = 0; y8 = 0.0057\n"
    "  k1 = 1.71; k2 = 0.43; k3 = 8.32; k4 = 0.69; k5 = 0.035; k6 = 8.32\n"
    "  kplus = 280; kminus = 0.69; kstar = 0.69; oks = 0.0007\n"
    "end\n";

static const dpi_bench_value robertson_varied[] = {{"k1", ASIS}, {"k2", ASIS}, {"k3", ASIS}};
static const double robertson_out[] = {0.4, 4, 40, 400, 4000, 4e4, 1e5};
static const double robertson_long_out[] = {40, 400, 4e3, 4e4, 4e5, 4e6, 4e7, 4e8, 4e9, 4e10, 1e11};

static const dpi_bench_value hires_varied[] = {{"k1", ASIS},    {"k2", ASIS}, {"k3", ASIS},    {"k4", ASIS},
                                               {"k5", ASIS},    {"k6", ASIS}, {"kplus", ASIS}, {"kminus", ASIS},
                                               {"kstar", ASIS}, {"oks", ASIS}};
static const double hires_out[] = {5, 20, 80, 160, 240, 321.8122};

/* Nominal values and times of the measurements: the collection's tables; Bachmann: condition model1_data1. */
static const dpi_bench_value boehm_varied[] = {
    {"Epo_degradation_BaF3", 0.026982514033029},
    {"k_exp_hetero", 1.00067973851508e-05},
    {"k_exp_homo", 0.006170228086381},
    {"k_imp_hetero", 0.0163679184468},
    {"k_imp_homo", 97749.3794024716},
    {"k_phos", 15766.5070195731},
};
static const double boehm_out[] = {2.5, 5, 10, 15, 20, 30, 40, 50, 60, 80, 100, 120, 160, 200, 240};

static const dpi_bench_value bachmann_fixed[] = {
    {"ActD", 1},
    {"CISoe", 0},
    {"SOCS3oe", 0},
    {"Epo", 1.25e-7},
    {"init_CIS_multiplier", 0},
    {"init_EpoRJAK2_CIS", 0},
    {"init_SHP1_multiplier", 0},
    {"init_SOCS3_multiplier", 0},
    {"CISRNAEqc", 1},
    {"SOCS3RNAEqc", 1},
};
static const dpi_bench_value bachmann_varied[] = {
    {"CISEqc", 432.854027325732},
    {"CISEqcOE", 0.53027229006794},
    {"CISInh", 785221045.232906},
    {"CISRNADelay", 0.144777009620017},
    {"CISRNATurn", 1000},
    {"CISTurn", 0.008398825029262},
    {"EpoRActJAK2", 0.267299659481333},
    {"EpoRCISInh", 1e6},
    {"EpoRCISRemove", 5.42989282766407},
    {"JAK2ActEpo", 633154.209632843},
    {"JAK2EpoRDeaSHP1", 142.723069412318},
    {"SHP1ActEpoR", 0.001},
    {"SHP1Dea", 0.008162255244283},
    {"SHP1ProOE", 2.82568032716189},
    {"SOCS3Eqc", 173.64095522801},
    {"SOCS3EqcOE", 0.679185853534469},
    {"SOCS3Inh", 10.4074255973465},
    {"SOCS3RNADelay", 1.06454014521077},
    {"SOCS3RNATurn", 0.008309263619427},
    {"SOCS3Turn", 10000},
    {"STAT5ActEpoR", 38.9972748894298},
    {"STAT5ActJAK2", 0.078108833252848},
    {"STAT5Exp", 0.074514698833232},
    {"STAT5Imp", 0.026887318057561},
    {"init_EpoRJAK2", 3.97622379188569},
    {"init_SHP1", 26.7251164163486},
    {"init_STAT5", 79.753639977851},
};
static const double bachmann_out[] = {5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180, 220, 240};

/* What a steady state at basal glucose, insulin and glucose production leaves free; masses, volumes, basal values,
 * kidney and the shape of the stomach's emptying stay. */
static const dpi_bench_value glucose_varied[] = {
    {"kabs", ASIS}, {"kmax", ASIS}, {"kmin", ASIS}, {"k1", ASIS},  {"k2", ASIS},  {"Vmx", ASIS},
    {"Km0", ASIS},  {"p2u", ASIS},  {"ki", ASIS},   {"kp2", ASIS}, {"kp3", ASIS}, {"m1", ASIS},
    {"CL", ASIS},   {"ka1", ASIS},  {"ka2", ASIS},  {"kd", ASIS},  {"ksc", ASIS},
};
/* 50, 75 and 80 g eaten at 5 g/min from 7:00, 12:30 and 19:00; boluses of 5, 7.5 and 8 units (10 g a unit, the
 * patient's ratio) at 1.5 units a minute; a unit is 6000/BW pmol/kg. */
#define UNIT (6000.0 / 102.32)
#define MEAL(t, grams)                                                                 \
  {"stomach1", t, 1000.0 * (grams), 5000.0}, {"eaten", t, 1000.0 * (grams), 5000.0}, { \
    "depot1", t, UNIT *(grams) / 10.0, 1.5 * UNIT                                      \
  }
static const dpi_bench_infusion glucose_day[] = {MEAL(420, 50), MEAL(750, 75), MEAL(1140, 80)};
/* every 15 minutes */
#define HOUR(h) 60.0 * (h) + 15, 60.0 * (h) + 30, 60.0 * (h) + 45, 60.0 * (h) + 60
#define SIX(h) HOUR(h), HOUR((h) + 1), HOUR((h) + 2), HOUR((h) + 3), HOUR((h) + 4), HOUR((h) + 5)
static const double glucose_out[] = {SIX(0), SIX(6), SIX(12), SIX(18)};

static const dpi_bench_problem problems[] = {
    {.name = "robertson",
     .about = "Robertson's reactions, 3 states, 0..1e5",
     .peer = &dpi_peer_robertson,
     .text = robertson_text,
     .varied = robertson_varied,
     .nvaried = DPI_COUNT(robertson_varied),
     .atol = 1e-12,
     .t_end = 1e5,
     .out = robertson_out,
     .nout = DPI_COUNT(robertson_out),
     .nmember = 10000},
    {.name = "robertson-long",
     .about = "the same, 0..1e11",
     .peer = &dpi_peer_robertson,
     .text = robertson_text,
     .varied = robertson_varied,
     .nvaried = DPI_COUNT(robertson_varied),
     .atol = 1e-12,
     .t_end = 1e11,
     .unit = 1000,
     .out = robertson_long_out,
     .nout = DPI_COUNT(robertson_long_out),
     .nmember = 10000},
    {.name = "hires",
     .about = "HIRES, 8 states, 0..321.8122",
     .peer = &dpi_peer_hires,
     .text = hires_text,
     .varied = hires_varied,
     .nvaried = DPI_COUNT(hires_varied),
     .atol = 1e-10,
     .t_end = 321.8122,
     .out = hires_out,
     .nout = DPI_COUNT(hires_out),
     .nmember = 10000},
    {.name = "boehm",
     .about = "STAT5 dimers (Boehm 2014), 8 states, 0..240 min",
     .peer = &dpi_peer_boehm,
     .file = "Boehm_JProteomeRes2014/model_Boehm_JProteomeRes2014.xml",
     .varied = boehm_varied,
     .nvaried = DPI_COUNT(boehm_varied),
     .atol = 1e-8,
     .t_end = 240,
     .out = boehm_out,
     .nout = DPI_COUNT(boehm_out),
     .nmember = 10000},
    {.name = "bachmann",
     .about = "JAK2-STAT5 feedback (Bachmann 2011), 25 states, 0..240 min",
     .peer = &dpi_peer_bachmann,
     .file = "Bachmann_MSB2011/model_Bachmann_MSB2011.xml",
     .fixed = bachmann_fixed,
     .nfixed = DPI_COUNT(bachmann_fixed),
     .varied = bachmann_varied,
     .nvaried = DPI_COUNT(bachmann_varied),
     .atol = 1e-8,
     .t_end = 240,
     .out = bachmann_out,
     .nout = DPI_COUNT(bachmann_out),
     .nmember = 4000},
    {.name = "glucose",
     .about = "glucose and insulin of an adult with type 1 diabetes (S2008), 13 states, a day with three meals",
     .peer = &dpi_peer_glucose,
     .text = dpi_glucose_text,
     .varied = glucose_varied,
     .nvaried = DPI_COUNT(glucose_varied),
     .infusion = glucose_day,
     .ninfusion = DPI_COUNT(glucose_day),
     .memory = "eaten",
     .memory_of = {"stomach1", "stomach2"},
     .atol = 1e-4,
     .t_end = 1440,
     .out = glucose_out,
     .nout = DPI_COUNT(glucose_out),
     .nmember = 4000},
};

const dpi_bench_problem *dpi_bench_problems(int *n) {
  *n = DPI_COUNT(problems);
  return problems;
}
