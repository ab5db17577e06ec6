// Flow, ledger and migration under a deterministic simulation (see run-seed.ts). A failing seed prints its story.

import { describe, expect, it } from 'vitest';
import { runSeed } from './run-seed.ts';
import * as sabotages from './sabotage.ts';

const seedsInTheSuite = 1_500;
const seedsPerTest = 100;
/** Faults we put in are found within so many seeds. */
const seedsToFind = 2_000;

/** Plays it; a fault is told with every step that led to it. */
async function expectAllWell(seed: number): Promise<void> {
  const { fault } = await runSeed(seed);
  if (fault === null) return;
  const { lines } = await runSeed(seed, { tellsStory: true });
  expect.fail(`seed ${seed}: ${fault}\n${lines.join('\n')}`);
}

describe('whatever fails, nothing accepted is lost, order is kept, and everything comes to its end', () => {
  for (let from = 0; from < seedsInTheSuite; from += seedsPerTest) {
    it(`in the stories of seeds ${from} to ${from + seedsPerTest - 1}`, { timeout: 60_000 }, async () => {
      for (let seed = from; seed < from + seedsPerTest; seed++) await expectAllWell(seed);
    });
  }
});

describe('faults that were found here stay mended', () => {
  it.each([
    [302807, 'what is asked for while the disk is full is written down under an epoch that is over'],
    [1556, 'what an app had acknowledged before a rollback comes to it again with the flush of offline storage'],
    [69, 'what an app had acknowledged before a rollback comes to it again from the archive'],
    [6012551, 'an operator sends to the app what has been handed back, as the answer to that was lost'],
    [6025224, 'a way back ends nothing that is left, as two moves came while it looked whether it should'],
    [6027395, 'an operator hands back what the end of the session is handing back'],
    [6039514, 'what an app sent while a way back was carried through under another move waits for ever'],
    [
      6043923,
      'what is handed back in a second epoch, from the same number as in the first, the server takes for a repeat',
    ],
    [7063721, 'a user is locked out in a new epoch before it has its session there'],
    [10112329, 'what the archive gave, handed back without its id, comes twice'],
    [14293, 'what an app writes to its own user comes twice, as the archive has it'],
    [1000070, 'what the broker drops as expired, of an app that has never acknowledged, is taken for its own'],
    [30099979, 'what may be missing is on disk when the gateway dies, and told nowhere once there is more of it'],
    [32001090, 'what an app sent, and the server has unproved when the gateway dies, is called expired'],
    [40051340, 'in dual a session for sending only is taken for one that gets what comes, so there are no copies'],
    [
      41101644,
      'what the server takes back at the end of a session, while another move is under way, is nothing to the apps',
    ],
    [41105688, 'an operator who asks in vain again and again keeps a deadly message going'],
  ])('seed %i: %s', async (seed) => {
    await expectAllWell(seed);
  });
});

describe('the simulation can fail', () => {
  it.each(Object.entries(sabotages))('it finds a gateway that %s', { timeout: 180_000 }, async (_name, sabotage) => {
    for (let seed = 0; seed < seedsToFind; seed++) {
      const { fault } = await runSeed(seed, { sabotage });
      if (fault !== null) return;
    }
    expect.fail(`${seedsToFind} seeds and nothing was noticed`);
  });

  it('and tells the same story again, step by step', async () => {
    const first = await runSeed(7, { tellsStory: true, sabotage: sabotages.forgetsMessages });
    const second = await runSeed(7, { tellsStory: true, sabotage: sabotages.forgetsMessages });
    expect(first.lines.length).toBeGreaterThan(10);
    expect(second).toEqual(first);
  });
});
