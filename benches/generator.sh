#!/bin/sh
# wavetank load beside wrk and a bare hyper client: the same origin, the same connections, on one machine.
#
#     benches/generator.sh [ROUNDS] [SECONDS] [RATE]     default: 5 rounds of 5 s, open loop at 5,000/s; installs nginx-light and wrk if missing
#
# Each round asks the origin with all of them one after the other, so that a busy machine is busy for all. Printed are medians: requests a
# second, CPU microseconds for each of them, requests for each CPU second over those of the bare client, and p99 of lag where there is a plan.
# Only ratios mean anything, and lag only where nothing else wants the cores.
set -eu
rounds=${1:-5}
seconds=${2:-5}
rate=${3:-5000}
cd "$(dirname "$0")/.."
for need in nginx wrk; do
    command -v "$need" >/dev/null || apt-get install -y --no-install-recommends nginx-light wrk >/dev/null
done
cargo build --release --quiet --features load
# The bare client is benches/generator.rs; one that is built already can be named in BARE.
if [ -z "${BARE:-}" ]; then
    BARE=$(cargo bench --features load --bench generator --no-run 2>&1 | sed -n 's/.*(\(.*generator-[0-9a-f]*\)).*/\1/p')
fi
program=${CARGO_TARGET_DIR:-target}/release/wavetank
folder=$(mktemp -d)
cat >"$folder/origin.conf" <<END
worker_processes 1; daemon off; pid $folder/origin.pid; error_log $folder/origin.log; events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; server { listen 127.0.0.1:19011; location / { return 200 "hello\n"; } } }
END
cat >"$folder/open.toml" <<END
scenario.duration = "${seconds}s"
traffic = { arrivals = "poisson", shape = [{ kind = "constant", rate = $rate }] }
service.time = "1ms"
END
# So many in a second that they are sent as fast as can be.
cat >"$folder/flood.toml" <<END
scenario.duration = "1s"
traffic = { arrivals = "poisson", shape = [{ kind = "constant", rate = $((rate * seconds * 4)) }] }
service.time = "1ms"
load.pool = 32
END
cat >"$folder/closed.toml" <<END
scenario.duration = "${seconds}s"
traffic.users.count = 32
service.time = "1ms"
END
nginx -c "$folder/origin.conf" -p "$folder" & origin=$!
trap 'kill $origin 2>/dev/null || true; rm -rf "$folder"' EXIT INT TERM
until wrk -t1 -c1 -d1s http://127.0.0.1:19011/ >/dev/null 2>&1; do :; done

# A line for each: name, requests a second, CPU microseconds a request, p99 of lag [ms].
with_wrk() {
    # The second line of times is what its children took.
    (wrk -t1 -c32 -d"${seconds}s" http://127.0.0.1:19011/ >"$folder/out"; times >"$folder/times")
    awk 'function s(text) { split(text, p, "m"); return p[1] * 60 + p[2] }
        FNR == NR && FNR == 2 { cpu = s($1) + s($2) } /requests in/ { n = $1 } /^Requests\/sec/ { rate = $2 }
        END { printf "wrk %.0f %.2f -\n", rate, cpu / n * 1e6 }' "$folder/times" "$folder/out" >>"$folder/all"
}
with_bare() {
    "$BARE" 127.0.0.1:19011 32 "$seconds" | awk '{ printf "hyper %.0f %.2f -\n", $1 / $2, $3 / $1 * 1e6 }' >>"$folder/all"
}
with_load() { # name scenario; it takes a second until it begins
    "$program" load --target http://127.0.0.1:19011 "$folder/$2" --json >"$folder/report.json" 2>/dev/null || true
    field() { sed -n "s/^  \"$1\":.*\"$2\":{*[^0-9]*\([0-9.e-]*\).*/\1/p" "$folder/report.json"; }
    lag=$(sed -n 's/.*"lag_ms":{[^}]*"p99":\([0-9.]*\).*/\1/p' "$folder/report.json")
    awk -v name="$1" -v n="$(field generator sent)" -v cpu="$(field run cpu_seconds)" -v s="$(field run wall_seconds)" -v lag="$lag" \
        'BEGIN { printf "%s %.0f %.2f %s\n", name, n / (s - 1), cpu / n * 1e6, lag }' >>"$folder/all"
}
round=0
while [ "$round" -lt "$rounds" ]; do
    with_wrk
    with_bare
    with_load users closed.toml
    with_load flood flood.toml
    with_load open open.toml
    round=$((round + 1))
done
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
of() { awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$folder/all" | median; }
printf '%-34s %11s %15s %15s %12s\n' client requests/s cpu_us/request of_bare_client lag_p99_ms
for name in wrk hyper users flood open; do
    case $name in
    wrk) what="wrk, 32 connections" ;;
    hyper) what="bare hyper client, 32 connections" ;;
    users) what="wavetank load, 32 users" ;;
    flood) what="wavetank load, open, flooded" ;;
    open) what="wavetank load, open, $rate/s" ;;
    esac
    ratio=$(awk -v a="$(of hyper 3)" -v b="$(of $name 3)" 'BEGIN { printf "%.2f", a / b }')
    printf '%-34s %11s %15s %15s %12s\n' "$what" "$(of $name 2)" "$(of $name 3)" "$ratio" "$(of $name 4)"
done
