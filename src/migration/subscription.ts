// Who may see whom, between a user of the component's own domain and one contact, as that domain's server has to know it (RFC 6121 §3, appendix A). Pure.

/** What happens to a request: the app is asked, or it is granted at once. */
export type SubscriptionPolicy = 'ask' | 'accept';
export const subscriptionPolicies: readonly SubscriptionPolicy[] = ['ask', 'accept'];

export type SubscriptionType = 'subscribe' | 'subscribed' | 'unsubscribe' | 'unsubscribed';

/** Absent: nothing of the kind. `approved`: the user has said yes before it was asked (§3.4). */
export interface Standing {
  /** May the contact see the user? */
  sees?: 'asks' | 'approved' | 'yes';
  /** May the user see the contact? */
  seen?: 'asked' | 'yes';
}

/** What comes of something that the contact has said. */
export interface Heard {
  next: Standing;
  /** The app hears of it; what is no news changes nothing. */
  isNews: boolean;
  /** `granted`: it has been before, and is told again. `grant`: it is answered without the app. `gone`: it sees the user no more. */
  answer?: 'granted' | 'grant' | 'gone';
}

export function heard(now: Standing, type: SubscriptionType, policy: SubscriptionPolicy): Heard {
  const { sees, seen } = now;
  const ignored = { next: now, isNews: false };
  switch (type) {
    case 'subscribe': // §3.1.3
      if (sees === 'yes') return { ...ignored, answer: 'granted' };
      return {
        next: { ...now, sees: 'asks' },
        isNews: true,
        ...((sees === 'approved' || policy === 'accept') && { answer: 'grant' as const }),
      };
    case 'unsubscribe': // §3.3.3
      if (sees !== 'yes' && sees !== 'asks') return ignored;
      return { next: { seen }, isNews: true, ...(sees === 'yes' && { answer: 'gone' as const }) };
    case 'subscribed': // §3.1.6
      return seen === 'asked' ? { next: { ...now, seen: 'yes' }, isNews: true } : ignored;
    case 'unsubscribed': // §3.2.3
      return seen === undefined ? ignored : { next: { sees }, isNews: true };
  }
}

/** What comes of something that the user says to the contact. */
export interface Said {
  next: Standing;
  /** Not of an answer to what was not asked: it is kept until it is. */
  isSent: boolean;
  /** The contact is shown the user behind it; or, before it, that the user is not there any more. */
  also?: 'show' | 'hide';
}

/** What the contact's server may have missed is sent again, so a repeat after a crash harms nobody. */
export function said(now: Standing, type: SubscriptionType): Said {
  const { sees, seen } = now;
  switch (type) {
    case 'subscribe': // §3.1.2
      return { next: { ...now, seen: seen ?? 'asked' }, isSent: true };
    case 'unsubscribe': // §3.3.2
      return { next: { sees }, isSent: true };
    case 'subscribed': // §3.1.5, §3.4.2
      if (sees === undefined || sees === 'approved') return { next: { ...now, sees: 'approved' }, isSent: false };
      return { next: { ...now, sees: 'yes' }, isSent: true, also: 'show' };
    case 'unsubscribed': // §3.2.2, §3.4.2
      return { next: { seen }, isSent: sees !== 'approved', ...(sees === 'yes' && { also: 'hide' as const }) };
  }
}

/** As rosters say it (§2.1.2.5): to, from, both or none. */
export function nameOfStanding({ sees, seen }: Standing): 'none' | 'to' | 'from' | 'both' {
  if (sees === 'yes') return seen === 'yes' ? 'both' : 'from';
  return seen === 'yes' ? 'to' : 'none';
}

export function isNothing({ sees, seen }: Standing): boolean {
  return sees === undefined && seen === undefined;
}
