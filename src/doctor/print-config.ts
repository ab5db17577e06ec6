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

type Xmpp = Pick<Config['xmpp'], 'domain' | 'component' | 'maxStanzaBytes'>;

/** The module has no part in it (docs/servers/any.md). */
function prosodyForClients({ domain, component, maxStanzaBytes }: Xmpp): string {
  return `-- prosody.cfg.lua
component_stanza_size_limit = ${stanzaRoom * maxStanzaBytes} -- global section
${prosodyListens(component)}
VirtualHost "${domain}"
  modules_enabled = { "carbons", "mam", "smacks" } -- beside disco, offline, roster, saslauth and tls
  archive_expires_after = "4w" -- so long the gateway may be away and catch up
  smacks_max_queue_size = 5000
  smacks_hibernation_time = 600 -- so long it may be away and find its sessions

Component "${component.domain}"
  component_secret = "…" -- the same as xmpp.component.secret
  component_conflict_resolve = "kick_old"
`;
}

function ejabberdForClients(xmpp: Xmpp & Pick<Config['xmpp'], 'client'>): string {
  const { ejabberd } = xmpp.client.credentials;
  const { host } = xmpp.client;
  const near = ['localhost', '127.0.0.1', '::1'].includes(host) ? '127.0.0.0/8' : '…';
  return `# ejabberd.yml; what it has already (listen, acl, access_rules) gets these lines added.
${ejabberdComponent(
  xmpp,
  `  crossfade_gateway: # the address from which it logs users in
    ip: "${near}"
`,
  `  crossfade_gateway:
    - allow: crossfade_gateway
`,
)}
# In modules, beside mod_disco, mod_offline and mod_roster. ejabberd refuses a module that stands there twice: Debian's file has all
# but mod_mam.
#   mod_carboncopy: {}
#   mod_mam:
#     default: always
#   mod_stream_mgmt:
#     resend_on_timeout: if_offline
#   mod_fail2ban: # if it is there: 20 wrong passwords would shut all users of the gateway out for an hour
#     access: crossfade_gateway
${ejabberd === undefined ? '' : `#   mod_admin_extra: {}\n${tokensFrom(ejabberd)}`}`;
}

/** Debian: apt install erlang-p1-oauth2. */
function tokensFrom(url: string): string {
  const { hostname, port } = new URL(url);
  return `
# Tokens for the gateway (Debian: apt install erlang-p1-oauth2, and a restart). Whoever may ask here can log in as any user. In listen:
#  -
#    port: ${port || 80}
#    ip: ${addressOf(hostname)}
#    module: ejabberd_http
#    request_handlers:
#      /api: mod_http_api

api_permissions:
  "tokens for Crossfade":
    from: mod_http_api
    who:
      ip: 127.0.0.1/8
    what:
      - check_account
      - oauth_issue_token

oauth_access: all

# In place of Debian's list, which switches X-OAUTH2 off: that is how tokens log in.
disable_sasl_mechanisms:
  - "digest-md5"
`;
}

function ejabberdComponent(
  { component, maxStanzaBytes }: Pick<Xmpp, 'component' | 'maxStanzaBytes'>,
  moreAcl = '',
  moreRules = '',
): string {
  return `listen:
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
${moreAcl}
access_rules:
  crossfade_s2s: # while the gateway is away, its domain is not looked for among other servers
    - deny: crossfade
    - allow: all
${moreRules}
s2s_access: crossfade_s2s
`;
}

export const configLines: Record<(typeof printable)[number], (config: Needed) => string> = {
  prosody: ({ xmpp: { attach, domain, component, maxStanzaBytes } }) =>
    attach.kind === 'client'
      ? prosodyForClients({ domain, component, maxStanzaBytes })
      : `-- prosody.cfg.lua; server-modules/prosody/mod_crossfade_attach lies in one of plugin_paths
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
  ejabberd: ({ xmpp }) => {
    const { attach, domain, component } = xmpp;
    if (attach.kind === 'client') return ejabberdForClients(xmpp);
    return `# ejabberd.yml; what it has already (listen, acl, access_rules) gets these lines added. Install the module first:
# server-modules/ejabberd/mod_crossfade_attach/README.md
${ejabberdComponent(xmpp)}
# In shaper_rules, so that a rollback finds room: Debian's max_user_offline_messages is 100 for ordinary users.
#   max_user_offline_messages: 100000

append_host_config:
  "${domain}":
    modules: # beside mod_mam with \`default: always\`, mod_carboncopy, mod_offline, mod_stream_mgmt and mod_version
      mod_crossfade_attach:
        component: "${component.domain}"
        resume_timeout: 3600
        max_unacked: 20000
`;
  },
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
