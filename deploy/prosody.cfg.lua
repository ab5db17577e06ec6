-- Prosody of docker-compose.yml: one host, Crossfade's component and its server module. Secrets come from the environment.

daemonize = false
pidfile = "/var/lib/prosody/prosody.pid"
data_path = "/var/lib/prosody"
log = { info = "*console" }

plugin_paths = { "/usr/local/lib/crossfade" }
modules_enabled = {
  "roster", "saslauth", "disco", "tls", "ping", "smacks", "mam", "carbons", "blocklist", "offline", "private", "vcard_legacy",
  "time", "version", -- crossfade check --live asks for both
}
modules_disabled = { "s2s" } -- no federation: this is for trying out

-- Clients come from this machine alone (the port is bound to its loopback address). With a certificate in place of that:
-- certificates = "/etc/prosody/certs", and take these two lines away.
c2s_require_encryption = false
allow_unencrypted_plain_auth = true

archive_expires_after = "1w"

-- The gateway connects from another container of the same network.
component_interfaces = { "*" }
component_ports = { 5347 }
component_stanza_size_limit = 1048576 -- counts the envelope of a stanza, too

VirtualHost "example.com"
  modules_enabled = { "crossfade_attach" }
  crossfade_components = { "gw.example.com" }
  crossfade_resume_timeout = 3600
  crossfade_max_unacked = 20000

Component "gw.example.com"
  component_secret = ENV_CROSSFADE_COMPONENT_SECRET
  component_conflict_resolve = "kick_old" -- a gateway that comes back replaces a connection not yet known to be dead
  modules_enabled = { "crossfade_attach" }
