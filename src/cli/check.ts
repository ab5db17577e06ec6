// `crossfade check`: are configuration and mappings valid, is the gateway ready if it runs, and what would hurt on either side (`--live`)?

import { type Command, Option } from 'commander';
import type { Config } from '../config.ts';
import { brokerFindings } from '../doctor/broker-findings.ts';
import { type Finding, type Level, ok } from '../doctor/finding.ts';
import { configLines, printable } from '../doctor/print-config.ts';
import { makeLog } from '../log.ts';
import { compile } from '../mapping/compile.ts';
import { load } from '../mapping/load.ts';
import { type Client, Foreign, Unreachable } from './client.ts';
import { CliFault, exitCodes } from './exit.ts';
import { asksGateway, clientOf, examples } from './options.ts';
import { note, print, printBeside, printJson } from './output.ts';
import { showProgress } from './progress.ts';
import { type GatewayOptions, readConfig } from './settings.ts';
import { counted } from './words.ts';

interface Options extends GatewayOptions {
  json?: boolean;
  live?: boolean;
  app?: string;
  user?: string;
  printConfig?: (typeof printable)[number];
}

const about = `Checks the configuration and the mappings, their examples included, and asks the gateway, if it runs, whether both links stand and the ledger can be written.

With --live it looks at both sides, as a doctor does: the legacy server is asked over the gateway's own connection if it runs, else over one that is made for it (it ends no session; but a gateway that runs elsewhere with the same component would lose its connection for a moment). At the broker short connections try what the gateway's account may do, and with --app what an app may do, by small messages on channels that do not exist; 5,000 of them fill a queue of its own, to see how long queues may be, and are taken out again.

Each finding says what was found, why it matters, and what to type. The exit code is 1 if there is a fault; warnings do not count.`;

export function addCheck(program: Command): void {
  asksGateway(program.command('check'))
    .summary('check the configuration, and with --live both sides')
    .description(about)
    .option('--live', 'look at the legacy server and the broker as well')
    .option('--app <name>', "an app's user name at the broker, to try its rights (password: CROSSFADE_APP_PASSWORD)")
    .option('--user <jid>', 'with attach.kind client: log in as this user, with the credential the gateway would use')
    .addOption(
      new Option('--print-config <program>', 'print the lines to paste for this program, and check nothing').choices(
        printable,
      ),
    )
    .addHelpText(
      'after',
      examples([
        'crossfade check',
        'crossfade check --live --json',
        'CROSSFADE_APP_PASSWORD=… crossfade check --live --app bob',
        'crossfade check --print-config mosquitto',
      ]),
    )
    .action(check);
}

async function check(options: Options): Promise<void> {
  const { file, config, strange } = await readConfig(options.config);
  if (options.printConfig) return print(configLines[options.printConfig](config).trimEnd());
  const files = load(config.mappings);
  const { channels } = compile(files);
  const findings = [
    ok('configuration', `configuration: ${file ?? 'the environment alone'}`),
    ...strange.map(
      ({ name, hint }): Finding => ({
        ...{ id: 'configuration.variable', level: 'warning', what: `${name} is the variable of no key` },
        why: 'it counts for nothing, and what it was meant for is as the file or the default has it',
        todo: hint,
      }),
    ),
    ok('mappings', `mappings: ${files.length} files for the channels ${[...channels.keys()].join(', ')}`),
  ];
  const client = clientOf(options);
  const gateway = await lookAtGateway(client);
  findings.push(gateway.finding);
  if (options.live) findings.push(...(await lookAtBothSides(config, gateway.isRunning ? client : null, options)));
  if (options.json) printJson({ findings });
  else printFindings(findings, options.live === true);
  const faults = findings.filter(({ level }) => level === 'fault');
  if (faults.length > 0)
    throw new CliFault(
      exitCodes.failed,
      `${counted(faults.length, 'fault')}: ${faults.map(({ id }) => id).join(', ')}`,
    );
}

