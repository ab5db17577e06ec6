// `user set` for many: who is meant, what would happen, how each move ends, and what Ctrl-C leaves.

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AdminSide, move, startAdminSide, token } from '../admin/admin-side.ts';
import { waitUntil } from '../harness/wait-for.ts';
import { crossfade, start } from './command.ts';

let side: AdminSide;

beforeEach(async () => {
  side = await startAdminSide(['bot@gw.example.com']);
});
afterEach(() => side.close());

const env = () => ({ CROSSFADE_ADMIN_URL: side.url, CROSSFADE_ADMIN_TOKEN: token });
const reason = ['--reason', 'week 2'];
const set = (args: string[], input?: string) =>
  crossfade(['user', 'set', ...args, ...reason], { cwd: side.dir, env: env(), input });
const known = async (...names: string[]) => {
  for (const name of names) await move(side.url, `${name}@example.com`, { phase: 'legacy', reason: 'made known' });
};
const phases = () =>
  [...side.users.all()].filter(({ own }) => !own).map(({ jid, phase }) => `${jid.split('@')[0]} ${phase}`);

test('more than one are only listed: from where, to where, and why not; with the command that does it', async () => {
  await known('bob');
  await move(side.url, 'carol@example.com', { phase: 'mqtt', reason: 'pilot' });
  await waitUntil(() => side.users.get('carol@example.com')?.moving === undefined);
  const jids = ['bob@example.com', 'Carol@example.com', 'dave@example.com', 'bot@gw.example.com', 'eve@example.org'];
  const { code, out, err } = await set([...jids, 'mqtt']);
  expect(code).toBe(1);
  expect(out.split('\n').map((line) => line.trimEnd())).toEqual([
    'USER                FROM    TO    NOTE',
    'bob@example.com     legacy  mqtt  -',
    'carol@example.com   mqtt    -     there already',
    'dave@example.com    legacy  mqtt  not known yet',
    "bot@gw.example.com  -       -     lives on the gateway's own domain and is always in phase mqtt",
    'eve@example.org     -       -     is not on example.com',
    '',
    '2 users would be moved to mqtt, 1 would stay as they are and 2 cannot be moved.',
    '',
  ]);
  expect(err).toBe(
    `Nothing was changed. To do it:\n  crossfade user set ${jids.join(' ')} mqtt --reason 'week 2' --yes\ncrossfade: 2 of 5 users cannot be moved to mqtt\n`,
  );
  expect(phases()).toEqual(['bob legacy', 'carol mqtt']);
});

test('--yes moves them, goes on after a failure, and sums up', async () => {
  side.attach = async (user) => {
    if (user.startsWith('ghost'))
      return { kind: 'refused', condition: 'item-not-found', text: 'there is no such account' };
    return { kind: 'attached', jid: `${user}/mqtt` };
  };
  const jids = ['bob@example.com', 'ghost@example.com', 'eve@example.org', 'dave@example.com'];
  const { code, out, err } = await set([...jids, 'mqtt', '--yes']);
  expect(out).toBe(
    `4 users to mqtt: 2 moved, 0 there already and 2 failed

failed:
  ghost@example.com  could not be moved to mqtt: there is no such account. The phase is legacy, as before.
  eve@example.org    is not on example.com
`,
  );
  expect({ code, err }).toEqual({ code: 1, err: 'crossfade: 2 of 4 users could not be moved to mqtt\n' });
  expect(phases()).toEqual(expect.arrayContaining(['bob mqtt', 'ghost legacy', 'dave mqtt']));
  const again = await set(['bob@example.com', 'dave@example.com', 'mqtt', '--yes', '--json']);
  expect(again).toMatchObject({ code: 0, err: '' });
  expect(JSON.parse(again.out)).toEqual({
    ...{ phase: 'mqtt', dryRun: false },
    users: ['bob', 'dave'].map((name) => ({ jid: `${name}@example.com`, result: 'already' })),
  });
});

test('users come from a file, from standard input and from a pattern, each once; # begins a comment', async () => {
  await known('anna', 'arno', 'zoe');
  writeFileSync(
    join(side.dir, 'cohort.txt'),
    '# the pilots\nbob@example.com\n\ncarol@example.com  # from sales\r\nbob@example.com\n',
  );
  const named = async (args: string[], input?: string) => {
    const { out } = await set([...args, '--json'], input);
    return JSON.parse(out).users.map(({ jid }: { jid: string }) => jid.split('@')[0]);
  };
  expect(await named(['mqtt', '--file', 'cohort.txt'])).toEqual(['bob', 'carol']);
  expect(await named(['-', 'mqtt'], 'x@example.com\ny@example.com')).toEqual(['x', 'y']);
  expect(await named(['mqtt', '--file', '-'], 'x@example.com\ny@example.com')).toEqual(['x', 'y']);
  expect(await named(['mqtt', '--match', 'a*@example.com'])).toEqual(['anna', 'arno']);
  expect(await named(['erin@example.com', 'mqtt', '--file', 'cohort.txt', '--match', 'z*'])).toEqual([
    ...['erin', 'bob', 'carol', 'zoe'],
  ]);
});

test('one user in a file is moved at once, as one that is named', async () => {
  writeFileSync(join(side.dir, 'one.txt'), 'bob@example.com\n');
  expect(await set(['mqtt', '--file', 'one.txt'])).toEqual({
    ...{ code: 0, out: 'bob@example.com is in phase mqtt\n', err: '' },
  });
});

