#!/bin/sh
# Installs or upgrades Trysail from the folder that this script is in. Run as root. Starts nothing that did not run.
set -eu
umask 022
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
die() { echo "install.sh: $*" >&2; exit 1; }

[ "$(id -u)" = 0 ] || die 'must be run as root'
[ "$(uname -m)" = x86_64 ] || die "this archive is for x86_64, not $(uname -m)"
command -v systemctl >/dev/null || die 'needs systemd'
command -v systemd-sysusers >/dev/null || die 'needs systemd-sysusers'
if command -v dpkg-query >/dev/null && dpkg-query -W -f '${Status}' trysail 2>/dev/null | grep -q ' installed$'; then
  die 'the Debian package trysail is installed; upgrade that one, or remove it first'
fi
(cd "$here/files" && sha256sum --check --quiet ../files.sha256) || die 'the archive is damaged; fetch it again'
missing=$(ldd "$here/files/usr/lib/trysail/node" "$here/files/usr/lib/trysail/envoy" 2>&1 | sed -n 's/^\t\(.*\) => not found.*/\1/p; s/.*version .\(GLIBC[^ ]*\). not found.*/\1/p' | sort -u | tr '\n' ' ')
[ -z "$missing" ] || die "libraries are missing: $missing(Debian: apt-get install libatomic1; RHEL, Fedora: dnf install libatomic)"

mkdir -p /etc/trysail/resources.d
# New files beside the old ones, then renamed: what runs keeps the file that it has open.
(cd "$here/files" && find . -type f ! -path './etc/*') | while read -r file; do
  target=/${file#./}
  mkdir -p "$(dirname "$target")"
  cp -p "$here/files/$file" "$target.new"
  chown root:root "$target.new"
  mv -f "$target.new" "$target"
done
systemd-sysusers trysail.conf
systemd-tmpfiles --create trysail.conf
rm -rf /usr/lib/trysail/compile-cache
if mkdir /usr/lib/trysail/compile-cache && /usr/bin/trysail version >/dev/null; then
  chmod a+r /usr/lib/trysail/compile-cache/*/*
  # Node looks for it in a folder of each user's own.
  for user in trysail trysail-server; do
    for dir in /usr/lib/trysail/compile-cache/*-0; do
      ln -s "${dir##*/}" "${dir%-0}-$(id -u "$user")"
    done
  done
fi
if [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  systemctl try-restart trysail.service trysail-server.service
fi
/usr/bin/trysail version | head -n 1
echo 'installed; next: trysail join, or write /etc/trysail/agent.yaml and "systemctl enable --now trysail"'
