// The two packets that Crossfade writes itself: PUBLISH and PUBACK (MQTT 5 §3.3, §3.4; 3.1.1 the same but properties). Pure.

import type { Publish } from './broker.ts';

export type ProtocolVersion = 4 | 5;

const publishHeader = 0x30;
/** Bytes before the topic: kind and flags, the remaining length (4 at most), the topic's length. */
const topicAt = 7;
/** A unit of UTF-16 has at most so many in UTF-8. */
const bytesPerUnit = 3;
/** Property length, the identifier 2 (Message Expiry Interval), four bytes. */
const expiryBytes = 6;
const maxExpiry = 0xffff_ffff;
const maxTopicBytes = 65_535;

/**
 * A PUBLISH, whole, in one buffer. `packetId` counts for QoS 1 only. `null` if no broker would take the topic: empty, over
 * 65535 bytes, a wildcard or U+0000 in it [MQTT-3.3.2-2] [MQTT-1.5.4-2]; to send it would end the connection.
 */
export function encodePublish(message: Publish, packetId: number, version: ProtocolVersion): Buffer | null {
  const { topic, payload, qos } = message;
  // The texts are written first, with room before them: to count their bytes beforehand would read each once more.
  const packet = Buffer.allocUnsafe(topicAt + (topic.length + payload.length) * bytesPerUnit + 2 + expiryBytes);
  const topicBytes = packet.write(topic, topicAt);
  if (topicBytes === 0 || topicBytes > maxTopicBytes || /[+#\0]/.test(topic)) return null;
  let at = topicAt + topicBytes;
  if (qos === 1) at = packet.writeUInt16BE(packetId, at);
  if (version === 5) at = writeProperties(packet, at, message.expiresIn);
  at += packet.write(payload, at);
  packet.writeUInt16BE(topicBytes, topicAt - 2);
  const remaining = at - (topicAt - 2);
  const start = topicAt - 3 - lengthBytes(remaining);
  packet[start] = publishHeader | (qos << 1) | (message.retain ? 1 : 0);
  writeLength(packet, start + 1, remaining);
  return packet.subarray(start, at);
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
