// The two packets that Crossfade writes itself: PUBLISH and PUBACK (MQTT 5 §3.3, §3.4; 3.1.1 the same but properties). Pure.

import type { Publish } from './broker.ts';

export type ProtocolVersion = 4 | 5;

const publishHeader = 0x30;
/** A unit of UTF-16 has at most so many in UTF-8. */
const bytesPerUnit = 3;
/** Property length, the identifier 2 (Message Expiry Interval), four bytes. */
const expiryBytes = 6;
/** Of a PUBLISH, beside topic and payload: kind and flags, its length, the topic's length, packet identifier, properties. */
const mostBesideTexts = 1 + 4 + 2 + 2 + expiryBytes;
const maxExpiry = 0xffff_ffff;
const maxTopicBytes = 65_535;

/** A PUBLISH, whole, in a buffer of its own; `null` as {@link writePublish}. */
export function encodePublish(message: Publish, packetId: number, version: ProtocolVersion): Buffer | null {
  const packet = Buffer.allocUnsafe(roomFor(message));
  const end = writePublish(packet, 0, message, packetId, version);
  return end === null ? null : packet.subarray(0, end);
}

/** So many bytes a PUBLISH takes at most. */
export function roomFor({ topic, payload }: Publish): number {
  return (topic.length + payload.length) * bytesPerUnit + mostBesideTexts;
}

/**
 * Writes a PUBLISH where there is room for it, and gives the place behind it. `packetId` counts for QoS 1 only. `null` if no broker would
 * take the topic: empty, over 65535 bytes, a wildcard or U+0000 in it [MQTT-3.3.2-2] [MQTT-1.5.4-2]; to send it would end the connection.
 */
export function writePublish(
  packet: Buffer,
  start: number,
  message: Publish,
  packetId: number,
  version: ProtocolVersion,
): number | null {
  const { topic, payload, qos } = message;
  // The texts are written before their bytes are known: to count them would read each once more. So the length is guessed.
  const guessed = lengthBytes(topic.length + payload.length + 2);
  const body = start + 1 + guessed;
  const topicBytes = packet.write(topic, body + 2);
  if (topicBytes === 0 || topicBytes > maxTopicBytes || /[+#\0]/.test(topic)) return null;
  packet.writeUInt16BE(topicBytes, body);
  let end = body + 2 + topicBytes;
  if (qos === 1) end = packet.writeUInt16BE(packetId, end);
  if (version === 5) end = writeProperties(packet, end, message.expiresIn);
  end += packet.write(payload, end);
  const remaining = end - body;
  const missing = lengthBytes(remaining) - guessed;
  if (missing > 0) packet.copyWithin(body + missing, body, end);
  packet[start] = publishHeader | (qos << 1) | (message.retain ? 1 : 0);
  writeLength(packet, start + 1, remaining);
  return end + missing;
}

/** PUBACKs with reason code 0, one after the other in one buffer; the short form is the same in 3.1.1 and 5. */
export function encodePubacks(packetIds: readonly number[]): Buffer {
  const packets = Buffer.allocUnsafe(4 * packetIds.length);
  let at = 0;
  for (const packetId of packetIds) at = packets.writeUInt32BE(0x4002_0000 + packetId, at);
  return packets;
}

function writeProperties(packet: Buffer, start: number, expiresIn: number | undefined): number {
  if (expiresIn === undefined) return packet.writeUInt8(0, start);
  packet.writeUInt16BE(((expiryBytes - 1) << 8) | 2, start);
  return packet.writeUInt32BE(Math.min(expiresIn, maxExpiry), start + 2);
}

/** A variable byte integer (§1.5.5) takes 1 to 4 bytes. */
function lengthBytes(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x4000) return 2;
  return length < 0x20_0000 ? 3 : 4;
}

function writeLength(packet: Buffer, start: number, length: number): void {
  let at = start;
  let rest = length;
  while (rest >= 0x80) {
    packet[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  packet[at] = rest;
}
