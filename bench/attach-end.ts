// A process: the gateway's end of the attach protocol and nothing behind it; takes and acknowledges, or sends. What it costs is the server's.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { answerCalls, Counter, now } from './child.ts';
import { Check, domainOf, friendOf, host, type Load, localOf, stanzaOf, userOf } from './traffic.ts';

const attachNs = 'urn:crossfade:attach:1';
const domain = domainOf('bare');
/** Requests that may be unanswered, as in the gateway. */
const window = 500;
const attachesInOne = 50;

let socket: Socket;
let epoch = '';
let unread = '';
let arrived: string[] = [];
let requests: string[] = [];
let unanswered = 0;
let goOn = () => {};
let arrival = Promise.resolve(0);
const counter = new Counter();

const iq = (id: string, request: string) => `<iq type='set' id='${id}' from='${domain}' to='${host}'>${request}</iq>`;

/** Whole tags only; what comes is counted and kept, each piece is acknowledged once. */
function read(text: string): void {
  unread += text;
  const end = unread.lastIndexOf('>') + 1;
  const piece = unread.slice(0, end);
  unread = unread.slice(end);
  const last = piece.lastIndexOf(" n='");
  if (last >= 0) socket.write(iq('a', `<a xmlns='${attachNs}' epoch='${epoch}' h='${textAt(piece, last + 4)}'/>`));
  const delivered = occurrences(piece, '</d>');
  if (delivered > 0) arrived.push(piece);
  counter.add(delivered);
  unanswered -= occurrences(piece, " id='s");
  if (unanswered <= window / 2) goOn();
}

function textAt(text: string, at: number): string {
  return text.slice(at, text.indexOf("'", at));
}

function occurrences(text: string, part: string): number {
  let count = 0;
  for (let at = text.indexOf(part); at >= 0; at = text.indexOf(part, at + part.length)) count += 1;
  return count;
}

async function ask(text: string, until: string): Promise<string> {
  let answer = '';
  socket.write(text);
  while (!answer.includes(until)) answer += (await once(socket, 'data'))[0];
  return answer;
}

async function sendAll(): Promise<void> {
  for (const request of requests.splice(0)) {
    if (unanswered >= window) await new Promise<void>((resolve) => (goOn = resolve));
    unanswered += 1;
    socket.write(request);
  }
}

answerCalls({
  async open({ port, secret, owners }: { port: number; secret: string; owners: number }) {
    socket = connect(port, '127.0.0.1').setNoDelay(true).setEncoding('utf8');
    await once(socket, 'connect');
    const streams = "xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'";
    const opened = await ask(`<stream:stream ${streams} to='${domain}'>`, ' id=');
    const stream = /<stream:stream[^>]* id=['"]([^'"]+)/.exec(opened)?.[1];
    const proof = createHash('sha1').update(`${stream}${secret}`).digest('hex');
    await ask(`<handshake>${proof}</handshake>`, '<handshake');
    const welcome = await ask(iq('h', `<hello xmlns='${attachNs}' v='1'/>`), '<welcome');
    epoch = / epoch='([^']+)'/.exec(welcome)?.[1] ?? '';
    for (let from = 0; from < owners; from += attachesInOne) {
      const attaches = Array.from(
        { length: attachesInOne },
        (_, step) =>
          `<attach xmlns='${attachNs}' user='bare${localOf(from + step)}' resource='mqtt' carbons='1'>` +
          `<presence xmlns='jabber:client'><priority>0</priority></presence></attach>`,
      );
      await ask(iq(`t${from}`, attaches.join('')), `id='t${from}'`);
    }
    socket.on('data', (text) => read(String(text)));
  },
  prepare({ load }: { load: Load }) {
    requests = Array.from({ length: load.count }, (_, at) => {
      const from = `bare${localOf(userOf(load, at))}@${host}/mqtt`;
      const to = friendOf(at, load.friends);
      const stanza = stanzaOf({ tag: load.tag, at, to, more: ' xmlns="jabber:client"' }).replace(/ from="[^"]*"/, '');
      return iq(`s${at}`, `<send xmlns='${attachNs}' from='${from}' key='${load.tag}-${at}'>${stanza}</send>`);
    });
  },
  blast() {
    const startedAt = now();
    void sendAll();
    return startedAt;
  },
  expect({ count }: Load) {
    arrived = [];
    arrival = counter.until(count);
  },
  arrived: () => arrival,
  check(load: Load) {
    const check = new Check(load);
    for (const [, attributes, body] of arrived.join('').matchAll(/<message ([^>]*)><body>([^<]*)/g))
      check.take(/\bid=['"]([^'"]+)/.exec(attributes!)?.[1] ?? '', body!, 0);
    return check.verdict();
  },
});
