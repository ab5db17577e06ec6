// A certificate for example.com that is its own authority. `openssl` comes with the servers' packages (ssl-cert).

import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** Writes example.com.key and example.com.crt into this folder. */
export async function makeCertificate(dir: string): Promise<void> {
  const out = ['-keyout', join(dir, 'example.com.key'), '-out', join(dir, 'example.com.crt')];
  const name = ['-subj', '/CN=example.com', '-addext', 'subjectAltName=DNS:example.com'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  await promisify(execFile)('openssl', ['req', '-x509', ...kind, ...out, ...name]);
}
