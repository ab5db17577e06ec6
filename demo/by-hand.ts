// After the story: the people stay, what they get is shown, and the reader is told what to try.

import { createInterface } from 'node:readline';
import { alice, bob, bobsPhone, type Cast, type Show } from './cast.ts';
import { bare, say } from './people.ts';

/** Bob's phone comes back, Alice answers whoever writes to her, and says to Bob what is typed here. */
export async function stay(cast: Cast): Promise<void> {
  const { talk } = cast;
  const phone = await bobsPhone(cast, true);
  phone.onShown = ({ from, body = '' }) => talk.show("Bob's phone", from, body);
  let answers = 0;
  talk.onMessage = (who, from, body) => {
    if (who === 'Alice') void say(cast.alice, bare(from), `You wrote: ${body}`, `answer-${++answers}`);
  };
  explain(cast);
  talk.open();
  let typed = 0;
  const lines = createInterface({ input: process.stdin, terminal: false });
  lines.on('line', (line) => void (line.trim() && say(cast.alice, bob, line, `typed-${++typed}`)));
}

function explain({ world, screen }: Show): void {
  const { dir, prosody, broker, gateway, passwords } = world;
  const { adminUrl } = gateway;
  const token = `${dir}/crossfade.sqlite.token`;
  screen.act('Your turn: everything stays up until Ctrl-C');
  screen.fact('XMPP', `127.0.0.1:${prosody.c2sPort}, without TLS`);
  for (const jid of [alice, bob]) screen.fact('', `${jid}, password ${passwords[jid.split('@')[0]!]}`);
  screen.fact('MQTT', `${broker.url}, topics chat/bob/#`);
  screen.fact('', `user bob, password ${passwords.bob}`);
  screen.fact('HTTP', `${adminUrl}: /metrics, /openapi.json, /readyz`);
  screen.fact('its token', token);
  screen.line('What you type here, Alice writes to Bob, and she answers whatever she gets.');
  screen.line('What people get shows here. In another terminal:');
  screen.command(`export PATH="${dir}:$PATH"`);
  screen.command(`crossfade user set ${bob} mqtt --reason "my turn"`);
  const account = `-h 127.0.0.1 -p ${broker.port} -u bob -P ${passwords.bob}`;
  screen.command(`mqtt sub ${account} -t 'chat/bob/in/#' -v`);
  const payload = `{"id":"try-1","to":"${alice}","type":"chat","body":"Hello"}`;
  screen.command(`mqtt pub ${account} -q 1 -t chat/bob/out/message -m '${payload}'`);
  screen.command(`crossfade user show ${bob}`);
  screen.command('crossfade ledger show try-1');
  screen.command(`curl -sS -H "Authorization: Bearer $(cat ${token})" ${adminUrl}/api/v1/users/${bob}`);
  screen.line('The other phases: docs/operating.md, "How a cutover goes". Without a gateway:');
  screen.command(`kill ${gateway.pid}; crossfade ledger return --all --offline; crossfade run`);
  screen.line();
}
