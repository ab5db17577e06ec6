// PUBLISH packets of one turn of the event loop, one behind the other, so that they are written at once and copied nowhere.

import type { Publish } from './broker.ts';
import { type ProtocolVersion, roomFor, writePublish } from './packet.ts';

const chunkBytes = 64 * 1024;

export class PublishBuffer {
  readonly #version: ProtocolVersion;
  /** The broker takes no larger packet. */
  readonly #maximumPacketSize: number;
  #full: Buffer[] = [];
  #open = Buffer.alloc(0);
  #used = 0;

  constructor(version: ProtocolVersion, maximumPacketSize: number) {
    this.#version = version;
    this.#maximumPacketSize = maximumPacketSize;
  }

  get isEmpty(): boolean {
    return this.#used === 0 && this.#full.length === 0;
  }

  /** What the broker would end the connection for is not added. */
  add(message: Publish, packetId: number): 'added' | 'topic-invalid' | 'too-large' {
    const most = roomFor(message);
    if (this.#used + most > this.#open.length) this.#begin(most);
    const end = writePublish(this.#open, this.#used, message, packetId, this.#version);
    if (end === null) return 'topic-invalid';
    if (end - this.#used > this.#maximumPacketSize) return 'too-large';
    this.#used = end;
    return 'added';
  }

  /** All that was added, in order; after that it is empty. */
  take(): Buffer[] {
    this.#close();
    const taken = this.#full;
    this.#full = [];
    return taken;
  }

  #begin(bytes: number): void {
    this.#close();
    this.#open = Buffer.allocUnsafeSlow(Math.max(bytes, chunkBytes));
  }

  #close(): void {
    if (this.#used > 0) this.#full.push(this.#open.subarray(0, this.#used));
    this.#open = this.#open.subarray(this.#used);
    this.#used = 0;
  }
}
