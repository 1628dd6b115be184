"""Calibration problems with something wrong, through the command line: each is refused (or, where PEtab allows it, warned of) with file,
row and remedy, before anything is simulated. One problem in order of each version, spoilt one table at a time.

    python3 tests/petab_bad.py DOPPEL [FOLDER]      FOLDER: the problems are left there
"""

import os
import subprocess
import sys
import tempfile

SBML = """<?xml version="1.0" encoding="UTF-8"?><sbml xmlns="http://www.sbml.org/sbml/level3/version1/core" level="3" version="1"><model id="m">
<listOfCompartments><compartment id="C" size="1" constant="true" spatialDimensions="3"/></listOfCompartments>
<listOfSpecies><species id="A" compartment="C" initialConcentration="1" hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/>
<species id="B" compartment="C" initialConcentration="0" hasOnlySubstanceUnits="false" boundaryCondition="false" constant="false"/></listOfSpecies>
<listOfParameters><parameter id="k1" value="0.5" constant="true"/><parameter id="a0" value="1" constant="true"/>
<parameter id="y" value="1" constant="false"/></listOfParameters>
<listOfRules><assignmentRule variable="y"><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><plus/><ci>A</ci><ci>B</ci></apply></math></assignmentRule></listOfRules>
<listOfReactions><reaction id="r" reversible="false" fast="false"><listOfReactants><speciesReference species="A" stoichiometry="1" constant="true"/></listOfReactants>
<listOfProducts><speciesReference species="B" stoichiometry="1" constant="true"/></listOfProducts><kineticLaw><math xmlns="http://www.w3.org/1998/Math/MathML"><apply><times/><ci>C</ci><ci>k1</ci><ci>A</ci></apply></math></kineticLaw></reaction></listOfReactions>
</model></sbml>
"""
P1 = "parameterId|parameterScale|lowerBound|upperBound|nominalValue|estimate\n"
O1 = "observableId|observableFormula|noiseFormula|observableTransformation|noiseDistribution\n"
M1 = "observableId|simulationConditionId|measurement|time|observableParameters|noiseParameters\n"
V1 = {
    "problem.yaml": "format_version: 1\nparameter_file: p.tsv\nproblems:\n- sbml_files: [m.xml]\n  condition_files: [c.tsv]\n"
                    "  measurement_files: [d.tsv]\n  observable_files: [o.tsv]\n",
    "m.xml": SBML,
    "p.tsv": P1 + "k1|log10|1e-3|1e3|0.7|1\nsd|lin|0.01|10|0.2|1\n",
    "o.tsv": O1 + "oa|observableParameter1_oa*A|sd|lin|normal\nob|B|noiseParameter1_ob|lin|normal\n",
    "c.tsv": "conditionId|a0\nc0|2\n",
    "d.tsv": M1 + "oa|c0|0.7|1|2|\nob|c0|0.4|1||0.1\n",
}
P2 = "parameterId|lowerBound|upperBound|nominalValue|estimate|priorDistribution|priorParameters\n"
O2 = "observableId|observableFormula|noiseFormula|noiseDistribution|noisePlaceholders\n"
M2 = "observableId|experimentId|time|measurement|noiseParameters\n"
V2 = {
    "problem.yaml": "format_version: 2.0.0\nparameter_files: [p.tsv]\nmodel_files:\n  m: {location: m.xml, language: sbml}\n"
                    "measurement_files: [d.tsv]\nobservable_files: [o.tsv]\ncondition_files: [c.tsv]\nexperiment_files: [e.tsv]\n",
    "m.xml": SBML,
    "p.tsv": P2 + "k1|0|10|0.7|true|normal|1;2\nsd|0.01|10|0.2|true||\n",
    "o.tsv": O2 + "oa|A|sd|normal|\nob|B|n|normal|n\n",
    "c.tsv": "conditionId|targetId|targetValue\nc0|A|2\n",
    "e.tsv": "experimentId|time|conditionId\ne0|0|c0\n",
    "d.tsv": M2 + "oa|e0|1|0.7|\nob|e0|1|0.4|0.1\n",
}


def p1(row):
    """A parameter table of version 1 that begins with row."""
    return f"{P1}{row}\nsd|lin|0.01|10|0.2|1\n"


def p2(row):
    return f"{P2}{row}\nsd|0.01|10|0.2|true||\n"


def o1(row):
    return f"{O1}{row}\nob|B|noiseParameter1_ob|lin|normal\n"


