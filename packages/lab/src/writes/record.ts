// SPDX-License-Identifier: Apache-2.0
// The process beside a recorded run's emulator: record.ts SOCKET LOG DISK [FLASH]. It ends when the emulator's connections have ended.
import { type Medium, media } from './log-format.ts';
import { Recorder } from './recorder.ts';

const emulatorDeadlineMs = 30_000;

const [socketPath = '', logPath = '', ...files] = process.argv.slice(2);
// The terminal's Ctrl-C is for the command in front, which then ends the emulator, which ends this.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
process.stdout.on('error', () => {});
const served = new Map<Medium, string>();
for (const [index, path] of files.entries()) {
  const medium = media[index];
  if (medium !== undefined) served.set(medium, path);
}
const recorder = new Recorder(served, logPath);
await recorder.start(socketPath);
const deadline = setTimeout(() => process.exit(1), emulatorDeadlineMs);
process.stdout.write('listening\n');
await recorder.connected();
clearTimeout(deadline);
await recorder.finished();
process.exit(0);
