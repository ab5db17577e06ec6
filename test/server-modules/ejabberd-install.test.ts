// The way of docs/servers/ejabberd.md on a real ejabberd that runs: the module's folder is installed, the printed lines are pasted, and the
// module is there without a restart; then it is taken out again.

import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { configLines } from '../../src/doctor/print-config.ts';
import { type Ejabberd, startEjabberd } from '../harness/ejabberd.ts';
import { freePorts } from '../harness/ports.ts';
import { RawComponent } from '../harness/raw-component.ts';

const secret = 'not-a-real-secret';
const domain = 'gw.example.com';
const source = fileURLToPath(new URL('../../server-modules/ejabberd/mod_crossfade_attach', import.meta.url));

test('the module is installed, configured with the printed lines and removed while ejabberd runs', async () => {
  const components = [{ domain: 'other.example.com', secret }];
  const ejabberd = await startEjabberd({ accounts: { bob: 'bob' }, components, attach: false, bare: true });
  try {
    await install(ejabberd);
    const [port] = (await freePorts(1)) as [number];
    const before = await paste(ejabberd, port);
    const gateway = await RawComponent.open({ port, domain, secret });
    expect(await gateway.hello()).toMatchObject({ h: 0, sessions: 0 });
    expect((await gateway.attach('bob')).attrs.jid).toBe('bob@example.com/mqtt');
    const { attrs } = (await gateway.iq(`<about xmlns='urn:crossfade:attach:1'/>`, 'get')).children[0]!;
    expect(attrs).toMatchObject({ 'stanza-limit': '1048576', 'resume-timeout': '3600', 'max-unacked': '20000' });
    expect(attrs.s2s).toBeUndefined();

    await writeFile(join(ejabberd.dir, 'ejabberd.yml'), before);
    await ejabberd.eval('ok = ejabberd_config:reload()');
    await gateway.closed;
    await ejabberd.eval('ok = ext_mod:uninstall(<<"mod_crossfade_attach">>)');
    await ejabberd.eval('false = gen_mod:is_loaded(<<"example.com">>, mod_crossfade_attach)');
    expect((await ejabberd.log()).match(/\[error\].*crossfade.*/g)).toBeNull();
  } finally {
    await ejabberd.stop();
  }
});

/** As `ejabberdctl module_install mod_crossfade_attach` does it: compiled by ejabberd itself, from its folder of sources. */
async function install(ejabberd: Ejabberd): Promise<void> {
  const sources = join(ejabberd.dir, 'modules', 'sources');
  await mkdir(sources, { recursive: true });
  await cp(source, join(sources, 'mod_crossfade_attach'), { recursive: true });
  await ejabberd.eval('ok = ext_mod:install(<<"mod_crossfade_attach">>)');
}

/** Adds the printed lines to ejabberd.yml and has them read; gives the file as it was. */
async function paste(ejabberd: Ejabberd, port: number): Promise<string> {
  const file = join(ejabberd.dir, 'ejabberd.yml');
  const before = await readFile(file, 'utf8');
  const config = parse(before);
  const xmpp = {
    attach: { kind: 'module' },
    domain: 'example.com',
    component: { host: '127.0.0.1', port, domain },
    maxStanzaBytes: 262_144,
  };
  const printed = parse(configLines.ejabberd({ xmpp } as never).replace('"…"', JSON.stringify(secret)));
  await writeFile(file, stringify({ ...config, ...printed, listen: [...config.listen, ...printed.listen] }));
  await ejabberd.eval('ok = ejabberd_config:reload()');
  return before;
}
