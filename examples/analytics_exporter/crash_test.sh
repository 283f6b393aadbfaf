#!/usr/bin/env bash
# Kills an export at random instants, again and again, and lets the next run go on. What comes out has to be, byte for
# byte, what an undisturbed run writes.
#
#   crash_test.sh [ROUNDS] [-- FLAGS OF THE EXPORTER]
#
#   crash_test.sh
#   crash_test.sh 50 -- --compress gzip --concurrency 3
#   crash_test.sh 50 -- --source job --format csv --rotate 1MB
#
# The API is analytics_simulator in a process of its own: tokens that live 2 s, a rate limit, answers that are broken. Of 200
# rounds, unless said otherwise, each starts the exporter and ends it with kill -9; every 20th stops it with SIGSTOP instead,
# for longer than a token lives, and lets it go on. A round goes on with what the one before left, until an export is
# complete; that is compared, and the next round begins anew.
#
# RECORDS (5000) is how much there is to export, SEED (random) draws the instants. Exit code 0 if nothing differs.
set -euo pipefail

rounds=200
case ${1-} in
  "" | --) ;;
  *[!0-9]*) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"; exit 2 ;;
  *) rounds=$1; shift ;;
esac
if [ "${1-}" = -- ]; then shift; fi
flags=("$@")
records=${RECORDS:-5000}
seed=${SEED:-$RANDOM}
RANDOM=$seed

cd "$(dirname "$0")/../.."
work=$(mktemp -d)
simulator=
exporter=
cleanup() {
  for process in $exporter $simulator; do
    kill -9 "$process" 2>/dev/null || true
    wait "$process" 2>/dev/null || true
  done
  rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

fail() {
  printf 'FAILED: %s\n' "$1" >&2
  if [ -f "$work/said" ]; then tail -n 5 "$work/said" >&2; fi
  exit 1
}

# === What is built, and the API

said=" ${flags[*]-} "
said=${said//=/ }
features=()
case $said in *" --format parquet "*) features=(--features parquet) ;; esac
cargo build --quiet --release -p analytics_exporter "${features[@]+"${features[@]}"}"
bin=${CARGO_TARGET_DIR:-target}/release

"$bin/analytics_simulator" --listen 127.0.0.1:0 --records "$records" --users "$records" --contacts "$records" \
  --client crash:test --access-key 'CRASHKEY====:CRASHSECRET====' --token-lifetime 2s --rate-limit 50 --rate-window 1s \
  --server-error 0.01 --truncate 0.01 --html 0.005 --reset 0.005 >"$work/simulator" 2>&1 &
simulator=$!
for _ in $(seq 100); do
  url=$(sed -n 's/^listening on //p' "$work/simulator")
  if [ -n "$url" ]; then break; fi
  sleep 0.1
done
[ -n "$url" ] || fail "the simulator does not start: $(cat "$work/simulator")"

export GENESYS_CLIENT_ID=crash GENESYS_CLIENT_SECRET=test
export CXONE_CLIENT_ID=crash CXONE_CLIENT_SECRET=test
export CXONE_ACCESS_KEY_ID=CRASHKEY==== CXONE_ACCESS_KEY_SECRET=CRASHSECRET====
token_url=$url/oauth/token
case $said in *" --source cxone-contacts "*) token_url=$url/auth/token ;; esac
# The same period for all, so that it is cut in the same places. Users and contacts are of none.
now=$(date +%s)
instant() { TZ=UTC printf '%(%Y-%m-%dT%H:%M:%SZ)T' "$1"; }
period=(--from "$(instant $((now - 8 * 86400)))" --to "$(instant "$now")")
case $said in *" --source users "* | *" --source contacts "*) period=() ;; esac

# Starts an export into a folder, or goes on with it, as `exporter`.
begin() {
  mkdir -p "$1"
  "$bin/analytics_exporter" --quiet --api-url "$url" --token-url "$token_url" "${period[@]+"${period[@]}"}" \
    "${flags[@]+"${flags[@]}"}" --output "$1/out" --summary "$work/summary" >"$work/said" 2>&1 &
  exporter=$!
}

# Waits for it; its exit code is `code`. What bash has to say of a process that was killed is not of interest.
end() {
  code=0
  wait "$exporter" 2>/dev/null || code=$?
  exporter=
}

# The files of an output, without what is there for the exporter alone.
files() { (cd "$1" && find . -type f ! -name '*.checkpoint' ! -name '*.lock' | sort); }

# === The undisturbed run

begin "$work/whole"
end
[ "$code" -eq 0 ] || fail "the undisturbed run ended with exit code $code"
whole=$(files "$work/whole")
[ -n "$whole" ] || fail "the undisturbed run wrote nothing"
seconds=$(sed -n 's/.*"elapsed_s": \([0-9.]*\).*/\1/p' "$work/summary")
count=$(sed -n 's/.*"records": \([0-9]*\).*/\1/p' "$work/summary")
# Nearly as long as it takes: a run that goes on has less to do, so that some kills come too late.
longest=$(awk -v seconds="$seconds" 'BEGIN { printf "%d", seconds * 700 + 50 }')
# shellcheck disable=SC2086 # names without blanks
printf 'undisturbed: %s records, %s bytes, %s s; %s rounds, SEED=%s%s\n' \
  "$count" "$(cd "$work/whole" && cat $whole | wc -c | tr -d ' ')" "$seconds" "$rounds" "$seed" "${flags[*]:+, with ${flags[*]}}"

# === The others

killed=0 stopped=0 too_late=0 complete=0 different=0 kills_of_this=0 most_kills=0

compare() {
  complete=$((complete + 1))
  if [ "$kills_of_this" -gt "$most_kills" ]; then most_kills=$kills_of_this; fi
  if [ "$(files "$work/now")" != "$whole" ]; then
    different=$((different + 1))
    printf 'different after %s kills: the files are %s\n' "$kills_of_this" "$(files "$work/now" | tr '\n' ' ')" >&2
  else
    for file in $whole; do
      if ! cmp "$work/whole/$file" "$work/now/$file" >&2; then
        different=$((different + 1))
        break
      fi
    done
  fi
  rm -rf "$work/now"
  kills_of_this=0
}

for ((round = 1; round <= rounds; round++)); do
  begin "$work/now"
  millis=$(((RANDOM * 32768 + RANDOM) % longest))
  if [ $((round % 20)) -eq 0 ]; then millis=$((millis / 4)); fi
  sleep "$(printf '%d.%03d' $((millis / 1000)) $((millis % 1000)))"
  if [ $((round % 20)) -eq 0 ]; then
    if kill -STOP "$exporter" 2>/dev/null; then
      sleep 3
      kill -CONT "$exporter"
      stopped=$((stopped + 1))
    fi
  else
    kill -9 "$exporter" 2>/dev/null || true
  fi
  end
  case $code in
    0)
      if [ $((round % 20)) -ne 0 ]; then too_late=$((too_late + 1)); fi
      compare
      ;;
    137)
      killed=$((killed + 1))
      kills_of_this=$((kills_of_this + 1))
      ;;
    *) fail "round $round ended with exit code $code" ;;
  esac
done
if [ -d "$work/now" ]; then
  begin "$work/now"
  end
  [ "$code" -eq 0 ] || fail "the last run ended with exit code $code"
  compare
fi

printf '%s rounds: %s killed, %s stopped for 3 s, %s over before the kill; %s exports complete, the most disturbed killed %s times; %s different\n' \
  "$rounds" "$killed" "$stopped" "$too_late" "$complete" "$most_kills" "$different"
[ "$different" -eq 0 ]
