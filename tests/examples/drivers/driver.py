"""Runs Python programs one after the other: [program, *arguments] per line in, what came out."""

import contextlib
import io
import json
import runpy
import sys

sys.path.pop(0)
for line in sys.stdin:
    program, *arguments = json.loads(line)
    sys.argv = [program, *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as end:  # as the interpreter does it
            code = end.code if isinstance(end.code, int) else 1
            print("" if isinstance(end.code, int) else end.code, file=sys.stderr)
    print(json.dumps({"code": code, "out": out.getvalue(), "err": err.getvalue()}), flush=True)
