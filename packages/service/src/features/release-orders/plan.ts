// SPDX-License-Identifier: Apache-2.0
import { isUpdateReason } from '@mbl/formats';
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
  /** For programs: one of `reasons`, or of a device that waits or failed the code that it gives (`updateReasons` of `@mbl/formats`). */
  readonly reason: string;
  /** For people. */
  readonly sentence: string;
  readonly fetched?: number | undefined;
  readonly toFetch?: number | undefined;
}

/** `ask`: write the Package URI; `start`: execute Update; `-later`: the same after a pause; `look`: see how it goes on. */
export type Act = 'ask' | 'ask-later' | 'start' | 'start-later' | 'look';

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
  2: ['refused', 'update/not-installable', 'it has no place for it'],
  3: ['refused', 'update/not-installable', 'it has not enough memory for it'],
  5: ['refused', 'update/signature-invalid', 'it is not signed for this device, or is not what was signed'],
  6: ['refused', 'update/not-installable', 'it is of a kind that the device does not install'],
  7: ['refused', 'update/bad-uri', 'its address names no release'],
  8: ['failed', 'update/failed', 'the update could not be started'],
  9: ['refused', 'update/unsupported-protocol', 'it lies where the device cannot fetch it'],
};
const connectionLost = 4;
/** Reasons of a trial that was none. */
const neverRan: readonly string[] = ['update/not-started', 'update/replaced'];
/** The device takes no release before the one that runs has proved good. */
const notProved = 'update/not-proved';

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
      return downloaded(status);
    case 'idle':
      return idle();
  }

  function downloaded({ result, reason, detail }: UpdateStatus): Plan {
    // Appendix E.6: an Update that failed leads back to Downloaded.
    if (started && result === failed && reason !== notProved)
      return ended('failed', code(reason, 'update/failed'), `Could not start ${release}${because(detail)}`);
    const later = started && result === failed;
    const view = later
      ? { reason: notProved, sentence: `Cannot start ${release} yet${because(detail)}` }
      : { reason: 'downloaded', sentence: `Has ${release} and starts it` };
    return {
      view: { ...bytes(status as UpdateStatus), state: 'downloaded', ...view },
      end: false,
      act: later ? 'start-later' : 'start',
      asked: true,
    };
  }

  function idle(): Plan {
    const { result, reason, detail } = status as UpdateStatus;
    const same = status?.release === release || status?.release === '';
    if (started && same && result === success) return ended('done', 'done', `Runs ${release}`);
    // In the session in which it took the URI no trial can have been: the device restarts for one.
    if (started && same && result === failed && !ours)
      return ended(
        neverRan.includes(reason) ? 'failed' : 'fell-back',
        code(reason, 'update/failed'),
        `Went back from ${release} to what it ran before${because(detail)}`,
      );
    if (asked && ours && result === connectionLost)
      return waits(
        code(reason, 'update/mirror-unreachable'),
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
  const { detail, reason } = status;
  return {
    ...bytes(status),
    state: 'downloading',
    // Of one that waits for its mirror, say.
    reason: code(reason, 'downloading'),
    sentence: `Downloads ${release}${detail === '' ? '' : `: ${detail}`}`,
  };
}

/** 0 to fetch is not known yet. */
function bytes({ fetched, toFetch }: UpdateStatus): Pick<OrderView, 'fetched' | 'toFetch'> {
  return toFetch === 0 ? {} : { fetched, toFetch };
}

/** The device's own word for it, where that is one that we know. */
function code(given: string, otherwise: string): string {
  return isUpdateReason(given) ? given : otherwise;
}

function because(detail: string): string {
  return detail === '' ? '' : `: ${detail}`;
}

function named(text: string): string {
  return text === '' ? 'another release' : text;
}
