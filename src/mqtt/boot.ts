// When the broker was started, from `$SYS/broker/uptime` (Mosquitto: "123 seconds", every sys_interval, 10 s by default).
// A broker that lost its memory shows it nowhere else: even `session present` may come from an old snapshot. Pure.

export const uptimeTopic = '$SYS/broker/uptime';

const toleranceMs = 2_000;

/**
 * The time of the broker's start (ms since 1970) from a live uptime message, or null if the payload is none. A retained one
 * does not count: it is up to one interval old. A broker without `$SYS` never sends any.
 */
export function readBoot(payload: Buffer, arrivedAt: number): number | null {
  const seconds = /^(\d{1,10})(?: seconds)?$/.exec(payload.toString('latin1'))?.[1];
  return seconds === undefined ? null : arrivedAt - Number(seconds) * 1000;
}

/** True if the two times are of one start: the uptime has whole seconds, and messages take a moment. */
export function sameBoot(one: number, other: number): boolean {
  return Math.abs(one - other) <= toleranceMs;
}
