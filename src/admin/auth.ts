// Who may talk to the admin side: the bearer token (RFC 6750 §2.1), and the Host header against DNS rebinding.

import { createHash, timingSafeEqual } from 'node:crypto';

/** Tells whether an Authorization header carries the token; takes the same time for every wrong one. */
export function makeBearerCheck(token: string): (authorization: string | undefined) => boolean {
  const wanted = digest(token);
  return (authorization) => {
    const given = /^bearer +([^ ]+) *$/i.exec(authorization ?? '')?.[1];
    return given !== undefined && timingSafeEqual(digest(given), wanted);
  };
}

/** Digests have the same length whatever was given, as timingSafeEqual wants it. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const anyAddress = ['0.0.0.0', '::'];

/**
 * Tells whether a Host header names this server: a loopback name or the host it listens on, with any port (a tunnel has
 * its own). A page whose name was rebound to loopback says its own name. Whoever listens on all addresses goes by names
 * we cannot know: there the token alone decides.
 */
export function makeHostCheck(listenHost: string): (host: string | undefined) => boolean {
  if (anyAddress.includes(listenHost)) return () => true;
  const own = [...loopback, inUrl(listenHost).toLowerCase()];
  return (host) => own.includes((host ?? '').replace(/:\d+$/, '').toLowerCase());
}

/** An IPv6 address stands in brackets (RFC 3986 §3.2.2). */
export function inUrl(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
