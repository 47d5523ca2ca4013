#!/bin/sh
# The parent of every Envoy of a host. An Envoy with hot restart ends at its parent's death, so its parent must outlive
# agents and never need an upgrade: this script, and for each Envoy a subshell of it, which outlives even the script.
#
#   launcher.sh RUNDIR [REQUEST]
#
# Requests are lines in the FIFO RUNDIR/control; REQUEST is a first one, without which the script would have no use:
#   start EPOCH FILE   start an Envoy; FILE holds the program and its arguments, one a line
#   then EPOCH FILE    the same as soon as the last Envoy has ended, instead of this script's end
#   end EPOCH          SIGTERM to that Envoy; "kill EPOCH": SIGKILL
# What the script and its subshells tell themselves comes the same way, with its process id before it, for an earlier
# script's may come late: "started NUMBER PID", "ended NUMBER STATUS", "quiet", "stop", "late", "gone".
#
# RUNDIR/launcher.pid and RUNDIR/envoy.EPOCH.pid say who runs. The script ends when its last Envoy has ended, with that
# one's status. At SIGTERM it ends all of them: SIGTERM, and SIGKILL after TRYSAIL_ENVOY_STOP_S seconds (5).
#
#   TRYSAIL_LAST_GOOD      a FILE to start when nobody has asked for anything for TRYSAIL_LAST_GOOD_AFTER_S seconds (3)
#   TRYSAIL_CAPTURE_FIFO   a FIFO of which every Envoy, and nothing else here, holds a write end as descriptor 9
set -u
umask 027
# There `read` ends at a signal whose trap has run.
[ -z "${BASH_VERSION:-}" ] || set -o posix
# Bytes that are no characters must not hide the end of a line.
LC_ALL=C

