// PUBLISH packets of one turn of the event loop, one behind the other, so that they are written at once and copied nowhere.

import { Chunks } from '../chunks.ts';
import type { Publish } from './broker.ts';
import { type ProtocolVersion, roomFor, writePublish } from './packet.ts';

export class PublishBuffer {
  readonly #version: ProtocolVersion;
  /** The broker takes no larger packet. */
  readonly #maximumPacketSize: number;
  readonly #chunks = new Chunks();

  constructor(version: ProtocolVersion, maximumPacketSize: number) {
    this.#version = version;
    this.#maximumPacketSize = maximumPacketSize;
  }

  get isEmpty(): boolean {
    return this.#chunks.isEmpty;
  }

  /** What the broker would end the connection for is not added. */
  add(message: Publish, packetId: number): 'added' | 'topic-invalid' | 'too-large' {
    const room = this.#chunks.room(roomFor(message));
    const start = this.#chunks.end;
    const end = writePublish(room, start, message, packetId, this.#version);
    if (end === null) return 'topic-invalid';
    if (end - start > this.#maximumPacketSize) return 'too-large';
    this.#chunks.end = end;
    return 'added';
  }

  /** All that was added, in order; after that it is empty. */
  take(): Buffer[] {
    return this.#chunks.take();
  }
}
