"""RFC 9113 and RFC 7541, a rule at a time, each on a connection of its own."""
import json
import os

from case import case, expect
from edge_site import PYTHON, SUPPORT
from netlab import VIP4

PROGRAM = os.path.join(SUPPORT, "h2_conformance.py")


@case(needs=("every-rule",), workers=(1, 4), timeout_s=300)
def each_rule_is_kept(site):
    done = site.lab.run("clients", [PYTHON, PROGRAM, VIP4], timeout_s=280)
    result = json.loads(done.stdout)
    expect(not result["failed"], "\n".join(
        f"{row['rule']}: expected {row['expected']}, found {row['found']}"
        for row in result["failed"]))
    expect(result["passed"] > 180, f"{result['passed']} rules only")
