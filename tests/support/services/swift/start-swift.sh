#!/usr/bin/env bash
# A second real S3 service: OpenStack Swift with s3api on one node, from Debian's packages, on loopback.
# A second run continues with the same data.
#   SWIFT_DIR (default /tmp/swift-dev)
#   SWIFT_PORT (default 7580; +1 object, +2 container, +3 account, +4 memcached)
#   SWIFT_USER/SWIFT_KEY: the access key is test:$SWIFT_USER (default test:tester / testing)
#   SWIFT_PAGE_KEYS: the most keys that a page of a listing holds (default 1000, as in S3)
#   SWIFT_INSTALL=0: fail where packages are missing instead of installing them
set -euo pipefail
D=${SWIFT_DIR:-/tmp/swift-dev}; P=${SWIFT_PORT:-7580}; U=${SWIFT_USER:-tester}; K=${SWIFT_KEY:-testing}
t0=$(date +%s%N); say() { echo "[swift +$(( ($(date +%s%N)-t0)/1000000 ))ms] $*" >&2; }
if ! { command -v swift-proxy-server && command -v swift-object-server && command -v swift-container-server && command -v swift-account-server && command -v memcached; } >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  [ "${SWIFT_INSTALL:-1}" = 1 ] || { echo "swift and memcached are not installed" >&2; exit 1; }
  pk="swift-proxy swift-object swift-container swift-account memcached"
  apt-get install -y --no-install-recommends $pk >&2 || { apt-get update >&2; apt-get install -y --no-install-recommends $pk >&2; }
  say installed
fi
mkdir -p "$D"/{run,log,dev/d1,cache}
if [ ! -f "$D/.ready" ]; then
  cd "$D"
  i=1; for r in object container account; do  # rings
    swift-ring-builder $r.builder create 4 1 0 >/dev/null
    swift-ring-builder $r.builder add --region 1 --zone 1 --ip 127.0.0.1 --port $((P+i)) --device d1 --weight 1 >/dev/null
    swift-ring-builder $r.builder rebalance >/dev/null; i=$((i+1))
  done; say rings
  i=1; for r in object container account; do cat > $r-server.conf <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $((P+i))
workers = ${SWIFT_WORKERS:-1}
user = root
swift_dir = $D
devices = $D/dev
mount_check = false
fallocate_reserve = 0
log_address = /nonexistent
log_level = ERROR
recon_cache_path = $D/cache
[pipeline:main]
pipeline = $r-server
[app:$r-server]
use = egg:swift#$r
CONF
  i=$((i+1)); done
  cat > proxy-server.conf <<CONF
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $P
workers = ${SWIFT_PROXY_WORKERS:-2}
user = root
swift_dir = $D
log_level = ERROR
log_address = /nonexistent
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth copy slo dlo versioned_writes symlink proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:$((P+4))
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
min_segment_size = 5242880
max_bucket_listing = ${SWIFT_PAGE_KEYS:-1000}
max_upload_part_num = 10000
s3_acl = false
[filter:tempauth]
use = egg:swift#tempauth
user_test_$U = $K .admin .reseller_admin
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
max_manifest_segments = 10000
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
[filter:symlink]
use = egg:swift#symlink
CONF
fi
alive() { [ -s "$1" ] && kill -0 "$(cat "$1")" 2>/dev/null; }
start() { n=$1; shift; alive "$D/run/$n.pid" && return 0; setsid nohup "$@" >>"$D/log/$n.log" 2>&1 </dev/null & echo $! > "$D/run/$n.pid"; }
start memcached memcached -u root -l 127.0.0.1 -p $((P+4)) -U 0 -m 64
for r in account container object; do start $r swift-$r-server "$D/$r-server.conf"; done
start proxy swift-proxy-server "$D/proxy-server.conf"
for i in $(seq 1 1200); do
  ok=1; for o in 0 1 2 3; do (exec 3<>/dev/tcp/127.0.0.1/$((P+o))) 2>/dev/null || ok=0; done
  [ $ok = 1 ] && break; sleep .1; [ $i = 1200 ] && { echo "swift did not start; see $D/log" >&2; exit 1; }
done
touch "$D/.ready"; say "listening on $P"
echo "S3_ENDPOINT=http://127.0.0.1:$P"; echo "S3_ACCESS_KEY=test:$U"; echo "S3_SECRET_KEY=$K"
