#!/bin/sh
# Holds the rules of transparent capture for as long as a proxy lives. "nft -i" owns the table: when it ends, however it
# ends, the kernel removes the rules. It ends when nobody has the control FIFO open for writing any more, which every
# Envoy has for as long as it lives.
#
#   capture-holder.sh RUN_DIR [GUARD_FILE]
#   capture-holder.sh remove               as root: takes out all that is left in the kernel, a bypass too
#
# RUN_DIR/control    FIFO, made here where it is missing; one word a line:
#                      apply REV          load RUN_DIR/rules.nft
#                      trial REV SECONDS  the same, and take all of it back then, unless confirmed
#                      confirm REV        keep them
#                      check REV          say whether they are in force
#                      clean              remove all rules, and end
# RUN_DIR/output     what nft answers, appended
# RUN_DIR/nft.pid    the process that owns the table
# GUARD_FILE         what is to be refused while there is no proxy, loaded at the start
#
# Whoever can write to the FIFO can have rules applied that the agent has written, and nothing else.
set -u

# An address of the proxy's own, for calls of the application that are not to be captured.
passthrough() {
  if [ "$1" = add ]; then ip -6 address replace ::6/128 dev lo nodad; else ip -6 address del ::6/128 dev lo; fi 2>/dev/null
}

# Answers to addresses that are not this host's come back to the proxy by this route; without the mark nobody meets it.
answers() {
  for family in -4 -6; do
    if [ "$1" = add ]; then
      ip $family rule list | grep -q 'fwmark 0x539 lookup 133' || ip $family rule add fwmark 1337 lookup 133
      ip $family route replace local default dev lo table 133
    else
      while ip $family rule del fwmark 1337 lookup 133; do :; done
      ip $family route flush table 133
    fi
  done 2>/dev/null
}

# What is to be refused, without the units that do not run: one rule that names none would cost all of them.
guard_rules() {
  while IFS= read -r line; do
    case $line in
      *'socket cgroupv2 level '*)
        path=${line#*\"}
        [ -d "/sys/fs/cgroup/${path%%\"*}" ] || continue
        ;;
    esac
    printf '%s\n' "$line"
  done <"$guard"
}

if [ "$1" = remove ]; then
  for table in trysail trysail_guard trysail_bypass; do nft delete table inet $table 2>/dev/null; done
  answers remove
  passthrough remove
  if grep -q '"restoreRouteLocalnet": *true' /run/trysail-bypass/state.json 2>/dev/null; then
    echo 0 >/proc/sys/net/ipv4/conf/all/route_localnet
  fi
  exit 0
fi

dir=$1
guard=${2-}
control=$dir/control
umask 027
command -v nft >/dev/null || {
  echo 'capture: nft is not installed' >&2
  exit 69
}
# Envoys open it both ways, and nothing else here.
[ -p "$control" ] || mkfifo -m 660 "$control" || exit 1

# One at a time: what an earlier one still has to tidy away is not this one's. All its processes share the lock.
exec 7>"$dir/lock"
if command -v flock >/dev/null; then flock -w 5 7 || exit 1; fi

nft delete table inet trysail 2>/dev/null
if [ -n "$guard" ] && [ -f "$guard" ]; then guard_rules | nft -f - >>"$dir/output" 2>&1; fi

load() {
  rules=$(cat "$dir/rules.nft")
  case $rules in *' tproxy to '*) answers add ;; esac
  case $rules in *'ip6 saddr ::6 '*) passthrough add ;; esac
  printf 'include "%s/rules.nft"\nlist chain inet trysail revision_%s\n' "$dir" "$1"
}

relay() {
  while read -r word rev rest; do
    case $rev in *[!0-9a-f]*) continue ;; esac
    case $rest in *[!0-9]*) continue ;; esac
    case $word in
      apply) load "$rev" ;;
      trial)
        load "$rev"
        echo "$rev" >"$dir/trial"
        (
          sleep "$rest"
          echo "expire $rev" 1<>"$control"
        ) </dev/null >/dev/null 2>&1 7>&- &
        ;;
      confirm) rm -f "$dir/trial" ;;
      expire)
        if [ -f "$dir/trial" ] && [ "$(cat "$dir/trial")" = "$rev" ]; then
          : >"$dir/clean"
          break
        fi
        ;;
      check) printf 'list chain inet trysail revision_%s\n' "$rev" ;;
      clean)
        : >"$dir/clean"
        break
        ;;
      ended) if [ "$rev" = "$$" ]; then break; fi ;;
    esac
  done <"$control"
}

rm -f "$dir/clean" "$dir/trial"
relay | {
  sh -c 'echo $$ >"$1/nft.pid"; exec nft -i' sh "$dir" >>"$dir/output" 2>&1
  # So that the other half ends too, where it was nft that ended first.
  echo "ended $$" 1<>"$control"
}

# Without an owner (before Linux 5.12) the table would stay.
nft delete table inet trysail 2>/dev/null
if [ -f "$dir/clean" ]; then
  nft delete table inet trysail_guard 2>/dev/null
  answers remove
  passthrough remove
  [ -z "$guard" ] || rm -f "$guard" 2>/dev/null
fi
rm -f "$dir/clean" "$dir/trial" "$dir/nft.pid"
exit 0
