#!/usr/bin/env python3
"""Write twins/s2008/people.tsv and covariates.tsv from the published table of virtual patients.

    tools/make_s2008.py FOLDER     FOLDER: vpatient_params.csv, Quest.csv and LICENSE of the open re-implementation

Numbers are carried over digit by digit; what is added: CR and CF (Quest.csv) and `basal_rate`, the basal insulin in U/h
that holds the steady state (u2ss BW/100). Columns of the source that the model does not use are left out by name.
"""
import csv
import os
import sys
from decimal import Decimal

UNUSED = ["i", "EGPb", "Gb", "Ipb", "m5", "CL", "HEb", "Ilb", "Gpb", "Gtb", "Rdb", "PCRb", "dosekempt", "isc1ss", "isc2ss",
          "patient_history"]
# id, unit, lower, upper, name
COLUMNS = [
    ("x0_1", "mg", 0, 1e6, "stomach, solid, at the start"),
    ("x0_2", "mg", 0, 1e6, "stomach, triturated, at the start"),
    ("x0_3", "mg", 0, 1e6, "gut at the start"),
    ("x0_4", "mg/kg", 0, 5000, "plasma glucose at the start"),
    ("x0_5", "mg/kg", 0, 5000, "tissue glucose at the start"),
    ("x0_6", "pmol/kg", 0, 1000, "plasma insulin at the start"),
    ("x0_7", "pmol/L", -1000, 5000, "insulin action at the start"),
    ("x0_8", "pmol/L", 0, 5000, "first delayed insulin at the start"),
    ("x0_9", "pmol/L", 0, 5000, "second delayed insulin at the start"),
    ("x0_10", "pmol/kg", 0, 1000, "liver insulin at the start"),
    ("x0_11", "pmol/kg", 0, 10000, "first depot under the skin at the start"),
    ("x0_12", "pmol/kg", 0, 10000, "second depot under the skin at the start"),
    ("x0_13", "mg/kg", 0, 5000, "subcutaneous glucose at the start"),
    ("BW", "kg", 2, 400, "body weight"),
    ("Ib", "pmol/L", 0, 2000, "basal insulin"),
    ("kabs", "1/min", 1e-4, 10, "absorption from the gut"),
    ("kmax", "1/min", 1e-4, 10, "fastest emptying of the stomach"),
    ("kmin", "1/min", 1e-5, 10, "slowest emptying of the stomach"),
    ("b", "1", 0.01, 0.99, "share of the meal at which emptying slows down"),
    ("d", "1", 0.01, 0.99, "share of the meal at which emptying speeds up again"),
    ("Vg", "dL/kg", 0.1, 10, "volume of glucose"),
    ("Vi", "L/kg", 0.001, 1, "volume of insulin"),
    ("Vmx", "mg/kg/min/(pmol/L)", 1e-6, 10, "insulin-dependent use of glucose"),
    ("Km0", "mg/kg", 1, 5000, "half-saturation of the use of glucose"),
    ("k2", "1/min", 1e-5, 10, "tissue to plasma"),
    ("k1", "1/min", 1e-5, 10, "plasma to tissue"),
    ("p2u", "1/min", 1e-5, 10, "insulin action on the use of glucose"),
    ("m1", "1/min", 1e-5, 10, "liver insulin to plasma"),
    ("m2", "1/min", 1e-5, 10, "plasma insulin to liver"),
    ("m4", "1/min", 1e-5, 10, "clearance of insulin"),
    ("m30", "1/min", 1e-5, 10, "extraction of insulin by the liver"),
    ("ki", "1/min", 1e-6, 10, "delay of insulin action on production"),
    ("kp2", "1/min", 1e-6, 10, "glucose on its production"),
    ("kp3", "mg/kg/min/(pmol/L)", 1e-6, 10, "insulin on glucose production"),
    ("f", "1", 0.01, 1, "share of glucose that is absorbed"),
    ("ke1", "1/min", 0, 1, "kidney above the threshold"),
    ("ke2", "mg/kg", 0, 5000, "threshold of the kidney"),
    ("Fsnc", "mg/kg/min", 0, 10, "glucose use without insulin"),
    ("Vm0", "mg/kg/min", 0, 100, "glucose use at basal insulin"),
    ("kd", "1/min", 1e-5, 10, "first to second depot"),
    ("ksc", "1/min", 1e-4, 10, "plasma to subcutaneous glucose"),
    ("ka1", "1/min", 0, 10, "first depot to plasma"),
    ("ka2", "1/min", 1e-5, 10, "second depot to plasma"),
    ("u2ss", "pmol/kg/min", 0, 50, "basal insulin that holds the steady state"),
    ("kp1", "mg/kg/min", 0, 100, "glucose production without glucose and insulin"),
    ("basal_rate", "U/h", 0, 35, "basal insulin as given"),
    ("CR", "g/U", 0.5, 200, "carbohydrate ratio"),
    ("CF", "mg/dL/U", 0.5, 500, "correction factor"),
]
MODEL = "adult#001"  # whose numbers stand in model.ant


