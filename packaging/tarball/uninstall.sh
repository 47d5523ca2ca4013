#!/bin/sh
# Removes Trysail as install.sh put it there. Run as root. Also on the host as /usr/lib/trysail/uninstall.
#   uninstall.sh            keeps /etc/trysail, /var/lib/trysail and the users
#   uninstall.sh --purge    keeps nothing but a certificate authority (/var/lib/trysail-ca)
set -eu
die() { echo "uninstall.sh: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || die 'must be run as root'
purge=
case ${1:-} in '') ;; --purge) purge=yes ;; *) die "unknown argument $1" ;; esac

units='trysail.service trysail-drain.service trysail-envoy.service trysail-capture.service trysail-dns.path trysail-server.service'
if [ -d /run/systemd/system ]; then
  # shellcheck disable=SC2086 # words
  systemctl --no-reload disable --now $units >/dev/null 2>&1 || true
  systemctl stop trysail-dns.service >/dev/null 2>&1 || true
  if [ -x /usr/lib/trysail/dns-link ]; then /usr/lib/trysail/dns-link remove || true; fi
  # What "deny" and a bypass leave in the kernel on purpose.
  if [ -x /usr/lib/trysail/capture-holder ]; then /usr/lib/trysail/capture-holder remove || true; fi
fi
rm -rf /usr/lib/trysail /usr/share/doc/trysail /run/trysail /run/trysail-envoy /run/trysail-capture /run/trysail-bypass \
  /run/trysail-upstreams
rm -f /usr/bin/trysail /usr/lib/systemd/system/trysail*.service /usr/lib/systemd/system/trysail-dns.path \
  /usr/lib/systemd/system-generators/trysail-unit-order \
  /usr/lib/sysusers.d/trysail.conf /usr/lib/tmpfiles.d/trysail.conf /usr/share/man/man1/trysail.1.gz /usr/share/bash-completion/completions/trysail
rmdir /etc/trysail/resources.d /etc/trysail/credentials /etc/trysail 2>/dev/null || true
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl reset-failed 'trysail*' >/dev/null 2>&1 || true
fi
[ -n "$purge" ] || exit 0

rm -rf /etc/trysail /var/lib/trysail
rm -f /etc/systemd/system/trysail-envoy.service.d/50-trysail-tproxy.conf
rmdir /etc/systemd/system/trysail-envoy.service.d 2>/dev/null || true
users='trysail trysail-envoy'
if [ -d /var/lib/trysail-ca ]; then
  echo 'uninstall.sh: /var/lib/trysail-ca holds a certificate authority and is kept; remove it by hand' >&2
else
  users="$users trysail-server"
fi
for user in $users; do
  if getent passwd "$user" >/dev/null; then userdel "$user" || true; fi
  if getent group "$user" >/dev/null; then groupdel "$user" || true; fi
done
