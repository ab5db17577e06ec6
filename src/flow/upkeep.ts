// What the ledger needs now and then: settle what is proven, publish again what may have been lost, forget old history, end what has expired.

import { every, type Timer } from '../clock.ts';
import type { Devices } from '../migration/devices.ts';
import type { Users } from '../migration/users.ts';
import { sameBoot } from '../mqtt/boot.ts';
import type { Deliver } from './deliver.ts';
import { Expiry, type ExpiryParts } from './expiry.ts';
import type { MqttRoad } from './roads.ts';

const settleEveryMs = 1_000;
const forgetEveryMs = 60_000;
const batch = 5_000;
/** While a device stays online, what its app does not acknowledge goes again after these times (DESIGN §8). */
const repeatAfterMs = [30_000, 120_000, 600_000];
/** Mosquitto tells its uptime every 10 s unless set otherwise. */
const bootWaitMs = 12_000;
const bootMeta = 'broker-boot';
/** After the broker has dropped messages, what may be among them goes again; so long after that, once more for what was dropped meanwhile. */
const droppedPauseMs = 60_000;

export interface UpkeepParts extends ExpiryParts {
  users: Users;
  devices: Devices;
  deliver: Deliver;
  road: MqttRoad;
  /** How old a PUBACK must be for the broker to have written the message to its disk. */
  horizonMs: number;
  historyMs: number;
}

export class Upkeep {
  readonly #parts: UpkeepParts;
  readonly #expiry: Expiry;
  readonly #timers: Timer[] = [];
  readonly #repeats = new Map<string, Timer>();
  /** Runs while we wait for the broker to say when it was started. */
  #listening?: Timer;
  /** Since messages were dropped all is being published again, or was a moment ago; `#dropsAgain`: others were dropped meanwhile. */
  #afterDrop = false;
  #dropsAgain = false;
  #dropPause?: Timer;
  /** Counts the broker's comings and goings: what was begun for one connection must not end in another. */
  #connection = 0;
  #stopped = false;

  constructor(parts: UpkeepParts) {
    this.#parts = parts;
    this.#expiry = new Expiry(parts);
  }

  start(): void {
    this.#expiry.start();
    const { clock, fault } = this.#parts;
    this.#timers.push(every(clock, settleEveryMs, () => this.#settle(), fault));
    this.#timers.push(every(clock, forgetEveryMs, () => this.#forget(), fault));
  }

  stop(): void {
    this.#stopped = true;
    this.#expiry.stop();
    this.#listening?.cancel();
    this.#dropPause?.cancel();
    for (const timer of [...this.#timers, ...this.#repeats.values()]) timer.cancel();
  }

  /** Both connections stand. Nothing new is published before we know whether the broker remembers the old. */
  brokerUp(): void {
    const { road, clock } = this.#parts;
    this.#connection++;
    this.#expiry.brokerUp();
    road.open = false;
    this.#listening?.cancel();
    if (this.#stopped) return;
    this.#listening = clock.after(bootWaitMs, () => this.brokerBooted(null));
  }

  brokerDown(): void {
    this.#connection++;
    this.#expiry.brokerDown();
    this.#parts.road.open = false;
    this.#listening?.cancel();
  }

  /** The broker's boot time (ms), or null for one that tells none, so that each connection counts as a restart. */
  brokerBooted(bootMs: number | null): void {
    this.#listening?.cancel();
    if (this.#stopped) return;
    this.#open(bootMs, this.#connection).catch(this.#parts.fault);
  }

  /** Another boot than the last one: whatever is not settled may be gone, and goes again before anything new. */
  async #open(bootMs: number | null, connection: number): Promise<void> {
    const { ledger, road, deliver, devices, log } = this.#parts;
    const last = await ledger.do('getMeta', { name: bootMeta });
    if (bootMs === null || last === null || !sameBoot(Number(last), bootMs)) {
      await deliver.republish();
      if (connection !== this.#connection) return;
      if (bootMs !== null) await ledger.do('putMeta', { name: bootMeta, value: String(bootMs) });
      road.restore([]);
      log.info({ event: 'broker.restarted', bootMs });
      if (bootMs !== null) devices.brokerRestarted(bootMs);
    }
    if (connection !== this.#connection) return;
    road.open = true;
    deliver.wake('toMqtt');
  }

  /** Which messages the broker has dropped it does not say: what is not settled of users with a device online goes once more. */
  brokerDropped(): void {
    this.#dropsAgain = true;
    if (this.#afterDrop || this.#stopped) return;
    this.#afterDrop = true;
    this.#republishDropped().catch(this.#parts.fault);
  }

  /** One round after the other: with many users one may take longer than the pause. */
  async #republishDropped(): Promise<void> {
    const { clock, deliver, devices, users } = this.#parts;
    this.#dropsAgain = false;
    for (const { jid } of users.all()) {
      if (this.#stopped) return;
      if (devices.online(jid) > 0) await deliver.republish(jid);
    }
    if (this.#stopped) return;
    this.#dropPause = clock.after(droppedPauseMs, () => {
      this.#afterDrop = false;
      if (this.#dropsAgain) this.brokerDropped();
    });
  }

  /** A device of the user came online: what waits for it goes, and what its app has not acknowledged goes again. */
  deviceOnline(user: string): void {
    const { deliver, road, fault } = this.#parts;
    road.deviceOnline(user);
    if (this.#stopped) return;
    const run = async () => {
      await deliver.unpark(user);
      await this.#repeat(user, 0);
      deliver.wake('toMqtt', user);
    };
    run().catch(fault);
  }

  async #repeat(user: string, round: number): Promise<void> {
    const { deliver, users, devices, clock, fault } = this.#parts;
    this.#repeats.get(user)?.cancel();
    this.#repeats.delete(user);
    if (this.#stopped || devices.online(user) === 0 || !users.isPublished(user)) return;
    // A user's first acknowledgement may come while the device is online: the rounds go on, for nothing until then.
    if (users.get(user)?.acks) await deliver.republish(user);
    const delayMs = repeatAfterMs[round];
    if (delayMs === undefined || this.#stopped) return;
    this.#repeats.get(user)?.cancel(); // of another turn, begun meanwhile
    this.#repeats.set(
      user,
      clock.after(delayMs, () => void this.#repeat(user, round + 1).catch(fault)),
    );
  }

  async #settle(): Promise<void> {
    const { ledger, horizonMs, road } = this.#parts;
    // Counted to the last sign of life: a broker that died a moment ago is noticed only later.
    while (road.open && (await ledger.do('settle', { now: road.brokerHeardAt, horizonMs, limit: batch })) === batch);
  }

  async #forget(): Promise<void> {
    const { ledger, clock, historyMs } = this.#parts;
    while ((await ledger.do('forget', { before: clock.now() - historyMs, limit: batch })) === batch);
  }
}
