#!/usr/bin/env python3
"""Closed loops beside simglucose (pip install simglucose) in one table: patient-days a second of one core.

    compare_loop.py DOPPEL [--members N] [--days D] [--peer-days D] [--repeats N] [--json]

Doppel's rows are those of `doppel bench loop` (plain C among them), run by this script just before; simglucose then runs
one person of the same model (adult#001, Dalla Man 2007) for --peer-days days under its own basal-bolus controller, with
its Dexcom sensor and its pump, three meals a day, --repeats times: processor time of the simulation alone, interpreter
and making of the objects left out; the best counts, and all are told. Where simglucose is not installed its row says
so. Its loop reads every 3 minutes and integrates by scipy's dopri5, minute by minute, in Python.
"""
import argparse
import datetime
import json
import logging
import subprocess
import sys
import time
import warnings


def doppel_rows(args):
    command = [args.doppel, "bench", "loop", "--json", "--threads", "1", "--members", str(args.members), "--days",
               str(args.days), "--repeats", str(args.repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)["rows"]


def one_run(days, seed):
    from simglucose.actuator.pump import InsulinPump
    from simglucose.controller.basal_bolus_ctrller import BBController
    from simglucose.patient.t1dpatient import T1DPatient
    from simglucose.sensor.cgm import CGMSensor
    from simglucose.simulation.env import T1DSimEnv
    from simglucose.simulation.scenario import CustomScenario
    from simglucose.simulation.sim_engine import SimObj
    start = datetime.datetime(2020, 1, 1)
    meals = [(24 * day + hour, grams) for day in range(days) for hour, grams in ((7, 45), (12.5, 70), (19, 80))]
    env = T1DSimEnv(T1DPatient.withName("adult#001"), CGMSensor.withName("Dexcom", seed=seed),
                    InsulinPump.withName("Insulet"), CustomScenario(start_time=start, scenario=meals))
    loop = SimObj(env, BBController(), datetime.timedelta(days=days), animate=False)
    began = time.process_time()
    loop.simulate()
    spent = time.process_time() - began
    sensor = loop.results()["CGM"].dropna()
    return spent, float(((sensor >= 70) & (sensor <= 180)).mean()), float((sensor < 70).mean())


def peer_row(args):
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    try:
        import importlib.metadata
        version = importlib.metadata.version("simglucose")
        runs = [one_run(args.peer_days, 1) for _ in range(args.repeats)]
    except ImportError as problem:
        return {"name": "simglucose", "absent": str(problem)}
    rates = sorted(args.peer_days / spent for spent, _, _ in runs)
    return {"name": f"simglucose {version}", "members": 1, "days": args.peer_days, "days_per_second": rates[-1],
            "rates": rates, "in_range": runs[0][1], "low": runs[0][2]}


def main():
    ask = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ask.add_argument("doppel")
    ask.add_argument("--members", type=int, default=1024)
    ask.add_argument("--days", type=int, default=14)
    ask.add_argument("--peer-days", type=int, default=2)
    ask.add_argument("--repeats", type=int, default=3)
    ask.add_argument("--json", action="store_true")
    args = ask.parse_args()
    rows = doppel_rows(args) + [peer_row(args)]
    if args.json:
        print(json.dumps({"rows": rows}))
        return
    print("| | people | days | patient-days/s/core | 70-180 | < 70 | error, mg/dL |\n|---|---|---|---|---|---|---|")
    for r in rows:
        if "absent" in r:
            print(f"| {r['name']} | | | absent: {r['absent']} | | | |")
            continue
        rate = f"{r['days_per_second']:,.0f}" if r["days_per_second"] >= 100 else f"{r['days_per_second']:.3g}"
        if len(r.get("rates", ())) > 1:
            rate += f" ({r['rates'][0]:.3g} to {r['rates'][-1]:.3g})"
        error = f"{r['error']:.2g}" if r.get("error") is not None else ""
        print(f"| {r['name']} | {r['members']} | {r['days']} | {rate} | {100 * r['in_range']:.2f} % | "
              f"{100 * r['low']:.2f} % | {error} |")


if __name__ == "__main__":
    main()
