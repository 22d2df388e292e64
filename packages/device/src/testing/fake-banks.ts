// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Slot } from '@mbl/formats';
import { MblError } from '@mbl/trust';
import type { FirmwareBanks } from '../firmware/banks.ts';
import { otherSlot } from '../slots/boot-state.ts';

const bankBytes = 64 * 1024;
const blockBytes = 16 * 1024;

/** The banks as BL31 keeps them, in memory: what it refuses is refused here. */
export class FakeBanks implements FirmwareBanks {
  readonly contents: Record<Slot, Buffer> = {
    a: Buffer.alloc(bankBytes, 0xaa),
    b: Buffer.alloc(bankBytes, 0xff),
  };
  running: Slot = 'a';
  accepted: Slot = 'a';
  /** The bank that starts next on trial. */
  asked: Slot | undefined;
  /** Attempts of the running bank, with this start; 0 where it was accepted before. */
  attempt = 0;
  confirmed = false;
  rejected = false;
  /** How often the counters were stored. */
  stored = 0;
  /** None of this on this board. */
  absent = false;
  /** Something was written to the idle bank since the start. */
  written = false;
  /** What the next write leaves in the place of the last byte. */
  flaw: number | undefined;

  /** The next start; `fails`: what is on trial does not come up, however often. */
  reset(fails = false): void {
    const next = this.asked === undefined || fails ? this.accepted : this.asked;
    this.attempt = next === this.asked ? 1 : 0;
    if (fails) this.asked = undefined;
    this.running = next;
    this.confirmed = false;
    this.rejected = false;
    this.written = false;
  }

  status() {
    const accepted = this.attempt === 0 || this.confirmed;
    return Promise.resolve(this.absent ? undefined : { bank: this.running, accepted, size: bankBytes });
  }

  digest(place: 'running' | 'idle', size: number) {
    const bank = place === 'running' ? this.running : otherSlot(this.running);
    return Promise.resolve(createHash('sha256').update(this.contents[bank].subarray(0, size)).digest('hex'));
  }

  head(size: number) {
    return Promise.resolve(Buffer.from(this.contents[this.running].subarray(0, size)));
  }

  async write(path: string, size: number) {
    if (this.asked !== undefined) throw refused();
    this.written = true;
    const bank = this.contents[otherSlot(this.running)];
    bank.set((await readFile(path)).subarray(0, size));
    if (this.flaw !== undefined) bank[size - 1] = this.flaw;
    this.flaw = undefined;
  }

  try(bank: Slot) {
    if (this.asked !== undefined || bank === this.running || (this.attempt > 0 && !this.confirmed))
      return Promise.reject(refused());
    this.asked = bank;
    return Promise.resolve();
  }

  confirm() {
    if (this.rejected) return Promise.reject(refused());
    this.confirmed = true;
    this.accepted = this.running;
    if (this.asked === this.running) this.asked = undefined;
    this.stored++;
    return Promise.resolve();
  }

  reject() {
    const runs = this.attempt > 0 && !this.confirmed;
    if (this.asked === undefined && !runs) return Promise.reject(refused());
    this.asked = undefined;
    this.rejected = runs;
    return Promise.resolve();
  }

  copy() {
    const wanted = this.asked !== undefined || (this.attempt > 0 && !this.confirmed);
    if (this.written || wanted || this.running !== this.accepted) return Promise.reject(refused());
    const [from, to] = [this.contents[this.running], this.contents[otherSlot(this.running)]];
    const blocks = Array.from({ length: bankBytes / blockBytes }, (_, index) => index * blockBytes).filter(
      (at) => !from.subarray(at, at + blockBytes).equals(to.subarray(at, at + blockBytes)),
    );
    from.copy(to);
    return Promise.resolve(blocks.length);
  }
}

function refused(): MblError {
  return new MblError('device/firmware-refused', 'the boot firmware: not now');
}
