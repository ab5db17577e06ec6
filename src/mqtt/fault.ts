// Why a connection to the broker failed or ended, in words that say what to do about it. Pure.

/** Reason codes of MQTT 5 (§2.4) and return codes of 3.1.1 (§3.2.2.3) that an operator can do something about. */
const reasons: Record<number, string> = {
  1: 'it does not speak this protocol version',
  2: 'it refuses the client id: set another mqtt.clientId',
  3: 'it is not available',
  4: 'wrong user name or password: check mqtt.username and mqtt.password',
  5: 'this account may not connect: check mqtt.username, mqtt.password and the accounts of the broker',
  128: 'it refuses without saying why',
  130: 'protocol error',
  132: 'it does not speak this protocol version',
  133: 'it refuses the client id: set another mqtt.clientId',
  134: 'wrong user name or password: check mqtt.username and mqtt.password',
  135: 'this account may not do that: check mqtt.username, mqtt.password and the access rules of the broker',
  136: 'it is not available',
  137: 'it is busy',
  138: 'this client is banned there',
  139: 'it is shutting down',
  141: 'it did not hear from us in time',
  142: 'another client took over with the same client id: does a second gateway run? set another mqtt.clientId',
  147: 'more messages in flight than it allows',
  149: 'a packet was larger than it allows: raise its maximum packet size',
  151: 'its quota is exceeded',
  152: 'an administrator ended the connection',
  156: 'use another server: change mqtt.url',
  157: 'the server has moved: change mqtt.url',
  159: 'too many connections in a short time',
};

const systemFaults: Record<string, string> = {
  ECONNREFUSED: 'nothing listens there: is the broker running, and is mqtt.url right?',
  ENOTFOUND: 'there is no such host: check mqtt.url',
  EAI_AGAIN: 'the host name cannot be looked up now',
  EHOSTUNREACH: 'the host cannot be reached',
  ETIMEDOUT: 'the host does not answer',
  ECONNRESET: 'the broker closed the connection',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is self-signed: name the certificate in mqtt.tls.ca',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate comes from an unknown authority: name that in mqtt.tls.ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate comes from an unknown authority: name that in mqtt.tls.ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate comes from an unknown authority: name that in mqtt.tls.ca',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another host name: check mqtt.url',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'it wants a client certificate: set mqtt.tls.cert and mqtt.tls.key',
  CERT_HAS_EXPIRED: 'its certificate has expired',
};

/** How mqtt.js says that it cannot read what has come. */
const noMqtt = /^(Cannot parse|Invalid|Malformed|Packet must|Unknown property|Not supported)\b/;

/** A broker's URL as logs and texts may have it: user info, path and query can hold secrets. */
export function shownUrl(url: string): string {
  if (!URL.canParse(url)) return 'an unusable URL';
  const { protocol, host } = new URL(url);
  return `${protocol}//${host}`;
}

export function explainReason(code: number): string {
  return `${reasons[code] ?? 'see the MQTT specification'} (reason code ${code})`;
}

/** The reason code that the broker gave, or null if the fault is not the broker's answer. */
export function reasonOf(fault: unknown): number | null {
  const code = codeOf(fault);
  return typeof code === 'number' ? code : null;
}

/** The code of a fault of the system (ECONNREFUSED) or of TLS, else null. */
export function systemCodeOf(fault: unknown): string | null {
  const code = codeOf(fault);
  return typeof code === 'string' ? code : null;
}

export function explainFault(fault: unknown): string {
  const reason = reasonOf(fault);
  if (reason !== null) return `the broker refuses: ${explainReason(reason)}`;
  const code = systemCodeOf(fault) ?? '';
  const said = systemFaults[code];
  if (said !== undefined) return `${said} (${code})`;
  const text = fault instanceof Error && fault.message !== '' ? fault.message : code || 'unknown fault';
  return noMqtt.test(text) ? `what answers there speaks no MQTT: check mqtt.url (${text})` : text;
}

function codeOf(fault: unknown): unknown {
  return typeof fault === 'object' && fault !== null ? (fault as { code?: unknown }).code : undefined;
}
