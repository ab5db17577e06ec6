#!/bin/sh
# Starts the broker of docker-compose.yml with the gateway's account as the environment says; other accounts are kept.
# An app's account: docker compose exec mosquitto mosquitto_passwd /mosquitto/data/passwords bob, then restart or SIGHUP.
set -eu
umask 077
: "${CROSSFADE_MQTT_PASSWORD:?is not set}"

data=${1:-/mosquitto/data}
config=${2:-/mosquitto/config/mosquitto.conf}

# In a file, not as an argument: arguments are for everybody's eyes.
printf 'crossfade:%s\n' "$CROSSFADE_MQTT_PASSWORD" >"$data/passwords.new"
mosquitto_passwd -U "$data/passwords.new"
if [ -e "$data/passwords" ]; then grep -v '^crossfade:' "$data/passwords" >>"$data/passwords.new" || true; fi
mv "$data/passwords.new" "$data/passwords"
# As root Mosquitto changes to its own user, which must be able to read the file.
if [ "$(id -u)" = 0 ]; then chown -R mosquitto "$data"; fi

unset CROSSFADE_MQTT_PASSWORD
exec mosquitto -c "$config"
