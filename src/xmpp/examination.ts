// What a legacy server says about itself, asked over the component's connection; nothing of it changes anything there.

import { Element } from 'ltx';
import type { Answer } from './component.ts';
import { NS_ATTACH, NS_DISCO_INFO, NS_TIME, NS_VERSION } from './namespaces.ts';
import { childOf, elementsOf, stampOf } from './stanza.ts';
import { readError } from './stanza-error.ts';
import { tag } from './xml-writer.ts';

/** As `Component.request`. */
export type Request = (to: string, type: 'get' | 'set', payload: string, timeoutMs?: number) => Promise<Answer>;

export interface ServerFacts {
  /** XEP-0092; absent where the server does not tell. */
  software?: { name: string; release: string };
  /** The server's clock minus ours, ms; absent where it does not tell, by XEP-0202 or else by the module. */
  clockAheadMs?: number;
  /** Of the host (XEP-0030). */
  features: ReadonlySet<string>;
  /** The server module's own words, by attribute; or why there are none. */
  about: Readonly<Record<string, string | undefined>> | { condition: string; text: string };
}

const limitMs = 5_000;

/** `host`: the users' domain. `now`: our clock, ms since 1970. Does not reject: what is not answered is absent. */
export async function examineServer(request: Request, host: string, now: () => number): Promise<ServerFacts> {
  const get = (name: string, xmlns: string) => request(host, 'get', tag(name, { xmlns }), limitMs);
  const asked = now();
  const [version, time, disco, said] = await Promise.all([
    get('query', NS_VERSION),
    askTime(get, now),
    get('query', NS_DISCO_INFO),
    get('about', NS_ATTACH).then((answer) => ({ about: readAbout(answer), between: (asked + now()) / 2 })),
  ]);
  const clockAheadMs = time ?? aheadOf('at' in said.about ? said.about.at : undefined, said.between);
  const software = resultOf(version, 'query', NS_VERSION);
  const name = software?.getChildText('name');
  const info = resultOf(disco, 'query', NS_DISCO_INFO);
  return {
    ...(name && { software: { name, release: software?.getChildText('version') ?? '' } }),
    ...(clockAheadMs !== null && { clockAheadMs }),
    features: new Set(
      info ? elementsOf(info).flatMap(({ name, attrs }) => (name === 'feature' ? [attrs.var ?? ''] : [])) : [],
    ),
    about: said.about,
  };
}

/** The answer was given some time between question and arrival: half of that is taken off. */
async function askTime(
  get: (name: string, xmlns: string) => Promise<Answer>,
  now: () => number,
): Promise<number | null> {
  const asked = now();
  const answer = await get('time', NS_TIME);
  return aheadOf(resultOf(answer, 'time', NS_TIME)?.getChildText('utc') ?? undefined, (asked + now()) / 2);
}

function aheadOf(stamp: string | undefined, between: number): number | null {
  const at = stampOf(stamp);
  return at === null ? null : at - Math.round(between);
}

function readAbout(answer: Answer): ServerFacts['about'] {
  if (typeof answer === 'string') return { condition: answer, text: 'no answer' };
  const about = resultOf(answer, 'about', NS_ATTACH);
  return about ? { ...about.attrs } : readError(answer);
}

function resultOf(answer: Answer, name: string, xmlns: string): Element | undefined {
  return answer instanceof Element && answer.attrs.type === 'result' ? childOf(answer, name, xmlns) : undefined;
}
