#!/usr/bin/env python3
"""Check that each rule of coalescing has a test that is named after it.

    check_rules.py ROOT        the tests under ROOT/tests
    check_rules.py --selftest  check that it can fail

A test is named after a rule when it begins with it: c17_..., c14a_... Exit status 1 and one line
for each rule without a test, and for each test of a rule that there is not.
"""

import pathlib
import re
import sys

RULES = ({f"c{n}" for n in range(1, 30)} | {"c14a", "c14b"})
# Routes do not split their traffic, so there are no variants to keep apart.
WITHOUT_SUBJECT = {"c28"}
TEST = re.compile(r"^(?:static void|def) (c[0-9]+[a-z]?)_\w+\(", re.MULTILINE)


def findings(text):
    """What is wrong with the tests in TEXT."""
    tested = set(TEST.findall(text))
    return ([f"{rule}: no test begins with it" for rule in sorted(RULES - WITHOUT_SUBJECT - tested)]
            + [f"{rule}: there is no such rule" for rule in sorted(tested - RULES)])


def selftest():
    whole = "".join(f"static void {rule}_holds(void **state)\n" for rule in RULES)
    assert findings(whole) == []
    assert findings(whole.replace("static void c17_", "static void x17_")) == [
        "c17: no test begins with it"]
    assert findings(whole + "def c31_is_new(lab):\n") == ["c31: there is no such rule"]


def main():
    if sys.argv[1:] == ["--selftest"]:
        selftest()
        return 0
    tests = pathlib.Path(sys.argv[1]) / "tests"
    paths = sorted([*tests.rglob("*.c"), *tests.rglob("*.py")])
    found = findings("".join(path.read_text(encoding="utf-8") for path in paths))
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