# version, file, its text (None: the file is not there), exit code (0: warned of), what is said
CASES = [
    # missing files, other files
    (1, "p.tsv", None, 3, "p.tsv"), (1, "d.tsv", None, 3, "d.tsv"), (1, "m.xml", None, 3, "m.xml"), (2, "e.tsv", None, 3, "e.tsv"),
    (2, "o.tsv", None, 3, "o.tsv"), (1, "problem.yaml", None, 3, "problem.yaml"),
    (1, "m.xml", SBML[:900], 3, "m.xml"), (2, "m.xml", "not a model", 3, "m.xml"),
    (1, "p.tsv", "", 3, "p.tsv"), (1, "d.tsv", M1, 3, "hold no measurement"), (2, "d.tsv", M2, 3, "hold no measurement"),
    (2, "problem.yaml", "format_version: 2.0.0\n", 3, "problem.yaml"), (1, "problem.yaml", "format_version: 9\n", 7, "offered are 1 and 2"),
    (2, "problem.yaml", V2["problem.yaml"] + "extensions: {x: {version: 1, required: true}}\n", 7, "'x', which is not offered"),
    # columns
    (1, "d.tsv", "observableId|measurement|time\noa|1|1\n", 3, "d.tsv:1: found no column simulationConditionId"),
    (2, "o.tsv", "observableId|observableFormula\noa|A\n", 3, "o.tsv:1: found no column noiseFormula"),
    (1, "d.tsv", M1.replace("observableParameters", "observableParamters") + "ob|c0|0.4|1||0.1\n", 0, "did you mean 'observableParameters'?"),
    (2, "d.tsv", "observableId|experimentId|time|measurement|noiseParameters|measurmentType\nob|e0|1|0.4|0.1|ordinal\n", 0,
     "d.tsv:1: column measurmentType: this column is not read; did you mean 'measurementType'?"),
    (2, "o.tsv", O2.replace("noisePlaceholders", "noisePlaceholders|measurementType") + "oa|A|sd|normal||ordinal\nob|B|n|normal|n|\n", 7,
     "move the column there"),
    # parameters
    (1, "p.tsv", p1("k1|log10|1|10|2|1\nk1|log10|1|10|2|1"), 3, "p.tsv:3: column parameterId: parameter 'k1' occurs twice"),
    (1, "p.tsv", p1("k1|log10|10|1|2|1"), 3, "p.tsv:2: column lowerBound: the lower bound 10 of 'k1' is not below"),
    (2, "p.tsv", p2("k1|3|3|3|true||"), 3, "p.tsv:2: column lowerBound"),
    (1, "p.tsv", p1("k1|log10|-1|10|2|1"), 3, "p.tsv:2: column lowerBound: the lower bound -1 of 'k1' is not positive"),
    (1, "p.tsv", p1("k1|log10|1|10|0|1"), 3, "p.tsv:2: column nominalValue: the nominal value 0 of 'k1' is not positive"),
    (1, "p.tsv", p1("k1|log10|1|10|20|1"), 0, "p.tsv:2: column nominalValue: the nominal value 20 of 'k1' lies outside its bounds"),
    (1, "p.tsv", p1("k1|log10|1|ten|2|1"), 3, "p.tsv:2: column upperBound: found 'ten', expected a number"),
    (1, "p.tsv", p1("k1|log10|1|10|two|1"), 3, "p.tsv:2: column nominalValue: found 'two'"),
    (1, "p.tsv", p1("k1|log10|1||2|1"), 3, "p.tsv:2: column upperBound: 'k1' is estimated and has no upperBound"),
    (1, "p.tsv", p1("k1|log10|1|10||0"), 3, "p.tsv:2: column nominalValue: 'k1' is not estimated and has no nominalValue"),
    (1, "p.tsv", p1("k1|log2|1|10|2|1"), 3, "p.tsv:2: column parameterScale: found 'log2'"),
    (1, "p.tsv", p1("k1|log10|1|10|2|maybe"), 3, "p.tsv:2: column estimate: found 'maybe'"),
    (1, "p.tsv", p1("k1|log10|1|10|2|"), 3, "p.tsv:2: column estimate: found ''"),
    (1, "p.tsv", p1("k 1|log10|1|10|2|1"), 3, "p.tsv:2: column parameterId: 'k 1' is no identifier"),
    (1, "p.tsv", P1 + "k1|log10|1|10|2|1\n", 3, "o.tsv:2: column noiseFormula: neither the model nor the parameter table knows 'sd'"),
    (1, "p.tsv", V1["p.tsv"] + "nobody|lin|0|1|0.5|1\n", 0, "p.tsv:4: column parameterId: neither the model nor a table uses 'nobody'"),
    (1, "p.tsv", V1["p.tsv"] + "A|lin|0|1|0.5|1\n", 3, "p.tsv:4"), (1, "p.tsv", V1["p.tsv"] + "y|lin|0|1|0.5|1\n", 3, "p.tsv:4"),
    (1, "p.tsv", V1["p.tsv"] + "a0|lin|0|1|0.5|1\n", 3, "'a0' is set by a condition and by the parameter table"),
    (2, "p.tsv", p2("k1|0|10|0.7|true|normall|1;2"), 3, "p.tsv:2: column priorDistribution: unknown prior 'normall'; did you mean 'normal'?"),
    (2, "p.tsv", p2("k1|0|10|0.7|true|normal|1"), 3, "p.tsv:2: column priorParameters: prior 'normal' has 1 parameter, expected 2"),
    (2, "p.tsv", p2("k1|0|10|0.7|true|normal|1;0"), 3, "p.tsv:2: column priorParameters: the spread 0"),
    (2, "p.tsv", p2("k1|0|10|0.7|true|uniform|11;12"), 3, "p.tsv:2: column priorDistribution: the prior leaves no probability"),
    (2, "p.tsv", p2("k1|0|10|0.7|true|normal|a;b"), 3, "p.tsv:2: column priorParameters: found 'a', expected a number"),
    # observables
    (1, "o.tsv", V1["o.tsv"] + "oa|B|1|lin|normal\n", 3, "o.tsv:4: column observableId: observable 'oa' occurs twice, first in"),
    (1, "o.tsv", o1("oa|observableParameter1_oa*(A|sd|lin|normal"), 3, "o.tsv:2: column observableFormula: character"),
    (1, "o.tsv", o1("oa|observableParameter1_oa*Z|sd|lin|normal"), 3, "o.tsv:2: column observableFormula: neither the model nor the parameter table knows 'Z'"),
    (1, "o.tsv", o1("oa|observableParameter1_oa*A|0|lin|normal"), 3, "o.tsv:2: column noiseFormula: the noise 0 is not positive"),
    (1, "o.tsv", o1("oa|observableParameter1_oa*A|sd|ln|normal"), 3, "o.tsv:2: column observableTransformation: found 'ln'"),
    (1, "o.tsv", o1("oa|observableParameter1_oa*A|sd|lin|cauchy"), 3, "o.tsv:2: column noiseDistribution: found 'cauchy'"),
    (1, "o.tsv", V1["o.tsv"] + "oc|B|1|lin|normal\n", 0, "o.tsv:4: column observableId: observable 'oc' is not measured"),
    (2, "o.tsv", O2 + "oa|ob|sd|normal|\nob|oa|n|normal|n\n", 3, "depends on itself"),
    (2, "o.tsv", V2["o.tsv"] + "A|B|1|normal|\n", 3, "o.tsv:4: column observableId: 'A' is also an entity of the model; rename the observable"),
    (1, "o.tsv", V1["o.tsv"] + "A|B|1|lin|normal\n", 0, "o.tsv:4: column observableId: 'A' is also an entity of the model"),
    # conditions, experiments
    (1, "c.tsv", "conditionId|a0\nc0|2\nc0|3\n", 3, "c.tsv:3: column conditionId: condition 'c0' occurs twice, first in"),
    (1, "c.tsv", "conditionId|a0\nc0|2\nc1|3\n", 0, "c.tsv:3: column conditionId: no measurement uses condition 'c1'"),
    (1, "c.tsv", "conditionId|zz\nc0|2\n", 3, "c.tsv:2: column zz: neither the model nor the parameter table knows 'zz'"), (1, "c.tsv", "conditionId|a0\nc0|two words\n", 3, "c.tsv:2: column a0"),
    (1, "c.tsv", "conditionId|a0\nc0|zz\n", 3, "c.tsv:2"), (1, "c.tsv", "conditionId|y\nc0|2\n", 3, "c.tsv:"),
    (2, "c.tsv", "conditionId|targetId|targetValue\nc0|zz|2\n", 3, "c.tsv:2: column targetId: neither the model nor the parameter table knows 'zz'"),
    (2, "c.tsv", "conditionId|targetId|targetValue\nc0|A|2\nc0|A|3\n", 3, "c.tsv:3: column targetId: condition 'c0' sets 'A' twice"),
    (2, "c.tsv", "conditionId|targetId|targetValue\nc0|k1|2\n", 3, "c.tsv:2: column targetId: 'k1' is set by a condition and by the parameter table"),
    (2, "c.tsv", "conditionId|targetId|targetValue\nc0|A|\n", 3, "c.tsv:2: column targetValue: the value is missing"),
    (2, "c.tsv", V2["c.tsv"] + "c9|B|1\n", 0, "c.tsv:3: column conditionId: no experiment uses condition 'c9'"),
    (2, "e.tsv", "experimentId|time|conditionId\ne0|0|c9\n", 3, "e.tsv:2: column conditionId: the condition tables have no condition 'c9'"),
    (2, "e.tsv", V2["e.tsv"] + "e9|0|c0\n", 0, "e.tsv:3: column experimentId: no measurement uses experiment 'e9'"),
    (2, "e.tsv", "experimentId|time|conditionId\ne0|zero|c0\n", 3, "e.tsv:2: column time: found 'zero'"),
    (2, "e.tsv", "experimentId|time|conditionId\ne0|5|c0\n", 3, "d.tsv:2: column time: time 1 lies before the start of the experiment at 5"),
    (2, "e.tsv", "experimentId|time|conditionId\ne0|0|c0\ne0|0|c0\n", 3, "e.tsv:3: column conditionId: experiment 'e0' applies this condition twice"),
    # measurements
    (1, "d.tsv", M1 + "oz|c0|0.7|1|2|\n", 3, "d.tsv:2: column observableId: the tables have no observable 'oz'"),
    (1, "d.tsv", M1 + "oa|cz|0.7|1|2|\n", 3, "d.tsv:2: column simulationConditionId: the tables have no condition 'cz'"),
    (2, "d.tsv", M2 + "oa|ez|1|0.7|\n", 3, "d.tsv:2: column experimentId: the tables have no experiment 'ez'"),
    (1, "d.tsv", M1 + "oa|c0|0.7|-1|2|\n", 3, "d.tsv:2: column time: time -1 lies before the start"),
    (1, "d.tsv", M1 + "oa|c0|NaN|1|2|\n", 3, "d.tsv:2: column measurement: found 'NaN', expected a number"),
    (1, "d.tsv", M1 + "oa|c0||1|2|\n", 3, "d.tsv:2: column measurement: found nothing, expected a number"), (1, "d.tsv", M1 + "oa|c0|inf|1|2|\n", 3, "d.tsv:2: column measurement"),
    (1, "d.tsv", M1 + "oa|c0|0.7|soon|2|\n", 3, "d.tsv:2: column time: found 'soon'"), (1, "d.tsv", M1 + "oa|c0|0.7|nan|2|\n", 3, "d.tsv:2: column time"),
    (1, "d.tsv", M1 + "oa|c0|0.7|1||\n", 3, "d.tsv:2: column observableParameters: observable 'oa' has 1 observable placeholder, the row gives 0"),
    (1, "d.tsv", M1 + "ob|c0|0.7|1||0\n", 3, "d.tsv:2: column noiseParameters: the noise 0 is not positive"),
    (1, "d.tsv", M1 + "oa|c0|0.7|1|zz|\n", 3, "d.tsv:2: column observableParameters: neither the model nor the parameter table knows 'zz'"),
    (1, "d.tsv", V1["d.tsv"].replace("oa|c0|0.7", "oa|c0|-0.7"), 0, ""),
    (2, "d.tsv", M2.replace("noiseParameters", "noiseParameters|modelId") + "oa|e0|1|0.7||other\n", 3, "d.tsv:2: column modelId"),
]


