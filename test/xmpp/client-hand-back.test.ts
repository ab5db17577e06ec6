// What a client session that hands back shows meanwhile, whatever breaks or stops.

import { describe, expect, test } from 'vitest';
import { type Clock, systemClock } from '../../src/clock.ts';
import { attach, handBack, stage, user } from './client-stage.ts';
import { until } from './support.ts';

const showsIt = (text: string) => text.startsWith('<presence') && !text.startsWith('<presence type="unavailable"');

describe('a session that hands back is unavailable meanwhile', () => {
  test('and shows itself again when its connection breaks before it would have', async () => {
    const { link, session, breakOff } = await stage();
    expect((await link.attach([attach]))[0]).toMatchObject({ kind: 'attached', resumed: false });
    expect(session().shown).toBe('available');
    expect(await link.giveBack(handBack)).toEqual({ kind: 'processed' });
    expect(session().shown).toBe('unavailable');
    expect(await breakOff()).toMatchObject({ kind: 'attached', resumed: true });
    expect(session().shown).toBe('available');
  });

  test('and does so before the gateway stops', async () => {
    const { link, session } = await stage();
    await link.attach([attach]);
    await link.giveBack(handBack);
    await link.stop();
    expect(session().shown).toBe('available');
  });

  test.each(['is about to hand back', 'has handed back and waits for the answer'])(
    'and does so before the gateway stops, which has stopped reading, even while it %s',
    async (moment) => {
      const { fake, link, disk, session } = await stage();
      await link.attach([attach]);
      const asked = Promise.withResolvers<void>();
      const onDisk = Promise.withResolvers<void>();
      const { placed } = disk.kept;
      disk.kept.placed = (name, key, n) => {
        if (key !== handBack.key) return placed(name, key, n);
        asked.resolve();
        return onDisk.promise;
      };
      if (moment === 'is about to hand back') link.pauseReading();
      const answer = link.giveBack(handBack);
      await until(() => session().shown === 'unavailable', 'the end of its presence');
      if (moment !== 'is about to hand back') {
        await asked.promise;
        link.pauseReading();
        onDisk.resolve();
        await until(() => fake.heard.some((text) => text.startsWith('<message')), 'what is handed back');
      }
      await link.stop();
      await until(() => session().shown === 'available', 'its presence');
      expect(await answer).toEqual({ kind: 'lost' });
    },
  );

  test.each(['is killed', 'is stopped while its disk takes nothing'])(
    'and shows itself when the next process finds it, if this one %s amid a hand-back, and never again after that',
    async (end) => {
      const { fake, link, disk, session, nextProcess } = await stage();
      await link.attach([attach]);
      const { placed } = disk.kept;
      const asked = Promise.withResolvers<void>();
      disk.kept.placed = (name, key, n) => {
        if (key !== handBack.key) return placed(name, key, n);
        asked.resolve();
        return new Promise(() => {});
      };
      const answer = link.giveBack(handBack);
      await asked.promise;
      if (end === 'is killed') fake.hangUp();
      await link.stop();
      expect(await answer).toEqual({ kind: 'lost' });
      expect(session().shown).toBe('unavailable');
      const next = await nextProcess();
      const shown = () => fake.heard.filter((text) => text.startsWith('<presence')).length;
      const before = shown();
      expect((await next.attach([attach]))[0]).toMatchObject({ kind: 'attached', resumed: true });
      expect([session().shown, shown() - before]).toEqual(['available', 1]);
      await next.stop();
      expect((await (await nextProcess()).attach([attach]))[0]).toMatchObject({ kind: 'attached', resumed: true });
      expect([session().shown, shown() - before]).toEqual(['available', 1]);
    },
  );

  test('and goes on with it, when the next process hands back, without being seen in between', async () => {
    const { fake, link, session, nextProcess } = await stage();
    await link.attach([attach]);
    await link.giveBack(handBack);
    fake.hangUp();
    await link.stop();
    const next = await nextProcess();
    expect(await next.giveBack({ ...handBack, key: 'k2' })).toEqual({ kind: 'processed' });
    expect(session().shown).toBe('unavailable');
    expect(fake.heard.filter(showsIt)).toHaveLength(1);
  });

  test('and is so for sure, when the next process hands back, even if it had shown itself at the stop and no answer was read', async () => {
    const { fake, link, session, nextProcess } = await stage();
    await link.attach([attach]);
    await link.giveBack(handBack);
    link.pauseReading();
    await link.stop();
    await until(() => session().shown === 'available', 'its presence');
    const next = await nextProcess();
    expect(await next.giveBack({ ...handBack, key: 'k2', ends: true })).toEqual({ kind: 'processed' });
    const sent = fake.heard.filter((text) => /^<(presence|message)/.test(text)).map((text) => text.slice(0, 30));
    expect(sent.slice(-2)).toEqual(['<presence type="unavailable"/>', expect.stringMatching(/^<message/)]);
  });

  test('and hands nothing back where it was shown while it was going', async () => {
    const { fake, link, disk, session } = await stage();
    await link.attach([attach]);
    const asked = Promise.withResolvers<void>();
    const onDisk = Promise.withResolvers<void>();
    const { placed } = disk.kept;
    disk.kept.placed = async (name, key, n) => {
      asked.resolve();
      await onDisk.promise;
      await placed(name, key, n);
    };
    const answer = link.giveBack(handBack);
    await asked.promise;
    const shown = link.send(`${user}/mqtt`, '<presence><show>away</show></presence>', 'p1');
    onDisk.resolve();
    expect([await answer, await shown]).toMatchObject([{ kind: 'wait' }, { kind: 'processed' }]);
    expect(session().shown).toBe('available');
    expect(fake.heard.some((text) => text.startsWith('<message'))).toBe(false);
  });

  test('and stays so, even at a stop, where it is to end behind what it hands back; until somebody wants it shown', async () => {
    const due: (() => void)[] = [];
    const clock: Clock = {
      ...systemClock,
      after(delayMs, task) {
        if (delayMs !== 2_000) return systemClock.after(delayMs, task);
        due.push(task);
        return { cancel: () => void due.splice(due.indexOf(task), 1) };
      },
    };
    const { fake, link, session, nextProcess } = await stage({}, clock);
    const passTime = async () => {
      for (const task of due.splice(0)) task();
      // Whatever it has begun is over when the next thing in line is.
      await link.giveBack({ ...handBack, stanza: '<' });
    };
    await link.attach([attach]);
    const ends = { ...handBack, ends: true };
    expect(await link.giveBack(ends)).toEqual({ kind: 'processed' });
    await passTime();
    expect(session().shown).toBe('unavailable');
    const jid = `${user}/mqtt`;
    await link.send(jid, '<presence><show>away</show></presence>', 'p1');
    expect(session().shown).toBe('available');
    await link.giveBack(handBack);
    expect(session().shown).toBe('unavailable');
    await passTime();
    expect(session().shown).toBe('available');
    await link.giveBack(ends);
    const shown = () => fake.heard.filter(showsIt).length;
    const before = shown();
    await link.stop();
    const next = await nextProcess();
    expect(await next.giveBack({ ...ends, key: 'k2' })).toEqual({ kind: 'processed' });
    expect([session().shown, shown() - before]).toEqual(['unavailable', 0]);
    await next.detach(jid);
    expect(fake.heard.at(-1)).toContain('<r ');
    expect(shown() - before).toBe(0);
  });

  test('even if the text of its presence reads like one that is', async () => {
    const { link, session } = await stage();
    const status = '<presence><status>type="unavailable"</status></presence>';
    await link.attach([{ ...attach, presence: status }]);
    await link.giveBack(handBack);
    expect(session().shown).toBe('unavailable');
  });

  test('while one that has not handed back is shown once, whatever its connection does', async () => {
    const { fake, link, breakOff } = await stage();
    await link.attach([attach]);
    await breakOff();
    expect(fake.heard.filter((text) => text.startsWith('<presence'))).toHaveLength(1);
  });
});
