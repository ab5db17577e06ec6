// What the admin side shows of a user of the component's own domain, beside what all users have.

import type { OwnUser, OwnUsers } from '../migration/own-users.ts';
import { subscriptionPolicies } from '../migration/subscription.ts';
import { count, flag, shape, text } from './route.ts';

export interface OwnViewParts {
  own: OwnUsers;
  /** The account of the user's apps at the broker, which is the user level of their topics. */
  levelOf: (jid: string) => string;
}

const profileShape = shape(
  {
    ...{ name: text, about: text, url: text, email: text, organization: text },
    avatar: { ...shape({ type: text, bytes: count }), description: 'The picture itself is not shown.' },
  },
  ['name', 'about', 'url', 'email', 'organization', 'avatar'],
);
export const ownProperties = {
  added: { ...flag, description: 'By an operator; false: declared in the configuration.' },
  name: { ...text, description: 'As contacts see it.' },
  mqttUsername: { ...text, description: "Its apps' account at the broker, and the user level of their topics." },
  subscriptions: {
    type: 'string',
    enum: subscriptionPolicies,
    description: 'What becomes of requests to see the user: ask gives them to the app, accept grants them.',
  },
  listed: { ...flag, description: "Named in the domain's disco#items." },
  profile: profileShape,
  contacts: shape({
    see: { ...count, description: 'They see the user.' },
    asking: { ...count, description: 'They wait for an answer.' },
    seen: { ...count, description: 'The user sees them.' },
    asked: { ...count, description: 'The user waits for their answer.' },
  }),
};
export const ownShape = shape(ownProperties);
/** One user, as it stands beside what all users have. */
export function viewOwn({ own, levelOf }: OwnViewParts, user: OwnUser) {
  const { jid, added, listed, profile } = user;
  const standings = [...own.contacts(jid).values()];
  const { avatar, ...texts } = profile;
  return {
    ...{ added, listed, name: own.nameOf(user), mqttUsername: levelOf(jid), subscriptions: own.policyOf(jid) },
    profile: {
      ...texts,
      ...(avatar && { avatar: { type: avatar.type, bytes: Buffer.byteLength(avatar.data, 'base64') } }),
    },
    contacts: {
      see: standings.filter(({ sees }) => sees === 'yes').length,
      asking: standings.filter(({ sees }) => sees === 'asks').length,
      seen: standings.filter(({ seen }) => seen === 'yes').length,
      asked: standings.filter(({ seen }) => seen === 'asked').length,
    },
  };
}
