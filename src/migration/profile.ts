// What a user of the component's own domain says of itself in its vCard, as JSON: reading it from an app or an operator, and changing it. Pure.

import { createHash } from 'node:crypto';
import { isRefusal, type Refusal, refuse } from '../refusal.ts';
import { isXmlText } from '../xmpp/xml-text.ts';

const maxBytes = { name: 256, about: 4096, url: 2048, email: 256, organization: 256 } as const;
type TextField = keyof typeof maxBytes;
const textFields = Object.keys(maxBytes) as TextField[];
/** Every client that sees the user fetches it; XEP-0153 §4.1 asks for less than 8 KiB. */
export const maxAvatarBytes = 65_536;

export interface Avatar {
  /** image/png, image/jpeg, image/gif or image/webp. */
  type: string;
  /** Base64, without line breaks. */
  data: string;
}

export type Profile = Partial<Record<TextField, string>> & { avatar?: Avatar };

/** How each kind of image begins, as Latin-1; a dot stands for any byte. */
const signatures: Record<string, string> = {
  'image/png': '\x89PNG\r\n\x1a\n',
  'image/jpeg': '\xff\xd8\xff',
  'image/gif': 'GIF8',
  'image/webp': 'RIFF....WEBP',
};

/** The profile with these changes (RFC 7396: null takes a field away), or why it cannot be so. */
export function changeProfile(profile: Profile, changes: unknown): Profile | Refusal {
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes))
    return refuse('bad-request', `a profile is an object with some of ${[...textFields, 'avatar'].join(', ')}`);
  const next: Profile = { ...profile };
  for (const [field, value] of Object.entries(changes)) {
    if (field !== 'avatar' && !(textFields as string[]).includes(field))
      return refuse(
        'bad-request',
        `a profile has no ${field.slice(0, 64)}; known are ${[...textFields, 'avatar'].join(', ')}`,
      );
    const read =
      value === null ? undefined : field === 'avatar' ? readAvatar(value) : readText(field as TextField, value);
    if (isRefusal(read)) return read;
    if (read === undefined) delete next[field as keyof Profile];
    else Object.assign(next, { [field]: read });
  }
  return next;
}

/** XEP-0153 §3: the hash by which clients know that it has changed. */
export function avatarHash({ data }: Avatar): string {
  return createHash('sha1').update(Buffer.from(data, 'base64')).digest('hex');
}

/** Which of the kinds of image that clients can show this is; undefined: none of them. */
export function imageType(bytes: Buffer): string | undefined {
  return Object.keys(signatures).find((type) => begins(bytes, signatures[type] ?? ''));
}

function readText(field: TextField, value: unknown): string | Refusal {
  if (typeof value !== 'string' || value === '' || !isXmlText(value))
    return refuse('bad-request', `${field} must be a text without control characters`);
  const bytes = Buffer.byteLength(value);
  if (bytes <= maxBytes[field]) return value;
  return refuse('policy-violation', `${field} has ${bytes} bytes; ${maxBytes[field]} are allowed`);
}

function readAvatar(value: unknown): Avatar | Refusal {
  const { type, data } = (typeof value === 'object' ? value : {}) as Record<keyof Avatar, unknown>;
  if (typeof type !== 'string' || !Object.hasOwn(signatures, type))
    return refuse('bad-request', `the avatar's type must be one of ${Object.keys(signatures).join(', ')}`);
  if (typeof data !== 'string' || !/^[A-Za-z0-9+/]+={0,2}$/.test(data) || data.length % 4 !== 0)
    return refuse('bad-request', "the avatar's data must be base64 without line breaks");
  const bytes = Buffer.from(data, 'base64');
  if (bytes.length > maxAvatarBytes)
    return refuse('policy-violation', `the avatar has ${bytes.length} bytes; ${maxAvatarBytes} are allowed`);
  if (imageType(bytes) !== type) return refuse('bad-request', `the avatar's data is no ${type}`);
  return { type, data };
}

function begins(bytes: Buffer, signature: string): boolean {
  const head = bytes.toString('latin1', 0, signature.length);
  return head.length === signature.length && [...signature].every((mark, at) => mark === '.' || mark === head[at]);
}
