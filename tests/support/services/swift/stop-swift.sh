#!/usr/bin/env bash
# stops only the daemons whose pid files are in SWIFT_DIR; --wipe also removes the data
D=${SWIFT_DIR:-/tmp/swift-dev}
for n in proxy object container account memcached; do
  f=$D/run/$n.pid; [ -s "$f" ] || continue; p=$(cat "$f")
  if grep -qa -e "$D" -e memcached "/proc/$p/cmdline" 2>/dev/null; then
    kill -TERM -- -"$p" 2>/dev/null || kill -TERM "$p"
    for i in $(seq 1 60); do kill -0 "$p" 2>/dev/null || break; sleep .05; done
    if kill -0 "$p" 2>/dev/null; then kill -KILL -- -"$p" 2>/dev/null || kill -KILL "$p"; fi
  fi
  rm -f "$f"
done
if [ "${1:-}" = --wipe ] && [ -f "$D/proxy-server.conf" ]; then rm -rf "$D"; fi
exit 0
