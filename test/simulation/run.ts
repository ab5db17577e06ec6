// Command line: node test/simulation/run.ts --from 0 --count 5000, --until-broken to stop at the first fault; or --story SEED for one seed step by step.

import { parseArgs } from 'node:util';
import { runSeed } from './run-seed.ts';

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: '0' },
    count: { type: 'string', default: '1000' },
    story: { type: 'string' },
    'until-broken': { type: 'boolean', default: false },
  },
});
const print = (line: string) => process.stdout.write(`${line}\n`);

if (values.story !== undefined) {
  const { lines, fault, messages, lives } = await runSeed(Number(values.story), { tellsStory: true });
  for (const line of lines) print(line);
  print(`seed ${values.story}: ${fault ?? 'all well'} (${messages} messages, ${lives} lives of the gateway)`);
  process.exitCode = fault === null ? 0 : 1;
} else {
  const [from, count] = [Number(values.from), Number(values.count)];
  const begun = performance.now();
  let [broken, messages, lives] = [0, 0, 0];
  for (let seed = from; seed < from + count; seed++) {
    const story = await runSeed(seed);
    messages += story.messages;
    lives += story.lives;
    if (story.fault === null) continue;
    broken++;
    print(`seed ${seed}: ${story.fault}`);
    if (values['until-broken']) break;
  }
  const perMinute = Math.round((count / (performance.now() - begun)) * 60_000);
  print(`${count} seeds, ${messages} messages, ${lives} lives, ${perMinute} seeds/min, ${broken} broken`);
  process.exitCode = broken === 0 ? 0 : 1;
}
