// The process of a player beside the run: plays what it is sent, and ends with whoever sends.

import { playHere } from './player.ts';
import type { Range } from './record.ts';

process.on('message', async ({ range, untilBroken }: { range: Range; untilBroken: boolean }) => {
  process.send!(await playHere(range, untilBroken));
});
process.on('disconnect', () => process.exit());
