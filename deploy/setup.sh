#!/usr/bin/env bash
# Brings one machine to where `ebbwatch` runs; `make` calls it when something is missing.
#   deploy/setup.sh venv    .venv with what requirements-dev.lock names, and the project in it
#   deploy/setup.sh kafka   the broker's jars in .ebbwatch/kafka/lib, with a Java 17 or newer
#   deploy/setup.sh tests   what only the tests need: Chromium, Redis, kcat, libfaketime, Node and its verifiers
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$@" >&2; exit 1; }

# install_packages WHAT PACKAGE...: by apt-get when root; otherwise says what is missing and stops.
install_packages() {
  local what=$1; shift
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    fail "missing: $what" "install it, on Debian with: sudo apt-get install $*" "${remedy[@]}"
  fi
  say "installing $* with apt-get ($what is missing)"
  apt-get update -qq >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >&2
}

# The first Python from 3.11 to 3.13 that runs; a version manager's shim may exist and not run.
find_python() {
  local name
  for name in python3 python3.11 python3.12 python3.13 /usr/bin/python3; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
      command -v "$name"
      return
    fi
  done
  return 1
}

make_venv() {
  local python remedy=()
  if ! python=$(find_python); then
    install_packages "Python 3.11, 3.12 or 3.13" python3 python3-venv
    python=$(find_python) || fail "this system's python3 is not 3.11, 3.12 or 3.13: install one of them"
  fi
  if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    install_packages "the venv module of $python" python3-venv
    "$python" -c 'import ensurepip, venv' >/dev/null 2>&1 || python=/usr/bin/python3
  fi
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "creating .venv with $("$python" --version)"
    "$python" -m venv --clear .venv
  fi
  say "installing the packages of requirements-dev.lock into .venv"
  .venv/bin/python -m pip install -q --disable-pip-version-check --require-hashes \
    -r requirements-dev.lock
  .venv/bin/python -m pip install -q --disable-pip-version-check --no-deps \
    --no-build-isolation -e .
  touch .venv/.stamp
}

java_is_new_enough() {
  local java version
  java=${JAVA_HOME:+$JAVA_HOME/bin/}java
  version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -1)
  [ "${version:-0}" -ge 17 ]
}

fetch_kafka() {
  local lib=.ebbwatch/kafka/lib remedy=(
    "or use a Kafka of your own: EBBWATCH_KAFKA=host:port (make check: EBBWATCH_TEST_KAFKA=host:port)")
  java_is_new_enough || install_packages "a Java runtime, 17 or newer" default-jre-headless
  java_is_new_enough || fail "this system's Java is older than 17: install a newer one" "${remedy[@]}"
  command -v mvn >/dev/null || install_packages "Maven (mvn)" maven
  say "fetching Apache Kafka's jars with Maven into $lib"
  rm -rf "$lib" "$lib.part"
  mvn -q -B -C -f deploy/kafka/pom.xml dependency:copy-dependencies -DincludeScope=runtime \
    -DoutputDirectory="$PWD/$lib.part" ||
    fail "Maven could not fetch the jars that deploy/kafka/pom.xml names (its words stand above)" \
      "${remedy[@]}"
  mv "$lib.part" "$lib"
  touch .ebbwatch/kafka/.stamp
}

# What the tests drive or are compared with. Python's packages come with the venv.
install_for_tests() {
  local remedy=() verifiers=.ebbwatch/node
  command -v chromium >/dev/null || install_packages "Chromium" chromium
  command -v redis-server >/dev/null || install_packages "Redis (redis-server)" redis-server
  command -v kcat >/dev/null || install_packages "kcat" kcat
  compgen -G "/usr/lib*/**/faketime/libfaketimeMT.so.1" >/dev/null ||
    install_packages "libfaketime" libfaketime
  command -v npm >/dev/null || install_packages "Node and npm" nodejs npm
  say "installing the webhook verifiers of tests/acceptance/verifiers into $verifiers"
  mkdir -p "$verifiers"
  cp tests/acceptance/verifiers/package.json tests/acceptance/verifiers/package-lock.json \
    tests/acceptance/verifiers/.npmrc "$verifiers"
  npm ci --prefix "$verifiers" --no-audit --no-fund --ignore-scripts --silent >&2
  touch .ebbwatch/.tests-stamp
}

case ${1:-} in
  venv) make_venv ;;
  kafka) fetch_kafka ;;
  tests) install_for_tests ;;
  *) sed -n '2,5p' "$0" >&2; exit 2 ;;
esac