def rows(folder, name):
    with open(os.path.join(folder, name), newline="") as f:
        return [{k.replace(" ", ""): v for k, v in row.items()} for row in csv.DictReader(f)]


def people(folder):
    quest = {row["Name"]: row for row in rows(folder, "Quest.csv")}
    for row in rows(folder, "vpatient_params.csv"):
        known = {c[0] for c in COLUMNS} | set(UNUSED) | {"Name"}
        odd = set(row) - known
        if odd:
            sys.exit(f"columns that this tool does not know: {sorted(odd)}")
        row["basal_rate"] = str((Decimal(row["u2ss"]) * Decimal(row["BW"]) / 100).normalize())
        row["CR"], row["CF"] = quest[row["Name"]]["CR"], quest[row["Name"]]["CF"]
        row["age"], row["tdi"] = quest[row["Name"]]["Age"], quest[row["Name"]]["TDI"]
        yield row


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = sys.argv[1]
    out = os.path.join(os.path.dirname(__file__), "..", "twins", "s2008")
    table = list(people(folder))
    with open(os.path.join(folder, "LICENSE")) as f:
        notice = f.read().rstrip()
    with open(os.path.join(out, "people.tsv"), "w") as f:
        f.write("# The 30 virtual people of the open re-implementation of the UVA/Padova 2008 simulator (no real persons).\n"
                "# Written by tools/make_s2008.py; basal_rate = u2ss BW/100 is ours, all else as published. Units: covariates.tsv;\n"
                "# age in years, tdi: total daily insulin, U. The table's own licence:\n#\n")
        f.writelines(f"# {line}".rstrip() + "\n" for line in notice.splitlines())
        f.write("\t".join(["person"] + [c[0] for c in COLUMNS] + ["age", "tdi"]) + "\n")
        for row in table:
            f.write("\t".join([row["Name"]] + [row[c[0]] for c in COLUMNS] + [row["age"], row["tdi"]]) + "\n")
    model = next(row for row in table if row["Name"] == MODEL)
    with open(os.path.join(out, "covariates.tsv"), "w") as f:
        f.write("# A person is a row of people.tsv. Written by tools/make_s2008.py; without a column of a record: " + MODEL + "'s value.\n")
        f.write("covariateId\tunit\tname\tlower\tupper\tmissing\n")
        for c in COLUMNS:
            f.write(f"{c[0]}\t{c[1]}\t{c[4]}\t{c[2]:g}\t{c[3]:g}\t{model[c[0]]}\n")
    with open(os.path.join(out, "patients", "LICENSE"), "w") as f:
        f.write(notice + "\n")
    print(" ".join(f"{c[0]} = {model[c[0]]};" for c in COLUMNS))


if __name__ == "__main__":
    main()
