#!/usr/bin/env bash
# Exports a million conversations from the simulator, in another process, and says how long that took and how much memory
# the exporter had at the most. Linux. What stands behind `--` goes to the exporter: million.sh -- --concurrency 4
set -euo pipefail
cd "$(dirname "$0")/../.."

records=${RECORDS:-1000000}
[ "${1:-}" = -- ] && shift
cargo build --release --locked -p analytics_exporter
bin=$(cargo metadata --locked --no-deps --format-version 1 | sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')/release
work=$(mktemp -d)
simulator=
trap '[ -z "$simulator" ] || kill "$simulator"; rm -rf "$work"' EXIT

"$bin/analytics_simulator" --listen 127.0.0.1:0 --records "$records" --token-lifetime 30s >"$work/simulator.log" &
simulator=$!
until url=$(sed -n 's/^listening on //p' "$work/simulator.log") && [ -n "$url" ]; do sleep 0.1; done

export GENESYS_CLIENT_ID=simulator-client GENESYS_CLIENT_SECRET=simulator-secret
"$bin/analytics_exporter" --api-url "$url" --token-url "$url/oauth/token" --output "$work/conversations.ndjson" "$@" &
exporter=$!
peak=0
while kill -0 "$exporter" 2>/dev/null; do
  # As the kernel has it: the most so far.
  now=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$exporter/status" 2>/dev/null || true)
  peak=${now:-$peak}
  sleep 0.2
done
wait "$exporter"
lines=$(wc -l <"$work/conversations.ndjson" 2>/dev/null || echo 0)
distinct=$(grep -ao '^{"conversationId":"[^"]*"' "$work/conversations.ndjson" | sort -u | wc -l)
echo "$lines lines, $distinct distinct conversations, $((peak / 1024)) MiB at the most"
[ "$lines" -eq "$records" ] && [ "$distinct" -eq "$records" ]
