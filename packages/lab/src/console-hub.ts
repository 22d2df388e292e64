// SPDX-License-Identifier: Apache-2.0
// A board's second process: takes the emulator's two serial lines, writes them to the logs with the host's time, and lets any number of
// consoles read and write along. It ends when the emulator ends.
import { openSync, writeSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { ConsoleLogWriter } from './console-log.ts';

/** A full disk of guest chatter is worse than a log that stops. */
const maximumLogBytes = 256 * 1024 * 1024;
const maximumClientBacklog = 1024 * 1024;
/** What a console that joins later is shown first. */
const recentBytes = 64 * 1024;
const emulatorDeadlineMs = 30_000;

interface Line {
  readonly emulatorPath: string;
  readonly clientPath: string;
  readonly logPath: string;
}

/** Serves one serial line; resolves when the emulator has closed it. */
function serveLine(line: Line, on: { listening(): void; connected(): void }): Promise<void> {
  const log = openSync(line.logPath, 'a');
  const writer = new ConsoleLogWriter();
  const clients = new Set<Socket>();
  let written = 0;
  let recent: Buffer = Buffer.alloc(0);
  let emulator: Socket | undefined;

  const record = (bytes: Buffer): void => {
    recent = Buffer.concat([recent, bytes]).subarray(-recentBytes);
    const text = Buffer.from(writer.write(bytes, new Date()));
    if (written <= maximumLogBytes) writeSync(log, text);
    written += text.length;
  };

  return new Promise((resolve) => {
    const clientServer = createServer((client) => {
      clients.add(client);
      client.write(recent);
      client.on('data', (bytes) => emulator?.write(bytes));
      client.on('error', () => {});
      client.on('close', () => clients.delete(client));
    });
    const emulatorServer: Server = createServer((socket) => {
      emulator = socket;
      emulatorServer.close();
      on.connected();
      socket.on('data', (chunk) => {
        const bytes = Buffer.from(chunk as Buffer);
        record(bytes);
        for (const client of clients) {
          if (client.writableLength > maximumClientBacklog) client.destroy();
          else client.write(bytes);
        }
      });
      socket.on('error', () => {});
      socket.on('close', () => {
        for (const client of clients) client.end();
        clientServer.close();
        resolve();
      });
    });
    emulatorServer.listen(line.emulatorPath, () => {
      clientServer.listen(line.clientPath, () => on.listening());
    });
  });
}

const [runDirectory = '.', ...logs] = process.argv.slice(2);
// The terminal's Ctrl-C is for the command in front, which then ends the emulator, which ends this.
process.on('SIGINT', () => {});
process.on('SIGHUP', () => {});
process.stdout.on('error', () => {});
const deadline = setTimeout(() => process.exit(1), emulatorDeadlineMs);
let listening = 0;
let connected = 0;
const lines = logs.map((logPath, index) =>
  serveLine(
    { emulatorPath: `${runDirectory}/uart${index}`, clientPath: `${runDirectory}/console${index}`, logPath },
    {
      listening: () => {
        listening++;
        if (listening === logs.length) process.stdout.write('listening\n');
      },
      connected: () => {
        connected++;
        if (connected === logs.length) clearTimeout(deadline);
      },
    },
  ),
);
await Promise.all(lines);
process.exit(0);
