// SASL for client sessions: SCRAM-SHA-256 and -1 (RFC 5802, RFC 7677), PLAIN (RFC 4616) and ejabberd's X-OAUTH2. No socket.

import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

/** A password, or a token that ejabberd has issued (scope `sasl_auth`). */
export type Credential = { password: string } | { token: string };

export interface Mechanism {
  readonly name: string;
  /** The initial response. */
  first(): string;
  /** The response to a challenge. Throws with a text where the server does not keep to the mechanism. */
  answer(challenge: string): Promise<string>;
  /** Whether the server has proved that it knows the account, too; with what it says along with success. */
  isProved(additional: string): boolean;
}

const stretch = promisify(pbkdf2);
const hashes = { 'SCRAM-SHA-256': 'sha256', 'SCRAM-SHA-1': 'sha1' } as const;
type ScramName = keyof typeof hashes;
/** RFC 7677 §4 wants 4096 at least; far more than any server has would only keep us busy. */
const maxIterations = 1_000_000;

/** The best of what the server offers. PLAIN and tokens only over TLS. Null: none fits. */
export function chooseMechanism(
  offered: readonly string[],
  user: string,
  credential: Credential,
  isSecure: boolean,
): Mechanism | null {
  if ('token' in credential)
    return isSecure && offered.includes('X-OAUTH2') ? plain('X-OAUTH2', user, credential.token) : null;
  const scram = (Object.keys(hashes) as ScramName[]).find((name) => offered.includes(name));
  if (scram) return new Scram(scram, user, credential.password);
  return isSecure && offered.includes('PLAIN') ? plain('PLAIN', user, credential.password) : null;
}

function plain(name: string, user: string, secret: string): Mechanism {
  return {
    name,
    first: () => `\0${user}\0${secret}`,
    answer: () => Promise.reject(new Error(`${name} has no challenge`)),
    isProved: () => true,
  };
}

class Scram implements Mechanism {
  readonly name: ScramName;
  readonly #hash: string;
  readonly #password: string;
  readonly #nonce = randomBytes(18).toString('base64');
  readonly #firstBare: string;
  #serverSignature: Buffer | null = null;
  #isProved = false;

  constructor(name: ScramName, user: string, password: string) {
    this.name = name;
    this.#hash = hashes[name];
    this.#password = password.normalize('NFKC');
    this.#firstBare = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${this.#nonce}`;
  }

  first(): string {
    return `n,,${this.#firstBare}`;
  }

  async answer(challenge: string): Promise<string> {
    if (this.#serverSignature !== null) return this.#hear(challenge);
    const { r: nonce = '', s: salt = '', i = '', m } = attributesOf(challenge);
    const iterations = Number(i);
    if (m !== undefined) throw new Error('the challenge wants an extension that is not known here');
    if (!nonce.startsWith(this.#nonce) || nonce === this.#nonce || salt === '')
      throw new Error('the challenge does not answer our nonce');
    if (!Number.isInteger(iterations) || iterations < 1 || iterations > maxIterations)
      throw new Error('the challenge has no sensible iteration count');
    const bytes = createHash(this.#hash).digest().length;
    const salted = await stretch(this.#password, Buffer.from(salt, 'base64'), iterations, bytes, this.#hash);
    const clientKey = this.#mac(salted, 'Client Key');
    const storedKey = createHash(this.#hash).update(clientKey).digest();
    const final = `c=biws,r=${nonce}`;
    const message = `${this.#firstBare},${challenge},${final}`;
    const signature = this.#mac(storedKey, message);
    this.#serverSignature = this.#mac(this.#mac(salted, 'Server Key'), message);
    const proof = Buffer.from(clientKey.map((byte, at) => byte ^ signature[at]!));
    return `${final},p=${proof.toString('base64')}`;
  }

  isProved(additional: string): boolean {
    return additional === '' ? this.#isProved : this.#proves(additional);
  }

  /** A server may give its proof in a challenge, which asks for nothing more (RFC 6120 §6.3.10); success follows, or failure. */
  #hear(final: string): string {
    this.#isProved = this.#proves(final);
    return '';
  }

  #proves(final: string): boolean {
    const given = Buffer.from(attributesOf(final).v ?? '', 'base64');
    const wanted = this.#serverSignature;
    return wanted !== null && given.length === wanted.length && timingSafeEqual(given, wanted);
  }

  #mac(key: Buffer, text: string): Buffer {
    return createHmac(this.#hash, key).update(text).digest();
  }
}

function attributesOf(text: string): Record<string, string> {
  return Object.fromEntries(text.split(',').map((part) => [part.slice(0, 1), part.slice(2)]));
}
