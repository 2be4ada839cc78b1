"""Takes the one module of sglang that triton_append.py calls out of sglang's wheel, and puts stand-ins for the modules that it
imports around it, of which the append's kernels use nothing: so the published kernel runs where sglang itself is too much.

    pip download --no-deps sglang==0.5.23
    python3 examples/python/sglang_alone.py sglang-*.whl FOLDER
    PYTHONPATH=FOLDER APPEND_KERNEL=engine twincheck verify --candidate examples/python/triton_append.py
"""

import os
import re
import sys
import zipfile

MODULE = "sglang/kernels/ops/moe/fused_moe_triton_kernels.py"
FUNCTION = "def fused_append_shared_experts_with_weights("
# Every name of these modules is a function that answers False, or an object whose every attribute is one.
STAND_IN = '''class Nothing:
    def __getattr__(self, name):
        return Nothing()

    def __call__(self, *arguments, **more):
        return False


def __getattr__(name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Nothing()
'''


def write(folder, path, text):
    path = os.path.join(folder, path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def main(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        if MODULE not in archive.namelist():
            sys.exit(f"{wheel} has no {MODULE}")
        source = archive.read(MODULE).decode()
    if FUNCTION not in source:
        sys.exit(f"{MODULE} of {wheel} has no {FUNCTION}...)")
    write(folder, MODULE, source)
    needed = sorted(set(re.findall(r"^from (sglang[\w.]*) import", source, re.MULTILINE)))
    for module in needed:
        write(folder, module.replace(".", "/") + ".py", STAND_IN)
    for at, _, files in os.walk(os.path.join(folder, "sglang")):
        if "__init__.py" not in files:
            write(at, "__init__.py", "")
    print(f"{folder}: {MODULE} of {os.path.basename(wheel)}, with stand-ins for {', '.join(needed)}")


if len(sys.argv) != 3:
    sys.exit(__doc__)
main(*sys.argv[1:])
