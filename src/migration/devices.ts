// The users' apps as far as the broker tells: which devices are known, which are online, and whether that can be believed.

import { type Clock, every, type Timer } from '../clock.ts';
import type { DeviceRow, Ledger } from '../ledger/ledger.ts';
import type { Log } from '../log.ts';
import { isSameShown, type Show, type Shown, shownOf } from './shown.ts';
import type { AppStatus } from './wanted.ts';

/** An app may lose its connection for this long before contacts hear of it. */
const awayAfterMs = 5_000;
/** Contacts see the user's show and status change at most once in this time. */
const steadyMs = 5_000;
/** Retained presence has arrived this long after the SUBACK. */
const startMs = 5_000;
/** A broker that died fires no wills: after its restart devices have this long to speak. */
const restartMs = 90_000;
/** The broker's uptime has whole seconds. */
const bootToleranceMs = 1_000;
const dayMs = 86_400_000;
/** One user's apps; a further one takes the place of that which has been silent longest. */
const maxDevices = 50;

/** What a device says of itself, or its will says of it. */
export interface DevicePresence {
  online: boolean;
  show?: Show;
  text?: string;
}

interface Device extends DevicePresence {
  /** When it last spoke itself (ms). */
  seenAt: number;
  /** When it last said how it is (ms). */
  statedAt: number;
  /** It has spoken since the last time nothing was known. */
  heard: boolean;
}

interface Owner {
  devices: Map<string, Device>;
  /** As contacts are to see the user while an app is here. */
  shown: Shown;
  /** Runs after a change of `shown`; what comes meanwhile is looked at when it ends. */
  steadying?: Timer;
  /** Runs between the last device's going and the moment that counts. */
  leaving?: Timer;
}

export class Devices {
  readonly #clock: Clock;
  readonly #ledger: Ledger;
  readonly #log: Log;
  readonly #keepMs: number;
  readonly #owners = new Map<string, Owner>();
  #knowing?: Timer;
  #known = false;
  #pruning?: Timer;

  /** A user's status changed; `null`: that of every user may have. */
  onStatus: (user: string | null) => void = () => {};
  /** A device came online, what waits for it can go. */
  onOnline: (user: string) => void = () => {};
  /** The last known device of the user was forgotten. */
  onForgotten: (user: string) => void = () => {};

  /** `deviceDays`: after so many days of silence a device is forgotten. */
  constructor(parts: { clock: Clock; ledger: Ledger; log: Log; deviceDays: number }) {
    this.#clock = parts.clock;
    this.#ledger = parts.ledger;
    this.#log = parts.log;
    this.#keepMs = parts.deviceDays * dayMs;
  }

  async load(): Promise<void> {
    for (const row of await this.#ledger.do('devices', {})) {
      const { online, seenAt } = row;
      this.#owner(row.user).devices.set(row.client, { online, seenAt, statedAt: seenAt, heard: false });
    }
    const failed = (error: unknown) => this.#log.error({ event: 'ledger.failed', error: String(error) });
    this.#pruning = every(this.#clock, 3_600_000, () => this.#prune(), failed);
  }

  stop(): void {
    this.#pruning?.cancel();
    this.#knowing?.cancel();
    for (const owner of this.#owners.values()) {
      owner.leaving?.cancel();
      owner.steadying?.cancel();
    }
  }

