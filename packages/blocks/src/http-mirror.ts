// SPDX-License-Identifier: Apache-2.0
import type * as http from 'node:http';
import type { ConnectionOptions } from 'node:tls';
import { MblError } from '@mbl/trust';
import type { Mirror, MirrorAnswer } from './devices.ts';
import { unreachable } from './transfer/body-reader.ts';

export interface HttpMirrorOptions {
  /** Where the files are: `https://updates.example/releases/`. */
  readonly url: string;
  /** Whom the device trusts there, the name in the certificate, and its own certificate where the server asks for one. */
  readonly tls?: Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername'>;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Answers that another try may change (RFC 9110 §15): overload, a gateway, a server that starts. */
const temporary = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Any HTTP server that serves ranges of files (RFC 9110 §14). Keeps one connection. Follows no redirects: they lead out of what was named. */
export class HttpMirror implements Mirror, AsyncDisposable {
  readonly name: string;
  readonly #url: URL;
  readonly #tls: HttpMirrorOptions['tls'];
  #agent: http.Agent | undefined;
  readonly #headers: Readonly<Record<string, string>>;

  constructor({ url, tls, headers = {} }: HttpMirrorOptions) {
    this.name = url;
    this.#url = new URL(url.endsWith('/') ? url : `${url}/`);
    this.#tls = tls;
    this.#headers = headers;
  }

  async get(file: string, start: number, end: number, signal: AbortSignal): Promise<MirrorAnswer> {
    const url = new URL(file.split('/').map(encodeURIComponent).join('/'), this.#url);
    const headers = { ...this.#headers, range: `bytes=${start}-${end - 1}`, 'accept-encoding': 'identity' };
    // Needed now and then: HTTP stays out of the way of a boot.
    const { Agent, request } =
      this.#url.protocol === 'https:' ? await import('node:https') : await import('node:http');
    const agent = (this.#agent ??= new Agent({ keepAlive: true, maxSockets: 1, ...this.#tls }));
    const answer = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const call = request(url, { agent, headers, signal, maxHeaderSize });
      call.once('response', resolve);
      // Later errors of the connection are those of the body.
      call.on('error', (cause) => reject(unreachable(`${this.name} cannot be reached`, cause)));
      call.end();
    });
    try {
      checkAnswer(answer, this.name, file, start, end);
    } catch (error) {
      answer.destroy();
      throw error;
    }
    return { body: bodyOf(answer, this.name) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent?.destroy();
  }
}

/** Of what an answer says beside its bytes nobody counts more than this. */
const maxHeaderSize = 4096;

/** Only 206 with just this range: a server that sends the whole file would cost all of it. */
function checkAnswer(
  answer: http.IncomingMessage,
  name: string,
  file: string,
  start: number,
  end: number,
): void {
  const { statusCode = 0, headers } = answer;
  if (temporary.has(statusCode)) throw unreachable(`${name} answered ${statusCode}`);
  if (statusCode === 200) throw refused(name, `sends no ranges of ${file}`);
  if (statusCode === 416) throw refused(name, `has another ${file}: it ends before byte ${end}`);
  if (statusCode !== 206) throw refused(name, `answered ${statusCode} for ${file}`);
  const range = /^bytes (\d{1,15})-(\d{1,15})\/(?:\d{1,15}|\*)$/.exec(headers['content-range'] ?? '');
  if (Number(range?.[1]) !== start || Number(range?.[2]) !== end - 1)
    throw refused(name, `answered another range of ${file} than was asked for`);
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw refused(name, `compresses ${file}, which is compressed`);
}

async function* bodyOf(answer: http.IncomingMessage, name: string): AsyncGenerator<Uint8Array> {
  try {
    for await (const piece of answer) yield piece as Uint8Array;
  } catch (cause) {
    throw unreachable(`${name} broke off`, cause);
  }
}

function refused(name: string, what: string): MblError {
  return new MblError('blocks/mirror-refused', `The mirror ${name} ${what}.`, {
    remedy: 'Name a mirror that has the release, and serves ranges.',
  });
}
