"""Compiles the Python files below the folder target as they will stand beside this file."""

import base64
import importlib.util
import os
import py_compile
import tempfile


def main(args):
    code = os.path.dirname(os.path.abspath(__file__))
    target = os.path.join(code, "target")
    made = {}
    with tempfile.TemporaryDirectory() as scratch:
        compiled = os.path.join(scratch, "pyc")
        for folder, _, names in os.walk(target):
            for name in names:
                source = os.path.join(folder, name)
                if not name.endswith(".py"):
                    continue
                inside = os.path.join(code, os.path.relpath(source, target))
                try:
                    py_compile.compile(
                        source, cfile=compiled, dfile=inside, doraise=True,
                        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
                    )
                except py_compile.PyCompileError:
                    continue  # whoever imports it will be told
                with open(compiled, "rb") as f:
                    where = os.path.relpath(importlib.util.cache_from_source(inside), code)
                    made[where] = base64.b64encode(f.read()).decode()
    return made
