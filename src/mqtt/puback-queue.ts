// PUBACKs that go out when a message is accepted, but in the order the publishes came [MQTT-4.6.0-2]. One per connection.

import { encodePubacks } from './packet.ts';

interface Slot {
  packetId: number;
  accepted: boolean;
}

/**
 * A queue belongs to one connection and dies with it: a PUBACK that comes too late is dropped, for on the next connection
 * the same packet id stands for another message. `write` gets whole packets, once per turn of the event loop.
 */
export class PubackQueue {
  private readonly write: (packets: Buffer) => void;
  private slots: Slot[] = [];
  private first = 0;
  private scheduled = false;
  private closed = false;

  constructor(write: (packets: Buffer) => void) {
    this.write = write;
  }

  /** Takes the next publish in line; `accepted` lets its PUBACK go, `forgo` gives it up (the broker will send it again). */
  take(packetId: number): { accepted: () => void; forgo: () => void } {
    const slot = { packetId, accepted: false };
    this.slots.push(slot);
    const settle = () => {
      slot.accepted = true;
      if (slot === this.slots[this.first]) this.schedule();
    };
    return {
      accepted: settle,
      forgo: () => {
        slot.packetId = 0;
        settle();
      },
    };
  }

  /** Writes at once what may go; after that nothing more is written. */
  close(): void {
    this.flush();
    this.closed = true;
    this.slots = [];
  }

  private schedule(): void {
    if (this.scheduled || this.closed) return;
    this.scheduled = true;
    setImmediate(() => this.flush());
  }

  private flush(): void {
    this.scheduled = false;
    if (this.closed) return;
    const ready: number[] = [];
    for (; this.slots[this.first]?.accepted; this.first++) {
      const { packetId } = this.slots[this.first]!;
      if (packetId !== 0) ready.push(packetId);
    }
    if (this.first > 1024 || this.first === this.slots.length) {
      this.slots = this.slots.slice(this.first);
      this.first = 0;
    }
    if (ready.length > 0) this.write(encodePubacks(ready));
  }
}