const usage = [
  { args: ['mqtt'], code: 64, err: 'name the users, and as the last word the phase' },
  { args: ['mqtt', 'bob@example.com'], code: 64, err: 'the phase is the last word' },
  { args: ['mqtt', '--file', 'none.txt'], code: 64, err: 'none.txt cannot be read (ENOENT)' },
  { args: ['mqtt', '--match', 'nobody*'], code: 1, err: 'no known user fits nobody*' },
  { args: ['bob@example.com', 'carol@example.com'], code: 64, err: 'there is no phase "carol@example.com"' },
  { args: ['a@example.com', 'b@example.com', 'mqtt', '--concurrency', '0'], code: 64, err: 'at least 1' },
];
test.each(usage)('user set $args ends with $code: $err', async ({ args, code, err }) => {
  const ended = await set(args);
  expect(ended).toMatchObject({ code, out: '' });
  expect(ended.err).toContain(err);
});

test('a pattern is never taken for all: without --yes nothing is moved, with it only those that fit', async () => {
  await known('anna', 'arno', 'bob');
  await set(['mqtt', '--match', '*']);
  expect(phases().every((one) => one.endsWith(' legacy'))).toBe(true);
  expect((await set(['mqtt', '--match', 'a*', '--yes'])).out).toContain('2 users to mqtt: 2 moved');
  expect(phases().sort()).toEqual(['anna mqtt', 'arno mqtt', 'bob legacy']);
});

test('no more moves are under way than --concurrency says', async () => {
  const server = Promise.withResolvers<void>();
  let asked = 0;
  side.attach = async (user) => {
    asked++;
    await server.promise;
    return { kind: 'attached', jid: `${user}/mqtt` };
  };
  const jids = Array.from({ length: 5 }, (_, index) => `user${index}@example.com`);
  const done = set([...jids, 'mqtt', '--yes', '--concurrency', '2']);
  await waitUntil(() => asked === 2);
  // The third would come at once if it were to come.
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(asked).toBe(2);
  server.resolve();
  expect((await done).code).toBe(0);
  expect(asked).toBe(5);
});

test('what is still under way after --timeout is named, and the exit code is 3; --no-wait does not wait', async () => {
  const server = Promise.withResolvers<{ kind: 'attached'; jid: string }>();
  side.attach = (user) =>
    user.startsWith('slow') ? server.promise : Promise.resolve({ kind: 'attached', jid: `${user}/mqtt` });
  const users = ['slow@example.com', 'bob@example.com', 'mqtt', '--yes'];
  const late = await set([...users, '--timeout', '1']);
  expect(late.code).toBe(3);
  expect(late.out).toContain('2 users to mqtt: 1 moved, 0 there already, 0 failed and 1 still under way\n');
  expect(late.out).toContain('still under way, in the gateway:\n  slow@example.com\n');
  const atOnce = await set([...users, '--no-wait']);
  expect(atOnce).toMatchObject({ code: 0, out: expect.stringContaining('1 there already, 0 failed and 1 still') });
  server.resolve({ kind: 'attached', jid: 'slow@example.com/mqtt' });
});

test('Ctrl-C says what was done, what goes on and how to go on; the same command again does the rest', async () => {
  const server = Promise.withResolvers<void>();
  let asked = 0;
  side.attach = async (user) => {
    asked++;
    if (!user.startsWith('bob')) await server.promise;
    return { kind: 'attached', jid: `${user}/mqtt` };
  };
  const jids = ['bob', 'carol', 'dave', 'erin'].map((name) => `${name}@example.com`);
  const args = ['user', 'set', ...jids, 'mqtt', '--yes', '--concurrency', '2', ...reason];
  const child = start(args, { cwd: side.dir, env: env() });
  let err = '';
  child.stderr?.on('data', (text) => (err += text));
  await waitUntil(() => asked >= 3);
  child.kill('SIGINT');
  const [code] = await once(child, 'close');
  expect({ code, err }).toEqual({
    code: 130,
    err: '1 of 4: 1 moved, 0 there already, 0 failed; 2 under way. What is under way goes on in the gateway; the same command again does the rest.\n',
  });
  expect(side.users.get('erin@example.com')).toBeUndefined();
  server.resolve();
  const again = await set([...jids, 'mqtt', '--yes']);
  expect(again.code).toBe(0);
  expect(phases().every((one) => one.endsWith(' mqtt'))).toBe(true);
});

test('--legacy-login steers the legacy clients of one user, alone or with a move, and of many only with --yes', async () => {
  const alone = await set(['bob@example.com', '--legacy-login', 'deny']);
  expect(alone).toMatchObject({
    code: 0,
    out: 'bob@example.com: legacy clients may not log in while the user is in phase mqtt\n',
  });
  const moved = await set(['bob@example.com', 'mqtt', '--legacy-login', 'default']);
  expect(moved.out).toBe(
    'bob@example.com: what the configuration says about legacy clients counts again\nbob@example.com is in phase mqtt\n',
  );
  const many = ['bob@example.com', 'carol@example.com'];
  const listed = await set([...many, '--legacy-login', 'notify']);
  expect(listed.out).toBe('Legacy login would be set to notify for 2 users.\n');
  expect(listed.err).toContain('--legacy-login notify');
  const logins = () => many.map((jid) => side.users.get(jid)?.legacyLogin);
  expect(logins()).toEqual([undefined, undefined]);
  const done = await set([...many, 'eve@example.org', '--legacy-login', 'notify', '--yes']);
  expect(done).toMatchObject({ code: 1, err: expect.stringContaining('eve@example.org is not on example.com') });
  expect(logins()).toEqual(['notify', 'notify']);
  expect((await set(['bob@example.com', '--legacy-login', 'forbid'])).code).not.toBe(0);
});