def spoil(folder, version, instead):
    """A problem in order but for the files of `instead` (name: text, None: not there); where its problem.yaml lies."""
    files = dict(V1 if version == 1 else V2, **instead)
    os.makedirs(folder, exist_ok=True)
    for f, t in files.items():
        path = os.path.join(folder, f)
        if t is None:
            if os.path.exists(path):
                os.unlink(path)
            continue
        with open(path, "w") as out:
            out.write(t.replace("|", "\t") if f.endswith(".tsv") else t)
    return os.path.join(folder, "problem.yaml")


def run(doppel, problem):
    r = subprocess.run([doppel, "petab", "eval", problem], capture_output=True, text=True, timeout=60)
    return r.returncode, r.stderr


def main():
    doppel, place = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else None
    wrong = 0
    with tempfile.TemporaryDirectory() as scratch:
        for version in (1, 2):
            code, said = run(doppel, spoil(os.path.join(scratch, f"good{version}"), version, {}))
            if code != 0 or said:
                print(f"version {version}, in order: exit {code}: {said}")
                wrong += 1
        for i, (version, name, text, want, words) in enumerate(CASES):
            code, said = run(doppel, spoil(os.path.join(place or scratch, f"case{i:03d}"), version, {name: text}))
            if code != want or words not in said:
                print(f"case {i} (version {version}, {name}): exit {code}, expected {want} and '{words}':\n    {said.strip()}")
                wrong += 1
    print(f"{len(CASES) + 2 - wrong} of {len(CASES) + 2} as expected")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
