// The bot of the plays about the component's own domain, with its program on Paho and a contact of it, beside a server that has never heard of our module.

import type { App } from '../harness/app.ts';
import type { Contact } from '../harness/contact.ts';
import type { GatewayProcess } from '../harness/gateway-process.ts';
import { type Stage, type StageOptions, setStage, userLevel } from '../harness/stage.ts';

export const bot = 'bot@gw.example.com';

export interface BotStage {
  stage: Stage;
  gateway: GatewayProcess;
  alice: Contact;
  program: App;
}

/** Alice's account and the bot's address come with it. */
export async function setBotStage({
  accounts = [],
  ownUsers = [],
  ...options
}: Partial<StageOptions>): Promise<BotStage> {
  const stage = await setStage({
    ...{ ...options, accounts: ['alice', ...accounts], ownUsers: [bot, ...ownUsers] },
    legacy: { attach: false },
  });
  try {
    const [alice, program] = await Promise.all([stage.contact('alice'), stage.app(userLevel(bot), 'program')]);
    return { stage, gateway: stage.gateway, alice, program };
  } catch (error) {
    await stage.strike();
    throw error;
  }
}
