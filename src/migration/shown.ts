// How a user's attached session shows itself to contacts: what its devices say in their own presence. Pure.

/** RFC 6121 §4.7.2.1; without `show` it is simply available. */
export type Show = 'away' | 'chat' | 'dnd' | 'xa';

/** Available with priority 0, with this show and status. */
export interface Shown {
  show?: Show;
  text?: string;
}

/** While no device is online: what a status text says would not be true any more. */
export const shownAway: Shown = { show: 'xa' };

/** What one device has said of itself. */
export interface Stated extends Shown {
  online: boolean;
  /** When it said so (ms). */
  statedAt: number;
}

/** Of the devices that are online and state anything the one that spoke last counts. */
export function shownOf(devices: Iterable<Stated>): Shown {
  let last: Stated | undefined;
  for (const device of devices) {
    if (!device.online || (device.show === undefined && !device.text)) continue;
    if (!last || device.statedAt >= last.statedAt) last = device;
  }
  if (!last) return {};
  const { show, text } = last;
  return { ...(show && { show }), ...(text && { text }) };
}

/** For people, without the text, which is the user's own. */
export function nameOfShown(shown: Shown | null): string {
  return shown === null ? 'silent' : (shown.show ?? 'available');
}

/** `null`: without presence; undefined: nobody knows. */
export function isSameShown(one: Shown | null | undefined, other: Shown | null | undefined): boolean {
  if (!one || !other) return one === other && one !== undefined;
  return one.show === other.show && (one.text ?? '') === (other.text ?? '');
}
