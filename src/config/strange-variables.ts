// Variables that look like keys of the configuration and are none: mistyped, they would count for nothing, and nobody would say so. Pure.

import { distanceOf } from './distance.ts';
import { leaves, variableOf } from './keys.ts';
import { schema } from './schema.ts';
import type { Env } from './source.ts';

export interface StrangeVariable {
  name: string;
  hint: string;
}

/** Of commands, and named like a section. */
const others = ['CROSSFADE_ADMIN_URL'];

/** What Kubernetes sets in every pod for a Service, here one named crossfade-mqtt or like another section. */
const ofService = /^(.+?)_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_\d+_.+)?)$/;

/** `text`: crossfade.yaml, whose `${NAME}` may have any name. */
export function strangeVariables(env: Env, text: string): StrangeVariable[] {
  const sections = Object.keys(schema.properties ?? {}).map((section) => `${variableOf([section])}_`);
  const known = leaves().flatMap(({ path, node }) => {
    const name = variableOf(path);
    return node.inFile ? [name, `${name}_FILE`] : [name];
  });
  const isKnown = (name: string) => known.includes(name) || others.includes(name) || text.includes(`\${${name}}`);
  const isOfService = (name: string) => env[`${ofService.exec(name)?.[1]}_SERVICE_HOST`] !== undefined;
  return Object.keys(env)
    .filter((name) => sections.some((section) => name.startsWith(section)) && !isKnown(name) && !isOfService(name))
    .sort()
    .map((name) => ({ name, hint: hintFor(name, known) }));
}

function hintFor(name: string, known: string[]): string {
  const [near] = known.map((one) => ({ one, distance: distanceOf(name, one) })).sort((a, b) => a.distance - b.distance);
  return near && near.distance <= 2
    ? `did you mean ${near.one}?`
    : 'docs/configuration.md has the variable of each key';
}
