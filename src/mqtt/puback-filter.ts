// Takes the PUBACKs out of what a broker sends, before mqtt.js reads it (MQTT 5 §3.4; 3.1.1 the same without reason and properties).
//
// On the connection that publishes they are nearly all that comes, one for each message; through mqtt.js each costs a packet object,
// an event and a turn of its queue.

import type { Duplex } from 'node:stream';
import { Transform } from 'node:stream';
import type { MqttClient } from 'mqtt';

const pubackHeader = 0x40;
/** Bytes of one that has a packet identifier. */
const shortest = 4;
/** Bytes of a remaining length (§1.5.5). */
const maxLengthBytes = 4;

export type PubackHandler = (packetId: number, reasonCode: number) => void;

export class PubackFilter {
  readonly #onPuback: PubackHandler;
  /** The beginning of a packet of which too little has come to tell what it is, or to read it. */
  #begun: Buffer = Buffer.alloc(0);
  /** Bytes of the packet in hand that are still to be passed on. */
  #passing = 0;

  constructor(onPuback: PubackHandler) {
    this.#onPuback = onPuback;
  }

  /** Gives what else came, in pieces. */
  read(chunk: Buffer): Buffer[] {
    const bytes = this.#begun.length === 0 ? chunk : Buffer.concat([this.#begun, chunk]);
    const rest: Buffer[] = [];
    let at = 0;
    while (at < bytes.length) {
      if (this.#passing === 0) {
        const end = endOf(bytes, at);
        if (end === null) break;
        if (bytes[at] !== pubackHeader || end - at < shortest || end === Number.POSITIVE_INFINITY)
          this.#passing = end - at;
        else if (end > bytes.length) break;
        else {
          this.#take(bytes, at, end);
          at = end;
          continue;
        }
      }
      const end = Math.min(at + this.#passing, bytes.length);
      this.#passing -= end - at;
      rest.push(bytes.subarray(at, end));
      at = end;
    }
    this.#begun = bytes.subarray(at);
    return rest;
  }

  /** The reason code is left out where it is 0 [MQTT5 3.4.2.1]. */
  #take(bytes: Buffer, at: number, end: number): void {
    const body = bodyOf(bytes, at);
    this.#onPuback(bytes.readUInt16BE(body), end - body > 2 ? bytes[body + 2]! : 0);
  }
}

/** Behind the packet that begins at `at`; null if its length is not all there, Infinity if it is none: for mqtt.js to find fault with. */
function endOf(bytes: Buffer, at: number): number | null {
  let length = 0;
  for (let place = 0; place < maxLengthBytes; place++) {
    const byte = bytes[at + 1 + place];
    if (byte === undefined) return null;
    length += (byte & 0x7f) << (7 * place);
    if (byte < 0x80) return at + 2 + place + length;
  }
  return Number.POSITIVE_INFINITY;
}

/** Behind the fixed header. */
function bodyOf(bytes: Buffer, at: number): number {
  let body = at + 1;
  while (bytes[body]! >= 0x80) body++;
  return body + 1;
}

/** What of mqtt.js is used beyond its types. Pinned by the tests. */
interface Inside {
  streamBuilder(client: MqttClient): Duplex;
}

/** For a client that is made and not connected yet. */
export function filterPubacks(client: MqttClient, onPuback: PubackHandler): void {
  const inside = client as unknown as Inside;
  const build = inside.streamBuilder;
  inside.streamBuilder = (client) => {
    const stream = build(client);
    const pipe = stream.pipe.bind(stream);
    stream.pipe = (target) => pipe(transformBy(new PubackFilter(onPuback))).pipe(target);
    return stream;
  };
}

function transformBy(filter: PubackFilter): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      for (const piece of filter.read(chunk)) this.push(piece);
      done();
    },
  });
}
