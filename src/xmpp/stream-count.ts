// The counts of XEP-0198 as they stand on the wire, where they begin again at 0 behind 2^32 - 1 (§4). Ours go on.

const size = 2 ** 32;

export function onWire(count: number): number {
  return count % size;
}

/** Null: it is no such number. */
export function readCount(h: string | undefined): number | null {
  const count = /^\d{1,10}$/.test(h ?? '') ? Number(h) : size;
  return count < size ? count : null;
}

/** Of the counts that look like `h` on the wire, the one that is the nearest to `near`. */
export function countNear(h: number, near: number): number {
  const ahead = onWire(h - onWire(near) + size);
  return near + (ahead < size / 2 ? ahead : ahead - size);
}
