// What goes wrong inside ejabberd, and must not harm anybody else: a session that hangs, a fault in the module's own process, senders that are
// slower than a flush.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Ejabberd, startEjabberd } from '../harness/ejabberd.ts';
import { AVAILABLE, NS, RawComponent } from '../harness/raw-component.ts';

const secret = 'not-a-real-secret';
const domain = 'gw.example.com';
const BOB = 'bob@example.com/mqtt';
const server = 'whereis(gen_mod:get_module_proc(<<"example.com">>, mod_crossfade_attach_server))';
const session = 'ejabberd_sm:get_session_pid(<<"bob">>, <<"example.com">>, <<"mqtt">>)';

/** So many requests wait for the module's process. The requests alone: a timer of before may have its say meanwhile. */
const untilAsked = (count: number) => {
  const requests = `[R || {'$gen_cast', {request, _, _} = R} <- element(2, erlang:process_info(${server}, messages))]`;
  return `(fun F(0) -> exit(timeout); F(N) -> case length(${requests}) of ${count} -> ok; _ -> timer:sleep(5), F(N - 1) end end)(2000)`;
};

let ejabberd: Ejabberd;
let gateway: RawComponent;

beforeAll(async () => {
  const accounts = { bob: 'bob', carol: 'carol' };
  ejabberd = await startEjabberd({ accounts, components: [{ domain, secret }], attachers: [domain] });
  gateway = await RawComponent.open({ port: ejabberd.componentPort, domain, secret });
  await gateway.hello();
});
afterAll(async () => {
  await gateway?.kill();
  await ejabberd?.stop();
});

test('a session that hangs at its end holds up what is asked for others only for a while, and its own end is kept track of', async () => {
  await gateway.attach('bob', { presence: AVAILABLE });
  await ejabberd.eval(`register(hanging, ${session}), sys:suspend(hanging)`);
  const detached = gateway.detach(BOB);
  expect((await gateway.attach('carol')).attrs.jid).toBe('carol@example.com/mqtt');
  expect((await detached).children[0]?.attrs.jid).toBe(BOB);
  await ejabberd.eval('[_] = mod_crossfade_attach_table:attached(<<"example.com">>, <<"bob">>)');
  await ejabberd.eval('sys:resume(hanging)');
  await ejabberd.settle();
  await ejabberd.eval('[] = mod_crossfade_attach_table:attached(<<"example.com">>, <<"bob">>)');
  expect((await gateway.attach('bob')).attrs.jid).toBe(BOB);
});

test("a fault in the module's own process ends neither that nor any session", async () => {
  await gateway.attach('bob');
  await ejabberd.eval(`persistent_term:put(server, ${server})`);
  const damage = 'fun(S) -> put(kept, S), setelement(9, setelement(6, S, broken), x) end';
  await ejabberd.eval(`sys:replace_state(${server}, ${damage}), ${server} ! expired`);
  await ejabberd.eval(`sys:replace_state(${server}, fun(_) -> get(kept) end)`);
  await ejabberd.eval(`true = ${server} =:= persistent_term:get(server)`);
  expect((await gateway.attach('bob')).attrs).toMatchObject({ jid: BOB, resumed: '1' });
});

test('an attach that makes the module fail is refused, and harms none of those beside it', async () => {
  await gateway.detach(BOB);
  await gateway.detach('carol@example.com/mqtt');
  const damage = 'fun(S) -> setelement(12, S, #{{<<"carol">>, <<"mqtt">>} => nobody}) end';
  await ejabberd.eval(`sys:replace_state(${server}, ${damage})`);
  const asked = ['bob', 'carol'].map((user) => `<attach xmlns='${NS}' user='${user}' resource='mqtt'/>`);
  const [attached, refused] = (await gateway.iq(asked.join(''))).children;
  expect(attached?.attrs).toMatchObject({ jid: BOB });
  expect([refused?.name, refused?.attrs.condition]).toEqual(['refused', 'internal-server-error']);
  expect((await gateway.attach('bob')).attrs).toMatchObject({ jid: BOB, resumed: '1' });
});

test('an attach whose link ends before its session is there is refused, and the connection goes on', async () => {
  await gateway.detach(BOB);
  await ejabberd.settle();
  await ejabberd.eval(`sys:suspend(${server})`);
  const asked = Promise.all([
    gateway.iq(`<attach xmlns='${NS}' user='bob' resource='mqtt'/>`),
    gateway.hello('another-life', 0),
  ]);
  await ejabberd.eval(untilAsked(2));
  await ejabberd.eval(`sys:resume(${server})`);
  const [{ children }] = await asked;
  expect(children.map(({ name, attrs }) => [name, attrs.condition])).toEqual([['refused', 'recipient-unavailable']]);
  expect((await gateway.attach('bob')).attrs).toMatchObject({ jid: BOB });
});

