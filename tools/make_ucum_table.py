#!/usr/bin/env python3
"""Turn UCUM's ucum-essence.xml into src/num/ucum_table.inc.

    python3 tools/make_ucum_table.py ucum-essence.xml > src/num/ucum_table.inc

Every unit is reduced with exact fractions to the base units m s g rad K C cd and mol (kept apart from the number
6.022e23). eq and osm stay what they are, counted things: they are not reduced to mol (see src/num/README.md).
"""
import re
import sys
import xml.etree.ElementTree as ET
from fractions import Fraction

NS = "{http://unitsofmeasure.org/ucum-essence}"
BASE = ["m", "s", "g", "rad", "K", "C", "cd", "mol"]
KEPT_APART = {"eq", "osm"}
# offset (on the unit's own scale) of the temperature scales; the essence only names the functions
OFFSET = {"Cel": Fraction("273.15"), "degF": Fraction("459.67"), "degRe": Fraction("218.52")}
FUNCTION = {"ln": "LN", "lg": "LG", "lgTimes2": "LG2", "ld": "LD", "pH": "PH", "sqrt": "SQRT", "tanTimes100": "TAN",
            "100tan": "TAN", "hpX": "HPX", "hpC": "HPC", "hpM": "HPM", "hpQ": "HPQ"}


class Essence:
    def __init__(self, path):
        root = ET.parse(path).getroot()
        self.version = root.get("version") + ", " + root.get("revision-date")
        self.prefix = {p.get("Code"): Fraction(p.find(NS + "value").get("value")) for p in root.iter(NS + "prefix")}
        self.unit = {u.get("Code"): u for u in root.iter(NS + "unit")}
        self.metric = {c: u.get("isMetric") == "yes" for c, u in self.unit.items()}
        self.metric.update({b: True for b in BASE})
        self.memo = {b: (Fraction(1), {b: 1}, None) for b in BASE}

    def atom(self, code):
        """(factor, dimensions, arbitrary code or None) of one symbol without prefix"""
        if code in self.memo:
            return self.memo[code]
        u = self.unit[code]
        value = u.find(NS + "value")
        function = value.find(NS + "function")
        if code in KEPT_APART:
            result = (Fraction(1), {}, code)
        elif function is not None:
            f, d, a = self.term(function.get("Unit"))
            result = (Fraction(function.get("value")) * f, d, a)
        else:
            f, d, a = self.term(value.get("Unit"))
            if u.get("isArbitrary") == "yes" and a is None:
                a = code
            result = (Fraction(value.get("value")) * f, d, a)
        self.memo[code] = result
        return result

    def symbol(self, text):
        if text in self.unit or text in BASE:
            return self.atom(text)
        for p in sorted(self.prefix, key=len, reverse=True):
            rest = text[len(p):]
            if text.startswith(p) and self.metric.get(rest):
                f, d, a = self.atom(rest)
                return self.prefix[p] * f, d, a
        raise ValueError("unknown symbol " + text)

    def term(self, text):
        """the definitions use only dots, slashes, exponents and numbers"""
        factor, dims, arbitrary, sign = Fraction(1), {}, None, 1
        for token in re.findall(r"10[*^][+-]?\d+|(?:[^\[\]./]|\[[^\]]*\])+|[./]", text):
            if token in "./":
                sign = 1 if token == "." else -1
                continue
            m = re.fullmatch(r"(10[*^]|(?:[^\[\]0-9+-]|\[[^\]]*\])+)([+-]?\d+)?", token)
            if m:
                f, d, a = self.symbol(m.group(1))
                e = sign * int(m.group(2) or 1)
                arbitrary = a or arbitrary
            else:
                f, d, e = Fraction(token), {}, sign
            factor *= f ** e
            for k, v in d.items():
                dims[k] = dims.get(k, 0) + v * e
        return factor, dims, arbitrary


def without(n, primes):
    for p in primes:
        while n % p == 0:
            n //= p
    return n


def split(factor):
    """factor = num / den * 10^e with num and den whole numbers that a double holds, or the nearest double / 1 * 10^0"""
    num, den, e = factor.numerator, factor.denominator, 0
    # a denominator of twos and fives goes into the power of ten
    while den > 1 and without(den, (2, 5)) == 1 or den % 10 == 0:
        num, e = num * 10, e - 1
        num, den = Fraction(num, den).numerator, Fraction(num, den).denominator
    while num % 10 == 0:
        num, e = num // 10, e + 1
    if num < 2 ** 53 and den < 2 ** 53:
        return float(num), float(den), e
    return float(factor), 1.0, 0


def text(x):
    return str(int(x)) if x == int(x) and abs(x) < 2 ** 53 else repr(x)


def main():
    essence = Essence(sys.argv[1])
    print("/* ucum_table.inc - the units of UCUM, version %s; made by tools/make_ucum_table.py from ucum-essence.xml." %
          essence.version)
    print(" *")
    print(" * This file contains facts from UCUM (https://ucum.org). UCUM is Copyright 1999-2024 Regenstrief Institute, Inc.")
    print(" * and The UCUM Organization; available at no cost under the license at https://ucum.org/license; the essence file")
    print(" * as distributed with Ucum-java (https://github.com/FHIR/Ucum-java) is under the BSD 3-clause licence.")
    print(" *")
    print(" * UCUM_PREFIX(code, num, exp10)")
    print(" * UCUM_UNIT(code, metric, num, den, exp10, offset, m, s, g, rad, K, C, cd, mol, function, arbitrary code)")
    print(" *   factor to the base units = num / den * 10^exp10; sorted by code (bytes)")
    print(" */")
    for code in sorted(essence.prefix):
        num, den, e = split(essence.prefix[code])
        assert den == 1.0
        print("UCUM_PREFIX(\"%s\", %s, %d)" % (code, text(num), e))
    for code in sorted(list(essence.unit) + [b for b in BASE if b != "mol"]):
        factor, dims, arbitrary = essence.atom(code)
        function, offset = "NONE", Fraction(0)
        f = essence.unit[code].find(NS + "value").find(NS + "function") if code in essence.unit else None
        if f is not None:
            offset = OFFSET.get(f.get("name"), offset)
            function = "NONE" if offset else FUNCTION[f.get("name")]
            if function == "TAN":
                factor = Fraction(1)
        num, den, e = split(factor)
        print("UCUM_UNIT(\"%s\", %d, %s, %s, %d, %s, %s, %s, \"%s\")" %
              (code.replace("\"", "\\\""), essence.metric[code], text(num), text(den), e, text(float(offset)),
               ", ".join(str(dims.get(b, 0)) for b in BASE), function, arbitrary or ""))


main()
