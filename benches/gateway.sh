#!/bin/sh
# The gateway beside NGINX and HAProxy: the same origin, the same client, the same connections, on one machine.
#
#     benches/gateway.sh [ROUNDS] [SECONDS]      default: 5 rounds of 5 s; installs nginx-light, haproxy and wrk where they are missing
#
# Each round asks the origin itself and the three proxies one after the other, so that a busy machine is busy for all. Printed are medians:
# requests a second, p50 and p99, and CPU microseconds of the proxy for each request. Only their ratios mean anything.
set -eu
rounds=${1:-5}
seconds=${2:-5}
cd "$(dirname "$0")/.."
for need in nginx haproxy wrk; do
    command -v "$need" >/dev/null || apt-get install -y --no-install-recommends nginx-light haproxy wrk >/dev/null
done
cargo build --release --quiet
program=${CARGO_TARGET_DIR:-target}/release/wavetank
folder=$(mktemp -d)
cleanup() {
    for pid in $origin $nginx $haproxy $gateway; do
        kill "$pid" 2>/dev/null || true
    done
    rm -rf "$folder"
}
cores=$(nproc)
cat >"$folder/origin.conf" <<END
worker_processes 1; daemon off; pid $folder/origin.pid; error_log $folder/origin.log; events { worker_connections 4096; }
http { access_log off; keepalive_requests 100000000; server { listen 127.0.0.1:19001; location / { return 200 "hello\n"; } } }
END
cat >"$folder/nginx.conf" <<END
worker_processes $cores; daemon off; pid $folder/nginx.pid; error_log $folder/nginx.log; events { worker_connections 4096; }
http {
  access_log off; keepalive_requests 100000000;
  upstream origin { server 127.0.0.1:19001; keepalive 128; keepalive_requests 100000000; }
  server { listen 127.0.0.1:19002; location / { proxy_http_version 1.1; proxy_set_header Connection "";
    proxy_set_header X-Forwarded-For \$remote_addr; proxy_pass http://origin; } }
}
END
cat >"$folder/haproxy.cfg" <<END
global
  nbthread $cores
defaults
  mode http
  timeout connect 2s
  timeout client 30s
  timeout server 30s
  option forwardfor
frontend in
  bind 127.0.0.1:19003
  default_backend origin
backend origin
  http-reuse always
  server one 127.0.0.1:19001
END
cat >"$folder/serve.toml" <<END
[live]
listen = "127.0.0.1:19004"
control = "127.0.0.1:19005"
health_path = "/"
upstreams = ["127.0.0.1:19001"]
limits = { requests_per_connection = 100000000 }
END
nginx -c "$folder/origin.conf" -p "$folder" & origin=$!
nginx -c "$folder/nginx.conf" -p "$folder" & nginx=$!
haproxy -db -f "$folder/haproxy.cfg" & haproxy=$!
"$program" serve "$folder/serve.toml" >/dev/null & gateway=$!
trap cleanup EXIT INT TERM
until wrk -t1 -c1 -d1s http://127.0.0.1:19004/ >/dev/null 2>&1; do :; done

# CPU time of a process and its children [clock ticks].
ticks() {
    for pid in $1 $(pgrep -P "$1" || true); do
        cut -d')' -f2 "/proc/$pid/stat" | cut -d' ' -f13,14
    done | awk '{ sum += $1 + $2 } END { print sum }'
}

measure() { # name pid port
    before=$(ticks "$2")
    wrk -t1 -c32 -d"${seconds}s" --latency "http://127.0.0.1:$3/" >"$folder/out"
    after=$(ticks "$2")
    awk -v name="$1" -v ticks=$((after - before)) -v hz="$(getconf CLK_TCK)" '
        function us(text) { n = text + 0; return text ~ /us$/ ? n : text ~ /ms$/ ? n * 1e3 : n * 1e6 }
        /^ *50%/ { p50 = us($2) } /^ *99%/ { p99 = us($2) }
        /requests in/ { requests = $1 } /^Requests\/sec/ { rate = $2 }
        END { printf "%s %d %.0f %.0f %.2f\n", name, rate, p50, p99, ticks / hz * 1e6 / requests }' "$folder/out" >>"$folder/all"
}

round=0
while [ "$round" -lt "$rounds" ]; do
    measure origin "$origin" 19001
    measure nginx "$nginx" 19002
    measure haproxy "$haproxy" 19003
    measure wavetank "$gateway" 19004
    round=$((round + 1))
done
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
printf '%-10s %12s %8s %8s %14s\n' proxy requests/s p50_us p99_us cpu_us/request
for name in origin nginx haproxy wavetank; do
    of() { awk -v name=$name -v column="$1" '$1 == name { print $column }' "$folder/all" | median; }
    printf '%-10s %12s %8s %8s %14s\n' $name "$(of 2)" "$(of 3)" "$(of 4)" "$(of 5)"
done
