// The packets we write ourselves, read back by mqtt-packet; the uptime of a broker.

import fc from 'fast-check';
import mqttPacket, { type Packet } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { readBoot, sameBoot } from '../../src/mqtt/boot.ts';
import { pauseMs } from '../../src/mqtt/connection.ts';
import { encodePubacks, encodePublish, type ProtocolVersion } from '../../src/mqtt/packet.ts';
import { PublishBuffer } from '../../src/mqtt/publish-buffer.ts';

function parse(bytes: Buffer, protocolVersion: ProtocolVersion): Packet[] {
  const parser = mqttPacket.parser({ protocolVersion });
  const packets: Packet[] = [];
  parser.on('packet', (packet) => packets.push(packet));
  parser.on('error', (error) => {
    throw error;
  });
  parser.parse(bytes);
  return packets;
}

describe('a PUBLISH', () => {
  const text = fc.string({ unit: 'grapheme' }).map((any) => any.toWellFormed());
  const topic = text.map((any) => `chat/${any.replace(/[+#\0]/g, '')}`);
  const qos = fc.constantFrom(0 as const, 1 as const);
  const version = fc.constantFrom(4 as const, 5 as const);

  test('is read by mqtt-packet as it was meant', () => {
    const packetId = fc.integer({ min: 1, max: 65_535 });
    fc.assert(
      fc.property(topic, text, qos, fc.boolean(), packetId, version, (topic, payload, qos, retain, id, version) => {
        const [packet, ...more] = parse(encodePublish({ topic, payload, qos, retain }, id, version)!, version);
        expect(more).toEqual([]);
        expect(packet).toMatchObject({ cmd: 'publish', topic, payload: Buffer.from(payload), qos, retain, dup: false });
        expect(packet?.messageId).toBe(qos === 1 ? id : undefined);
      }),
    );
  });

  test('bears how long it is of use, in MQTT 5 only, whatever that makes of its length', () => {
    fc.assert(
      fc.property(text, qos, fc.nat(5_000_000_000), version, (payload, qos, expiresIn, version) => {
        const [packet, ...more] = parse(encodePublish({ topic: 't', payload, qos, expiresIn }, 9, version)!, version);
        expect(more).toEqual([]);
        expect(packet).toMatchObject({ cmd: 'publish', topic: 't', payload: Buffer.from(payload), qos });
        const { properties } = packet as { properties?: { messageExpiryInterval?: number } };
        expect(properties?.messageExpiryInterval).toBe(version === 5 ? Math.min(expiresIn, 2 ** 32 - 1) : undefined);
      }),
    );
  });

  test('of a turn stands behind the one before, whole, and what is refused leaves nothing between them', () => {
    const sizes = [0, 30, 38, 39, 60, 5_400, 16_300, 70_000];
    const large = '🎉'.repeat(70_000);
    const buffer = new PublishBuffer(5, 250_000);
    for (const [at, size] of sizes.entries()) {
      expect(buffer.add({ topic: `t${at}`, payload: '你'.repeat(size), qos: 1 }, at + 1)).toBe('added');
      expect(buffer.add({ topic: 'a/+', payload: 'x', qos: 1 }, 99)).toBe('topic-invalid');
      expect(buffer.add({ topic: 't', payload: large, qos: 1 }, 99)).toBe('too-large');
    }
    const packets = parse(Buffer.concat(buffer.take()), 5);
    expect(packets.map((packet) => packet.cmd === 'publish' && [packet.messageId, packet.topic])).toEqual(
      sizes.map((_, at) => [at + 1, `t${at}`]),
    );
    expect(packets.map((packet) => packet.cmd === 'publish' && packet.payload.toString())).toEqual(
      sizes.map((size) => '你'.repeat(size)),
    );
    expect(buffer.take()).toEqual([]);
  });

  test.each([0, 100, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152])(
    'of %i more bytes has the right length',
    (size) => {
      const payload = 'x'.repeat(size);
      const [packet] = parse(encodePublish({ topic: 't', payload, qos: 1 }, 9, 5)!, 5);
      expect(packet?.messageId).toBe(9);
      expect(packet?.cmd === 'publish' && packet.payload.toString() === payload).toBe(true);
    },
  );

  test.each([[''], ['chat/+'], ['chat/#'], ['a\0b'], ['x'.repeat(65_536)]])(
    'on a topic no broker takes is not made: %j',
    (topic) => {
      expect(encodePublish({ topic, payload: '{}', qos: 1 }, 1, 5)).toBeNull();
    },
  );
});

test('PUBACKs in one buffer are read one by one, in both versions', () => {
  for (const version of [4, 5] as const) {
    const ids = parse(encodePubacks([1, 500, 65_535]), version).map(({ cmd, messageId }) => [cmd, messageId]);
    expect(ids).toEqual([
      ['puback', 1],
      ['puback', 500],
      ['puback', 65_535],
    ]);
  }
});

describe("the broker's start", () => {
  test.each([
    ['123 seconds', 877_000],
    ['0 seconds', 1_000_000],
    ['7', 993_000],
    ['', null],
    ['soon', null],
    ['-5 seconds', null],
    ['12345678901 seconds', null],
  ])('from %j at 1,000,000 ms is %j', (payload, expected) => {
    expect(readBoot(Buffer.from(payload), 1_000_000)).toBe(expected);
  });
  test.each([
    [0, true],
    [2000, true],
    [-2000, true],
    [2001, false],
  ])('seen %i ms later is the same: %j', (shift, same) => {
    expect(sameBoot(50_000, 50_000 + shift)).toBe(same);
  });
});

test.each([
  [0, 0, 125],
  [0, 1, 250],
  [1, 1, 500],
  [3, 0.5, 1500],
  [7, 1, 30_000],
  [5000, 1, 30_000],
])('after %i failures and chance %d the pause is %i ms', (failures, chance, expected) => {
  expect(pauseMs(failures, chance)).toBe(expected);
});
