// The configuration of a private ejabberd for tests: loopback only, plain text, everything below one directory.

export interface EjabberdSettings {
  c2sPort: number;
  componentPort: number;
  components: { domain: string; secret: string }[];
  archive: boolean;
  /** Loads mod_crossfade_attach for this component. */
  attacher: string | undefined;
  resumeTimeout: number;
  maxUnacked: number;
  maxOffline: number;
  /** With certs/example.com.pem, key and certificate. */
  tls?: { directPort: number; pem: string };
  /** Where its API issues tokens (mod_http_api), to whoever asks from this machine. */
  apiPort?: number;
}

/** ejabberd.yml for the domain example.com, its components and a conference service. YAML takes JSON's strings. */
export function ejabberdConfig(settings: EjabberdSettings): string {
  const hosts = settings.components
    .map(({ domain, secret }) => `      ${JSON.stringify(domain)}: { password: ${JSON.stringify(secret)} }`)
    .join('\n');
  const attach = `  mod_crossfade_attach:
    component: ${settings.attacher}
    resume_timeout: ${settings.resumeTimeout}
    max_unacked: ${settings.maxUnacked}`;
  return `# Loopback only, for trying out: neither encryption nor hashed passwords.
hosts: [ example.com ]
loglevel: info
log_rotate_count: 0
max_fsm_queue: 10000 # a connection for which more wait is ended; 23.01 by itself has no bound
auth_method: internal
auth_password_format: plain
${settings.tls ? `certfiles: [ ${JSON.stringify(settings.tls.pem)} ]\n` : ''}${settings.apiPort ? tokens : ''}s2s_access: none
listen:
  - port: ${settings.c2sPort}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    access: all
    shaper: none
    starttls: ${settings.tls !== undefined}
${settings.tls ? direct(settings.tls) : ''}${settings.apiPort ? api(settings.apiPort) : ''}  - port: ${settings.componentPort}
    ip: "127.0.0.1"
    module: ejabberd_service
    access: all
    shaper: none
    max_stanza_size: 1048576
    global_routes: false
    hosts:
${hosts}
shaper_rules:
  max_user_offline_messages: ${settings.maxOffline}
modules:
  mod_admin_extra: {}
  mod_blocking: {}
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_disco: {}
  mod_last: {}
${settings.archive ? '  mod_mam: { default: always }' : '  # no archive'}
  mod_muc: { access_create: all }
  mod_offline: { access_max_user_messages: max_user_offline_messages }
  mod_ping: {}
  mod_privacy: {}
  mod_private: {}
  mod_pubsub: { plugins: [ flat, pep ] }
  mod_roster: {}
  mod_stream_mgmt: { resend_on_timeout: if_offline }
  mod_time: {}
  mod_vcard: {}
  mod_version: {}
${settings.attacher === undefined ? '' : attach}
`;
}

function direct({ directPort }: { directPort: number }): string {
  return `  - port: ${directPort}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    access: all
    shaper: none
    tls: true
`;
}

function api(port: number): string {
  return `  - port: ${port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers: { /api: mod_http_api }
`;
}

/** As docs/servers/any.md has it. */
const tokens = `oauth_access: all
api_permissions:
  "tokens for the gateway":
    from: mod_http_api
    who: { ip: 127.0.0.1/8 }
    what: [ check_account, oauth_issue_token ]
`;