async function lookAtGateway(client: Client): Promise<{ isRunning: boolean; finding: Finding }> {
  const id = 'gateway';
  const answer = await client.ready().catch((error: unknown) => {
    if (error instanceof Unreachable) return error;
    throw error;
  });
  if (answer instanceof Foreign)
    return {
      isRunning: false,
      finding: {
        ...{ id, level: 'fault', what: answer.message },
        why: '`crossfade run` cannot listen there, and commands would ask somebody else',
        todo: 'admin.listen: another port, if it is to run here',
      },
    };
  if (answer instanceof Unreachable)
    return { isRunning: false, finding: { id, level: 'unknown', what: `gateway: none runs at ${client.url}` } };
  if (answer.status === 200) return { isRunning: true, finding: ok(id, `gateway: ready at ${client.url}`) };
  const down = Object.entries(answer.body).flatMap(([name, up]) => (up !== false || name === 'ready' ? [] : [name]));
  const why = answer.body.text === undefined ? '' : `; ledger: ${answer.body.text}`;
  const what = `the gateway at ${client.url} is not ready; down: ${down.join(', ') || `it answers with ${answer.status}`}${why}`;
  return {
    isRunning: true,
    finding: {
      ...{ id, level: 'fault', what },
      why: 'what comes waits where it is until both links stand and the ledger can be written',
      todo: 'its log says why; crossfade check --live looks further',
    },
  };
}

async function lookAtBothSides(config: Config, client: Client | null, { app, user }: Options): Promise<Finding[]> {
  const isClient = config.xmpp.attach.kind === 'client';
  if (user !== undefined && !isClient)
    throw new CliFault(exitCodes.usage, '--user is for xmpp.attach.kind: client; the module needs no login of users');
  // Loaded here, so that the plain check need not wait for all adapters.
  const { examineLegacyServer, examineUser, examineBrokerOf, examineQueue } = await import('../gateway-doctor.ts');
  const progress = showProgress(() => 'nothing was changed');
  const ask = async (method: 'get' | 'post', path: string) =>
    (await client![method]<{ items: Finding[] }>(`/api/v1/doctor${path}`, {})).items;
  try {
    progress.show('asking the legacy server …');
    const log = makeLog('silent');
    const server = client ? await ask('get', '') : await examineLegacyServer(config, { log });
    if (isClient) server.push(...(await examineUser(config, user)));
    if (config.mqtt.url === 'embedded:') return [...server, embedded];
    progress.show('trying the broker …');
    const broker = await lookAtBroker(config, app, examineBrokerOf);
    const isShut = ({ id, level }: Finding) => level === 'fault' && (id === 'broker.login' || id === 'broker.rights');
    if (broker.some(isShut)) return [...server, ...broker];
    progress.show('trying the queues of the broker …');
    return [...server, ...broker, ...(client ? await ask('post', '/queue') : await examineQueue(config))];
  } finally {
    progress.end();
  }
}

const embedded: Finding = {
  id: 'broker.embedded',
  level: 'warning',
  what: 'the broker inside the gateway',
  why: 'it keeps everything in memory: for trying out only',
  todo: 'mqtt.url: mqtt://host:1883',
};

async function lookAtBroker(
  config: Config,
  app: string | undefined,
  examine: typeof import('../gateway-doctor.ts').examineBrokerOf,
): Promise<Finding[]> {
  const { url, root, username } = config.mqtt;
  const password = process.env.CROSSFADE_APP_PASSWORD;
  if (app !== undefined && password === undefined)
    throw new CliFault(exitCodes.usage, '--app needs the password of that account in CROSSFADE_APP_PASSWORD');
  const facts = await examine(config, app === undefined ? undefined : { username: app, password: password ?? '' });
  return brokerFindings(facts, { url, root, username, maxStanzaBytes: config.xmpp.maxStanzaBytes, app });
}

const marks: Record<Level, string> = { ok: 'ok    ', warning: 'warn  ', fault: 'FAULT ', unknown: '-     ' };

function printFindings(findings: Finding[], isLive: boolean): void {
  for (const { level, what, why, todo } of findings) {
    printBeside(marks[level], what);
    if (why !== undefined) printBeside('        why: ', why);
    if (todo !== undefined) printBeside('         do: ', todo);
  }
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length;
  if (isLive) print(`\n${counted(count('fault'), 'fault')}, ${counted(count('warning'), 'warning')}.`);
  else note('Neither side was looked at: crossfade check --live does.');
}
