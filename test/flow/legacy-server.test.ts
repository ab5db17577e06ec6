// The attach link as migration sees it: a session is the user's own, or none.

import { expect, test } from 'vitest';
import { legacyServer } from '../../src/flow/legacy-server.ts';
import type { Attached, AttachRequest, Link } from '../../src/xmpp/link.ts';

/** A server that folds as stringprep does, with what it was asked. */
function server(sessions: string[] = []) {
  const asked: string[] = [];
  const link: Pick<Link, 'attach' | 'detach'> = {
    async attach([request]) {
      const { user, presence } = request as AttachRequest;
      asked.push(`attach ${user} ${presence ? 'shown' : 'silent'}`);
      const jid = `${user.replaceAll('ß', 'ss')}@example.com/mqtt`;
      const resumed = sessions.includes(jid);
      if (!resumed) sessions.push(jid);
      return [{ kind: 'attached', jid, resumed } satisfies Attached];
    },
    async detach(jid) {
      asked.push(`detach ${jid}`);
      return { kind: 'detached', h: 0, returned: 0 };
    },
  };
  return { asked, attach: legacyServer(link as Link, 'mqtt').attach };
}
const shown = {};

test('an account with another name on the server is refused by that name, and its session ended before anything came to it', async () => {
  const { asked, attach } = server();
  expect(await attach('straße@example.com', shown)).toMatchObject({
    kind: 'refused',
    text: 'to the server straße@example.com is strasse@example.com: move that user',
  });
  expect(asked).toEqual(['attach straße silent', 'detach strasse@example.com/mqtt']);
});

test('the session of a user who really has that name stays', async () => {
  const { asked, attach } = server(['strasse@example.com/mqtt']);
  expect(await attach('straße@example.com', shown)).toMatchObject({ kind: 'refused' });
  expect(asked).toEqual(['attach straße silent']);
});

test('in ASCII one request makes and shows the session; beyond it shows itself when its name is known, and is as new', async () => {
  const { asked, attach } = server();
  expect(await attach('bob@example.com', shown)).toMatchObject({ jid: 'bob@example.com/mqtt', resumed: false });
  expect(await attach('jürgen@example.com', shown)).toMatchObject({ jid: 'jürgen@example.com/mqtt', resumed: false });
  expect(await attach('д@example.com', null)).toMatchObject({ kind: 'attached' });
  expect(asked).toEqual(['attach bob shown', 'attach jürgen silent', 'attach jürgen shown', 'attach д silent']);
});
