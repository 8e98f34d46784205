#!/bin/sh
# Everything that has to pass: environment, servers, lint, types, imports, tests. Arguments go to pytest.
#
#   sh tests/all.sh
#
# Makes .venv beside the sources, and again only when pyproject.toml, Python or the place has changed. PYTHON names
# another interpreter. As root with apt-get it installs what is lacking of Debian's servers; elsewhere the tests that
# need them are skipped by name, and with CI=true that is a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

PYTHON=${PYTHON:-python3}
PACKAGES='nginx-light:nginx lighttpd:lighttpd vsftpd:vsftpd openssl:openssl curl:curl libarchive-tools:bsdtar busybox:busybox pigz:pigz
tabix:bgzip 7zip:7zz exfat-fuse:mount.exfat-fuse exfatprogs:mkfs.exfat' # Debian's package and the program that it brings

fail() {
    printf 'tests/all.sh: %s\n' "$1" >&2
    exit 1
}

step() {
    name=$1
    shift
    printf '== %s\n' "$name"
    "$@" || fail "FAILED at: $name"
}

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1
}

# Install Debian packages without starting their services: nginx would take port 80.
install_packages() {
    policy=/usr/sbin/policy-rc.d
    made=
    if [ ! -e "$policy" ]; then
        made=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
    fi
    export DEBIAN_FRONTEND=noninteractive
    apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 ||
        { apt-get update -qq && apt-get install -qq -y --no-install-recommends "$@" >/dev/null; }
    code=$?
    if [ -n "$made" ]; then rm -f "$policy"; fi
    return "$code"
}

missing_packages() {
    for pair in $PACKAGES; do
        PATH="$PATH:/usr/sbin:/sbin" command -v "${pair#*:}" >/dev/null 2>&1 || printf '%s ' "${pair%:*}"
    done
}

servers() {
    missing=$(missing_packages)
    [ -z "$missing" ] && return
    # shellcheck disable=SC2086 # a list of words
    if can_install && install_packages $missing; then
        missing=$(missing_packages)
        [ -z "$missing" ] && return
    fi
    [ "${CI:-}" = true ] && fail "CI=true, and these Debian packages are missing: $missing"
    printf 'not installed, tests that need them are skipped: %s\n' "$missing"
}

environment() {
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "$PYTHON must be Python 3.11 or later"
    stamp="$(cksum pyproject.toml) $("$PYTHON" -V) $PWD"
    if [ -x .venv/bin/python ] && [ "$(cat .venv/stamp 2>/dev/null)" = "$stamp" ]; then return; fi
    if ! "$PYTHON" -c 'import ensurepip' 2>/dev/null; then
        can_install || fail "$PYTHON cannot make virtual environments: install Debian's package python3-venv"
        install_packages python3-venv || return
    fi
    "$PYTHON" -m venv --clear .venv || return
    # Dependency groups (PEP 735) need pip 25.1; Python 3.11 brings an older one.
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1' || return
    .venv/bin/python -m pip install --quiet --group dev --editable '.[demo]' || return
    printf '%s\n' "$stamp" >.venv/stamp
}

step 'environment' environment
step 'Debian servers' servers
PATH="$PWD/.venv/bin:$PATH"
export PATH
step 'ruff check' ruff check .
step 'ruff format' ruff format --check .
step 'mypy' mypy
step 'imports' lint-imports
step 'what an image costs (for eyes only)' python -m benchmarks.cost
printf '== tests\n'
exec python -X dev -W error -m pytest "$@"
