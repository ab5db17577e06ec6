// How a key of the configuration is found: its place in the schema, its variable in the environment, its value as the program takes it.

import type { Schema } from './node.ts';
import { schema } from './schema.ts';

/** The variable that overrides a key: `mqtt.brokerHorizon` → `CROSSFADE_MQTT_BROKER_HORIZON`. */
export function variableOf(path: string[]): string {
  return ['crossfade', ...path].map((part) => part.replace(/[A-Z]/g, '_$&').toUpperCase()).join('_');
}

/** All keys that are no sections, each with its path, in the order of the schema. */
export function leaves(node: Schema = schema, path: string[] = []): { path: string[]; node: Schema }[] {
  if (!node.properties) return [{ path, node }];
  return Object.entries(node.properties).flatMap(([key, child]) => leaves(child, [...path, key]));
}

const unitsMs: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** `500ms`, `10s`, `5m`, `1h`, `7d` in milliseconds; undefined for anything else. */
export function durationMs(text: string): number | undefined {
  const [, count, unit = ''] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return count === undefined ? undefined : Number(count) * (unitsMs[unit] ?? 1);
}

/** The schema of a key, or of the list that holds an item. */
export function nodeAt(path: string[]): Schema | undefined {
  let node: Schema | undefined = schema;
  for (const key of path) {
    if (node?.type === 'array') return node;
    node = node?.properties?.[key];
  }
  return node;
}
