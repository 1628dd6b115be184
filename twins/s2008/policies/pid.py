"""The rule of pid.yaml as a program outside (docs/trial.md): one JSON object a line in, one out. In silico only."""
import json
import sys

hello = json.loads(sys.stdin.readline())
v, p = hello["values"], hello["parameters"]
integral, smooth, before, period = 0.0, 140.0, 140.0, hello["period"]
print('{"ready":1}', flush=True)
for line in sys.stdin:
    m = json.loads(line)
    g, meal = m["reads"]["g"], m["announces"]["meal"]
    filtered = smooth + 0.4*(g - smooth)
    slope = (filtered - before)/period
    error = filtered - p["target"]
    wanted = v["basal_rate"] + p["kp"]*(error + integral/p["ti"] + p["td"]*slope)/v["CF"]
    rate = max(0.0, min(wanted, 3*v["basal_rate"]))
    if 0 < wanted < 3*v["basal_rate"]:
        integral += error*period
    integral = max(-10000.0, min(10000.0, integral))
    smooth = before = filtered
    print(json.dumps({"gives": {"basal_rate": rate, "bolus": p["share"]*meal/v["CR"]}}), flush=True)
