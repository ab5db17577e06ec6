// Play: the gateway cannot start any more, and `ledger return --all --offline` brings everything back without it.

import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { crossfade, type Ended, start } from '../cli/command.ts';
import type { Contact } from '../harness/contact.ts';
import { servers } from '../harness/servers.ts';
import { type Stage, setStage } from '../harness/stage.ts';

const each = 25;
const names = ['bob', 'carol'] as const;
const said = (name: string) => Array.from({ length: each }, (_, index) => `${name} ${index + 1}`);
const jidOf = (name: string) => `${name}@example.com`;

describe.each(servers)('$name:', (server) => {
  let stage: Stage;
  let alice: Contact;
  /** When each message came, as the gateway wrote it down, by key. */
  const times = new Map<string, number[]>();

  beforeAll(async () => {
    stage = await setStage({
      kind: server,
      accounts: ['alice', ...names, 'dave', 'erin'],
      ownUsers: ['bot@gw.example.com'],
    });
    alice = await stage.contact('alice');
    await stage.gateway.logged({ event: 'broker.restarted' });
  });
  afterAll(() => stage?.strike());

  test('while a gateway runs, it refuses and says so', async () => {
    for (const name of names) await stage.gateway.move(jidOf(name), 'mqtt');
    for (const name of names) for (const body of said(name)) alice.say(jidOf(name), body);
    for (const name of names) {
      await expect.poll(async () => (await stage.gateway.entries(jidOf(name))).length, { timeout: 20_000 }).toBe(each);
      times.set(
        name,
        (await stage.gateway.entries(jidOf(name))).map(({ at }) => Date.parse(String(at))),
      );
    }
    const { code, out, err } = await offline('--yes');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('is in use by another process: is the gateway running already? Stop that one first.');
  });

  test('the dry run says what there is to do, with a configuration no gateway can start with, and changes nothing', async () => {
    await stage.gateway.kill9();
    await stage.mosquitto.kill9();
    await breakConfig();
    expect((await crossfade(['run'], { cwd: stage.dir })).code).toBe(78);

    const { code, out, err } = await offline();
    expect(code).toBe(0);
    expect(out.split('\n')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^USER {15}PHASE {2}RETURN {2}SEND {2}DISCARD {2}STAYS$/),
        expect.stringMatching(/^bob@example\.com {4}mqtt {7}25 {5}0 {8}0 {6}0$/),
        expect.stringMatching(/^carol@example\.com {2}mqtt {7}25 {5}0 {8}0 {6}0$/),
      ]),
    );
    expect(err).toContain('Nothing was changed. To do it:\n  crossfade ledger return --all --offline --yes');
    const { users } = JSON.parse((await offline('--json')).out);
    expect(users).toMatchObject([{ user: 'bob@example.com', toReturn: 25, phase: 'mqtt' }, { toReturn: 25 }]);
  });

  test('everything comes back, in order, with its own time and once, although the command is killed in the middle', async () => {
    const bob = await stage.contact('bob');
    const killed = start(['ledger', 'return', '--all', '--offline', '--yes'], { cwd: stage.dir });
    await bob.hears(said('bob')[9]!);
    killed.kill('SIGKILL');
    await once(killed, 'close');

    const { code, out, err } = await offline('--yes', '--reason', 'the broker is gone');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('every user is in phase legacy');
    const carol = await stage.contact('carol');
    await Promise.all([bob.hears(said('bob').at(-1)!), carol.hears(said('carol').at(-1)!)]);
    // What alice says now comes last, so nothing can follow that was not awaited.
    for (const name of names) alice.say(jidOf(name), 'the end');
    for (const [name, client] of [
      ['bob', bob],
      ['carol', carol],
    ] as const) {
      await client.hears('the end');
      expect(client.bodies()).toEqual([...said(name), 'the end']);
      const stamps = client.messages.items.filter(({ body }) => body.startsWith(name)).map(({ delay }) => delay ?? 0);
      for (const [index, at] of times.get(name)!.entries()) expect(Math.abs(stamps[index]! - at)).toBeLessThan(1_000);
    }
    expect(await offline('--yes')).toMatchObject({ code: 0, out: expect.stringMatching(/^0 messages handed back/) });
  });

  test('what apps had sent is sent first, although the server was restarted, and the sessions are gone afterwards', async () => {
    await restoreConfig();
    await stage.mosquitto.restart();
    await stage.gateway.start();
    await stage.gateway.move(jidOf('dave'), 'mqtt');
    const phone = await stage.app('dave', 'phone');
    await stage.server.kill9();
    phone.say('alice@example.com', 'said into the gap', 'd1');
    await phone.isTold('d1');
    await stage.gateway.kill9();
    await stage.server.restart();
    alice = await stage.contact('alice');
    await stage.mosquitto.kill9();

    const { code, out } = await offline('--yes', '--json');
    expect({ code, result: JSON.parse(out) }).toMatchObject({ code: 0, result: { sent: 1, unfinished: 0, left: [] } });
    await alice.hears('said into the gap');
    const dave = await stage.contact('dave');
    alice.say(jidOf('dave'), 'the end');
    await dave.hears('the end');
    expect(dave.bodies()).toEqual(['the end']);
    expect(alice.bodies()).toEqual(['said into the gap']);
  });

  test('what cannot be brought back is named with the reason, and stays', async () => {
    await stage.mosquitto.restart();
    await stage.gateway.start();
    await stage.gateway.move(jidOf('erin'), 'mqtt');
    alice.say(jidOf('erin'), 'kept');
    await expect.poll(async () => (await stage.gateway.entries(jidOf('erin'))).length).toBe(1);
    await stage.gateway.kill9();
    await stage.server.kill9();
    const down = await offline('--yes', '--timeout', '2');
    expect(down).toMatchObject({
      code: 1,
      out: '',
      err: expect.stringContaining('the legacy server has not taken the link: connect ECONNREFUSED'),
    });
    const { users } = JSON.parse((await offline('--json')).out);
    expect(users).toMatchObject([{ user: 'erin@example.com', toReturn: 1, phase: 'mqtt' }]);
  });

  test('what may be missing, and no gateway has told any more, is told', async () => {
    await stage.server.restart();
    expect(await offline('--yes')).toMatchObject({ code: 0, err: '' });
    diesBeforeItTells('erin@example.com');
    const told = 'messages of this time may be missing {"user":"erin@example.com","reason":"no-archive"';
    expect(await offline('--yes')).toMatchObject({ code: 0, err: expect.stringContaining(told) });
    expect(await offline('--yes')).toMatchObject({ code: 0, err: '' });
  });

  test('a gateway that starts again finds every user where the command has left it, with the audit', async () => {
    await stage.gateway.start();
    for (const name of [...names, 'dave', 'erin'])
      expect(await stage.gateway.user(jidOf(name))).toMatchObject({ phase: 'legacy', moving: null, attached: null });
    expect(await stage.gateway.audit(jidOf('bob'))).toMatchObject([
      { what: 'user.move', detail: 'mqtt' },
      { what: 'move.done' },
      { what: 'user.move', detail: 'legacy', who: 'offline', reason: 'ledger return --all --offline' },
      { what: 'move.done' },
    ]);
    const states = (await stage.gateway.entries(jidOf('bob'))).map(({ state }) => state);
    expect(states).toEqual(said('bob').map(() => 'returned'));
  });

  function offline(...more: string[]): Promise<Ended> {
    return crossfade(['ledger', 'return', '--all', '--offline', ...more], { cwd: stage.dir });
  }

  /** A gateway that dies between writing a gap down and logging it, which no kill meets at will. */
  function diesBeforeItTells(user: string): void {
    const db = new DatabaseSync(join(stage.dir, 'crossfade.sqlite'));
    const missed = JSON.stringify({ from: Date.now() - 1_000, to: Date.now(), reason: 'no-archive' });
    db.prepare('INSERT INTO untold_gap (user, missed) VALUES (?, ?)').run(user, missed);
    db.close();
  }

  let config = '';

  /** As after a mistaken edit: the broker's part makes no sense any more, and a secret is not there. */
  async function breakConfig(): Promise<void> {
    config = await readFile(stage.gateway.configFile, 'utf8');
    const broken = config.replace(/^mqtt:\n(?: .*\n)*/m, `mqtt:\n  url: "no url"\n  password: "$\{NOT_SET}"\n`);
    expect(broken).not.toBe(config);
    await writeFile(stage.gateway.configFile, broken);
  }

  async function restoreConfig(): Promise<void> {
    await writeFile(stage.gateway.configFile, config);
  }
});
