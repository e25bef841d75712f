#!/bin/sh
# The control API beside its own document: whatever Schemathesis can think of is answered as openapi.json says.
#
#     tests/schemathesis.sh [EXAMPLES]      default: 100 for each operation; installs Schemathesis under target/, with python3
#
# Asked are a gateway with a token by somebody who has it, the same one by somebody who has not, and one without a token. The stream
# of events has no end, which Schemathesis would wait for: it is left out where it would begin.
set -eu
examples=${1:-100}
cd "$(dirname "$0")/.."
tool=target/schemathesis/bin/schemathesis
if [ ! -x "$tool" ] && ! { python3 -m venv target/schemathesis && target/schemathesis/bin/pip install -q schemathesis; } >/dev/null 2>&1; then
    rm -rf target/schemathesis
    echo "no Schemathesis: its test is skipped"
    exit 0
fi
program=${WAVETANK:-${CARGO_TARGET_DIR:-target}/debug/wavetank}
[ -n "${WAVETANK:-}" ] || cargo build --quiet
folder=$(mktemp -d)
gateway=
cleanup() {
    [ -z "$gateway" ] || kill "$gateway" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

token=0123456789abcdef
cat >"$folder/open.toml" <<END
[live]
listen = "127.0.0.1:0"
control = "127.0.0.1:0"
[service]
workers = 4
time = "1ms"
[fleet]
initial = 1
[autoscaler]
min = 1
max = 2
[[autoscaler.rule]]
name = "busy"
metric = "requests_per_second"
operator = "gt"
threshold = 1000
action = "scale_up"
END
sed "s/^control .*/&\ntoken = \"$token\"/" "$folder/open.toml" >"$folder/closed.toml"

# Starts a gateway, and says in $control where its control API is.
serve() { # config
    : >"$folder/said"
    "$program" serve "$folder/$1.toml" >"$folder/said" &
    gateway=$!
    until control=$(sed -n 's/^control //p' "$folder/said") && [ -n "$control" ]; do
        kill -0 "$gateway" || exit 1
        sleep 0.1
    done
}

ask() { # options
    "$tool" run "$control/openapi.json" --checks all --max-examples "$examples" --seed 1 --request-timeout 10 "$@"
}

serve closed
echo "== with the token"
ask --header "Authorization: Bearer $token" --exclude-path /api/scaling/events
echo "== without it"
ask
kill "$gateway" && wait "$gateway" || true
serve open
echo "== where none is needed"
ask --exclude-path /api/scaling/events