run=${1:?a run folder}
case $run in /*) ;; *)
  echo "launcher: $run is not an absolute path" >&2
  exit 64
  ;;
esac
control=$run/control
last_good=${TRYSAIL_LAST_GOOD:-}
capture=${TRYSAIL_CAPTURE_FIFO:-}
stop_s=${TRYSAIL_ENVOY_STOP_S:-5}

count=0   # Envoys so far; each is known by its number here
live=     # the numbers of those that run
newest=   # the number of the last one, whether it runs or not
base_ids= # whose shared memory is to be removed
later=    # what `then` has asked for
status=0
stopping=
timer=

say() { printf 'launcher: %s\n' "$*" >&2; }

digits() { case $1 in '' | *[!0-9]* | ??????????*) return 1 ;; esac; }

runs() { case " $live " in *" $1 "*) ;; *) return 1 ;; esac; }

# To this script, by descriptor 3 where it is open: the folder may be gone by then.
tell() { printf '\n%s\n' "$$ $*"; }

# One Envoy: runs as a process of its own, Envoy's parent.
envoy() {
  number=$1
  out=$run/envoy.$2.pid
  file=$3
  exec 4>"$control"
  # Whoever has it open for reading passes for a launcher.
  exec 3<&- </dev/null
  set --
  while IFS= read -r line || [ -n "$line" ]; do set -- "$@" "$line"; done <"$file"
  cd /
  if [ -p "$capture" ]; then
    # Nobody may read yet, and then a FIFO cannot be opened for writing alone: be the reader for a moment.
    exec 8<>"$capture"
    exec 9>"$capture"
    exec 8<&-
  fi
  "$@" 4>&- &
  pid=$!
  exec 9>&-
  # Set now, so that Envoy has not inherited it. A signal to all of a group or unit must not end this process; nor may one
  # interrupt `wait`, whose answer some shells have lost then.
  trap '' TERM INT HUP PIPE USR1 USR2
  tell "started $number $pid" >&4
  printf '%s\n' "$pid" >"$out"
  wait "$pid"
  code=$?
  tell "ended $number $code" >&4
}

# start EPOCH FILE
start() {
  if ! digits "$1" || [ ! -f "$2" ] || [ ! -r "$2" ]; then
    say "cannot start epoch '$1' from '$2'"
    return 1
  fi
  # A hot restart follows the newest that runs. A first one comes when there is none, or when the newest has failed and
  # an older one does no more than finish its connections. What an earlier script has left is not known here.
  if [ "$1" -eq 0 ]; then
    [ -z "$newest" ] || ! runs "$newest"
  else
    eval "[ -z \"\$live\" ] || [ \"\${epoch_${live##* }:-}\" -eq $(($1 - 1)) ]"
  fi || {
    say "no start of epoch $1: another one runs"
    return 1
  }
  base=
  while IFS= read -r line || [ -n "$line" ]; do
    [ "$base" = next ] && base=$line && break
    [ "$line" = --base-id ] && base=next
  done <"$2"
  if digits "$base"; then
    case " $base_ids " in *" $base "*) ;; *) base_ids="$base_ids $base" ;; esac
  fi
  count=$((count + 1))
  newest=$count
  live="$live $count"
  : >"$run/envoy.$1.pid"
  envoy "$count" "$1" "$2" &
  eval "epoch_$count=$1 pid_$count="
}

# signal NAME [EPOCH]: to all Envoys or to one
signal() {
  for each in $live; do
    eval "of=\$epoch_$each pid=\$pid_$each"
    [ "${2:-$of}" != "$of" ] || [ -z "$pid" ] || kill "-$1" "$pid" 2>/dev/null
  done
}

# started NUMBER PID
started() {
  runs "$1" && digits "$2" || return
  eval "pid_$1=$2"
  [ -z "$stopping" ] || kill -TERM "$2" 2>/dev/null
}

# Envoy's name for the memory that the Envoys of one base id share; it makes ten numbers of each.
shared() { printf '/dev/shm/envoy_shared_memory_%s0' "$1"; }

finish() {
  set -- "$control" "$run/launcher.pid" "$run"/envoy.*.pid "$run"/hot_*_[0-9]*
  for each in $base_ids; do set -- "$@" "$(shared "$each")"; done
  rm -f -- "$@"
  [ -z "$timer" ] || kill "$timer" 2>/dev/null
  exit "$status"
}

# An Envoy that dies during its start leaves its mark in the shared memory, the last eight bytes of it, and every later
# one would refuse to start ("previous envoy process is still initializing") for as long as the old one runs.
unmark() {
  for each in $base_ids; do
    file=$(shared "$each")
    size=$(wc -c <"$file") 2>/dev/null && [ "$size" -gt 8 ] && [ "$size" -lt 4096 ] || continue
    printf '\000\000\000\000\000\000\000\000' |
      dd of="$file" bs=1 seek=$((size - 8)) conv=notrunc 2>/dev/null
  done
}

begin_later() {
  rest=$later
  later=
  start "${rest%% *}" "${rest#* }"
}

# ended NUMBER STATUS
ended() {
  runs "$1" && digits "$2" || return
  left=
  for each in $live; do [ "$each" = "$1" ] || left="$left $each"; done
  live=$left
  status=$2
  if [ -n "$live" ]; then
    [ "$1" != "$newest" ] || unmark
    return
  fi
  [ -n "$later" ] && begin_later && return
  finish
}

stop() {
  [ -n "$live" ] || finish
  [ -z "$stopping" ] || return
  stopping=1
  later=
  [ -z "$timer" ] || kill "$timer" 2>/dev/null
  signal TERM
  {
    sleep "$stop_s"
    tell late >&3
    sleep 2
    tell gone >&3
  } >/dev/null 2>&1 &
  timer=$!
}

handle() {
  case $1 in
    '') ;;
    'start '*' /'*)
      rest=${1#start }
      start "${rest%% *}" "${rest#* }"
      ;;
    'then '*' /'*)
      later=${1#then }
      [ -n "$live" ] || begin_later
      ;;
    'end '*) signal TERM "${1#end }" ;;
    'kill '*) signal KILL "${1#kill }" ;;
    "$$ started "*' '*)
      rest=${1#"$$ started "}
      started "${rest%% *}" "${rest#* }"
      ;;
    "$$ ended "*' '*)
      rest=${1#"$$ ended "}
      ended "${rest%% *}" "${rest#* }"
      ;;
    "$$ quiet")
      [ "$count" -gt 0 ] || {
        say 'nobody asks for an Envoy: the last good one'
        start 0 "$last_good"
      }
      ;;
    "$$ stop") stop ;;
    "$$ late") signal KILL ;;
    "$$ gone") finish ;;
    *) say 'not understood, ignored' ;;
  esac
}

[ -p "$control" ] || { rm -f "$control" && mkfifo -m 620 "$control"; } || exit 73
exec 3<>"$control" || exit 73
trap 'tell stop >&3' TERM INT
trap '' HUP
printf '%s\n' "$$" >"$run/launcher.pid"
if [ $# -gt 1 ]; then
  handle "$2"
  [ -n "$live" ] || finish
elif [ -n "$last_good" ]; then
  {
    sleep "${TRYSAIL_LAST_GOOD_AFTER_S:-3}"
    tell quiet >&3
  } >/dev/null 2>&1 &
  timer=$!
fi
while :; do
  line=
  # Fails when a signal comes, whose trap has run then.
  IFS= read -r line <&3 || continue
  handle "$line"
done
