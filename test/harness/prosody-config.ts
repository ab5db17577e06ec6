// The configuration of a private Prosody for tests and the demo: loopback only, plain text, everything below one directory.

export interface ProsodySettings {
  dir: string;
  moduleDir: string;
  c2sPort: number;
  componentPort: number;
  components: { domain: string; secret: string }[];
  archive: boolean;
  /** Loads mod_crossfade_attach. */
  attach: boolean;
  /** The components that may attach sessions. */
  attachers: string[];
  /** With certs/example.com.{crt,key}. */
  tls: boolean;
  /** Used with TLS only. */
  directPort: number;
  options: string;
}

/** A string as a Lua literal. */
export function luaString(text: string): string {
  return `"${text.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n')}"`;
}

/** prosody.cfg.lua for the domain example.com with one VirtualHost, its components and a conference service. */
export function prosodyConfig(settings: ProsodySettings): string {
  const at = (path: string) => luaString(`${settings.dir}/${path}`);
  return `-- Loopback only, for trying out: neither encryption nor hashed passwords.
run_as_root = true -- test machines often have no other user; it opens no port below 1024 and writes here only
data_path = ${at('data')}
plugin_paths = { ${luaString(settings.moduleDir)} }
log = { info = ${at('prosody.log')} }
admin_socket = ${at('prosody.sock')}
interfaces = { "127.0.0.1" }
c2s_ports = { ${settings.c2sPort} }
component_ports = { ${settings.componentPort} }
component_interfaces = { "127.0.0.1" }
c2s_direct_tls_ports = {${settings.tls ? ` ${settings.directPort} ` : ''}}
legacy_ssl_ports = {}
s2s_ports = {}
http_ports = {}
https_ports = {}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
default_archive_policy = true
archive_expires_after = "never"
limits = {}
component_stanza_size_limit = 1024 * 1024
modules_disabled = { "s2s"${settings.tls ? '' : ', "tls"'} }
modules_enabled = {
  "disco", "roster", "saslauth", "private", "blocklist", "carbons", "pep", "vcard4", "vcard_legacy", "bookmarks", "smacks",
  "ping", "time", "version", "lastactivity", "admin_shell", "offline", "csi_simple",${settings.archive ? ' "mam",' : ''}
}

VirtualHost "example.com"
${settings.attach ? '  modules_enabled = { "crossfade_attach" }' : ''}
  crossfade_components = { ${settings.attachers.map(luaString).join(', ')} }
${settings.tls ? `  modules_enabled = { "tls" }\n  ssl = { certificate = ${at('certs/example.com.crt')}, key = ${at('certs/example.com.key')} }` : ''}
${settings.options}
${settings.components
  .map(
    ({ domain, secret }) => `
Component ${luaString(domain)}
  component_secret = ${luaString(secret)}
  component_conflict_resolve = "kick_old" -- a gateway that was killed may come back before its old connection is noticed
${settings.attach ? '  modules_enabled = { "crossfade_attach" }' : ''}
`,
  )
  .join('')}
Component "conference.example.com" "muc"
`;
}
