// PUBACKs are taken out of the stream however it is cut; everything else comes through as it was.

import { generate, type Packet } from 'mqtt-packet';
import { describe, expect, test } from 'vitest';
import { PubackFilter } from '../../src/mqtt/puback-filter.ts';

type Taken = [packetId: number, reasonCode: number];

function readIn(pieces: Buffer[]): { taken: Taken[]; rest: Buffer } {
  const taken: Taken[] = [];
  const filter = new PubackFilter((...puback) => taken.push(puback));
  return { rest: Buffer.concat(pieces.flatMap((piece) => filter.read(piece))), taken };
}

const five = { protocolVersion: 5 };
const bytesOf = (packet: object) => generate(packet as Packet, five);
const puback = (messageId: number, reasonCode = 0, more = {}) =>
  bytesOf({ cmd: 'puback', messageId, reasonCode, ...more });
const publish = (payload: string) =>
  bytesOf({ cmd: 'publish', topic: '$SYS/broker/uptime', payload, qos: 0, dup: false, retain: false });

const stream: { bytes: Buffer; taken?: Taken }[] = [
  { bytes: bytesOf({ cmd: 'connack', reasonCode: 0, sessionPresent: false }) },
  { bytes: Buffer.from([0x40, 2, 0, 16]), taken: [16, 0] },
  { bytes: puback(65_535), taken: [65_535, 0] },
  { bytes: bytesOf({ cmd: 'suback', messageId: 1, granted: [0] }) },
  { bytes: puback(300, 16), taken: [300, 16] },
  { bytes: puback(301, 151, { properties: { reasonString: 'x'.repeat(200) } }), taken: [301, 151] },
  { bytes: publish('@@@@ 1 seconds') },
  { bytes: publish('@'.repeat(1_000)) },
  { bytes: bytesOf({ cmd: 'pingresp' }) },
  { bytes: puback(17), taken: [17, 0] },
  { bytes: bytesOf({ cmd: 'disconnect', reasonCode: 139 }) },
];
const whole = Buffer.concat(stream.map(({ bytes }) => bytes));
const wanted = {
  taken: stream.flatMap(({ taken }) => (taken ? [taken] : [])),
  rest: Buffer.concat(stream.flatMap(({ bytes, taken }) => (taken ? [] : [bytes]))),
};

describe('PUBACKs among other packets', () => {
  test('are found in one piece', () => {
    expect(readIn([whole])).toEqual(wanted);
  });

  test('are found wherever the stream is cut in two', () => {
    for (let at = 1; at < whole.length; at++) {
      const { taken, rest } = readIn([whole.subarray(0, at), whole.subarray(at)]);
      expect({ at, taken, isRest: rest.equals(wanted.rest) }).toEqual({ at, taken: wanted.taken, isRest: true });
    }
  });

  test.each([1, 2, 3, 5, 7])('are found in pieces of %i bytes', (size) => {
    const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, at) =>
      whole.subarray(at * size, (at + 1) * size),
    );
    expect(readIn(pieces)).toEqual(wanted);
  });
});

test.each([
  ['a PUBACK without a packet identifier', [0x40, 1, 0]],
  ['a PUBACK with flags', [0x42, 2, 0, 16]],
  ['a length of five bytes', [0x40, 0x80, 0x80, 0x80, 0x80, 1, 0x40, 2, 0, 16]],
])('%s goes to mqtt.js, which finds fault with it', (_, bytes) => {
  expect(readIn([Buffer.from(bytes)])).toEqual({ taken: [], rest: Buffer.from(bytes) });
});