/** A message in Erlang. */
const said = (body: string, to: string) =>
  `xmpp:set_from_to(xmpp:decode(fxml_stream:parse_element(<<"<message xmlns='jabber:client' type='chat' id='${body}'><body>${body}</body></message>">>),` +
  ` <<"jabber:client">>, []), jid:decode(<<"alice@example.com/desk">>), jid:decode(<<"${to}">>))`;
/** What a sender's process does that has found no session of the user. */
const stored = (body: string, to: string) =>
  `ejabberd_hooks:run_fold(offline_message_hook, <<"example.com">>, {bounce, ${said(body, to)}}, [])`;

test('what a slow sender stores offline, though the session is there by then, comes to it at once, and before what it says next', async () => {
  await gateway.attach('bob');
  await gateway.send(BOB, 'here', AVAILABLE);
  await ejabberd.eval(
    `${stored('slow', 'bob@example.com')}, ejabberd_router:route(${said('next', 'bob@example.com')})`,
  );
  await gateway.deliveryOf('next');
  expect(gateway.bodies(BOB)).toEqual(['slow', 'next']);
});

test('what is stored while somebody flushes is not deleted with what was flushed', async () => {
  const carol = '{<<"carol">>, <<"example.com">>}';
  const flush = `mnesia:wread({offline_msg, ${carol}}), Self ! reading, timer:sleep(300), mnesia:delete({offline_msg, ${carol}})`;
  const begin = `Self = self(), spawn(fun() -> mnesia:transaction(fun() -> ${flush} end), Self ! flushed end), receive reading -> ok end`;
  await ejabberd.eval(`${begin}, {offlined, _} = ${stored('beside', 'carol@example.com')}, receive flushed -> ok end`);
  await ejabberd.eval(`[_] = mod_offline_mnesia:read_all_messages(<<"carol">>, <<"example.com">>)`);
});

test('what is given back to a user with one stamp has rising times, and of users beyond the last 10,000 nothing is kept for that', async () => {
  const rising = 'R = fun(U) -> mod_crossfade_attach_back:rising(U, {1, 2, 999998}) end';
  const first = '{1, 2, 999998} = R(<<"u">>), {1, 2, 999999} = R(<<"u">>), {1, 3, 0} = R(<<"u">>)';
  const others = '[R(integer_to_binary(N)) || N <- lists:seq(1, 10000)]';
  await ejabberd.eval(`${rising}, ${first}, ${others}, {1, 2, 999998} = R(<<"u">>)`);
});

test('after hello what ejabberd itself sends the component comes on this connection, though the one before has not ended yet', async () => {
  // Each of them may go to either; all of twenty by chance to the right one: never.
  const bodies = Array.from({ length: 20 }, (_, at) => `own ${at}`);
  await ejabberd.eval(
    `[R] = mnesia:dirty_read(route, <<"${domain}">>), register(before, element(4, R)), sys:suspend(before)`,
  );
  const next = await RawComponent.open({ port: ejabberd.componentPort, domain, secret });
  await next.hello();
  for (const body of bodies) await ejabberd.eval(`ejabberd_router:route(${said(body, `bot@${domain}`)})`);
  await Promise.all(bodies.map((body) => next.inbox.first(body, (stanza) => stanza.getChildText('body') === body)));
  await ejabberd.eval('sys:resume(before)');
  await gateway.closed;
  gateway = next;
  await gateway.fence();
});

test('ten thousand ends are told in portions, so that ejabberd does not end the connection', async () => {
  const { epoch, h } = await gateway.hello();
  await gateway.kill();
  await ejabberd.untilAway(domain);
  const ended =
    'mod_crossfade_attach_link:ended(<<"u", (integer_to_binary(I))/binary, "@example.com/x">>, 0, <<"deleted">>, L)';
  const all = `setelement(6, S, lists:foldl(fun(I, L) -> ${ended} end, element(6, S), lists:seq(1, 10000)))`;
  await ejabberd.eval(`sys:replace_state(${server}, fun(S) -> ${all} end)`);
  gateway = await RawComponent.open({ port: ejabberd.componentPort, domain, secret });

  // What the module gives the connection in one go is what waits for it, if it does nothing meanwhile.
  await ejabberd.eval(`sys:suspend(${server})`);
  const welcome = gateway.hello(epoch, h);
  await ejabberd.eval(
    `${untilAsked(1)}, [R] = mnesia:dirty_read(route, <<"${domain}">>), register(now, element(4, R))`,
  );
  await ejabberd.eval(`erlang:suspend_process(whereis(now)), sys:resume(${server}), sys:get_state(${server})`);
  await ejabberd.eval('{_, Waiting} = process_info(whereis(now), message_queue_len), true = Waiting < 2000');
  await ejabberd.eval('erlang:resume_process(whereis(now))');
  await welcome;
  await gateway.inbox.until('all of them', () => gateway.inbox.all.length === 10_000 || undefined);
  const told = gateway.inbox.all.flatMap((stanza) => stanza.getChild('detached')?.attrs.jid ?? []);
  expect(new Set(told).size).toBe(10_000);
  await gateway.fence();
});
