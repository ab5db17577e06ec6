// The server module and a gateway that lost its mind: it answers whatever comes, and harms nobody.

import { expect, test } from 'vitest';
import { brokenModule, sabotages } from './attach-sabotage.ts';
import { HostileScene } from './attach-scene.ts';

test('whatever a gateway asks, it is answered, in a link without gaps, and other gateways and users notice nothing', {
  timeout: 60_000,
}, async () => {
  const scene = await HostileScene.open();
  try {
    await scene.playAll({ seed: 1, plays: 150 });
    const { results, errors, refused, broken } = scene.counts;
    expect(results).toBeGreaterThan(200);
    expect(errors).toBeGreaterThan(300);
    expect(refused).toBeGreaterThan(100);
    expect(broken).toBeGreaterThan(10);
  } finally {
    await scene.close();
  }
});

test.each(sabotages)('a module that $what is found out', { timeout: 60_000 }, async ({ found, seed, ...broken }) => {
  const module = await brokenModule(broken);
  const scene = await HostileScene.open({ moduleDir: module.dir });
  try {
    await expect(scene.playAll({ seed, plays: 60 })).rejects.toThrow(found);
  } finally {
    await scene.close();
    await module.remove();
  }
});
