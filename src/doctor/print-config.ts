// The lines an operator pastes into the configuration of the server or the broker, made of crossfade.yaml. Pure; no secret is in them.

import type { Config } from '../config.ts';
import { mosquittoAcl } from '../mqtt/access.ts';

export const printable = ['prosody', 'mosquitto'] as const;

type Needed = Pick<Config, 'xmpp' | 'mqtt'>;

/** Room for an envelope, and for what a server adds. */
const stanzaRoom = 4;

export const configLines: Record<(typeof printable)[number], (config: Needed) => string> = {
  prosody: ({
    xmpp: { domain, component, maxStanzaBytes },
  }) => `-- prosody.cfg.lua; server-modules/prosody/mod_crossfade_attach lies in one of plugin_paths
component_stanza_size_limit = ${stanzaRoom * maxStanzaBytes} -- global section

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
  mosquitto: ({ mqtt: { root, shadowRoot, username }, xmpp: { maxStanzaBytes } }) => `# mosquitto.conf
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

# crossfade.acl
${mosquittoAcl({ root, shadowRoot, gateway: username })}`,
};
