// Sessions for addresses of the component's own domain, against the fake server.

import { describe, expect, test } from 'vitest';
import { OwnDomain } from '../../src/xmpp/own-domain.ts';
import { stage, until } from './support.ts';

describe('an own-domain session', () => {
  test('settles on a fence after its stanzas, one for all of a turn', async () => {
    const { fake, gateway } = await stage();
    gateway.start();
    await until(() => gateway.online);
    const story: string[] = [];
    fake.onStanza = ({ attrs }) => story.push(attrs.id ?? '');
    fake.onIq = () => story.push('fence');
    const bot = new OwnDomain(gateway).session('bot@gw.example.com');
    const results = await Promise.all(
      ['1', '2', '3'].map((id) => bot.send(`<message xmlns="jabber:client" id="${id}"/>`, id)),
    );
    expect(results).toEqual(Array(3).fill({ kind: 'processed' }));
    expect(story).toEqual(['1', '2', '3', 'fence']);
  });

  test('is lost when the link goes before the fence is answered', async () => {
    const { fake, gateway } = await stage();
    const bot = new OwnDomain(gateway).session('bot@gw.example.com');
    expect(await bot.send('<message/>', 'k')).toEqual({ kind: 'lost' });
    gateway.start();
    await until(() => gateway.online);
    fake.answers = false;
    fake.onIq = () => fake.kill();
    expect(await bot.send('<message/>', 'k')).toEqual({ kind: 'lost' });
  });
});
