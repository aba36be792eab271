# Sourced by the other scripts. `use_venv NAME` makes .venv hold requirements/NAME.txt, pinned with hashes.
# A marker records what was installed, so that the second run costs nothing.

cd "$(dirname "$0")/.." || exit 1
# Your own settings of Python are not for these programs: PYTHONSAFEPATH, for one, hides them from each other.
for setting in $(env | sed -n 's/^\(PYTHON[A-Z0-9_]*\)=.*/\1/p'); do unset "$setting"; done
export PYTHONPATH="services:protos/gen:scripts"

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
    if cmp -s requirements/dev.txt .venv/installed-dev.txt; then return; fi # it has all of the others
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

# `has_tool NAME`: whether a tool of another language is there. If not, one line says that its checks
# are skipped; in CI that is an error.
has_tool() {
    if command -v "$1" >/dev/null; then return 0; fi
    case $1 in
    *node_modules*) missing="$1 is missing: run npm ci --prefix examples/typescript" ;;
    .venv-peers/*) missing="$1 is missing: run ./benchmarks/prepare" ;;
    *) missing="$1 is not installed" ;;
    esac
    if [ "${CI:-}" = true ]; then
        echo "$missing" >&2
        exit 1
    fi
    echo "skipped: $missing" >&2
    return 1
}
