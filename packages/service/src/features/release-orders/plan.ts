// SPDX-License-Identifier: Apache-2.0
import type { UpdateStatus } from './status.ts';

/** What a device does for an order. Those of the second line are ends. */
export const orderStates = [
  ...(['waiting', 'downloading', 'downloaded', 'trial'] as const),
  ...(['done', 'fell-back', 'refused', 'failed', 'cancelled', 'replaced'] as const),
] as const;

export type OrderState = (typeof orderStates)[number];

/** What of an order decides what comes next. */
export interface OrderFacts {
  readonly release: string;
  /** The Package URI. */
  readonly uri: string;
  /** The device was seen to have taken the Package URI. */
  readonly asked: boolean;
  /** It was decided to have it start the release. */
  readonly started: boolean;
}

/** How an order stands. */
export interface OrderView {
  readonly state: OrderState;
  /** For programs: `[a-z0-9/-]{1,64}`. What the device gives for a failure, where it gives one. */
  readonly reason: string;
  /** For people. */
  readonly sentence: string;
  readonly fetched?: number | undefined;
  readonly toFetch?: number | undefined;
}

/** `ask`: write the Package URI; `ask-later`: the same after a pause; `start`: execute Update; `look`: see how it goes on. */
export type Act = 'ask' | 'ask-later' | 'start' | 'look';

export type Plan =
  | { readonly view: OrderView; readonly end: true }
  | {
      readonly view: OrderView;
      readonly end: false;
      readonly act: Act;
      readonly asked?: true;
      readonly started?: boolean;
    };

const success = 1;
const failed = 8;

/** Results of Appendix E.6 that end a download, and what they are called here. */
const results: Readonly<Record<number, readonly [OrderState, reason: string, sentence: string]>> = {
  2: ['refused', 'no-space', 'it has no place for it'],
  3: ['refused', 'no-memory', 'it has not enough memory for it'],
  5: ['refused', 'not-accepted', 'it is not signed for this device, or is not what was signed'],
  6: ['refused', 'unsupported-package', 'it is of a kind that the device does not install'],
  7: ['refused', 'invalid-uri', 'its address names no release'],
  8: ['failed', 'update-failed', 'the update could not be started'],
  9: ['refused', 'unsupported-protocol', 'it lies where the device cannot fetch it'],
};
const connectionLost = 4;

/**
 * What an order comes to, by what its device says, and what to do next. Everything that is asked of a device may be asked twice, and no
 * answer is needed: what was lost on the way shows in what the device says next. `running`: the release that it is known to run.
 */
export function planOrder(order: OrderFacts, status: UpdateStatus | undefined, running?: string): Plan {
  const { release, uri, asked, started } = order;
  if (status === undefined) return waits('device-starts', 'The device has just started', 'look');
  const ours = status.uri === uri;
  switch (status.state) {
    case 'updating':
      if (status.release === release || (ours && started))
        return { view: trial(release), end: false, act: 'look', asked: true, started: true };
      return waits(
        'other-update',
        `Waits until the device has judged ${named(status.release)}, which it is trying`,
        'look',
      );
    case 'downloading':
    case 'downloaded':
      // Where it was not seen to take the order, what it brings is from before: the order takes its place.
      if (!ours) return asked ? replacedThere(status) : ask();
      if (status.state === 'downloading')
        return { view: downloading(release, status), end: false, act: 'look', asked: true };
      return {
        view: {
          ...bytes(status),
          state: 'downloaded',
          reason: 'downloaded',
          sentence: `Has ${release} and starts it`,
        },
        end: false,
        act: 'start',
        asked: true,
      };
    case 'idle':
      return idle();
  }

  function idle(): Plan {
    const { result, reason, detail } = status as UpdateStatus;
    const same = status?.release === release || status?.release === '';
    if (started && same && result === success) return ended('done', 'done', `Runs ${release}`);
    // In the session in which it took the URI no trial can have been: the device restarts for one.
    if (started && same && result === failed && !ours)
      return ended(
        'fell-back',
        code(reason, 'fell-back'),
        `Went back from ${release} to what it ran before${because(detail)}`,
      );
    if (asked && ours && result === connectionLost)
      return waits(
        code(reason, 'connection-lost'),
        `Could not fetch ${release}${because(detail)}; it is asked again`,
        'ask-later',
      );
    const known = results[result];
    if (asked && ours && known !== undefined) {
      const [state, usual, why] = known;
      return ended(state, code(reason, usual), `Did not install ${release}: ${detail === '' ? why : detail}`);
    }
    if (!asked && !started && running === release)
      return ended('done', 'already-there', `Runs ${release} already`);
    // Never asked, or its client started anew and has forgotten.
    return ask();
  }

  function ask(): Plan {
    const view = { state: 'waiting', reason: 'asked', sentence: `Is told to go to ${release}` } as const;
    return { view, end: false, act: 'ask', started: false };
  }
}

function waits(reason: string, sentence: string, act: Act): Plan {
  return { view: { state: 'waiting', reason, sentence }, end: false, act };
}

function ended(state: OrderState, reason: string, sentence: string): Plan {
  return { view: { state, reason, sentence }, end: true };
}

function replacedThere({ uri }: UpdateStatus): Plan {
  return ended('failed', 'replaced-on-device', `The device was told by somebody else to go to ${named(uri)}`);
}

function trial(release: string): OrderView {
  return { state: 'trial', reason: 'trial', sentence: `Starts ${release}, and tries whether it is good` };
}

function downloading(release: string, status: UpdateStatus): OrderView {
  const { detail } = status;
  return {
    ...bytes(status),
    state: 'downloading',
    reason: 'downloading',
    sentence: `Downloads ${release}${detail === '' ? '' : `: ${detail}`}`,
  };
}

function bytes({ fetched, toFetch }: UpdateStatus): Pick<OrderView, 'fetched' | 'toFetch'> {
  return { fetched, toFetch };
}

/** The device's own word for it, where that is one. */
function code(given: string, otherwise: string): string {
  return /^[a-z0-9][a-z0-9/-]{0,63}$/.test(given) ? given : otherwise;
}

function because(detail: string): string {
  return detail === '' ? '' : `: ${detail}`;
}

function named(text: string): string {
  return text === '' ? 'another release' : text;
}
