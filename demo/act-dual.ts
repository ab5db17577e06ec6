// Act 3: Bob tries the app beside his laptop; whatever is said comes once to each.

import { alice, bob, type Cast, operate } from './cast.ts';
import { eventually, say } from './people.ts';

/** How many messages each of them sent. */
export interface Said {
  alice: number;
  laptop: number;
  phone: number;
}

/** Resolves to what was said. */
export async function sideBySide(cast: Cast): Promise<Said> {
  const { screen, phone, bob: laptop } = cast;
  screen.act('Bob tries the app, and keeps his laptop: phase dual');
  await operate(cast, ['user', 'set', bob, 'dual', '--reason', 'trying the app']);
  const before = { alice: cast.alice.bodies().length, laptop: laptop.bodies().length };
  const atPhone = () => [...phone.shown, ...phone.mirrored].map(({ body = '' }) => body);
  const atLaptop = () => laptop.bodies().slice(before.laptop);
  const atAlice = () => cast.alice.bodies().slice(before.alice);

  const asked = ['Have you got the new app?', 'Which one was that?'];
  const typed = 'Yes, but this I typed on the laptop.';
  const tapped = 'And this on the phone.';
  const ask = async (question: string, n: number) => {
    screen.says('Alice', question);
    await say(cast.alice, bob, question, `ask-${n}`);
    await eventually(() => atPhone().includes(question) && atLaptop().includes(question));
  };
  await ask(asked[0]!, 0);
  screen.says("Bob's laptop", typed);
  await say(laptop, alice, typed, 'typed');
  await eventually(() => atAlice().includes(typed) && atPhone().includes(typed));
  await ask(asked[1]!, 1);
  screen.says("Bob's phone", tapped);
  phone.send(alice, tapped);
  await eventually(() => atAlice().includes(tapped) && atPhone().includes(tapped) && phone.idle);

  const all = [...asked, typed, tapped];
  const once = (bodies: string[], expected: string[]) =>
    expected.filter((text) => bodies.filter((body) => body === text).length === 1).length;
  screen.count({ what: 'on the phone, once each', actual: once(atPhone(), all), expected: all.length });
  screen.count({
    what: "Alice's on the laptop, once each",
    actual: once(atLaptop(), asked),
    expected: asked.length,
  });
  screen.count({ what: "Bob's at Alice, once each", actual: once(atAlice(), [typed, tapped]), expected: 2 });
  return { alice: asked.length, laptop: 1, phone: 1 };
}
