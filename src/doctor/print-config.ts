// The lines an operator pastes into the configuration of the server or the broker, made of crossfade.yaml. Pure; no secret is in them.

import type { Config } from '../config.ts';
import { mosquittoAcl } from '../mqtt/access.ts';

export const printable = ['prosody', 'ejabberd', 'mosquitto'] as const;

type Needed = Pick<Config, 'xmpp' | 'mqtt'>;

/** Room for an envelope, and for what a server adds. */
const stanzaRoom = 4;

/** Prosody's own defaults are 5347, and loopback alone. */
function prosodyListens({ host, port }: Config['xmpp']['component']): string {
  const [address, note = ''] = addressOf(host).split(' # ');
  const lines = [];
  if (port !== 5347) lines.push(`component_ports = { ${port} } -- global section`);
  if (!['localhost', '127.0.0.1', '::1'].includes(host))
    lines.push(`component_interfaces = { ${address} } -- global section, on no public network${note && `: ${note}`}`);
  return lines.map((line) => `${line}\n`).join('');
}

/** In quotes; a name has to be looked up by whoever pastes it. */
function addressOf(host: string): string {
  if (host === 'localhost') return '"127.0.0.1"';
  return /^[\d.]+$|:/.test(host) ? `"${host}"` : `"…" # the address of ${host}`;
}

export const configLines: Record<(typeof printable)[number], (config: Needed) => string> = {
  prosody: ({
    xmpp: { domain, component, maxStanzaBytes },
  }) => `-- prosody.cfg.lua; server-modules/prosody/mod_crossfade_attach lies in one of plugin_paths
component_stanza_size_limit = ${stanzaRoom * maxStanzaBytes} -- global section
${prosodyListens(component)}
VirtualHost "${domain}"
  modules_enabled = { "crossfade_attach" } -- beside carbons, mam, offline, smacks, time and version
  crossfade_components = { "${component.domain}" }
  crossfade_resume_timeout = 3600
  crossfade_max_unacked = 20000

Component "${component.domain}"
  component_secret = "…" -- the same as xmpp.component.secret
  component_conflict_resolve = "kick_old"
  modules_enabled = { "crossfade_attach" }
`,
  ejabberd: ({
    xmpp: { domain, component, maxStanzaBytes },
  }) => `# ejabberd.yml; what it has already (listen, acl, access_rules) gets these lines added. Install the module first:
# server-modules/ejabberd/mod_crossfade_attach/README.md
listen:
  -
    port: ${component.port}
    ip: ${addressOf(component.host)}
    module: ejabberd_service
    access: all
    shaper: none
    max_stanza_size: ${stanzaRoom * maxStanzaBytes}
    global_routes: false
    hosts:
      "${component.domain}":
        password: "…" # the same as xmpp.component.secret

acl:
  crossfade:
    server: "${component.domain}"

access_rules:
  crossfade_s2s: # while the gateway is away, its domain is not looked for among other servers
    - deny: crossfade
    - allow: all

s2s_access: crossfade_s2s

# In shaper_rules, so that a rollback finds room: Debian's max_user_offline_messages is 100 for ordinary users.
#   max_user_offline_messages: 100000

append_host_config:
  "${domain}":
    modules: # beside mod_mam with \`default: always\`, mod_carboncopy, mod_offline, mod_stream_mgmt and mod_version
      mod_crossfade_attach:
        component: "${component.domain}"
        resume_timeout: 3600
        max_unacked: 20000
`,
  mosquitto: ({
    mqtt: { root, shadowRoot, username },
    xmpp: { maxStanzaBytes },
  }) => `# mosquitto.conf (Debian: /etc/mosquitto/conf.d/crossfade.conf)
# Without a \`listener\` Mosquitto 2 is there for this machine only; apps elsewhere need one, with TLS: listener 8883, certfile, keyfile.
allow_anonymous false
password_file /etc/mosquitto/passwd
acl_file /etc/mosquitto/crossfade.acl
persistence true
autosave_interval 5
persistent_client_expiration 30d
max_queued_messages 100000
max_inflight_messages 1000
max_packet_size ${stanzaRoom * maxStanzaBytes}
sys_interval 2
set_tcp_nodelay true

# /etc/mosquitto/crossfade.acl
${mosquittoAcl({ root, shadowRoot, gateway: username })}`,
};
