// SPDX-License-Identifier: Apache-2.0
import type { CoapResponse } from '@mbl/coap';
import { ContentFormat, contentFormat, formatCode, isSuccessCode, maxAge } from '@mbl/coap';
import { decodeNodes } from '../codecs/codecs.ts';
import { Lwm2mError } from '../errors.ts';
import type { ObjectModel } from '../model/model.ts';
import type { Node } from '../node.ts';
import type { Path } from '../path.ts';
import { formatPath } from '../path.ts';

/** What a client answered or notified: the bytes as they came, and what they mean. */
export class Lwm2mResponse {
  readonly code: number;
  readonly contentFormat: number | undefined;
  readonly payload: Uint8Array;
  /** How long the value is fresh, in seconds (RFC 7252 §5.10.5). */
  readonly maxAge: number;
  readonly #path: Path;
  readonly #model: ObjectModel;

  constructor(response: CoapResponse, path: Path, model: ObjectModel) {
    this.code = response.code;
    this.contentFormat = contentFormat(response.options);
    this.payload = response.payload;
    this.maxAge = maxAge(response.options);
    this.#path = path;
    this.#model = model;
  }

  get ok(): boolean {
    return isSuccessCode(this.code);
  }

  /** Throws `lwm2m/refused` with the code as `status` when it is no success. */
  check(): this {
    if (this.ok) return this;
    const said = new TextDecoder().decode(this.payload.subarray(0, 200));
    throw new Lwm2mError(
      'lwm2m/refused',
      `the client answered ${formatPath(this.#path)} with ${formatCode(this.code)}${said === '' ? '' : `: ${said}`}`,
      { status: this.code },
    );
  }

  /**
   * The values in the payload. Throws `lwm2m/refused` when the code is no success, `lwm2m/answer-invalid` when the bytes are not of the format, or a
   * value is not of its resource's type.
   */
  nodes(): Node[] {
    this.check();
    try {
      return decodeNodes(this.contentFormat ?? ContentFormat.TEXT, this.payload, this.#path, this.#model);
    } catch (cause) {
      if (!(cause instanceof Lwm2mError)) throw cause;
      // Without a status: the client did not refuse, and nothing is wrong with what it was asked.
      throw new Lwm2mError(
        'lwm2m/answer-invalid',
        `the client's answer for ${formatPath(this.#path)} cannot be read: ${cause.message}`,
        { cause },
      );
    }
  }
}
