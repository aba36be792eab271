# Sourced by the other scripts. `use_venv NAME` makes .venv hold requirements/NAME.txt, pinned with hashes.
# A marker records what was installed, so that the second run costs nothing.

cd "$(dirname "$0")/.." || exit 1
export PYTHONPATH="services:protos/gen:scripts${PYTHONPATH:+:$PYTHONPATH}"

find_python() {
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    echo "This needs Python 3.11 or newer as python3 on the PATH." >&2
    exit 1
}

use_venv() {
    requirements="requirements/$1.txt"
    marker=".venv/installed-$1.txt"
    if cmp -s "$requirements" "$marker"; then return; fi
    if [ ! -x .venv/bin/python ]; then
        python=$(find_python) || exit 1
        "$python" -m venv .venv || {
            rm -rf .venv # half of one would make the next run fail in other words
            echo "$python cannot make a virtual environment. On Debian and Ubuntu: apt install python3-venv" >&2
            exit 1
        }
    fi
    echo "Installing $requirements into .venv (once) ..." >&2
    .venv/bin/python -m pip --quiet --disable-pip-version-check install \
        --require-hashes --only-binary :all: --requirement "$requirements" || exit 1
    cp "$requirements" "$marker"
}
