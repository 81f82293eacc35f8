#!/usr/bin/env python3
"""Reads `go test -json` on standard input, shows what failed and how many passed.

With --no-skips a skipped test is a failure too: on a machine that has all that
the tests need, nothing may be left out.
"""

import json
import sys


def main() -> int:
    no_skips = "--no-skips" in sys.argv[1:]
    output: dict[tuple[str, str], list[str]] = {}
    count = {"pass": 0, "fail": 0, "skip": 0}
    bad = False
    for line in sys.stdin:
        try:
            event = json.loads(line)
            action = event["Action"]
        except (ValueError, KeyError, TypeError):
            print(line, end="", flush=True)  # what make and the compiler say
            continue
        test = event.get("Test", "")
        key = (event.get("Package") or event.get("ImportPath", ""), test)
        if action in ("output", "build-output"):
            output.setdefault(key, []).append(event.get("Output", ""))
            continue
        if action == "build-fail":
            bad = True
            print("".join(output.pop(key, [])), flush=True)
        if action not in count:
            continue
        text = "".join(output.pop(key, []))
        if test:
            count[action] += 1
        elif action != "skip":  # a package without tests is "skipped"
            print(f"{'ok  ' if action == 'pass' else 'FAIL'} {key[0]} {event.get('Elapsed', 0):.1f}s", flush=True)
        if action == "fail" or (action == "skip" and test and no_skips):
            bad = True
            print(text, end="", flush=True)
    print(f"{count['pass']} passed, {count['fail']} failed, {count['skip']} skipped", flush=True)
    return 1 if bad or count["pass"] == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
