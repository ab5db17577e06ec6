// Cuts a byte stream of MQTT or XMPP into its packets or stanzas, so that a proxy can keep some of them back. Pure.

/** What came complete, in order; the rest waits for more. */
export type Splitter = (chunk: Buffer) => Buffer[];

/** MQTT 5 §2.1: kind and flags, the remaining length in 1 to 4 bytes, the rest. */
export function splitMqtt(): Splitter {
  let rest = Buffer.alloc(0);
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    const packets: Buffer[] = [];
    for (;;) {
      const end = endOfPacket(rest);
      if (end === null) return packets;
      packets.push(rest.subarray(0, end));
      rest = rest.subarray(end);
    }
  };
}

function endOfPacket(bytes: Buffer): number | null {
  let length = 0;
  for (let at = 1; at <= 4; at++) {
    const byte = bytes[at];
    if (byte === undefined) return null;
    length += (byte & 0x7f) << (7 * (at - 1));
    if (byte < 0x80) return bytes.length > at + length ? at + 1 + length : null;
  }
  return null;
}

export const isPuback = (packet: Buffer): boolean => packet[0]! >> 4 === 4;

/** A PUBLISH on a topic that ends like this. */
export function isPublishOn(packet: Buffer, end: string): boolean {
  if (packet[0]! >> 4 !== 3) return false;
  let at = 1;
  while (packet[at]! >= 0x80) at++;
  const length = packet.readUInt16BE(at + 1);
  return packet.toString('utf8', at + 3, at + 3 + length).endsWith(end);
}

/**
 * A stream of XMPP by its stanzas; the stream's header, and what stands between stanzas, passes as it is. Bytes are latin1 here, so
 * that a character cut by a chunk stays what it is.
 */
export function splitXmpp(): Splitter {
  let text = '';
  return (chunk) => {
    text += chunk.toString('latin1');
    const pieces: Buffer[] = [];
    for (;;) {
      const end = endOfStanza(text);
      if (end === null) return pieces;
      pieces.push(Buffer.from(text.slice(0, end), 'latin1'));
      text = text.slice(end);
    }
  };
}

const tag = /<(?:\?[^>]*\?|(\/?)([^\s/>]+)(?:[^>"']|"[^"]*"|'[^']*')*?(\/?))>/g;

/** Behind the first complete element, or behind a tag of the stream itself. */
function endOfStanza(text: string): number | null {
  let depth = 0;
  tag.lastIndex = 0;
  for (let found = tag.exec(text); found; found = tag.exec(text)) {
    const [, closes, name, isEmpty] = found;
    if (name === undefined || name === 'stream:stream') return tag.lastIndex;
    if (closes) depth--;
    else if (!isEmpty) depth++;
    if (depth === 0) return tag.lastIndex;
  }
  return null;
}

const top = (stanza: Buffer) => stanza.toString('latin1').trimStart();

export const isIqResult = (stanza: Buffer): boolean => /^<iq [^>]*type=['"]result['"]/.test(top(stanza));
export const isAck = (stanza: Buffer): boolean => /^<iq [^>]*>\s*<a [^>]*urn:crossfade:attach:1/.test(top(stanza));
