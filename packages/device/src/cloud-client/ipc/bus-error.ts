// SPDX-License-Identifier: Apache-2.0

const standard = 'org.freedesktop.DBus.Error.';
const own = 'com.mbl.Error.';

/** The errors that an app may get, by what it did. */
const names = {
  AccessDenied: standard,
  InvalidArgs: standard,
  LimitsExceeded: standard,
  PropertyReadOnly: standard,
  UnknownInterface: standard,
  UnknownMethod: standard,
  UnknownObject: standard,
  UnknownProperty: standard,
  BadDefinition: own,
  BadValue: own,
  NotListed: own,
  NotRegistered: own,
  Taken: own,
  Unavailable: own,
} as const;

/** What an app is answered instead of a result. The text is for the log of who wrote the app. */
export class BusError extends Error {
  readonly busName: string;

  constructor(name: keyof typeof names, text: string) {
    super(text);
    this.busName = `${names[name]}${name}`;
  }
}

export const busErrorNames: readonly string[] = Object.entries(names).map(
  ([name, prefix]) => `${prefix}${name}`,
);
