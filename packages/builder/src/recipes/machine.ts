// SPDX-License-Identifier: Apache-2.0
import {
  integer,
  list,
  type Located,
  maxFirmwareCounter,
  named,
  names,
  object,
  oneOf,
  optional,
  type PartOf,
  path,
  paths,
  size,
  table,
  text,
  type WholeOf,
} from '@mbl/formats';

const derived = '-cpu, -smp and -m, which come from "cpu", "cores" and "memory"';
const word = text(/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/, 'a name (letters, digits, . _ + -)');
const modules = names(/^[a-z0-9][a-z0-9_-]{0,63}$/, 'the name of a kernel module', 'kernel module');

/** GUIDs of the partition types that have a name in recipes (UEFI, Discoverable Partitions Specification). */
export const partitionTypes = {
  linux: '0fc63daf-8483-4772-8e79-3d69d8477de4',
  reserved: '8da63339-0007-60c0-c436-083ac8230908',
  esp: 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b',
} as const;

const partition = object({
  name: text(/^[a-z][a-z0-9_]{0,35}$/, 'a partition name (lower case letters, digits, _)'),
  size: size(),
  type: oneOf('linux', 'reserved', 'esp'),
});

/** The keys of a machine file, in the order that a reader asks. Each is explained in docs/reference/machine-file.md. */
export const machineFields = {
  title: text(),
  architecture: oneOf('arm64'),
  cpu: word,
  cores: integer(1, 256),
  memory: size(),
  console: object({
    device: text(/^tty[A-Za-z]+\d{1,3}$/, 'the name of a serial device, such as "ttyAMA0"'),
    baud: integer(300, 4_000_000),
  }),
  flash: object({ size: size(), eraseBlock: size(), bankA: size(), bankB: size(), bankSize: size() }),
  firmware: object({
    trustedFirmware: object({ platform: word, options: table(), sources: optional(path()) }),
    optee: object({ platform: word, options: table() }),
    uBoot: object({ defconfig: word, config: paths() }),
    counters: optional(
      object({ trusted: integer(0, maxFirmwareCounter), nonTrusted: integer(0, maxFirmwareCounter) }),
    ),
  }),
  deviceTree: path(),
  kernel: object({
    package: word,
    arguments: names(/^[\x21-\x7e]{1,200}$/, 'a kernel argument without spaces', 'kernel argument'),
    initramfsModules: modules,
    modules,
  }),
  disk: text(
    /^[A-Za-z0-9][A-Za-z0-9._:@-]*(\/[A-Za-z0-9][A-Za-z0-9._:@-]*)*$/,
    'the path of a controller below /sys/devices',
  ),
  partitions: named(partition, 'partition'),
  emulator: optional(
    object({
      binary: word,
      disk: text(/^[A-Za-z0-9][A-Za-z0-9._,=-]{0,199}$/, 'what follows -device, without "drive" and "id"'),
      args: list(text(/^(?!-(cpu|smp|m)$)[\x20-\x7e]{1,200}$/, `an argument other than ${derived}`)),
      serialConsole: integer(0, 7),
      secureConsole: integer(0, 7),
    }),
  ),
};

export const machineShape = object(machineFields);
export type MachinePart = PartOf<typeof machineShape>;
export type MachineWhole = WholeOf<typeof machineShape>;

export type Partition = MachineWhole['partitions'][number];

/** A value without the places where it was written. */
export type Plain<T> = T extends { readonly value: infer V; readonly at: unknown }
  ? V
  : T extends readonly (infer I)[]
    ? readonly Plain<I>[]
    : T extends object
      ? { readonly [K in keyof T]: Plain<T[K]> }
      : T;

/** A board. Sizes are bytes, paths absolute; the arguments of kernel and emulator are whole, with what other keys say. */
export type Machine = Plain<MachineWhole> & {
  readonly name: string;
  readonly firmware: { readonly counters: { readonly trusted: number; readonly nonTrusted: number } };
};

/** The machine that a complete recipe describes. */
export function makeMachine(name: string, whole: MachineWhole): Machine {
  const { firmware, kernel, deviceTree, emulator, cpu, cores, memory, console } = whole;
  const board = ['-cpu', cpu, '-smp', String(cores), '-m', `${memory / 2 ** 20}M`];
  return {
    ...whole,
    name,
    deviceTree: deviceTree.value,
    firmware: {
      ...firmware,
      trustedFirmware: { ...firmware.trustedFirmware, sources: firmware.trustedFirmware.sources?.value },
      uBoot: { ...firmware.uBoot, config: values(firmware.uBoot.config) },
      counters: firmware.counters ?? { trusted: 0, nonTrusted: 0 },
    },
    kernel: {
      ...kernel,
      arguments: [`console=${console.device},${console.baud}`, ...values(kernel.arguments)],
      initramfsModules: values(kernel.initramfsModules),
      modules: values(kernel.modules),
    },
    emulator: emulator && { ...emulator, args: [...emulator.args, ...board] },
  };
}

const values = (list: readonly Located<string>[]): string[] => list.map(({ value }) => value);
