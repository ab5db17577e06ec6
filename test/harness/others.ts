// The others on a server, whom nothing may concern that one gateway does or suffers: users who talk; and, where several components may
// attach sessions, another gateway in good order, which has attached one of them, observes one, and keeps one from logging in.

import { type LegacyClient, legacyClient } from './legacy-client.ts';
import type { LegacyServer, ServerKind } from './legacy-server.ts';
import { AVAILABLE, RawComponent } from './raw-component.ts';

/** A component that has to be there for them. */
export const otherGateway = 'good.example.com';
/** Accounts, with their names as passwords. */
export const otherPeople = ['alice', 'dave', 'frank', 'grace'] as const;

export interface Others {
  /** Rejects, in words, if they do not hear each other as before, or have lost what they had. */
  areWell(sign: string): Promise<void>;
  leave(): Promise<void>;
}

export async function enterOthers(kind: ServerKind, server: LegacyServer, secret: string): Promise<Others> {
  const [alice, frank] = await Promise.all([enter(server, 'alice'), enter(server, 'frank')]);
  const third = kind.severalGateways ? await attached(server, secret) : await onAClient(server);
  return {
    async areWell(sign) {
      await say(alice, 'frank@example.com', sign);
      await say(alice, third.address, sign);
      await Promise.all([frank.message(sign), third.hears(sign)]);
      await third.answers(alice.jid, sign);
      await alice.message(`${sign}, too`);
    },
    async leave() {
      await Promise.all([alice.stop(), frank.stop(), third.leave()]);
    },
  };
}

interface Third {
  address: string;
  hears(sign: string): Promise<unknown>;
  answers(to: string, sign: string): Promise<void>;
  leave(): Promise<void>;
}

/** The only gateway may lock out whom it names, and end their clients: this one nobody names. */
async function onAClient(server: LegacyServer): Promise<Third> {
  const grace = await enter(server, 'grace');
  return {
    address: 'grace@example.com',
    hears: (sign) => grace.message(sign),
    answers: (to, sign) => say(grace, to, `${sign}, too`),
    leave: () => grace.stop(),
  };
}

async function attached(server: LegacyServer, secret: string): Promise<Third> {
  const gateway = await RawComponent.open({ port: server.componentPort, domain: otherGateway, secret });
  const first = await gateway.hello();
  await gateway.attach('dave', { presence: AVAILABLE });
  await gateway.observe('frank');
  await gateway.lock('dave', 'moved by the other gateway');
  return {
    address: 'dave@example.com',
    async hears(sign) {
      const { epoch } = await gateway.deliveryOf(sign);
      if (epoch !== first.epoch) throw new Error('the other gateway has lost its link');
    },
    async answers(to, sign) {
      const { condition } = await gateway.send('dave@example.com/mqtt', sign, message(to, `${sign}, too`));
      if (condition) throw new Error(`the other gateway's session is gone: ${condition}`);
      if (!gateway.copies('frank@example.com').includes(`in ${sign}`))
        throw new Error('the other gateway observes no more');
      const refused = await legacyClient({ port: server.c2sPort, user: 'dave', password: 'dave' }).then(
        () => 'let in',
        String,
      );
      if (!refused.includes('not-allowed')) throw new Error(`a user locked by the other gateway is ${refused}`);
      await gateway.ack(first.epoch, gateway.delivered.at(-1)!.n);
    },
    leave: () => gateway.kill(),
  };
}

async function enter({ c2sPort: port }: LegacyServer, user: string): Promise<LegacyClient> {
  return await legacyClient({ port, user, password: user, resource: 'desk' });
}

/** One whose stream has ended cannot say anything. */
async function say(client: LegacyClient, to: string, body: string): Promise<void> {
  await client.send(message(to, body)).catch((error: unknown) => {
    throw new Error(`the others do not hear each other: ${error}`);
  });
}

const message = (to: string, body: string) =>
  `<message to='${to}' type='chat' id='${body}'><body>${body}</body></message>`;