  /** The subscription stands: retained presence is coming in. Called at every SUBACK; only the first starts from nothing. */
  subscribed(): void {
    if (!this.#known && !this.#knowing) this.#learn(startMs);
  }

  /** The broker forgot who was online: only those are believed who have spoken since its start. */
  brokerRestarted(bootMs: number): void {
    this.#known = false;
    this.#knowing?.cancel();
    for (const owner of this.#owners.values())
      for (const device of owner.devices.values()) device.heard &&= device.seenAt >= bootMs - bootToleranceMs;
    this.#learn(restartMs);
    this.onStatus(null);
  }

  /**
   * A device's own word, or its will's: retained under `presence/{clientId}`. `found`: it lay there when we subscribed.
   * Resolves when on disk.
   */
  heard(user: string, client: string, presence: DevicePresence, found = false): Promise<void> {
    const owner = this.#owner(user);
    const before = owner.devices.get(client);
    const wasOnline = before?.online === true && before.heard;
    const { online } = presence;
    const seenAt = found && before?.online === online ? before.seenAt : this.#clock.now();
    owner.devices.set(client, { ...presence, seenAt, statedAt: seenAt, heard: true });
    this.#limit(user, owner);
    const written = this.#ledger.do('putDevice', { user, client, online, seenAt });
    if (online) {
      owner.leaving?.cancel();
      owner.leaving = undefined;
    }
    this.#changed(user, owner, wasOnline);
    if (online && !wasOnline) this.onOnline(user);
    return written;
  }

  /** The retained presence was cleared: the device is no more. */
  async gone(user: string, client: string): Promise<void> {
    const owner = this.#owners.get(user);
    const device = owner?.devices.get(client);
    if (!owner || !device) return;
    owner.devices.delete(client);
    await this.#ledger.do('removeDevice', { user, client });
    if (owner.devices.size === 0) this.onForgotten(user);
    this.#changed(user, owner, device.online && device.heard);
  }

  /** `out/ack` named this device: it is known, and was alive just now. */
  async acked(user: string, client: string): Promise<void> {
    const owner = this.#owner(user);
    const device = owner.devices.get(client);
    const seenAt = this.#clock.now();
    if (device) {
      device.seenAt = seenAt;
      if (device.heard) return;
      device.heard = true;
      this.#changed(user, owner, false);
      if (device.online) this.onOnline(user);
    } else {
      owner.devices.set(client, { online: false, seenAt, statedAt: seenAt, heard: true });
      this.#limit(user, owner);
      this.onStatus(user);
      await this.#ledger.do('putDevice', { user, client, online: false, seenAt });
    }
  }

  statusOf(user: string): AppStatus {
    const owner = this.#owners.get(user);
    if (owner?.leaving) return 'here';
    const devices = [...(owner?.devices.values() ?? [])];
    if (devices.some(({ online, heard }) => online && heard)) return 'here';
    const isKnown = this.#known || (devices.length > 0 && devices.every(({ heard }) => heard));
    if (!isKnown) return 'unknown';
    return devices.length > 0 ? 'away' : 'none';
  }

  /** How contacts are to see the user while an app is here. */
  shown(user: string): Shown {
    return this.#owners.get(user)?.shown ?? {};
  }

  /** How many devices of the user are online now, undebounced. */
  online(user: string): number {
    let count = 0;
    for (const device of this.#owners.get(user)?.devices.values() ?? []) if (device.online && device.heard) count++;
    return count;
  }

  list(user: string): DeviceRow[] {
    return [...(this.#owners.get(user)?.devices ?? [])].map(([client, device]) => ({
      user,
      client,
      online: device.online && device.heard,
      seenAt: device.seenAt,
    }));
  }

  #owner(user: string): Owner {
    let owner = this.#owners.get(user);
    if (!owner) {
      owner = { devices: new Map(), shown: {} };
      this.#owners.set(user, owner);
    }
    return owner;
  }

  /** Goes first: what is offline, and of that what has been silent longest. */
  #limit(user: string, { devices }: Owner): void {
    if (devices.size <= maxDevices) return;
    const rank = ({ online, heard, seenAt }: Device) => (online && heard ? Number.MAX_SAFE_INTEGER : 0) + seenAt;
    const [silent] = [...devices].reduce((one, other) => (rank(other[1]) < rank(one[1]) ? other : one));
    const failed = (error: unknown) => this.#log.error({ event: 'ledger.failed', error: String(error) });
    this.gone(user, silent).catch(failed);
  }

  /** A device came, went, or said something else; `wasOnline`: before that it was there. */
  #changed(user: string, owner: Owner, wasOnline: boolean): void {
    if (this.online(user) > 0) this.#steady(user, owner);
    else if (wasOnline) return this.#leave(user, owner);
    this.onStatus(user);
  }

  #leave(user: string, owner: Owner): void {
    owner.leaving ??= this.#clock.after(awayAfterMs, () => {
      owner.leaving = undefined;
      this.onStatus(user);
    });
  }

  /** The first change counts at once, all that follow when the window is over. Answers whether anything is shown otherwise now. */
  #steady(user: string, owner: Owner): boolean {
    const shown = shownOf([...owner.devices.values()].filter(({ heard }) => heard));
    if (owner.steadying || isSameShown(shown, owner.shown)) return false;
    owner.shown = shown;
    owner.steadying = this.#clock.after(steadyMs, () => {
      owner.steadying = undefined;
      if (this.online(user) > 0 && this.#steady(user, owner)) this.onStatus(user);
    });
    return true;
  }

  #learn(durationMs: number): void {
    this.#knowing = this.#clock.after(durationMs, () => {
      this.#knowing = undefined;
      this.#known = true;
      this.onStatus(null);
    });
  }

  async #prune(): Promise<void> {
    const before = this.#clock.now() - this.#keepMs;
    for (const [user, owner] of this.#owners) {
      for (const [client, { online, heard, seenAt }] of owner.devices) {
        // One that is there is not silent: its will would have told.
        if (seenAt < before && !(online && heard)) await this.gone(user, client);
      }
      if (owner.devices.size === 0 && !owner.leaving) this.#owners.delete(user);
    }
  }
}
