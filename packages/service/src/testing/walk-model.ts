// SPDX-License-Identifier: Apache-2.0

const minuteMs = 60_000;

/** What is true of a device, and of what was asked of it, after one thing after the other happened to it. */
export class DeviceModel {
  readonly name: string;
  standing: 'accepted' | 'suspended' | 'revoked' = 'accepted';
  online = false;
  /** What the directory says. */
  registered = false;
  /** Unix time in ms at which that runs out. */
  expiresAt = 0;
  /** Whether the service that runs was told of the registration: one that it found in the directory runs out by the clock. */
  held = false;
  /** Whether the device has shown its registration on its present connection. */
  reachable = false;
  subscribed = false;
  /** How often the device was asked to observe. */
  asked = 0;
  /** The kinds of its events, oldest first. */
  readonly events: string[] = [];
  /** Why it, or a copy of it, was refused, and how often. */
  readonly denials = new Map<string, number>();
  /** The one status with which each asynchronous request is answered; undefined while it waits. */
  readonly answers = new Map<string, number | undefined>();
  /** What the channel tells of its registration, in any order: a message holds one list for each kind. */
  readonly notices: string[] = [];
  /** The values that the channel tells, each once. */
  readonly told: string[] = [];
  readonly #refusedAt = new Map<string, number>();

  constructor(name: string) {
    this.name = name;
  }

  get waiting(): number {
    return [...this.answers.values()].filter((status) => status === undefined).length;
  }

  /** The value that the device has when it is asked to observe for the n-th time. */
  valueWhenAsked(n: number): string {
    return `${this.name} when asked ${n}`;
  }

  connects(): void {
    this.online = true;
    this.events.push('online');
  }

  drops(): void {
    if (!this.online) return;
    this.online = false;
    this.reachable = false;
    this.events.push('offline');
  }

  registers(expiresAt: number): void {
    this.events.push('registered');
    this.registered = true;
    this.held = true;
    // A full registration ends what was observed, on the same connection too.
    this.reachable = false;
    this.notices.push('registrations');
    this.#shows(expiresAt);
  }

  updates(expiresAt: number): void {
    this.notices.push('reg-updates');
    this.#shows(expiresAt);
  }

  #shows(expiresAt: number): void {
    this.expiresAt = expiresAt;
    if (!this.reachable && this.subscribed) this.told.push(this.valueWhenAsked(++this.asked));
    this.reachable = true;
    this.#settle(200);
  }

  /** The registration ends, if there is one, and what waits for the device. */
  ends(how: 'deregistered' | 'registration-expired'): void {
    if (this.registered) {
      this.events.push(how);
      this.notices.push(how === 'deregistered' ? 'de-registrations' : 'registrations-expired');
    }
    this.registered = false;
    this.held = false;
    this.reachable = false;
    this.#settle(429);
  }

  /** Its right ends, and everything with it. */
  loses(standing: 'suspended' | 'revoked'): void {
    this.standing = standing;
    this.events.push(standing === 'suspended' ? 'suspended' : 'certificate-revoked');
    this.ends('deregistered');
    this.drops();
  }

  accepted(by: 'resumed' | 'enrolled'): void {
    this.standing = 'accepted';
    this.events.push(by);
  }

  /** Somebody who shows `shown` is refused: an event in each minute. */
  denies(door: 'lwm2m' | 'est', reason: string, shown: string, now: number): void {
    this.denials.set(reason, (this.denials.get(reason) ?? 0) + 1);
    const minute = Math.floor(now / minuteMs);
    const key = `${door} ${reason} ${shown}`;
    if (this.#refusedAt.get(key) === minute) return;
    this.#refusedAt.set(key, minute);
    const clone = reason === 'already-connected' || reason === 'superseded-certificate';
    this.events.push(clone ? 'clone-suspected' : 'connection-refused');
  }

  /** The service stops and starts: what it held in memory is gone, and its channels. */
  restarts(now: number): void {
    this.drops();
    this.held = false;
    // Before there is a channel.
    if (this.timePasses(now)) this.notices.pop();
    for (const [id, status] of this.answers) if (status === undefined) this.answers.delete(id);
  }

  /** Gives whether anything ran out. */
  timePasses(now: number): boolean {
    if (!this.registered || this.held || this.expiresAt >= now) return false;
    this.registered = false;
    this.events.push('registration-expired');
    this.notices.push('registrations-expired');
    return true;
  }

  /** A request is on its way; one that `waits` does so for a device that is away. */
  asks(id: string, waits: boolean): void {
    this.answers.set(id, this.reachable ? 200 : waits ? undefined : 503);
  }

  /** The latest request had not been answered when the connection broke. */
  breaksOff(waits: boolean): void {
    const id = [...this.answers.keys()].at(-1);
    if (id !== undefined) this.answers.set(id, waits ? undefined : 503);
  }

  subscribes(id: string): void {
    this.subscribed = true;
    this.asks(id, false);
    if (this.reachable) this.asked += 1;
  }

  #settle(status: number): void {
    for (const [id, known] of this.answers) if (known === undefined) this.answers.set(id, status);
  }
}
