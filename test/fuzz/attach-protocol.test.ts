// The server module and a gateway that lost its mind: it answers whatever comes, and harms nobody.

import { describe, expect, test } from 'vitest';
import { servers } from '../harness/servers.ts';
import { sabotages } from './attach-sabotage.ts';
import { HostileScene } from './attach-scene.ts';

describe.each(servers)('$name:', (server) => {
  test('whatever a gateway asks, it is answered, in a link without gaps, and other gateways and users notice nothing', {
    timeout: 60_000,
  }, async () => {
    const scene = await HostileScene.open(server);
    try {
      await scene.playAll({ seed: 1, count: 120 });
      const { results, errors, refused, broken } = scene.counts;
      expect(results).toBeGreaterThan(150);
      expect(errors).toBeGreaterThan(250);
      expect(refused).toBeGreaterThan(70);
      expect(broken).toBeGreaterThan(10);
    } finally {
      await scene.close();
    }
  });

  const breaches = sabotages.flatMap(({ in: where, ...rest }) => {
    const breach = where[server.name];
    return breach ? [{ ...rest, breach }] : [];
  });
  test.each(breaches)('a module that $what is found out', { timeout: 60_000 }, async ({ found, only, breach }) => {
    const scene = await HostileScene.open(server, breach);
    try {
      await expect(scene.playAll({ seed: 1, count: 100, only })).rejects.toThrow(found);
    } finally {
      await scene.close();
    }
  });
});
