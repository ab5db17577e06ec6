// Play: the ways in for client sessions, on real servers: TLS from the first byte or later, a password, or a token of ejabberd's.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../src/clock.ts';
import { credentialSource } from '../../src/credentials.ts';
import { ArchiveVisit } from '../../src/xmpp/archive-visit.ts';
import type { ClientTarget } from '../../src/xmpp/client-stream.ts';
import type { Credential } from '../../src/xmpp/sasl.ts';
import { type Ejabberd, startEjabberd } from '../harness/ejabberd.ts';
import type { LegacyServer } from '../harness/legacy-server.ts';
import { startProsody } from '../harness/prosody.ts';

const options = {
  ...{ accounts: { bob: 'pw' }, components: [{ domain: 'gw.example.com', secret: 's' }] },
  ...{ attach: false, archive: true, tls: true },
};
const password = { password: 'pw' };

/** A login, and one question through it. */
async function visit(server: LegacyServer, credential: Credential, how: Partial<ClientTarget> = {}, user = 'bob') {
  const port = how.security === 'direct' ? server.directPort! : server.c2sPort;
  const ca = await readFile(server.ca!, 'utf8');
  const target: ClientTarget = { host: '127.0.0.1', domain: 'example.com', security: 'starttls', port, ca, ...how };
  const login = { user, credential };
  const asked = { limits: {}, wish: 'end', onMessage() {}, onSkipped() {}, clock: systemClock } as const;
  return new ArchiveVisit({ ...asked, target, login, user: `${user}@example.com` }).result;
}

const read = { kind: 'read', next: { since: 0 } };
const closed = (by: string) => ({ kind: 'closed', closed: expect.objectContaining({ by }) });

describe.each([
  { name: 'Prosody', start: () => startProsody(options) },
  { name: 'ejabberd', start: () => startEjabberd({ ...options, tokens: true }) },
])('$name', ({ name, start }) => {
  let server: LegacyServer;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server?.stop());

  test.each(['starttls', 'direct'] as const)('lets a client in with TLS by %s', async (security) => {
    expect(await visit(server, password, { security })).toEqual(read);
  });

  test.each(['starttls', 'direct'] as const)(
    'with a certificate of an unknown authority no password is sent (%s)',
    async (security) => {
      const refused = await visit(server, password, { security, ca: undefined });
      expect(refused).toEqual(closed('insecure'));
      expect(refused).toMatchObject({ closed: { text: 'self-signed certificate' } });
    },
  );

  test('with a certificate for another domain no password is sent', async () => {
    expect(await visit(server, password, { domain: 'example.org', security: 'direct' })).toEqual(closed('insecure'));
  });

  test('a wrong password and the port of another kind are told apart', async () => {
    expect(await visit(server, { password: 'no' })).toEqual(closed('auth'));
    expect(await visit(server, password, { port: server.componentPort })).toEqual(closed('stream-error'));
  });

  if (name !== 'ejabberd') return;

  test('a token that its API has issued lets the user in, and nobody else', async () => {
    const { tokenUrl } = server as Ejabberd;
    const source = credentialSource({ command: [], ejabberd: tokenUrl, timeout: 5_000 });
    const answer = await source('bob@example.com');
    expect(answer.kind).toBe('found');
    const { credential } = answer as { credential: Credential };
    for (const security of ['starttls', 'direct'] as const)
      expect(await visit(server, credential, { security })).toEqual(read);
    expect(await visit(server, credential, {}, 'carol')).toEqual(closed('auth'));
    expect(await visit(server, { token: 'made up' })).toEqual(closed('auth'));
    // It would issue one for anybody, and let it in.
    expect(await source('stranger@example.com')).toEqual({
      kind: 'absent',
      text: 'ejabberd has no account stranger@example.com',
    });
  });

  test('where it has the login for tokens switched off, as in Debian’s configuration, that is said', async () => {
    const off = await startEjabberd({ ...options, tokens: true });
    try {
      const file = join(off.dir, 'ejabberd.yml');
      await writeFile(file, `disable_sasl_mechanisms: [ digest-md5, X-OAUTH2 ]\n${await readFile(file, 'utf8')}`);
      await off.eval('ok = ejabberd_config:reload()');
      const text = expect.stringMatching(/no login for a token \(X-OAUTH2\), only: .*SCRAM-SHA-1/);
      const refused = { kind: 'closed', closed: { by: 'auth', condition: 'invalid-mechanism', text } };
      expect(await visit(off, { token: 'any' })).toEqual(refused);
      expect(await visit(off, password)).toEqual(read);
    } finally {
      await off.stop();
    }
  });

  test('what its API refuses is said with what to do', async () => {
    const { tokenUrl } = server as Ejabberd;
    const said = (url: string | undefined) =>
      credentialSource({ command: [], ejabberd: url, timeout: 5_000 })('bob@example.com');
    expect(await said(`${tokenUrl}/x`)).toMatchObject({
      kind: 'later',
      text: expect.stringMatching(/refuses check_account: status 4/),
    });
  });
});
