// Where a user stands between the two worlds (DESIGN §5), and what each phase lets through.

export const phases = ['legacy', 'shadow', 'dual', 'mqtt'] as const;
export type Phase = (typeof phases)[number];

export function isPhase(value: unknown): value is Phase {
  return phases.includes(value as Phase);
}

/** May the user's apps send, and does the gateway publish to them? */
export function isOpenToApps(phase: Phase): boolean {
  return phase === 'dual' || phase === 'mqtt';
}
