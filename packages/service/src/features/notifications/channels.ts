// SPDX-License-Identifier: Apache-2.0
import { EventEmitter } from 'node:events';
import { HttpError } from '../../infra/http/errors.ts';
import { Channel } from './channel.ts';
import type { NotificationMessage } from './message.ts';

/** How long a channel is kept that nobody uses. */
const unusedMs = { 'long-poll': 10 * 60_000, websocket: 24 * 3_600_000 } as const;
const sweepMs = 30_000;
const maximumChannels = 1000;

/**
 * The notification channels. An API key has one, as Pelion has it; a client that gives its channel a name has that one
 * beside it, so that two programs with one key do not take each other's events. `ended` tells of channels that end before the service does.
 */
export class Channels extends EventEmitter<{ ended: [key: string] }> implements Disposable {
  readonly #channels = new Map<string, Channel>();
  readonly #now: () => number;
  readonly #sweeper: NodeJS.Timeout;

  constructor(now: () => number) {
    super();
    this.#now = now;
    this.#sweeper = setInterval(() => this.#sweep(), sweepMs).unref();
  }

  readonly publish = (message: NotificationMessage): void => {
    if (this.#channels.size === 0) return;
    const bytes = JSON.stringify(message).length;
    for (const channel of this.#channels.values()) channel.push(message, bytes, this.#now());
  };

  get(apiKeyId: string, name = ''): Channel | undefined {
    return this.#channels.get(`${apiKeyId}/${name}`);
  }

  /** Throws what `open` would throw: `conflict` when there is a channel of another kind, `too_many_requests`. */
  check(apiKeyId: string, kind: Channel['kind'], name = ''): void {
    const existing = this.get(apiKeyId, name);
    if (existing === undefined && this.#channels.size >= maximumChannels)
      throw new HttpError('too_many_requests', 'TOO_MANY_CHANNELS');
    if (existing !== undefined && existing.kind !== kind)
      throw new HttpError('conflict', 'CHANNEL_OF_ANOTHER_KIND_EXISTS');
  }

  /** Gives the channel, made if there is none. */
  open(apiKeyId: string, kind: Channel['kind'], name = '', chunk?: number): Channel {
    this.check(apiKeyId, kind, name);
    const existing = this.get(apiKeyId, name);
    if (existing !== undefined) return existing;
    const channel = new Channel(`${apiKeyId}/${name}`, kind, this.#now(), chunk);
    this.#channels.set(channel.key, channel);
    return channel;
  }

  close(apiKeyId: string, name = ''): void {
    const channel = this.get(apiKeyId, name);
    if (channel !== undefined) this.#end(channel);
  }

  /** Ends every channel of an API key that lost its right. */
  readonly closeAll = (apiKeyId: string): void => {
    for (const channel of this.#channels.values()) {
      if (channel.key.startsWith(`${apiKeyId}/`)) this.#end(channel);
    }
  };

  touch(channel: Channel): void {
    channel.usedAt = this.#now();
  }

  #sweep(): void {
    for (const channel of this.#channels.values()) {
      if (this.#now() - channel.usedAt > unusedMs[channel.kind]) this.#end(channel);
    }
  }

  #end(channel: Channel): void {
    channel.end();
    this.#channels.delete(channel.key);
    this.emit('ended', channel.key);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#sweeper);
    for (const channel of this.#channels.values()) channel.end();
    this.#channels.clear();
  }
}
