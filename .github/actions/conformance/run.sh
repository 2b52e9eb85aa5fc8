#!/usr/bin/env bash
# The step of the action: builds the conformance runner of this repository and runs it in the current directory.
#
# SERVER_EXEC or SERVER_ADDRESS names the server, SERVER_META its secondary port. REPORT_JUNIT is a file to write, MORE_OPTIONS go to the runner
# as they are. RUNNER_PROGRAM, if set, is a runner that is built already. The exit status is the runner's; 2 also if no server is named.
set -euo pipefail

arguments=()
case "${SERVER_EXEC:+exec}${SERVER_ADDRESS:+address}" in
  exec) arguments+=(--exec "$SERVER_EXEC") ;;
  address) arguments+=("$SERVER_ADDRESS" ${SERVER_META:+--meta "$SERVER_META"}) ;;
  *)
    echo "conformance: name the server by exactly one of the inputs exec and address" >&2
    exit 2
    ;;
esac
if [ -n "${REPORT_JUNIT:-}" ]; then
  arguments+=(--report "junit=$REPORT_JUNIT")
fi
read -ra more <<<"${MORE_OPTIONS:-}"

if [ -z "${RUNNER_PROGRAM:-}" ]; then
  repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
  target=${CARGO_TARGET_DIR:-$repository/target}
  # Without the reference server: the one under test is the caller's.
  cargo build --release --locked --quiet --manifest-path "$repository/Cargo.toml" --target-dir "$target" \
    -p meta-stats-conformance --no-default-features --features cli
  RUNNER_PROGRAM=$target/release/meta-stats-conformance
fi
status=0
"$RUNNER_PROGRAM" run "${arguments[@]}" ${more[@]+"${more[@]}"} | tee -a "${GITHUB_STEP_SUMMARY:-/dev/null}" || status=$?
exit "$status"
