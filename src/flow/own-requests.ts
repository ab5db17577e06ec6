// out/request of the component's own users: their roster and their profile, which no legacy server keeps for them.

import type { OwnUser, OwnUsers } from '../migration/own-users.ts';
import { changeProfile } from '../migration/profile.ts';
import { nameOfStanding } from '../migration/subscription.ts';
import type { Payload } from '../mqtt/message.ts';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';

/** Contacts in one answer, and about their bytes: brokers take more, and none of it is cut. */
const maxContacts = 1_000;
const maxBytes = 128 * 1024;

export class OwnRequests {
  readonly #own: OwnUsers;

  constructor(own: OwnUsers) {
    this.#own = own;
  }

  /** What is to be published on in/reply, beside the id; or why not. */
  async answer(user: string, { id: _id, request, ...rest }: Payload): Promise<Payload | Refusal> {
    if (request === 'roster') return this.#roster(user, rest);
    if (request === 'profile') return await this.#profile(user, rest);
    return refuse('feature-not-implemented', 'request must be roster or profile');
  }

  /** In order of the addresses, behind `after`; `next` where there are more. */
  #roster(user: string, { after = '', ...rest }: Payload): Payload | Refusal {
    const unknown = unknownField(rest);
    if (unknown) return unknown;
    if (typeof after !== 'string') return refuse('bad-request', 'after must be `next` of the answer before');
    const all = [...this.#own.contacts(user)].filter(([jid]) => jid > after);
    const contacts: Payload[] = [];
    let bytes = 0;
    for (const [jid, standing] of all.sort(([one], [other]) => (one < other ? -1 : 1))) {
      if (contacts.length === maxContacts || bytes > maxBytes)
        return { request: 'roster', contacts, next: contacts.at(-1)?.jid };
      bytes += Buffer.byteLength(jid) + 64;
      const { sees, seen } = standing;
      contacts.push({
        jid,
        subscription: nameOfStanding(standing),
        ...(sees === 'asks' && { asks: true }),
        ...(sees === 'approved' && { approved: true }),
        ...(seen === 'asked' && { asked: true }),
      });
    }
    return { request: 'roster', contacts };
  }

  async #profile(jid: string, { set, ...rest }: Payload): Promise<Payload | Refusal> {
    const unknown = unknownField(rest);
    if (unknown) return unknown;
    const unheard = refuse('item-not-found', `${jid} is not known here`);
    const user = this.#own.get(jid);
    if (!user) return unheard;
    if (set === undefined) return { request: 'profile', profile: user.profile };
    const decide = (now: OwnUser | undefined) => {
      const profile = now ? changeProfile(now.profile, set) : unheard;
      return isRefusal(profile) ? profile : { profile };
    };
    const changed = await this.#own.put(jid, decide, { who: jid, reason: 'by the app' });
    return isRefusal(changed) ? changed : { request: 'profile', profile: changed.user.profile };
  }
}

function unknownField(rest: Payload): Refusal | null {
  const [name] = Object.keys(rest);
  return name === undefined ? null : refuse('bad-request', `this request has no field ${name.slice(0, 64)}`);
}
