#!/bin/sh
# Installs Debian packages as root without letting any of their services start: sh install-packages.sh PACKAGE…
#
# Debian's maintainer scripts start a service as soon as its package is configured, and enable it for the next boot. Both
# roads there, invoke-rc.d(8) for init scripts and deb-systemd-invoke(1p) for units, first ask /usr/sbin/policy-rc.d, and
# exit code 101 means no. So, while apt-get runs, a policy stands there that refuses the services named like our packages
# and passes every other question on to the administrator's own policy, if there is one. It goes when this script ends,
# however it ends (after kill -9: at the end of the next run). Then the new services are disabled; what was installed or
# running before is not touched.
set -eu

policy=/usr/sbin/policy-rc.d
aside=/usr/sbin/policy-rc.d.before-crossfade
mark='# crossfade: temporary policy'
export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none

[ $# -gt 0 ] || { echo "usage: sh $0 PACKAGE..." >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "$0: must run as root" >&2; exit 1; }

# One at a time: another run's end would take our policy away.
exec 9<"$0"
flock 9

has_systemd() { [ -d /run/systemd/system ]; }
is_active() { has_systemd && systemctl is-active --quiet "$1"; }
is_installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }
has_unit() { [ -e "/lib/systemd/system/$1" ] || [ -e "/usr/lib/systemd/system/$1" ]; }
# Erlang's package starts its port mapper, which a server with a node name of its own brings up by itself.
service_of() { if [ "$1" = erlang-base ]; then echo epmd; else echo "$1"; fi; }

new=''
refused=none
for name; do
  service=$(service_of "$name")
  if is_installed "$name" || is_active "$service.service"; then continue; fi
  new="$new $name"
  refused="$refused|$service|$service.service|$service.socket"
done

put_policy() {
  umask 022
  if [ -e "$policy" ] && ! grep -qF "$mark" "$policy"; then mv "$policy" "$aside"; fi
  cat >"$policy" <<POLICY
#!/bin/sh
$mark of install-packages.sh; safe to delete
for word; do case "\$word" in $refused) exit 101 ;; esac; done
if [ -x "$aside" ]; then exec "$aside" "\$@"; fi
exit 0
POLICY
  chmod 755 "$policy"
}

take_policy_away() {
  if [ -e "$aside" ]; then mv -f "$aside" "$policy"; else rm -f "$policy"; fi
}

calm() { # the service of a newly installed package does not run, now or after the next boot
  service=$(service_of "$1")
  for unit in "$service.socket" "$service.service"; do
    if is_active "$unit"; then systemctl stop "$unit"; fi
  done
  if has_unit "$service.service" && command -v systemctl >/dev/null; then
    for unit in "$service.socket" "$service.service"; do
      if has_unit "$unit"; then systemctl disable "$unit"; fi
    done
  elif [ -x "/etc/init.d/$service" ]; then
    update-rc.d "$service" disable
  fi
  if is_active "$service.service" || is_active "$service.socket"; then return 1; fi
}

finish() {
  status=$?
  trap - EXIT
  trap '' HUP INT TERM
  for name in $new; do
    if is_installed "$name"; then calm "$name" || status=1; fi
  done
  take_policy_away
  exit "$status"
}

trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
put_policy

# Everything is quiet and asks nothing; --no-remove: rather fail than take a package away.
apt() { apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" </dev/null 9<&-; }
install() { apt install --no-install-recommends --no-remove -o Dpkg::Options::=--force-confold "$@"; }

if ! ls /var/lib/apt/lists/*_Packages* >/dev/null 2>&1; then apt update; fi
install "$@" || { apt update && install "$@"; }
